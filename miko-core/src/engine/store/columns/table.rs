//! The records of one class, or all, with their values at some paths.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use miko_rpc::Result;

use super::column::Column;
use crate::query::{PathStep, PathValue};
use crate::storage::ids::{ClassId, ConstraintId, RowId};
use crate::storage::write_set::{IndexEntry, WriteSet};

/// The number of stale rows, besides a quarter of the rows, at which a table is not worth keeping.
const MAX_STALE: usize = 1024;

/// What a value of an index takes besides the positions of its records, in bytes.
const LOOKUP: usize = size_of::<LookupKey>() + size_of::<Vec<u32>>() + 64;

/// The records of a class and its subclasses, or all, in order of creation, and columns of their values.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The class and its subclasses, as far as records use them; `None` for all records.
    classes: Option<Vec<ClassId>>,
    /// Ascending.
    rows: Vec<RowId>,
    /// For each row, whether it is a record of the class now.
    is_present: Vec<bool>,
    /// How many are not.
    removed: usize,
    columns: Vec<(Vec<PathStep>, Column)>,
    /// Rows that were written since they were read. A row may be here twice.
    stale: Vec<RowId>,
    /// The positions of the records that indexes have for single values.
    lookups: HashMap<LookupKey, Vec<u32>, RandomState>,
    /// The number of these positions and values.
    looked_up: usize,
}

/// A value of an index.
type LookupKey = (ConstraintId, String);

/// The state of a stale row: its bucket, if it is a record of the class.
pub(super) type ReadRow<'r> = &'r mut dyn FnMut(RowId) -> Result<Option<String>>;

impl Table {
    /// A table without records.
    pub(super) fn of(classes: Option<Vec<ClassId>>, paths: Vec<Vec<PathStep>>) -> Self {
        let columns = paths.into_iter().map(|path| (path, Column::default())).collect();
        Self { classes, columns, ..Self::default() }
    }

    pub(super) fn rows(&self) -> &[RowId] {
        &self.rows
    }

    /// Whether the row at this position is a record of the class.
    pub(super) fn is_present(&self, position: u32) -> bool {
        self.is_present[position as usize]
    }

    pub(super) fn column(&self, path: &[PathStep]) -> Option<&Column> {
        self.columns.iter().find(|(steps, _)| steps == path).map(|(_, column)| column)
    }

    pub(super) fn has_all(&self, paths: &[Vec<PathStep>]) -> bool {
        paths.iter().all(|path| self.column(path).is_some())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Vec<PathStep>> {
        self.columns.iter().map(|(path, _)| path)
    }

    /// The approximate number of bytes that it takes.
    pub(super) fn size(&self) -> usize {
        let columns: usize = self.columns.iter().map(|(_, column)| column.size()).sum();
        let lookups = self.looked_up * size_of::<u32>() + self.lookups.len() * LOOKUP;
        self.rows.len() * (size_of::<RowId>() + 1) + self.stale.len() * size_of::<RowId>() + columns + lookups
    }

    /// Adds the next record, whose row is behind all others.
    pub(super) fn push(&mut self, row: RowId, bucket: &str) {
        self.rows.push(row);
        self.is_present.push(true);
        for (path, column) in &mut self.columns {
            column.push(PathValue::at(bucket, path));
        }
    }

    /// Notes the rows that a write changes. Returns `false` if the table is not worth keeping.
    pub(super) fn note(&mut self, write: &WriteSet) -> bool {
        self.forget_lookups(write);
        for change in &write.rows {
            if self.may_have(change.key, write) {
                self.stale.push(change.key);
            }
        }
        let limit = MAX_STALE + self.rows.len() / 4;
        if self.stale.len() <= limit {
            return true;
        }
        self.stale.sort_unstable();
        self.stale.dedup();
        self.stale.len() <= limit / 2
    }

    /// Forgets the records of the values of indexes that a write changes.
    fn forget_lookups(&mut self, write: &WriteSet) {
        if self.lookups.is_empty() {
            return;
        }
        for entry in write.removed_entries.iter().chain(&write.added_entries) {
            if let IndexEntry::Indexed { constraint, value, .. } = entry
                && let Some(positions) = self.lookups.remove(&(*constraint, value.clone()))
            {
                self.looked_up -= positions.len();
            }
        }
    }

    /// The positions of the records that an index has for a value. `find` reads their rows, which ascend.
    ///
    /// # Errors
    /// Those of `find`.
    pub(super) fn look_up(
        &mut self,
        constraint: ConstraintId,
        value: &str,
        find: impl FnOnce() -> Result<Vec<RowId>>,
    ) -> Result<&[u32]> {
        if self.looked_up > self.rows.len() {
            self.lookups.clear();
            self.looked_up = 0;
        }
        Ok(match self.lookups.entry((constraint, value.to_owned())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let positions = positions(&self.rows, &find()?);
                self.looked_up += positions.len();
                new.insert(positions)
            }
        })
    }

    /// Whether a row that a write changes was, or may become, a record of the class.
    fn may_have(&self, row: RowId, write: &WriteSet) -> bool {
        let Some(classes) = &self.classes else { return true };
        let is_entry_of_row = |entry: &IndexEntry| match entry {
            IndexEntry::Member { class, row: member } => *member == row && classes.contains(class),
            _ => false,
        };
        write.added_entries.iter().any(is_entry_of_row) || self.rows.binary_search(&row).is_ok()
    }

    /// Reads the stale rows anew. Returns `false` if a record has to be added between others: the table is
    /// to be built anew then.
    ///
    /// # Errors
    /// Those of `read`. The rows stay stale then.
    pub(super) fn refresh(&mut self, read: ReadRow<'_>) -> Result<bool> {
        self.stale.sort_unstable();
        self.stale.dedup();
        for at in 0..self.stale.len() {
            let row = self.stale[at];
            let bucket = read(row)?;
            match (self.rows.binary_search(&row), bucket) {
                (Ok(position), bucket) => self.set(position, bucket.as_deref()),
                (Err(_), None) => {}
                (Err(position), Some(bucket)) if position == self.rows.len() => self.push(row, &bucket),
                (Err(_), Some(_)) => return Ok(false),
            }
        }
        self.stale = Vec::new();
        Ok(true)
    }

    fn set(&mut self, position: usize, bucket: Option<&str>) {
        self.removed -= usize::from(!self.is_present[position]);
        self.removed += usize::from(bucket.is_none());
        self.is_present[position] = bucket.is_some();
        for (path, column) in &mut self.columns {
            let value = bucket.map_or(PathValue::Absent, |bucket| PathValue::at(bucket, path));
            column.set(position, value);
        }
    }

    /// Whether it is mostly rows that are records no longer.
    pub(super) fn is_mostly_removed(&self) -> bool {
        self.removed > MAX_STALE.max(self.rows.len() / 2)
    }
}

/// The positions of those of `found` that are among `rows`. Both ascend.
fn positions(rows: &[RowId], found: &[RowId]) -> Vec<u32> {
    let mut from = 0;
    let mut positions = Vec::with_capacity(found.len());
    for row in found {
        match rows[from..].binary_search(row) {
            Ok(at) => {
                from += at;
                positions.push(from as u32);
            }
            Err(at) => from += at,
        }
    }
    positions
}
