//! Engines: what holds the records of a Mikobase in its own process.

mod explain;
mod local;
pub(crate) mod opening;
mod sqlite;
mod store;
mod tables;
mod worldlet;

use std::io::{Read, Write};

use crate::error::Result;
use crate::mikobase::{Mikobase, Query};
use crate::worldlet::Imported;

pub use explain::Explanation;
pub use local::LocalEngine;
pub use sqlite::SqliteEngine;
pub(crate) use tables::Tables;
pub use worldlet::WorldletEngine;

/// A Mikobase in this process, which can therefore give away its whole state.
pub trait Engine: Mikobase {
    /// Writes the whole state as a worldlet, record by record. Nobody else gets at the engine meanwhile, which is what makes it
    /// quicker than [`export_worldlet`](crate::MikobaseExt::export_worldlet).
    ///
    /// The text is canonical: the same state gives the same text, one record per line.
    ///
    /// # Errors
    /// If the store could not be read, or `writer` failed; it may have got a part of the worldlet by then.
    fn write_worldlet(&self, writer: &mut dyn Write) -> Result<()>;

    /// Writes all records of a worldlet, over those that have the same pk. Definitions hold for all of them, wherever they
    /// stand. Records are checked and stay as they are: no defaults, no `collapse`, no other order of fields.
    ///
    /// With `trust`, what validation finds becomes a warning: an export of a Mikobase can always be imported so, though
    /// definitions changed after its records were written.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; nothing was imported then.
    fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported>;

    /// How a select is run: what of it is SQL, with which values, and which index it uses. Nothing is run.
    ///
    /// # Errors
    /// Every fault of the request at once; `invalid_request` also, if it is no select.
    fn explain(&self, query: Query) -> Result<Explanation>;

    /// Limits the answer to a call of [`q0`](Mikobase::q0), [`by_class`](Mikobase::by_class),
    /// [`history`](Mikobase::history) or [`batch`](Mikobase::batch): it fails with `request-too-large` as soon as its texts
    /// have more bytes. There is no limit by default; a server sets that of its frames. Streams have none.
    fn limit_answers(&self, bytes: usize) {
        let _ = bytes;
    }

    /// Keeps the data of this engine within five eighths of `bytes`, so that a write beyond them fails with
    /// `storage-full`. Set the [limit of the process](crate::memory::limit) first.
    ///
    /// # Errors
    /// `internal`, if the engine cannot be limited.
    fn limit_memory(&self, bytes: usize) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Does it pay to make calls [`together`](Self::run_group), as it does where a commit waits for a disk?
    fn prefers_group_commit(&self) -> bool {
        false
    }

    /// Runs `calls`, which make calls of this engine in this thread, and commits what they change at once: one of them
    /// that fails undoes nothing of the others. Other threads wait until they are done.
    ///
    /// If it is false, nothing of what they changed is left, and none of their results holds: each call has to be made
    /// again, for itself.
    ///
    /// By default they are run as they come.
    ///
    /// ```
    /// use miko_core::{Engine, Mikobase, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let create = |n: u64| db.q0(json!({"action": "create", "bucket": {"n": n}}));
    /// let mut answers = Vec::new();
    /// if !db.run_group(&mut || answers = (0..3).map(create).collect()) {
    ///     answers = (0..3).map(create).collect();
    /// }
    /// assert!(answers.iter().all(Result::is_ok));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    fn run_group(&self, calls: &mut dyn FnMut()) -> bool {
        calls();
        true
    }
}
