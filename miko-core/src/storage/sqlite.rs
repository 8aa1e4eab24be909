//! Tables in SQLite.
//!
//! Each operation is a prepared statement. A plan is compiled to the SQL text of a select with bound values.
//! No layer above this module sees SQL.
//!
//! | subject | where |
//! | --- | --- |
//! | the connection with its prepared statements; a database file | [`statement_cache`]; [`file`] |
//! | an update that is postponed until the next statement | [`statements`] |
//! | reading tables; applying write sets | [`tables`]; [`apply`] |
//! | index entries and claims in memory, as maps | [`entry_maps`], [`row_set`] |
//! | these index entries as virtual tables, which selects read | [`entry_tables`] |
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

/// A database in memory has no file to protect: no rollback journal on disk, nothing to flush.
const IN_MEMORY_PRAGMAS: &str = "PRAGMA journal_mode = memory; PRAGMA synchronous = off;";

/// SQLite does not enforce the foreign keys that the schema declares, because the engine does: SQLite would
/// look up again every row that was just written or read. It creates no temporary files.
const COMMON_PRAGMAS: &str = "PRAGMA foreign_keys = off; PRAGMA temp_store = memory;";

/// The number of selects that stay prepared. Selects that differ in more than their bound values are
/// different statements, so there may be many.
const CACHED_STATEMENTS: usize = 256;

/// The tables in a SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    statements: Statements,
    /// The index entries and claims of a database in memory; `None` if they are in tables.
    entry_maps: Option<SharedEntryMaps>,
    /// The registration of the file, if there is one. The field comes after `statements`, so that the
    /// connection is closed before the registration ends.
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
        Ok(Self { entry_maps: Some(entry_maps), ..Self::with_connection(connection, None)? })
    }

    /// Creates empty tables in memory, with the index entries in tables as in a file.
    #[cfg(test)]
    pub(crate) fn as_in_a_file(is_temporal: bool) -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(sqlite_error)?;
        connection.execute_batch(&schema::tables(is_temporal)).map_err(sqlite_error)?;
        Self::with_connection(connection, None)
    }

    /// Opens a file and locks it against other processes. A new file becomes temporal if `is_temporal` is
    /// set.
    pub(crate) fn open(path: &Path, mode: Mode, is_temporal: bool) -> Result<Self> {
        let (connection, lease) = file::open(path, mode, is_temporal)?;
        Self::with_connection(connection, Some(lease))
    }

    fn with_connection(connection: Connection, lease: Option<FileLease>) -> Result<Self> {
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.execute_batch(COMMON_PRAGMAS).map_err(sqlite_error)?;
        // Query planner stability: a plan that depends on bound values would be made again with each value.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sqlite_error)?;
        rusqlite::vtab::array::load_module(&connection).map_err(sqlite_error)?;
        functions::register(&connection).map_err(sqlite_error)?;
        let is_temporal = connection.table_exists(None, "version").map_err(sqlite_error)?;
        let may_postpone = lease.is_none() && !is_temporal;
        let statements = Statements::new(StatementCache::new(connection), may_postpone);
        Ok(Self { statements, entry_maps: None, lease, is_temporal })
    }

    /// Runs a statement that returns no rows.
    fn run(&self, sql: &'static str, values: impl Params) -> Result<()> {
        let executed = self.statements.after_flush()?.execute(sql, values);
        executed.map(drop).map_err(|error| self.with_path(error))
    }

    /// Adds the path of the file to an error that says that the file cannot be written.
    fn with_path(&self, error: Error) -> Error {
        match self.statements.without_flush().path() {
            Some(path) if error.is(ErrorId::NOT_WRITABLE) => error.with("path", path),
            _ => error,
        }
    }

    /// The number of rows of each table that a create writes to, in a database in memory.
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

    /// Limits the database to its present size and some pages, so that tests can fill it.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, more: i64) {
        let connection = self.statements.after_flush().unwrap();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages + more).unwrap();
    }
}
