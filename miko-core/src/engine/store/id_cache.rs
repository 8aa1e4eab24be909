//! A cache of the ids of classes and constraints.
//!
//! Without the cache, looking up an id in storage would cost as much as the rest of a small operation.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::storage::ids::{ClassId, ConstraintId};

/// Ids that were found in storage, or given out by the running write or an earlier one.
#[derive(Debug, Default)]
pub(super) struct IdCache {
    /// The id of each class, by its name.
    pub(super) classes: HashMap<String, ClassId, RandomState>,
    /// The ids of the constraints of each class, by the name of the class: with the inherited constraints, in
    /// the order in which the class has them.
    pub(super) constraints: HashMap<String, Arc<[ConstraintId]>, RandomState>,
}

impl IdCache {
    /// Forgets the ids of the constraints of all classes. Called after a class was redefined: its subclasses
    /// inherit the changed constraints.
    pub(super) fn forget_constraints(&mut self) {
        self.constraints.clear();
    }
}
