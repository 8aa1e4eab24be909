//! Plans selects: the access path by which storage finds records, the predicates that each of these records
//! must satisfy, and whether the evaluator (`query/evaluate.rs`) has to filter the records.

use std::sync::Arc;

use miko_rpc::Result;

use crate::class::{Class, Constraint, ConstraintKind};
use crate::engine::store::Store;
use crate::json::index_key;
use crate::query::{DeferredResult, Filter, PathStep, PathTest, SelectRequest};
use crate::storage::Storage;
use crate::storage::plan::{AccessPath, Classes, IndexLookup, Plan, Predicate};

/// The largest [`part_count`](SelectRequest::part_count) of a select that SQLite filters and sorts: the
/// number of its conditions, of their parts, and of its sort keys. SQLite nests an expression for each of
/// them, and bounds the depth.
const MAX_PARTS: usize = 250;

impl<T: Storage> Store<T> {
    /// Plans a select with the classes that are in force.
    pub(super) fn plan<'q>(&self, select: &'q SelectRequest) -> Result<Plan<'q>> {
        // If there is a reason for a residual filter, storage only finds candidates. The evaluator then
        // filters, sorts and limits them. Storages without SQL have a reason for all selects, and take any
        // number of predicates.
        let reason_of_storage = self.storage.capabilities().residual_filter_reason;
        let (mut predicates, residual_filter_reason) = if select.may_fail {
            let why = "its evaluation may reach a placeholder that cannot be resolved";
            (self.pushdown_predicates(&select.filter)?, Some(reason_of_storage.unwrap_or(why)))
        } else if select.part_count > MAX_PARTS && reason_of_storage.is_none() {
            (
                self.pushdown_predicates(&select.filter)?,
                Some("it has more conditions and sort keys than one statement takes"),
            )
        } else {
            (self.predicates(&select.filter)?, reason_of_storage)
        };
        let access_path = self.take_access_path(&mut predicates)?;
        Ok(Plan { select, access_path, predicates, residual_filter_reason })
    }

    /// The predicates by which storage may discard records although the filter has a part that is an error:
    /// the classes, pks and path of the outermost filter, in this order, up to the first part that is an
    /// error. For a record that does not meet one of these parts, the evaluator stops at that part and never
    /// reaches a later one, so no error is lost. The outermost filter of a select is never negated. Also
    /// called for selects with too many parts, which have no error.
    fn pushdown_predicates<'q>(&self, filter: &'q Filter) -> Result<Vec<Predicate<'q>>> {
        let mut predicates = Vec::new();
        let Some(classes) = part_unless_error(filter.classes.as_ref()) else { return Ok(predicates) };
        if let Some(names) = classes {
            predicates.push(Predicate::Classes(self.classes(names)?));
        }
        let Some(pks) = part_unless_error(filter.pks.as_ref()) else { return Ok(predicates) };
        predicates.extend(pks.map(|pks| Predicate::Pks(pks)));
        let Some(path) = part_unless_error(filter.path.as_ref()) else { return Ok(predicates) };
        predicates.extend(path.map(Predicate::Path));
        Ok(predicates)
    }

    /// A filter as predicates that must all hold. The caller ensures that no part of the filter is an error.
    fn predicates<'q>(&self, filter: &'q Filter) -> Result<Vec<Predicate<'q>>> {
        let mut predicates = Vec::new();
        if let Some(names) = part_or_error(filter.classes.as_ref())? {
            predicates.push(Predicate::Classes(self.classes(names)?));
        }
        predicates.extend(part_or_error(filter.pks.as_ref())?.map(|pks| Predicate::Pks(pks)));
        predicates.extend(part_or_error(filter.path.as_ref())?.map(Predicate::Path));
        for member in part_or_error(filter.all.as_ref())?.into_iter().flatten() {
            predicates.extend(self.predicates(member.as_ref().map_err(Clone::clone)?)?);
        }
        if let Some(members) = part_or_error(filter.any.as_ref())? {
            let one_of = members
                .iter()
                .map(|member| Ok(Predicate::All(self.predicates(member.as_ref().map_err(Clone::clone)?)?)));
            predicates.push(Predicate::Any(one_of.collect::<Result<_>>()?));
        }
        if part_or_error(filter.negated.as_ref())?.is_some_and(|negated| *negated) {
            predicates = vec![Predicate::Not(Box::new(Predicate::All(predicates)))];
        }
        // `then` is a further filter, to which `not` does not apply.
        if let Some(then) = part_or_error(filter.then.as_deref())? {
            predicates.extend(self.predicates(then)?);
        }
        Ok(predicates)
    }

    /// The classes with these names, and the ids of these classes and all their subclasses.
    pub(super) fn classes<'q>(&self, names: &'q [String]) -> Result<Classes<'q>> {
        let mut ids = Vec::new();
        for class in names.iter().flat_map(|class| self.catalog.with_subclasses(class)) {
            ids.extend(self.find_class_id(class)?);
        }
        // Two classes may have the same subclass.
        if names.len() > 1 {
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(Classes { names, ids })
    }

    /// Chooses the access path that presumably finds the fewest records. Removes from `predicates` those that
    /// hold for all records of the path.
    fn take_access_path<'q>(&self, predicates: &mut Vec<Predicate<'q>>) -> Result<AccessPath<'q>> {
        // Pks are looked up one by one: presumably they are few.
        let pks = take_first(predicates, |predicate| matches!(predicate, Predicate::Pks(_)));
        if let Some(Predicate::Pks(pks)) = pks {
            return Ok(AccessPath::Pks(pks.into()));
        }
        let union = predicates.iter().enumerate().find_map(|(index, any)| Some((index, union_of_pks(any)?)));
        if let Some((index, pks)) = union {
            predicates.remove(index);
            return Ok(AccessPath::Pks(pks.into()));
        }
        if let Some(lookup) = self.take_lookup(predicates)? {
            return Ok(AccessPath::Index(lookup));
        }
        match take_first(predicates, |predicate| matches!(predicate, Predicate::Classes(_))) {
            Some(Predicate::Classes(classes)) => Ok(AccessPath::Members(classes)),
            _ => Ok(AccessPath::Everything),
        }
    }

    /// Finds a class and a path among the predicates, such that the class has an index for the path. Removes
    /// from `predicates` those that hold for all records that the lookup finds.
    fn take_lookup(&self, predicates: &mut Vec<Predicate<'_>>) -> Result<Option<IndexLookup>> {
        for (class_index, predicate) in predicates.iter().enumerate() {
            // A condition with several classes has no common index.
            let Predicate::Classes(Classes { names: [class], .. }) = predicate else { continue };
            let Some(class) = self.catalog.class(class) else { continue };
            for (path_index, predicate) in predicates.iter().enumerate() {
                let Predicate::Path(path) = predicate else { continue };
                let usable_index = self.find_usable_index(class, path)?;
                let Some(UsableIndex { lookup, is_exact, is_of_class }) = usable_index else { continue };
                let mut index = 0;
                predicates.retain(|_| {
                    let is_implied =
                        (index == class_index && is_of_class) || (index == path_index && is_exact);
                    index += 1;
                    !is_implied
                });
                return Ok(Some(lookup));
            }
        }
        Ok(None)
    }

    /// Finds the index for a path test: the entries of a constraint that `class` or an ancestor declares, and
    /// whose only field is the one at the path. `None` if there is no such constraint, or if its entries
    /// cannot answer the test.
    fn find_usable_index(&self, class: &Arc<Class>, path: &PathTest) -> Result<Option<UsableIndex>> {
        // Only a test for equality with one of some values can use an index, and only at a path of keys.
        let (Some(values), Some(steps)) = (path.equality_values(), steps_as_keys(path.steps())) else {
            return Ok(None);
        };
        // A test for null also holds for an absent value, which has no entry in an index. An object may be
        // another spelling of a reference, and the entry of a reference has the key of the pk.
        if values.iter().any(|value| value.is_null() || value.is_object()) {
            return Ok(None);
        }
        let is_for_path = |fields: &[Vec<String>]| matches!(fields, [field] if *field == steps);
        let position = class.constraints.iter().position(|constraint| is_for_path(&constraint.fields));
        let Some(position) = position else { return Ok(None) };
        let Some(ids) = self.find_constraint_ids(class)? else { return Ok(None) };
        let constraint = &class.constraints[position];
        let is_unique = constraint.kind != ConstraintKind::Index;
        if is_unique && !self.deferred.taken_values.is_empty() {
            // Some records wait for unique values (`taken_values`), so their entries are missing at this
            // point of the write.
            return Ok(None);
        }
        Ok(Some(UsableIndex {
            lookup: IndexLookup {
                constraint: ids[position],
                keys: values.iter().map(|value| index_key(&[value])).collect(),
                is_unique,
                class: Arc::clone(class),
                position,
            },
            // If the index is not exact, the path test also runs on the records that are found. Selects test
            // the shared bucket. An index that is not unique has the values of the shared bucket only. A
            // unique one has those of own buckets, too, and the shared values of their records in addition
            // (`derive_values`): it misses no record, and may find others. For references see
            // `may_index_references`.
            is_exact: !is_unique && !self.may_index_references(constraint),
            // If an ancestor declares the constraint, the index also has entries of its other subclasses.
            is_of_class: constraint.class == class.definition.name,
        }))
    }

    /// Whether the index of a single field may have entries of references. A reference may be written as
    /// `"x"` or `{"pk": "x"}`. The index has one key for both, but a path test with `"x"` holds for the first
    /// only. Each subclass of the class with the index may declare the field anew.
    fn may_index_references(&self, constraint: &Constraint) -> bool {
        let mut classes = self.catalog.with_subclasses(&constraint.class);
        classes.any(|name| {
            self.catalog.class(name).is_some_and(|class| class.is_reference(&constraint.fields[0]))
        })
    }
}

/// An index that a select can use.
struct UsableIndex {
    lookup: IndexLookup,
    /// Whether the lookup finds exactly the records for which the path test holds.
    is_exact: bool,
    /// Whether all records that the lookup finds are of the class of the select.
    is_of_class: bool,
}

/// The pks of which a record must have one, if the predicate is an `any` of nothing but lists of pks.
fn union_of_pks(predicate: &Predicate<'_>) -> Option<Vec<String>> {
    let Predicate::Any(members) = predicate else { return None };
    if members.is_empty() {
        // An empty `any` holds for no record. It stays a predicate, which SQL has as the constant 0.
        return None;
    }
    let mut union = Vec::new();
    for member in members {
        match member {
            Predicate::All(parts) if let [Predicate::Pks(pks)] = &parts[..] => union.extend_from_slice(pks),
            _ => return None,
        }
    }
    Some(union)
}

/// Removes the first predicate that `is_wanted` accepts; `None` if there is none.
fn take_first<'q>(
    predicates: &mut Vec<Predicate<'q>>,
    is_wanted: impl Fn(&Predicate<'_>) -> bool,
) -> Option<Predicate<'q>> {
    predicates.iter().position(is_wanted).map(|index| predicates.remove(index))
}

/// The steps of a path as keys; `None` if a step is the index of an array.
fn steps_as_keys(steps: &[PathStep]) -> Option<Vec<&str>> {
    let mut keys = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            PathStep::Key(key) => keys.push(key.as_str()),
            PathStep::Index(_) => return None,
        }
    }
    Some(keys)
}

/// A part of a filter: `Some(None)` if the filter does not have the part; `None` if the part is an error.
fn part_unless_error<T>(part: Option<&DeferredResult<T>>) -> Option<Option<&T>> {
    part_or_error(part).ok()
}

/// A part of a filter: `None` if the filter does not have the part.
///
/// # Errors
/// The deferred error of the part.
fn part_or_error<T>(part: Option<&DeferredResult<T>>) -> Result<Option<&T>> {
    part.map(|part| part.as_ref().map_err(Clone::clone)).transpose()
}
