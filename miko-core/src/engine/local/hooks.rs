//! Adding hooks to a local engine.

use miko_rpc::Result;

use super::LocalEngine;
use crate::engine::Engine;
use crate::hook::{Hook, HookResult, PendingSave};
use crate::storage::Storage;
use crate::target::Target;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage> LocalEngine<T> {
    /// Runs `hook` before each record of the target is saved, by whatever way: inside the running write, in
    /// which it reads the database, and may amend or refuse the record. Several hooks run in the order in
    /// which they were added, from now on. Existing records are not affected.
    ///
    /// The hook has the name of the function that it is, or in which the closure was written.
    /// [`Hook::named`] gives it another.
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
    /// Every fault of the target.
    pub fn before_save<F>(&self, target: impl Into<Target>, hook: F) -> Result<()>
    where
        F: Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    {
        self.add_hook(Hook::new(target, hook)?)
    }
}
