//! Finds the references in a bucket.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::field::{Field, FieldType};
use super::reference::{OnDelete, Reference, pk_of};
use crate::json::pointer::PointerToken;

impl Catalog {
    /// The references in the bucket of a record of this class. `pointer` is the JSON pointer of the bucket.
    pub(crate) fn references(
        &self,
        class: &str,
        bucket: &Map<String, Value>,
        pointer: &str,
    ) -> Vec<Reference> {
        let mut found = Vec::new();
        if let Some(class) = self.class(class) {
            collect(self, &class.fields, bucket, pointer, &mut found);
        }
        found
    }
}

/// Collects the references that `fields` declare, at any depth.
fn collect(
    catalog: &Catalog,
    fields: &[(String, Field)],
    bucket: &Map<String, Value>,
    pointer: &str,
    found: &mut Vec<Reference>,
) {
    for (name, field) in fields {
        if let Some(value) = bucket.get(name) {
            let pointer = format!("{pointer}{}", PointerToken(name));
            collect_from(catalog, field, value, pointer, found);
        }
    }
}

fn collect_from(
    catalog: &Catalog,
    field: &Field,
    value: &Value,
    pointer: String,
    found: &mut Vec<Reference>,
) {
    match (&field.field_type, value) {
        (FieldType::Reference(to), value) => found.extend(pk_of(value).map(|pk| Reference {
            target: pk.to_owned(),
            classes: to.classes.clone(),
            on_delete: to.on_delete,
            is_file: false,
            pointer,
        })),
        (FieldType::File, value) => found.extend(pk_of(value).map(|pk| Reference {
            target: pk.to_owned(),
            classes: Vec::new(),
            on_delete: OnDelete::Restrict,
            is_file: true,
            pointer,
        })),
        // A field of a class has an embedded object, or the pk of a record of the class.
        (FieldType::Class(class), Value::String(pk)) => found.push(Reference {
            target: pk.clone(),
            classes: vec![class.clone()],
            on_delete: OnDelete::Ignore,
            is_file: false,
            pointer,
        }),
        (FieldType::Class(class), Value::Object(embedded)) => {
            if let Some(class) = catalog.class(class) {
                collect(catalog, &class.fields, embedded, &pointer, found);
            }
        }
        (FieldType::Hash(hash), Value::Object(map)) => {
            collect(catalog, &hash.fields, map, &pointer, found);
            if let Some(element_field) = &hash.elements.element_field {
                let others = map.iter().filter(|(key, _)| !hash.fields.iter().any(|(name, _)| name == *key));
                for (key, value) in others {
                    let pointer = format!("{pointer}{}", PointerToken(key));
                    collect_from(catalog, element_field, value, pointer, found);
                }
            }
        }
        (FieldType::Array(elements), Value::Array(items)) => {
            if let Some(element_field) = &elements.element_field {
                for (index, item) in items.iter().enumerate() {
                    collect_from(catalog, element_field, item, format!("{pointer}/{index}"), found);
                }
            }
        }
        _ => {}
    }
}
