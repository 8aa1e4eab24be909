//! The hooks of a store; the thread that runs a callback of the store; the rows for which hooks run at the
//! end of a write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::hook::Hook;
use crate::storage::ids::RowId;
use crate::storage::row::Row;

/// The hooks of a store, in order of registration.
#[derive(Debug, Default)]
pub(in crate::engine) struct Hooks {
    /// Behind an `Arc`, so that a write can hold the list while each hook borrows the store.
    list: Arc<Vec<Hook>>,
    thread: CallbackThread,
}

impl Hooks {
    pub(super) fn list(&self) -> Arc<Vec<Hook>> {
        Arc::clone(&self.list)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(in crate::engine) fn add(&mut self, hook: Hook) {
        Arc::make_mut(&mut self.list).push(hook);
    }

    pub(in crate::engine) fn thread(&self) -> &CallbackThread {
        &self.thread
    }
}

/// Which thread, if any, runs a callback of a store. That thread has the lock of the store. A callback is a
/// hook or the waker of a reader. Clones belong to the same store.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct CallbackThread(
    /// The key of the thread; 0 while no callback runs. `Relaxed` suffices: a thread only asks whether its
    /// own key is here, and no other thread writes that key.
    Arc<AtomicUsize>,
);

impl CallbackThread {
    /// Whether this thread runs a callback.
    pub(in crate::engine) fn is_current(&self) -> bool {
        let key = self.0.load(Ordering::Relaxed);
        key != 0 && key == Self::own_key()
    }

    /// Notes that this thread runs a callback, until the returned guard is dropped. Callbacks do not nest.
    pub(super) fn enter(&self) -> RunningCallback {
        self.0.store(Self::own_key(), Ordering::Relaxed);
        RunningCallback(self.clone())
    }

    /// The address of a thread-local variable: unique among the living threads, and not 0.
    fn own_key() -> usize {
        thread_local!(static KEY: u8 = const { 0 });
        KEY.with(|key| std::ptr::from_ref(key).addr())
    }
}

/// A guard that exists while a callback runs.
pub(super) struct RunningCallback(CallbackThread);

impl Drop for RunningCallback {
    fn drop(&mut self) {
        self.0.0.store(0, Ordering::Relaxed);
    }
}

/// The rows that a write has stored and for which hooks still have to run. The value of a row is the row as
/// it was before the write; `None` if the write has created the row.
pub(super) type StoredRows = BTreeMap<RowId, Option<Box<Row>>>;
