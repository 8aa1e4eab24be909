//! A connection, and the statements that were prepared on it for good.
//!
//! What is done to the tables is a few dozen statements, each a literal of ours. Taking one out of rusqlite's cache and putting it
//! back hashes its text twice and takes as long as half of what a small statement does; here it is found by the address of the
//! literal. Selects, whose text depends on the request, go through the cache.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Deref;

use foldhash::fast::RandomState;
use rusqlite::{Connection, OptionalExtension, Params, PrepFlags, Row, Statement};
use self_cell::self_cell;

use crate::error::Result;

/// Statements by the address and the length of their text.
type Statements<'c> = RefCell<HashMap<(usize, usize), Statement<'c>, RandomState>>;

self_cell! {
    struct Cell {
        owner: Connection,
        #[not_covariant]
        dependent: Statements,
    }

    impl {Debug}
}

/// A connection with its statements.
#[derive(Debug)]
pub(super) struct Prepared(Cell);

// SAFETY: a `Connection` may be sent to another thread. A `Statement` may not, because it refers to a connection that would stay
// behind, and SQLite allows the two to be used by one thread at a time. Here they are sent together, nobody else can refer to
// either, since no method gives out more than `&self` lends, and `Prepared` is not `Sync`.
unsafe impl Send for Prepared {}

impl Prepared {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Cell::new(connection, |_| Statements::default()))
    }

    /// Runs a statement that gives no rows: how many it has changed.
    pub(super) fn run(&self, sql: &'static str, values: impl Params) -> Result<usize> {
        self.with(sql, |statement| statement.execute(values))
    }

    /// The first row of a statement, if it has any.
    pub(super) fn one<R>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: Reader<R>,
    ) -> Result<Option<R>> {
        self.with(sql, |statement| statement.query_row(values, read).optional())
    }

    /// All rows of a statement.
    pub(super) fn many<R>(&self, sql: &'static str, values: impl Params, read: Reader<R>) -> Result<Vec<R>> {
        self.with(sql, |statement| statement.query_map(values, read)?.collect())
    }

    /// Shows the rows of a statement one by one. `show` uses no statement.
    pub(super) fn each<R>(
        &self,
        sql: &'static str,
        values: impl Params,
        read: Reader<R>,
        mut show: impl FnMut(R) -> Result<()>,
    ) -> Result<()> {
        self.with(sql, |statement| {
            let rows = statement.query_map(values, read)?;
            Ok(rows.map(|row| Ok(row?)).try_for_each(|row: Result<R>| show(row?)))
        })?
    }

    fn with<R>(
        &self,
        sql: &'static str,
        work: impl FnOnce(&mut Statement<'_>) -> rusqlite::Result<R>,
    ) -> Result<R> {
        self.0.with_dependent(|connection, statements| {
            // Nothing that runs inside a statement runs another: readers are functions, which know no connection.
            let mut statements = statements.borrow_mut();
            let key = (sql.as_ptr().addr(), sql.len());
            let statement = match statements.entry(key) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(connection.prepare_with_flags(sql, FOR_GOOD)?),
            };
            let done = work(statement);
            // What was bound may be large.
            statement.clear_bindings();
            Ok(done?)
        })
    }
}

/// Without it a statement takes its memory from where SQLite keeps that of single calls, and leaves none for these.
const FOR_GOOD: PrepFlags = PrepFlags::SQLITE_PREPARE_PERSISTENT;

/// Copies what is wanted of a row.
type Reader<R> = fn(&Row<'_>) -> rusqlite::Result<R>;

impl Deref for Prepared {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.borrow_owner()
    }
}
