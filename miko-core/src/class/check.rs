//! Checking a normalized bucket against a class.

use serde_json::{Map, Value};

use super::catalog::{Catalog, Class};
use super::field::{Field, HashRules};
use super::markers::Markers;
use super::value;
use crate::error::{ErrorId, ErrorItem, FaultList};
use crate::json::{self, members};
use crate::query::Place;

/// What a bucket is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new record: defaults stand in for what is left out.
    Create,
    /// A record that is written again.
    Update,
    /// A record that was stored before, elsewhere: it is checked and stays as it is.
    Import,
}

/// Checks a normalized bucket against `class` and notes every fault, by JSON pointer under `place`.
pub(crate) fn check(
    catalog: &Catalog,
    class: &Class,
    bucket: &Map<String, Value>,
    markers: &Markers,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    Checker::of(catalog, &class.definition.name, markers, faults).fields(&class.fields, bucket, place);
}

/// How deep objects of classes, hashes and arrays may nest in a bucket that is checked. A bucket that came in a request is
/// less deep; one that is filled with defaults of defaults might have no end.
pub(super) const MAX_NESTING: usize = json::MAX_DEPTH - 2;

/// A bucket, or a part of it, being checked.
pub(super) struct Checker<'c> {
    pub(super) catalog: &'c Catalog,
    /// The class that declares what is checked.
    pub(super) class: &'c str,
    pub(super) faults: &'c mut FaultList,
    markers: &'c Markers,
    /// How many levels may follow.
    remaining_depth: usize,
}

impl<'c> Checker<'c> {
    pub(super) fn of(
        catalog: &'c Catalog,
        class: &'c str,
        markers: &'c Markers,
        faults: &'c mut FaultList,
    ) -> Self {
        Self { catalog, class, faults, markers, remaining_depth: MAX_NESTING }
    }

    /// Checks an object of a class.
    pub(super) fn object(&mut self, class: &'c Class, object: &Map<String, Value>, place: &Place<'_>) {
        let outer = std::mem::replace(&mut self.class, &class.definition.name);
        self.fields(&class.fields, object, place);
        self.class = outer;
    }

    /// Does a marker say of what class an object is, where one of `declared` is expected? If it is none, that is a fault.
    pub(super) fn is_marked(
        &mut self,
        declared: &str,
        object: &Map<String, Value>,
        place: &Place<'_>,
    ) -> bool {
        let classes: Vec<&str> = self.markers.classes_of(object).collect();
        for class in &classes {
            if !self.catalog.is_one_of(class, &[declared.to_owned()]) {
                let message = format!("the object is marked as `{class}`, and the field holds `{declared}`");
                let fault = self.fault(place, "custom_classes", message);
                self.faults.push(fault.with("found", *class).with("allowed", declared));
            }
        }
        !classes.is_empty()
    }

    /// Checks an object whose keys are fields. Keys that no field declares may hold anything.
    pub(super) fn fields(
        &mut self,
        fields: &[(String, Field)],
        bucket: &Map<String, Value>,
        place: &Place<'_>,
    ) {
        for (name, field) in fields {
            let place = Place::Key(place, name);
            match members::get(bucket, name) {
                Some(value) => self.element(field, value, &place),
                None if field.required => self.refuse_missing(&place, "absent"),
                None => {}
            }
        }
    }

    /// Checks a value that is there: a field, or an element of an array or a hash.
    pub(super) fn element(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        if !value.is_null() {
            self.value(field, value, place);
        } else if field.required {
            self.refuse_missing(place, "null");
        }
    }

    fn refuse_missing(&mut self, place: &Place<'_>, found: &str) {
        let message = match place {
            Place::Key(_, name) => format!("`{name}` is required"),
            _ => "every element is required".to_owned(),
        };
        let fault = self.fault(place, "required", message);
        self.faults.push(fault.with("found", found));
    }

    /// Checks a value that is not null.
    fn value(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        if self.remaining_depth == 0 {
            let message = format!("the value nests deeper than {MAX_NESTING} levels, defaults included");
            return self.faults.push(self.fault(place, "depth", message));
        }
        self.remaining_depth -= 1;
        self.value_within(field, value, place);
        self.remaining_depth += 1;
    }

    fn value_within(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        value::check(self, &field.field_type, value, place);
        if let Some(allowed) = &field.one_of
            && !allowed.iter().any(|allowed| json::equal(allowed, value))
        {
            let fault = self.fault(place, "one_of", "this value is not one of those that are allowed");
            self.faults.push(fault.with("allowed", allowed.clone()).with("found", value::abbreviate(value)));
        }
    }

    /// Checks the keys of a hash, by their own definitions or by that of its elements.
    pub(super) fn hash(&mut self, hash: &HashRules, map: &Map<String, Value>, place: &Place<'_>) {
        self.fields(&hash.fields, map, place);
        if let Some(of) = &hash.elements.of {
            for (key, value) in map {
                let declared = hash.fields.iter().any(|(name, _)| name == key);
                if !declared {
                    self.element(of, value, &Place::Key(place, key));
                }
            }
        }
    }

    /// A value breaks a rule.
    pub(super) fn fault(&self, place: &Place<'_>, rule: &str, message: impl Into<String>) -> ErrorItem {
        let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", self.class);
        place.locate(place.name_field(item)).with("rule", rule)
    }
}
