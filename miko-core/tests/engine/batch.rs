//! Batches: many requests in one call.

use miko_core::{Engine, Error, ErrorId, MAX_BATCH_REQUESTS, Mikobase, MikobaseExt, SqliteEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{buckets, cases, create, db, export, sqlite_in_memory};

#[test]
fn a_batch_is_atomic_or_runs_each_request_by_itself() {
    let db = db();
    let pk = create(&db, json!({"n": 0}));
    let queries = vec![
        json!({"action": "create", "class": "foo.com/new", "bucket": {"n": 1}}),
        json!({"action": "update", "pk": pk, "bucket": {"n": 2}}),
        json!({"action": "select", "class": "foo.com/new"}),
        json!({"action": "delete", "pk": "nobody"}),
        json!({"action": "oops", "limit": -1}),
    ];
    let before = export(&db);
    let error = db.batch(queries.clone(), true).unwrap_err();
    assert!(error.is(ErrorId::RECORD_NOT_FOUND));
    assert_eq!(error.items()[0].details["request"], 3, "the index of the first request that fails: {error}");
    assert_eq!(export(&db), before);

    let answers = db.batch(queries.clone(), false).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false, false]);
    assert_eq!(buckets(&db, json!({"action": "select"})), [json!({"n": 2}), json!({"n": 1})]);

    let answers = db.batch(queries[..3].to_vec(), true).unwrap();
    let selected = answers[2].clone().unwrap().into_records().unwrap();
    assert_eq!(selected.count(), 2, "a request sees what those before it wrote");
    // A class that was first used in a failed batch can be used later.
    assert_eq!(db.by_class("foo.com/new").unwrap().count(), 2);
}

#[test]
fn every_fault_of_the_first_bad_request_names_its_index() {
    let queries =
        vec![json!({"action": "select"}), json!({"action": "select", "limit": -1, "x": 1}), json!(3)];
    let error = db().batch(queries, true).unwrap_err();
    assert_eq!(error.items().iter().map(|item| &item.details["request"]).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn an_empty_batch_is_fine() {
    for atomic in [true, false] {
        assert_eq!(db().batch(vec![], atomic).unwrap().len(), 0);
    }
}

#[test]
fn a_batch_of_too_many_requests_is_refused_as_a_whole() {
    let db = db();
    for (found, atomic) in
        [(MAX_BATCH_REQUESTS + 1, true), (MAX_BATCH_REQUESTS + 1, false), (1_000_000, false)]
    {
        // The first requests are valid. The others are as short as possible.
        let mut requests = vec![json!({"action": "create", "bucket": {}}); 10];
        requests.resize(found, Value::Null);
        let error = db.batch(requests, atomic).unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
        assert_eq!(error.items().len(), 1);
        assert_eq!(error.items()[0].details["allowed"], MAX_BATCH_REQUESTS);
        assert_eq!(error.items()[0].details["found"], found);
    }
    assert!(buckets(&db, json!({"action": "select"})).is_empty());
    assert_eq!(db.batch(vec![Value::Null; MAX_BATCH_REQUESTS], false).unwrap().len(), MAX_BATCH_REQUESTS);
}

/// A database with 100 records of 1 kB, which refuses answers of more than `bytes`.
fn with_answer_limit(bytes: usize) -> SqliteEngine {
    let db = sqlite_in_memory();
    let bucket = json!({"text": "x".repeat(1000)});
    for _ in 0..100 {
        db.create("puck.uno/record", &bucket).unwrap();
    }
    db.limit_answers(bytes);
    db
}

proptest! {
    #![proptest_config(cases(32))]

    /// The limit applies to the size of the whole answer, of any kind.
    #[test]
    fn an_answer_is_refused_as_soon_as_it_is_too_large(limit in 0..200_000_usize, parts in 1..4_usize) {
        let db = with_answer_limit(limit);
        let select = json!({"action": "select", "limit": 50});
        let is_full = |result: Result<(), Error>| {
            result.is_err_and(|error| error.is(ErrorId::REQUEST_TOO_LARGE))
        };
        // A record takes between 1,000 and 1,300 bytes of an answer.
        let fits = |records: usize| limit > records * 1_300;
        let is_beyond = |records: usize| limit < records * 1_000;
        let answers = [
            (50, db.q0(select.clone()).map(drop)),
            (100, db.by_class("puck.uno/record").map(drop)),
            (50 * parts, db.batch(vec![select.clone(); parts], false).map(drop)),
            (50 * parts, db.batch(vec![select; parts], true).map(drop)),
        ];
        for (records, answer) in answers {
            prop_assert!(!fits(records) || answer.is_ok(), "{records} records fit into {limit}");
            let is_refused = is_full(answer);
            prop_assert!(!is_beyond(records) || is_refused, "{records} records are too many for {limit}");
        }
        // Streams have no limit.
        prop_assert_eq!(db.iter(json!({})).unwrap().count(), 100);
    }
}

#[test]
fn a_request_that_is_too_large_by_itself_fails_alone_in_an_independent_batch() {
    let db = db();
    let create = |pk: &str| json!({"action": "create", "pk": pk, "bucket": {}});
    let edits = vec![json!({"path": ["n"], "set": 1}); 20_000];
    let too_large = json!({"action": "edit", "pk": "a", "edits": edits});
    let answers = db.batch(vec![create("a"), too_large, create("b")], false).unwrap();
    let answers: Vec<_> = answers.into_iter().collect();
    assert!(answers[1].as_ref().unwrap_err().is(ErrorId::REQUEST_TOO_LARGE));
    assert!(answers[0].is_ok() && answers[2].is_ok() && db.record_by_pk("b").unwrap().is_some());
}

#[test]
fn errors_of_failed_requests_count_for_the_answer_limit_whose_error_says_how_many_requests_ran() {
    let db = with_answer_limit(2_000);
    let create = json!({"action": "create", "class": "foo.com/new", "bucket": {}});
    let mut queries = vec![create];
    queries.extend(vec![json!(null); 1_000]);
    let error = db.batch(queries, false).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    let run = error.items()[0].details["run"].as_u64().unwrap();
    assert!((2..50).contains(&run), "{error}");
    assert_eq!(
        db.count(json!({"class": "foo.com/new"})).unwrap(),
        1,
        "the requests that ran have taken effect"
    );
}
