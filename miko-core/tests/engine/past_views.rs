//! Views of the past: a temporal database as it was at a time.

use miko_core::{AsOf, Error, ErrorId, MAX_BATCH_REQUESTS, Mikobase, Record, Timestamp};
use serde_json::{Value, json};

use crate::support::{Local, ids, temporal};

const T0: &str = "2363-01-01T00:00:00.000Z";
const T1: &str = "2364-01-01T00:00:00.000Z";
const T2: &str = "2365-01-01T00:00:00.000Z";
const T3: &str = "2366-01-01T00:00:00.000Z";
const T4: &str = "2367-01-01T00:00:00.000Z";

/// A database with a record whose value `n` was 1 to 4 at `T1` to `T4`.
fn counted_years() -> Local {
    let db = temporal();
    let version = |n: usize| {
        let time = [T1, T2, T3, T4][n - 1];
        let entry = json!({"identity": "a", "timestamp": time, "active": true, "bucket": {"n": n},
                           "class": "a.b/c"});
        (format!("v{n}"), entry)
    };
    let history: serde_json::Map<_, _> = (1..=4).map(version).collect();
    let merged = db.merge(json!({"properties": {"temporal": true}, "history": history})).unwrap();
    assert_eq!(merged.accepted.len(), 4);
    db
}

fn view_of_t3(db: &Local) -> AsOf<'_, dyn Mikobase> {
    AsOf::new(&**db, T3.parse().unwrap())
}

/// The values `n` that a select finds, by each method that takes one.
fn found(db: &dyn Mikobase, select: &Value) -> [Result<Vec<Value>, Error>; 3] {
    let values = |records: Vec<Record>| {
        records.iter().map(|record| record.bucket.get("n").unwrap().unwrap()).collect::<Vec<_>>()
    };
    let all = |answer: miko_core::Response| Ok(values(answer.into_records()?.iter().cloned().collect()));
    [
        db.q0(select.clone()).and_then(all),
        db.select_stream(select.clone()).and_then(|stream| stream.collect::<Result<Vec<_>, _>>()).map(values),
        db.batch(vec![select.clone()], false).and_then(|answers| all(answers[0].clone()?)),
    ]
}

#[test]
fn the_earlier_of_two_cutoffs_applies() {
    let db = counted_years();
    let past = view_of_t3(&db);
    let t = || json!({"placeholder": "t"});
    let cases = [
        (json!({}), Some(3)),
        (json!({"cutoff": T4}), Some(3)),
        (json!({"cutoff": T3}), Some(3)),
        (json!({"cutoff": T2}), Some(2)),
        (json!({"cutoff": T0}), None),
        (json!({"cutoff": "2365-01-01T02:00:00+02:00"}), Some(2)),
        (json!({"cutoff": t(), "placeholders": {"t": T4}}), Some(3)),
        (json!({"cutoff": t(), "placeholders": {"t": T2}}), Some(2)),
        (json!({"cutoff": t(), "placeholders": {"t": {"placeholder": "u"}, "u": T1}}), Some(1)),
        (
            json!({"cutoff": t(), "placeholders": {"t": T2, "n": 2}, "path": ["n", {"placeholder": "n"}]}),
            Some(2),
        ),
        (
            json!({"cutoff": t(), "placeholders": {"t": T4, "n": 4}, "path": ["n", {"placeholder": "n"}]}),
            None,
        ),
    ];
    for (mut select, expected) in cases {
        select["action"] = "select".into();
        let expected: Vec<Value> = expected.into_iter().map(Value::from).collect();
        for answer in found(&past, &select) {
            assert_eq!(answer.as_ref(), Ok(&expected), "{select}");
        }
        let atomic = past.batch(vec![select.clone()], true).unwrap()[0].clone();
        let records = atomic.unwrap().into_records().unwrap();
        let atomic: Vec<Value> =
            records.iter().map(|found| found.bucket.get("n").unwrap().unwrap()).collect();
        assert_eq!(atomic, expected, "{select}");
    }
}

#[test]
fn a_cutoff_that_the_database_refuses_is_refused_in_a_view_as_well() {
    let db = counted_years();
    let past = view_of_t3(&db);
    let cutoffs = [
        json!(null),
        json!(5),
        json!("soon"),
        json!([T2]),
        json!({}),
        json!({"time": T2}),
        json!({"placeholder": 5}),
        json!({"placeholder": "t", "else": T2}),
        json!({"time": {"placeholder": "t"}}),
        json!({"placeholder": "nowhere"}),
        json!({"placeholder": "number"}),
        json!({"placeholder": "soon"}),
        json!({"placeholder": "circle"}),
    ];
    let placeholders = json!({"t": T2, "number": 5, "soon": "soon", "circle": {"placeholder": "circle"}});
    for cutoff in cutoffs {
        // With another fault, all are reported.
        for rest in [json!({}), json!({"limit": -1})] {
            let mut select = rest;
            select["action"] = "select".into();
            select["cutoff"] = cutoff.clone();
            select["placeholders"] = placeholders.clone();
            let refused = db.q0(select.clone()).unwrap_err();
            let faults = 1 + usize::from(select.get("limit").is_some());
            assert_eq!(ids(&refused), vec![ErrorId::INVALID_REQUEST; faults], "{refused}");
            for answer in found(&past, &select) {
                assert_eq!(answer.as_ref(), Err(&refused), "{select}");
            }
            assert!(past.batch(vec![select], true).is_err());
        }
    }
    let select = json!({"action": "select", "cutoff": {"placeholder": "t"}, "placeholders": [T2]});
    assert_eq!(past.q0(select.clone()).unwrap_err(), db.q0(select).unwrap_err());
}

#[test]
fn a_view_may_be_of_any_time() {
    let db = counted_years();
    // The last time that a record may have.
    let last = "9999-12-31T23:59:59.999-23:59";
    let worldlet = json!({"records": {"b": {"class": "a.b/c", "bucket": {"n": 9}, "updated_at": last}}});
    db.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap();
    let last = last.parse::<Timestamp>().unwrap().as_millis();
    let cases: [(i64, &[u64]); 7] = [
        (i64::MIN, &[]),
        (-100_000_000_000_000, &[]),
        (T4.parse::<Timestamp>().unwrap().as_millis(), &[4]),
        (last - 1, &[4]),
        (last, &[4, 9]),
        (last + 1, &[4, 9]),
        (i64::MAX, &[4, 9]),
    ];
    for (millis, expected) in cases {
        let past = AsOf::new(&*db, Timestamp::from_millis(millis));
        let expected: Vec<Value> = expected.iter().map(|n| json!(n)).collect();
        for answer in found(&past, &json!({"action": "select", "class": "a.b/c"})) {
            assert_eq!(answer.as_ref(), Ok(&expected), "{millis}");
        }
        assert_eq!(past.record_by_pk("a").unwrap().is_some(), !expected.is_empty(), "{millis}");
    }
}

#[test]
fn a_view_has_the_schema_of_its_time_without_protocols() {
    let db = temporal();
    let definition =
        json!({"class": "puck.uno/class", "bucket": {"name": "https://a.b/c"}, "updated_at": T1});
    db.read_worldlet(&mut json!({"records": {"c": definition}}).to_string().as_bytes(), false).unwrap();
    assert_eq!(AsOf::new(&*db, T0.parse().unwrap()).export_schema().unwrap(), json!({"classes": {}}));
    let schema = json!({"classes": {"a.b/c": {"name": "a.b/c"}}});
    for view in [&AsOf::new(&*db, T2.parse().unwrap()) as &dyn Mikobase, &*db] {
        assert_eq!(view.export_schema().unwrap(), schema);
    }
}

#[test]
fn a_view_has_the_definitions_and_no_records_of_subclasses_of_their_class() {
    let db = temporal();
    let schema = json!({"classes": {"a.b/meta": {"name": "a.b/meta", "inherits": "puck.uno/class"}}});
    db.import_schema(schema.clone()).unwrap();
    db.q0(json!({"action": "create", "class": "a.b/meta", "bucket": {"name": "a.b/none"}})).unwrap();
    for view in [&AsOf::new(&*db, Timestamp::now()) as &dyn Mikobase, &*db] {
        assert_eq!(view.export_schema().unwrap(), db.export_schema().unwrap());
        assert_eq!(view.export_schema().unwrap()["classes"].as_object().unwrap().len(), 1);
    }
}

#[test]
fn a_batch_of_too_many_requests_is_refused_as_a_whole() {
    let db = counted_years();
    let past = view_of_t3(&db);
    for atomic in [true, false] {
        let error = past.batch(vec![Value::Null; MAX_BATCH_REQUESTS + 1], atomic).unwrap_err();
        assert_eq!(ids(&error), [ErrorId::REQUEST_TOO_LARGE], "{error}");
        assert_eq!(error.items()[0].details["allowed"], MAX_BATCH_REQUESTS);
    }
    let error = past.records_by_pks(vec![String::new(); MAX_BATCH_REQUESTS + 1]).unwrap_err();
    assert_eq!(ids(&error), [ErrorId::REQUEST_TOO_LARGE], "{error}");
}

#[test]
fn requests_that_nest_to_any_depth_are_refused() {
    let db = counted_years();
    let past = view_of_t3(&db);
    let deep = || (0..100_000).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let with_deep = |action: &str, key: &str| {
        let mut request = json!({ "action": action });
        request[key] = deep();
        request
    };
    let (select, create) = (|| with_deep("select", "cutoff"), || with_deep("create", "bucket"));
    for refused in [
        past.q0(select()).map(drop),
        past.q0(create()).map(drop),
        past.q0(deep()).map(drop),
        past.select_stream(select()).map(drop),
        past.select_stream(create()).map(drop),
        past.batch(vec![select(), create(), select()], true).map(drop),
        past.batch(vec![deep(), create()], true).map(drop),
        past.watch_select(select()).map(drop),
        past.import_schema(deep()).map(drop),
        past.merge(deep()).map(drop),
        past.edit("a", vec![deep()]).map(drop),
    ] {
        assert!(refused.is_err());
    }
}
