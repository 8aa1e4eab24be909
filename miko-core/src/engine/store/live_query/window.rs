//! The window of a live query: the first records that a select finds, kept up to date by the changes of
//! commits.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::store::change_matches::ChangedRecord;
use crate::query::{RecordView, SelectRequest, SortValues, size_of_sort_values};
use crate::storage::ids::RowId;

/// The number of spare records. The window has them behind the result, beyond the offset and the limit of the
/// request. They move up when records leave the result. If more records leave than there are spare records,
/// the select runs again.
pub(super) const SPARE_RECORDS: u64 = 1000;

/// The most records that a commit removes and inserts one by one. Each removal and each insertion shifts the
/// later records in the vector. The changes of a larger commit are made in one pass over the window.
const MAX_SINGLE_CHANGES: usize = 64;

/// A record as the window has it: what is needed to place the record in the order of the select, and to
/// notice that it has changed.
#[derive(Debug)]
pub(super) struct WindowRecord {
    pub(super) row: RowId,
    /// A hash of all that a reader sees of the record, except its pk. The commit number of the row does not
    /// tell whether the record has changed: a merge can change `created_at` and keep the number, and an
    /// import can store an unchanged record with a new number.
    content_hash: u64,
    pub(super) pk: Box<str>,
    sort_values: SortValues,
}

/// The first records that a select finds, or all of them, in the order of the select.
#[derive(Debug)]
pub(super) struct Window {
    records: Vec<Arc<WindowRecord>>,
    /// Marks a position in the order of the select: up to this record, which may have left the window since,
    /// the window has all records that the select finds. Later ones may be missing. `None` if the window has
    /// all records that the select finds.
    boundary: Option<Arc<WindowRecord>>,
    /// The approximate size in bytes.
    size: usize,
}

/// Two values are equal if they are the same state of the same record.
impl PartialEq for WindowRecord {
    fn eq(&self, other: &Self) -> bool {
        (self.row, self.content_hash) == (other.row, other.content_hash)
    }
}

impl Eq for WindowRecord {}

impl WindowRecord {
    pub(super) fn of(row: RowId, record: &ChangedRecord<'_>, select: &SelectRequest) -> Self {
        let (content_hash, pk) = (record.content_hash(), record.pk().into());
        Self { row, content_hash, pk, sort_values: select.sort_values(record) }
    }

    /// Compares by the order of the select, and records with equal sort values by the order of creation.
    fn compare(&self, other: &Self, select: &SelectRequest) -> Ordering {
        select.compare(&self.sort_values, &other.sort_values).then(self.row.cmp(&other.row))
    }

    /// The approximate size in bytes.
    fn size(&self) -> usize {
        let values = size_of_sort_values(&self.sort_values);
        size_of::<Self>() + 2 * size_of::<Arc<Self>>() + self.pk.len() + values
    }
}

impl Window {
    /// The window of the records that a select has found, in the order of the select.
    pub(super) fn of(records: Vec<Arc<WindowRecord>>, select: &SelectRequest) -> Self {
        // If the select has found as many records as its limit allows, there may be more.
        let is_complete = select.limit.is_none_or(|limit| (records.len() as u64) < limit);
        let boundary = if is_complete { None } else { records.last().cloned() };
        let size = records.iter().map(|record| record.size()).sum();
        Self { records, boundary, size }
    }

    /// The result: the records of the window without the first `offset`, at most `limit`.
    pub(super) fn result(&self, offset: usize, limit: Option<usize>) -> &[Arc<WindowRecord>] {
        let rest = self.records.get(offset..).unwrap_or_default();
        limit.and_then(|limit| rest.get(..limit)).unwrap_or(rest)
    }

    /// The approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the window has the first `count` records that the select finds, or all of them if there are
    /// fewer.
    pub(super) fn has_first(&self, count: usize) -> bool {
        self.boundary.is_none() || self.records.len() >= count
    }

    /// Applies the changes of a commit. `removed` has the changed records that matched before the commit, in
    /// their state before it; `added` has the changed records that match after the commit, in their state
    /// after it. A record that matches before and after is in both lists.
    pub(super) fn change(
        &mut self,
        removed: Vec<WindowRecord>,
        added: Vec<WindowRecord>,
        select: &SelectRequest,
    ) {
        if removed.len() + added.len() <= MAX_SINGLE_CHANGES {
            removed.iter().for_each(|record| self.remove(record, select));
            added.into_iter().for_each(|record| self.insert(record, select));
            return;
        }
        let removed: HashSet<RowId> = removed.iter().map(|record| record.row).collect();
        let added = added.into_iter().filter(|record| !self.is_beyond(record, select)).map(Arc::new);
        let added: Vec<_> = added.collect();
        self.records.retain(|record| !removed.contains(&record.row));
        self.records.extend(added);
        // The sort detects runs that are sorted already, which makes it fast: the window is such a run, and
        // so is `added` if the commit has changed records in the order of the select.
        self.records.sort_by(|a, b| a.compare(b, select));
        self.size = self.records.iter().map(|record| record.size()).sum();
    }

    fn remove(&mut self, record: &WindowRecord, select: &SelectRequest) {
        if let Ok(index) = self.position(record, select) {
            self.size -= self.records.remove(index).size();
        }
    }

    fn insert(&mut self, record: WindowRecord, select: &SelectRequest) {
        if self.is_beyond(&record, select) {
            return;
        }
        self.size += record.size();
        match self.position(&record, select) {
            Ok(index) => self.size -= std::mem::replace(&mut self.records[index], Arc::new(record)).size(),
            Err(index) => self.records.insert(index, Arc::new(record)),
        }
    }

    /// Whether a record is beyond the boundary. The window does not take such a record, since it may lack
    /// other records between the boundary and this record.
    fn is_beyond(&self, record: &WindowRecord, select: &SelectRequest) -> bool {
        self.boundary.as_ref().is_some_and(|boundary| record.compare(boundary, select).is_gt())
    }

    /// If the window has more than [`SPARE_RECORDS`] records beyond the limit of the select, drops the
    /// records beyond the limit. The limit already includes spare records. The window may still exceed it:
    /// otherwise records would be dropped at almost each commit.
    pub(super) fn shrink(&mut self, select: &SelectRequest) {
        let Some(limit) = select.limit else { return };
        if self.records.len() as u64 > limit.saturating_add(SPARE_RECORDS) {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            self.size -= self.records.drain(limit..).map(|record| record.size()).sum::<usize>();
            self.boundary = self.records.last().cloned();
        }
    }

    /// The index of a record in the window; `Err` with the index at which to insert it, if it is not there.
    fn position(&self, record: &WindowRecord, select: &SelectRequest) -> Result<usize, usize> {
        self.records.binary_search_by(|other| other.compare(record, select))
    }
}
