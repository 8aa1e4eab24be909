//! What the closure of `Uds::setup` gets, to use the store of a share.

use std::cell::RefCell;

use miko_core::{AfterSave, Change, Engine, Hook, HookResult, Mikobase, MikobaseExt, PendingSave, Target};
use miko_rpc::Result;

/// The argument of the closure of [`Uds::setup`](crate::Uds::setup), by which the closure uses the store in
/// the server process.
pub struct Server<'e> {
    engine: &'e dyn Engine,
    /// The listeners added so far. The server ends them before it delivers the final state.
    listeners: &'e RefCell<Vec<AfterSave>>,
}

impl<'e> Server<'e> {
    pub(super) const fn of(engine: &'e dyn Engine, listeners: &'e RefCell<Vec<AfterSave>>) -> Self {
        Self { engine, listeners }
    }
}

impl Server<'_> {
    /// The Mikobase that is shared. Calls run in this process, without a proxy.
    pub fn db(&self) -> &dyn Mikobase {
        self.engine
    }

    /// As [`Uds::before_save`](crate::Uds::before_save), from now on: the hook does not run for records that
    /// `setup` has already written.
    ///
    /// # Errors
    /// All faults of the target; `self-call`, if a hook makes this call.
    pub fn before_save<F>(&self, target: impl Into<Target>, hook: F) -> Result<()>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.add_hook(Hook::new(target, hook)?)
    }

    /// Calls `listener` in the server process for each committed change of the target, in a separate thread,
    /// until the share ends: see [`MikobaseExt::after_save`]. The final state is delivered only after
    /// `listener` was called for all changes. Changes that were left out are replaced by the error `lagged`.
    ///
    /// # Errors
    /// The errors of [`Mikobase::changes`]; `internal`, if no thread can be started.
    pub fn after_save(
        &self,
        target: impl Into<Target>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<()> {
        self.listeners.borrow_mut().push(self.engine.after_save(target, listener)?);
        Ok(())
    }

    /// As [`before_save`](Self::before_save), with a [`Hook`], which has its target and its name.
    ///
    /// # Errors
    /// `self-call`, if a hook makes this call.
    pub fn add_hook(&self, hook: Hook) -> Result<()> {
        self.engine.add_hook(hook)
    }
}
