//! Helpers of all tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use miko_core::backend::Mode;
use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::{
    Access, Engine, Error, ErrorId, Explanation, GroupFailure, Hook, HookResult, Imported, Mikobase,
    MikobaseExt, NaiveEngine, PendingSave, Record, SqliteEngine, Target, WorldletEngine,
};
use miko_http::{ConnectHttp, HttpServer};
use miko_shared::Connect;
use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

use crate::engines::ENGINE_INDEPENDENT;

/// The environment variable with the engine to test.
pub(crate) const ENGINE: &str = "MIKOBASE_TEST_ENGINE";

/// The environment variable with a backend, with which this binary serves a share.
pub(crate) const SERVE: &str = "MIKOBASE_TEST_SERVE";

/// An empty database on the tested engine.
pub(crate) struct Local {
    database: Database,
    /// The folder of its file, if it has one.
    _folder: Option<tempfile::TempDir>,
}

/// The engine, or a proxy to a share.
enum Database {
    Engine(Box<dyn Engine>),
    Share { client: MikobaseClient, server: Child },
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Self::Share { server, .. } = self {
            // The share ends when its input ends.
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }
}

impl Deref for Local {
    type Target = dyn Mikobase;

    fn deref(&self) -> &Self::Target {
        match &self.database {
            Database::Engine(engine) => &**engine,
            Database::Share { client, .. } => client,
        }
    }
}

/// Methods that an engine and a share implement differently.
impl Local {
    pub(crate) fn on(engine: impl Engine + 'static) -> Self {
        Self { database: Database::Engine(Box::new(engine)), _folder: None }
    }

    fn in_folder<E: Engine + 'static>(open: fn(PathBuf) -> Result<E, Error>) -> Self {
        let folder = folder();
        let engine = open(folder.path().join("test")).unwrap();
        Self { _folder: Some(folder), ..Self::on(engine) }
    }

    pub(crate) fn write_worldlet(&self, writer: &mut dyn Write) -> Result<(), Error> {
        match &self.database {
            Database::Engine(engine) => engine.write_worldlet(writer),
            Database::Share { client, .. } => client.export_worldlet(writer),
        }
    }

    pub(crate) fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported, Error> {
        match &self.database {
            Database::Engine(engine) => engine.read_worldlet(reader, trust),
            Database::Share { client, .. } => client.import_worldlet(reader, trust),
        }
    }

    /// A share has no `explain`: an engine in memory with the same classes explains instead. Its SQL is
    /// left out, since it contains ids of classes, which may differ.
    pub(crate) fn explain(&self, query: Value) -> Result<Explanation, Error> {
        match &self.database {
            Database::Engine(engine) => engine.explain(query),
            Database::Share { client, .. } => {
                let engine = SqliteEngine::in_memory()?;
                engine.import_schema(client.export_schema()?)?;
                Ok(Explanation { sql: None, values: Vec::new(), ..engine.explain(query)? })
            }
        }
    }

    pub(crate) fn is_share(&self) -> bool {
        matches!(self.database, Database::Share { .. })
    }

    /// Restricts the writes of an engine.
    pub(crate) fn restrict(&self, access: Access) {
        match &self.database {
            Database::Engine(engine) => engine.restrict(access).unwrap(),
            Database::Share { .. } => panic!("a share is restricted by its builder"),
        }
    }

    /// Adds a hook with a name. A share gets its hooks from its builder.
    pub(crate) fn before_save(
        &self,
        name: &str,
        target: impl Into<Target>,
        run: impl Fn(&mut PendingSave<'_>) -> HookResult + Send + Sync + 'static,
    ) {
        match &self.database {
            Database::Engine(engine) => engine.add_hook(Hook::named(name, target, run).unwrap()).unwrap(),
            Database::Share { .. } => panic!("a share has the hooks of its builder"),
        }
    }

    pub(crate) fn run_group(&self, call: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
        match &self.database {
            Database::Engine(engine) => engine.run_group(call),
            Database::Share { .. } => panic!("a share groups calls by itself"),
        }
    }
}

/// A database on the tested engine, or on the default engine if a share is tested.
pub(crate) fn engine() -> Local {
    let db = db();
    if db.is_share() { sqlite() } else { db }
}

/// A temporary folder, in memory if the system has such a file system.
fn folder() -> tempfile::TempDir {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => folder,
        Err(_) => tempfile::tempdir().unwrap(),
    }
}

/// A share in another process, which serves it until its input ends.
fn share_of(backend: &str, folder: Option<tempfile::TempDir>) -> Local {
    shared(backend, folder, |path, token, _| MikobaseClient::connect(path, &token.parse().unwrap()).unwrap())
}

/// As [`share_of`], with a proxy that speaks HTTP.
fn http_share_of(backend: &str) -> Local {
    shared(backend, None, |_, _, path| MikobaseClient::connect_http(&HttpServer::unix(path)).unwrap())
}

/// `connect` connects a proxy to the paths of the wire and of HTTP, with the token between them.
fn shared(
    backend: &str,
    folder: Option<tempfile::TempDir>,
    connect: fn(&str, &str, &str) -> MikobaseClient,
) -> Local {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .env(SERVE, backend)
        .args(["--exact", "engines::serves_a_share", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("at ")?.1.to_owned())).unwrap();
    let address: Vec<&str> = address.split(' ').collect();
    let client = connect(address[0], address[1], address[2]);
    // The rest of libtest's output is read, so that its writes do not fail.
    std::thread::spawn(move || lines.for_each(drop));
    Local { database: Database::Share { client, server }, _folder: folder }
}

/// The tested engine; `None` is SQLite in memory.
fn engine_of_this_run() -> Option<String> {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    assert!(
        !ENGINE_INDEPENDENT.iter().any(|module| test.starts_with(module)),
        "{test} runs on the engine of the run: remove its module from the list in engines.rs"
    );
    std::env::var(ENGINE).ok()
}

/// At most this number of generated cases, fewer in runs for other engines. In the long mode `PROPTEST_CASES`
/// sets the number.
pub(crate) fn cases(max: u32) -> ProptestConfig {
    let cases = ProptestConfig::default().cases;
    ProptestConfig::with_cases(if is_long() { cases } else { cases.min(max) })
}

pub(crate) fn is_long() -> bool {
    std::env::var_os("MIKOBASE_LONG").is_some_and(|value| value == "1")
}

/// Engines for which tests that open their own databases run again, too: see [`sqlite_in_memory`].
pub(crate) const SQLITE_WITHOUT_CACHES: &str = "sqlite without caches";
pub(crate) const SQLITE_WITH_TINY_CACHES: &str = "sqlite with tiny caches";
pub(crate) const TEMPORAL_SQLITE_WITH_TINY_CACHES: &str = "temporal sqlite with tiny caches";

/// The size of a record cache, and of columns, for a few records, in bytes.
pub(crate) const TINY_CACHE: usize = 2 << 10;

/// An empty database on the tested engine.
pub(crate) fn db() -> Local {
    db_on(engine_of_this_run().as_deref())
}

/// An empty database without history, for tests of the form of a worldlet, which is shorter then.
pub(crate) fn non_temporal() -> Local {
    db_on(engine_of_this_run().as_deref().map(|engine| engine.trim_start_matches("temporal ")))
}

fn db_on(engine: Option<&str>) -> Local {
    match engine {
        None | Some("sqlite") => sqlite(),
        Some("worldlet") => Local::on(WorldletEngine::in_memory().unwrap()),
        Some("naive") => naive(),
        Some("temporal naive") => Local::on(NaiveEngine::in_memory(true).unwrap()),
        Some(SQLITE_WITHOUT_CACHES | SQLITE_WITH_TINY_CACHES) => sqlite(),
        Some(TEMPORAL_SQLITE_WITH_TINY_CACHES) => Local::on(temporal_sqlite_in_memory()),
        // In CI this engine has a tiny record cache and tiny columns, and `temporal sqlite` none.
        Some("sqlite file") => Local::in_folder(|path| {
            let engine = SqliteEngine::open(path, Mode::ReadWrite)?;
            Ok(engine.record_cache_size(TINY_CACHE).columns_size(TINY_CACHE))
        }),
        Some("worldlet file") => Local::in_folder(|path| WorldletEngine::open(path, Mode::ReadWrite)),
        Some("temporal sqlite") => {
            Local::on(SqliteEngine::temporal_in_memory().unwrap().record_cache_size(0).columns_size(0))
        }
        Some("temporal worldlet") => Local::on(WorldletEngine::temporal_in_memory().unwrap()),
        Some("temporal sqlite file") => {
            Local::in_folder(|path| SqliteEngine::open_temporal(path, Mode::ReadWrite))
        }
        Some("temporal worldlet file") => {
            Local::in_folder(|path| WorldletEngine::open_temporal(path, Mode::ReadWrite))
        }
        Some("share of sqlite") => share_of("mikobase.uno/sqlite/memory", None),
        Some("share of sqlite with tiny caches") => {
            let sizes = format!("record_cache_size={TINY_CACHE}&columns_size={TINY_CACHE}");
            share_of(&format!("mikobase.uno/sqlite/memory?{sizes}"), None)
        }
        Some("share of sqlite file") => {
            let folder = folder();
            share_of(folder.path().join("test.db").to_str().unwrap(), Some(folder))
        }
        Some("share of worldlet") => share_of("mikobase.uno/worldlet", None),
        Some("share of worldlet file") => {
            let folder = folder();
            share_of(folder.path().join("test.json").to_str().unwrap(), Some(folder))
        }
        Some("http share of sqlite") => http_share_of("mikobase.uno/sqlite/memory"),
        Some("temporal http share of worldlet") => http_share_of("mikobase.uno/worldlet?temporal=true"),
        Some("temporal share of sqlite") => share_of("mikobase.uno/sqlite/memory?temporal=true", None),
        Some("temporal share of worldlet") => share_of("mikobase.uno/worldlet?temporal=true", None),
        Some(other) => panic!("no engine is called {other}"),
    }
}

/// An empty temporal database, for tests of versions.
pub(crate) fn temporal() -> Local {
    match engine_of_this_run() {
        Some(engine) if engine.starts_with("temporal") => db(),
        Some(engine) if engine.contains("worldlet") => db_on(Some("temporal worldlet")),
        _ => db_on(Some("temporal sqlite")),
    }
}

/// An empty database on SQLite, for tests of SQL.
pub(crate) fn sqlite() -> Local {
    Local::on(sqlite_in_memory())
}

/// An empty database on the simplest storage, which has no caches.
pub(crate) fn naive() -> Local {
    Local::on(NaiveEngine::in_memory(false).unwrap())
}

/// The engine, for tests that open their own. Its caches have the sizes of the tested engine.
pub(crate) fn sqlite_in_memory() -> SqliteEngine {
    with_caches_of_this_run(SqliteEngine::in_memory().unwrap())
}

/// As [`sqlite_in_memory`], but temporal.
pub(crate) fn temporal_sqlite_in_memory() -> SqliteEngine {
    with_caches_of_this_run(SqliteEngine::temporal_in_memory().unwrap())
}

/// As [`sqlite_in_memory`], in a file.
pub(crate) fn open_sqlite(path: impl AsRef<Path>, mode: Mode) -> Result<SqliteEngine, Error> {
    SqliteEngine::open(path, mode).map(with_caches_of_this_run)
}

/// As [`open_sqlite`], but a new file is temporal.
pub(crate) fn open_temporal_sqlite(path: impl AsRef<Path>, mode: Mode) -> Result<SqliteEngine, Error> {
    SqliteEngine::open_temporal(path, mode).map(with_caches_of_this_run)
}

fn with_caches_of_this_run(engine: SqliteEngine) -> SqliteEngine {
    let size = match std::env::var(ENGINE).as_deref() {
        Ok(SQLITE_WITHOUT_CACHES) => 0,
        Ok(SQLITE_WITH_TINY_CACHES | TEMPORAL_SQLITE_WITH_TINY_CACHES) => TINY_CACHE,
        _ => return engine,
    };
    engine.record_cache_size(size).columns_size(size)
}

/// Creates a record with this bucket and returns its pk.
pub(crate) fn create(db: &Local, bucket: Value) -> String {
    run(db, json!({"action": "create", "bucket": bucket}))
}

/// Runs a write and returns the pk of its record.
pub(crate) fn run(db: &Local, request: Value) -> String {
    db.q0(request).unwrap().into_pk().unwrap()
}

pub(crate) fn read(db: &Local, pk: &str) -> Record {
    db.record_by_pk(pk).unwrap().expect("the record is there")
}

/// The buckets of the records of a select.
pub(crate) fn buckets(db: &Local, request: Value) -> Vec<Value> {
    let records = db.q0(request).unwrap().into_records().unwrap();
    records.iter().map(|record| record.bucket.to_map().unwrap().into()).collect()
}

/// An equivalent select that the evaluator must run: it has an undefined placeholder, which may fail, but is
/// never evaluated, since the first alternative always holds.
pub(crate) fn with_residual_filter(select: &Value) -> Value {
    let mut select = select.clone();
    let never_evaluated = json!({"any": [{"all": []}, {"path": [{"placeholder": "nobody gives this"}, 1]}]});
    match select.get_mut("all") {
        Some(Value::Array(all)) => all.push(never_evaluated),
        Some(placeholder) => *placeholder = json!([{"all": placeholder}, never_evaluated]),
        None => select["all"] = json!([never_evaluated]),
    }
    select
}

/// The result of a select, checked to be the same by SQL alone, by the evaluator, by columns and as a stream.
#[track_caller]
pub(crate) fn agreed(db: &Local, select: &Value) -> Result<Vec<Record>, Error> {
    let run =
        |request: &Value| Ok(db.q0(request.clone())?.into_records()?.iter().cloned().collect::<Vec<_>>());
    // The places of faults may differ, since the requests differ.
    let without_place = |answer: &Result<Vec<Record>, Error>| {
        answer.clone().map_err(|error| {
            let details = |item: &miko_core::ErrorItem| {
                let mut details = item.details.clone();
                details.shift_remove("pointer");
                (item.id.clone(), details)
            };
            error.items().iter().map(details).collect::<Vec<_>>()
        })
    };
    let evaluated = with_residual_filter(select);
    let answer = run(select);
    assert_eq!(
        without_place(&run(&evaluated)),
        without_place(&answer),
        "paste into `miko q0`:\n{select}\n{evaluated}"
    );
    // Columns are built at the second scan. A stream uses them whatever part of the records it finds.
    for _ in 0..2 {
        assert_eq!(run(select), answer, "scanned again: {select}");
    }
    if let Ok(records) = &answer
        && select.get("history").is_none()
    {
        for _ in 0..2 {
            let streamed: Result<Vec<_>, _> = db.select_stream(select.clone()).unwrap().collect();
            assert_eq!(streamed.as_ref(), Ok(records), "as a stream: {select}");
        }
    }
    if answer.is_ok() {
        assert!(db.explain(evaluated).unwrap().residual_filter_reason.is_some());
    }
    answer
}

/// The error of a request that must fail; checks that it changes nothing.
pub(crate) fn failure(db: &Local, request: Value) -> Error {
    let before = export(db);
    let error = db.q0(request.clone()).expect_err(&request.to_string());
    assert_eq!(export(db), before, "{request} failed, so it changed nothing");
    error
}

pub(crate) fn ids(error: &Error) -> Vec<ErrorId> {
    error.items().iter().map(|item| item.id.clone()).collect()
}

pub(crate) fn export(db: &Local) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}
