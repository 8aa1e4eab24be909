//! Finds the references in the buckets of a record: in the fields of its classes and in its marked objects.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::field::{Field, FieldType, Fields, HashRules};
use super::markers::Markers;
use super::reference::{OnDelete, Reference, pk_of};
use crate::diagnostics::Place;

/// Collects references, each with the class through whose fields it was found: a class of the record, of a
/// marker, or of an embedded object.
pub(crate) struct ReferenceScan<'c> {
    catalog: &'c Catalog,
    markers: &'c Markers,
    /// The class whose fields are being scanned.
    class: &'c str,
    found: Vec<(String, Reference)>,
    /// The number of scans so far, each by a class of the record or of a marker.
    scan_count: usize,
    /// Whether a reference may have been found twice. A marked object may be scanned by the class of its
    /// marker and by a class of the record. An embedded object may be scanned once for each class of the
    /// record that has a field at its place.
    may_repeat: bool,
}

/// The rule of a field for the targets of its references, as in [`Reference`].
struct TargetRule<'f> {
    classes: &'f [String],
    on_delete: OnDelete,
    requires_file: bool,
}

impl<'c> ReferenceScan<'c> {
    /// A scan of a record with these markers.
    pub(crate) fn of(catalog: &'c Catalog, markers: &'c Markers) -> Self {
        let may_repeat = !markers.is_empty();
        Self { catalog, markers, class: "", found: Vec::new(), scan_count: 0, may_repeat }
    }

    /// Collects the references that a class of the record or of a marker declares, at any depth of the bucket
    /// or marked object at `place`.
    pub(crate) fn scan_class(&mut self, class: &'c str, bucket: &Map<String, Value>, place: &Place<'_>) {
        if let Some(resolved) = self.catalog.class(class).filter(|class| class.holds_references) {
            self.class = class;
            self.scan_count += 1;
            self.scan_fields(&resolved.fields, bucket, place);
        }
    }

    /// Collects the references in each marked object of the bucket at `place`, and in the bucket itself if it
    /// is marked, by the class of each marker.
    pub(crate) fn scan_marked(&mut self, bucket: &Map<String, Value>, place: &Place<'_>) {
        if !self.markers.is_empty() {
            let markers = self.markers;
            markers.visit_marked(bucket, place, &mut |class, object, place| {
                self.scan_class(class, object, place);
            });
        }
    }

    /// The references that were found, each with the class through whose fields it was found. A reference
    /// that several classes declare is returned once for each of these classes.
    pub(crate) fn into_found(mut self) -> Vec<(String, Reference)> {
        if self.may_repeat {
            let mut seen = HashSet::new();
            self.found.retain(|found| seen.insert(found.clone()));
        }
        self.found
    }

    fn scan_fields(&mut self, fields: &Fields, bucket: &Map<String, Value>, place: &Place<'_>) {
        for (name, field) in fields.iter() {
            if let Some(value) = bucket.get(name) {
                self.scan_value(field, value, &Place::Key(place, name));
            }
        }
    }

    fn scan_value(&mut self, field: &Field, value: &Value, place: &Place<'_>) {
        match (&field.field_type, value) {
            (FieldType::Reference(rules), value) => {
                let rule =
                    TargetRule { classes: &rules.classes, on_delete: rules.on_delete, requires_file: false };
                self.push(pk_of(value), rule, place);
            }
            (FieldType::File, value) => {
                let rule = TargetRule { classes: &[], on_delete: OnDelete::Restrict, requires_file: true };
                self.push(pk_of(value), rule, place);
            }
            // A field whose type is a class has an embedded object, or the pk of a record of the class.
            (FieldType::Class(class), Value::String(pk)) => {
                let classes = std::slice::from_ref(class);
                let rule = TargetRule { classes, on_delete: OnDelete::Ignore, requires_file: false };
                self.push(Some(pk), rule, place);
            }
            (FieldType::Class(class), Value::Object(embedded)) => {
                // `scan_marked` scans a marked object by the class of its marker.
                let is_marked = self.markers.classes_of(embedded).next().is_some();
                if !is_marked && let Some(class) = self.catalog.class(class) {
                    self.may_repeat |= self.scan_count > 1;
                    let outer = std::mem::replace(&mut self.class, &class.definition.name);
                    self.scan_fields(&class.fields, embedded, place);
                    self.class = outer;
                }
            }
            (FieldType::Hash(hash), Value::Object(map)) => self.scan_hash(hash, map, place),
            (FieldType::Array(elements), Value::Array(items)) => {
                if let Some(element_field) = &elements.element_field {
                    for (index, item) in items.iter().enumerate() {
                        self.scan_value(element_field, item, &Place::Index(place, index));
                    }
                }
            }
            _ => {}
        }
    }

    fn scan_hash(&mut self, hash: &HashRules, map: &Map<String, Value>, place: &Place<'_>) {
        self.scan_fields(&hash.fields, map, place);
        if let Some(element_field) = &hash.elements.element_field {
            let others = map.iter().filter(|(key, _)| !hash.fields.contains(key));
            for (key, value) in others {
                self.scan_value(element_field, value, &Place::Key(place, key));
            }
        }
    }

    /// Adds the reference to `pk` at `place`. Without a `pk`, the value at `place` is not a reference, and
    /// nothing is added.
    fn push(&mut self, pk: Option<&str>, rule: TargetRule<'_>, place: &Place<'_>) {
        self.found.extend(pk.map(|pk| {
            let TargetRule { classes, on_delete, requires_file } = rule;
            let (target, classes, pointer) = (pk.to_owned(), classes.to_vec(), place.to_string());
            (self.class.to_owned(), Reference { target, classes, on_delete, requires_file, pointer })
        }));
    }
}
