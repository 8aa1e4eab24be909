//! Many requests in one call.

use miko_core::{ErrorId, MAX_BATCH_REQUESTS};
use serde_json::{Value, json};

use crate::support::{buckets, create, db, export};

#[test]
fn each_for_itself_or_all_or_none() {
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
    assert_eq!(error.items()[0].details["request"], 3, "the first that failed: {error}");
    assert_eq!(export(&db), before);

    let answers = db.batch(queries.clone(), false).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, true, false, false]);
    assert_eq!(buckets(&db, json!({"action": "select"})), [json!({"n": 2}), json!({"n": 1})]);

    let answers = db.batch(queries[..3].to_vec(), true).unwrap();
    let selected = answers[2].clone().unwrap().into_records().unwrap();
    assert_eq!(selected.count(), 2, "a request sees what those before it wrote");
    // A class that was first used in a batch that failed can be used afterwards.
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
    for atomic in [true, false] {
        let queries = vec![json!({"action": "create", "bucket": {}}); MAX_BATCH_REQUESTS + 1];
        for queries in [queries, vec![Value::Null; 1_000_000]] {
            let found = queries.len();
            let error = db.batch(queries, atomic).unwrap_err();
            assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
            assert_eq!(error.items().len(), 1);
            assert_eq!(error.items()[0].details["allowed"], MAX_BATCH_REQUESTS);
            assert_eq!(error.items()[0].details["found"], found);
        }
    }
    assert!(buckets(&db, json!({"action": "select"})).is_empty());
    assert_eq!(db.batch(vec![Value::Null; MAX_BATCH_REQUESTS], false).unwrap().len(), MAX_BATCH_REQUESTS);
}
