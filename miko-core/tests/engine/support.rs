//! What the tests share.

use std::ops::Deref;

use miko_core::backend::Mode;
use miko_core::{Engine, Error, ErrorId, Record, SqliteEngine, WorldletEngine};
use serde_json::{Value, json};

/// The variable that names the engine that the tests are about.
pub(crate) const ENGINE: &str = "MIKOBASE_TEST_ENGINE";

/// An empty database on the engine that this run is about.
pub(crate) struct Local {
    engine: Box<dyn Engine>,
    /// Where its file is, if it has one.
    _folder: Option<tempfile::TempDir>,
}

impl Deref for Local {
    type Target = dyn Engine;

    fn deref(&self) -> &Self::Target {
        &*self.engine
    }
}

pub(crate) fn db() -> Local {
    db_on(std::env::var(ENGINE).ok().as_deref())
}

/// An empty database that is not temporal: for tests about the form of a worldlet, which says less.
pub(crate) fn plain() -> Local {
    match std::env::var(ENGINE) {
        Ok(engine) => db_on(Some(engine.trim_start_matches("temporal "))),
        Err(_) => db_on(None),
    }
}

fn db_on(engine: Option<&str>) -> Local {
    let folder = || match tempfile::tempdir_in("/dev/shm") {
        Ok(folder) => folder,
        Err(_) => tempfile::tempdir().unwrap(),
    };
    match engine {
        None | Some("sqlite") => sqlite(),
        Some("worldlet") => Local { engine: Box::new(WorldletEngine::in_memory().unwrap()), _folder: None },
        Some("sqlite file") => {
            let folder = folder();
            let engine = SqliteEngine::open(folder.path().join("test.db"), Mode::ReadWrite).unwrap();
            Local { engine: Box::new(engine), _folder: Some(folder) }
        }
        Some("worldlet file") => {
            let folder = folder();
            let engine = WorldletEngine::open(folder.path().join("test.json"), Mode::ReadWrite).unwrap();
            Local { engine: Box::new(engine), _folder: Some(folder) }
        }
        Some("temporal sqlite") => {
            Local { engine: Box::new(SqliteEngine::temporal_in_memory().unwrap()), _folder: None }
        }
        Some("temporal worldlet") => {
            Local { engine: Box::new(WorldletEngine::temporal_in_memory().unwrap()), _folder: None }
        }
        Some("temporal sqlite file") => {
            let folder = folder();
            let path = folder.path().join("test.db");
            let engine = SqliteEngine::open_temporal(path, Mode::ReadWrite).unwrap();
            Local { engine: Box::new(engine), _folder: Some(folder) }
        }
        Some("temporal worldlet file") => {
            let folder = folder();
            let path = folder.path().join("test.json");
            let engine = WorldletEngine::open_temporal(path, Mode::ReadWrite).unwrap();
            Local { engine: Box::new(engine), _folder: Some(folder) }
        }
        Some(other) => panic!("no engine is called {other}"),
    }
}

/// The same on SQLite, for tests about SQL.
pub(crate) fn sqlite() -> Local {
    Local { engine: Box::new(SqliteEngine::in_memory().unwrap()), _folder: None }
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
