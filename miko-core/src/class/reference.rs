//! References from a bucket to other records and to files.

use serde_json::Value;

/// The setting `on_delete` of a reference: whether the reference is restricting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum OnDelete {
    /// The target may be deleted. The reference then dangles.
    #[default]
    Ignore,
    /// The target cannot be deleted, nor leave the classes that the reference requires.
    Restrict,
}

/// A reference to another record or to a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// The pk of the target.
    pub(crate) target: String,
    /// The target must have one of these classes or a subclass of one. Empty if any class is allowed, and if
    /// `requires_file` is set.
    pub(crate) classes: Vec<String>,
    pub(crate) on_delete: OnDelete,
    /// Whether the target must be a file, or a record that counts as a file by its class (see `uns::FILE`).
    pub(crate) requires_file: bool,
    /// The JSON pointer of the reference in the record.
    pub(crate) pointer: String,
}

/// The pk in a reference, which is a string or an object `{"pk": …}`. `None` for any other value.
pub(super) fn pk_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(pk) => Some(pk),
        Value::Object(map) if map.len() == 1 => map.get("pk")?.as_str(),
        _ => None,
    }
}
