//! Work that a write defers to its end: constraint checks, which [`pending_checks`](super::pending_checks)
//! runs, and hooks, which [`before_save`](super::before_save) runs.

use std::collections::HashMap;

use crate::class::Reference;
use crate::engine::store::hooks::StoredRows;
use crate::storage::ids::{ConstraintId, RowId};

/// The checks and hooks that the running write has deferred to its end.
#[derive(Debug, Default)]
pub(super) struct DeferredWork {
    /// References whose targets must exist and be of an allowed class.
    pub(super) references: Vec<DeferredReference>,
    /// The pks of deleted records, each with the index of the batch request that deleted it.
    pub(super) deleted: Vec<(String, Option<usize>)>,
    /// The pks of records that left a class, each with the index of the batch request that changed it.
    pub(super) reclassed: Vec<(String, Option<usize>)>,
    /// Whether a record may be written with a unique value that another one still has. It then waits for the
    /// value. Whether records still wait is checked at the end of the write.
    pub(super) allows_taken_values: bool,
    /// The unique values that records wait for, each with these records. The first one gets the value when it
    /// becomes free.
    pub(super) taken_values: HashMap<UniqueValue, Vec<WaitingRecord>>,
    /// The first of the rows that were stored before their hooks have run. An import checks its records from
    /// there on.
    pub(super) first_stored_row: Option<RowId>,
    /// The rows for which the hooks are to run. Boxed, since few writes have any.
    pub(super) stored_rows: Option<Box<StoredRows>>,
    /// The index of the running batch request; `None` outside of a batch.
    pub(super) request: Option<usize>,
}

/// A constraint, and a value of it as the index has it.
pub(super) type UniqueValue = (ConstraintId, String);

/// A record that waits for a unique value, which another record still has.
#[derive(Debug)]
pub(super) struct WaitingRecord {
    pub(super) row: RowId,
    /// The index of the batch request that wrote the record.
    pub(super) request: Option<usize>,
}

impl DeferredWork {
    /// Sets the index of the running batch request.
    pub(super) fn begin_request(&mut self, index: usize) {
        self.request = Some(index);
    }

    /// Whether no constraint is to be checked.
    pub(super) fn has_no_checks(&self) -> bool {
        let Self { references, deleted, reclassed, taken_values, .. } = self;
        references.is_empty() && deleted.is_empty() && reclassed.is_empty() && taken_values.is_empty()
    }

    /// Whether a batch is running: its later requests may still create the targets of references.
    pub(super) fn is_in_batch(&self) -> bool {
        self.request.is_some()
    }
}

/// A reference that is checked at the end of the write.
#[derive(Debug)]
pub(super) struct DeferredReference {
    /// The record that contains the reference.
    pub(super) row: RowId,
    /// The class that declares the reference.
    pub(super) class: String,
    pub(super) reference: Reference,
    /// The index of the batch request that wrote the reference.
    pub(super) request: Option<usize>,
}
