//! Tables in SQLite.
//!
//! A plan is compiled to the SQL text of a select with bound values. Each other operation is a fixed prepared
//! statement, or works on the maps that a database in memory has. No layer above this module makes SQL.
//!
//! | subject | where |
//! | --- | --- |
//! | the connection with its prepared statements | [`statement_cache`] |
//! | opening a database file; the SQL that creates the tables | [`file`]; [`schema`] |
//! | an update that is postponed until the next statement on records | [`statements`] |
//! | reading tables; applying write sets | [`tables`]; [`apply`] |
//! | index entries and claims in memory, as maps | [`entry_maps`], [`row_set`] |
//! | virtual tables, by which selects read these index entries | [`entry_tables`] |
//! | the SQL text and bound values of a select; running it | [`compile`], [`sql_builder`]; [`select`] |
//! | SQL functions for the paths of Q0; ids and rows as values of SQLite | [`functions`]; [`values`] |
//! | the memory limit | [`heap`] |
//! | mapping SQLite's errors to error ids | [`faults`] |

mod apply;
mod compile;
mod entry_maps;
mod entry_tables;
mod faults;
mod file;
mod functions;
mod heap;
mod row_set;
mod schema;
mod select;
mod sql_builder;
mod statement_cache;
mod statements;
mod tables;
mod values;

use std::path::Path;

use miko_rpc::{Error, ErrorId, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, Params};

use crate::mode::Mode;
use entry_maps::SharedEntryMaps;
use faults::sqlite_error;
use file::FileLease;
use statement_cache::StatementCache;
use statements::Statements;

/// A database in memory has no file to protect: its rollback journal is in memory, and nothing is flushed.
const IN_MEMORY_PRAGMAS: &str = "PRAGMA journal_mode = memory; PRAGMA synchronous = off;";

/// `foreign_keys`: SQLite does not enforce the foreign keys that the schema declares. The engine keeps them
/// valid. To enforce them, SQLite would look up rows that the engine has just written or read. `temp_store`:
/// SQLite creates no temporary files.
const COMMON_PRAGMAS: &str = "PRAGMA foreign_keys = off; PRAGMA temp_store = memory;";

/// The most selects that stay prepared. Selects that differ in more than their bound values are different
/// statements, so an application may have many. The statements of [`statement_cache`] do not count.
const MAX_PREPARED_SELECTS: usize = 256;

/// The tables in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    statements: Statements,
    /// The index entries and claims of a database in memory; `None` if they are in tables.
    entry_maps: Option<SharedEntryMaps>,
    /// Registers the file as open in this process; `None` for a database in memory. The field comes after
    /// `statements`, so that the connection is closed before the registration ends.
    lease: Option<FileLease>,
    is_temporal: bool,
}

impl Sqlite {
    /// Creates empty tables in memory.
    pub(crate) fn in_memory(is_temporal: bool) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(sqlite_error)?;
        connection.execute_batch(IN_MEMORY_PRAGMAS).map_err(sqlite_error)?;
        connection.execute_batch(&schema::tables_without_entries(is_temporal)).map_err(sqlite_error)?;
        let entry_maps = SharedEntryMaps::default();
        entry_tables::register(&connection, &entry_maps).map_err(sqlite_error)?;
        let lease = None;
        Ok(Self { entry_maps: Some(entry_maps), ..Self::with_connection(lease, connection)? })
    }

    /// Creates empty tables in memory, with index entries and claims in tables, as a database in a file has
    /// them.
    #[cfg(test)]
    pub(crate) fn as_in_a_file(is_temporal: bool) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(sqlite_error)?;
        connection.execute_batch(&schema::tables(is_temporal)).map_err(sqlite_error)?;
        let lease = None;
        Self::with_connection(lease, connection)
    }

    /// Opens or creates a database file, with the locks, the checks and the errors of [`file::open`]. If
    /// `wants_temporal` is set, a new file becomes temporal, and an existing one must be.
    pub(crate) fn open(path: &Path, mode: Mode, wants_temporal: bool) -> Result<Self> {
        let (connection, lease) = file::open(path, mode, wants_temporal)?;
        Self::with_connection(Some(lease), connection)
    }

    /// Prepares a connection. `connection` is the last parameter, because parameters are dropped from the
    /// last to the first. So the connection is closed before the registration of its file ends, also after an
    /// error.
    fn with_connection(lease: Option<FileLease>, connection: Connection) -> Result<Self> {
        connection.set_prepared_statement_cache_capacity(MAX_PREPARED_SELECTS);
        connection.execute_batch(COMMON_PRAGMAS).map_err(sqlite_error)?;
        // Query planner stability (QPSG): no plan depends on bound values. Otherwise SQLite might prepare a
        // select again for other values.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sqlite_error)?;
        // Registers `rarray`, a table-valued function that compiled selects use.
        rusqlite::vtab::array::load_module(&connection).map_err(sqlite_error)?;
        functions::register(&connection).map_err(sqlite_error)?;
        // A file may be temporal although the caller did not require that.
        let is_temporal = connection.table_exists(None, "version").map_err(sqlite_error)?;
        let may_postpone = lease.is_none() && !is_temporal;
        let statements = Statements::new(StatementCache::new(connection), may_postpone);
        Ok(Self { statements, entry_maps: None, lease, is_temporal })
    }

    /// Writes the postponed update, if there is one, and then runs a statement that returns no rows.
    fn run(&self, sql: &'static str, values: impl Params) -> Result<()> {
        let executed = self.statements.after_flush()?.execute(sql, values);
        executed.map(drop).map_err(|error| self.with_path_if_not_writable(error))
    }

    /// Adds the path of the file to the error `not-writable`. Returns any other error unchanged.
    fn with_path_if_not_writable(&self, error: Error) -> Error {
        match self.statements.without_flush().path() {
            Some(path) if error.is(ErrorId::NOT_WRITABLE) => error.with("path", path),
            _ => error,
        }
    }

    /// For each table and each map to which a create in a database in memory writes: the number of its rows
    /// or entries.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Vec<i64> {
        let count = |table| format!("SELECT count(*) FROM {table}");
        let connection = self.statements.after_flush().unwrap();
        let mut counts = ["record", "reference"]
            .map(|table| connection.query_row(&count(table), [], |row| row.get(0)).unwrap())
            .to_vec();
        counts.extend(self.entry_maps.as_ref().unwrap().lock().counts());
        counts
    }

    /// Limits the database to its present size plus `free_pages`, so that tests can fill it.
    #[cfg(test)]
    pub(crate) fn limit_free_pages(&self, free_pages: i64) {
        let connection = self.statements.after_flush().unwrap();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages + free_pages).unwrap();
    }
}
