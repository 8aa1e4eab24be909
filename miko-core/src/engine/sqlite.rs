//! The engine on SQLite.
//!
//! [`tables`] are what a store needs, a prepared statement for each. A select is layers: the store's `plan` looks up what is
//! known of the classes, [`compile`] turns it into a [`statement`] (SQL and bound values, kept apart), [`read`] runs one and
//! copies the rows. No layer above this module sees SQL.
//!
//! | subject | where |
//! | --- | --- |
//! | the connection and its statements; a database file | here, [`prepared`]; [`file`] |
//! | the tables; the ids of classes and constraints | [`tables`], [`id_cache`] |
//! | the SQL text and values of a select; running one | [`compile`], [`statement`], [`read`] |
//! | showing how a select is run | [`explain`] |
//! | what SQLite calls back | [`functions`] |
//! | a limit of its memory | [`heap`] |
//! | what SQLite's errors mean | [`faults`] |

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

const SCHEMA: &str = include_str!("../../../schema/sqlite.sql");

/// What a temporal database has besides.
const TEMPORAL: &str = include_str!("../../../schema/temporal.sql");

/// A database in memory has no file to protect: no rollback journal on disk, nothing to flush.
const IN_MEMORY: &str = "PRAGMA journal_mode = memory; PRAGMA synchronous = off;";

/// No temporary files. What the tables declare of each other is the store's to keep: SQLite would look every row up again
/// that it has just written or read.
const PRAGMAS: &str = "PRAGMA foreign_keys = off; PRAGMA temp_store = memory;";

/// Every shape of a select is a statement, and there are more of them than of anything else.
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
    /// An empty database in memory, which lives as long as this value.
    ///
    /// # Errors
    /// `storage-full`, if there is no memory for it.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::in_memory(false)?, Mode::ReadWrite)?))
    }

    /// The same, temporal: every version of a record is kept.
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

    /// The database in a file. In mode `rw` it is created if there is none, and belongs to this process until this value
    /// is dropped: a write that was acknowledged survives a crash of the process and of the machine.
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
    /// `backend-in-use`, if somebody maintains the file; `invalid-backend`, if it is no Mikobase, or of a newer version,
    /// or missing and to be read. The file is then as it was.
    pub fn open(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, false)?, mode)?))
    }

    /// The same, temporal: a database that is created now keeps every version of a record. One that exists is what it was
    /// when it was created.
    ///
    /// # Errors
    /// As [`open`](Self::open); `invalid-backend` also, if it exists and is not temporal.
    pub fn open_temporal(path: impl AsRef<Path>, mode: Mode) -> Result<Self> {
        Ok(Self::of(Store::on(Sqlite::open(path.as_ref(), mode, true)?, mode)?))
    }
}

/// The tables in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    connection: StatementCache,
    /// The ids of classes and constraints that were asked for.
    ids: RefCell<IdCache>,
    /// The file, if there is one. It ends after the connection.
    lease: Option<FileLease>,
    temporal: bool,
}

impl Sqlite {
    /// Tables in memory, all of them empty.
    pub(super) fn in_memory(temporal: bool) -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(IN_MEMORY)?;
        connection.execute_batch(SCHEMA)?;
        if temporal {
            connection.execute_batch(TEMPORAL)?;
        }
        Self::on(connection, None)
    }

    /// Opens a file, which other processes cannot maintain then. One that is new becomes `temporal`.
    fn open(path: &Path, mode: Mode, temporal: bool) -> Result<Self> {
        let (connection, lease) = file::open(path, mode, temporal)?;
        Self::on(connection, Some(lease))
    }

    fn on(connection: Connection, lease: Option<FileLease>) -> Result<Self> {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.execute_batch(PRAGMAS)?;
        // A plan that depends on the values bound to it would be made anew whenever they change.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        rusqlite::vtab::array::load_module(&connection)?;
        functions::register(&connection)?;
        let temporal = connection.table_exists(None, "version")?;
        let connection = StatementCache::new(connection);
        Ok(Self { connection, ids: RefCell::default(), lease, temporal })
    }

    /// How many rows each of the tables has that a create enters something into.
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
    fn a_panic_under_the_lock_costs_one_call_only() {
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
    fn work_that_fails_or_panics_leaves_nothing() {
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
    fn a_full_store_says_so_and_is_unchanged() {
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
