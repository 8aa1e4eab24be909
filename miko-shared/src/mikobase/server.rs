//! The handle of `setup` in the server process.

use std::cell::RefCell;

use miko_core::{AfterSave, Change, Engine, Hook, HookResult, Mikobase, MikobaseExt, PendingSave, Target};
use miko_rpc::Result;

/// The handle that `setup` receives in the server process.
pub struct Server<'e> {
    engine: &'e dyn Engine,
    listeners: &'e RefCell<Vec<AfterSave>>,
}

impl<'e> Server<'e> {
    pub(super) const fn of(engine: &'e dyn Engine, listeners: &'e RefCell<Vec<AfterSave>>) -> Self {
        Self { engine, listeners }
    }
}

impl Server<'_> {
    /// The store itself, in the server process.
    pub fn db(&self) -> &dyn Mikobase {
        self.engine
    }

    /// As [`Uds::before_save`](crate::Uds::before_save), from now on: a record that `setup` has written
    /// before is not affected.
    ///
    /// # Errors
    /// Every fault of the target.
    pub fn before_save<F>(&self, target: impl Into<Target>, hook: F) -> Result<()>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.add_hook(Hook::new(target, hook)?)
    }

    /// Calls `listener` in the server process for each committed change of the target, in a thread of its
    /// own, until the share ends: see [`MikobaseExt::after_save`]. The share ends when it was called for all
    /// of them.
    ///
    /// # Errors
    /// The errors of [`Mikobase::changes`].
    pub fn after_save(
        &self,
        target: impl Into<Target>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<()> {
        self.listeners.borrow_mut().push(self.engine.after_save(target, listener)?);
        Ok(())
    }

    /// As [`before_save`](Self::before_save), with a hook that was made before.
    ///
    /// # Errors
    /// `self-call` in a hook.
    pub fn add_hook(&self, hook: Hook) -> Result<()> {
        self.engine.add_hook(hook)
    }
}
