//! Group commit: calls with one commit, each with its own result.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use miko_core::{Error, ErrorId};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Local, buckets, cases, engine};

/// A database with ships, which have unique names.
fn fleet() -> Local {
    let db = engine();
    db.import_schema(json!({"classes": {"a.b/ship": {"fields": {"name": {
        "class": "string", "unique": true, "max_length": 20,
    }}}}}))
    .unwrap();
    db
}

fn launch(name: &str) -> Value {
    json!({"action": "create", "class": "a.b/ship", "bucket": {"name": name}})
}

/// Makes calls as a server does: in one group. Returns the result of each.
fn call_in_group(db: &Local, calls: &[Value]) -> Vec<Result<(), Error>> {
    let mut results = Vec::new();
    in_group(db, || match calls.get(results.len()) {
        Some(call) => {
            results.push(db.q0(call.clone()).map(drop));
            true
        }
        None => false,
    });
    results
}

/// Runs a group whose commit succeeds.
fn in_group(db: &Local, mut call: impl FnMut() -> bool) {
    db.run_group(&mut |_| call()).unwrap();
}

/// Runs a group of one call, as which the group counts all that `call` does to the database.
fn in_group_of_one(db: &Local, call: impl FnOnce()) {
    let mut call = Some(call);
    in_group(db, || call.take().map(|call| call()).is_some());
}

fn names(db: &Local) -> Vec<Value> {
    let ships = buckets(db, json!({"action": "select", "class": "a.b/ship"}));
    ships.into_iter().map(|ship| ship["name"].clone()).collect()
}

#[test]
fn each_call_of_a_group_has_its_own_result() {
    let cases: [(&[&str], &[bool]); 4] = [
        (&["Enterprise", "Defiant"], &[true, true]),
        // Refused before anything is written.
        (&["Enterprise", "a name that is far too long", "Defiant"], &[true, false, true]),
        // Refused after the record is written.
        (&["Enterprise", "Enterprise", "Defiant"], &[true, false, true]),
        (&["Enterprise", "Defiant", "Defiant", "Defiant", "Voyager"], &[true, true, false, false, true]),
    ];
    for (launched, succeed) in cases {
        let db = fleet();
        let calls: Vec<Value> = launched.iter().map(|name| launch(name)).collect();
        let results = call_in_group(&db, &calls);
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), succeed, "{launched:?}");
        let expected: Vec<&&str> =
            launched.iter().zip(succeed).filter_map(|(name, is_ok)| is_ok.then_some(name)).collect();
        assert_eq!(names(&db), expected.iter().map(|name| json!(name)).collect::<Vec<_>>());
    }
}

#[test]
fn a_failed_call_of_a_group_does_not_affect_the_others() {
    let db = fleet();
    in_group_of_one(&db, || {
        db.q0(launch("Enterprise")).unwrap();
        let error = db.q0(launch("a name that is far too long")).unwrap_err();
        assert!(error.is(ErrorId::VALIDATION_FAILED));
        assert_eq!(names(&db), ["Enterprise"], "a call sees what those before it wrote");
        db.import_schema(json!({"classes": {"a.b/dock": {}}})).unwrap();
        assert!(db.q0(launch("Enterprise")).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
        db.import_schema(json!({"classes": {"a.b/dock": {"inherits": ["none.of/these"]}}})).unwrap_err();
        let batch = vec![launch("Defiant"), launch("Enterprise")];
        db.batch(batch, true).unwrap_err();
        assert_eq!(names(&db), ["Enterprise"]);
    });
    assert_eq!(names(&db), ["Enterprise"]);
    // Ids of classes and records that were given out by failed calls are given out again.
    db.q0(json!({"action": "create", "class": "a.b/dock", "bucket": {}})).unwrap();
    db.q0(launch("Defiant")).unwrap();
    assert_eq!(names(&db), ["Enterprise", "Defiant"]);
}

#[test]
fn a_panic_between_calls_undoes_the_group_and_the_store_stays_usable() {
    let db = fleet();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        db.run_group(&mut |_| {
            db.q0(launch("Enterprise")).unwrap();
            panic!("between two calls");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(names(&db), [] as [Value; 0]);
    db.q0(launch("Enterprise")).unwrap();
}

#[test]
fn a_group_may_have_no_calls_or_only_reads_or_another_group() {
    let db = fleet();
    in_group(&db, || false);
    in_group_of_one(&db, || assert!(names(&db).is_empty()));
    in_group_of_one(&db, || in_group_of_one(&db, || drop(db.q0(launch("Enterprise")).unwrap())));
    assert_eq!(names(&db), ["Enterprise"]);
}

/// Otherwise a rollback of the group would undo writes of other threads, which have returned successfully.
#[test]
fn other_threads_wait_for_the_end_of_a_group() {
    let db = fleet();
    let begun = Barrier::new(2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            begun.wait();
            db.q0(launch("Defiant")).unwrap();
        });
        in_group_of_one(&db, || {
            db.q0(launch("Enterprise")).unwrap();
            begun.wait();
            assert_eq!(names(&db), ["Enterprise"]);
            assert!(!other.is_finished());
        });
    });
    assert_eq!(names(&db), ["Enterprise", "Defiant"]);
}

/// Calls on ships with few names, so that they conflict.
fn call() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["A", "B", "C", "a name that is far too long"]);
    prop_oneof![
        4 => name().prop_map(launch),
        1 => Just(json!({"action": "create", "class": "a.b/new", "bucket": {}})),
        1 => Just(json!({"action": "select", "class": "a.b/ship"})),
        1 => Just(json!({"action": "delete", "pk": "nobody"})),
        2 => name().prop_map(|name| json!({"action": "upsert", "class": "a.b/ship", "key": {"name": name}})),
    ]
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn results_in_a_group_and_alone_are_the_same(
        groups in prop::collection::vec(prop::collection::vec(call(), 1..6), 1..6),
    ) {
        let (grouped, alone) = (fleet(), fleet());
        for calls in groups {
            let failures = |results: Vec<Result<(), Error>>| -> Vec<Result<(), ErrorId>> {
                results.into_iter().map(|result| result.map_err(|error| error.id().clone())).collect()
            };
            let expected = calls.iter().map(|call| alone.q0(call.clone()).map(drop)).collect();
            prop_assert_eq!(failures(call_in_group(&grouped, &calls)), failures(expected));
            prop_assert_eq!(names(&grouped), names(&alone));
        }
    }

    /// In memory, single creates share a transaction that stays open; a batch has one of its own.
    #[test]
    fn results_are_the_same_in_a_transaction_of_one_call_and_in_one_that_creates_share(
        calls in prop::collection::vec(call(), 1..12),
    ) {
        let (alone, shared) = (fleet(), fleet());
        for call in calls {
            let [in_own_transaction] = <[_; 1]>::try_from(alone.batch(vec![call.clone()], true).map_or_else(
                |error| vec![Err(error)],
                |answers| answers.into_iter().collect(),
            ))
            .expect("a batch of one has one answer");
            let id = |result: Result<(), Error>| result.map_err(|error| error.id().clone());
            prop_assert_eq!(id(in_own_transaction.map(drop)), id(shared.q0(call).map(drop)));
            prop_assert_eq!(names(&alone), names(&shared));
        }
    }
}
