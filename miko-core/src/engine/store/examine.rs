//! Checking a record against its classes before it is written.

use std::borrow::Cow;
use std::cmp::Reverse;

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Map, Value};

use crate::class::{Class, ConstraintKind, Definition, Markers, Normalizer, WriteKind, check, check_marked};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::facets;
use crate::stack;
use crate::storage::Storage;
use crate::uns;

impl<T: Storage> Store<T> {
    /// Does any class of this stack say something about its records, or anything else about such a record?
    pub(super) fn has_rules(&self, stack: &Map<String, Value>, extras: &Map<String, Value>) -> bool {
        self.strict
            || extras.contains_key("custom_classes")
            || stack::classes(stack)
                .into_iter()
                .any(|class| class == uns::CLASS || self.catalog.class(class).is_some())
    }

    /// Checks a record against all its classes and normalizes its buckets.
    ///
    /// Gives the definition that it is, if it is one.
    ///
    /// # Errors
    /// `validation-failed`, an item per fault, each by JSON pointer under `place`.
    pub(super) fn examine(
        &self,
        stack: &mut Cow<'_, Map<String, Value>>,
        shared: &mut Map<String, Value>,
        extras: &Map<String, Value>,
        purpose: WriteKind,
        place: &Place<'_>,
    ) -> Result<Option<Definition>> {
        let mut faults = FaultList::default();
        let markers = Markers::of(extras);
        if self.strict {
            self.check_strictly(stack, &markers, place, &mut faults);
        }
        // The primary class comes last, so that the order of fields is its own.
        let mut platters: Vec<Platter<'_>> =
            stack.iter().rev().filter_map(|(key, platter)| self.platter(key, platter)).collect();
        faults.extend(self.normalize(&mut platters, shared, (purpose, &markers), place));
        let mut definition = None;
        for platter in &platters {
            platter.at(place, |place, platter_place| {
                let bucket = platter.bucket.as_ref().unwrap_or(shared);
                if platter.class == uns::CLASS {
                    match misplaced_definition(platter.has_bucket, definition.is_some(), platter_place) {
                        Some(fault) => faults.push(fault),
                        None => {
                            definition = Definition::read(bucket, *place, &mut faults);
                            if purpose != WriteKind::Import {
                                let read = definition.iter();
                                read.for_each(|read| read.report_contradictions(place, &mut faults));
                            }
                        }
                    }
                } else if let Some(class) = platter.rules {
                    if class.is_abstract() {
                        let place = Place::Key(platter_place, "class");
                        faults.push(abstract_class(&class.definition.name, &place));
                    }
                    check(&self.catalog, class, bucket, &markers, place, &mut faults);
                    check_join_parts(class, bucket, place, &mut faults);
                }
            });
        }
        let private_buckets: Vec<_> = platters
            .into_iter()
            .filter_map(|platter| Some((platter.key.to_owned(), platter.bucket?)))
            .collect();
        for (key, bucket) in private_buckets {
            stack.to_mut()[&key]["bucket"] = bucket.into();
        }
        let bucket_place = Place::Key(place, "bucket");
        check_marked(&self.catalog, shared, &markers, &bucket_place, &mut faults);
        faults.check()?;
        Ok(definition)
    }

    /// Normalizes the buckets of a record by all its classes, before any of them checks one.
    ///
    /// What one class puts in may be for another to fill or to collapse, so they take turns until nothing
    /// changes. Where two have a default for one field, that of the class with the longer lineage wins, then
    /// that of the first name: the order of the platters decides nothing.
    fn normalize(
        &self,
        platters: &mut [Platter<'_>],
        shared: &mut Map<String, Value>,
        (purpose, markers): (WriteKind, &Markers),
        place: &Place<'_>,
    ) -> Option<ErrorItem> {
        for platter in
            platters.iter_mut().filter(|platter| platter.class == uns::CLASS && !platter.has_bucket)
        {
            Definition::normalize(platter.bucket.as_mut().unwrap_or(shared));
        }
        if purpose == WriteKind::Import {
            return None;
        }
        let mut classes: Vec<(usize, &Class)> = platters
            .iter()
            .enumerate()
            .filter_map(|(index, platter)| Some((index, platter.rules?)))
            .collect();
        classes.sort_by_key(|(_, class)| (Reverse(class.lineage.len()), &class.definition.name));
        let mut normalizer = Normalizer::new(&self.catalog, purpose, markers);
        loop {
            for (index, class) in &classes {
                let platter = &mut platters[*index];
                let mut private = platter.bucket.take();
                platter.at(place, |place, _| {
                    normalizer.normalize(class, private.as_mut().unwrap_or(shared), place);
                });
                platter.bucket = private;
            }
            normalizer.normalize_marked(shared, &Place::Key(place, "bucket"));
            // One class alone is done after one turn.
            if !normalizer.take_changed() || (classes.len() < 2 && markers.is_empty()) {
                break;
            }
        }
        for platter in platters {
            if let Some(class) = platter.rules {
                class.reorder_fields(platter.bucket.as_mut().unwrap_or(shared));
            }
        }
        normalizer.into_fault()
    }

    fn platter<'s>(&'s self, key: &'s str, platter: &'s Value) -> Option<Platter<'s>> {
        let class = platter.get("class")?.as_str()?;
        let rules = self.catalog.class(class).map(|class| &**class);
        let bucket = platter.get("bucket");
        let (has_bucket, bucket) = (bucket.is_some(), bucket.and_then(Value::as_object).cloned());
        Some(Platter { key, class, rules, has_bucket, is_private: bucket.is_some(), bucket })
    }

    /// Notes the classes that are not defined.
    fn check_strictly(
        &self,
        stack: &Map<String, Value>,
        markers: &Markers,
        place: &Place<'_>,
        faults: &mut FaultList,
    ) {
        for class in stack::classes(stack).into_iter().chain(markers.classes()) {
            let is_known = uns::is_built_in(class) || class == uns::VALUE;
            if !is_known && self.catalog.class(class).is_none() {
                faults.push(undefined(class, place));
            }
        }
    }

    /// Notes each change of what `join` declares, which no update may make.
    pub(super) fn note_changed_joins(
        &self,
        before: (&Map<String, Value>, &Map<String, Value>),
        after: (&Map<String, Value>, &Map<String, Value>),
        faults: &mut FaultList,
    ) {
        for old in facets(before.0, before.1) {
            let Some(class) = self.catalog.class(old.class) else { continue };
            for new in facets(after.0, after.1).into_iter().filter(|new| new.class == old.class) {
                for constraint in class.constraints.iter().filter(|one| one.kind == ConstraintKind::Join) {
                    if class.key(constraint, old.bucket) != class.key(constraint, new.bucket) {
                        let message =
                            format!("no update changes what `join` declares: {}", constraint.describe());
                        let fields: Vec<String> =
                            constraint.fields.iter().map(|path| path.join(".")).collect();
                        faults.push(
                            ErrorItem::new(ErrorId::IMMUTABLE_FIELD, message)
                                .with("class", constraint.class.as_str())
                                .with("fields", fields),
                        );
                    }
                }
            }
        }
    }
}

/// A platter that names a class, while its record is examined.
struct Platter<'s> {
    key: &'s str,
    class: &'s str,
    /// The class, if it is defined.
    rules: Option<&'s Class>,
    /// Has it a `bucket` of any kind?
    has_bucket: bool,
    /// Has it a bucket that is its own? This one, which is taken out while its class normalizes it.
    is_private: bool,
    bucket: Option<Map<String, Value>>,
}

impl Platter<'_> {
    /// Calls `then` with the places of the bucket that its class is about and of the platter, in a record at
    /// `record`.
    fn at(&self, record: &Place<'_>, then: impl FnOnce(&Place<'_>, &Place<'_>)) {
        let stack = Place::Key(record, "stack");
        let platter = Place::Key(&stack, self.key);
        let owner = if self.is_private { &platter } else { record };
        then(&Place::Key(owner, "bucket"), &platter);
    }
}

/// Notes the parts of `join` that a bucket lacks.
fn check_join_parts(class: &Class, bucket: &Map<String, Value>, place: &Place<'_>, faults: &mut FaultList) {
    for constraint in class.constraints.iter().filter(|one| one.kind == ConstraintKind::Join) {
        if class.key(constraint, bucket).is_none() {
            let message = format!("every part of `join` is required: {}", constraint.describe());
            let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
            faults
                .push(place.with_pointer(item).with("class", constraint.class.as_str()).with("rule", "join"));
        }
    }
}

/// A definition is the bucket of its record, and a record is one definition.
pub(super) fn misplaced_definition(in_platter: bool, second: bool, place: &Place<'_>) -> Option<ErrorItem> {
    let message = match (in_platter, second) {
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

/// A class is named that is not defined, where only defined ones are allowed.
fn undefined(class: &str, place: &Place<'_>) -> ErrorItem {
    let message =
        format!("`{class}` is not defined, and this database is strict: its records are of defined classes");
    place.with_pointer(ErrorItem::new(ErrorId::CLASS_NOT_FOUND, message)).with("class", class)
}
