//! The engine on SQLite.
//!
//! A request comes in typed and checked. Reading it from the store is layers: [`plan`] looks up what is known of the
//! classes, [`compile`] turns a select into a [`statement`] (SQL and bound values, kept apart), [`read`] runs one and copies
//! the rows. No layer above this module sees SQL.
//!
//! | subject | where |
//! | --- | --- |
//! | the connection, transactions; a database file | [`store`], [`file`] |
//! | one transaction for several calls: of a turn, of creates in memory | [`mod@together`], [`standing`] |
//! | what a select goes through, its SQL text and values | [`plan`], [`compile`], [`statement`] |
//! | reading, writing, exporting, importing | [`read`], [`mod@write`], [`export`], [`import`] |
//! | classes: checking a record, definitions, the schema as a whole | [`examine`], [`definitions`], [`schema`] |
//! | what records say of each other: unique values, references | [`values`], [`pending`] |
//! | pks; the numbers of classes and constraints | [`pks`], [`numbers`] |
//! | showing how a select is run | [`explain`] |
//! | what SQLite calls back | [`functions`] |
//! | what SQLite's errors mean | [`faults`] |

mod compile;
mod definitions;
mod examine;
mod explain;
mod export;
mod faults;
mod file;
mod functions;
mod import;
mod numbers;
mod pending;
mod pks;
mod plan;
mod read;
mod schema;
mod standing;
mod statement;
mod store;
mod together;
mod values;
mod write;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};

use crate::backend::Mode;
use crate::engine::{Engine, Explanation};
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::json;
use crate::mikobase::{Mikobase, Properties, Query, Schema, SchemaChanges, Validation};
use crate::query::{self, Request, Select};
use crate::record::{Record, Records};
use crate::response::{Answers, Response, Results};
use crate::uns;
use crate::worldlet::Imported;
use store::Store;

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
#[derive(Debug)]
pub struct SqliteEngine {
    store: Mutex<Store>,
    /// Told when calls that were made together are done.
    together_ended: Condvar,
    /// Is it in a file, where a commit waits for the disk?
    in_file: bool,
}

impl SqliteEngine {
    /// An empty database in memory, which lives as long as this value.
    ///
    /// # Errors
    /// `storage-full`, if there is no memory for it.
    pub fn in_memory() -> Result<Self> {
        Ok(Self::of(Store::in_memory()?))
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
        Ok(Self::of(Store::open(path.as_ref(), mode)?))
    }

    fn of(store: Store) -> Self {
        let in_file = store.is_in_file();
        Self { store: Mutex::new(store), together_ended: Condvar::new(), in_file }
    }

    /// Its backend URL, without protocol and parameters.
    const fn name(&self) -> &'static str {
        if self.in_file { "mikobase.uno/sqlite/file" } else { "mikobase.uno/sqlite/memory" }
    }

    /// The store, also after a panic: whoever panicked rolled back on its way out, so the store is whole.
    fn store(&self) -> MutexGuard<'_, Store> {
        let store = self.store.lock().unwrap_or_else(|poisoned| {
            self.store.clear_poison();
            poisoned.into_inner()
        });
        self.wait_for_turn(store)
    }
}

impl Mikobase for SqliteEngine {
    fn q0(&self, query: Query) -> Result<Response> {
        let (request, warnings) = query::parse(query)?;
        let results = run(&mut self.store(), request)?;
        Ok(Response { results, warnings })
    }

    fn validate(&self, query: Query) -> Result<Validation> {
        Ok(query::validate(query))
    }

    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        self.store().record_by_pk(pk)
    }

    fn by_class(&self, class: &str) -> Result<Records> {
        let class = uns::parse(class)?;
        self.store().select(&Select::of_class(class))
    }

    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
        if !atomic {
            return Ok(queries.into_iter().map(|query| self.q0(query)).collect::<Vec<_>>().into());
        }
        // All of them are read before the first is run: what nobody runs may be too deep to be dropped unread.
        let parsed: Vec<_> = queries.into_iter().map(query::parse).collect();
        let writes = parsed
            .iter()
            .any(|parsed| matches!(parsed, Ok((request, _)) if !matches!(request, Request::Select(_))));
        let run_all = |store: &mut Store| {
            let answers = parsed.into_iter().enumerate().map(|(index, parsed)| {
                store.pending.begin_request(index);
                let run =
                    |(request, warnings)| Ok(Response { results: run_inside(store, request)?, warnings });
                parsed.and_then(run).map(Ok).map_err(|error| error.with_all("request", index))
            });
            answers.collect::<Result<Vec<_>>>().map(Answers::from)
        };
        let mut store = self.store();
        if writes { store.write(run_all) } else { run_all(&mut store) }
    }

    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
        if json::too_deep(&schema) {
            json::discard(schema);
            let message = format!("arrays and objects may nest {} deep", json::MAX_DEPTH);
            return Err(Error::new(ErrorId::INVALID_REQUEST, message));
        }
        self.store().write(|store| store.import_schema(schema))
    }

    fn export_schema(&self) -> Result<Schema> {
        self.store().export_schema()
    }

    fn properties(&self) -> Result<Properties> {
        Ok(Properties {
            temporal: false,
            executable: self.store().kept("executable")? == Some(true.into()),
            engine: self.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

impl Engine for SqliteEngine {
    fn export_worldlet(&self, writer: &mut dyn Write) -> Result<()> {
        self.store().export_worldlet(writer)
    }

    fn import_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported> {
        self.store().write(|store| store.import_worldlet(reader, trust))
    }

    fn explain(&self, query: Query) -> Result<Explanation> {
        match query::parse(query)? {
            (Request::Select(select), _) => self.store().explain(&select),
            _ => Err(Error::new(ErrorId::INVALID_REQUEST, "only a `select` can be explained")),
        }
    }

    fn gains_together(&self) -> bool {
        self.in_file
    }

    fn together(&self, calls: &mut dyn FnMut()) -> bool {
        self.make_together(calls)
    }
}

/// Runs a request for itself: it is done, or nothing was changed.
fn run(store: &mut Store, request: Request) -> Result<Results> {
    match request {
        Request::Select(select) => store.select(&select).map(Results::Records),
        Request::Create(create) if store.may_stand(&create) => store.create_standing(create),
        write => store.write(|store| run_inside(store, write)),
    }
}

/// Runs a request inside the transaction that is open. If it fails, that transaction has to be rolled back.
fn run_inside(store: &mut Store, request: Request) -> Result<Results> {
    match request {
        Request::Select(select) => store.select(&select).map(Results::Records),
        Request::Create(create) => store.create(create),
        Request::Update(update) => store.update(update),
        Request::Delete(delete) => store.delete(&delete),
    }
}

/// The store holds what this version never writes.
fn broken(what: impl std::fmt::Display) -> Error {
    ErrorItem::new(ErrorId::INTERNAL, format!("the store is damaged: {what}")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_panic_under_the_lock_costs_one_call_only() {
        let db = SqliteEngine::in_memory().unwrap();
        let panicked = std::thread::scope(|scope| {
            let write = || {
                db.store().write(|store| -> Result<()> {
                    store.step("INSERT INTO class (uns) VALUES ('foo.com/x')")?;
                    panic!("in the middle of a write")
                })
            };
            scope.spawn(write).join()
        });
        assert!(panicked.is_err());
        db.q0(json!({"action": "create", "class": "foo.com/x", "bucket": {}})).unwrap();
        assert_eq!(db.by_class("foo.com/x").unwrap().count(), 1);
    }
}
