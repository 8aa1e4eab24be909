//! The connection, and what happens inside a transaction or not at all.

use std::cell::RefCell;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::backend::Mode;
use crate::class::Catalog;
use crate::engine::sqlite::file::{self, Tenure};
use crate::engine::sqlite::functions;
use crate::engine::sqlite::numbers::Numbers;
use crate::engine::sqlite::pending::Pending;
use crate::engine::sqlite::pks::Pks;
use crate::engine::sqlite::standing::Standing;
use crate::engine::sqlite::together::Together;
use crate::error::{Error, ErrorId, Result};

const SCHEMA: &str = include_str!("../../../../schema/sqlite.sql");

/// A database in memory has no file to protect: no rollback journal on disk, nothing to flush.
const IN_MEMORY: &str = "PRAGMA journal_mode = memory; PRAGMA synchronous = off;";

/// No temporary files. What the tables declare of each other is ours to keep: SQLite would look every row up again that we
/// have just written or read.
const PRAGMAS: &str = "PRAGMA foreign_keys = off; PRAGMA temp_store = memory;";

/// Every shape of a select is a statement, and there are more of them than of anything else.
const CACHED_STATEMENTS: usize = 256;

/// The database and what has to be known about it between two calls.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) connection: Connection,
    /// How many writes there were; the number of the last one.
    pub(super) commits: i64,
    pub(super) pks: Pks,
    /// The classes that are defined now, inside the open transaction if there is one.
    pub(super) catalog: Catalog,
    /// What the open transaction has to look at again before it commits.
    pub(super) pending: Pending,
    /// The numbers of classes and constraints that were asked for.
    pub(super) numbers: RefCell<Numbers>,
    /// The calls that are made together now, if any are.
    pub(super) together: Option<Together>,
    /// The transaction that creates share, where one may stay open: in memory.
    pub(super) standing: Option<Standing>,
    mode: Mode,
    /// The file, if there is one. It ends after the connection.
    tenure: Option<Tenure>,
}

impl Store {
    pub(super) fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(IN_MEMORY)?;
        connection.execute_batch(SCHEMA)?;
        let store = Self::on(connection, Mode::ReadWrite, None)?;
        Ok(Self { standing: Some(Standing::default()), ..store })
    }

    /// Opens a file, which other processes cannot maintain then.
    pub(super) fn open(path: &Path, mode: Mode) -> Result<Self> {
        let (connection, tenure) = file::open(path, mode)?;
        let mut store = Self::on(connection, mode, Some(tenure))?;
        let last = "SELECT coalesce(max(commit_seq), 0) FROM record";
        store.commits = store.connection.query_row(last, [], |row| row.get(0))?;
        store.load_catalog()?;
        Ok(store)
    }

    fn on(connection: Connection, mode: Mode, tenure: Option<Tenure>) -> Result<Self> {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.execute_batch(PRAGMAS)?;
        // A plan that depends on the values bound to it would be made anew whenever they change.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        rusqlite::vtab::array::load_module(&connection)?;
        functions::register(&connection)?;
        let (pks, catalog, pending, numbers) = Default::default();
        Ok(Self {
            connection,
            commits: 0,
            pks,
            catalog,
            pending,
            numbers,
            together: None,
            standing: None,
            mode,
            tenure,
        })
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.tenure.is_some()
    }

    /// Does `work` in a transaction: all of it, or nothing if it fails or panics.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.mode == Mode::Read {
            let message = "this connection only reads: open the backend in mode `rw` to write";
            return Err(Error::new(ErrorId::READ_ONLY_CONNECTION, message));
        }
        if self.together.is_some() {
            return self.write_together(work);
        }
        self.end_standing()?;
        self.pending = Pending::default();
        self.step("BEGIN IMMEDIATE")?;
        let before = self.catalog.clone();
        let mut open = OpenTransaction { store: self, before, committed: false };
        let done = work(open.store)?;
        open.store.check_pending()?;
        open.store.step("COMMIT")?;
        open.committed = true;
        Ok(done)
    }

    /// Rolls back the transaction that began with these classes.
    pub(super) fn roll_back_to(&mut self, before: Catalog) {
        self.catalog = before;
        self.numbers.take();
        // After errors upon which SQLite rolls back by itself, no transaction is open.
        if !self.connection.is_autocommit() {
            // SQLite documents no way for this to fail that leaves the transaction open.
            let _ = self.step("ROLLBACK");
        }
    }

    /// The number of the write that is being made.
    pub(super) fn next_commit(&mut self) -> i64 {
        self.commits += 1;
        self.commits
    }

    /// Runs a statement that has no values.
    pub(super) fn step(&self, sql: &'static str) -> Result<()> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// Rolls back what was not committed, however its scope is left.
struct OpenTransaction<'s> {
    store: &'s mut Store,
    /// The classes that were defined when it began.
    before: Catalog,
    committed: bool,
}

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        self.store.pending = Pending::default();
        if self.committed {
            return;
        }
        self.store.roll_back_to(self.before.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(store: &Store) -> i64 {
        store.connection.query_row("SELECT count(*) FROM class", [], |row| row.get(0)).unwrap()
    }

    fn insert(store: &Store) {
        store.connection.execute("INSERT INTO class (uns) VALUES (hex(randomblob(8)))", []).unwrap();
    }

    #[test]
    fn work_that_fails_or_panics_leaves_nothing() {
        let mut store = Store::in_memory().unwrap();
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
        store.write(|store| store.step("INSERT INTO class (uns) VALUES ('foo.com/x')")).unwrap();
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn a_full_store_says_so_and_is_unchanged() {
        let mut store = Store::in_memory().unwrap();
        let pages: i64 = store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.connection.pragma_update(None, "max_page_count", pages + 2).unwrap();
        let error = store
            .write(|store| {
                insert(store);
                store.connection.execute("INSERT INTO class (uns) VALUES (hex(zeroblob(100000)))", [])?;
                Ok(())
            })
            .unwrap_err();
        assert!(error.is(ErrorId::STORAGE_FULL), "{error}");
        assert_eq!(count(&store), 0);
    }
}
