//! Group commit: one thread runs several calls in one transaction while the other threads wait.

use std::sync::{MutexGuard, PoisonError};

use miko_rpc::GroupFailure;

use super::shared_store::SharedStore;
use crate::engine::store::Store;
use crate::storage::Storage;

impl<T: Storage> SharedStore<T> {
    /// Runs calls until `call` returns `false`, and commits their changes together. `call` gets the index of
    /// the call that it runs, from 0.
    ///
    /// # Errors
    /// The first call whose changes could not all be committed, with the error. Call 0 with `self-call` in a
    /// callback of this store: no call was run then.
    pub(super) fn commit_as_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        let no_call_was_run = |error| GroupFailure { call: 0, error };
        if !self.lock().map_err(no_call_was_run)?.begin_group() {
            // Another group or a transaction is open already: the calls run as they would without this group.
            (0..).take_while(|index| call(*index)).for_each(drop);
            return Ok(());
        }
        let group = OpenGroup(self);
        let mut run = |index: usize| {
            self.lock_outside_of_callbacks().begin_call(index);
            call(index)
        };
        (0..).take_while(|index| run(*index)).for_each(drop);
        group.end()
    }

    /// Waits until no other thread runs a group.
    pub(super) fn wait_for_other_group<'e>(
        &'e self,
        mut store: MutexGuard<'e, Store<T>>,
    ) -> MutexGuard<'e, Store<T>> {
        while store.is_in_group_of_another_thread() {
            store = self.group_ended.wait(store).unwrap_or_else(PoisonError::into_inner);
        }
        store
    }
}

/// A group that has begun. If [`end`](Self::end) was not called, as after a panic, the drop undoes the writes
/// that are not committed. The drop then always wakes the threads that wait for the end of the group.
struct OpenGroup<'e, T: Storage>(&'e SharedStore<T>);

impl<T: Storage> OpenGroup<'_, T> {
    /// Commits the writes of the group.
    fn end(self) -> Result<(), GroupFailure> {
        self.0.lock_outside_of_callbacks().end_group()
    }
}

impl<T: Storage> Drop for OpenGroup<'_, T> {
    fn drop(&mut self) {
        self.0.lock_outside_of_callbacks().abandon_group();
        self.0.group_ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use miko_rpc::GateMode;
    use serde_json::json;

    use crate::engine::{Engine, SqliteEngine};
    use crate::mikobase::Mikobase;
    use crate::transaction_limits::TransactionLimits;

    #[test]
    fn a_group_does_not_wait_for_those_that_wait_for_its_end() {
        let limits = TransactionLimits { lock_timeout: Duration::ZERO, ..TransactionLimits::default() };
        let db = SqliteEngine::in_memory().unwrap().transaction_limits(limits);
        // Stands for a transaction of another thread: it has the turn to write, and cannot open before the
        // group has ended.
        let _turn = db.store.writers.enter(GateMode::Exclusive, Duration::ZERO).unwrap();
        let create = || json!({"action": "create", "bucket": {}});
        let calls: [&dyn Fn() -> bool; 3] =
            [&|| db.q0(create()).is_ok(), &|| db.batch(vec![create(), create()], true).is_ok(), &|| {
                db.batch(vec![create()], false)
                    .is_ok_and(|answers| answers.into_iter().all(|one| one.is_ok()))
            }];
        let mut answers = Vec::new();
        let grouped = db.run_group(&mut |index| {
            answers.push(calls[index]());
            index + 1 < calls.len()
        });
        assert!(grouped.is_ok());
        assert_eq!(answers, [true; 3]);
        assert!(db.q0(create()).is_err(), "outside of the group it is not its turn");
    }
}
