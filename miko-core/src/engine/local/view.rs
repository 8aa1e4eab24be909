//! The two views of a store: the committed state, and the state inside an open transaction.
//!
//! A call locks the store in its view. In the committed view, a call waits for the turn to write before it
//! writes, but not before it reads. In the view of a transaction, the first call waits for the turn, even if
//! it reads, and the transaction keeps the turn until it ends. The turn is a pass of the gate of all writers:
//! single writes share the gate, and a transaction has it alone.

use std::ops::{Deref, DerefMut};
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

use miko_rpc::{GateMode, Pass, Result, serves_a_call};

use super::shared_store::SharedStore;
use crate::engine::store::Store;
use crate::engine::store::transaction::user_transaction::TransactionId;
use crate::storage::Storage;
use crate::transaction_block::transaction_open;

/// A view of a store.
pub trait View: Copy + Send + Sync + 'static {
    /// The transaction whose writes the view shows; `None` for the committed state.
    #[doc(hidden)]
    fn transaction(&self) -> Option<TransactionId>;
}

/// Shows the committed state.
#[derive(Debug, Clone, Copy)]
pub struct Committed;

/// Shows the writes of a transaction, over the state that was committed before it began.
#[derive(Debug, Clone, Copy)]
pub struct OfTransaction(pub(super) TransactionId);

impl View for Committed {
    fn transaction(&self) -> Option<TransactionId> {
        None
    }
}

impl View for OfTransaction {
    fn transaction(&self) -> Option<TransactionId> {
        Some(self.0)
    }
}

/// A locked store. Dropping it unlocks the store, and notes the end of a call in a transaction.
pub(super) struct StoreGuard<'s, T: Storage> {
    store: MutexGuard<'s, Store<T>>,
    /// Whether the call is inside a transaction.
    is_in_transaction: bool,
    /// The turn to write; `None` if the call needs no turn, or if its transaction has the turn. Fields are
    /// dropped in the order of their declaration: the turn is given up after the store is unlocked.
    _turn: Option<Pass>,
}

impl<'s, T: Storage> StoreGuard<'s, T> {
    /// For a call that is not inside a transaction.
    fn outside(store: MutexGuard<'s, Store<T>>, turn: Option<Pass>) -> Self {
        Self { store, is_in_transaction: false, _turn: turn }
    }
}

impl<T: Storage> Deref for StoreGuard<'_, T> {
    type Target = Store<T>;

    fn deref(&self) -> &Store<T> {
        &self.store
    }
}

impl<T: Storage> DerefMut for StoreGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut Store<T> {
        &mut self.store
    }
}

impl<T: Storage> Drop for StoreGuard<'_, T> {
    fn drop(&mut self) {
        if self.is_in_transaction {
            self.store.note_transaction_call();
        }
    }
}

/// A wait for the turn ends after the lock timeout, however short that is.
const NO_MIN_TIMEOUT: Duration = Duration::ZERO;

impl<T: Storage> SharedStore<T> {
    /// Locks the store for a call that reads.
    pub(super) fn read(&self, view: impl View) -> Result<StoreGuard<'_, T>> {
        self.enter(view, Store::show_committed)
    }

    /// Locks the store for a call that reads only records by their pks. Outside of a transaction, such a call
    /// needs no rollback of storage to see the committed state: it uses the pre-images of the open
    /// transaction.
    pub(super) fn read_by_pk(&self, view: impl View) -> Result<StoreGuard<'_, T>> {
        self.enter(view, Store::begin_committed_read)
    }

    /// Locks the store. For a call outside of a transaction, runs `prepare` on the locked store. A call of a
    /// transaction may have to wait for the turn to write, even if the call only reads.
    fn enter(&self, view: impl View, prepare: fn(&mut Store<T>)) -> Result<StoreGuard<'_, T>> {
        if let Some(id) = view.transaction() {
            return self.enter_transaction(id);
        }
        let mut store = self.lock()?;
        prepare(&mut store);
        Ok(StoreGuard::outside(store, None))
    }

    /// Waits for the turn to write, and locks the store.
    ///
    /// # Errors
    /// `lock-timeout`, `transaction-open`, `parked`; `self-call` in a callback of this store. In the view of
    /// a transaction also `transaction-invalidated`, and the error of an open group of calls, if opening the
    /// transaction cannot commit the group.
    pub(super) fn write(&self, view: impl View) -> Result<StoreGuard<'_, T>> {
        self.write_within(view, NO_MIN_TIMEOUT)
    }

    /// As [`write`](Self::write). Outside of a transaction, waits for the turn at most for the lock timeout,
    /// or for `min_timeout` if that is longer.
    pub(super) fn write_within(&self, view: impl View, min_timeout: Duration) -> Result<StoreGuard<'_, T>> {
        if let Some(id) = view.transaction() {
            let store = self.enter_transaction(id)?;
            store.check_innermost(id)?;
            return Ok(store);
        }
        if let Some(store) = self.try_write()? {
            return Ok(store);
        }
        let turn = self.wait_for_turn(GateMode::Shared, min_timeout)?;
        Ok(StoreGuard::outside(self.lock()?, Some(turn)))
    }

    /// Locks the store for a write that is not inside a transaction. `None` if the write has to wait for its
    /// turn.
    ///
    /// # Errors
    /// `self-call` in a callback of this store.
    pub(super) fn try_write(&self) -> Result<Option<StoreGuard<'_, T>>> {
        let store = self.lock()?;
        let needs_no_turn = self.needs_no_turn(&store);
        Ok(needs_no_turn.then(|| StoreGuard::outside(store, None)))
    }

    /// Whether a write that is not inside a transaction needs only the lock: no transaction is open, and none
    /// is inside the gate or waits at it. No transaction opens meanwhile, since opening takes the lock.
    ///
    /// A write in a group of calls needs no turn, whoever is inside the gate. The group keeps all other
    /// threads from the store, also those that are inside the gate: to wait for them would be a deadlock.
    fn needs_no_turn(&self, store: &Store<T>) -> bool {
        !store.has_open_transaction() && (store.is_in_group() || self.writers.is_open())
    }

    /// Waits for the turn to write, for several writes. While the caller holds the turn, its writes lock the
    /// store by [`read`](Self::read): [`write`](Self::write) could queue behind a transaction that waits for
    /// the end of this turn. `None` in two cases: in the view of a transaction, the first call takes the turn
    /// for the transaction; in a group of calls, no other write can come between.
    pub(super) fn wait_for_turn_to_write(&self, view: impl View) -> Result<Option<Pass>> {
        if view.transaction().is_some() {
            return Ok(None);
        }
        if self.lock()?.is_in_group() {
            return Ok(None);
        }
        self.wait_for_turn(GateMode::Shared, NO_MIN_TIMEOUT).map(Some)
    }

    /// Enters the gate of all writers. Waits at most for the lock timeout, or for `min_timeout` if that is
    /// longer.
    ///
    /// # Errors
    /// `lock-timeout`; `parked`, if a server makes the call again later; `transaction-open`, if this thread
    /// would wait for a transaction that it has opened itself.
    fn wait_for_turn(&self, mode: GateMode, min_timeout: Duration) -> Result<Pass> {
        let lock_timeout = {
            let mut store = self.lock()?;
            // After its limits of time, the transaction ends here: this thread would not wait for itself.
            store.expire_transaction();
            refuse_in_thread_of_transaction(&store)?;
            store.transaction_limits().lock_timeout
        };
        self.writers.enter(mode, lock_timeout.max(min_timeout))
    }

    /// Locks the store for a call of a transaction. If the transaction is not open, waits for its turn to
    /// write and opens it.
    fn enter_transaction(&self, id: TransactionId) -> Result<StoreGuard<'_, T>> {
        let mut store = self.lock()?;
        store.expire_transaction();
        if store.needs_turn(id)? {
            store = self.open_transaction(id, store)?;
        }
        // The store has stayed locked since `needs_turn` was last called. So no other thread can have ended
        // the transaction, and the call runs inside it.
        store.resume_transaction(id)?;
        Ok(StoreGuard { store, is_in_transaction: true, _turn: None })
    }

    /// Waits for the turn to write, and opens the outermost transaction around `id`. If `id` is not nested,
    /// that is its own transaction. If another call opens the transaction meanwhile, only waits for that. The
    /// store stays locked from the moment at which the transaction is opened, or found open.
    fn open_transaction<'s>(
        &'s self,
        id: TransactionId,
        store: MutexGuard<'s, Store<T>>,
    ) -> Result<MutexGuard<'s, Store<T>>> {
        refuse_in_thread_of_transaction(&store)?;
        let opening_gate = store.opening_gate(id)?;
        let lock_timeout = store.transaction_limits().lock_timeout;
        drop(store);
        // Several calls of the transaction may find it not open. The first one enters this gate and opens the
        // transaction; the others wait here.
        let _opening = opening_gate.enter(GateMode::Exclusive, lock_timeout)?;
        // `needs_turn` is called again after each wait: meanwhile another call may have opened the
        // transaction, or the transaction may have been invalidated, which is an error here.
        let store = self.lock()?;
        if !store.needs_turn(id)? {
            return Ok(store);
        }
        drop(store);
        let turn = self.wait_for_turn(GateMode::Exclusive, NO_MIN_TIMEOUT)?;
        let mut store = self.lock()?;
        if store.needs_turn(id)? {
            store.open_transaction(id, turn)?;
        }
        Ok(store)
    }
}

/// Refuses to wait for the turn in the thread that has opened the open transaction: the thread would wait for
/// itself. A call on a server is not refused: a call that waits there is parked, and the thread goes on with
/// the calls of other connections.
///
/// # Errors
/// `transaction-open`.
fn refuse_in_thread_of_transaction<T: Storage>(store: &Store<T>) -> Result<()> {
    if store.transaction_thread() == Some(thread::current().id()) && !serves_a_call() {
        return Err(transaction_open());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use miko_rpc::ErrorId;
    use serde_json::json;

    use super::*;
    use crate::engine::{Engine, SqliteEngine};
    use crate::extension::MikobaseExt;
    use crate::mikobase::Mikobase;
    use crate::transaction_limits::TransactionLimits;

    /// Rolls the transaction back the first time that the store is locked while the transaction is open. It
    /// stands for another thread with the same transaction object.
    fn roll_back_when_open<T: Storage>(shared: &Arc<SharedStore<T>>, id: TransactionId) {
        let shared_by_task = Arc::clone(shared);
        shared.postpone(Box::new(move |store| match store.has_open_transaction() {
            true => store.roll_back_transaction(id),
            false => roll_back_when_open(&shared_by_task, id),
        }));
    }

    #[test]
    fn a_write_in_the_thread_of_a_transaction_goes_on_after_its_limits_of_time() {
        let limits = TransactionLimits::default();
        for limits in [
            TransactionLimits { idle: Duration::ZERO, ..limits },
            TransactionLimits { total: Duration::ZERO, ..limits },
            limits,
        ] {
            let db = SqliteEngine::in_memory().unwrap();
            let is_limited = limits.idle.is_zero() || limits.total.is_zero();
            db.limit_transactions(limits);
            let tx = db.begin().unwrap();
            tx.create("a.b/c", &json!({})).unwrap();
            let written = db.create("a.b/c", &json!({}));
            let refusal = if is_limited { None } else { Some(&ErrorId::TRANSACTION_OPEN) };
            assert_eq!(written.as_ref().err().map(miko_rpc::Error::id), refusal, "{written:?}");
            assert_eq!(tx.commit().is_err(), is_limited);
            assert_eq!(db.count(json!({"class": "a.b/c"})).unwrap(), 1);
        }
    }

    #[test]
    fn a_call_of_a_transaction_is_inside_it_also_if_another_thread_rolls_it_back() {
        let db = SqliteEngine::in_memory().unwrap();
        let id = db.store().add_transaction(None).unwrap();
        let tx = db.with_view(OfTransaction(id), None);
        roll_back_when_open(&db.store, id);
        tx.create("a.b/c", &json!({})).unwrap();
        assert_eq!(db.count(json!({"class": "a.b/c"})).unwrap(), 0);
    }
}
