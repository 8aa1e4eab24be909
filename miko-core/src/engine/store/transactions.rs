//! Transactions of callers: opens, nests and ends them, and lets each caller see its own state.
//!
//! A transaction object begins one transaction after another. The transactions of a nested object are nested
//! in those of its parent: each is a level of the transaction that the root object has open.
//! [`transaction_objects`](super::transaction_objects) has the states of the objects.

use std::thread::ThreadId;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Gate, Pass, Result};

use crate::engine::store::Store;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::state::StoreState;
use crate::engine::store::transaction::user_transaction::{TransactionId, UserTransaction};
use crate::engine::store::transaction_objects::ObjectState;
use crate::storage::Storage;
use crate::timestamp::Timestamp;
use crate::transaction_limits::TransactionLimits;

/// The most milliseconds by which the time of a transaction may be ahead of the clock. The time is ahead if
/// it has to be later than the last write.
const MAX_LEAD_MILLIS: i64 = 1_000;

/// Adds, removes and limits transaction objects.
impl<T: Storage> Store<T> {
    /// Adds a transaction object. Its transactions are nested inside those of `parent`, if there is one.
    ///
    /// # Errors
    /// `storage-full`, if there are too many; `read-only-connection`.
    pub(in crate::engine) fn add_transaction(
        &mut self,
        parent: Option<TransactionId>,
    ) -> Result<TransactionId> {
        self.check_writable()?;
        self.transaction_objects.add(parent)
    }

    /// Removes a transaction object, and rolls back its uncommitted writes.
    pub(in crate::engine) fn remove_transaction(&mut self, id: TransactionId) {
        self.roll_back_transaction(id);
        self.transaction_objects.remove(id);
    }

    /// Sets the limits of transactions.
    pub(in crate::engine) fn set_transaction_limits(&mut self, limits: TransactionLimits) {
        self.transaction_objects.limits = limits;
    }

    pub(in crate::engine) fn transaction_limits(&self) -> TransactionLimits {
        self.transaction_objects.limits
    }
}

/// Shows each call the state of its own transaction, or the committed one.
impl<T: Storage> Store<T> {
    /// Whether a transaction is open.
    pub(in crate::engine) fn has_open_transaction(&self) -> bool {
        self.transaction.user_transaction().is_some()
    }

    /// Whether a group of calls is open. If one is, the calling thread is the one that runs it: a group keeps
    /// all other threads from the store.
    pub(in crate::engine) fn is_in_group(&self) -> bool {
        self.transaction.is_in_group()
    }

    /// The thread that has opened the transaction, if one is open.
    pub(in crate::engine) fn transaction_thread(&self) -> Option<ThreadId> {
        self.transaction.user_transaction().map(|transaction| transaction.thread)
    }

    /// Whether a call of an object has to wait for the turn to write, since its root has no open transaction.
    /// The root is the outermost object around it; an object that is not nested is its own root.
    ///
    /// # Errors
    /// `transaction-invalidated`, if the transaction of the object, or of an object around it, was rolled
    /// back other than by a call of that object; also if an object around it was dropped.
    pub(in crate::engine) fn needs_turn(&self, id: TransactionId) -> Result<bool> {
        let path = self.transaction_objects.path_to(id)?;
        for id in &path {
            if let ObjectState::Invalidated(reason) = &self.transaction_objects.get(*id)?.state {
                return Err(reason.clone());
            }
        }
        Ok(self.transaction.user_transaction().is_none_or(|transaction| transaction.levels[0].id != path[0]))
    }

    /// The gate that a call of an object enters before it waits for the turn to write. If several calls of
    /// one root find no open transaction, one of them waits at the gate of all writers, and opens the
    /// transaction. Meanwhile the others wait at this gate: at the gate of all writers they would wait for
    /// the end of their own transaction.
    ///
    /// # Errors
    /// `transaction-invalidated`, if an object around the object `id` was dropped.
    pub(in crate::engine) fn opening_gate(&self, id: TransactionId) -> Result<Gate> {
        self.transaction_objects.opening_gate(id)
    }

    /// Opens the transaction of the object at the root of `id`. `turn` is the right to write.
    pub(in crate::engine) fn open_transaction(&mut self, id: TransactionId, turn: Pass) -> Result<()> {
        let root = self.transaction_objects.path_to(id)?[0];
        let time = self.time_of_next_transaction(Timestamp::now());
        let user_transaction =
            UserTransaction::new(root, self.state(), time, self.transaction_objects.limits.memory, turn);
        self.transaction.open_user_transaction(user_transaction, &mut self.storage)?;
        // Opening the transaction has committed the writes of an open group.
        self.publish_commits();
        self.transaction_objects.set_states([root], || ObjectState::Open);
        Ok(())
    }

    /// The time of a transaction that begins at `now`. It is not earlier than the time of the last write. In
    /// a temporal database it is later, since a version has to be later than the version before it. A record
    /// that is written a second time in the transaction gets a later time.
    ///
    /// Exception: the time of the last write is far ahead of the clock, since the clock was set back, or
    /// since the write was a definition that had to begin after a former one. The transaction ignores that
    /// time.
    fn time_of_next_transaction(&self, now: Timestamp) -> Timestamp {
        let last = self.write_time;
        let earliest = if self.is_temporal { last.after() } else { last };
        let is_near = earliest.as_millis().saturating_sub(now.as_millis()) <= MAX_LEAD_MILLIS;
        if is_near { now.max(earliest) } else { now }
    }

    /// Begins a call of an object whose root has a transaction open: shows the writes of the transaction, and
    /// begins the levels of the objects from the root down to this one, unless they have begun already.
    ///
    /// # Errors
    /// `transaction-invalidated`, if the writes cannot be applied again; `transaction-open`, if a level would
    /// begin while another level with the same parent is open.
    pub(in crate::engine) fn resume_transaction(&mut self, id: TransactionId) -> Result<()> {
        self.show_uncommitted()?;
        let path = self.transaction_objects.path_to(id)?;
        for (id, parent) in path.iter().skip(1).zip(&path) {
            // `None` is unreachable: the root has a transaction open.
            let Some(open_transaction) = self.transaction.user_transaction() else { break };
            if open_transaction.level_of(*id).is_some() {
                continue;
            }
            self.check_innermost(*parent)?;
            let state = self.state();
            if let Some(open_transaction) = self.transaction.user_transaction_mut() {
                open_transaction.nest(*id, state);
            }
            self.transaction_objects.set_states([*id], || ObjectState::Open);
        }
        Ok(())
    }

    /// Refuses a write through an object, or a new level inside the level of the object, while a deeper level
    /// is open. The write would become a part of the deeper level, and be lost if that level is rolled back.
    ///
    /// # Errors
    /// `transaction-open`.
    pub(in crate::engine) fn check_innermost(&self, id: TransactionId) -> Result<()> {
        match self.transaction.user_transaction() {
            Some(open_transaction) if !open_transaction.is_innermost(id) => {
                let message = "a nested transaction is open: write through it, or end it";
                Err(Error::new(ErrorId::TRANSACTION_OPEN, message))
            }
            _ => Ok(()),
        }
    }

    /// Prepares for reading a stream. A stream of the open transaction needs the writes of the transaction.
    ///
    /// # Errors
    /// `transaction-invalidated`, if these writes cannot be applied again.
    pub(in crate::engine) fn prepare_stream_read(&mut self, id: StreamId) -> Result<()> {
        if !self.streams.is_of_transaction(id) {
            return Ok(());
        }
        self.show_uncommitted()?;
        self.note_transaction_call();
        Ok(())
    }

    /// Shows the writes of the open transaction to its own calls. If the writes were hidden from other
    /// callers, gives the store its state with the writes. If storage lacks the writes, applies the log
    /// again.
    ///
    /// # Errors
    /// `transaction-invalidated`, if the log cannot be applied again. The transaction was rolled back then.
    fn show_uncommitted(&mut self) -> Result<()> {
        let Some(open_transaction) = self.transaction.user_transaction_mut() else { return Ok(()) };
        open_transaction.runs_own_call = true;
        if let Some(state) = open_transaction.take_hidden() {
            self.set_state(state);
        }
        let Some(open_transaction) = self.transaction.user_transaction_mut() else { return Ok(()) };
        if !open_transaction.needs_apply(&self.storage) {
            // Storage has all writes of the log, or the log is empty: nothing is lost.
            open_transaction.lost = None;
            return Ok(());
        }
        // Streams that were opened while storage lacked the writes show the state without them, so they need
        // the rows that the log is about to overwrite.
        for set in open_transaction.log() {
            self.streams.save_pre_images_outside_transaction(&set.rows);
        }
        if let Err(error) = open_transaction.apply_log(&mut self.storage) {
            let message = format!("its writes were lost and cannot be made again: {error}");
            let reason = Error::new(ErrorId::TRANSACTION_INVALIDATED, message).with_source(error);
            return Err(self.invalidate(reason));
        }
        open_transaction.lost = None;
        Ok(())
    }

    /// Shows the committed state to a caller outside the open transaction: hides the uncommitted writes from
    /// the caller.
    pub(in crate::engine) fn show_committed(&mut self) {
        let Some(open_transaction) = self.transaction.user_transaction_mut() else { return };
        open_transaction.runs_own_call = false;
        if open_transaction.is_empty() || open_transaction.is_hidden() {
            return;
        }
        let state = self.state();
        let Some(open_transaction) = self.transaction.user_transaction_mut() else { return };
        let committed = open_transaction.hide(state, &mut self.storage);
        self.set_state(committed);
    }

    /// Prepares for a read by pk of a caller outside the open transaction. The writes of the transaction stay
    /// in storage: the read uses the pre-images.
    pub(in crate::engine) fn begin_committed_read(&mut self) {
        if let Some(open_transaction) = self.transaction.user_transaction_mut() {
            open_transaction.runs_own_call = false;
        }
    }

    /// Restarts the idle time of the open transaction: at the end of each of its calls and of each nested
    /// transaction, and before each read of one of its streams.
    pub(in crate::engine) fn note_transaction_call(&mut self) {
        if let Some(open_transaction) = self.transaction.user_transaction_mut() {
            open_transaction.last_call = Instant::now();
        }
    }

    /// Rolls the open transaction back if its writes were lost, or exceed its limit of memory. Called after
    /// each write.
    ///
    /// # Errors
    /// `transaction-invalidated`, if it was rolled back.
    pub(super) fn check_transaction(&mut self) -> Result<()> {
        let Some(open_transaction) = self.transaction.user_transaction_mut() else { return Ok(()) };
        let reason = if let Some(error) = open_transaction.lost.take() {
            let message = format!("a write failed and the writes before it were lost: {error}");
            Error::new(ErrorId::TRANSACTION_INVALIDATED, message).with_source(error)
        } else if open_transaction.is_too_large() {
            self.memory_exceeded()
        } else {
            return Ok(());
        };
        Err(self.invalidate(reason))
    }

    /// The error of a transaction that is too large. The write that makes the transaction too large fails
    /// with this error at once. Then [`check_transaction`](Self::check_transaction) rolls the transaction
    /// back.
    pub(super) fn memory_exceeded(&self) -> Error {
        let message = "the transaction has written more than its limit of memory, and was rolled back: split \
                       it, or raise `transaction_memory`";
        Error::new(ErrorId::TRANSACTION_INVALIDATED, message)
            .with("allowed", self.transaction_objects.limits.memory)
    }
}

/// Commits and rolls back transactions.
impl<T: Storage> Store<T> {
    /// Commits the transaction of an object, with the transactions nested inside of it. If it is nested
    /// itself, its writes become writes of the transaction around it. The next call of the object begins
    /// another transaction. Does nothing if the object has no open transaction.
    ///
    /// # Errors
    /// The errors of storage. `transaction-invalidated`, if the writes were hidden from another caller or
    /// lost, and cannot be applied again. In both cases the transaction is rolled back.
    pub(in crate::engine) fn commit_transaction(&mut self, id: TransactionId) -> Result<()> {
        let Some(level) =
            self.transaction.user_transaction().and_then(|transaction| transaction.level_of(id))
        else {
            return Ok(());
        };
        if level > 0 {
            // `commit` locks the store without the guard that notes the end of other calls.
            self.note_transaction_call();
            let open_transaction = self.transaction.user_transaction_mut();
            let ended = open_transaction.map(|open_transaction| open_transaction.merge_level(level));
            self.transaction_objects.set_states(ended.into_iter().flatten(), || ObjectState::Idle);
            return Ok(());
        }
        self.show_uncommitted()?;
        let Some(open_transaction) = self.transaction.user_transaction() else { return Ok(()) };
        let ended: Vec<_> = open_transaction.levels.iter().map(|level| level.id).collect();
        let committed_state = open_transaction.committed_state().clone();
        let last = self.last.get();
        // This loop precedes the commit, which takes the log away. Calls that wait for a claim are woken,
        // since they may claim the changed records after the commit.
        for set in open_transaction.log() {
            self.columns.mark_stale(set, last.row);
            self.claims.wake_calls_for_rows(&set.rows, &self.catalog);
        }
        // Nothing can panic between here and the commit: a panic would leave the records staged.
        open_transaction.log().iter().for_each(|set| self.record_cache.stage(&set.rows));
        let committed = self.transaction.commit_user_transaction(last.commit, &mut self.storage);
        match &committed {
            Ok(()) => self.record_cache.publish(),
            Err(_) => self.record_cache.discard_staged(),
        }
        self.streams.close_of_transaction();
        self.transaction_objects.set_states(ended, || ObjectState::Idle);
        if committed.is_err() {
            let undone_claims = self.claim_rows.clone();
            self.set_state(committed_state);
            self.wake_calls_after_undo(&undone_claims);
        }
        self.publish_commits();
        self.discard_abandoned_files();
        committed
    }

    /// Rolls back the transaction of an object, with the transactions nested inside of it. If the object was
    /// invalidated, its next call can begin a transaction again. If the open transaction has exceeded a limit
    /// of time, rolls back all of it.
    pub(in crate::engine) fn roll_back_transaction(&mut self, id: TransactionId) {
        // Comes first: below, the idle time restarts, which must not revive a transaction.
        self.expire_transaction();
        if let Some(level) =
            self.transaction.user_transaction().and_then(|transaction| transaction.level_of(id))
        {
            let own_object = self.roll_back_level(level, || {
                let message = "the transaction around this one was rolled back";
                Error::new(ErrorId::TRANSACTION_INVALIDATED, message)
            });
            self.transaction_objects.set_states(own_object, || ObjectState::Idle);
            // As in `commit_transaction`. Does nothing after the rollback of level 0.
            self.note_transaction_call();
        } else {
            self.transaction_objects.set_states([id], || ObjectState::Idle);
        }
    }

    /// Rolls back a level and the levels inside of it. The objects of the inner levels are invalidated with
    /// `reason`. Returns the object of the level itself; the caller sets the state of this object.
    fn roll_back_level(&mut self, level: usize, reason: impl Fn() -> Error) -> Option<TransactionId> {
        let open_transaction = self.transaction.user_transaction_mut()?;
        let (ended, state) = open_transaction.drop_level(level, &mut self.storage);
        if level == 0 {
            self.transaction.roll_back_user_transaction(&mut self.storage);
            self.streams.close_of_transaction();
        } else {
            // Streams that were opened before the level began show none of its writes, and stay open.
            self.streams.close_of_transaction_after(state.last.commit);
        }
        let undone_claims = self.claim_rows.clone();
        self.set_state(state);
        self.wake_calls_after_undo(&undone_claims);
        self.transaction_objects
            .set_states(ended.iter().skip(1).copied(), || ObjectState::Invalidated(reason()));
        self.discard_abandoned_files();
        ended.first().copied()
    }

    /// Rolls the open transaction back although its caller has not asked for it. The next calls of its
    /// objects fail with `reason`. Returns `reason`.
    pub(super) fn invalidate(&mut self, reason: Error) -> Error {
        let outermost_level = 0;
        let root = self.roll_back_level(outermost_level, || reason.clone());
        self.transaction_objects.set_states(root, || ObjectState::Invalidated(reason.clone()));
        reason
    }

    /// Rolls back the open transaction if it has exceeded one of its limits of time. Otherwise returns when
    /// it will exceed one. `None` if no transaction is open afterwards.
    pub(in crate::engine) fn expire_transaction(&mut self) -> Option<Instant> {
        let TransactionLimits { idle, total, .. } = self.transaction_objects.limits;
        let open_transaction = self.transaction.user_transaction()?;
        let (idle_end, total_end) =
            (saturating_add(open_transaction.last_call, idle), saturating_add(open_transaction.began, total));
        let now = Instant::now();
        let (message, allowed) = if now >= total_end {
            ("the transaction has lasted longer than `transaction_limit`, and was rolled back", total)
        } else if now >= idle_end {
            ("the transaction was idle for longer than `transaction_idle`, and was rolled back", idle)
        } else {
            return Some(idle_end.min(total_end));
        };
        let reason = Error::new(ErrorId::TRANSACTION_INVALIDATED, message);
        self.invalidate(reason.with("allowed_ms", u64::try_from(allowed.as_millis()).unwrap_or(u64::MAX)));
        None
    }

    /// A copy of the state that [`set_state`](Self::set_state) restores.
    pub(super) fn state(&self) -> StoreState {
        StoreState {
            catalog: self.catalog.clone(),
            definition_ends: self.definition_ends.clone(),
            claim_rows: self.claim_rows.clone(),
            last: self.last.get(),
        }
    }

    /// Sets the state. If the classes in force, or the ids of classes and constraints given out, differ from
    /// the present ones, clears the id cache and the columns.
    pub(super) fn set_state(&mut self, state: StoreState) {
        let StoreState { catalog, definition_ends, claim_rows, last } = state;
        let before = self.last.get();
        let has_same_ids = (before.class, before.constraint) == (last.class, last.constraint);
        if !(has_same_ids && self.catalog.is_same(&catalog)) {
            self.ids.take();
            self.columns.clear();
        }
        (self.catalog, self.definition_ends, self.claim_rows) = (catalog, definition_ends, claim_rows);
        self.last.set(last);
    }
}

/// The time that is `duration` after `from`. If an `Instant` cannot represent it: 136 years after `from`,
/// which no transaction reaches.
fn saturating_add(from: Instant, duration: Duration) -> Instant {
    from.checked_add(duration).unwrap_or_else(|| from + Duration::from_secs(u32::MAX.into()))
}
