//! The hooks of the builder of a share.

use miko_core::{Engine, Hook, HookResult, PendingSave, Target};
use miko_rpc::Result;

use crate::share::Uds;

/// The hooks of a builder. A fault of a target is kept, and fails the share.
#[derive(Default)]
pub(super) struct BuilderHooks(Vec<Result<Hook>>);

impl BuilderHooks {
    /// Adds them to the engine of a server process.
    pub(super) fn add_to(&self, engine: &dyn Engine) -> Result<()> {
        self.0.iter().try_for_each(|hook| engine.add_hook(hook.clone()?))
    }
}

impl Uds {
    /// Runs `hook` in the server process before each record of the target is saved, by any worker and in
    /// any way: inside the transaction of the save. It sees the record before and after, can read
    /// the database, can amend the new bucket, and can refuse: the caller then gets `save-rejected`, and all
    /// that is written together with the record is rolled back. A panic refuses as well.
    ///
    /// Several hooks run in the order in which they were added. They are in force once schema and worldlet
    /// are loaded; those that `setup` adds run after these. The hooks also run for the records that `setup`
    /// writes.
    ///
    /// A target is a pk, the name of a class, or a condition of Q0. A target that is invalid fails the share.
    ///
    /// ```no_run
    /// use miko_shared::Uds;
    ///
    /// let report = Uds::new()?
    ///     .before_save("bank.com/payment", |payment| {
    ///         match payment.get("amount").and_then(|amount| amount.as_i64()) {
    ///             Some(1..) | None => Ok(()),
    ///             Some(amount) => Err(format!("{amount} is not positive").into()),
    ///         }
    ///     })
    ///     .mikobase(4, |db, worker| Ok(()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The hook has the name of the function that it is, or in which the closure was written:
    /// [`add_hook`](Self::add_hook) takes one with another name.
    #[must_use]
    pub fn before_save<F>(mut self, target: impl Into<Target>, hook: F) -> Self
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.mikobase_options().hooks.0.push(Hook::new(target, hook));
        self
    }

    /// As [`before_save`](Self::before_save), with a hook that was made before.
    #[must_use]
    pub fn add_hook(mut self, hook: Hook) -> Self {
        self.mikobase_options().hooks.0.push(Ok(hook));
        self
    }
}
