//! The log of the changes of commits, for a program that observes them and for subscribers.

use std::collections::HashMap;

use crate::commit::{Commit, RecordChange};
use crate::record::Record;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::write_set::{RowChange, WriteSet};

/// The changes of the commits since they were taken last. Nothing is kept unless a program observes commits,
/// or there are subscribers.
#[derive(Debug, Default)]
pub(super) struct CommitLog {
    /// Whether a program takes commits.
    is_observed: bool,
    commits: Vec<Commit>,
    /// The largest size in bytes of a commit that subscribers may get; `None` without subscribers.
    max_published_size: Option<usize>,
    /// The commits that subscribers have not got yet.
    unpublished: Vec<LoggedCommit>,
}

/// A commit as subscribers get it.
#[derive(Debug)]
pub(super) struct LoggedCommit {
    pub(super) seq: CommitSeq,
    /// The changes of its records, each once.
    pub(super) changes: Vec<RowChange<RowId, Row>>,
    /// How many changes are not kept, because all of them are too large.
    pub(super) left_out: u64,
    /// The approximate size in bytes.
    pub(super) size: usize,
}

/// The rows that a write in a transaction of its own has changed so far, for the log.
#[derive(Debug, Default)]
pub(super) struct ChangedRows {
    sets: Vec<WriteSet>,
    size: usize,
    left_out: u64,
}

impl CommitLog {
    /// Keeps commits from now on, until they are taken.
    pub(super) fn observe(&mut self) {
        self.is_observed = true;
    }

    /// Keeps commits from now on, until they are published: those up to this size at least. The call only
    /// raises the limit of the log.
    pub(super) fn log_commits_up_to(&mut self, max_size: usize) {
        self.max_published_size = self.max_published_size.max(Some(max_size));
    }

    /// Keeps no more commits for subscribers.
    pub(super) fn stop_logging(&mut self) {
        self.max_published_size = None;
        self.unpublished.clear();
    }

    /// Whether anything is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.is_observed || self.max_published_size.is_some()
    }

    /// The most bytes that are worth keeping of one write.
    fn max_size(&self) -> usize {
        if self.is_observed { usize::MAX } else { self.max_published_size.unwrap_or(0) }
    }

    /// Adds the changes of one committed write, which are taken out of its write sets. Each record that it
    /// wrote has a commit number; `last` is that of the last one.
    pub(super) fn push(&mut self, last: CommitSeq, sets: &mut [WriteSet], left_out: u64) {
        if !self.is_kept() {
            return;
        }
        let changes = match sets {
            [set] => std::mem::take(&mut set.rows),
            sets => sets.iter_mut().flat_map(|set| std::mem::take(&mut set.rows)).collect(),
        };
        let changes = if changes.len() > 1 { merged(changes) } else { changes };
        if self.is_observed {
            self.commits.extend(commit_of(last, &changes));
        }
        if self.max_published_size.is_some() && (left_out > 0 || !changes.is_empty()) {
            let size = changes.iter().map(change_size).sum();
            self.unpublished.push(LoggedCommit { seq: last, changes, left_out, size });
        }
    }

    /// Takes the commits since the last call, in order.
    pub(super) fn take(&mut self) -> Vec<Commit> {
        std::mem::take(&mut self.commits)
    }

    /// Whether there are commits for subscribers.
    pub(super) fn has_unpublished(&self) -> bool {
        !self.unpublished.is_empty()
    }

    /// Takes the commits for subscribers since the last call, in order.
    pub(super) fn take_unpublished(&mut self) -> Vec<LoggedCommit> {
        std::mem::take(&mut self.unpublished)
    }
}

impl ChangedRows {
    /// Adds the rows of a write set. Once all are too large for the log, none are kept but their number.
    pub(super) fn add(&mut self, set: WriteSet, log: &CommitLog) {
        let rows = set.rows;
        self.size = rows.iter().map(change_size).fold(self.size, usize::saturating_add);
        if self.left_out == 0 && self.size <= log.max_size() {
            self.sets.push(WriteSet { rows, ..WriteSet::default() });
        } else {
            let kept = self.sets.drain(..).map(|set| set.rows.len()).sum::<usize>();
            self.left_out += (kept + rows.len()) as u64;
        }
    }

    /// The write sets with the rows that were kept, and the number of those that were not.
    pub(super) fn into_parts(self) -> (Vec<WriteSet>, u64) {
        (self.sets, self.left_out)
    }
}

/// The approximate size of a change in memory, in bytes.
fn change_size(change: &RowChange<RowId, Row>) -> usize {
    let states = change.before.iter().chain(&change.after);
    size_of::<RowChange<RowId, Row>>() + states.map(Row::memory_size).sum::<usize>()
}

/// The commit of a write; `None` if it has changed no record.
fn commit_of(last: CommitSeq, changes: &[RowChange<RowId, Row>]) -> Option<Commit> {
    let changes: Vec<_> = changes.iter().filter_map(record_change).collect();
    (!changes.is_empty()).then_some(Commit { seq: last.0, changes })
}

/// One change per row, in the order of the first changes.
fn merged(changes: Vec<RowChange<RowId, Row>>) -> Vec<RowChange<RowId, Row>> {
    let mut merged: Vec<RowChange<RowId, Row>> = Vec::with_capacity(changes.len());
    let mut position: HashMap<RowId, usize> = HashMap::with_capacity(changes.len());
    for change in changes {
        match position.get(&change.key) {
            Some(&index) => merged[index].after = change.after,
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
