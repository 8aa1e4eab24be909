//! Several calls in one transaction, each with its own result.
//!
//! `BEGIN` comes before the first write and `COMMIT` after the last call, so the calls share what a commit
//! costs: in memory the copies of the pages that it touches, in a file the wait for the disk. A savepoint for
//! each write would cost as much as it saves, so there is none. A write that fails before it has changed
//! anything, as most do that fail, fails alone. One that fails later spoils the transaction: it is rolled
//! back, and whoever asked makes the calls again, one by one.

use std::thread::{self, ThreadId};

use crate::class::Catalog;
use crate::engine::store::Store;
use crate::engine::store::pending::Pending;
use crate::engine::tables::Tables;
use crate::error::{Error, ErrorId, Result};

/// Calls that are being made together.
#[derive(Debug)]
pub(super) struct Together {
    /// The thread that makes them.
    thread: ThreadId,
    /// The classes that were defined before the first write, if there was a write.
    before: Option<Catalog>,
    /// A write has failed and left something: nothing of this can be committed.
    spoilt: bool,
}

impl<T: Tables> Store<T> {
    /// Begins calls that this thread makes together. `false` if some are being made already.
    pub(in crate::engine) fn begin_group(&mut self) -> bool {
        if self.together.is_some() {
            return false;
        }
        self.together = Some(Together { thread: thread::current().id(), before: None, spoilt: false });
        true
    }

    /// Whether another thread makes calls together.
    pub(in crate::engine) fn is_in_group_of_another_thread(&self) -> bool {
        self.together.as_ref().is_some_and(|together| together.thread != thread::current().id())
    }

    /// Does `work` in the transaction of the calls that are made together, which begins with their first
    /// write.
    pub(super) fn write_together<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.begin_together()?;
        self.begin_writing();
        let changes = self.tables.changes();
        let mut write = Write { store: self, changes, done: false };
        let done = work(write.store)?;
        write.store.check_pending()?;
        write.done = true;
        Ok(done)
    }

    fn begin_together(&mut self) -> Result<()> {
        match &self.together {
            Some(Together { spoilt: true, .. }) => {
                // Nobody gets to see this: the call is made again.
                Err(Error::new(ErrorId::INTERNAL, "calls that were made with this one have failed"))
            }
            Some(Together { before: None, .. }) => {
                self.end_standing()?;
                self.tables.begin()?;
                let catalog = self.catalog.clone();
                self.together.iter_mut().for_each(|together| together.before = Some(catalog.clone()));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Commits what was written, if all of it can be.
    pub(in crate::engine) fn commit_together(&mut self) -> bool {
        match &self.together {
            Some(Together { before: Some(_), spoilt: false, .. }) => {
                let committed = self.tables.commit().is_ok();
                if committed {
                    self.together = None;
                }
                committed
            }
            Some(Together { spoilt: true, .. }) => false,
            _ => true,
        }
    }

    /// Ends calls that were made together. If they were not committed, nothing of them is left.
    pub(in crate::engine) fn roll_back_together(&mut self) {
        if let Some(Together { before: Some(before), .. }) = self.together.take() {
            self.roll_back_to(before);
        }
    }
}

/// One write. It has failed if it is not done when this is dropped.
struct Write<'s, T: Tables> {
    store: &'s mut Store<T>,
    /// What [`Tables::changes`] was before.
    changes: u64,
    done: bool,
}

impl<T: Tables> Drop for Write<'_, T> {
    fn drop(&mut self) {
        let store = &mut *self.store;
        store.pending = Pending::default();
        // After errors upon which SQLite rolls back by itself, no transaction is open.
        let left_something = store.tables.changes() != self.changes || !store.tables.in_transaction();
        if !self.done && left_something {
            store.together.iter_mut().for_each(|together| together.spoilt = true);
        }
    }
}
