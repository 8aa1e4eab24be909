//! The records that a commit has changed, for a program that observes the commits of an engine
//! ([`LocalEngine::observe_commits`](crate::LocalEngine::observe_commits)). Subscribers get a
//! [`Change`](crate::Change) instead.

use crate::record::Record;

/// The changes of one write, or of one transaction of a caller. An atomic batch is one write, and so is an
/// import.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The last of the commit numbers that the write gave to the records that it changed. The numbers grow
    /// from commit to commit, with gaps. [`Change::seq`](crate::Change::seq) is this number only for a
    /// database in a SQLite file; other databases add an offset.
    pub seq: i64,
    /// The records that differ from before the write, each once, in the order of their first changes.
    pub changes: Vec<RecordChange>,
}

/// The change of one record.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordChange {
    /// The pk of the record.
    pub pk: String,
    /// The record before the write; `None` if there was no active record.
    pub before: Option<Record>,
    /// The record after the write; `None` if it was deleted.
    pub after: Option<Record>,
}
