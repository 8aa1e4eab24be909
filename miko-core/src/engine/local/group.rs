//! Group commit: one thread runs several calls in one transaction while the other threads wait.

use std::sync::{MutexGuard, PoisonError};

use miko_rpc::GroupFailure;

use super::shared_store::SharedStore;
use crate::engine::store::Store;
use crate::storage::Storage;

impl<T: Storage> SharedStore<T> {
    /// Runs calls until `call` returns `false`, and commits their changes together.
    pub(super) fn commit_as_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        let failed = |error| GroupFailure { call: 0, error };
        if !self.lock().and_then(|mut store| store.begin_group()).map_err(failed)? {
            // The calls are part of a group already.
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

/// A group that has begun. Dropping it undoes its uncommitted writes, as after a panic of the calls.
struct OpenGroup<'e, T: Storage>(&'e SharedStore<T>);

impl<T: Storage> OpenGroup<'_, T> {
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
