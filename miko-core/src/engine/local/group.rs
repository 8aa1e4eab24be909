//! Group commit: one thread runs several calls in one transaction while the other threads wait.

use std::sync::{MutexGuard, PoisonError};

use tracing::debug;

use super::LocalEngine;
use crate::engine::store::Store;
use crate::engine::tables::Tables;

#[expect(private_bounds, reason = "what holds the tables is ours alone")]
impl<T: Tables> LocalEngine<T> {
    /// Runs `calls` in one transaction. Returns `false` if nothing of it was committed.
    pub(super) fn commit_as_group(&self, calls: &mut dyn FnMut()) -> bool {
        if !self.store().begin_group() {
            // They are part of a group already.
            calls();
            return true;
        }
        let group = OpenGroup(self);
        calls();
        group.commit()
    }

    /// Waits until no other thread runs a group.
    pub(super) fn wait_for_group<'e>(
        &'e self,
        mut store: MutexGuard<'e, Store<T>>,
    ) -> MutexGuard<'e, Store<T>> {
        while store.is_in_group_of_another_thread() {
            store = self.group_ended.wait(store).unwrap_or_else(PoisonError::into_inner);
        }
        store
    }
}

/// A group that has begun. Dropping it rolls back what was not committed, as after a panic of the calls.
struct OpenGroup<'e, T: Tables>(&'e LocalEngine<T>);

impl<T: Tables> OpenGroup<'_, T> {
    fn commit(self) -> bool {
        let committed = self.0.store().commit_together();
        if !committed {
            debug!("group rolled back: its calls are run one by one");
        }
        committed
    }
}

impl<T: Tables> Drop for OpenGroup<'_, T> {
    fn drop(&mut self) {
        self.0.store().roll_back_together();
        self.0.group_ended.notify_all();
    }
}
