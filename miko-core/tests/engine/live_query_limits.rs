//! The limits of the records and commits that live queries keep, and their behaviour beyond the limits.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use miko_core::{ChangeLimits, Engine, ErrorId, Mikobase, MikobaseExt, ResultChange, SqliteEngine, Stream};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::live_queries::{action, largest, numbers, run_scenario};
use crate::support::{cases, sqlite_in_memory, temporal_sqlite_in_memory};

const CLASS: &str = "a.b/thing";
const OTHER: &str = "a.b/other";

fn limited(limits: ChangeLimits) -> SqliteEngine {
    sqlite_in_memory().change_limits(limits)
}

#[test]
fn the_select_runs_again_when_the_spare_records_are_used_up() {
    let db = sqlite_in_memory();
    db.create_all(CLASS, &(0..2000).map(|n| json!({"n": n})).collect::<Vec<_>>()).unwrap();
    let mut query = db.watch(largest()).unwrap();
    for below in [1990, 500, 2] {
        let deleted = json!({"class": CLASS, "path": ["n", {"gte": below}]});
        db.q0(json!({"action": "delete", "where": deleted})).unwrap();
        query.recv().unwrap().unwrap();
        let expected: Vec<i64> = (0..below).rev().take(3).collect();
        assert_eq!(numbers(query.records()), expected);
    }
    // More records than the 1,000 spare ones enter the result, and leave it again: 1,500 each from 10,000,
    // from 20,000 and from 30,000 on.
    for n in (0..3).rev() {
        db.create_all(CLASS, &(0..1500).map(|m| json!({"n": 10_000 * (3 - n) + m})).collect::<Vec<_>>())
            .unwrap();
        query.recv().unwrap().unwrap();
    }
    for below in [30_000, 20_000, 10_000] {
        let deleted = json!({"class": CLASS, "path": ["n", {"gte": below}]});
        db.q0(json!({"action": "delete", "where": deleted})).unwrap();
        query.recv().unwrap().unwrap();
        let largest = below - 10_000 + 1499;
        let expected = if below > 10_000 { vec![largest, largest - 1, largest - 2] } else { vec![1, 0] };
        assert_eq!(numbers(query.records()), expected);
    }
}

#[test]
fn a_slow_reader_gets_one_step_for_all_commits_that_are_no_longer_kept() {
    let db = limited(ChangeLimits { ring: 2000, ..ChangeLimits::default() });
    let mut query = db.watch(largest()).unwrap();
    (0..200).for_each(|n| drop(db.create(CLASS, &json!({"n": n})).unwrap()));
    query.recv().unwrap().unwrap();
    assert_eq!(numbers(query.records()), [199, 198, 197]);
    assert!(query.try_recv().is_pending());
    // Commits that are no longer kept add nothing to the step if they do not concern the query.
    (0..200).for_each(|n| drop(db.create(OTHER, &json!({"n": n})).unwrap()));
    db.create(CLASS, &json!({"n": 200})).unwrap();
    query.recv().unwrap().unwrap();
    assert_eq!(numbers(query.records()), [200, 199, 198]);
    assert!(query.try_recv().is_pending());
}

#[test]
fn conditions_that_are_too_large_to_be_tested_for_each_change_are_refused() {
    let db = sqlite_in_memory();
    let any_of = |count: i64| (0..count).map(|n| json!({"path": ["n", n]})).collect::<Vec<_>>();
    let repeated = json!({"placeholders": {"p": {"any": any_of(100)}},
                          "any": vec![json!({"placeholder": "p"}); 20]});
    db.listen(json!({"any": any_of(1000)})).unwrap();
    db.watch(json!({"any": any_of(1000)})).unwrap();
    let pks = |count: i64| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    // A pk is looked up among others.
    db.listen(json!({"pk": pks(10_000)})).unwrap();
    let second = Duration::from_secs(1);
    for conditions in [json!({"any": any_of(2000)}), repeated, json!({"pk": pks(80_000)})] {
        assert!(db.listen(conditions.clone()).unwrap_err().is(ErrorId::REQUEST_TOO_LARGE));
        assert!(db.watch(conditions.clone()).unwrap_err().is(ErrorId::REQUEST_TOO_LARGE));
        assert!(db.claim(conditions.clone(), second).unwrap().is_none());
        let waiting = db.claim_or_wait(conditions, second, second).map(drop);
        assert!(waiting.unwrap_err().is(ErrorId::REQUEST_TOO_LARGE));
    }
}

#[test]
fn a_result_that_is_too_large_is_refused_or_ends() {
    let db = limited(ChangeLimits { live_query: 10_000, ..ChangeLimits::default() });
    let all = json!({"class": CLASS});
    let mut query = db.watch(all.clone()).unwrap();
    db.create_all(CLASS, &vec![json!({"n": 1}); 200]).unwrap();
    assert!(query.recv().unwrap().unwrap_err().is(ErrorId::STORAGE_FULL));
    assert!(query.recv().is_none());
    assert!(db.watch(all).unwrap_err().is(ErrorId::STORAGE_FULL));
}

#[test]
fn a_merge_that_changes_the_time_of_creation_moves_the_record() {
    let db = temporal_sqlite_in_memory();
    let [first, second, third] = ["p0", "p1", "p2"];
    for pk in [first, second, third] {
        db.q0(json!({"action": "create", "class": CLASS, "pk": pk, "bucket": {}})).unwrap();
    }
    let by_creation = json!({"class": CLASS, "sort": [{"record": "created_at"}], "limit": 2});
    let mut query = db.watch(by_creation).unwrap();
    let mut in_order = db.watch(json!({"class": CLASS})).unwrap();
    let version = json!({
        "identity": second, "timestamp": "2000-01-01T00:00:00.000Z", "active": true,
        "bucket": {}, "stack": {"shadow": {}, "x": {"class": CLASS}},
    });
    let merged = db.merge(json!({"history": {"v0": version}})).unwrap();
    assert_eq!(merged.accepted, ["v0"], "{merged:?}");
    query.recv().unwrap().unwrap();
    let pks = |query: &miko_core::LiveQuery| -> Vec<String> {
        query.records().iter().map(|record| record.pk.clone()).collect()
    };
    assert_eq!(pks(&query), [second, first]);
    in_order.recv().unwrap().unwrap();
    assert_eq!(in_order.records(), db.by_class(CLASS).unwrap().into_iter().collect::<Vec<_>>());
    db.delete(second).unwrap();
    query.recv().unwrap().unwrap();
    assert_eq!(pks(&query), [first, third]);
}

#[test]
fn a_step_may_have_many_changes_of_each_kind() {
    let db = sqlite_in_memory();
    for window in [json!({}), json!({"offset": 40}), json!({"offset": 20, "limit": 150})] {
        let mut select = json!({"class": CLASS, "sorts": [["n"], [{"record": "pk"}, {"reverse": true}]]});
        select.as_object_mut().unwrap().extend(window.as_object().unwrap().clone());
        let mut query = db.watch(select.clone()).unwrap();
        let set = |path: Value, n: i64| {
            let bucket = json!({"n": n, "set": true});
            json!({"action": "patch", "where": {"class": CLASS, "path": path}, "bucket": bucket})
        };
        let steps = [
            set(json!(["n", {"lt": -1}]), 0),
            set(json!(["n", {"lt": 90}]), 120),
            set(json!(["n", {"gte": 110}]), 7),
            json!({"action": "delete", "where": {"class": CLASS, "path": ["n", {"gte": 50}]}}),
            json!({"action": "delete", "where": {"class": CLASS}}),
        ];
        // The numbers from 0 to 199, shuffled.
        db.create_all(CLASS, &(0..200).map(|n| json!({"n": n * 37 % 200})).collect::<Vec<_>>()).unwrap();
        for step in steps {
            while let Poll::Ready(step) = query.try_recv() {
                step.unwrap().unwrap();
            }
            let found: Vec<_> = db.iter(select.clone()).unwrap().map(Result::unwrap).collect();
            assert_eq!(query.records(), found);
            db.q0(step).unwrap();
        }
        query.recv().unwrap().unwrap();
        assert_eq!(query.records(), []);
    }
}

#[test]
fn a_write_that_leaves_the_result_unchanged_is_not_delivered() {
    let db = sqlite_in_memory();
    create_numbers(&db, 3);
    let mut query = db.watch(largest()).unwrap();
    let mut worldlet = Vec::new();
    db.write_worldlet(&mut worldlet).unwrap();
    db.read_worldlet(&mut &worldlet[..], false).unwrap();
    db.import_schema(json!({"classes": {OTHER: {}}})).unwrap();
    assert!(query.try_recv().is_pending());
}

#[test]
fn a_waker_may_drop_the_stream_that_it_belongs_to() {
    struct Task(Mutex<Option<Stream<ResultChange>>>);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
        }
    }

    let db = sqlite_in_memory();
    let select = json!({"action": "select", "class": CLASS});
    let task = Arc::new(Task(Mutex::new(Some(db.watch_select(select).unwrap()))));
    let waker = Waker::from(Arc::clone(&task));
    let polled = {
        let mut stream = task.0.lock().unwrap();
        let mut synced = Box::pin(stream.as_mut().unwrap().recv_async());
        assert!(synced.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        drop(synced);
        let mut next = Box::pin(stream.as_mut().unwrap().recv_async());
        next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
    };
    assert!(polled);
    create_numbers(&db, 1);
    assert!(task.0.lock().unwrap().is_none());
    assert_eq!(db.count(json!({"class": CLASS})).unwrap(), 1);
}

fn create_numbers(db: &SqliteEngine, count: i64) {
    (0..count).for_each(|n| drop(db.create(CLASS, &json!({"n": n})).unwrap()));
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_result_is_that_of_its_select_also_where_commits_are_not_kept(actions in vec(action(), 1..40)) {
        run_scenario(&limited(ChangeLimits { ring: 1500, ..ChangeLimits::default() }), &actions, true);
    }
}
