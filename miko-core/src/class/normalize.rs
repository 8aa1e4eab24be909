//! Normalizes a bucket before validation. A create adds defaults and collapses white space, an update only
//! collapses white space, and an import does neither. This module also reorders the fields of a bucket.
//!
//! Before a record is validated, `engine/store/examine.rs` repeats the normalization by all classes of the
//! record until nothing changes, because a default of one class may need normalization by another class. The
//! order of the classes, which is defined there, matters only if several have a default for one field: the
//! first class adds its default.

use std::borrow::Cow;

use miko_rpc::{ErrorId, ErrorItem};
use serde_json::{Map, Value};

use super::catalog::{Catalog, Class};
use super::check::WriteKind;
use super::field::{Field, FieldType, Fields, HashRules};
use super::markers::Markers;
use crate::diagnostics::Place;
use crate::json::{self, members};

/// The number of added defaults at which a write is refused. Without this limit, a short definition could add
/// any number of values: a default that is an object may get defaults itself.
const MAX_DEFAULTS: usize = 10_000;

/// Normalizes the buckets of one record.
pub(crate) struct Normalizer<'c> {
    catalog: &'c Catalog,
    kind: WriteKind,
    markers: &'c Markers,
    /// The class whose fields are being normalized. The fault of too many defaults names it.
    class: &'c str,
    /// The number of levels that normalization may still descend. Without this limit, normalization might not
    /// end: a default may be an object whose class has the same default. A bucket that reaches the limit is
    /// refused by [`check_nesting`](Self::check_nesting).
    remaining_depth: usize,
    /// The number of defaults that may still be added.
    remaining_defaults: usize,
    /// Whether a bucket was changed since the last [`take_changed`](Self::take_changed).
    changed: bool,
    /// Whether an array or an object was added as a default.
    has_added_nesting: bool,
    /// The fault of too many defaults, or of defaults that nest too deep.
    fault: Option<ErrorItem>,
}

impl<'c> Normalizer<'c> {
    pub(crate) fn new(catalog: &'c Catalog, kind: WriteKind, markers: &'c Markers) -> Self {
        let (remaining_depth, remaining_defaults) = (json::MAX_DEPTH, MAX_DEFAULTS);
        Self {
            catalog,
            kind,
            markers,
            class: "",
            remaining_depth,
            remaining_defaults,
            changed: false,
            has_added_nesting: false,
            fault: None,
        }
    }

    /// Normalizes a bucket by a class: adds defaults if this is a create, and collapses white space in fields
    /// with `collapse`. Does nothing for an import.
    pub(crate) fn normalize(&mut self, class: &'c Class, bucket: &mut Map<String, Value>, place: &Place<'_>) {
        if class.normalizes && self.kind != WriteKind::Import {
            self.normalize_object(class, bucket, place);
        }
    }

    /// Normalizes each marked object of a bucket, and the bucket itself if it is marked, by the classes of
    /// its markers. Does nothing for an import.
    pub(crate) fn normalize_marked(&mut self, bucket: &mut Map<String, Value>, place: &Place<'_>) {
        if !self.markers.is_empty() && self.kind != WriteKind::Import {
            self.normalize_marked_object(bucket, place);
        }
    }

    /// Whether a bucket was changed since the last call of this method.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Checks that a normalized bucket nests at most `levels` deep, the bucket itself included. If it nests
    /// deeper, sets `fault`. Only added defaults can be the cause: the depth of the bucket was checked when
    /// its request was read, or after a hook had amended it.
    pub(crate) fn check_nesting(&mut self, bucket: &Map<String, Value>, levels: usize, place: &Place<'_>) {
        if !self.has_added_nesting || self.fault.is_some() {
            return;
        }
        let too_deep = |(_, value): &(&String, &Value)| json::nests_deeper_than(value, levels - 1);
        if let Some((key, _)) = bucket.iter().find(too_deep) {
            let message =
                format!("arrays and objects may nest {levels} deep in this bucket, defaults included");
            let place = Place::Key(place, key);
            let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message);
            self.fault = Some(place.with_pointer(place.with_field(item)).with("rule", "depth"));
        }
    }

    /// Returns the fault if too many defaults were added, or defaults that nest too deep.
    pub(crate) fn into_fault(self) -> Option<ErrorItem> {
        self.fault
    }

    fn normalize_object(&mut self, class: &'c Class, object: &mut Map<String, Value>, place: &Place<'_>) {
        let outer = std::mem::replace(&mut self.class, &class.definition.name);
        self.normalize_fields(&class.fields, object, place);
        self.class = outer;
    }

    fn normalize_fields(&mut self, fields: &Fields, bucket: &mut Map<String, Value>, place: &Place<'_>) {
        for (name, field) in fields.iter() {
            let place = Place::Key(place, name);
            if self.kind == WriteKind::Create
                && self.remaining_defaults > 0
                && let Some(initial) = initial_value(field)
                && members::get(bucket, name).is_none()
            {
                self.count_default(&place);
                self.has_added_nesting |= matches!(*initial, Value::Array(_) | Value::Object(_));
                bucket.insert(name.to_owned(), initial.into_owned());
                self.changed = true;
            }
            if let Some(value) = members::get_mut(bucket, name) {
                self.normalize_value(field, value, &place);
            }
        }
    }

    /// Counts a default that is added at `place`. Sets `fault` when the limit is reached.
    fn count_default(&mut self, place: &Place<'_>) {
        self.remaining_defaults -= 1;
        if self.remaining_defaults == 0 {
            let message =
                format!("the defaults of its classes add {MAX_DEFAULTS} values or more to the record");
            let item = ErrorItem::new(ErrorId::VALIDATION_FAILED, message).with("class", self.class);
            self.fault = Some(place.with_pointer(place.with_field(item)).with("rule", "default"));
        }
    }

    /// Normalizes the value of a field.
    pub(super) fn normalize_value(&mut self, field: &Field, value: &mut Value, place: &Place<'_>) {
        if self.remaining_depth == 0 {
            return;
        }
        self.remaining_depth -= 1;
        match (&field.field_type, value) {
            (FieldType::String(text), Value::String(string)) if text.collapse => {
                let collapsed = collapse_whitespace(string);
                self.changed |= collapsed != *string;
                *string = collapsed;
            }
            (FieldType::Hash(hash), Value::Object(map)) => self.normalize_hash(hash, map, place),
            (FieldType::Array(elements), Value::Array(items)) => {
                if let Some(element_field) =
                    elements.element_field.as_ref().filter(|field| field.normalizes())
                {
                    for (index, item) in items.iter_mut().enumerate() {
                        self.normalize_value(element_field, item, &Place::Index(place, index));
                    }
                }
            }
            (FieldType::Class(class), Value::Object(embedded)) => {
                // `normalize_marked_object` normalizes a marked object by the class of its marker, which is
                // the class of the field or a subclass of it: else `check_markers` refuses the record.
                let is_marked = self.markers.classes_of(embedded).next().is_some();
                if !is_marked && let Some(class) = self.catalog.class(class) {
                    self.normalize_object(class, embedded, place);
                }
            }
            _ => {}
        }
        self.remaining_depth += 1;
    }

    fn normalize_hash(&mut self, hash: &HashRules, map: &mut Map<String, Value>, place: &Place<'_>) {
        self.normalize_fields(&hash.fields, map, place);
        if let Some(element_field) = hash.elements.element_field.as_ref().filter(|field| field.normalizes()) {
            for (key, value) in map {
                if !hash.fields.contains(key) {
                    self.normalize_value(element_field, value, &Place::Key(place, key));
                }
            }
        }
    }

    fn normalize_marked_object(&mut self, object: &mut Map<String, Value>, place: &Place<'_>) {
        let (catalog, markers) = (self.catalog, self.markers);
        let classes: Vec<&Class> = markers
            .classes_of(object)
            .filter_map(|class| catalog.class(class))
            .map(|class| &**class)
            .collect();
        for class in classes {
            self.normalize_object(class, object, place);
        }
        for (key, value) in object {
            self.normalize_marked_value(value, &Place::Key(place, key));
        }
    }

    fn normalize_marked_value(&mut self, value: &mut Value, place: &Place<'_>) {
        if self.remaining_depth == 0 {
            return;
        }
        self.remaining_depth -= 1;
        match value {
            Value::Object(object) => self.normalize_marked_object(object, place),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.normalize_marked_value(item, &Place::Index(place, index));
                }
            }
            _ => {}
        }
        self.remaining_depth += 1;
    }
}

impl Class {
    /// Moves declared fields to the front, in the order of the class. All other members follow, and keep
    /// their order.
    pub(crate) fn reorder_fields(&self, bucket: &mut Map<String, Value>) {
        reorder_fields(&self.fields, bucket);
    }
}

/// The value that a create gives to an absent field: the default, or an empty object if the field is a hash
/// with `instantiate`. `None` if the field stays absent.
fn initial_value(field: &Field) -> Option<Cow<'_, Value>> {
    match &field.field_type {
        FieldType::Hash(hash) if hash.creates_if_absent && field.default.is_none() => {
            Some(Cow::Owned(Value::Object(Map::new())))
        }
        _ => field.default.as_ref().map(Cow::Borrowed),
    }
}

fn reorder_fields(fields: &Fields, bucket: &mut Map<String, Value>) {
    if is_in_order(fields, bucket) {
        return;
    }
    // Values are taken out of their members, not removed: removing a member moves all members after it.
    let mut rest = std::mem::take(bucket);
    for (name, _) in fields.iter() {
        if let Some(value) = rest.get_mut(name) {
            bucket.insert(name.to_owned(), value.take());
        }
    }
    rest.retain(|name, _| !bucket.contains_key(name));
    bucket.extend(rest);
}

/// Whether the fields are in order already, as in most buckets.
fn is_in_order(fields: &Fields, bucket: &Map<String, Value>) -> bool {
    let mut declared = fields.iter();
    let first_mismatch = bucket.keys().position(|key| !declared.any(|(name, _)| name == key));
    // `any` advances `declared`, so this is the index of the first key that is undeclared or out of order.
    // The order is right if this key and all keys after it are undeclared.
    first_mismatch.is_none_or(|index| !bucket.keys().skip(index).any(|key| fields.contains(key)))
}

/// Trims a text, and replaces each run of white space by one space.
fn collapse_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
