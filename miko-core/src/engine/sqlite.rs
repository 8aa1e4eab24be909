//! The engine on SQLite.
//!
//! [`tables`] implements the storage operations, each with a prepared statement. A select passes through
//! layers: the plan of the store resolves the classes and indexes, [`compile`] turns it into SQL with bound
//! values ([`sql_builder`]), [`read`] runs the statement and copies the rows. No layer above this module sees
//! SQL.
//!
//! | subject | where |
//! | --- | --- |
//! | the connection with its prepared statements; a database file | [`statement_cache`]; [`file`] |
//! | the tables; the ids of classes and constraints | [`tables`]; [`id_cache`] |
//! | the SQL text and bound values of a select; running it | [`compile`], [`sql_builder`]; [`read`] |
//! | explaining a select | [`explain`] |
//! | SQL functions for the paths of Q0 | [`functions`] |
//! | the memory limit | [`heap`] |
//! | mapping SQLite's errors to error ids | [`faults`] |

mod compile;
mod explain;
mod faults;
mod file;
mod functions;
mod heap;
mod id_cache;
mod read;
mod sql_builder;
mod statement_cache;
mod tables;

use std::cell::RefCell;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::engine::local::LocalEngine;
use crate::engine::store::Store;
use crate::error::Result;
use crate::mode::Mode;
use file::FileLease;
use id_cache::IdCache;
use statement_cache::StatementCache;

const SCHEMA: &str = include_str!("../../schema/sqlite.sql");

/// The additional tables of a temporal database.
const TEMPORAL: &str = include_str!("../../schema/temporal.sql");

/// A database in memory has no file to protect: no rollback journal on disk, nothing to flush.
const IN_MEMORY: &str = "PRAGMA journal_mode = memory; PRAGMA synchronous = off;";

/// No temporary files. The store enforces the foreign keys that the schema declares: SQLite would look up
/// again every row that was just written or read.
const PRAGMAS: &str = "PRAGMA foreign_keys = off; PRAGMA temp_store = memory;";

/// Each shape of a select is a statement of its own, so there are more of them than of the fixed statements.
const CACHED_STATEMENTS: usize = 256;

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
    /// Creates an empty database in memory, which lives as long as this value.
    ///
    /// # Errors
    /// `storage-full`, if memory is exhausted.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::in_memory(false)?, Mode::ReadWrite)?))
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
        Ok(Self::of(Store::on(Sqlite::in_memory(true)?, Mode::ReadWrite)?))
    }

    /// Opens the database in a file. In mode `rw` the file is created if it is missing, and locked until this
    /// value is dropped: no other process can open it. An acknowledged write survives a crash of the process
    /// and of the machine.
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
    /// `backend-in-use`, if the file is open for writing elsewhere; `invalid-backend`, if it is not a
    /// Mikobase, was written by a newer version, or is missing and `mode` is `r`. The file is then unchanged.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, false)?, mode)?))
    }

    /// As [`open`](Self::open), but a file that is created now is temporal: it keeps every version of a
    /// record. The kind of an existing file does not change.
    ///
    /// # Errors
    /// As [`open`](Self::open); also `invalid-backend`, if the file exists and is not temporal.
    pub fn open_temporal(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, true)?, mode)?))
    }
}

/// The tables in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    connection: StatementCache,
    /// The cached ids of classes and constraints.
    ids: RefCell<IdCache>,
    /// The registration of the file, if there is one. It is dropped after the connection.
    lease: Option<FileLease>,
    temporal: bool,
}

impl Sqlite {
    /// Creates empty tables in memory.
    pub(super) fn in_memory(temporal: bool) -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(IN_MEMORY)?;
        connection.execute_batch(SCHEMA)?;
        if temporal {
            connection.execute_batch(TEMPORAL)?;
        }
        Self::with_connection(connection, None)
    }

    /// Opens a file and locks it against other processes. A new file becomes temporal if `temporal` is set.
    fn open(path: &Path, mode: Mode, temporal: bool) -> Result<Self> {
        let (connection, lease) = file::open(path, mode, temporal)?;
        Self::with_connection(connection, Some(lease))
    }

    fn with_connection(connection: Connection, lease: Option<FileLease>) -> Result<Self> {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.execute_batch(PRAGMAS)?;
        // Query plans that depend on bound values would be compiled again whenever the values change.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        rusqlite::vtab::array::load_module(&connection)?;
        functions::register(&connection)?;
        let temporal = connection.table_exists(None, "version")?;
        let connection = StatementCache::new(connection);
        Ok(Self { connection, ids: RefCell::default(), lease, temporal })
    }

    /// Returns the number of rows of each table that a create writes to.
    #[cfg(test)]
    pub(super) fn counts(&self) -> Vec<i64> {
        let count = |table| format!("SELECT count(*) FROM {table}");
        ["record", "membership", "unique_value", "indexed_value", "reference"]
            .map(|table| self.connection.query_row(&count(table), [], |row| row.get(0)).unwrap())
            .to_vec()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::{Error, ErrorId};
    use crate::mikobase::Mikobase;

    #[test]
    fn a_panic_under_the_lock_fails_only_one_call() {
        let db = SqliteEngine::in_memory().unwrap();
        let panicked = std::thread::scope(|scope| {
            let write = || {
                db.store().write(|store| -> Result<()> {
                    store.tables.run("INSERT INTO class (uns) VALUES ('foo.com/x')", [])?;
                    panic!("in the middle of a write")
                })
            };
            scope.spawn(write).join()
        });
        assert!(panicked.is_err());
        db.q0(json!({"action": "create", "class": "foo.com/x", "bucket": {}})).unwrap();
        assert_eq!(db.by_class("foo.com/x").unwrap().count(), 1);
    }

    fn empty() -> Store<Sqlite> {
        Store::on(Sqlite::in_memory(false).unwrap(), Mode::ReadWrite).unwrap()
    }

    fn count(store: &Store<Sqlite>) -> i64 {
        store.tables.connection.query_row("SELECT count(*) FROM class", [], |row| row.get(0)).unwrap()
    }

    fn insert(store: &Store<Sqlite>) {
        store.tables.connection.execute("INSERT INTO class (uns) VALUES (hex(randomblob(8)))", []).unwrap();
    }

    #[test]
    fn a_write_that_fails_or_panics_is_rolled_back() {
        let mut store = empty();
        let failed: Result<()> = store.write(|store| {
            insert(store);
            Err(Error::new(ErrorId::INTERNAL, "no"))
        });
        assert!(failed.is_err());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Result<()> = store.write(|store| {
                insert(store);
                panic!("in the middle of a write");
            });
        }));
        assert!(panicked.is_err());
        assert_eq!(count(&store), 0);
        store.write(|store| store.tables.run("INSERT INTO class (uns) VALUES ('foo.com/x')", [])).unwrap();
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn a_write_to_a_full_store_fails_and_changes_nothing() {
        let mut store = empty();
        let pages: i64 =
            store.tables.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.tables.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
        let error = store
            .write(|store| {
                insert(store);
                store
                    .tables
                    .connection
                    .execute("INSERT INTO class (uns) VALUES (hex(zeroblob(100000)))", [])?;
                Ok(())
            })
            .unwrap_err();
        assert!(error.is(ErrorId::STORAGE_FULL), "{error}");
        assert_eq!(count(&store), 0);
    }
}
