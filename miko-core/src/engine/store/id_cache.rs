//! A cache of the ids of classes and constraints.
//!
//! Looking an id up costs as much as a small operation that needs it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::storage::ids::{ClassId, ConstraintId};

/// Ids that were looked up or given out.
#[derive(Debug, Default)]
pub(super) struct IdCache {
    pub(super) classes: HashMap<String, ClassId, RandomState>,
    /// The ids of the constraints of a class, in the order of the constraints.
    pub(super) constraints: HashMap<String, Arc<[ConstraintId]>, RandomState>,
}

impl IdCache {
    /// Forgets the ids of constraints, because the constraints of a class have changed.
    pub(super) fn forget_constraints(&mut self) {
        self.constraints.clear();
    }
}
