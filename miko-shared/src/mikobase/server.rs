//! What `setup` can do in the server process.

use miko_core::{Engine, Hook, HookResult, Mikobase, PendingSave, Target};
use miko_rpc::Result;

/// The handle that `setup` receives in the server process.
pub struct Server<'e> {
    engine: &'e dyn Engine,
}

impl<'e> Server<'e> {
    pub(super) const fn of(engine: &'e dyn Engine) -> Self {
        Self { engine }
    }
}

impl Server<'_> {
    /// The store itself, in the server process.
    pub fn db(&self) -> &dyn Mikobase {
        self.engine
    }

    /// As [`Uds::before_save`](crate::Uds::before_save), from now on: what `setup` has written before is not
    /// affected.
    ///
    /// # Errors
    /// Every fault of the target.
    pub fn before_save<F>(&self, target: impl Into<Target>, hook: F) -> Result<()>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.add_hook(Hook::new(target, hook)?)
    }

    /// As [`before_save`](Self::before_save), with a hook that was made before.
    ///
    /// # Errors
    /// `self-call` in a hook.
    pub fn add_hook(&self, hook: Hook) -> Result<()> {
        self.engine.add_hook(hook)
    }
}
