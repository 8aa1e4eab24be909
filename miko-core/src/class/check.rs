//! Checking a bucket against a class, and putting it into the form in which it is stored.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::catalog::{Catalog, Class};
use super::field::{Field, Hash, Kind};
use super::markers::Markers;
use super::value;
use crate::error::{ErrorId, ErrorItem};
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

/// Checks `bucket` against `class`, normalizes it and notes every fault, by JSON pointer under `place`.
pub(crate) fn check(
    catalog: &Catalog,
    class: &Class,
    bucket: &mut Map<String, Value>,
    (purpose, markers): (Purpose, &Markers),
    place: &Place<'_>,
    faults: &mut Vec<ErrorItem>,
) {
    let mut checker = Checker::of(catalog, &class.definition.name, (purpose, markers), faults);
    checker.fields(&class.fields, bucket, place);
    if purpose != Purpose::Import {
        put_in_order(&class.fields, bucket);
    }
}

/// How deep objects of classes, hashes and arrays may nest in a bucket that is checked. A bucket that came in a request is
/// less deep; one that is filled with defaults of defaults might have no end.
const MAX_LEVELS: usize = json::MAX_DEPTH - 2;

/// How many values defaults may add to a record: each may bring others with it.
const MAX_DEFAULTS: usize = 10_000;

/// A bucket, or a part of it, being checked.
pub(super) struct Checker<'c> {
    pub(super) catalog: &'c Catalog,
    /// The class that declares what is checked.
    pub(super) class: &'c str,
    pub(super) purpose: Purpose,
    pub(super) faults: &'c mut Vec<ErrorItem>,
    markers: &'c Markers,
    /// How many levels may follow.
    levels: usize,
    /// How many defaults may follow.
    defaults: usize,
}

impl<'c> Checker<'c> {
    pub(super) fn of(
        catalog: &'c Catalog,
        class: &'c str,
        (purpose, markers): (Purpose, &'c Markers),
        faults: &'c mut Vec<ErrorItem>,
    ) -> Self {
        let (levels, defaults) = (MAX_LEVELS, MAX_DEFAULTS);
        Self { catalog, class, purpose, faults, markers, levels, defaults }
    }

    /// Checks an object of a class.
    pub(super) fn object(&mut self, class: &'c Class, object: &mut Map<String, Value>, place: &Place<'_>) {
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

    /// Checks an object whose keys are fields. Keys that no field declares are kept as they are.
    pub(super) fn fields(
        &mut self,
        fields: &[(String, Field)],
        bucket: &mut Map<String, Value>,
        place: &Place<'_>,
    ) {
        for (name, field) in fields {
            if self.purpose == Purpose::Create
                && self.defaults > 0
                && let Some(initial) = initial_value(field)
                && members::get(bucket, name).is_none()
            {
                self.defaults -= 1;
                if self.defaults == 0 {
                    let message = format!(
                        "the defaults of its classes add more than {MAX_DEFAULTS} values to the record"
                    );
                    self.faults.push(self.fault(place, "default", message));
                }
                bucket.insert(name.clone(), initial.into_owned());
            }
            let place = Place::Key(place, name);
            match members::get_mut(bucket, name) {
                Some(value) if !value.is_null() => self.value(field, value, &place),
                found if field.required => {
                    let found = if found.is_some() { "null" } else { "absent" };
                    let fault = self.fault(&place, "required", format!("`{name}` is required"));
                    self.faults.push(fault.with("found", found));
                }
                _ => {}
            }
        }
    }

    /// Checks a value that is not null.
    pub(super) fn value(&mut self, field: &Field, value: &mut Value, place: &Place<'_>) {
        if self.levels == 0 {
            let message = format!("the value nests deeper than {MAX_LEVELS} levels, defaults included");
            return self.faults.push(self.fault(place, "depth", message));
        }
        self.levels -= 1;
        self.value_within(field, value, place);
        self.levels += 1;
    }

    fn value_within(&mut self, field: &Field, value: &mut Value, place: &Place<'_>) {
        if let (Kind::Text(text), Value::String(string)) = (&field.kind, &mut *value)
            && text.collapse
            && self.purpose != Purpose::Import
        {
            *string = value::collapsed(string);
        }
        value::check(self, &field.kind, value, place);
        if let Some(allowed) = &field.one_of
            && !allowed.iter().any(|allowed| json::equal(allowed, value))
        {
            let fault = self.fault(place, "one_of", "this value is not one of those that are allowed");
            self.faults.push(fault.with("allowed", allowed.clone()).with("found", value::shown(value)));
        }
    }

    /// Checks the keys of a hash, by their own definitions or by that of its elements.
    pub(super) fn hash(&mut self, hash: &Hash, map: &mut Map<String, Value>, place: &Place<'_>) {
        self.fields(&hash.fields, map, place);
        if let Some(of) = &hash.elements.of {
            for (key, value) in map {
                let declared = hash.fields.iter().any(|(name, _)| name == key);
                if !declared && !value.is_null() {
                    self.value(of, value, &Place::Key(place, key));
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

/// What a field that is left out begins with.
fn initial_value(field: &Field) -> Option<Cow<'_, Value>> {
    match &field.kind {
        Kind::Hash(hash) if hash.instantiate && field.default.is_none() => {
            Some(Cow::Owned(Value::Object(Map::new())))
        }
        _ => field.default.as_ref().map(Cow::Borrowed),
    }
}

/// Puts declared fields first, in the order of their class; the others follow as they came.
fn put_in_order(fields: &[(String, Field)], bucket: &mut Map<String, Value>) {
    if is_in_order(fields, bucket) {
        return;
    }
    let mut rest = std::mem::take(bucket);
    for (name, _) in fields {
        if let Some((name, value)) = rest.shift_remove_entry(name) {
            bucket.insert(name, value);
        }
    }
    bucket.extend(rest);
}

/// Most buckets come in order, since they were made by the same code again and again.
fn is_in_order(fields: &[(String, Field)], bucket: &Map<String, Value>) -> bool {
    let mut declared = fields.iter();
    let others = bucket.keys().position(|key| !declared.any(|(name, _)| name == key));
    // From the first key that is not the next of the fields, none is a field.
    let is_field = |key: &String| fields.iter().any(|(name, _)| name == key);
    others.is_none_or(|from| !bucket.keys().skip(from).any(is_field))
}
