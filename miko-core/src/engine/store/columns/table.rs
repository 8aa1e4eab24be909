//! A table: the records of one class and its subclasses, or all records, with their values at some paths.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use miko_rpc::Result;

use super::column::Column;
use super::uses::Path;
use crate::query::{PathStep, PathValue};
use crate::storage::ids::{ClassId, ConstraintId, RowId};
use crate::storage::write_set::{IndexEntry, WriteSet};

/// The most columns of a table.
pub(crate) const MAX_COLUMNS: usize = 32;

/// The list of stale rows, those that were written since the last refresh of the table, may have this many
/// entries, plus one for every four rows of the table. When it exceeds this limit, its duplicates are
/// removed. If it then still exceeds half of the limit, the table is dropped: reading so many rows anew would
/// cost more than the table saves.
const MAX_STALE: usize = 1024;

/// Rows that are no longer records of the class stay in the table up to this number, or up to half of all
/// rows if that is more. Beyond that, a refresh drops them: they take memory, and each scan tests them.
const MAX_REMOVED: usize = 1024;

/// The most records that a refresh may insert before existing rows, as when an older record enters the class.
/// Each insertion moves all later elements of the row vector and of every column.
const MAX_INSERTED: usize = 64;

/// The longest index value, in bytes, whose lookup is cached.
const MAX_LOOKUP_KEY: usize = 256;

/// The bytes that a table takes besides its rows and columns, and that a column takes besides its values.
const OVERHEAD: usize = 256;

/// The bytes that a cached lookup takes besides the text of its value and the positions of its records.
const LOOKUP_OVERHEAD: usize = size_of::<LookupKey>() + size_of::<Vec<u32>>() + 64;

/// The records of a class and its subclasses, or all records, in the order of their row ids, and columns of
/// their values. In this file, if a table has all records, every record counts as a record of "the class".
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The ids of the class and its subclasses; `None` for all records. A class that no record has used has
    /// no id.
    classes: Option<Vec<ClassId>>,
    /// The ids of the rows, ascending. The index of a row is its position.
    rows: Vec<RowId>,
    /// For each row, whether it is a record of the class now.
    is_present: Vec<bool>,
    /// How many rows are not present.
    removed: usize,
    /// In order of their last use, the most recent one at the end.
    columns: Vec<(Path, Column)>,
    /// Rows that were written since the table was built or refreshed. A row may be here twice.
    stale: Vec<RowId>,
    /// Cached lookups: the positions of all records that an index has for a value, by index and value.
    /// Lookups in unique indexes are not cached.
    lookups: HashMap<LookupKey, Vec<u32>, RandomState>,
    /// The approximate size of `lookups` in bytes.
    lookups_size: usize,
    /// The number of records that selects would have examined without the columns.
    avoided_reads: u64,
}

/// A value of an index: the id of the constraint, and the value as an index key.
type LookupKey = (ConstraintId, String);

/// Reads the bucket of a row; `None` if the row has no record of the class.
pub(crate) type ReadRow<'r> = &'r mut dyn FnMut(RowId) -> Result<Option<String>>;

impl Table {
    /// A table without records.
    pub(crate) fn of(classes: Option<Vec<ClassId>>, paths: Vec<Path>) -> Self {
        let columns = paths.into_iter().map(|path| (path, Column::default())).collect();
        Self { classes, columns, ..Self::default() }
    }

    pub(crate) fn rows(&self) -> &[RowId] {
        &self.rows
    }

    /// Whether the row at this position is a record of the class.
    pub(crate) fn is_present(&self, position: u32) -> bool {
        self.is_present[position as usize]
    }

    pub(crate) fn column(&self, path: &[PathStep]) -> Option<&Column> {
        self.columns.iter().find(|(steps, _)| steps == path).map(|(_, column)| column)
    }

    pub(crate) fn has_all(&self, paths: &[Path]) -> bool {
        paths.iter().all(|path| self.column(path).is_some())
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.columns.iter().map(|(path, _)| path)
    }

    /// The number of records that selects would have examined without the columns.
    pub(crate) fn avoided_reads(&self) -> u64 {
        self.avoided_reads
    }

    /// The approximate size in bytes.
    pub(crate) fn size(&self) -> usize {
        let columns: usize = self.columns.iter().map(|(path, column)| path_size(path) + column.size()).sum();
        let rows = self.rows.len() * (size_of::<RowId>() + 1) + self.stale.len() * size_of::<RowId>();
        OVERHEAD + rows + columns + self.lookups_size
    }

    /// Adds a record whose row id is larger than all others.
    pub(crate) fn push(&mut self, row: RowId, bucket: &str) {
        self.insert(self.rows.len(), row, bucket);
    }

    fn insert(&mut self, position: usize, row: RowId, bucket: &str) {
        self.rows.insert(position, row);
        self.is_present.insert(position, true);
        for (path, column) in &mut self.columns {
            column.insert(position, PathValue::at(bucket, path));
        }
    }

    /// Notes that a select has used the columns of `paths`. Without the columns the select would have
    /// examined `avoided_reads` records.
    pub(crate) fn note_use(&mut self, paths: &[Path], avoided_reads: u64) {
        self.avoided_reads = self.avoided_reads.saturating_add(avoided_reads);
        // The sort is stable: the used columns move to the end, and otherwise the order stays.
        self.columns.sort_by_key(|(path, _)| paths.contains(path));
    }

    /// Makes room for `count` more columns: drops those that were used least recently, but none of `needed`.
    pub(crate) fn make_room(&mut self, count: usize, needed: &[Path]) {
        let mut surplus = (self.columns.len() + count).saturating_sub(MAX_COLUMNS);
        self.columns.retain(|(path, _)| {
            let is_dropped = surplus > 0 && !needed.contains(path);
            surplus -= usize::from(is_dropped);
            !is_dropped
        });
    }

    /// Takes over the columns of `built`, a table of the same class that was just built. Returns `false` if
    /// `built` has other records: the caller then drops both tables.
    pub(crate) fn adopt(&mut self, built: Self) -> bool {
        // All rows of `built` are present. To be comparable, this table drops its rows that are not.
        if self.removed > 0 {
            self.compact();
        }
        if self.rows != built.rows {
            return false;
        }
        self.columns.extend(built.columns);
        true
    }

    /// Drops the rows that are no longer records of the class.
    fn compact(&mut self) {
        for (_, column) in &mut self.columns {
            column.retain(&self.is_present);
        }
        let mut is_present = self.is_present.iter();
        self.rows.retain(|_| is_present.next() == Some(&true));
        self.is_present = vec![true; self.rows.len()];
        self.removed = 0;
        self.forget_all_lookups();
    }
}

/// Keeping the table up to date after writes.
impl Table {
    /// Marks the rows that a write changes as stale. Returns `false` if so many rows are stale that the table
    /// is not worth keeping.
    pub(crate) fn mark_stale(&mut self, write: &WriteSet) -> bool {
        self.forget_lookups(write);
        match &self.classes {
            None => self.stale.extend(write.rows.iter().map(|change| change.key)),
            Some(classes) => {
                let rows = write.rows.iter().map(|change| change.key);
                self.stale.extend(rows.filter(|row| self.rows.binary_search(row).is_ok()));
                // A record that enters the class is not in the table yet. Its added membership says that it
                // enters. An import may write this entry in a later write set than the row. A removed
                // membership marks its row as well, which may be stale already.
                let entries = write.removed_entries.iter().chain(&write.added_entries);
                self.stale.extend(entries.filter_map(|entry| match entry {
                    IndexEntry::Member { class, row } if classes.contains(class) => Some(*row),
                    _ => None,
                }));
            }
        }
        let limit = MAX_STALE + self.rows.len() / 4;
        if self.stale.len() <= limit {
            return true;
        }
        self.stale.sort_unstable();
        self.stale.dedup();
        // Half the limit: otherwise each of the next writes might exceed the limit and sort again.
        self.stale.len() <= limit / 2
    }

    /// Reads the stale rows anew. Returns `false` if the table is not worth keeping: more than
    /// [`MAX_INSERTED`] records have to be inserted before others, or the table exceeds `max_size` bytes.
    ///
    /// # Errors
    /// The errors of `read`. The table must be dropped then: it has lost the list of stale rows.
    pub(crate) fn refresh(&mut self, max_size: usize, read: ReadRow<'_>) -> Result<bool> {
        let mut stale = std::mem::take(&mut self.stale);
        stale.sort_unstable();
        stale.dedup();
        let mut inserted = 0;
        for row in stale {
            let bucket = read(row)?;
            match (self.rows.binary_search(&row), bucket) {
                (Ok(position), bucket) => self.set(position, bucket.as_deref()),
                (Err(_), None) => {}
                (Err(position), Some(bucket)) => {
                    if position < self.rows.len() {
                        inserted += 1;
                        // The insertion changes the positions of all later rows.
                        self.forget_all_lookups();
                    }
                    self.insert(position, row, &bucket);
                }
            }
            if inserted > MAX_INSERTED || self.size() > max_size {
                return Ok(false);
            }
        }
        if self.removed > MAX_REMOVED.max(self.rows.len() / 2) {
            self.compact();
        }
        Ok(true)
    }

    /// Sets the values of the row at a position. `bucket` is `None` if the row no longer has a record of the
    /// class.
    fn set(&mut self, position: usize, bucket: Option<&str>) {
        self.removed -= usize::from(!self.is_present[position]);
        self.removed += usize::from(bucket.is_none());
        self.is_present[position] = bucket.is_some();
        for (path, column) in &mut self.columns {
            let value = bucket.map_or(PathValue::Absent, |bucket| PathValue::at(bucket, path));
            column.set(position, value);
        }
    }
}

/// Cached lookups of values in indexes.
impl Table {
    /// The positions in `rows` of the records that an index has for a value. They are from the cached lookup
    /// if there is one. Otherwise `find` reads the row ids of the records, in ascending order. `None` if the
    /// table lacks one of these rows.
    ///
    /// # Errors
    /// The errors of `find`.
    pub(crate) fn look_up(
        &mut self,
        constraint: ConstraintId,
        value: &str,
        find: impl FnOnce() -> Result<Vec<RowId>>,
    ) -> Result<Option<Vec<u32>>> {
        let key = (constraint, value.to_owned());
        if let Some(cached) = self.lookups.get(&key) {
            return Ok(Some(cached.clone()));
        }
        let Some(positions) = positions(&self.rows, &find()?) else { return Ok(None) };
        // A value without records is not cached: looking it up in the index is as fast.
        if !positions.is_empty() && value.len() <= MAX_LOOKUP_KEY {
            // When the cached lookups take more memory than the row ids, all of them are dropped.
            if self.lookups_size > self.rows.len() * size_of::<RowId>() {
                self.forget_all_lookups();
            }
            self.lookups_size += lookup_size(&key, &positions);
            self.lookups.insert(key, positions.clone());
        }
        Ok(Some(positions))
    }

    /// Forgets the lookups of the index values that a write adds or removes.
    fn forget_lookups(&mut self, write: &WriteSet) {
        if self.lookups.is_empty() {
            return;
        }
        for entry in write.removed_entries.iter().chain(&write.added_entries) {
            if let IndexEntry::Indexed { constraint, value, .. } = entry
                && let Some((key, positions)) = self.lookups.remove_entry(&(*constraint, value.clone()))
            {
                self.lookups_size -= lookup_size(&key, &positions);
            }
        }
    }

    fn forget_all_lookups(&mut self) {
        self.lookups.clear();
        self.lookups_size = 0;
    }
}

fn lookup_size((_, value): &LookupKey, positions: &[u32]) -> usize {
    LOOKUP_OVERHEAD + value.len() + size_of_val(positions)
}

fn path_size(path: &[PathStep]) -> usize {
    let steps = path.iter().map(|step| match step {
        PathStep::Key(key) => key.len(),
        PathStep::Index(_) => 0,
    });
    OVERHEAD + size_of_val(path) + steps.sum::<usize>()
}

/// The positions in `rows` of the rows `found`. Both lists ascend. `None` if `rows` lacks a row of `found`.
fn positions(rows: &[RowId], found: &[RowId]) -> Option<Vec<u32>> {
    let mut from = 0;
    let mut positions = Vec::with_capacity(found.len());
    for row in found {
        from += rows[from..].binary_search(row).ok()?;
        // A table within the size limit has fewer than 2^32 records.
        positions.push(from as u32);
    }
    Some(positions)
}
