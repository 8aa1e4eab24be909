//! References: values of a bucket that point at other records.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::field::{Field, FieldType};
use crate::json::pointer::PointerToken;

/// May the target of a reference be deleted?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnDelete {
    /// Yes: the reference then points at nothing.
    #[default]
    Ignore,
    /// Not while it is pointed at.
    Restrict,
}

/// A value that points at another record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The pk it names.
    pub(crate) target: String,
    /// The classes the target may have; none means any.
    pub(crate) classes: Vec<String>,
    pub(crate) on_delete: OnDelete,
    /// Does it name a file?
    pub(crate) is_file: bool,
    /// Where it stands, as a JSON pointer into the bucket.
    pub(crate) pointer: String,
}

/// All references in a bucket that `fields` declare, at any depth.
pub(super) fn collect(
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
            if let Some(of) = &hash.elements.of {
                let others = map.iter().filter(|(key, _)| !hash.fields.iter().any(|(name, _)| name == *key));
                for (key, value) in others {
                    let pointer = format!("{pointer}{}", PointerToken(key));
                    collect_from(catalog, of, value, pointer, found);
                }
            }
        }
        (FieldType::Array(elements), Value::Array(items)) => {
            if let Some(of) = &elements.of {
                for (index, item) in items.iter().enumerate() {
                    collect_from(catalog, of, item, format!("{pointer}/{index}"), found);
                }
            }
        }
        _ => {}
    }
}

/// The pk that a reference names: it is a string, or an object `{"pk": …}`.
pub(super) fn pk_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(pk) => Some(pk),
        Value::Object(map) if map.len() == 1 => map.get("pk")?.as_str(),
        _ => None,
    }
}
