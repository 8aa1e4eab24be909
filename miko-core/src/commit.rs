//! The records that a commit has changed.

use crate::record::Record;

/// The changes of one write. A batch that is atomic is one write, and so is an import.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The last number that it was given. Numbers grow from commit to commit, with gaps.
    pub seq: i64,
    /// The records that it has changed, each once, in the order of their first changes.
    pub changes: Vec<RecordChange>,
}

/// The change of one record.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordChange {
    /// The pk of the record.
    pub pk: String,
    /// The record before; `None` if there was no active record.
    pub before: Option<Record>,
    /// The record after; `None` if it was deleted.
    pub after: Option<Record>,
}
