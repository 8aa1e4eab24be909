//! Work that a write defers to its end:
//!
//! | work | run by |
//! | --- | --- |
//! | checks of references | [`pending_checks`](super::pending_checks) |
//! | checks of unique values | [`taken_values`](super::taken_values) |
//! | hooks | [`before_save`](super::before_save) |

use std::collections::HashMap;

use crate::class::Reference;
use crate::engine::store::hooks::StoredRows;
use crate::storage::ids::{ConstraintId, RowId};

/// The checks and hooks that the running write has deferred to its end, and the facts that they need.
#[derive(Debug, Default)]
pub(super) struct DeferredWork {
    /// References of written records. The target of each must exist and be of an allowed class.
    pub(super) references: Vec<DeferredReference>,
    /// Deleted records, at which no restricting reference may point.
    pub(super) deleted: Vec<DeferredTarget>,
    /// Records that have left a class. Every restricting reference to such a record must allow a class that
    /// the record has at the end of the write, so the class that was left need not be kept.
    pub(super) left_class: Vec<DeferredTarget>,
    /// Whether a record may be written with a unique value that another record still has. The record then
    /// waits for the value. The end of the write checks that no record still waits.
    pub(super) allows_taken_values: bool,
    /// The unique values that records wait for, each with the waiting records. When a value becomes free, the
    /// first of its waiting records gets it.
    pub(super) taken_values: HashMap<UniqueValue, Vec<WaitingRecord>>,
    /// The smallest id of the rows that the write has stored by [`Store::apply`](super::Store::apply); `None`
    /// if there are none. An import stores all of its rows by `apply`, and checks the rows from this one on.
    pub(super) first_stored_row: Option<RowId>,
    /// The rows for which the hooks run at the end of the write. Boxed, since few writes have any.
    pub(super) stored_rows: Option<Box<StoredRows>>,
    /// The index of the running request in its atomic batch; `None` outside of one. In a batch that is not
    /// atomic each request is a write of its own. A call of `create_many` counts as an atomic batch with a
    /// request per bucket.
    pub(super) request: Option<usize>,
}

/// A unique constraint, and a value in the form in which the index of the constraint has it.
pub(super) type UniqueValue = (ConstraintId, String);

/// A record that waits for a unique value, which another record still has.
#[derive(Debug)]
pub(super) struct WaitingRecord {
    pub(super) row: RowId,
    /// The index of the batch request that wrote the record; `None` outside of a batch.
    pub(super) request: Option<usize>,
}

impl DeferredWork {
    /// Sets the index of the running batch request.
    pub(super) fn begin_request(&mut self, index: usize) {
        self.request = Some(index);
    }

    /// Whether the write has deferred no checks.
    pub(super) fn has_no_checks(&self) -> bool {
        let Self { references, deleted, left_class, taken_values, .. } = self;
        references.is_empty() && deleted.is_empty() && left_class.is_empty() && taken_values.is_empty()
    }

    /// Whether an atomic batch is running. Its later requests may still create the targets of references.
    pub(super) fn is_in_batch(&self) -> bool {
        self.request.is_some()
    }
}

/// A deleted or changed record. The end of the write checks the references to it.
#[derive(Debug)]
pub(super) struct DeferredTarget {
    pub(super) pk: String,
    /// The index of the batch request that deleted or changed the record; `None` outside of a batch.
    pub(super) request: Option<usize>,
}

/// A reference that is checked at the end of the write.
#[derive(Debug)]
pub(super) struct DeferredReference {
    /// The record that contains the reference.
    pub(super) row: RowId,
    /// The class that declares the reference.
    pub(super) class: String,
    pub(super) reference: Reference,
    /// The index of the batch request that wrote the reference; `None` outside of a batch.
    pub(super) request: Option<usize>,
}
