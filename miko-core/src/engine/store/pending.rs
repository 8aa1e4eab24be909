//! What the running write has to check before it ends.

use crate::class::Reference;
use crate::storage::ids::RowId;

/// What the running write has to check before it ends.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) references: Vec<Required>,
    /// The pks of deleted records, each with the request that deleted it.
    pub(super) deleted: Vec<(String, Option<usize>)>,
    /// The pks of records that left a class, each with the request that changed it.
    pub(super) reclassed: Vec<(String, Option<usize>)>,
    /// The running request of a batch.
    pub(super) request: Option<usize>,
}

impl Pending {
    /// Says which request of a batch runs from now on.
    pub(super) fn begin_request(&mut self, index: usize) {
        self.request = Some(index);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.references.is_empty() && self.deleted.is_empty() && self.reclassed.is_empty()
    }

    /// Whether other requests of the same write may still create what this one refers to.
    pub(super) fn is_in_batch(&self) -> bool {
        self.request.is_some()
    }
}

/// A reference whose target has to exist.
#[derive(Debug)]
pub(super) struct Required {
    pub(super) row: RowId,
    pub(super) class: String,
    pub(super) reference: Reference,
    pub(super) request: Option<usize>,
}
