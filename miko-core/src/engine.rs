//! Engines: they hold the records of a Mikobase in their own process.
//!
//! | subject | module |
//! | --- | --- |
//! | the engine on any storage: a store that threads share | [`local`] |
//! | opens a database in SQLite; in a worldlet | [`sqlite`]; [`worldlet`] |
//! | the operations of a Mikobase on a storage | [`store`] |
//! | the error of too many open streams, transfers or subscriptions | [`open_limit`] |
//! | the engine on the simplest storage, for tests | `naive` |

mod local;
#[cfg(feature = "naive-storage")]
mod naive;
mod open_limit;
mod sqlite;
mod store;
mod worldlet;

use std::io::{Read, Write};

use miko_rpc::{Error, ErrorId, GroupFailure, Result};

use crate::access::Access;
use crate::change::ChangeLimits;
use crate::hook::Hook;
use crate::mikobase::{Mikobase, Query};
use crate::transaction_limits::TransactionLimits;
use crate::worldlet::Imported;

pub use crate::storage::explain::Explanation;
pub use local::LocalEngine;
#[cfg(feature = "naive-storage")]
pub use naive::NaiveEngine;
pub use sqlite::SqliteEngine;
pub use worldlet::WorldletEngine;

/// A Mikobase in this process. Beside the methods of [`Mikobase`] it has methods for the process that holds
/// the records: writing and reading the whole state, explaining selects, limits, hooks, restricted access and
/// group commit.
pub trait Engine: Mikobase {
    /// Writes the whole state as a worldlet, record by record. The engine is locked meanwhile, which makes
    /// this faster than [`export_worldlet`](crate::MikobaseExt::export_worldlet).
    ///
    /// The text is canonical: the same state gives the same text, one record per line.
    ///
    /// # Errors
    /// If the store could not be read, or `writer` failed. `writer` may have received a part of the worldlet.
    fn write_worldlet(&self, writer: &mut dyn Write) -> Result<()>;

    /// Writes all records of a worldlet. Records with the same pk are overwritten. Class definitions apply to
    /// all records, wherever they occur in the worldlet. Records are checked and stored unchanged: no
    /// defaults are filled in, no white space is collapsed, no fields are reordered.
    ///
    /// With `trust`, violations of the rules of classes become warnings; a unique value that another record
    /// has remains an error. So with `trust` an export can always be imported into an empty database (a
    /// temporal one, if the export is temporal), even if definitions changed after its records were written.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer, also if `reader` fails; `save-rejected`
    /// by a hook; the errors of a write, such as `read-only-connection`, `lock-timeout` and `storage-full`.
    /// Nothing is imported then.
    fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported>;

    /// Explains how a select would be executed, without executing it: its SQL, the bound values and the index
    /// that it uses.
    ///
    /// A select by pks alone may find its records in the record cache, without this SQL.
    ///
    /// # Errors
    /// Every fault of the request at once; also `invalid_request`, if the request is not a select.
    fn explain(&self, query: Query) -> Result<Explanation>;

    /// Limits the size of the answer to a call that returns records, versions, pks or values, such as
    /// [`q0`](Mikobase::q0), [`history`](Mikobase::history) and [`batch`](Mikobase::batch): the call fails
    /// with `request-too-large` as soon as the texts of its answer exceed `bytes`. By default there is no
    /// limit; a server sets its frame limit. A stream is not limited as a whole. If its items are pieces of
    /// bytes, each piece has at most half of the limit.
    ///
    /// The default implementation sets no limit.
    fn limit_answers(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Limits the data that this engine has in memory to five eighths of `bytes`: a write beyond that fails
    /// with `storage-full`. The rest is for the calls that run. Set the [limit of the
    /// process](miko_rpc::memory::limit) first.
    ///
    /// The default implementation sets no limit.
    ///
    /// # Errors
    /// `internal`, if the engine cannot be limited; `self-call` in a hook or waker that this engine runs.
    fn limit_memory(&self, bytes: usize) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Adds a hook, which runs before each record of its target is saved. If several hooks match a record,
    /// they run in the order in which they were added.
    ///
    /// # Errors
    /// `self-call` in a hook or waker that this engine runs; `action-not-supported` from an engine that has
    /// no hooks.
    fn add_hook(&self, hook: Hook) -> Result<()> {
        let message = format!("this engine runs no hooks, such as `{}`", hook.name());
        Err(Error::new(ErrorId::ACTION_NOT_SUPPORTED, message))
    }

    /// Restricts the writes that this engine accepts from now on, through any method. A restriction is never
    /// lifted.
    ///
    /// ```
    /// use miko_core::{Access, Engine, ErrorId, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// db.restrict(Access::AppendOnly)?;
    /// let pk = db.create("starfleet.com/log", &json!({"entry": "All is well."}))?;
    /// assert!(db.update(&pk, &json!({})).unwrap_err().is(ErrorId::ACTION_NOT_SUPPORTED));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `self-call` in a hook or waker that this engine runs; `action-not-supported` from an engine that
    /// accepts all writes.
    fn restrict(&self, access: Access) -> Result<()> {
        let message = format!("this engine cannot be restricted to {access:?}");
        Err(Error::new(ErrorId::ACTION_NOT_SUPPORTED, message))
    }

    /// Sets the limits of transactions.
    ///
    /// The default implementation sets no limits.
    ///
    /// # Panics
    /// In a hook or waker that this engine runs.
    fn limit_transactions(&self, limits: TransactionLimits) {
        let _ = limits;
    }

    /// Sets the limits of changes and live queries. [`keep`](ChangeLimits::keep) takes effect at once. The
    /// sizes take effect when the next subscription or live query begins: [`queue`](ChangeLimits::queue) and
    /// [`live_query`](ChangeLimits::live_query) only for the new one, [`ring`](ChangeLimits::ring) for the
    /// changes that are kept for all of them.
    ///
    /// The default implementation sets no limits.
    ///
    /// # Panics
    /// In a hook or waker that this engine runs.
    fn limit_changes(&self, limits: ChangeLimits) {
        let _ = limits;
    }

    /// Whether several calls should be committed together with [`run_group`](Self::run_group), for example
    /// because a commit waits for a disk.
    fn prefers_group_commit(&self) -> bool {
        false
    }

    /// Group commit: calls `call` with 0, 1 and so on until it returns `false`. The changes that `call` makes
    /// through this engine, in this thread, share a commit. A call that fails does not undo the others. Other
    /// threads wait until the group has ended.
    ///
    /// The group commits its earlier changes before its end in three cases: before a write that needs a
    /// commit of its own, such as an import; when a stream, a subscription, a live query or a transaction is
    /// opened; and when a live query is read.
    ///
    /// The default implementation runs the calls without grouping them. An engine on which a group or a
    /// transaction is already open does the same.
    ///
    /// ```
    /// use miko_core::{Engine, Mikobase, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let mut answers = Vec::new();
    /// db.run_group(&mut |n| {
    ///     answers.push(db.q0(json!({"action": "create", "bucket": {"n": n}})));
    ///     answers.len() < 3
    /// })
    /// .map_err(|failure| failure.error)?;
    /// assert!(answers.iter().all(Result::is_ok));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The index of the first call whose changes could not all be committed, with the reason. The changes of
    /// the calls before this one are durable. The answers of this call and of later calls are invalid. In a
    /// hook or waker that this engine runs: index 0 with `self-call`, and no call is run.
    fn run_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        (0..).take_while(|index| call(*index)).for_each(drop);
        Ok(())
    }
}
