//! What the tests share.

use miko_core::{Engine, Error, ErrorId, Mikobase, Record, SqliteEngine};
use serde_json::{Value, json};

pub(crate) fn db() -> SqliteEngine {
    SqliteEngine::in_memory().unwrap()
}

/// Creates a record with this bucket and gives its pk.
pub(crate) fn create(db: &SqliteEngine, bucket: Value) -> String {
    run(db, json!({"action": "create", "bucket": bucket}))
}

/// Runs a write and gives the pk it was about.
pub(crate) fn run(db: &SqliteEngine, request: Value) -> String {
    db.q0(request).unwrap().into_pk().unwrap()
}

pub(crate) fn read(db: &SqliteEngine, pk: &str) -> Record {
    db.record_by_pk(pk).unwrap().expect("the record is there")
}

/// What a select gives, a bucket per record.
pub(crate) fn buckets(db: &SqliteEngine, request: Value) -> Vec<Value> {
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
pub(crate) fn agreed(db: &SqliteEngine, select: &Value) -> Result<Vec<Record>, Error> {
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
pub(crate) fn failure(db: &SqliteEngine, request: Value) -> Error {
    let before = export(db);
    let error = db.q0(request.clone()).expect_err(&request.to_string());
    assert_eq!(export(db), before, "{request} failed, so it changed nothing");
    error
}

pub(crate) fn ids(error: &Error) -> Vec<ErrorId> {
    error.items().iter().map(|item| item.id.clone()).collect()
}

pub(crate) fn export(db: &SqliteEngine) -> String {
    let mut text = Vec::new();
    miko_core::Engine::export_worldlet(db, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}
