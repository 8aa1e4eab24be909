//! The engine on a worldlet: a JSON document, held natively, without SQLite.
//!
//! | subject | where |
//! | --- | --- |
//! | the tables, as maps | [`tables`], [`table`] |
//! | which records a select looks at; the evaluator does the rest | [`select`] |
//! | the file: whose it is, saving it | [`file`] |

mod file;
mod select;
mod tables;
mod undo_table;

use std::io::Seek;
use std::path::Path;

use crate::engine::local::LocalEngine;
use crate::engine::opening::{invalid, unusable};
use crate::engine::store::Store;
use crate::error::Result;
use crate::mode::Mode;
use crate::worldlet::is_temporal_worldlet;
use file::WorldletFile;
use tables::MemoryTables;

/// A Mikobase in a worldlet: records are held in memory, and a commit writes the whole file anew.
///
/// It is made for small databases that people want to read, edit and keep under version control. What it answers is what
/// [`SqliteEngine`](crate::SqliteEngine) answers.
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
    /// An empty worldlet in memory, which lives as long as this value.
    ///
    /// # Errors
    /// None that is known.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::of(Store::on(MemoryTables::default(), Mode::ReadWrite)?))
    }

    /// The same, temporal: every version of a record is kept.
    ///
    /// # Errors
    /// As [`in_memory`](Self::in_memory).
    pub fn temporal_in_memory() -> Result<Self> {
        Ok(Self::of(Store::on(MemoryTables::temporal(), Mode::ReadWrite)?))
    }

    /// The worldlet in a file. In mode `rw` it is created if there is none, and belongs to this process until this value is
    /// dropped: a write that was acknowledged survives a crash of the process and of the machine. In mode `r` it is read
    /// once; what others do to the file later is not seen.
    ///
    /// Faults of validation do not keep it from being opened: its definitions may have changed after its records were
    /// written.
    ///
    /// # Errors
    /// `backend-in-use`, if another process maintains the file; `invalid-worldlet`, if it is none; `invalid-backend`, if it
    /// is missing and to be read. The file is then as it was.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Self::open_as(path.as_ref(), mode, false)
    }

    /// The same, temporal: a worldlet that is created now keeps every version of a record. One that exists is what it says.
    ///
    /// # Errors
    /// As [`open`](Self::open); `invalid-backend` also, if it exists and is not temporal.
    pub fn open_temporal(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Self::open_as(path.as_ref(), mode, true)
    }

    fn open_as(path: &Path, mode: Mode, temporal: bool) -> Result<Self> {
        let (file, mut content) = WorldletFile::open(path, mode)?;
        let is_temporal = match &mut content {
            Some(content) => {
                let is_temporal = is_temporal_worldlet(content);
                content.rewind().map_err(|fault| unusable(path, &fault))?;
                is_temporal
            }
            None => temporal,
        };
        if temporal && !is_temporal {
            let message = "the worldlet is not temporal: that is chosen when one is created";
            return Err(invalid(path, message));
        }
        let tables = if is_temporal { MemoryTables::temporal() } else { MemoryTables::default() };
        let mut store = Store::on(tables, Mode::ReadWrite)?;
        let is_new = content.is_none();
        if let Some(mut content) = content {
            let imported = store.write(|store| store.import_worldlet(&mut content, true));
            imported.map_err(|error| error.with_all("path", path.display().to_string()))?;
        }
        if let Some(file) = file {
            store.tables.keep_in(file);
        }
        if is_new {
            store.tables.save()?;
        }
        Ok(Self::of(Store::on(store.tables, mode)?))
    }
}
