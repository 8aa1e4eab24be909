//! The window of a live query: the first records that a select finds, kept up to date by the changes of
//! commits.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::store::change_matches::ChangedRecord;
use crate::query::{RecordView, SelectRequest, SortValues, size_of_sort_values};
use crate::storage::ids::RowId;

/// The number of spare records: records behind the result, which the window has beyond the offset and the
/// limit of the request. They move up when records leave the result. If more records leave than there are
/// spare records, the select runs again.
pub(super) const SPARE_RECORDS: u64 = 1000;

/// The most records that are removed and inserted singly, each of which shifts the records behind it in the
/// vector. More records are changed in one pass over the window.
const MAX_SINGLE_CHANGES: usize = 64;

/// A record that the select finds.
#[derive(Debug)]
pub(super) struct Found {
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
    found: Vec<Arc<Found>>,
    /// Up to this position in the order of the select, the window has all records that the select finds;
    /// later ones may be missing. The position is that of a record, which may have left the window since.
    /// `None` if the window has all records that the select finds.
    boundary: Option<Arc<Found>>,
    /// The approximate size in bytes.
    size: usize,
}

/// Two values are equal if they are the same state of the same record.
impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        (self.row, self.content_hash) == (other.row, other.content_hash)
    }
}

impl Eq for Found {}

impl Found {
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
    /// The window of the records that a select has found, in the order of the select. If as many were found
    /// as the limit of the select allows, there may be more.
    pub(super) fn of(found: Vec<Arc<Found>>, select: &SelectRequest) -> Self {
        let is_complete = select.limit.is_none_or(|limit| (found.len() as u64) < limit);
        let boundary = if is_complete { None } else { found.last().cloned() };
        let size = found.iter().map(|found| found.size()).sum();
        Self { found, boundary, size }
    }

    /// The result: the records of the window without the first `offset`, at most `limit`.
    pub(super) fn shown(&self, offset: usize, limit: Option<usize>) -> &[Arc<Found>] {
        let rest = self.found.get(offset..).unwrap_or_default();
        limit.and_then(|limit| rest.get(..limit)).unwrap_or(rest)
    }

    /// The approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the window has the first `count` records that the select finds, or all of them if there are
    /// fewer.
    pub(super) fn reaches(&self, count: usize) -> bool {
        self.boundary.is_none() || self.found.len() >= count
    }

    /// Applies the changes of a commit. `removed` has the changed records that matched before the commit, as
    /// they were then; `added` has the changed records that match after the commit, as they are then. A
    /// record that matches before and after is in both.
    pub(super) fn change(&mut self, removed: Vec<Found>, added: Vec<Found>, select: &SelectRequest) {
        if removed.len() + added.len() <= MAX_SINGLE_CHANGES {
            removed.iter().for_each(|found| self.remove(found, select));
            added.into_iter().for_each(|found| self.insert(found, select));
            return;
        }
        let removed: HashSet<RowId> = removed.iter().map(|found| found.row).collect();
        let added = added.into_iter().filter(|found| !self.is_beyond(found, select)).map(Arc::new);
        let added: Vec<_> = added.collect();
        self.found.retain(|found| !removed.contains(&found.row));
        self.found.extend(added);
        // The sort detects runs that are sorted already, which makes it fast: the window is such a run, and
        // so is `added` if the commit has changed records in the order of the select.
        self.found.sort_by(|a, b| a.compare(b, select));
        self.size = self.found.iter().map(|found| found.size()).sum();
    }

    fn remove(&mut self, found: &Found, select: &SelectRequest) {
        if let Ok(index) = self.position(found, select) {
            self.size -= self.found.remove(index).size();
        }
    }

    fn insert(&mut self, found: Found, select: &SelectRequest) {
        if self.is_beyond(&found, select) {
            return;
        }
        self.size += found.size();
        match self.position(&found, select) {
            Ok(index) => self.size -= std::mem::replace(&mut self.found[index], Arc::new(found)).size(),
            Err(index) => self.found.insert(index, Arc::new(found)),
        }
    }

    /// Whether a record is beyond the boundary. The window does not take such a record: others between the
    /// boundary and the record may be missing.
    fn is_beyond(&self, found: &Found, select: &SelectRequest) -> bool {
        self.boundary.as_ref().is_some_and(|boundary| found.compare(boundary, select).is_gt())
    }

    /// If the window has more than [`SPARE_RECORDS`] records beyond the limit of the select, drops the
    /// records beyond the limit. The limit already includes spare records. If no further ones were allowed,
    /// records would be dropped at almost each commit.
    pub(super) fn shrink(&mut self, select: &SelectRequest) {
        let Some(limit) = select.limit else { return };
        if self.found.len() as u64 > limit.saturating_add(SPARE_RECORDS) {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            self.size -= self.found.drain(limit..).map(|found| found.size()).sum::<usize>();
            self.boundary = self.found.last().cloned();
        }
    }

    /// The index of a record in the window; `Err` with the index at which to insert it, if it is not there.
    fn position(&self, found: &Found, select: &SelectRequest) -> Result<usize, usize> {
        self.found.binary_search_by(|other| other.compare(found, select))
    }
}
