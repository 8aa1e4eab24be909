//! The transaction objects of a store, and the state of each.

use std::collections::BTreeMap;

use miko_rpc::{Error, ErrorId, Gate, Result};

use crate::engine::open_limit::too_many_open;
use crate::engine::store::transaction::user_transaction::TransactionId;
use crate::transaction_limits::TransactionLimits;

/// The most transaction objects of a store.
const MAX_OBJECTS: usize = 4096;

/// The transaction objects of a store, by id.
#[derive(Debug, Default)]
pub(super) struct TransactionObjects {
    objects: BTreeMap<TransactionId, ObjectEntry>,
    /// The id that was given out last.
    last: TransactionId,
    pub(super) limits: TransactionLimits,
}

/// What the store knows about a transaction object.
#[derive(Debug)]
pub(super) struct ObjectEntry {
    /// The parent object: the transactions of this object are nested in those of the parent. `None` for a
    /// root.
    parent: Option<TransactionId>,
    pub(super) state: ObjectState,
    /// The gate that a call of the object enters before it waits for the turn to write and opens the
    /// transaction. Meanwhile other calls of the object wait at this gate: at the gate of all writers they
    /// would wait for the end of their own transaction. Nested objects use the gate of their root; their own
    /// gates are not used.
    opening_gate: Gate,
}

/// The state of a transaction object.
#[derive(Debug)]
pub(super) enum ObjectState {
    /// Its next call begins a transaction.
    Idle,
    /// Its transaction is open.
    Open,
    /// Its transaction was rolled back for this reason, and not by a call of the object. The calls of the
    /// object fail with the reason, until one of them rolls the object back.
    Invalidated(Error),
}

impl TransactionObjects {
    /// Adds an idle object, and returns its id.
    ///
    /// # Errors
    /// `storage-full`, if there are too many.
    pub(super) fn add(&mut self, parent: Option<TransactionId>) -> Result<TransactionId> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(too_many_open("transactions", MAX_OBJECTS));
        }
        self.last.0 += 1;
        self.objects
            .insert(self.last, ObjectEntry { parent, state: ObjectState::Idle, opening_gate: Gate::new() });
        Ok(self.last)
    }

    pub(super) fn remove(&mut self, id: TransactionId) {
        self.objects.remove(&id);
    }

    /// Sets the state of objects. Ids of removed objects are ignored.
    pub(super) fn set_states(
        &mut self,
        ids: impl IntoIterator<Item = TransactionId>,
        state: impl Fn() -> ObjectState,
    ) {
        for id in ids {
            if let Some(object) = self.objects.get_mut(&id) {
                object.state = state();
            }
        }
    }

    /// The object with an id.
    ///
    /// # Errors
    /// `transaction-invalidated`, if the object was dropped. Its id then comes from an object that is nested
    /// in it.
    pub(super) fn get(&self, id: TransactionId) -> Result<&ObjectEntry> {
        self.objects.get(&id).ok_or_else(|| {
            let message = "the transaction around this one has been dropped";
            Error::new(ErrorId::TRANSACTION_INVALIDATED, message)
        })
    }

    /// The gate that a call of `id` enters before it waits for the turn to write: the gate of its root.
    ///
    /// # Errors
    /// The errors of [`path_to`](Self::path_to).
    pub(super) fn opening_gate(&self, id: TransactionId) -> Result<Gate> {
        let root = self.path_to(id)?[0];
        Ok(self.get(root)?.opening_gate.clone())
    }

    /// The objects from the root down to `id`.
    ///
    /// # Errors
    /// The errors of [`get`](Self::get), for one of these objects.
    pub(super) fn path_to(&self, id: TransactionId) -> Result<Vec<TransactionId>> {
        let mut path = vec![id];
        while let Some(parent) = self.get(path[path.len() - 1])?.parent {
            path.push(parent);
        }
        path.reverse();
        Ok(path)
    }
}
