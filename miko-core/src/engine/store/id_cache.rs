//! A cache of the ids of classes and constraints.
//!
//! Looking an id up costs as much as a small operation that needs it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::storage::ids::{ClassId, ConstraintId, LastNumbers};

/// Ids that were looked up or given out.
#[derive(Debug, Default)]
pub(super) struct IdCache {
    pub(super) classes: HashMap<String, ClassId, RandomState>,
    /// The ids of the constraints of a class, in the order of the constraints.
    pub(super) constraints: HashMap<String, Arc<[ConstraintId]>, RandomState>,
}

impl IdCache {
    /// Forgets the ids that were given out between `before` and `now`, and those of all constraints: the
    /// constraints of a class may have changed as well.
    pub(super) fn forget_since(&mut self, before: &LastNumbers, now: &LastNumbers) {
        if before.class != now.class {
            self.classes.clear();
        }
        self.forget_constraints();
    }

    /// Forgets the ids of constraints, because the constraints of a class have changed.
    pub(super) fn forget_constraints(&mut self) {
        self.constraints.clear();
    }
}
