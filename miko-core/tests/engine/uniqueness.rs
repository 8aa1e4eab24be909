//! `unique`, `uniques` and `join`.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::classed::{Db, create, db, define, rules_broken};

fn officers() -> Db {
    let db = db();
    define(&db, json!({"name": "a.b/person", "fields": {"serial": {"unique": true}}})).unwrap();
    define(
        &db,
        json!({"name": "a.b/officer", "inherits": "a.b/person", "uniques": [["rank", ["name", "last"]]],
               "fields": {"rank": {}, "name": {"class": "hash"}}}),
    )
    .unwrap();
    db
}

#[test]
fn equal_values_collide_as_q0_compares_them() {
    let colliding = [
        (json!(1), json!(1.0)),
        (json!("x"), json!("x")),
        (json!([1, {"a": 1, "b": 2}]), json!([1.0, {"b": 2, "a": 1}])),
        (json!(false), json!(false)),
    ];
    for (first, second) in colliding {
        let db = officers();
        let other = create(&db, "a.b/person", json!({"serial": first})).unwrap();
        // Records of a subclass count too.
        let error = create(&db, "a.b/officer", json!({"serial": second})).unwrap_err();
        assert!(error.is(ErrorId::UNIQUE_VIOLATION), "{error}");
        let details = &error.items()[0].details;
        assert_eq!((&details["other"], &details["fields"]), (&json!(other), &json!(["serial"])));
        // A value is free when its record gets another one or is deleted.
        db.update(&other, json!({"serial": "another"})).unwrap();
        let pk = create(&db, "a.b/officer", json!({"serial": second})).unwrap();
        db.delete(&pk).unwrap();
        db.update(&other, json!({"serial": first})).unwrap();
    }
    let db = officers();
    for different in [json!(1), json!("1"), json!(true), json!([1]), json!(null), json!(null)] {
        create(&db, "a.b/person", json!({"serial": different})).unwrap();
    }
    create(&db, "a.b/person", json!({})).unwrap();
    create(&db, "a.b/person", json!({})).unwrap();
    create(&db, "x.y/other", json!({"serial": 1})).unwrap();
}

#[test]
fn tuples_are_unique_as_a_whole_and_one_with_a_null_is_exempt() {
    let db = officers();
    let officer =
        |rank: Value, last: Value| create(&db, "a.b/officer", json!({"rank": rank, "name": {"last": last}}));
    officer(json!("Captain"), json!("Kirk")).unwrap();
    officer(json!("Captain"), json!("Picard")).unwrap();
    officer(json!("Captain"), json!(null)).unwrap();
    officer(json!("Captain"), json!(null)).unwrap();
    let error = officer(json!("Captain"), json!("Kirk")).unwrap_err();
    assert_eq!(error.items()[0].details["fields"], json!(["rank", "name.last"]));
}

#[test]
fn all_violations_of_a_record_are_reported() {
    let db = officers();
    let bucket = json!({"serial": 1, "rank": "Captain", "name": {"last": "Kirk"}});
    create(&db, "a.b/officer", bucket.clone()).unwrap();
    let error = create(&db, "a.b/officer", bucket).unwrap_err();
    assert_eq!(error.items().len(), 2, "{error}");
}

#[test]
fn a_join_is_required_unique_and_never_changes() {
    let db = db();
    define(
        &db,
        json!({"name": "a.b/posting", "join": ["officer", "ship"],
                       "fields": {"officer": {"class": "puck.uno/reference"}, "ship": {}, "since": {}}}),
    )
    .unwrap();
    let o = create(&db, "a.b/officer", json!({})).unwrap();
    let error = create(&db, "a.b/posting", json!({"officer": o})).unwrap_err();
    assert_eq!(rules_broken(&error), ["join"]);
    let pk = create(&db, "a.b/posting", json!({"officer": o, "ship": "s"})).unwrap();
    let error = create(&db, "a.b/posting", json!({"officer": {"pk": o}, "ship": "s"})).unwrap_err();
    assert!(error.is(ErrorId::UNIQUE_VIOLATION), "both spellings of a reference are one value: {error}");
    db.update(&pk, json!({"officer": {"pk": o}, "ship": "s", "since": 2364})).unwrap();
    let error = db.update(&pk, json!({"officer": o, "ship": "other"})).unwrap_err();
    assert!(error.is(ErrorId::IMMUTABLE_FIELD), "{error}");
    // A record of another class is not a posting.
    db.run(json!({"action": "update", "pk": pk, "class": "x.y/z", "bucket": {"ship": "other"}})).unwrap();
}

#[test]
fn a_field_can_become_unique_only_if_its_values_are() {
    let db = db();
    let definition = define(&db, json!({"name": "a.b/c"})).unwrap();
    let first = create(&db, "a.b/c", json!({"n": 1})).unwrap();
    let second = create(&db, "a.b/c", json!({"n": 1.0})).unwrap();
    let unique = json!({"name": "a.b/c", "fields": {"n": {"unique": true}}});
    let error = db.update(&definition, unique.clone()).unwrap_err();
    let details = &error.items()[0].details;
    assert_eq!((&details["other"], &details["pk"]), (&json!(first), &json!(second)));
    db.delete(&second).unwrap();
    db.update(&definition, unique).unwrap();
    assert!(create(&db, "a.b/c", json!({"n": 1})).is_err());
    // Values of a field that is no longer unique may be equal.
    db.update(&definition, json!({"name": "a.b/c"})).unwrap();
    create(&db, "a.b/c", json!({"n": 1})).unwrap();
    assert!(db.update(&definition, json!({"name": "a.b/c", "join": ["n"]})).is_err());
}

#[test]
fn a_class_that_comes_to_inherit_a_unique_field_is_indexed_then() {
    let db = officers();
    let definition = define(&db, json!({"name": "a.b/cadet"})).unwrap();
    create(&db, "a.b/cadet", json!({"serial": 7})).unwrap();
    create(&db, "a.b/officer", json!({"serial": 7})).unwrap();
    let inherits = json!({"name": "a.b/cadet", "inherits": "a.b/person"});
    assert!(db.update(&definition, inherits.clone()).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
    let cadet = db.by_class("a.b/cadet")[0].pk.clone();
    db.update(&cadet, json!({"serial": 8})).unwrap();
    db.update(&definition, inherits).unwrap();
    assert!(create(&db, "a.b/officer", json!({"serial": 8})).is_err());
}

#[test]
fn a_violated_unique_value_is_reported_with_the_other_faults() {
    for db in [db(), crate::classed::plain()] {
        let fields = json!({"n": {"class": "number"}, "serial": {"unique": true}});
        define(&db, json!({"name": "a.b/c", "fields": fields})).unwrap();
        create(&db, "a.b/c", json!({"serial": 1})).unwrap();
        let pk = create(&db, "a.b/c", json!({"serial": 2})).unwrap();
        let messages = |error: miko_core::Error| -> Vec<String> {
            error.items().iter().map(|item| item.id.to_string()).collect()
        };
        let both = ["validation-failed", "unique-violation"];
        assert_eq!(messages(create(&db, "a.b/c", json!({"n": "x", "serial": 1})).unwrap_err()), both);
        assert_eq!(messages(db.update(&pk, json!({"n": "x", "serial": 1})).unwrap_err()), both);
        assert_eq!(messages(db.update(&pk, json!({"n": "x", "serial": 2})).unwrap_err()), both[..1]);
    }
}
