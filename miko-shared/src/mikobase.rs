//! Shares a Mikobase: `uds.mikobase(20, |db, worker| …)`. Also serves one without workers:
//! [`StandaloneServer::run_mikobase`].

mod hooks;
mod initial;
mod server;

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miko_core::backend::{Backend, Location, Mode};
use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::{Access, AfterSave, ChangeLimits, Engine, Mikobase, Schema, TransactionLimits, atomic_file};
use miko_rpc::{Error, ErrorId, GroupFailure, Result, json, panic_message};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::hooks::BuilderHooks;
use self::initial::InitialContent;
pub use self::server::Server;
use crate::server::Service;
use crate::share::{BoxError, Interrupt, Report, Share, ShareError, Uds, Worker};
use crate::standalone::StandaloneServer;

/// The destination of the final state when a share ends.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Returning {
    /// The report contains the final state as a worldlet.
    #[default]
    Worldlet,
    /// The server streams the final state to a temporary file, and renames the complete file to this path. A
    /// pipe or a device at this path is written to directly.
    File(PathBuf),
    /// The final state is discarded.
    Nothing,
}

/// The state of a Mikobase as JSON text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Worldlet(String);

impl Worldlet {
    /// The JSON text. It is empty unless the share was configured with [`Returning::Worldlet`], the default.
    /// If the share has failed, the text may be cut off: see [`Report::state_is_complete`].
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The worldlet as a JSON value.
    ///
    /// # Errors
    /// `invalid_request`, if the text is empty or incomplete.
    pub fn to_value(&self) -> Result<Value> {
        json::parse(&self.0)
    }
}

impl From<Worldlet> for String {
    fn from(worldlet: Worldlet) -> Self {
        worldlet.0
    }
}

impl From<&Worldlet> for String {
    fn from(worldlet: &Worldlet) -> Self {
        worldlet.0.clone()
    }
}

impl fmt::Display for Worldlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Worldlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worldlet({} bytes)", self.0.len())
    }
}

impl<R> Report<R, Worldlet> {
    /// The final state: the content of the store after the last worker has ended. It may be empty or
    /// incomplete: see [`Worldlet::as_str`].
    pub fn worldlet(&self) -> &Worldlet {
        &self.state
    }
}

/// The options that only a shared Mikobase has.
struct MikobaseOptions {
    backend: Backend,
    access: Access,
    transactions: TransactionLimits,
    changes: ChangeLimits,
    initial: Vec<InitialContent>,
    hooks: BuilderHooks,
    returning: Returning,
    /// The closure of [`Uds::setup`], until a share has run it.
    setup: RefCell<Option<Setup>>,
}

impl Default for MikobaseOptions {
    fn default() -> Self {
        Self {
            backend: Location::SqliteMemory.into(),
            access: Access::default(),
            transactions: TransactionLimits::default(),
            changes: ChangeLimits::default(),
            initial: Vec::new(),
            hooks: BuilderHooks::default(),
            returning: Returning::default(),
            setup: RefCell::default(),
        }
    }
}

/// The type of the closure of [`Uds::setup`].
type Setup = Box<dyn FnOnce(&Server<'_>) -> Result<(), BoxError>>;

impl Uds {
    fn mikobase_options(&mut self) -> &mut MikobaseOptions {
        self.interface_options.get_or_default()
    }
}

impl Uds {
    /// Stores the records in the engine that this backend URL names. The default is SQLite in memory. Options
    /// that were set before remain in force. Only a size is replaced, if the URL sets it.
    ///
    /// # Errors
    /// `invalid-backend`, listing the known backends.
    pub fn backend(mut self, url: &str) -> Result<Self> {
        let options = self.mikobase_options();
        // `temporal` and `strict` stay switched on, client pks stay forbidden, and sizes stay set unless this
        // URL sets them.
        let Backend { temporal, strict, client_pks, record_cache_size, columns_size, .. } = options.backend;
        let parsed: Backend = url.parse()?;
        let (temporal, strict) = (parsed.temporal || temporal, parsed.strict || strict);
        let client_pks = parsed.client_pks && client_pks;
        let record_cache_size = parsed.record_cache_size.or(record_cache_size);
        let columns_size = parsed.columns_size.or(columns_size);
        options.backend = Backend { temporal, strict, client_pks, record_cache_size, columns_size, ..parsed };
        Ok(self)
    }

    /// Whether a new database keeps every version of a record. An existing file keeps its setting. With
    /// `true`, the share fails with `invalid-backend` if the existing file is not temporal.
    #[must_use]
    pub fn temporal(mut self, temporal: bool) -> Self {
        self.mikobase_options().backend.temporal = temporal;
        self
    }

    /// Whether records of classes without a definition are refused.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.mikobase_options().backend.strict = strict;
        self
    }

    /// Whether a `create` may choose the pk of its record. Allowed by default.
    #[must_use]
    pub fn client_pks(mut self, allowed: bool) -> Self {
        self.mikobase_options().backend.client_pks = allowed;
        self
    }

    /// Which writes are accepted after schemas and worldlets are loaded and `setup` has run. By default all
    /// writes are accepted.
    ///
    /// `Access::AppendOnly` accepts creates, new classes, new files, imports of records with new pks, and
    /// merges. Any other write is refused with `action-not-supported`. `Access::ReadOnly` refuses all writes,
    /// transactions, subscriptions and live queries with `read-only-connection`.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.mikobase_options().access = access;
        self
    }

    /// How long a write, or the first call of a transaction, waits for its turn while another transaction is
    /// open: 90 s by default, and not beyond the deadline of the call. After this time the call fails with
    /// `lock-timeout`.
    #[must_use]
    pub fn lock_timeout(mut self, limit: Duration) -> Self {
        self.mikobase_options().transactions.lock_timeout = limit;
        self
    }

    /// How long a transaction may last: 60 s by default. After this time it is rolled back as soon as another
    /// write waits, or else at its next call. Its next call fails with `transaction-invalidated`.
    #[must_use]
    pub fn transaction_limit(mut self, limit: Duration) -> Self {
        self.mikobase_options().transactions.total = limit;
        self
    }

    /// How long a transaction may be idle between two calls: 5 s by default. After this time it is rolled
    /// back as soon as another write waits, or else at its next call. Its next call fails with
    /// `transaction-invalidated`.
    #[must_use]
    pub fn transaction_idle(mut self, limit: Duration) -> Self {
        self.mikobase_options().transactions.idle = limit;
        self
    }

    /// The largest size in bytes of the writes of a transaction, with the previous states of the records that
    /// it has changed: 64 MiB by default. A larger transaction is rolled back, and fails with
    /// `transaction-invalidated`.
    #[must_use]
    pub fn transaction_memory(mut self, bytes: usize) -> Self {
        self.mikobase_options().transactions.memory = bytes;
        self
    }

    /// The largest size in bytes of the changes that wait for a subscriber: 4 MiB by default. It never
    /// exceeds half of [`Limits::frame_size`](crate::Limits::frame_size), nor a sixteenth of the
    /// [memory limit](Self::memory_limit). Beyond this size the oldest changes are left out, and the
    /// subscriber gets the error `lagged` in their place.
    #[must_use]
    pub fn change_queue(mut self, bytes: usize) -> Self {
        self.mikobase_options().changes.queue = bytes;
        self
    }

    /// The largest size in bytes of the last changes, which are kept for subscribers that resume and for live
    /// queries: 16 MiB by default. It never exceeds a sixteenth of the [memory limit](Self::memory_limit).
    #[must_use]
    pub fn change_ring(mut self, bytes: usize) -> Self {
        self.mikobase_options().changes.ring = bytes;
        self
    }

    /// The largest size in bytes of the state of a live query: the pks and sort values of the records in its
    /// result, of those that its `offset` skips, and of the next thousand after its `limit`. 16 MiB by
    /// default. It never exceeds a sixteenth of the [memory limit](Self::memory_limit). If the state grows
    /// larger, the query is refused, or ends, with `storage-full`.
    #[must_use]
    pub fn live_query_size(mut self, bytes: usize) -> Self {
        self.mikobase_options().changes.live_query = bytes;
        self
    }

    /// Sets the size of the record cache in bytes: the records that were read last are read again without
    /// SQL. The default is 64 MiB, but at most a sixteenth of the [memory limit](Self::memory_limit); 0 turns
    /// the record cache off. In a backend URL it is `record_cache_size=…`.
    ///
    /// The worldlet engine has its records in memory: a share with that engine and this option fails with
    /// `invalid-backend`.
    #[must_use]
    pub fn record_cache_size(mut self, bytes: usize) -> Self {
        self.mikobase_options().backend.record_cache_size = Some(bytes);
        self
    }

    /// Sets the size of the columns in bytes: they keep the values of the paths that selects scan, so that
    /// later scans read only the records that they find. The default is 64 MiB, but at most a sixteenth of
    /// the [memory limit](Self::memory_limit); 0 turns the columns off. In a backend URL it is
    /// `columns_size=…`.
    ///
    /// The worldlet engine has its records in memory: a share with that engine and this option fails with
    /// `invalid-backend`.
    #[must_use]
    pub fn columns_size(mut self, bytes: usize) -> Self {
        self.mikobase_options().backend.columns_size = Some(bytes);
        self
    }

    /// Defines classes before the first worker starts: `{"classes": {name: definition}}`. Schemas and
    /// worldlets are loaded in the order in which `schema`, `schema_file`, `worldlet` and `worldlet_file`
    /// were called; `setup` runs after all of them.
    ///
    /// An invalid schema fails the share.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.mikobase_options().initial.push(InitialContent::Schema(schema));
        self
    }

    /// As [`schema`](Self::schema), from a file.
    ///
    /// # Errors
    /// `invalid_request`, if the file cannot be read. Invalid content fails the share.
    pub fn schema_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        initial::check_file(path.as_ref())?;
        self.mikobase_options().initial.push(InitialContent::SchemaFile(path.as_ref().to_owned()));
        Ok(self)
    }

    /// Imports a worldlet before the first worker starts: JSON text, such as the final state of an earlier
    /// share. An invalid worldlet fails the share.
    #[must_use]
    pub fn worldlet(mut self, worldlet: impl Into<String>) -> Self {
        self.mikobase_options().initial.push(InitialContent::Worldlet(worldlet.into()));
        self
    }

    /// As [`worldlet`](Self::worldlet), streamed from a file.
    ///
    /// # Errors
    /// `invalid_request`, if the file cannot be read. Invalid content fails the share.
    pub fn worldlet_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        initial::check_file(path.as_ref())?;
        self.mikobase_options().initial.push(InitialContent::WorldletFile(path.as_ref().to_owned()));
        Ok(self)
    }

    /// Sets the destination of the final state.
    #[must_use]
    pub fn returning(mut self, returning: Returning) -> Self {
        self.mikobase_options().returning = returning;
        self
    }

    /// Runs `setup` once in the server process, before the first worker starts. By its argument, a
    /// [`Server`], it can read and write the store, and add [hooks](Server::before_save) and
    /// [listeners](Server::after_save). `setup` runs only for the next share of this `Uds`. If this share
    /// cannot be set up, `setup` runs again for the share after it.
    #[must_use]
    pub fn setup(mut self, setup: impl FnOnce(&Server<'_>) -> Result<(), BoxError> + 'static) -> Self {
        self.mikobase_options().setup.replace(Some(Box::new(setup)));
        self
    }

    /// Shares a Mikobase with `n` forked workers and waits until all processes have ended.
    ///
    /// Each worker runs `work` with a proxy `db` that implements [`Mikobase`]: each call goes to the server
    /// process.
    ///
    /// # Errors
    /// If the share could not be set up, and the errors of [`Share::join`], such as `interrupted` and
    /// `server-gone`. Failures of workers are in the report.
    pub fn mikobase<R: Serialize + DeserializeOwned>(
        &self,
        n: usize,
        work: impl Fn(&MikobaseClient, &Worker) -> Result<R, BoxError>,
    ) -> Result<Report<R, Worldlet>, ShareError<R, Worldlet>> {
        // Ctrl-C is caught from here on, and not only once the workers run.
        let _interrupt = Interrupt::listen()?;
        self.spawn(n, work)?.join()
    }

    /// As [`mikobase`](Self::mikobase), but returns as soon as the first workers are started, up to
    /// [`max_concurrent`](Self::max_concurrent).
    ///
    /// # Errors
    /// If the share could not be set up, or the file of [`Returning::File`] could not be written. If a worker
    /// cannot be started, [`Share::wait`] and [`Share::join`] return the error.
    pub fn spawn<'b, R: Serialize + DeserializeOwned>(
        &self,
        n: usize,
        work: impl Fn(&MikobaseClient, &Worker) -> Result<R, BoxError> + 'b,
    ) -> Result<Share<'b, dyn Mikobase, R, Worldlet>> {
        let defaults = MikobaseOptions::default();
        let options = self.interface_options.get().unwrap_or(&defaults);
        // Checked before the start: a failure to write the file at the end would lose the work of all
        // workers.
        if let Returning::File(path) = &options.returning {
            atomic_file::check(path)?;
        }
        let open = || {
            let engine = options.backend.open(Mode::ReadWrite)?;
            engine.limit_answers(self.effective_limits().frame_size);
            engine.limit_transactions(options.transactions);
            engine.limit_changes(options.changes);
            if let Some(bytes) = self.memory_limit {
                engine.limit_memory(bytes)?;
            }
            options.initial.iter().try_for_each(|initial| initial.load(&*engine))?;
            options.hooks.add_to(&*engine)?;
            let listeners = RefCell::default();
            if let Some(setup) = options.setup.take() {
                run_setup(setup, &Server::of(&*engine, &listeners))?;
            }
            if options.access != Access::Full {
                engine.restrict(options.access)?;
            }
            Ok(SharedEngine { engine, returning: options.returning.clone(), listeners })
        };
        let share = self.launch(n, open, |bytes| Worldlet(text_of(bytes)), work)?;
        // The forked server has taken `setup` only out of its own copy of the options. This process still has
        // the closure. It is dropped here, so that it runs for no other share.
        options.setup.take();
        Ok(share)
    }
}

/// The text of the final state. `bytes` may be only the beginning of the state, and end inside a character:
/// the text then ends before this character.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let valid = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        bytes.truncate(valid);
        String::from_utf8(bytes).unwrap_or_default()
    })
}

fn run_setup(setup: Setup, server: &Server<'_>) -> Result<()> {
    let failed = |how: String| Error::new(ErrorId::INTERNAL, format!("`setup` {how}"));
    match catch_unwind(AssertUnwindSafe(|| setup(server))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(other) => failed(format!("failed: {other}")),
        }),
        Err(panic) => Err(failed(format!("panicked: {}", panic_message(&*panic)))),
    }
}

impl StandaloneServer {
    /// Serves a Mikobase until the server is stopped, then writes its final state to `file`, if there is one.
    /// `database` is the file that the engine has open, if any, and the mode in which it was opened.
    ///
    /// The [name file](crate::ServerName) of the server is written beside the database. If this fails, the
    /// server runs without a name file. `ready` is called when the server is ready. Its argument is the
    /// reason why there is no name file, or `None`.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run); `not-writable` or `storage-full`, if the state cannot be written.
    pub fn run_mikobase(
        mut self,
        engine: Box<dyn Engine>,
        database: Option<(&Path, Mode)>,
        file: Option<&Path>,
        ready: impl FnOnce(Option<Error>) -> Result<()>,
    ) -> Result<()> {
        engine.limit_answers(self.frame_size());
        let returning = file.map_or(Returning::Nothing, |path| Returning::File(path.to_owned()));
        let engine = SharedEngine { engine, returning, listeners: RefCell::default() };
        let written = database.map_or(Ok(None), |(database, mode)| self.write_name(database, mode));
        let (name_file, name_fault) = written.map_or_else(|error| (None, Some(error)), |name| (name, None));
        let engine = self.run::<dyn Mikobase, _>(engine, || ready(name_fault))?;
        let delivered = engine.deliver(&mut std::io::sink());
        // Dropping the engine unlocks the database for another server. The name file is removed before.
        drop(name_file);
        delivered
    }
}

/// The engine that the server process serves, with the destination of its final state.
struct SharedEngine {
    engine: Box<dyn Engine>,
    returning: Returning,
    /// The listeners that `setup` has added by [`Server::after_save`].
    listeners: RefCell<Vec<AfterSave>>,
}

impl Service<dyn Mikobase> for SharedEngine {
    fn interface(&self) -> &(dyn Mikobase + 'static) {
        &*self.engine
    }

    fn deliver(&self, state: &mut dyn Write) -> Result<()> {
        // The listeners may still write records, so they finish before the state is written. All workers have
        // ended, so no further changes come from workers.
        self.listeners.take().into_iter().for_each(AfterSave::finish);
        match &self.returning {
            Returning::Nothing => Ok(()),
            Returning::Worldlet => self.engine.write_worldlet(state),
            Returning::File(path) => atomic_file::write_text(path, |file| self.engine.write_worldlet(file)),
        }
    }

    fn prefers_group_commit(&self) -> bool {
        self.engine.prefers_group_commit()
    }

    fn run_group(&self, run_next: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        self.engine.run_group(run_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_ends_inside_a_character_is_kept_up_to_it() {
        let whole = "{\"é\": \"—\"}".as_bytes();
        for end in 0..=whole.len() {
            let text = text_of(whole[..end].to_vec());
            assert!(whole.starts_with(text.as_bytes()) && end - text.len() < 3, "{end}: {text}");
        }
    }
}
