//! Conditions on unique and indexed fields use the index, with the same result as a scan.

use serde_json::{Value, json};

use crate::support::{Local, sqlite};

use crate::class_support::{Db, create, db, define};

fn officers() -> Db {
    officers_in(db())
}

fn officers_in(db: Db) -> Db {
    define(
        &db,
        json!({"name": "a.b/person", "fields": {
            "serial": {"unique": true}, "rank": {"index": true},
            "name": {"class": "hash", "fields": {"last": {"index": true}}},
        }}),
    )
    .unwrap();
    define(&db, json!({"name": "a.b/officer", "inherits": "a.b/person"})).unwrap();
    db
}

/// The steps of the query plan of SQLite.
fn plan(db: &Local, class: &str, path: Value) -> Vec<String> {
    db.explain(json!({"action": "select", "class": class, "path": path})).unwrap().plan
}

#[test]
fn the_plan_shows_the_index() {
    let db = officers_in(Db(sqlite()));
    create(&db, "a.b/officer", json!({"serial": 1, "rank": "Captain", "name": {"last": "Kirk"}})).unwrap();
    for (class, path, index) in [
        (
            "a.b/person",
            json!(["serial", 1]),
            "SCAN unique_value VIRTUAL TABLE INDEX 0:constraint_id=? AND value=?",
        ),
        (
            "a.b/officer",
            json!(["serial", 1.0]),
            "SCAN unique_value VIRTUAL TABLE INDEX 0:constraint_id=? AND value=?",
        ),
        (
            "a.b/officer",
            json!(["rank", "Captain"]),
            "SCAN indexed_value VIRTUAL TABLE INDEX 0:constraint_id=? AND value=?",
        ),
        (
            "a.b/person",
            json!(["name", "last", "Kirk"]),
            "SCAN indexed_value VIRTUAL TABLE INDEX 0:constraint_id=? AND value=?",
        ),
    ] {
        let plan = plan(&db.0, class, path.clone());
        assert!(plan.iter().any(|step| step == index), "{class} {path}: {plan:#?}");
        assert!(plan.iter().all(|step| !step.starts_with("SCAN record")), "{class} {path}: {plan:#?}");
    }
    for (class, path) in [
        ("a.b/person", json!(["rank", null])),
        ("a.b/person", json!(["name", "first", "James"])),
        ("a.b/person", json!(["rank", 0, "x"])),
        ("x.y/other", json!(["rank", "Captain"])),
    ] {
        let plan = plan(&db.0, class, path.clone());
        assert!(plan.iter().all(|step| !step.contains("_value")), "{class} {path}: {plan:#?}");
    }
}

#[test]
fn an_index_and_a_scan_have_equal_results() {
    let (indexed, scanned) = (officers(), db());
    let values = [
        json!(1),
        json!(1.0),
        json!("1"),
        json!(true),
        json!(null),
        json!([1]),
        json!([1.0]),
        json!({"a": 1}),
        json!("é"),
        json!(""),
        json!("a\u{0}b"),
        json!(u64::MAX),
        json!(-0.0),
        json!(0),
    ];
    let mut pks = Vec::new();
    for (n, value) in values.iter().chain(&values).enumerate() {
        let class = if n % 3 == 0 { "a.b/person" } else { "a.b/officer" };
        let bucket = json!({"rank": value, "name": {"last": value}});
        let pks_in_both =
            (create(&indexed, class, bucket.clone()).unwrap(), create(&scanned, class, bucket).unwrap());
        pks.push(pks_in_both);
    }
    // Some records are deleted, some changed, and one gets a bucket of its own for its class.
    for (in_indexed, in_scanned) in [&pks[3], &pks[10]] {
        indexed.delete(in_indexed).unwrap();
        scanned.delete(in_scanned).unwrap();
    }
    for (db, pk) in [(&indexed, &pks[5].0), (&scanned, &pks[5].1)] {
        db.update(pk, json!({"rank": 1, "name": {"last": [5]}})).unwrap();
    }
    for (db, pk) in [(&indexed, &pks[6].0), (&scanned, &pks[6].1)] {
        let stack = json!({"p": {"class": "a.b/officer", "bucket": {"rank": "private"}}});
        db.run(json!({"action": "update", "pk": pk, "stack": stack, "bucket": {"rank": 1}})).unwrap();
    }
    let positions = |pks: Vec<&String>, found: Vec<String>| -> Vec<usize> {
        found.iter().map(|pk| pks.iter().position(|other| *other == pk).unwrap()).collect()
    };
    for value in values.iter().chain([&json!("private"), &json!("nobody")]).filter(|value| !value.is_object())
    {
        for (class, scanned_classes) in
            [("a.b/officer", vec!["a.b/officer"]), ("a.b/person", vec!["a.b/person", "a.b/officer"])]
        {
            for path in [json!(["rank", value]), json!(["name", "last", value])] {
                let by_index = indexed.by_path(class, path.clone());
                let select = json!({"action": "select", "classes": scanned_classes, "path": path});
                let by_scan = scanned.0.q0(select).unwrap().into_records().unwrap();
                assert_eq!(
                    positions(pks.iter().map(|(one, _)| one).collect(), by_index),
                    positions(
                        pks.iter().map(|(_, other)| other).collect(),
                        by_scan.into_iter().map(|record| record.pk).collect()
                    ),
                    "{class} {path}"
                );
            }
        }
    }
}

/// A reference is written as a pk or as an object with it. An index has one key for both, but only the pk
/// equals the value of a path.
#[test]
fn a_path_finds_the_same_if_a_subclass_declares_the_indexed_field_as_a_reference() {
    let db = db();
    let fields_of = |field: Value| json!({"f": field, "h": {"class": "hash", "fields": {"g": field}}});
    for (class, parents, fields) in [
        ("a.b/parent", json!([]), fields_of(json!({"class": "string", "index": true}))),
        ("a.b/child", json!(["a.b/parent"]), json!({})),
        ("a.b/referring", json!(["a.b/parent"]), fields_of(json!({"class": "puck.uno/reference"}))),
    ] {
        define(&db, json!({"name": class, "inherits": parents, "fields": fields})).unwrap();
    }
    let target = create(&db, "x.y/target", json!({})).unwrap();
    for (spelling, value) in [("pk", json!(target)), ("object", json!({"pk": target}))] {
        for (kind, classes) in [
            ("referring", json!({"r": {"class": "a.b/referring"}})),
            // Each of the classes makes an entry for the record.
            ("both", json!({"c": {"class": "a.b/child", "bucket": {}}, "r": {"class": "a.b/referring"}})),
        ] {
            let bucket = json!({"name": format!("{kind}, {spelling}"), "f": value, "h": {"g": value}});
            db.run(json!({"action": "create", "classes": classes, "bucket": bucket})).unwrap();
        }
    }
    for (class, expected) in [
        ("a.b/parent", ["referring, pk", "both, pk"].as_slice()),
        ("a.b/child", &["both, pk"]),
        ("a.b/referring", &["referring, pk", "both, pk"]),
    ] {
        for path in [json!(["f", target]), json!(["h", "g", target])] {
            let select = json!({"action": "select", "class": class, "path": path});
            let records = db.0.q0(select).unwrap().into_records().unwrap();
            let names: Vec<Value> =
                records.iter().map(|record| record.bucket.get("name").unwrap().unwrap()).collect();
            assert_eq!(names, expected, "{class} {path}");
        }
    }
}
