//! A store behind its lock.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

use miko_rpc::Gate;

use crate::engine::store::Store;
use crate::storage::Storage;

/// A store, shared by threads and by what its engine has returned.
#[derive(Debug)]
pub(super) struct SharedStore<T> {
    store: Mutex<Store<T>>,
    /// Signalled when a group of calls has ended.
    pub(super) group_ended: Condvar,
    /// Where writes wait for their turn: a transaction is inside alone.
    pub(super) writers: Gate,
    /// How many uploads and imports are open.
    pub(super) transfers: AtomicUsize,
}

impl<T: Storage> SharedStore<T> {
    pub(super) fn of(store: Store<T>) -> Arc<Self> {
        Arc::new_cyclic(|shared: &Weak<Self>| {
            let shared = Weak::clone(shared);
            let expire = move || shared.upgrade()?.lock().expire_transaction();
            Self {
                store: Mutex::new(store),
                group_ended: Condvar::new(),
                writers: Gate::with_expiry(expire),
                transfers: AtomicUsize::new(0),
            }
        })
    }

    /// Locks the store, and waits until no other thread runs a group of calls. A poisoned lock is cleared: a
    /// call that panics rolls back while it unwinds, so the store is consistent.
    pub(super) fn lock(&self) -> MutexGuard<'_, Store<T>> {
        let store = self.store.lock().unwrap_or_else(|poisoned| {
            self.store.clear_poison();
            poisoned.into_inner()
        });
        let mut store = self.wait_for_other_group(store);
        store.restore();
        store
    }
}
