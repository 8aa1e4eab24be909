//! Validates a record against its classes: normalizes its buckets, then checks them. A record is validated
//! before it is written; the records of an import are validated after all of them were written. Also checks
//! that an update changes no tuple of a `join`.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Map, Value};

use crate::class::{
    Class, Constraint, ConstraintKind, Definition, Markers, Normalizer, WriteKind, check, check_marked,
};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::{StackAndBucket, facets};
use crate::json;
use crate::stack;
use crate::storage::Storage;
use crate::uns;

/// As [`MAX_BUCKET_DEPTH`](json::MAX_BUCKET_DEPTH), for the own bucket of a platter. The platter, the stack
/// and the record are three more levels: in a worldlet, the whole record must be within the limit.
const MAX_OWN_BUCKET_DEPTH: usize = json::MAX_DEPTH - 3;

impl<T: Storage> Store<T> {
    /// Whether a record with this stack and these extras has anything to validate: a class of the record is
    /// defined, the record is a class definition or has class markers (`custom_classes`), or the database is
    /// strict.
    pub(super) fn needs_examination(&self, stack: &Map<String, Value>, extras: &Map<String, Value>) -> bool {
        self.strict
            || extras.contains_key("custom_classes")
            || stack::any_class(stack, |class| class == uns::CLASS || self.catalog.class(class).is_some())
    }

    /// Normalizes the buckets of a record and validates them against all its classes. `shared` is the shared
    /// bucket. If the record is a class definition, returns the definition.
    ///
    /// # Errors
    /// `validation-failed`, and `class-not-found` in a strict database: an item per fault, each with a JSON
    /// pointer under `place`.
    pub(super) fn examine(
        &self,
        stack: &mut Cow<'_, Map<String, Value>>,
        shared: &mut Map<String, Value>,
        extras: &Map<String, Value>,
        kind: WriteKind,
        place: &Place<'_>,
    ) -> Result<Option<Definition>> {
        let mut faults = FaultList::default();
        let markers = Markers::of(extras);
        if self.strict {
            self.report_undefined_classes(stack, &markers, place, &mut faults);
        }
        // In reverse order, the primary class is the last one. In `normalize` each class orders the fields of
        // its bucket, and the order of the last one stays.
        let mut platters = self.platters(stack);
        if let Some(fault) = self.normalize(&mut platters, shared, (kind, &markers), place) {
            // Some defaults are missing, or nest too deep, so the buckets are not validated.
            faults.push(fault);
            return faults.check().map(|()| None);
        }
        // Whether a definition was read, also if it has faults.
        let mut has_read_definition = false;
        let mut definition = None;
        for platter in &platters {
            platter.with_places(place, |bucket_place, platter_place| {
                let bucket = platter.bucket.as_ref().unwrap_or(shared);
                if platter.class == uns::CLASS {
                    match misplaced_definition(platter.has_bucket_key, has_read_definition, platter_place) {
                        Some(fault) => faults.push(fault),
                        None => {
                            has_read_definition = true;
                            definition = Definition::read(bucket, *bucket_place, &mut faults);
                            // Contradictions are rules that no value can satisfy. An import reports them at
                            // its end, and only for the definitions that are current then.
                            if kind != WriteKind::Import
                                && let Some(definition) = &definition
                            {
                                definition.report_contradictions(bucket_place, &mut faults);
                            }
                        }
                    }
                } else if let Some(class) = platter.defined_class {
                    if class.is_abstract() {
                        let class_place = Place::Key(platter_place, "class");
                        faults.push(abstract_class(&class.definition.name, &class_place));
                    }
                    check(&self.catalog, class, bucket, &markers, bucket_place, &mut faults);
                    report_missing_join_parts(class, bucket, bucket_place, &mut faults);
                }
                if let Some(own) = &platter.bucket {
                    check_marked(&self.catalog, own, &markers, bucket_place, &mut faults);
                }
            });
        }
        let buckets = own_buckets(platters);
        set_own_buckets(stack, buckets);
        let shared_place = Place::Key(place, "bucket");
        check_marked(&self.catalog, shared, &markers, &shared_place, &mut faults);
        faults.check()?;
        Ok(definition)
    }

    /// Normalizes the buckets of a record as [`examine`](Self::examine) does, but does not validate them.
    /// Called before hooks run, since they see the normalized record.
    ///
    /// # Errors
    /// `validation-failed`, if a create adds too many defaults, or defaults that nest too deep. Other writes
    /// add no defaults.
    pub(super) fn normalize_record(
        &self,
        stack: &mut Cow<'_, Map<String, Value>>,
        shared: &mut Map<String, Value>,
        extras: &Map<String, Value>,
        kind: WriteKind,
    ) -> Result<()> {
        if !self.needs_examination(stack, extras) {
            return Ok(());
        }
        let mut platters = self.platters(stack);
        if let Some(fault) = self.normalize(&mut platters, shared, (kind, &Markers::of(extras)), &Place::Root)
        {
            return Err(fault.into());
        }
        let buckets = own_buckets(platters);
        set_own_buckets(stack, buckets);
        Ok(())
    }

    /// The [distinct](stack::distinct_members) platters of a stack, the last one first.
    fn platters<'s>(&'s self, stack: &'s Map<String, Value>) -> Vec<Platter<'s>> {
        let mut platters: Vec<_> =
            stack::distinct_members(stack).filter_map(|(key, platter)| self.platter(key, platter)).collect();
        platters.reverse();
        platters
    }

    /// Normalizes the buckets of a record by all its classes, before any validation.
    ///
    /// A default that one class adds may itself need normalization by another class. All classes are
    /// therefore applied repeatedly until nothing changes. If two classes have a default for the same field,
    /// the class with the longer lineage wins, then the one whose name sorts first; the order of the platters
    /// has no effect.
    ///
    /// For an import, only the class names in class definitions are normalized.
    ///
    /// Returns a fault if too many defaults were added, or defaults that nest too deep.
    fn normalize(
        &self,
        platters: &mut [Platter<'_>],
        shared: &mut Map<String, Value>,
        (kind, markers): (WriteKind, &Markers),
        place: &Place<'_>,
    ) -> Option<ErrorItem> {
        for platter in
            platters.iter_mut().filter(|platter| platter.class == uns::CLASS && !platter.has_bucket_key)
        {
            Definition::normalize(platter.bucket.as_mut().unwrap_or(shared));
        }
        if kind == WriteKind::Import {
            return None;
        }
        let mut classes: Vec<(usize, &Class)> = platters
            .iter()
            .enumerate()
            .filter_map(|(index, platter)| Some((index, platter.defined_class?)))
            .collect();
        classes.sort_by_key(|(_, class)| (Reverse(class.lineage.len()), &class.definition.name));
        let mut normalizer = Normalizer::new(&self.catalog, kind, markers);
        loop {
            for (index, class) in &classes {
                let platter = &mut platters[*index];
                // The bucket is changed while `with_places` borrows the platter, so it is taken out before.
                let mut own = platter.bucket.take();
                platter.with_places(place, |place, _| {
                    normalizer.normalize(class, own.as_mut().unwrap_or(shared), place);
                });
                platter.bucket = own;
            }
            normalizer.normalize_marked(shared, &Place::Key(place, "bucket"));
            if !markers.is_empty() {
                for platter in platters.iter_mut() {
                    let Some(mut own) = platter.bucket.take() else { continue };
                    platter.with_places(place, |place, _| normalizer.normalize_marked(&mut own, place));
                    platter.bucket = Some(own);
                }
            }
            // A single class without markers is applied only once: no other class adds values.
            if !normalizer.take_changed() || (classes.len() < 2 && markers.is_empty()) {
                break;
            }
        }
        for platter in platters {
            if let Some(class) = platter.defined_class {
                class.reorder_fields(platter.bucket.as_mut().unwrap_or(shared));
            }
            if let Some(bucket) = &platter.bucket {
                platter.with_places(place, |place, _| {
                    normalizer.check_nesting(bucket, MAX_OWN_BUCKET_DEPTH, place);
                });
            }
        }
        normalizer.check_nesting(shared, json::MAX_BUCKET_DEPTH, &Place::Key(place, "bucket"));
        normalizer.into_fault()
    }

    /// A platter of a stack, with its class looked up in the catalog; `None` for a member of the stack that
    /// has no class, such as the shadow.
    fn platter<'s>(&'s self, key: &'s str, platter: &'s Value) -> Option<Platter<'s>> {
        let class = platter.get("class")?.as_str()?;
        let defined_class = self.catalog.class(class).map(|class| &**class);
        let bucket = platter.get("bucket");
        let (has_bucket_key, bucket) = (bucket.is_some(), bucket.and_then(Value::as_object).cloned());
        let has_own_bucket = bucket.is_some();
        Some(Platter { key, class, defined_class, has_bucket_key, has_own_bucket, bucket })
    }

    /// Called in a strict database. Adds a fault for each class of the stack or of a marker that is neither
    /// built in nor defined.
    fn report_undefined_classes(
        &self,
        stack: &Map<String, Value>,
        markers: &Markers,
        place: &Place<'_>,
        faults: &mut FaultList,
    ) {
        for class in stack::classes(stack).into_iter().chain(markers.classes()) {
            // Like a built-in class, `puck.uno/value` needs no definition. Unlike a built-in class, it may
            // have one.
            let is_known = uns::is_built_in(class) || class == uns::VALUE;
            if !is_known && self.catalog.class(class).is_none() {
                faults.push(undefined_class(class, place));
            }
        }
    }

    /// Adds a fault for each `join` constraint if an update would remove a tuple of the constraint from the
    /// record. As long as a record is of the class that declares the constraint, or of a subclass, it keeps
    /// the tuples of all its platters of these classes.
    pub(super) fn report_changed_joins(
        &self,
        before: StackAndBucket<'_>,
        after: StackAndBucket<'_>,
        faults: &mut FaultList,
    ) {
        let before = self.join_tuples(before);
        if before.is_empty() {
            return;
        }
        let after = self.join_tuples(after);
        for (constraint, tuples_before) in before {
            // Without an entry, the record has left the class and its subclasses, and may lose its tuples.
            let Some(tuples_after) = after.get(constraint) else { continue };
            if tuples_before.is_subset(tuples_after) {
                continue;
            }
            let message = format!("no update changes what `join` declares: {}", constraint.describe());
            let fields: Vec<String> = constraint.fields.iter().map(|path| path.join(".")).collect();
            faults.push(
                ErrorItem::new(ErrorId::IMMUTABLE_FIELD, message)
                    .with("class", constraint.class.as_str())
                    .with("fields", fields),
            );
        }
    }

    /// The tuples of a record for each `join` constraint of its classes. Several classes of the record may
    /// inherit one constraint.
    fn join_tuples(&self, (stack, bucket): StackAndBucket<'_>) -> BTreeMap<&Constraint, HashSet<String>> {
        let mut tuples: BTreeMap<_, HashSet<String>> = BTreeMap::new();
        for facet in facets(stack, bucket) {
            let Some(class) = self.catalog.class(facet.class) else { continue };
            for constraint in &class.constraints {
                if constraint.kind == ConstraintKind::Join {
                    // Subclasses may declare the fields anew, and so have other keys of equal values.
                    let class = self.catalog.class(&constraint.class).unwrap_or(class);
                    let of_join = tuples.entry(&**constraint).or_default();
                    of_join.extend(class.key(constraint, facet.bucket));
                }
            }
        }
        tuples
    }
}

/// A platter of the record that is being examined.
struct Platter<'s> {
    /// The key of the platter in the stack.
    key: &'s str,
    /// The name of the class.
    class: &'s str,
    /// `None` if the class is not defined.
    defined_class: Option<&'s Class>,
    /// Whether the key `bucket` is present, with a value of any type.
    has_bucket_key: bool,
    /// Whether the platter has an own bucket, which is an object. Stays `true` while `bucket` is taken out
    /// for normalization.
    has_own_bucket: bool,
    /// A copy of the own bucket, which is written back to the stack after normalization. `None` if the
    /// platter has no own bucket, and while the bucket is taken out.
    bucket: Option<Map<String, Value>>,
}

impl Platter<'_> {
    /// Calls `then` with the place of the bucket that the class describes (own or shared), and the place of
    /// the platter. `record` is the place of the record.
    fn with_places(&self, record: &Place<'_>, then: impl FnOnce(&Place<'_>, &Place<'_>)) {
        let stack = Place::Key(record, "stack");
        let platter = Place::Key(&stack, self.key);
        let owner = if self.has_own_bucket { &platter } else { record };
        then(&Place::Key(owner, "bucket"), &platter);
    }
}

/// The own buckets of platters, with the keys of the platters.
fn own_buckets(platters: Vec<Platter<'_>>) -> Vec<(String, Map<String, Value>)> {
    platters.into_iter().filter_map(|platter| Some((platter.key.to_owned(), platter.bucket?))).collect()
}

/// Writes the own buckets of platters back to the stack.
fn set_own_buckets(stack: &mut Cow<'_, Map<String, Value>>, buckets: Vec<(String, Map<String, Value>)>) {
    for (key, bucket) in buckets {
        stack.to_mut()[&key]["bucket"] = bucket.into();
    }
}

/// Adds a fault for each `join` constraint of a class, if the bucket lacks one of the fields of the
/// constraint.
fn report_missing_join_parts(
    class: &Class,
    bucket: &Map<String, Value>,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    let joins = class.constraints.iter().filter(|constraint| constraint.kind == ConstraintKind::Join);
    for constraint in joins {
        if class.key(constraint, bucket).is_none() {
            let message = format!("every part of `join` is required: {}", constraint.describe());
            let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
            faults
                .push(place.with_pointer(item).with("class", constraint.class.as_str()).with("rule", "join"));
        }
    }
}

/// The fault of a class definition in the bucket of a platter (`in_platter`), or the fault of a second
/// platter of class `puck.uno/class` in one record (`is_second`). `None` if neither is the case.
pub(super) fn misplaced_definition(
    in_platter: bool,
    is_second: bool,
    place: &Place<'_>,
) -> Option<ErrorItem> {
    let message = match (in_platter, is_second) {
        (true, _) => "a class definition stands in the bucket of its record, not in that of a platter",
        (_, true) => "a record defines one class: it has one platter of class `puck.uno/class`",
        _ => return None,
    };
    Some(place.with_pointer(ErrorItem::new(ErrorId::VALIDATION_FAILED, message)).with("class", uns::CLASS))
}

fn abstract_class(name: &str, place: &Place<'_>) -> ErrorItem {
    let message = format!("`{name}` is abstract: a record is of one of its subclasses");
    place
        .with_pointer(ErrorItem::new(ErrorId::VALIDATION_FAILED, message))
        .with("class", name)
        .with("rule", "abstract")
}

/// The fault of a class that is not defined, in a strict database.
fn undefined_class(class: &str, place: &Place<'_>) -> ErrorItem {
    let message =
        format!("`{class}` is not defined, and this database is strict: its records are of defined classes");
    place.with_pointer(ErrorItem::new(ErrorId::CLASS_NOT_FOUND, message)).with("class", class)
}
