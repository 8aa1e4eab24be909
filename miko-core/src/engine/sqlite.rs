//! The engine on SQLite.

use std::path::Path;

use miko_rpc::Result;

use crate::engine::local::LocalEngine;
use crate::engine::store::Store;
use crate::mode::Mode;
use crate::storage::sqlite::Sqlite;

/// A Mikobase in SQLite.
///
/// ```
/// use miko_core::{Mikobase, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// db.q0(json!({"action": "create", "class": "starfleet.com/officer", "bucket": {"rank": "Captain"}}))?;
/// let captains = db.q0(json!({"action": "select", "path": ["rank", "Captain"]}))?.into_records()?;
/// assert_eq!(captains.count(), 1);
/// # Ok::<(), miko_core::Error>(())
/// ```
pub type SqliteEngine = LocalEngine<Sqlite>;

impl LocalEngine<Sqlite> {
    /// Creates an empty database in memory, which lives as long as this value and what it has returned:
    /// streams, uploads, imports and transactions.
    ///
    /// # Errors
    /// `storage-full`, if memory is exhausted.
    pub fn in_memory() -> Result<Self> {
        let is_temporal = false;
        Ok(Self::of(Store::on(Sqlite::in_memory(is_temporal)?, Mode::ReadWrite)?))
    }

    /// As [`in_memory`](Self::in_memory), but temporal: every version of a record is kept.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::temporal_in_memory()?;
    /// let pk = db.create("starfleet.com/officer", &json!({"rank": "Commander"}))?;
    /// db.update(&pk, &json!({"rank": "Captain"}))?;
    /// db.delete(&pk)?;
    /// let active: Vec<bool> = db.history(&pk)?.iter().map(|version| version.active).collect();
    /// assert_eq!(active, [true, true, false]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`in_memory`](Self::in_memory).
    pub fn temporal_in_memory() -> Result<Self> {
        let is_temporal = true;
        Ok(Self::of(Store::on(Sqlite::in_memory(is_temporal)?, Mode::ReadWrite)?))
    }

    /// Opens the database in a file. In mode `rw` the file is created if it is missing, and locked until this
    /// value and the streams, uploads, imports and transactions that it has returned are dropped: no other
    /// process can open it. An acknowledged write survives a crash of the process and of the machine.
    ///
    /// ```
    /// use miko_core::backend::Mode;
    /// use miko_core::{MikobaseExt, SqliteEngine};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("crew.db");
    /// let db = SqliteEngine::open(&path, Mode::ReadWrite)?;
    /// db.create("starfleet.com/officer", &serde_json::json!({"name": "Spock"}))?;
    /// drop(db);
    /// let db = SqliteEngine::open(&path, Mode::Read)?;
    /// assert_eq!(db.count(serde_json::json!({}))?, 1);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `backend-in-use`, if the file is open already, in this process or another, unless both open it in mode
    /// `r`; `invalid-backend`, if it is not a Mikobase, cannot be opened, or was written by a newer version;
    /// in mode `r` also if it is missing, empty, or was written by an older version. After these errors the
    /// file is unchanged.
    ///
    /// Also `invalid-backend`, if the file system fails; `storage-full`, if the disk or the memory is full;
    /// `internal` for other errors of SQLite, such as those of a damaged file. After these errors the file
    /// may have been created or migrated; it can be opened again.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let wants_temporal = false;
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, wants_temporal)?, mode)?))
    }

    /// As [`open`](Self::open), but temporal: a file that is created now keeps every version of a record, and
    /// an existing file must be temporal already.
    ///
    /// # Errors
    /// As [`open`](Self::open); also `invalid-backend`, if the file exists and is not temporal. The file is
    /// unchanged after this error, too.
    pub fn open_temporal(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let wants_temporal = true;
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, wants_temporal)?, mode)?))
    }
}
