//! Adding hooks to a local engine.

use miko_rpc::Result;

use super::LocalEngine;
use crate::engine::Engine;
use crate::hook::{Hook, HookResult, PendingSave};
use crate::storage::Storage;
use crate::target::Target;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage> LocalEngine<T> {
    /// Runs `hook` before each save of a record of the target. The hook runs inside the write. It can read
    /// the database as the write sees it, and may amend or refuse the record. Exception: a record that is
    /// deleted, or that an import, a merge or a schema stores, can only be refused.
    ///
    /// The hook runs from now on; existing records are not affected. Several hooks run in the order in which
    /// they were added.
    ///
    /// The name of the hook is that of the function `hook`, or of the function in which the closure was
    /// written. [`Hook::named`] gives a hook another name.
    ///
    /// ```
    /// use miko_core::{ErrorId, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// db.before_save("starfleet.com/officer", |save| {
    ///     let same_name = json!({"class": save.class(), "path": ["name", save.get("name")]});
    ///     if save.before().is_none() && save.db().count(same_name)? > 0 {
    ///         return Err("there is an officer of this name".into());
    ///     }
    ///     Ok(())
    /// })?;
    /// db.create("starfleet.com/officer", &json!({"name": "Spock"}))?;
    /// let error = db.create("starfleet.com/officer", &json!({"name": "Spock"})).unwrap_err();
    /// assert!(error.is(ErrorId::SAVE_REJECTED));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every fault of the target; `self-call` in a hook or a waker that this database runs.
    pub fn before_save<F>(&self, target: impl Into<Target>, hook: F) -> Result<()>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.add_hook(Hook::new(target, hook)?)
    }
}
