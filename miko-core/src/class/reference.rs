//! References: values of a bucket that point at other records.

use serde_json::Value;

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

/// The pk that a reference names: it is a string, or an object `{"pk": …}`.
pub(super) fn pk_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(pk) => Some(pk),
        Value::Object(map) if map.len() == 1 => map.get("pk")?.as_str(),
        _ => None,
    }
}
