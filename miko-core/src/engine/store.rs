//! What a Mikobase does, on whatever holds its tables.
//!
//! Every engine is a [`Store`] on tables of its own, so that there is one place in which a write is checked,
//! indexed and entered, a class defined, a worldlet taken in.
//!
//! | subject | where |
//! | --- | --- |
//! | transactions: of one call, of the calls of a turn, of creates in memory | here, [`mod@together`], [`standing`] |
//! | requests; writing, exporting, importing | [`requests`], [`mod@write`], [`export`], [`import`] |
//! | what a select goes through; what was | [`plan`], [`candidate`], [`past`] |
//! | classes: checking a record, definitions, the schema as a whole | [`examine`], [`definitions`], [`schema`] |
//! | what records say of each other: unique values, references | [`values`], [`pending`] |
//! | files; what comes and goes in chunks, as of one moment | [`files`]; [`streams`], [`snapshot`], [`spool`] |
//! | pks of new records | [`pks`] |

pub(in crate::engine) mod answer;
pub(super) mod candidate;
mod definitions;
mod examine;
pub(super) mod export;
mod files;
mod import;
mod import_files;
mod merge;
mod past;
mod pending;
mod pks;
pub(super) mod plan;
mod refusal;
mod requests;
mod schema;
mod snapshot;
mod spool;
mod standing;
mod streams;
mod together;
mod turn;
mod values;
mod write;

use std::collections::HashMap;

use crate::class::Catalog;
use crate::engine::tables::Tables;
use crate::error::{Error, ErrorId, ErrorItem, Result};
use crate::memory;
use crate::mode::Mode;
use crate::timestamp::Timestamp;
use answer::AnswerBudget;
use files::Uploads;
use pending::Pending;
use pks::Pks;
use spool::Spools;
use standing::Standing;
use streams::Streams;
use together::Together;

/// The tables and what has to be known about them between two calls.
#[derive(Debug)]
pub(crate) struct Store<T> {
    pub(super) tables: T,
    /// How many writes there were; the number of the last one.
    commits: i64,
    /// The time of the transaction that is open: what it writes is written at once, for whoever looks back.
    moment: Timestamp,
    pks: Pks,
    /// The classes that are defined now, inside the open transaction if there is one.
    pub(super) catalog: Catalog,
    /// When each class name was last given up by a definition, in a temporal database.
    released: HashMap<String, Timestamp>,
    /// What the open transaction has to look at again before it commits.
    pending: Pending,
    /// The calls that are made together now, if any are.
    together: Option<Together>,
    /// The transaction that creates share, where one may stay open: in memory.
    standing: Option<Standing>,
    /// The files that are being written.
    uploads: Uploads,
    /// What is being read in chunks, and the worldlets that come in them.
    streams: Streams,
    spools: Spools,
    /// Are records of defined classes only?
    pub(super) strict: bool,
    /// How large the answer to the call under way may still become.
    pub(super) answer: AnswerBudget,
    mode: Mode,
}

impl<T: Tables> Store<T> {
    /// The store of tables as they are.
    pub(super) fn on(tables: T, mode: Mode) -> Result<Self> {
        let mut store = Self {
            commits: tables.last_commit()?,
            moment: Timestamp::FIRST,
            standing: tables.gain_standing().then(Standing::default),
            tables,
            pks: Pks::default(),
            catalog: Catalog::default(),
            released: HashMap::new(),
            pending: Pending::default(),
            together: None,
            uploads: Uploads::default(),
            streams: Streams::default(),
            spools: Spools::default(),
            strict: false,
            answer: AnswerBudget::default(),
            mode,
        };
        store.load_catalog()?;
        if mode == Mode::ReadWrite {
            store.remove_unfinished_files()?;
        }
        Ok(store)
    }

    /// Does `work` in a transaction: all of it, or nothing if it fails or panics.
    pub(super) fn write<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        self.check_writable()?;
        if self.together.is_some() {
            return self.write_together(work);
        }
        self.end_standing()?;
        self.begin_writing();
        self.tables.begin()?;
        let before = self.catalog.clone();
        let mut open = OpenTransaction { store: self, before, committed: false };
        let done = work(open.store)?;
        open.store.check_pending()?;
        open.store.tables.commit()?;
        open.committed = true;
        Ok(done)
    }

    fn check_writable(&self) -> Result<()> {
        if self.mode == Mode::ReadWrite {
            return Ok(());
        }
        let message = "this connection only reads: open the backend in mode `rw` to write";
        Err(Error::new(ErrorId::READ_ONLY_CONNECTION, message))
    }

    /// Rolls back the transaction that began with these classes.
    fn roll_back_to(&mut self, before: Catalog) {
        self.catalog = before;
        self.tables.roll_back();
    }

    /// What is written from now on belongs together.
    fn begin_writing(&mut self) {
        self.pending = Pending::default();
        self.moment = Timestamp::now();
    }

    /// The number of the write that is being made.
    fn next_commit(&mut self) -> i64 {
        self.commits += 1;
        self.commits
    }
}

/// Rolls back what was not committed, however its scope is left.
struct OpenTransaction<'s, T: Tables> {
    store: &'s mut Store<T>,
    /// The classes that were defined when it began.
    before: Catalog,
    committed: bool,
}

impl<T: Tables> Drop for OpenTransaction<'_, T> {
    fn drop(&mut self) {
        self.store.pending = Pending::default();
        if self.committed {
            return;
        }
        self.store.roll_back_to(self.before.clone());
    }
}

/// The store holds what this version never writes; or what it holds cannot be read for lack of memory.
pub(super) fn broken(what: impl std::fmt::Display) -> Error {
    let what = what.to_string();
    if let Some(reason) = memory::take_limit_error(&what) {
        return reason;
    }
    ErrorItem::new(ErrorId::INTERNAL, format!("the store is damaged: {what}")).into()
}
