//! The engine on a worldlet: a JSON document whose records are held in memory, without SQLite.
//!
//! | subject | where |
//! | --- | --- |
//! | locking and saving the file | [`file`] |

mod file;

use std::io::Seek;
use std::path::Path;

use crate::engine::local::LocalEngine;
use crate::engine::store::transaction::CommitSharing;
use crate::engine::store::{Store, export};
use crate::mode::Mode;
use crate::storage::memory::MemoryTables;
use crate::storage::opening::{cannot_open, invalid_backend};
use crate::worldlet::is_temporal_worldlet;
use file::WorldletFile;
use miko_rpc::Result;

/// A Mikobase in a worldlet: records are held in memory, and each commit rewrites the whole file.
///
/// It is made for small databases that people read, edit and keep under version control. It returns the same
/// results as [`SqliteEngine`](crate::SqliteEngine).
///
/// ```
/// use miko_core::backend::Mode;
/// use miko_core::{Mikobase, MikobaseExt, WorldletEngine};
/// use serde_json::json;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("crew.json");
/// let db = WorldletEngine::open(&path, Mode::ReadWrite)?;
/// let pk = db.create("starfleet.com/officer", &json!({"name": "Spock"}))?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(&pk));
/// # Ok::<(), miko_core::Error>(())
/// ```
pub type WorldletEngine = LocalEngine<MemoryTables>;

impl LocalEngine<MemoryTables> {
    /// Creates an empty worldlet in memory, which lives as long as this value and what it has returned:
    /// streams, uploads, imports and transactions.
    ///
    /// # Errors
    /// None are known.
    pub fn in_memory() -> Result<Self> {
        let is_temporal = false;
        Ok(Self::of(Store::on(MemoryTables::new(is_temporal), Mode::ReadWrite)?))
    }

    /// As [`in_memory`](Self::in_memory), but temporal: every version of a record is kept.
    ///
    /// # Errors
    /// As [`in_memory`](Self::in_memory).
    pub fn temporal_in_memory() -> Result<Self> {
        let is_temporal = true;
        Ok(Self::of(Store::on(MemoryTables::new(is_temporal), Mode::ReadWrite)?))
    }

    /// Opens the worldlet in a file. In mode `rw` the file is created if it is missing, and locked until this
    /// value and the streams, uploads, imports and transactions that it has returned are dropped. An
    /// acknowledged write survives a crash of the process and of the machine. In mode `r` the file is read
    /// once, without a lock; later changes of the file have no effect.
    ///
    /// Violated rules of classes do not prevent opening: definitions may have changed after the records were
    /// written.
    ///
    /// # Errors
    /// `invalid-worldlet`, if the content is not a worldlet; `invalid-backend`, if the file cannot be opened
    /// or is not a regular file, and in mode `r` also if it is missing or empty; in mode `rw`
    /// `backend-in-use`, if the file is open in mode `rw` already, in this process or another;
    /// `storage-full`, if the memory limit is reached. After these errors the file is unchanged. In mode `rw`
    /// also the errors of saving a new worldlet, such as `storage-full` and `not-writable`: an empty file may
    /// stay.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let requires_temporal = false;
        Self::open_or_create(path.as_ref(), mode, requires_temporal)
    }

    /// As [`open`](Self::open), but a worldlet that is created now is temporal: it keeps every version of a
    /// record. The kind of an existing worldlet does not change.
    ///
    /// # Errors
    /// As [`open`](Self::open); also `invalid-backend`, if the worldlet exists and is not temporal. The file
    /// is unchanged then, too.
    pub fn open_temporal(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        let requires_temporal = true;
        Self::open_or_create(path.as_ref(), mode, requires_temporal)
    }

    /// With `requires_temporal`, a new worldlet is temporal, and one that exists must be.
    fn open_or_create(path: &Path, mode: Mode, requires_temporal: bool) -> Result<Self> {
        let (file, mut content) = WorldletFile::open(path, mode)?;
        let is_temporal = match &mut content {
            Some(content) => {
                let is_temporal = is_temporal_worldlet(content);
                content.rewind().map_err(|error| cannot_open(path, error))?;
                is_temporal
            }
            None => requires_temporal,
        };
        if requires_temporal && !is_temporal {
            let message = "the worldlet is not temporal: that is chosen when one is created";
            return Err(invalid_backend(path, message));
        }
        let tables = MemoryTables::new(is_temporal);
        // The import needs write access also in mode `r`.
        let mut store = Store::on(tables, Mode::ReadWrite)?;
        let is_new = content.is_none();
        if let Some(mut content) = content {
            let trust = true; // Violated rules of classes do not prevent opening.
            let imported =
                store.write(CommitSharing::Separate, |store| store.import_worldlet(&mut content, trust));
            imported.map_err(|error| error.with_all("path", path.display().to_string()))?;
        }
        // The saving begins after the import: the content of the file was just read, so the commit of the
        // import need not write it again.
        if let Some(mut file) = file {
            let save = move |tables: &MemoryTables| file.save(|writer| export::write(tables, writer));
            store.storage.set_save(Box::new(save));
        }
        // A file without content says neither that it is a worldlet nor whether the worldlet is temporal.
        if is_new {
            store.storage.save()?;
        }
        // The store in mode `rw` was only for the import. The one that is returned has the requested mode.
        Ok(Self::of(Store::on(store.storage, mode)?))
    }
}
