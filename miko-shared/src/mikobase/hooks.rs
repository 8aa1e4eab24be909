//! The hooks that are added to a [`Uds`], the builder of a share.

use miko_core::{Engine, Hook, HookResult, PendingSave, Target};
use miko_rpc::Result;

use crate::share::Uds;

/// The hooks of a builder. A hook whose target is invalid is represented by the error of the target, which
/// fails the share when the share starts.
#[derive(Default)]
pub(super) struct BuilderHooks(Vec<Result<Hook>>);

impl BuilderHooks {
    /// Adds the hooks to the engine of a server process.
    pub(super) fn add_to(&self, engine: &dyn Engine) -> Result<()> {
        self.0.iter().try_for_each(|hook| engine.add_hook(hook.clone()?))
    }
}

impl Uds {
    /// Runs `hook` in the server process before each record of the target is saved, by any client and by any
    /// kind of write. The hook runs inside the transaction of the save. It sees the record before and after
    /// the write, can read the database, and can amend the new bucket. It can also refuse the save: the
    /// caller then gets `save-rejected`, and everything that is written together with the record is rolled
    /// back. A panic refuses the save as well.
    ///
    /// Several hooks run in the order in which they were added; hooks that `setup` adds run last. The hooks
    /// of this method run for the records that `setup` writes. They do not run for the records of the schemas
    /// and worldlets that the share loads at its start.
    ///
    /// A target is a pk, the name of a class, or a condition of Q0. An invalid target fails the share.
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
    /// The name of the hook is the name of the function, or of the function that contains the closure.
    /// [`add_hook`](Self::add_hook) takes a hook with another name.
    #[must_use]
    pub fn before_save<F>(mut self, target: impl Into<Target>, hook: F) -> Self
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.mikobase_options().hooks.0.push(Hook::new(target, hook));
        self
    }

    /// As [`before_save`](Self::before_save), with a [`Hook`], which has its target and its name.
    #[must_use]
    pub fn add_hook(mut self, hook: Hook) -> Self {
        self.mikobase_options().hooks.0.push(Ok(hook));
        self
    }
}
