//! The log of the changes of commits, for a program that [observes](super::Store::observe_commits) commits,
//! and for subscribers and live queries.
//!
//! A write *owns* its transaction of storage, or *shares* it with other writes
//! ([`transaction`](super::transaction)). Only a write that shares its transaction keeps its write sets.

use std::collections::HashMap;

use crate::commit::{Commit, RecordChange};
use crate::record::Record;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::write_set::{RowChange, WriteSet};

/// Two lists of commits: one for a program that observes commits, and one for subscribers. Live queries count
/// as subscribers here. A list is kept only if it has a reader.
#[derive(Debug, Default)]
pub(super) struct CommitLog {
    /// Whether a program observes commits.
    is_observed: bool,
    /// The commits that the program has not taken yet.
    commits: Vec<Commit>,
    /// For a write that owns its transaction: the most bytes of changed rows that it collects for
    /// subscribers. `None` if no subscriber needs commits. A write that shares its transaction has its write
    /// sets in memory anyway, so all of its changes are logged. The queue of each subscriber has a further
    /// limit.
    max_collected_size: Option<usize>,
    /// The commits that subscribers have not got yet.
    unpublished: Vec<LoggedCommit>,
}

/// A commit as subscribers get it.
#[derive(Debug)]
pub(in crate::engine) struct LoggedCommit {
    /// The last of the commit numbers that the changed records got.
    pub(super) seq: CommitSeq,
    /// The changes, one per row.
    pub(super) changes: Vec<RowChange<RowId, Row>>,
    /// The number of changes that are left out; 0 if `changes` is complete. If it is not 0, `changes` is
    /// empty: the write owned its transaction, and its changes exceeded `max_collected_size`. A row that was
    /// changed twice counts twice.
    pub(super) left_out: u64,
    /// The approximate size of `changes` in bytes.
    pub(super) size: usize,
}

/// The changes of rows of one write, for the log. A write that owns its transaction collects them while it
/// runs: it has no write sets at its end, since storage rolls it back if it fails. The changes of any other
/// write are taken from its write sets at the commit.
#[derive(Debug, Default)]
pub(super) struct ChangedRows {
    /// The changes; empty if they are left out because they are too large.
    rows: Vec<RowChange<RowId, Row>>,
    /// The approximate size in bytes of all changes that were [added](Self::add), also of those left out.
    size: usize,
    /// If the changes are left out: the number of all changes that were added. Otherwise 0.
    left_out: u64,
}

impl CommitLog {
    /// Keeps commits for the program from now on, until it [takes](Self::take) them.
    pub(super) fn observe(&mut self) {
        self.is_observed = true;
    }

    /// Keeps commits for subscribers from now on. A write that owns its transaction collects at most
    /// `max_size` bytes of changes. If an earlier call has set a larger limit, that limit stays.
    pub(super) fn log_commits_up_to(&mut self, max_size: usize) {
        self.max_collected_size = self.max_collected_size.max(Some(max_size));
    }

    /// Keeps no more commits for subscribers.
    pub(super) fn stop_logging(&mut self) {
        self.max_collected_size = None;
        self.unpublished.clear();
    }

    /// Whether commits are kept, for a program or for subscribers.
    pub(super) fn is_kept(&self) -> bool {
        self.is_observed || self.max_collected_size.is_some()
    }

    /// The most bytes of changed rows that a write that owns its transaction collects. No limit if a program
    /// observes commits, since it gets all changes.
    fn max_size(&self) -> usize {
        if self.is_observed { usize::MAX } else { self.max_collected_size.unwrap_or(0) }
    }

    /// Adds the commit of a write, or of a transaction of a caller. `sets` are its write sets, out of which
    /// the changes of rows are taken. Each record that was written has a commit number; `last` is the last of
    /// these numbers.
    pub(super) fn push_sets(&mut self, last: CommitSeq, sets: &mut [WriteSet]) {
        if !self.is_kept() {
            return;
        }
        let rows = match sets {
            [set] => std::mem::take(&mut set.rows),
            sets => sets.iter_mut().flat_map(|set| std::mem::take(&mut set.rows)).collect(),
        };
        self.push_rows(last, ChangedRows { rows, ..ChangedRows::default() });
    }

    /// As [`push_sets`](Self::push_sets), with changes of rows in place of write sets. A write that owned its
    /// transaction has collected them.
    pub(super) fn push_rows(&mut self, last: CommitSeq, changed: ChangedRows) {
        if !self.is_kept() {
            return;
        }
        let ChangedRows { rows: changes, left_out, size: _ } = changed;
        let changes = if changes.len() > 1 { merge_by_row(changes) } else { changes };
        if self.is_observed {
            self.commits.extend(commit_of(last, &changes));
        }
        if self.max_collected_size.is_some() && (left_out > 0 || !changes.is_empty()) {
            let size = changes.iter().map(row_change_size).sum();
            self.unpublished.push(LoggedCommit { seq: last, changes, left_out, size });
        }
    }

    /// Takes the commits for the program since the last call, in order.
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
    /// Adds the changed rows of a write set. As soon as all rows of the write together exceed the limit of
    /// the log, they are dropped, and all further rows of the write are only counted.
    pub(super) fn add(&mut self, rows: Vec<RowChange<RowId, Row>>, log: &CommitLog) {
        self.size = rows.iter().map(row_change_size).fold(self.size, usize::saturating_add);
        if self.left_out > 0 || self.size > log.max_size() {
            let dropped = std::mem::take(&mut self.rows);
            self.left_out += (dropped.len() + rows.len()) as u64;
        } else if self.rows.is_empty() {
            self.rows = rows;
        } else {
            self.rows.extend(rows);
        }
    }
}

/// The approximate size of the change of a row in memory, in bytes.
fn row_change_size(change: &RowChange<RowId, Row>) -> usize {
    let states = change.before.iter().chain(&change.after);
    size_of::<RowChange<RowId, Row>>() + states.map(Row::memory_size).sum::<usize>()
}

/// The commit of a write; `None` if it has changed no record.
fn commit_of(last: CommitSeq, changes: &[RowChange<RowId, Row>]) -> Option<Commit> {
    let changes: Vec<_> = changes.iter().filter_map(record_change).collect();
    (!changes.is_empty()).then_some(Commit { seq: last.0, changes })
}

/// Merges the changes of each row into one: from the state before the first change to the state after the
/// last. The result is in the order of the first changes.
fn merge_by_row(changes: Vec<RowChange<RowId, Row>>) -> Vec<RowChange<RowId, Row>> {
    let mut merged: Vec<RowChange<RowId, Row>> = Vec::with_capacity(changes.len());
    let mut indexes: HashMap<RowId, usize> = HashMap::with_capacity(changes.len());
    for change in changes {
        match indexes.get(&change.key) {
            Some(&index) => merged[index].after = change.after,
            None => {
                indexes.insert(change.key, merged.len());
                merged.push(change);
            }
        }
    }
    merged
}

/// The change of a record; `None` if the record is unchanged, or exists neither before nor after.
fn record_change(change: &RowChange<RowId, Row>) -> Option<RecordChange> {
    let record = |row: &Option<Row>| row.as_ref().and_then(Row::view).map(Record::from);
    let (before, after) = (record(&change.before), record(&change.after));
    let pk = after.as_ref().or(before.as_ref())?.pk.clone();
    (before != after).then_some(RecordChange { pk, before, after })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::row::State;
    use crate::timestamp::Timestamp;

    fn row(number: i64, bucket: &str) -> RowChange<RowId, Row> {
        let state = State { bucket: bucket.to_owned(), stack: "{}".to_owned(), extras: None };
        let row = Row {
            pk: number.to_string(),
            instance_pk: None,
            commit: CommitSeq(number),
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            state: Some(state),
        };
        RowChange::insert(RowId(number), row)
    }

    #[test]
    fn the_rows_of_a_write_are_kept_up_to_the_limit_of_the_log_and_nothing_else_is() {
        let size = row_change_size(&row(0, ""));
        let long = "x".repeat(size);
        let long = long.as_str();
        // The buckets of the rows in each write set of a write; then how many rows are kept, and how many are
        // left out. The limit is the size of three rows with an empty bucket.
        let cases: [(&[&[&str]], usize, u64); 6] = [
            (&[&[][..]; 1000], 0, 0),
            (&[&[], &[""], &[], &["", ""], &[]], 3, 0),
            (&[&["", "", ""]], 3, 0),
            (&[&["", ""], &["", ""], &[]], 0, 4),
            (&[&[""], &[long, ""], &[], &[""]], 0, 4),
            (&[&[long]], 1, 0),
        ];
        for (sets, kept, left_out) in cases {
            let mut log = CommitLog::default();
            log.log_commits_up_to(3 * size);
            let mut changed = ChangedRows::default();
            for buckets in sets {
                changed.add(buckets.iter().map(|bucket| row(1, bucket)).collect(), &log);
            }
            assert_eq!((changed.rows.len(), changed.left_out), (kept, left_out), "{sets:?}");
            assert!(changed.rows.capacity() <= 8, "{sets:?}");
        }
    }
}
