//! Unique values that move from one record to another within a write.
//!
//! A batch may swap the unique values of two records, and a write with `where` may shift the values of many
//! records. A value is taken if another record still has it. A record that is to get a taken value is
//! written without its entry in the unique index, and waits for the value. The entry is written when the
//! other record gives the value up. If records still wait at the end of the write, the write fails.

use std::collections::BTreeMap;

use miko_rpc::{Error, ErrorId, Result};

use crate::diagnostics::FaultList;
use crate::engine::store::Store;
use crate::engine::store::index_entries::StackAndBucket;
use crate::engine::store::pending::{UniqueValue, WaitingRecord};
use crate::engine::store::pending_checks::with_request_index;
use crate::engine::store::stored_json::parse_object;
use crate::storage::Storage;
use crate::storage::ids::{ConstraintId, RowId};
use crate::storage::write_set::{IndexEntry, WriteSet};

impl<T: Storage> Store<T> {
    /// As [`apply_record`](Self::apply_record), in a write in which records may wait for unique values.
    pub(super) fn apply_with_taken_values(
        &mut self,
        mut write: WriteSet,
        id: RowId,
        record: StackAndBucket<'_>,
    ) -> Result<()> {
        let mut freed = Vec::new();
        let mut removed = Vec::with_capacity(write.removed_entries.len());
        for entry in write.removed_entries {
            match entry {
                IndexEntry::Unique { constraint, value, row } => {
                    let unique = (constraint, value);
                    // If the record was still waiting for the value, there is no entry to remove.
                    if !self.stop_waiting(&unique, row) {
                        removed.push(IndexEntry::Unique { constraint, value: unique.1.clone(), row });
                        freed.push(unique);
                    }
                }
                other => removed.push(other),
            }
        }
        write.removed_entries = removed;
        let mut added = Vec::with_capacity(write.added_entries.len());
        for entry in write.added_entries {
            match entry {
                IndexEntry::Unique { constraint, value, row }
                    if self.is_taken(constraint, &value, row)? =>
                {
                    let waiting = WaitingRecord { row, request: self.deferred.request };
                    self.deferred.taken_values.entry((constraint, value)).or_default().push(waiting);
                }
                other => added.push(other),
            }
        }
        write.added_entries = added;
        self.apply_refusing_taken_values(write, id, record)?;
        freed.into_iter().try_for_each(|unique| self.hand_over(unique))
    }

    /// Whether a record other than `row` has this unique value.
    fn is_taken(&self, constraint: ConstraintId, value: &str, row: RowId) -> Result<bool> {
        Ok(self.storage.find_unique(constraint, value)?.is_some_and(|holder| holder != row))
    }

    /// Whether a record has this unique value while another one waits for it.
    pub(super) fn is_awaited(&self, constraint: ConstraintId, value: &str) -> bool {
        let taken_values = &self.deferred.taken_values;
        !taken_values.is_empty() && taken_values.contains_key(&(constraint, value.to_owned()))
    }

    /// Removes the record at `row` from those that wait for a value. Returns whether it was among them.
    fn stop_waiting(&mut self, unique: &UniqueValue, row: RowId) -> bool {
        let Some(waiting) = self.deferred.taken_values.get_mut(unique) else { return false };
        let Some(index) = waiting.iter().position(|record| record.row == row) else { return false };
        waiting.remove(index);
        if waiting.is_empty() {
            self.deferred.taken_values.remove(unique);
        }
        true
    }

    /// Gives a value that has become free to the first record that waits for it. Does nothing if none waits.
    fn hand_over(&mut self, unique: UniqueValue) -> Result<()> {
        let Some(row) = self.deferred.taken_values.get(&unique).map(|waiting| waiting[0].row) else {
            return Ok(());
        };
        self.stop_waiting(&unique, row);
        let (constraint, value) = unique;
        let entry = IndexEntry::Unique { constraint, value, row };
        // There is no conflict: no record has the value now.
        self.apply(WriteSet { added_entries: vec![entry], ..WriteSet::default() }).map(drop)
    }

    /// Checks that no record still waits for a unique value, and forgets those that do. Called at the end of
    /// a write. Also called before a class definition is changed, since the change needs complete unique
    /// indexes.
    ///
    /// # Errors
    /// `unique-violation`: the violations of all records that still wait, each with the pk of its record.
    pub(super) fn check_taken_values(&mut self) -> Result<()> {
        // A record that waits for several values is reported once. The map sorts the rows in order of
        // creation.
        let mut rows = BTreeMap::new();
        for WaitingRecord { row, request } in
            self.deferred.taken_values.drain().flat_map(|(_, waiting)| waiting)
        {
            rows.entry(row).or_insert(request);
        }
        let mut faults = FaultList::default();
        for (id, request) in rows {
            let Some(row) = self.storage.row(id)? else { continue };
            let Some(state) = &row.state else { continue };
            let mut record_faults = FaultList::default();
            self.report_unique_violations(
                Some(id),
                (&parse_object(&state.stack)?, &parse_object(&state.bucket)?),
                &mut record_faults,
            )?;
            faults.append_with(record_faults, |fault| {
                with_request_index(fault.with("pk", row.pk.as_str()), request)
            });
        }
        faults.check()
    }
}

/// The error of an upsert whose key two records have at this point of a batch: one record has the value in
/// the unique index, and the other record waits for the value.
pub(super) fn ambiguous_key_error() -> Error {
    let message = "two records have the key at this point of the batch: move the upsert before the request \
                   that gives it to the second one, or after the request that takes it from one of them";
    Error::new(ErrorId::CONFLICT, message)
}
