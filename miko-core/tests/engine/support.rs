//! What the tests share.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use miko_core::backend::Mode;
use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::{
    Engine, Error, ErrorId, Explanation, Imported, Mikobase, MikobaseExt, Record, SqliteEngine,
    WorldletEngine,
};
use miko_shared::{Connect, Token};
use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

use crate::engines::WITH_THEIR_OWN;

/// The variable that names the engine that the tests are about.
pub(crate) const ENGINE: &str = "MIKOBASE_TEST_ENGINE";

/// The variable that makes this binary the server of a share, on the backend that it names.
pub(crate) const SERVE: &str = "MIKOBASE_TEST_SERVE";

/// An empty database on the engine that this run is about.
pub(crate) struct Local {
    held: Held,
    /// Where its file is, if it has one.
    _folder: Option<tempfile::TempDir>,
}

/// What holds the records.
enum Held {
    Engine(Box<dyn Engine>),
    Share { client: MikobaseClient, server: Child },
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Share { server, .. } = self {
            // The end of its input is the end of the share.
            drop(server.stdin.take());
            let _ = server.wait();
        }
    }
}

impl Deref for Local {
    type Target = dyn Mikobase;

    fn deref(&self) -> &Self::Target {
        match &self.held {
            Held::Engine(engine) => &**engine,
            Held::Share { client, .. } => client,
        }
    }
}

/// What an engine does and a share does in another way.
impl Local {
    fn on(engine: impl Engine + 'static) -> Self {
        Self { held: Held::Engine(Box::new(engine)), _folder: None }
    }

    fn in_folder<E: Engine + 'static>(open: fn(PathBuf) -> Result<E, Error>) -> Self {
        let folder = folder();
        let engine = open(folder.path().join("test")).unwrap();
        Self { _folder: Some(folder), ..Self::on(engine) }
    }

    pub(crate) fn write_worldlet(&self, writer: &mut dyn Write) -> Result<(), Error> {
        match &self.held {
            Held::Engine(engine) => engine.write_worldlet(writer),
            Held::Share { client, .. } => client.export_worldlet(writer),
        }
    }

    pub(crate) fn read_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported, Error> {
        match &self.held {
            Held::Engine(engine) => engine.read_worldlet(reader, trust),
            Held::Share { client, .. } => client.import_worldlet(reader, trust),
        }
    }

    /// A share explains nothing; an engine with the same classes does, up to the numbers that it gave them.
    pub(crate) fn explain(&self, query: Value) -> Result<Explanation, Error> {
        match &self.held {
            Held::Engine(engine) => engine.explain(query),
            Held::Share { client, .. } => {
                let engine = SqliteEngine::in_memory()?;
                engine.import_schema(client.export_schema()?)?;
                Ok(Explanation { sql: None, values: Vec::new(), ..engine.explain(query)? })
            }
        }
    }

    pub(crate) fn run_group(&self, calls: &mut dyn FnMut()) -> bool {
        match &self.held {
            Held::Engine(engine) => engine.run_group(calls),
            Held::Share { .. } => panic!("a share makes calls together by itself"),
        }
    }
}

/// A database on an engine: that of this run, unless the run is about shares.
pub(crate) fn engine() -> Local {
    let db = db();
    if matches!(db.held, Held::Engine(_)) { db } else { sqlite() }
}

fn folder() -> tempfile::TempDir {
    match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => folder,
        Err(_) => tempfile::tempdir().unwrap(),
    }
}

/// A share by another process, which serves it until its input ends.
fn share_of(backend: &str, folder: Option<tempfile::TempDir>) -> Local {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .env(SERVE, backend)
        .args(["--exact", "engines::serves_a_share", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("at ")?.1.to_owned())).unwrap();
    let (path, token) = address.split_once(' ').unwrap();
    let client = MikobaseClient::connect(path, &token.parse::<Token>().unwrap()).unwrap();
    // What libtest still has to say must find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Local { held: Held::Share { client, server }, _folder: folder }
}

/// The engine that this run is about; none is SQLite in memory.
fn engine_of_this_run() -> Option<String> {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    assert!(
        !WITH_THEIR_OWN.iter().any(|module| test.starts_with(module)),
        "{test} runs on the engine of the run: take its module from the list in engines.rs"
    );
    std::env::var(ENGINE).ok()
}

/// At most this many generated cases, fewer in the runs for other engines; in the long mode as many as
/// `PROPTEST_CASES` says.
pub(crate) fn cases(most: u32) -> ProptestConfig {
    let cases = ProptestConfig::default().cases;
    let is_long = std::env::var_os("MIKOBASE_LONG").is_some_and(|value| value == "1");
    ProptestConfig::with_cases(if is_long { cases } else { cases.min(most) })
}

pub(crate) fn db() -> Local {
    db_on(engine_of_this_run().as_deref())
}

/// An empty database that is not temporal: for tests about the form of a worldlet, which says less.
pub(crate) fn plain() -> Local {
    db_on(engine_of_this_run().as_deref().map(|engine| engine.trim_start_matches("temporal ")))
}

fn db_on(engine: Option<&str>) -> Local {
    match engine {
        None | Some("sqlite") => sqlite(),
        Some("worldlet") => Local::on(WorldletEngine::in_memory().unwrap()),
        Some("sqlite file") => Local::in_folder(|path| SqliteEngine::open(path, Mode::ReadWrite)),
        Some("worldlet file") => Local::in_folder(|path| WorldletEngine::open(path, Mode::ReadWrite)),
        Some("temporal sqlite") => Local::on(SqliteEngine::temporal_in_memory().unwrap()),
        Some("temporal worldlet") => Local::on(WorldletEngine::temporal_in_memory().unwrap()),
        Some("temporal sqlite file") => {
            Local::in_folder(|path| SqliteEngine::open_temporal(path, Mode::ReadWrite))
        }
        Some("temporal worldlet file") => {
            Local::in_folder(|path| WorldletEngine::open_temporal(path, Mode::ReadWrite))
        }
        Some("share of sqlite") => share_of("mikobase.uno/sqlite/memory", None),
        Some("share of sqlite file") => {
            let folder = folder();
            share_of(folder.path().join("test.db").to_str().unwrap(), Some(folder))
        }
        Some("share of worldlet") => share_of("mikobase.uno/worldlet", None),
        Some("share of worldlet file") => {
            let folder = folder();
            share_of(folder.path().join("test.json").to_str().unwrap(), Some(folder))
        }
        Some("temporal share of sqlite") => share_of("mikobase.uno/sqlite/memory?temporal=true", None),
        Some("temporal share of worldlet") => share_of("mikobase.uno/worldlet?temporal=true", None),
        Some(other) => panic!("no engine is called {other}"),
    }
}

/// An empty temporal database: for tests that are about versions.
pub(crate) fn temporal() -> Local {
    match engine_of_this_run() {
        Some(engine) if engine.starts_with("temporal") => db(),
        Some(engine) if engine.contains("worldlet") => db_on(Some("temporal worldlet")),
        _ => db_on(Some("temporal sqlite")),
    }
}

/// The same on SQLite, for tests about SQL.
pub(crate) fn sqlite() -> Local {
    Local::on(SqliteEngine::in_memory().unwrap())
}

/// Creates a record with this bucket and gives its pk.
pub(crate) fn create(db: &Local, bucket: Value) -> String {
    run(db, json!({"action": "create", "bucket": bucket}))
}

/// Runs a write and gives the pk it was about.
pub(crate) fn run(db: &Local, request: Value) -> String {
    db.q0(request).unwrap().into_pk().unwrap()
}

pub(crate) fn read(db: &Local, pk: &str) -> Record {
    db.record_by_pk(pk).unwrap().expect("the record is there")
}

/// What a select gives, a bucket per record.
pub(crate) fn buckets(db: &Local, request: Value) -> Vec<Value> {
    let records = db.q0(request).unwrap().into_records().unwrap();
    records.iter().map(|record| record.bucket.to_map().unwrap().into()).collect()
}

/// The select as the evaluator has to run it, with the same meaning: a placeholder leads nowhere, and nobody gets there.
pub(crate) fn for_evaluator(select: &Value) -> Value {
    let mut select = select.clone();
    let silent = json!({"any": [{"all": []}, {"path": [{"placeholder": "nobody gives this"}, 1]}]});
    match select.get_mut("all") {
        Some(Value::Array(all)) => all.push(silent),
        Some(placeholder) => *placeholder = json!([{"all": placeholder}, silent]),
        None => select["all"] = json!([silent]),
    }
    select
}

/// What a select gives, by SQL alone and by the evaluator.
#[track_caller]
pub(crate) fn agreed(db: &Local, select: &Value) -> Result<Vec<Record>, Error> {
    let run =
        |request: &Value| Ok(db.q0(request.clone())?.into_records()?.iter().cloned().collect::<Vec<_>>());
    // Where the fault is may differ: it is in the request that was sent.
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
    let evaluated = for_evaluator(select);
    let answer = run(select);
    assert_eq!(
        without_place(&run(&evaluated)),
        without_place(&answer),
        "paste into `miko q0`:\n{select}\n{evaluated}"
    );
    if answer.is_ok() {
        assert!(db.explain(evaluated).unwrap().evaluator.is_some());
    }
    answer
}

/// What a request that must fail fails with; nothing may have changed then.
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
