//! A store behind its lock.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use miko_rpc::{Error, ErrorId, Gate, Result};

use crate::engine::store::Store;
use crate::engine::store::hooks::CallbackThread;
use crate::storage::Storage;

/// Work that needs the store.
type Task<T> = Box<dyn FnOnce(&mut Store<T>) + Send>;

/// A store, shared by threads and by the streams, uploads, imports and transactions that its engine has
/// returned.
pub(super) struct SharedStore<T> {
    store: Mutex<Store<T>>,
    /// The thread that runs a callback: a hook, or the [`Waker`](std::task::Waker) of a task that awaits a
    /// stream of changes or a live query. That thread has the lock of the store, so locking the store again
    /// would deadlock.
    callback_thread: CallbackThread,
    /// The tasks that callbacks have left, which run when the store is locked next; see
    /// [`do_now_or_after_callback`](Self::do_now_or_after_callback).
    postponed: Mutex<Vec<Task<T>>>,
    /// Whether `postponed` may have tasks. Set and read only by a thread that has the lock of the store.
    has_postponed: AtomicBool,
    /// Signalled when a group of calls has ended.
    pub(super) group_ended: Condvar,
    /// The gate at which writes wait for their turn. A transaction enters it exclusively.
    pub(super) writers: Gate,
    /// How many uploads and imports are open.
    pub(super) transfers: AtomicUsize,
}

impl<T: Storage> SharedStore<T> {
    pub(super) fn of(store: Store<T>) -> Arc<Self> {
        Arc::new_cyclic(|shared: &Weak<Self>| {
            let shared = Weak::clone(shared);
            // Called while writes wait at the gate: rolls back an open transaction that has exceeded a limit
            // of time.
            let expire = move || shared.upgrade()?.lock().ok()?.expire_transaction();
            Self {
                callback_thread: store.hooks.thread().clone(),
                postponed: Mutex::default(),
                has_postponed: AtomicBool::new(false),
                store: Mutex::new(store),
                group_ended: Condvar::new(),
                writers: Gate::with_expiry(expire),
                transfers: AtomicUsize::new(0),
            }
        })
    }

    /// Locks the store, and waits until no other thread runs a group of calls. A poisoned lock is cleared: a
    /// call that panics rolls back while it unwinds, so the store is consistent.
    ///
    /// # Errors
    /// `self-call` in a callback of this store, whose thread has the lock.
    pub(super) fn lock(&self) -> Result<MutexGuard<'_, Store<T>>> {
        if self.callback_thread.is_current() {
            let message = "a hook or a waker has called the database from inside a call on it, which would \
                           wait for itself: a hook reads through the `db` of its save";
            return Err(Error::new(ErrorId::SELF_CALL, message));
        }
        Ok(self.lock_outside_of_callbacks())
    }

    /// As [`lock`](Self::lock), for threads that run no callback of this store. In a callback it deadlocks.
    pub(super) fn lock_outside_of_callbacks(&self) -> MutexGuard<'_, Store<T>> {
        let store = self.store.lock().unwrap_or_else(|poisoned| {
            self.store.clear_poison();
            poisoned.into_inner()
        });
        let mut store = self.wait_for_other_group(store);
        // On some errors, as when the disk is full, SQLite rolls back the transaction of the group that this
        // thread runs. The writes of the group are then applied again.
        store.restore_group();
        if self.has_postponed.load(Ordering::Relaxed) {
            self.do_postponed(&mut store);
        }
        store
    }

    /// Runs a task that must not fail, such as closing a stream, with the store locked. A callback of this
    /// store may drop a stream or a transaction, but must not lock the store. In a callback the task is
    /// postponed: it runs when the store is locked next.
    pub(super) fn do_now_or_after_callback(&self, task: impl FnOnce(&mut Store<T>) + Send + 'static) {
        match self.lock() {
            Ok(mut store) => task(&mut store),
            // The only error is `self-call`.
            Err(_) => self.postpone(Box::new(task)),
        }
    }

    /// Adds a task, which runs when the store is locked next. This thread must have the lock of the store, or
    /// be the only one that uses the store.
    pub(super) fn postpone(&self, task: Task<T>) {
        self.postponed.lock().unwrap_or_else(PoisonError::into_inner).push(task);
        self.has_postponed.store(true, Ordering::Relaxed);
    }

    fn do_postponed(&self, store: &mut Store<T>) {
        self.has_postponed.store(false, Ordering::Relaxed);
        let tasks = std::mem::take(&mut *self.postponed.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.into_iter().for_each(|task| task(store));
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").field("store", &self.store).finish_non_exhaustive()
    }
}
