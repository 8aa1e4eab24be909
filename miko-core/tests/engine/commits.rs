//! The commits that an engine hands out: the records before and after each change.

use miko_core::backend::Mode;
use miko_core::{Commit, Engine, Mikobase, MikobaseExt, Record, WorldletEngine};
use serde_json::{Value, json};

use crate::support::{open_sqlite, sqlite_in_memory, temporal_sqlite_in_memory};

/// The bucket before and after each change, of each commit.
fn changes(commits: Vec<Commit>) -> Vec<Vec<[Value; 2]>> {
    let bucket =
        |record: Option<Record>| record.map_or(Value::Null, |record| record.bucket.to_map().unwrap().into());
    let change = |commit: Commit| {
        commit.changes.into_iter().map(|change| [bucket(change.before), bucket(change.after)]).collect()
    };
    commits.into_iter().map(change).collect()
}

/// Runs a test on engines of each storage, temporal and not.
macro_rules! on_engines {
    ($test:ident) => {
        let folder = tempfile::tempdir().unwrap();
        $test!(&sqlite_in_memory());
        $test!(&temporal_sqlite_in_memory());
        $test!(&open_sqlite(folder.path().join("crew.db"), Mode::ReadWrite).unwrap());
        $test!(&WorldletEngine::in_memory().unwrap());
        $test!(&WorldletEngine::temporal_in_memory().unwrap());
    };
}

#[test]
fn each_write_is_a_commit_with_the_records_before_and_after() {
    macro_rules! test {
        ($db:expr) => {{
            let db = $db;
            db.create("a.b/c", &json!({"n": 0})).unwrap();
            assert_eq!(db.take_commits(), [], "nothing is kept before commits are observed");
            db.observe_commits();
            let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
            db.update(&pk, &json!({"n": 2})).unwrap();
            db.update("nobody", &json!({})).unwrap_err();
            let batch = |fails: bool| {
                let last = if fails { json!({"action": "create"}) } else { json!({"action": "select"}) };
                vec![
                    json!({"action": "update", "pk": pk, "bucket": {"n": 3}}),
                    json!({"action": "create", "class": "a.b/c", "bucket": {"n": 4}}),
                    json!({"action": "update", "pk": pk, "bucket": {"n": 5}}),
                    last,
                ]
            };
            db.batch(batch(true), true).unwrap_err();
            db.batch(batch(false), true).unwrap();
            db.delete(&pk).unwrap();
            let commits = db.take_commits();
            assert!(commits.is_sorted_by_key(|commit| commit.seq));
            let expected = json!([
                [[null, {"n": 1}]],
                [[{"n": 1}, {"n": 2}]],
                [[{"n": 2}, {"n": 5}], [null, {"n": 4}]],
                [[{"n": 5}, null]],
            ]);
            assert_eq!(json!(changes(commits)), expected);
            assert_eq!(db.take_commits(), [], "each commit is taken once");
        }};
    }
    on_engines!(test);
}

#[test]
fn each_call_of_a_group_is_a_commit_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sqlite(folder.path().join("crew.db"), Mode::ReadWrite).unwrap();
    db.observe_commits();
    // The closure says whether another call of the group follows: three calls.
    db.run_group(&mut |n| {
        db.create("a.b/c", &json!({"n": n})).unwrap();
        assert_eq!(db.take_commits(), [], "nothing is committed yet");
        n < 2
    })
    .unwrap();
    let expected = json!([[[null, {"n": 0}]], [[null, {"n": 1}]], [[null, {"n": 2}]]]);
    assert_eq!(json!(changes(db.take_commits())), expected);
}

#[test]
fn a_write_that_changes_no_record_is_no_commit() {
    macro_rules! test {
        ($db:expr) => {{
            let db = $db;
            db.create("a.b/c", &json!({"n": 0})).unwrap();
            let mut worldlet = Vec::new();
            db.write_worldlet(&mut worldlet).unwrap();
            db.observe_commits();
            db.read_worldlet(&mut &worldlet[..], false).unwrap();
            let file = db.put_file(&mut &b"hello"[..], "text/plain").unwrap();
            db.delete_file(&file).unwrap();
            assert_eq!(db.take_commits(), []);
        }};
    }
    on_engines!(test);
}
