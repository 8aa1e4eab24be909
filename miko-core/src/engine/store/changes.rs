//! The log of what commits have changed, for a program that observes them.

use std::collections::HashMap;

use crate::commit::{Commit, RecordChange};
use crate::record::Record;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::write_set::{RowChange, WriteSet};

/// The commits since [`take`](CommitLog::take) was called. Without an observer nothing is kept.
#[derive(Debug, Default)]
pub(super) struct CommitLog {
    is_observed: bool,
    commits: Vec<Commit>,
}

impl CommitLog {
    /// Keeps commits from now on.
    pub(super) fn observe(&mut self) {
        self.is_observed = true;
    }

    pub(super) fn is_observed(&self) -> bool {
        self.is_observed
    }

    /// Adds the write sets of one committed write. Each record that it wrote has a commit number; `last` is
    /// that of the last one.
    pub(super) fn push(&mut self, last: CommitSeq, sets: Vec<WriteSet>) {
        if self.is_observed {
            self.commits.extend(commit_of(last, sets));
        }
    }

    /// Takes the commits since the last call, in order.
    pub(super) fn take(&mut self) -> Vec<Commit> {
        std::mem::take(&mut self.commits)
    }
}

/// What a write has changed; `None` if it has changed no record.
fn commit_of(last: CommitSeq, sets: Vec<WriteSet>) -> Option<Commit> {
    let rows = merged(sets.into_iter().flat_map(|set| set.rows));
    let changes: Vec<_> = rows.iter().filter_map(record_change).collect();
    (!changes.is_empty()).then_some(Commit { seq: last.0, changes })
}

/// One change per row, in the order of the first changes.
fn merged(changes: impl Iterator<Item = RowChange<RowId, Row>>) -> Vec<RowChange<RowId, Row>> {
    let mut merged: Vec<RowChange<RowId, Row>> = Vec::new();
    let mut position: HashMap<RowId, usize> = HashMap::new();
    for change in changes {
        match position.get(&change.key) {
            Some(&at) => merged[at].after = change.after,
            None => {
                position.insert(change.key, merged.len());
                merged.push(change);
            }
        }
    }
    merged
}

/// The change of a record; `None` if the record is unchanged, or was and is deleted.
fn record_change(change: &RowChange<RowId, Row>) -> Option<RecordChange> {
    let record = |row: &Option<Row>| row.as_ref().and_then(Row::view).map(Record::from);
    let (before, after) = (record(&change.before), record(&change.after));
    let pk = after.as_ref().or(before.as_ref())?.pk.clone();
    (before != after).then_some(RecordChange { pk, before, after })
}
