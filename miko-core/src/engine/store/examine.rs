//! Checking a record against its classes before it is written.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::class::{ConstraintKind, Definition, Markers, Purpose, check, check_marked};
use crate::engine::store::Store;
use crate::engine::store::values::facets;
use crate::engine::tables::Tables;
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::query::{Place, stack};
use crate::uns;

impl<T: Tables> Store<T> {
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
        purpose: Purpose,
        place: &Place<'_>,
    ) -> Result<Option<Definition>> {
        let mut faults = Vec::new();
        let markers = Markers::of(extras);
        if self.strict {
            self.check_strictly(stack, &markers, place, &mut faults);
        }
        let mut definition = None;
        // Buckets of single platters, which are few, as they are when they are checked.
        let mut private_buckets = Vec::new();
        let stack_place = Place::Key(place, "stack");
        // The primary class comes last, so that the order of fields is its own.
        for (key, platter) in stack.iter().rev() {
            let Some(class) = platter.get("class").and_then(Value::as_str) else {
                continue;
            };
            let platter_place = Place::Key(&stack_place, key);
            let platter_has_bucket = platter.get("bucket").is_some();
            let mut private = platter.get("bucket").and_then(Value::as_object).cloned();
            let (bucket, place) = match &mut private {
                Some(private) => (private, Place::Key(&platter_place, "bucket")),
                None => (&mut *shared, Place::Key(place, "bucket")),
            };
            if class == uns::CLASS {
                if let Some(fault) =
                    misplaced_definition(platter_has_bucket, definition.is_some(), &platter_place)
                {
                    faults.push(fault);
                    continue;
                }
                Definition::normalize(bucket);
                definition = Definition::read(bucket, place, &mut faults);
            } else if let Some(class) = self.catalog.class(class) {
                if class.is_abstract() {
                    faults.push(abstract_class(&class.definition.name, &Place::Key(&platter_place, "class")));
                }
                check(&self.catalog, class, bucket, (purpose, &markers), &place, &mut faults);
                for constraint in class.constraints.iter().filter(|one| one.kind == ConstraintKind::Join) {
                    if class.key(constraint, bucket).is_none() {
                        let message = format!("every part of `join` is required: {}", constraint.describe());
                        let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
                        faults.push(
                            place.locate(item).with("class", constraint.class.as_str()).with("rule", "join"),
                        );
                    }
                }
            }
            private_buckets.extend(private.map(|bucket| (key.clone(), bucket)));
        }
        for (key, bucket) in private_buckets {
            stack.to_mut()[&key]["bucket"] = bucket.into();
        }
        let bucket_place = Place::Key(place, "bucket");
        check_marked(&self.catalog, shared, (purpose, &markers), &bucket_place, &mut faults);
        Error::check(faults)?;
        Ok(definition)
    }

    /// Notes the classes that are not defined.
    fn check_strictly(
        &self,
        stack: &Map<String, Value>,
        markers: &Markers,
        place: &Place<'_>,
        faults: &mut Vec<ErrorItem>,
    ) {
        for class in stack::classes(stack).into_iter().chain(markers.classes()) {
            let is_known = uns::is_built_in(class) || class == uns::VALUE;
            if !is_known && self.catalog.class(class).is_none() {
                faults.push(undefined(class, place));
            }
        }
    }

    /// Checks that an update leaves alone what `join` declares.
    pub(super) fn check_joins(
        &self,
        before: (&Map<String, Value>, &Map<String, Value>),
        after: (&Map<String, Value>, &Map<String, Value>),
    ) -> Result<()> {
        let mut faults = Vec::new();
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
        Error::check(faults)
    }
}

/// A definition is the bucket of its record, and a record is one definition.
pub(super) fn misplaced_definition(in_platter: bool, second: bool, place: &Place<'_>) -> Option<ErrorItem> {
    let message = match (in_platter, second) {
        (true, _) => "a class definition stands in the bucket of its record, not in that of a platter",
        (_, true) => "a record defines one class: it has one platter of class `puck.uno/class`",
        _ => return None,
    };
    Some(place.locate(ErrorItem::new(ErrorId::VALIDATION_FAILED, message)).with("class", uns::CLASS))
}

fn abstract_class(name: &str, place: &Place<'_>) -> ErrorItem {
    let message = format!("`{name}` is abstract: a record is of one of its subclasses");
    place
        .locate(ErrorItem::new(ErrorId::VALIDATION_FAILED, message))
        .with("class", name)
        .with("rule", "abstract")
}

/// A class is named that is not defined, where only defined ones are allowed.
fn undefined(class: &str, place: &Place<'_>) -> ErrorItem {
    let message =
        format!("`{class}` is not defined, and this database is strict: its records are of defined classes");
    place.locate(ErrorItem::new(ErrorId::CLASS_NOT_FOUND, message)).with("class", class)
}
