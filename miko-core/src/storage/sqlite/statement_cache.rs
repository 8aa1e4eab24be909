//! A connection with its cached prepared statements.
//!
//! All operations but selects are a few dozen statements, each a string literal. This cache finds a prepared
//! statement by the address and the length of its literal. rusqlite's cache would hash the text twice per
//! use, which takes half as long as running a small statement. Selects, whose text depends on the request,
//! use rusqlite's cache: a [`StatementCache`] dereferences to its connection.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Deref;

use foldhash::fast::RandomState;
use miko_rpc::Result;
use rusqlite::{Connection, OptionalExtension, Params, PrepFlags, Row, Statement};
use self_cell::self_cell;

use super::faults::sqlite_error;

/// Statements by the address and the length of their text.
type StatementMap<'c> = RefCell<HashMap<(usize, usize), Statement<'c>, RandomState>>;

self_cell! {
    struct ConnectionCell {
        owner: Connection,
        // A `RefCell` is invariant in the lifetimes of its content.
        #[not_covariant]
        dependent: StatementMap,
    }

    impl {Debug}
}

/// A connection with its prepared statements.
#[derive(Debug)]
pub(super) struct StatementCache(ConnectionCell);

// SAFETY: a `Connection` is `Send`. A `Statement` is not, because it refers to its connection, and SQLite
// allows only one thread at a time to use the two. Here both are in one value and are sent together. No other
// thread can refer to either: every method borrows them through `&self`, and `StatementCache` is not `Sync`.
unsafe impl Send for StatementCache {}

impl StatementCache {
    pub(super) fn new(connection: Connection) -> Self {
        Self(ConnectionCell::new(connection, |_| StatementMap::default()))
    }

    /// Runs a statement that returns no rows. Returns the number of rows that it changed.
    pub(super) fn execute(&self, sql: &'static str, values: impl Params) -> Result<usize> {
        self.with_statement(sql, |statement| statement.execute(values))
    }

    /// Returns the first row of a statement, if there is one.
    pub(super) fn query_optional<R>(
        &self,
        sql: &'static str,
        values: impl Params,
        map: RowMapper<R>,
    ) -> Result<Option<R>> {
        self.with_statement(sql, |statement| statement.query_row(values, map).optional())
    }

    /// Returns all rows of a statement.
    pub(super) fn query_all<R>(
        &self,
        sql: &'static str,
        values: impl Params,
        map: RowMapper<R>,
    ) -> Result<Vec<R>> {
        self.with_statement(sql, |statement| statement.query_map(values, map)?.collect())
    }

    /// Calls `visit` with each row of a statement. `visit` must not run a statement of this cache: that would
    /// panic.
    pub(super) fn for_each_row<R>(
        &self,
        sql: &'static str,
        values: impl Params,
        map: RowMapper<R>,
        mut visit: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        self.with_statement(sql, |statement| {
            let rows = statement.query_map(values, map)?;
            // The inner result has the error of a row or of `visit`.
            Ok(rows.map(|row| row.map_err(sqlite_error)).try_for_each(|row: Result<R>| visit(row?)))
        })?
    }

    /// Calls `work` with the cached statement, which is prepared at its first use.
    fn with_statement<R>(
        &self,
        sql: &'static str,
        work: impl FnOnce(&mut Statement<'_>) -> rusqlite::Result<R>,
    ) -> Result<R> {
        self.0.with_dependent(|connection, statements| {
            // The borrow cannot fail: `work` runs no other statement. A `RowMapper` is a plain function
            // without access to the connection, and a visitor does not use the storage.
            let mut statements = statements.borrow_mut();
            let key = (sql.as_ptr().addr(), sql.len());
            let statement = match statements.entry(key) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(connection.prepare_with_flags(sql, PERSISTENT).map_err(sqlite_error)?)
                }
            };
            let result = work(statement);
            // Frees the bound values, which may be large.
            statement.clear_bindings();
            result.map_err(sqlite_error)
        })
    }
}

/// Keeps long-lived statements out of SQLite's lookaside allocator, whose memory is meant for single calls.
const PERSISTENT: PrepFlags = PrepFlags::SQLITE_PREPARE_PERSISTENT;

/// Converts a row to an owned value.
type RowMapper<R> = fn(&Row<'_>) -> rusqlite::Result<R>;

impl Deref for StatementCache {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.borrow_owner()
    }
}
