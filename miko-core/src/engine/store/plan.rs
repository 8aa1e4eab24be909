//! What a select goes through: where its records come from, what is asked of each, and who asks.

use std::sync::Arc;

use serde_json::Value;

use crate::class::{Class, ConstraintKind};
use crate::engine::store::Store;
use crate::engine::tables::Tables;
use crate::error::Result;
use crate::json::key_of;
use crate::query::{Filter, PathStep, PathTest, Resolved, SelectRequest};

/// How a select is answered with the classes as they are defined now.
#[derive(Debug)]
pub(in crate::engine) struct Plan<'q> {
    pub(in crate::engine) source: AccessPath<'q>,
    /// What each record of the source must fulfil: all of these.
    pub(in crate::engine) filter: Vec<Predicate<'q>>,
    /// Why the evaluator has the last word about every record that SQL finds, if it has.
    pub(in crate::engine) residual_filter: Option<&'static str>,
}

/// Where SQLite takes the records from.
#[derive(Debug)]
pub(in crate::engine) enum AccessPath<'q> {
    Everything,
    Pks(&'q [String]),
    /// The members of classes, by number.
    Members(Vec<i64>),
    Index(Lookup),
}

/// What SQL is asked of one record.
#[derive(Debug)]
pub(in crate::engine) enum Predicate<'q> {
    Classes(Classes<'q>),
    Pks(&'q [String]),
    Path(&'q PathTest),
    All(Vec<Predicate<'q>>),
    Any(Vec<Predicate<'q>>),
    Not(Box<Predicate<'q>>),
}

/// Classes of a request.
#[derive(Debug)]
pub(in crate::engine) struct Classes<'q> {
    names: &'q [String],
    /// The numbers of these with all their subclasses, as far as any record has used them.
    pub(in crate::engine) ids: Vec<i64>,
}

/// An index that has the records whose field has one of some values.
#[derive(Debug)]
pub(in crate::engine) struct Lookup {
    pub(in crate::engine) constraint_id: i64,
    pub(in crate::engine) keys: Vec<String>,
    /// Is it the index of a unique value?
    pub(in crate::engine) is_unique: bool,
    /// The class that has it, and its place among the constraints of that.
    class: Arc<Class>,
    index: usize,
    /// Does it have exactly the records for which the path holds?
    is_exact: bool,
    /// Are all its records of the class that is asked for?
    is_of_class: bool,
}

impl Lookup {
    /// The class that declares the index, and its field.
    pub(in crate::engine) fn name(&self) -> String {
        let constraint = &self.class.constraints[self.index];
        format!("{}: {}", constraint.class, Value::from(constraint.fields[0].clone()))
    }
}

/// SQL of more conditions and sort paths than these is nothing that SQLite is made for: it nests an
/// expression for each.
const MOST_PARTS: usize = 250;

impl<T: Tables> Store<T> {
    /// Decides how a select is run: by SQL alone, unless SQL cannot say faithfully what it says.
    pub(in crate::engine) fn plan<'q>(&self, select: &'q SelectRequest) -> Result<Plan<'q>> {
        let (mut filter, residual_filter) = if select.may_fail {
            let why = "a placeholder may turn out to lead nowhere";
            (self.pushdown_predicates(&select.filter)?, Some(why))
        } else if select.size > MOST_PARTS {
            (self.pushdown_predicates(&select.filter)?, Some("it says more than one statement can"))
        } else {
            (self.predicates(&select.filter)?, None)
        };
        let source = self.source(&mut filter)?;
        Ok(Plan { source, filter, residual_filter })
    }

    /// What a record must fulfil before any other part is reached: it may be asked for in advance.
    fn pushdown_predicates<'q>(&self, condition: &'q Filter) -> Result<Vec<Predicate<'q>>> {
        let mut predicates = Vec::new();
        let Some(classes) = certain(condition.classes.as_ref()) else { return Ok(predicates) };
        if let Some(names) = classes {
            predicates.push(self.of_classes(names)?);
        }
        let Some(pks) = certain(condition.pks.as_ref()) else { return Ok(predicates) };
        predicates.extend(pks.map(|pks| Predicate::Pks(pks)));
        let Some(path) = certain(condition.path.as_ref()) else { return Ok(predicates) };
        predicates.extend(path.map(Predicate::Path));
        Ok(predicates)
    }

    /// A condition as predicates that must all hold. None of its places fails.
    fn predicates<'q>(&self, condition: &'q Filter) -> Result<Vec<Predicate<'q>>> {
        let mut own = Vec::new();
        if let Some(names) = known(condition.classes.as_ref())? {
            own.push(self.of_classes(names)?);
        }
        own.extend(known(condition.pks.as_ref())?.map(|pks| Predicate::Pks(pks)));
        own.extend(known(condition.path.as_ref())?.map(Predicate::Path));
        for member in known(condition.all.as_ref())?.into_iter().flatten() {
            own.extend(self.predicates(member.as_ref().map_err(Clone::clone)?)?);
        }
        if let Some(members) = known(condition.any.as_ref())? {
            let one_of = members
                .iter()
                .map(|member| Ok(Predicate::All(self.predicates(member.as_ref().map_err(Clone::clone)?)?)));
            own.push(Predicate::Any(one_of.collect::<Result<_>>()?));
        }
        if known(condition.negated.as_ref())?.is_some_and(|negated| *negated) {
            own = vec![Predicate::Not(Box::new(Predicate::All(own)))];
        }
        if let Some(then) = known(condition.then.as_deref())? {
            own.extend(self.predicates(then)?);
        }
        Ok(own)
    }

    fn of_classes<'q>(&self, names: &'q [String]) -> Result<Predicate<'q>> {
        let mut ids = Vec::new();
        for class in names.iter().flat_map(|class| self.catalog.with_subclasses(class)) {
            ids.extend(self.tables.find_class(class)?);
        }
        if names.len() > 1 {
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(Predicate::Classes(Classes { names, ids }))
    }

    /// Takes the narrowest source out of the predicates that must all hold.
    fn source<'q>(&self, filter: &mut Vec<Predicate<'q>>) -> Result<AccessPath<'q>> {
        // Few records, presumably: each is looked up.
        if let Some(at) = filter.iter().position(|predicate| matches!(predicate, Predicate::Pks(_))) {
            let Predicate::Pks(pks) = filter.remove(at) else { return Ok(AccessPath::Everything) };
            return Ok(AccessPath::Pks(pks));
        }
        if let Some(lookup) = self.take_lookup(filter)? {
            return Ok(AccessPath::Index(lookup));
        }
        let is_classes = |predicate: &Predicate<'_>| matches!(predicate, Predicate::Classes(_));
        match filter.iter().position(is_classes).map(|at| filter.remove(at)) {
            Some(Predicate::Classes(classes)) => Ok(AccessPath::Members(classes.ids)),
            _ => Ok(AccessPath::Everything),
        }
    }

    /// An index of one of the classes for one of the paths; what it says for certain need not be asked again.
    fn take_lookup(&self, filter: &mut Vec<Predicate<'_>>) -> Result<Option<Lookup>> {
        for (of_class, predicate) in filter.iter().enumerate() {
            let Predicate::Classes(Classes { names: [class], .. }) = predicate else { continue };
            let Some(class) = self.catalog.class(class) else { continue };
            for (of_path, predicate) in filter.iter().enumerate() {
                let Predicate::Path(path) = predicate else { continue };
                let Some(lookup) = self.lookup(class, path)? else { continue };
                let mut at = 0;
                filter.retain(|_| {
                    let answered =
                        (at == of_class && lookup.is_of_class) || (at == of_path && lookup.is_exact);
                    at += 1;
                    !answered
                });
                return Ok(Some(lookup));
            }
        }
        Ok(None)
    }

    /// The index of `class` for the path, if it, or an ancestor, declares one. What an index has are values:
    /// an absent one equals null and is in none.
    fn lookup(&self, class: &Arc<Class>, path: &PathTest) -> Result<Option<Lookup>> {
        let (Some(values), Some(steps)) = (path.equality_values(), keys(path.steps())) else {
            return Ok(None);
        };
        if values.iter().any(|value| value.is_null() || value.is_object()) {
            return Ok(None);
        }
        let is_for_path = |fields: &[Vec<String>]| matches!(fields, [field] if *field == steps);
        let index = class.constraints.iter().position(|constraint| is_for_path(&constraint.fields));
        let Some(index) = index else { return Ok(None) };
        let Some(constraint_id) = self.tables.find_constraint(class, index)? else { return Ok(None) };
        let constraint = &class.constraints[index];
        let is_unique = constraint.kind != ConstraintKind::Index;
        Ok(Some(Lookup {
            constraint_id,
            keys: values.iter().map(|value| key_of(&[value])).collect(),
            is_unique,
            class: Arc::clone(class),
            index,
            // A unique value may be that of a platter's own bucket; a reference may be spelled in two ways.
            is_exact: !is_unique && !class.is_reference(&constraint.fields[0]),
            is_of_class: constraint.class == class.definition.name,
        }))
    }
}

/// The steps as keys, if none is an index.
fn keys(steps: &[PathStep]) -> Option<Vec<&str>> {
    let mut keys = Vec::with_capacity(steps.len());
    for step in steps {
        match step {
            PathStep::Key(key) => keys.push(key.as_str()),
            PathStep::Index(_) => return None,
        }
    }
    Some(keys)
}

/// What a place says, if anything: `None` if it may fail.
fn certain<T>(part: Option<&Resolved<T>>) -> Option<Option<&T>> {
    known(part).ok()
}

fn known<T>(part: Option<&Resolved<T>>) -> Result<Option<&T>> {
    part.map(|part| part.as_ref().map_err(Clone::clone)).transpose()
}
