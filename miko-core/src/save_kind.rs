//! The three ways in which a write saves a record.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a write creates, updates or deletes a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SaveKind {
    /// The record did not exist, or was deleted before.
    Create,
    /// The record exists and changes.
    Update,
    /// The record is deleted.
    Delete,
}

/// As in JSON: `create`, `update` or `delete`.
impl fmt::Display for SaveKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        })
    }
}
