//! A refused write reports the faults of all phases: of the record, of its class, of unique values and of
//! references.

use miko_core::{Error, ErrorId, MikobaseExt};
use serde_json::{Value, json};

use crate::class_support::{Db, create, db, define};
use crate::support::{Local, engine};

/// The ids of all faults, each once, in alphabetical order.
fn kinds(error: &Error) -> Vec<&str> {
    let mut kinds: Vec<&str> = error.items().iter().map(|item| item.id.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// A database with postings, whose class has rules of every phase.
fn postings() -> Db {
    let db = db();
    let fields = json!({
        "officer": {"class": "puck.uno/reference"},
        "badge": {"unique": true},
        "rank": {"class": "string"},
        "ship": {},
    });
    define(&db, json!({"name": "a.b/posting", "join": ["ship", "rank"], "fields": fields})).unwrap();
    create(&db, "a.b/posting", json!({"badge": 1, "rank": "Captain", "ship": "s"})).unwrap();
    db
}

#[test]
fn a_create_lists_the_faults_of_every_phase() {
    let db = postings();
    let cases = [
        // Faults of the record itself, of its references, and of values that other records have.
        (
            json!({"badge": 1, "rank": 5, "ship": "s", "officer": "gone"}),
            &["reference-not-found", "unique-violation", "validation-failed"][..],
        ),
        (
            json!({"badge": 1, "rank": "Ensign", "ship": "s", "officer": "gone"}),
            &["reference-not-found", "unique-violation"],
        ),
        (json!({"badge": 2, "rank": "Ensign", "ship": "s", "officer": "gone"}), &["reference-not-found"]),
    ];
    for (bucket, expected) in cases {
        let error = create(&db, "a.b/posting", bucket.clone()).unwrap_err();
        assert_eq!(kinds(&error), expected, "{bucket}: {error}");
    }
}

#[test]
fn an_update_lists_the_faults_of_every_phase_each_once() {
    let db = postings();
    let pk = create(&db, "a.b/posting", json!({"badge": 2, "rank": "Ensign", "ship": "s"})).unwrap();
    let wrong = json!({"badge": 1, "rank": "Captain", "ship": "s", "officer": "gone"});
    let error = db.update(&pk, wrong).unwrap_err();
    assert_eq!(kinds(&error), ["immutable-field", "reference-not-found", "unique-violation"], "{error}");
    // Two values of the other posting: the badge, and the pair of rank and ship.
    assert_eq!(error.items().len(), 4, "{error}");
    let wrong = json!({"badge": 1, "rank": 5, "ship": "s"});
    let error = db.update(&pk, wrong).unwrap_err();
    assert_eq!(kinds(&error), ["immutable-field", "unique-violation", "validation-failed"], "{error}");
    // A record may keep its own values.
    db.update(&pk, json!({"badge": 2, "rank": "Ensign", "ship": "s", "since": 2364})).unwrap();
}

#[test]
fn a_definition_lists_a_taken_name_unknown_parents_and_contradictory_rules() {
    let db = postings();
    let wrong = json!({"name": "a.b/posting", "inherits": ["a.b/unknown", "a.b/other"],
                       "fields": {"n": {"class": "number", "min": 2, "max": 1}}});
    let error = define(&db, wrong.clone()).unwrap_err();
    assert_eq!(kinds(&error), ["class-not-found", "duplicate-class", "validation-failed"], "{error}");
    assert_eq!(error.items().len(), 4, "{error}");
    let mut without_contradiction = wrong;
    without_contradiction["fields"] = json!({});
    let error = define(&db, without_contradiction).unwrap_err();
    assert_eq!(kinds(&error), ["class-not-found", "duplicate-class"], "{error}");
    assert_eq!(error.items().len(), 3, "{error}");
}

#[test]
fn a_definition_that_becomes_another_record_lists_the_classes_that_inherit_from_it() {
    let db = postings();
    let pk = define(&db, json!({"name": "a.b/base"})).unwrap();
    define(&db, json!({"name": "a.b/sub", "inherits": ["a.b/base"]})).unwrap();
    let update = |bucket: Value| {
        db.run(json!({"action": "update", "pk": pk, "class": "a.b/posting", "bucket": bucket})).unwrap_err()
    };
    let error = update(json!({"badge": 2, "rank": "Ensign", "ship": "t"}));
    assert_eq!(kinds(&error), ["reference-restricted"], "{error}");
    let error = update(json!({"badge": 1, "rank": 5, "ship": "t"}));
    assert_eq!(kinds(&error), ["reference-restricted", "unique-violation", "validation-failed"], "{error}");
    assert_eq!(error.items().len(), 3, "{error}");
}

#[test]
fn in_a_batch_a_reference_may_lead_to_a_record_of_a_later_request() {
    let db = postings();
    let mut requests = vec![
        json!({"action": "create", "class": "a.b/posting",
               "bucket": {"badge": 1, "rank": 5, "ship": "t", "officer": "not-yet"}}),
        json!({"action": "create", "class": "a.b/officer", "bucket": {}}),
    ];
    let error = db.batch(requests.clone()).unwrap_err();
    assert_eq!(kinds(&error), ["unique-violation", "validation-failed"], "{error}");
    requests[0]["bucket"] = json!({"badge": 3, "rank": "Ensign", "ship": "t", "officer": "gone"});
    assert!(db.batch(requests).unwrap_err().is(ErrorId::REFERENCE_NOT_FOUND));
}

#[test]
fn a_definition_that_no_value_can_satisfy_is_refused_in_each_form_of_a_worldlet() {
    let definition = json!({"name": "a.b/c", "fields": {"n": {"class": "number", "min": 2, "max": 1}}});
    let worldlet_with = |content: Value| {
        let mut worldlet = json!({"format": "worldlet/1.0", "properties": {"temporal": false}});
        worldlet.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        worldlet.to_string()
    };
    let forms = [
        (worldlet_with(json!({"classes": {"a.b/c": definition}})), "/classes/a.b~1c/fields/n"),
        (
            worldlet_with(json!({"records": {"d": {"class": "puck.uno/class", "bucket": definition}}})),
            "/records/d/bucket/fields/n",
        ),
    ];
    for (worldlet, pointer) in forms {
        let db = crate::class_support::non_temporal();
        let import = |trust| db.0.read_worldlet(&mut worldlet.as_bytes(), trust);
        let error = import(false).unwrap_err();
        assert_eq!(error.items()[0].details["pointer"], pointer, "{worldlet}: {error}");
        assert_eq!(error.items().len(), 1, "{error}");
        // An export of an earlier version, which accepted the definition, can still be imported.
        let warnings = import(true).unwrap().warnings;
        assert_eq!(warnings[0].details["pointer"], pointer, "{warnings:?}");
    }
}

#[test]
fn a_create_after_a_batch_of_reads_is_not_reported_as_part_of_the_batch() {
    let db = postings();
    db.batch(vec![json!({"action": "select", "class": "a.b/posting"})]).unwrap();
    let wrong = json!({"badge": 2, "rank": 5, "ship": "s", "officer": "gone"});
    let error = create(&db, "a.b/posting", wrong).unwrap_err();
    assert_eq!(kinds(&error), ["reference-not-found", "validation-failed"], "{error}");
    assert!(error.items().iter().all(|item| !item.details.contains_key("request")), "{error}");
}

#[test]
fn renaming_a_class_that_others_inherit_from_has_one_fault() {
    let db = db();
    let pk = define(&db, json!({"name": "a.b/base", "fields": {}})).unwrap();
    define(&db, json!({"name": "a.b/sub", "inherits": ["a.b/base"], "fields": {}})).unwrap();
    let error = db.update(&pk, json!({"name": "a.b/other", "fields": {}})).unwrap_err();
    assert_eq!(kinds(&error), ["reference-restricted"], "{error}");
    let contradiction = json!({"n": {"class": "number", "min": 2, "max": 1}});
    let error = db.update(&pk, json!({"name": "a.b/other", "fields": contradiction})).unwrap_err();
    assert_eq!(kinds(&error), ["reference-restricted", "validation-failed"], "{error}");
}

#[test]
fn unique_violations_beyond_the_listed_faults_are_counted_once() {
    let db = db();
    let names: Vec<String> = (0..150).map(|n| format!("f{n}")).collect();
    let fields: Value = names
        .iter()
        .map(|name| (name.clone(), json!({"unique": true})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    define(&db, json!({"name": "a.b/many", "fields": fields})).unwrap();
    let bucket: Value =
        names.iter().map(|name| (name.clone(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    create(&db, "a.b/many", bucket.clone()).unwrap();
    let error = create(&db, "a.b/many", bucket).unwrap_err();
    // An error lists 100 faults and counts the others.
    assert_eq!(error.items().last().unwrap().details["omitted"], 50, "{error}");
}

#[test]
fn a_refused_update_reports_no_fault_of_a_reference_to_the_record_itself() {
    let db = db();
    let to_b = json!({"self": {"class": "puck.uno/reference", "allowed_class": "a.b/b"},
                      "n": {"class": "number"}});
    define(&db, json!({"name": "a.b/a", "fields": {}})).unwrap();
    define(&db, json!({"name": "a.b/b", "fields": to_b})).unwrap();
    let pk = create(&db, "a.b/a", json!({})).unwrap();
    let update = |n: Value| {
        let bucket = json!({"self": pk, "n": n});
        db.run(json!({"action": "update", "pk": pk, "class": "a.b/b", "bucket": bucket}))
    };
    let error = update(json!("no number")).unwrap_err();
    assert_eq!(kinds(&error), ["validation-failed"], "{error}");
    update(json!(1)).unwrap();
}

/// A class whose records may refer to themselves, with rules of every phase and one record.
fn selves(db: &Local) {
    let fields = json!({
        "boss": {"class": "puck.uno/reference"},
        "deputies": {"class": "array", "of": {"class": "puck.uno/reference", "allowed_class": "a.b/self"}},
        "portrait": {"class": "puck.uno/dbfile"},
        "badge": {"unique": true},
        "rank": {"class": "string"},
    });
    db.import_schema(json!({"classes": {"a.b/self": {"fields": fields}}})).unwrap();
    db.create("a.b/self", &json!({"badge": 1})).unwrap();
}

#[test]
fn a_refused_create_reports_no_fault_of_a_reference_to_the_record_itself() {
    let db = db();
    selves(&db.0);
    let cases = [
        // A fault of the record itself, one of a value that another record has, and both.
        (json!({"boss": "kirk", "rank": 5}), &["validation-failed"][..]),
        (json!({"boss": "kirk", "badge": 1}), &["unique-violation"]),
        (json!({"boss": "kirk", "rank": 5, "badge": 1}), &["unique-violation", "validation-failed"]),
        (json!({"deputies": ["kirk", "kirk"], "rank": 5}), &["validation-failed"]),
        (json!({"portrait": "kirk", "rank": 5}), &["validation-failed"]),
        // References to other records are checked as before.
        (json!({"boss": "gone", "rank": 5}), &["reference-not-found", "validation-failed"]),
        (json!({"deputies": ["kirk", "gone"], "badge": 1}), &["reference-not-found", "unique-violation"]),
    ];
    let create =
        |bucket: &Value| json!({"action": "create", "pk": "kirk", "class": "a.b/self", "bucket": bucket});
    for (bucket, expected) in cases {
        let error = db.run(create(&bucket)).unwrap_err();
        assert_eq!(kinds(&error), expected, "{bucket}: {error}");
    }
    db.run(create(&json!({"boss": "kirk", "deputies": ["kirk"], "rank": "Captain", "badge": 2}))).unwrap();
}

#[test]
fn a_refused_create_reports_no_fault_of_a_reference_to_itself_that_a_hook_has_added() {
    let db = engine();
    selves(&db);
    db.before_save("own boss", "a.b/self", |save| {
        let pk = save.pk().to_owned();
        save.set("boss", pk)?;
        Ok(())
    });
    for (bucket, expected) in
        [(json!({"rank": 5}), ["validation-failed"]), (json!({"badge": 1}), ["unique-violation"])]
    {
        let error = db.create("a.b/self", &bucket).unwrap_err();
        assert_eq!(kinds(&error), expected, "{bucket}: {error}");
    }
    db.create("a.b/self", &json!({"rank": "Captain", "badge": 2})).unwrap();
}
