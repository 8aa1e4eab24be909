//! Validates a normalized bucket against a class.

use serde_json::{Map, Value};

use super::catalog::{Catalog, Class};
use super::field::{Field, FieldType, Fields, HashRules};
use super::markers::Markers;
use super::reference::pk_of;
use super::scalar;
use super::violations::Violations;
use crate::diagnostics::{FaultList, Place, abbreviate};
use crate::json::members;
use crate::timestamp::is_rfc3339;

/// The kind of write for which a bucket is normalized and validated. [`check`] does the same for each kind;
/// normalization and the examination of records do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteKind {
    /// A new record. Absent fields get their defaults, and white space is collapsed.
    Create,
    /// An update of a record; also the create of an upsert with edits, whose defaults were added before the
    /// edits. White space is collapsed, but no defaults are added.
    Update,
    /// A record that is stored already: one of a worldlet, or a definition that an import of a schema has
    /// changed. It stays unchanged: it gets no defaults, and no white space is collapsed. A class definition
    /// is validated without the protocols of its class names (`Definition::normalize`); one of a worldlet is
    /// stored with them.
    Import,
}

/// Validates a normalized bucket, which is at `place`, against all fields of `class`, own and inherited.
pub(crate) fn check(
    catalog: &Catalog,
    class: &Class,
    bucket: &Map<String, Value>,
    markers: &Markers,
    place: &Place<'_>,
    faults: &mut FaultList,
) {
    Checker::of(catalog, &class.definition.name, markers, faults).check_fields(&class.fields, bucket, place);
}

/// Validates a bucket or a part of a bucket. The recursion is bounded: the parser and normalization limit the
/// nesting of a bucket to [`MAX_DEPTH`](crate::json::MAX_DEPTH).
pub(super) struct Checker<'c> {
    catalog: &'c Catalog,
    violations: Violations<'c>,
    markers: &'c Markers,
}

impl<'c> Checker<'c> {
    pub(super) fn of(
        catalog: &'c Catalog,
        class: &'c str,
        markers: &'c Markers,
        faults: &'c mut FaultList,
    ) -> Self {
        Self { catalog, violations: Violations::of(class, faults), markers }
    }

    /// Validates an object against a class. Faults in the object report the name of this class.
    pub(super) fn check_object(&mut self, class: &'c Class, object: &Map<String, Value>, place: &Place<'_>) {
        let outer = std::mem::replace(&mut self.violations.class, &class.definition.name);
        self.check_fields(&class.fields, object, place);
        self.violations.class = outer;
    }

    /// Reports each class that a marker (`custom_classes`) assigns to an object and that is neither the class
    /// `declared` nor one of its subclasses. Returns whether the object is marked.
    fn check_markers(&mut self, declared: &str, object: &Map<String, Value>, place: &Place<'_>) -> bool {
        let classes: Vec<&str> = self.markers.classes_of(object).collect();
        for class in &classes {
            if !self.catalog.is_subclass_of_any(class, &[declared.to_owned()]) {
                let message = format!("the object is marked as `{class}`, and the field holds `{declared}`");
                let fault = self.violations.item(place, "custom_classes", message);
                self.violations.push(fault.with("found", *class).with("allowed", declared));
            }
        }
        !classes.is_empty()
    }

    /// Validates the fields of an object. A key without a field may have any value.
    fn check_fields(&mut self, fields: &Fields, bucket: &Map<String, Value>, place: &Place<'_>) {
        for (name, field) in fields.iter() {
            let place = Place::Key(place, name);
            match members::get(bucket, name) {
                Some(value) => self.check_value(field, value, &place),
                None if field.required => self.report_missing(&place, "absent"),
                None => {}
            }
        }
    }

    /// Validates the value of a field, or an element of an array or a hash. The value may be null.
    pub(super) fn check_value(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        if !value.is_null() {
            self.check_non_null(field, value, place);
        } else if field.required {
            self.report_missing(place, "null");
        }
    }

    /// Reports a required value that is absent or null.
    fn report_missing(&mut self, place: &Place<'_>, found: &str) {
        let message = match place {
            Place::Key(_, name) => format!("`{name}` is required"),
            _ => "every element is required".to_owned(),
        };
        let fault = self.violations.item(place, "required", message);
        self.violations.push(fault.with("found", found));
    }

    /// Validates a value that is not null against the type and the `one_of` of its field.
    fn check_non_null(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        self.check_type(&field.field_type, value, place);
        if let Some(one_of) = &field.one_of
            && !one_of.contains(value)
        {
            let fault =
                self.violations.item(place, "one_of", "this value is not one of those that are allowed");
            // Once the list of faults is full, further faults are only counted. So no allowed values are
            // copied for a further fault.
            self.violations.push(if self.violations.is_full() {
                fault
            } else {
                fault.with("allowed", one_of.values.clone()).with("found", abbreviate(value))
            });
        }
    }

    /// Validates a value that is not null against the type of its field.
    fn check_type(&mut self, field_type: &FieldType, value: &Value, place: &Place<'_>) {
        match (field_type, value) {
            (FieldType::Any | FieldType::Function, _) | (FieldType::Boolean, Value::Bool(_)) => {}
            (FieldType::String(rules), Value::String(text)) => {
                scalar::check_string(&mut self.violations, rules, text, place)
            }
            (FieldType::Number(bounds), Value::Number(number)) => {
                scalar::check_number(&mut self.violations, bounds, number, place)
            }
            (FieldType::Url, Value::String(text)) => {
                if !scalar::is_url(text) {
                    self.violations.push_mismatch(
                        place,
                        "url",
                        "a URL with its protocol, such as https://starfleet.com",
                        value,
                    );
                }
            }
            (FieldType::Timestamp, Value::String(text)) => {
                if !is_rfc3339(text) {
                    let expected = "a timestamp with an offset, such as 2026-04-21T14:32:00Z";
                    self.violations.push_mismatch(place, "timestamp", expected, value);
                }
            }
            (FieldType::Hash(hash), Value::Object(map)) => {
                self.check_hash(hash, map, place);
                scalar::check_count(&mut self.violations, &hash.elements, map.len(), place);
            }
            (FieldType::Array(elements), Value::Array(items)) => {
                scalar::check_count(&mut self.violations, elements, items.len(), place);
                if let Some(element_field) = &elements.element_field {
                    for (index, item) in items.iter().enumerate() {
                        self.check_value(element_field, item, &Place::Index(place, index));
                    }
                }
            }
            // The pk of a target, here and in the next arm. Whether an allowed target has this pk is checked
            // at the end of the write.
            (FieldType::Reference(_) | FieldType::File, found) if pk_of(found).is_some() => {}
            (FieldType::Class(_), Value::String(_)) => {}
            (FieldType::Class(class), Value::Object(embedded)) => {
                // `check_marked` validates a marked object against the class of its marker.
                if !self.check_markers(class, embedded, place)
                    && let Some(class) = self.catalog.class(class)
                {
                    self.check_object(class, embedded, place);
                }
            }
            (field_type, found) => {
                self.violations.push_mismatch(place, "class", expected_type(field_type), found)
            }
        }
    }

    /// Validates the values of a hash: the value of a declared key against the field of that key, any other
    /// value against the definition of the elements.
    fn check_hash(&mut self, hash: &HashRules, map: &Map<String, Value>, place: &Place<'_>) {
        self.check_fields(&hash.fields, map, place);
        if let Some(element_field) = &hash.elements.element_field {
            for (key, value) in map {
                if !hash.fields.contains(key) {
                    self.check_value(element_field, value, &Place::Key(place, key));
                }
            }
        }
    }
}

/// The description of a type in error messages.
fn expected_type(field_type: &FieldType) -> &'static str {
    match field_type {
        FieldType::Any | FieldType::Function => "any value",
        FieldType::String(_) => "a string",
        FieldType::Number(_) => "a number",
        FieldType::Boolean => "a boolean",
        FieldType::Url => "a URL",
        FieldType::Timestamp => "a timestamp",
        FieldType::Hash(_) => "an object",
        FieldType::Array(_) => "an array",
        FieldType::Reference(_) | FieldType::File => "a pk, or {\"pk\": …}",
        FieldType::Class(_) => "an object, or the pk of a record",
    }
}
