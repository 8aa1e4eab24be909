//! References: their targets exist, and may be protected from deletion.

use miko_core::{ErrorId, ErrorItem, MikobaseExt};
use serde_json::{Map, Value, json};

use crate::class_support::{Db, create, db, define};
use crate::support::{export, temporal};

fn fleet() -> Db {
    let db = db();
    for definition in [
        json!({"name": "a.b/vessel"}),
        json!({"name": "a.b/starship", "inherits": "a.b/vessel"}),
        json!({"name": "a.b/officer", "fields": {
            "ship": {"class": "puck.uno/reference", "target": "a.b/vessel", "on_delete": "restrict"},
            "friends": {"class": "array", "of": {"class": "puck.uno/reference"}},
            "home": {
                "class": "hash",
                "fields": {"base": {
                    "class": "puck.uno/reference", "allowed_classes": ["a.b/base", "a.b/vessel"],
                }},
            },
        }}),
    ] {
        define(&db, definition).unwrap();
    }
    db
}

#[test]
fn a_reference_points_at_an_active_record_of_an_allowed_class() {
    let db = fleet();
    let ship = create(&db, "a.b/starship", json!({})).unwrap();
    let planet = create(&db, "a.b/planet", json!({})).unwrap();
    create(&db, "a.b/officer", json!({"ship": ship, "home": {"base": {"pk": ship}}, "friends": [planet]}))
        .unwrap();
    let bucket =
        json!({"ship": planet, "friends": [ship, "nobody", {"pk": "no one"}], "home": {"base": planet}});
    let error = create(&db, "a.b/officer", bucket).unwrap_err();
    let places: Vec<&Value> = error.items().iter().map(|item| &item.details["pointer"]).collect();
    assert_eq!(places, ["/bucket/ship", "/bucket/friends/1", "/bucket/friends/2", "/bucket/home/base"]);
    assert!(error.is(ErrorId::REFERENCE_NOT_FOUND));
    assert_eq!(error.items()[0].details["allowed"], json!(["a.b/vessel"]));
    db.delete(&planet).unwrap();
    assert!(create(&db, "a.b/officer", json!({"friends": [planet]})).is_err(), "a tombstone is no record");
}

#[test]
fn the_target_of_a_restricting_reference_cannot_be_deleted() {
    let db = fleet();
    let ship = create(&db, "a.b/starship", json!({})).unwrap();
    let captain = create(&db, "a.b/officer", json!({"ship": {"pk": ship}})).unwrap();
    let error = db.delete(&ship).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    assert_eq!(
        error.items()[0].details["pointed_at_by"],
        json!([{"pk": captain, "pointer": "/bucket/ship"}])
    );
    db.update(&captain, json!({})).unwrap();
    db.delete(&ship).unwrap();
    // `ignore` is the default: the reference is then dangling, and is checked when it is written again.
    let friend = create(&db, "a.b/planet", json!({})).unwrap();
    db.update(&captain, json!({"friends": [friend]})).unwrap();
    db.delete(&friend).unwrap();
    assert!(db.update(&captain, json!({"friends": [friend]})).is_err());
}

#[test]
fn references_are_checked_at_the_end_of_a_batch() {
    let db = fleet();
    let ship = create(&db, "a.b/starship", json!({})).unwrap();
    let captain = create(&db, "a.b/officer", json!({"ship": ship})).unwrap();
    // The ship is deleted first, then its captain.
    let delete = |pk: &str| json!({"action": "delete", "pk": pk});
    db.batch(vec![delete(&ship), delete(&captain)]).unwrap();
    // A violation within a transaction is allowed if its end resolves it.
    let ship = create(&db, "a.b/starship", json!({})).unwrap();
    let officer = create(&db, "a.b/officer", json!({})).unwrap();
    let update = |bucket: Value| json!({"action": "update", "pk": officer, "bucket": bucket});
    db.batch(vec![update(json!({"ship": "nowhere"})), update(json!({"ship": ship}))]).unwrap();
    let error =
        db.batch(vec![update(json!({"friends": []})), update(json!({"ship": "nowhere"}))]).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_NOT_FOUND), "{error}");
    assert!(db.bucket(&officer).contains(&ship), "the batch was undone as a whole");
}

#[test]
fn the_target_of_a_restricting_reference_keeps_its_class() {
    let db = fleet();
    let ship = create(&db, "a.b/starship", json!({})).unwrap();
    let captain = create(&db, "a.b/officer", json!({"ship": ship})).unwrap();
    let reclass = |class: &str| db.run(json!({"action": "update", "pk": ship, "class": class}));
    let error = reclass("a.b/planet").unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    assert_eq!(
        error.items()[0].details["pointed_at_by"],
        json!([{"pk": captain, "pointer": "/bucket/ship", "allowed": ["a.b/vessel"]}])
    );
    reclass("a.b/vessel").unwrap();
    let with_allowed_class =
        json!({"action": "update", "pk": ship, "classes": ["a.b/planet", "a.b/starship"]});
    db.run(with_allowed_class).unwrap();
    // It is allowed in the same transaction as the update that removes the reference.
    let without_reference = json!({"action": "update", "pk": captain, "bucket": {"home": {"base": ship}}});
    db.batch(vec![json!({"action": "update", "pk": ship, "class": "a.b/base"}), without_reference]).unwrap();
    // A reference without `restrict` protects nothing.
    reclass("a.b/planet").unwrap();
}

/// Two classes, whose fields `to` have these definitions.
fn two_classes_with_a_field(one: &Value, two: &Value) -> Db {
    let db = db();
    define(&db, json!({"name": "a.b/one", "fields": {"to": one}})).unwrap();
    define(&db, json!({"name": "a.b/two", "fields": {"to": two}})).unwrap();
    db
}

/// The definition of a field with a reference.
fn reference(target: Option<&str>, on_delete: &str) -> Value {
    let mut field = json!({"class": "puck.uno/reference", "on_delete": on_delete});
    if let Some(target) = target {
        field["target"] = target.into();
    }
    field
}

#[test]
fn a_target_keeps_the_classes_that_each_restricting_reference_requires() {
    let (vessel, base) = (Some("a.b/vessel"), Some("a.b/base"));
    // The fields of two classes at one place of the referring record, and what refuses that the target, a
    // vessel and a base, becomes a vessel, a base, and neither.
    for (one, two, refused_by) in [
        (reference(vessel, "restrict"), reference(None, "ignore"), [None, vessel, vessel]),
        (reference(None, "ignore"), reference(vessel, "restrict"), [None, vessel, vessel]),
        (reference(vessel, "ignore"), reference(None, "restrict"), [None, None, None]),
        (reference(None, "restrict"), reference(vessel, "ignore"), [None, None, None]),
        (reference(vessel, "restrict"), reference(base, "ignore"), [None, vessel, vessel]),
        (reference(base, "ignore"), reference(vessel, "restrict"), [None, vessel, vessel]),
        (reference(vessel, "restrict"), reference(base, "restrict"), [base, vessel, vessel]),
        (reference(base, "restrict"), reference(vessel, "restrict"), [base, vessel, base]),
        (reference(base, "ignore"), reference(vessel, "ignore"), [None, None, None]),
    ] {
        let db = two_classes_with_a_field(&one, &two);
        let create = |classes: Value, bucket: Value| {
            db.run(json!({"action": "create", "classes": classes, "bucket": bucket})).unwrap()
        };
        for (class, refused_by) in ["a.b/vessel", "a.b/base", "a.b/planet"].into_iter().zip(refused_by) {
            let target = create(json!(["a.b/vessel", "a.b/base"]), json!({}));
            let referring = create(json!(["a.b/one", "a.b/two"]), json!({"to": target}));
            let done = db.run(json!({"action": "update", "pk": target, "classes": [class]}));
            let refusals = done.err().map(|error| error.items()[0].details["pointed_at_by"].clone());
            let expected = refused_by
                .map(|allowed| json!([{"pk": referring, "pointer": "/bucket/to", "allowed": [allowed]}]));
            assert_eq!(refusals, expected, "{one} and {two}, to {class}");
        }
    }
}

#[test]
fn a_record_that_a_field_names_as_a_file_stays_one() {
    let (file, reference) = ("puck.uno/dbfile", "puck.uno/reference/file");
    for (before, after, is_allowed) in [
        (file, json!([reference]), true),
        (file, json!(["a.b/planet", file]), true),
        (file, json!(["a.b/planet"]), false),
        (reference, json!([file]), true),
        (reference, json!(["a.b/planet"]), false),
    ] {
        let db = db();
        define(&db, json!({"name": "a.b/officer", "fields": {"portrait": {"class": file}}})).unwrap();
        let named = create(&db, before, json!({})).unwrap();
        let officer = create(&db, "a.b/officer", json!({"portrait": named})).unwrap();
        let reclass = json!({"action": "update", "pk": named, "classes": after});
        let refusals =
            db.run(reclass.clone()).err().map(|error| error.items()[0].details["pointed_at_by"].clone());
        let refused = json!([{"pk": officer, "pointer": "/bucket/portrait", "allowed": [file, reference]}]);
        assert_eq!(refusals, (!is_allowed).then_some(refused), "{before} to {after}");
        assert!(db.delete(&named).unwrap_err().is(ErrorId::REFERENCE_RESTRICTED));
        db.update(&officer, json!({"portrait": named})).unwrap();
        // It is allowed in the same transaction as the update that removes the reference.
        let without_portrait = json!({"action": "update", "pk": officer, "bucket": {}});
        db.batch(vec![reclass, without_portrait]).unwrap();
        db.delete(&named).unwrap();
    }
}

#[test]
fn a_record_leaves_its_class_while_a_file_has_its_pk() {
    let db = db();
    define(&db, json!({"name": "a.b/officer", "fields": {"portrait": {"class": "puck.uno/dbfile"}}}))
        .unwrap();
    let file = db.0.put_file(&mut &b"content"[..], "image/png").unwrap();
    db.run(json!({"action": "create", "class": "puck.uno/dbfile", "pk": file, "bucket": {}})).unwrap();
    let officer = create(&db, "a.b/officer", json!({"portrait": file})).unwrap();
    db.run(json!({"action": "update", "pk": file, "class": "a.b/planet"})).unwrap();
    db.update(&officer, json!({"portrait": file})).unwrap();
}

#[test]
fn a_missing_target_names_the_class_whose_field_has_the_reference() {
    let db = db();
    let crew = json!({"class": "a.b/crew"});
    let harbor = json!({"class": "puck.uno/reference"});
    for definition in [
        json!({"name": "a.b/crew", "fields": {
            "leader": {"class": "puck.uno/reference"},
            "photo": {"class": "puck.uno/dbfile"},
            "reserve": {"class": "a.b/crew"},
        }}),
        json!({"name": "a.b/ship", "fields": {
            "crew": crew, "crews": {"class": "array", "of": crew}, "decks": {"class": "hash", "of": crew},
            "harbor": harbor,
        }}),
        json!({"name": "a.b/base", "fields": {"crew": crew, "harbor": harbor}}),
    ] {
        define(&db, definition).unwrap();
    }
    let (ship, base) = ("a.b/ship", "a.b/base");
    // The classes of a record, its bucket, and the place of each missing target with the class named there.
    for (classes, bucket, expected) in [
        (vec![ship], json!({"crew": {"leader": "x"}}), json!([["/crew/leader", "a.b/crew"]])),
        (
            vec![ship],
            json!({"crew": {"reserve": {"photo": "x"}}, "harbor": "y"}),
            json!([["/crew/reserve/photo", "a.b/crew"], ["/harbor", ship]]),
        ),
        (
            vec![ship],
            json!({"crews": [{}, {"leader": "x"}], "decks": {"a": {"photo": "y"}}, "harbor": "z"}),
            json!([["/crews/1/leader", "a.b/crew"], ["/decks/a/photo", "a.b/crew"], ["/harbor", ship]]),
        ),
        // A class of the record declares a field that has a pk.
        (vec![ship], json!({"crew": "x"}), json!([["/crew", ship]])),
        (vec![ship, base], json!({"crew": {"leader": "x"}}), json!([["/crew/leader", "a.b/crew"]])),
        (vec![ship, base], json!({"harbor": "x"}), json!([["/harbor", ship], ["/harbor", base]])),
    ] {
        let create = json!({"action": "create", "classes": classes, "bucket": bucket});
        for error in [db.run(create.clone()).unwrap_err(), db.batch(vec![create]).unwrap_err()] {
            let place_and_class = |fault: &ErrorItem| {
                let pointer = fault.details["pointer"].as_str().unwrap();
                json!([pointer.strip_prefix("/bucket").unwrap(), fault.details["class"]])
            };
            let found: Value = error.items().iter().map(place_and_class).collect();
            assert_eq!(found, expected, "{bucket}");
        }
    }
}

#[test]
fn a_reference_whose_class_a_later_request_removes_is_not_checked() {
    let db = two_classes_with_a_field(&reference(Some("a.b/vessel"), "ignore"), &reference(None, "ignore"));
    let planet = create(&db, "a.b/planet", json!({})).unwrap();
    // The record, its classes at the end, its target, and the classes whose references are refused.
    for (pk, classes, target, refused) in [
        ("p1", json!(["a.b/two"]), planet.as_str(), json!([])),
        ("p2", json!(["a.b/two"]), "nobody", json!(["a.b/two"])),
        ("p3", json!(["a.b/one"]), planet.as_str(), json!(["a.b/one"])),
        ("p4", json!(["a.b/two", "a.b/one"]), planet.as_str(), json!(["a.b/one"])),
        ("p5", json!(["a.b/planet"]), "nobody", json!([])),
    ] {
        let bucket = json!({"to": target});
        let create = json!({"action": "create", "pk": pk, "class": "a.b/one", "bucket": bucket});
        let update = json!({"action": "update", "pk": pk, "classes": classes});
        let done = db.batch(vec![create, update]);
        let faults = done.as_ref().err().map_or(&[][..], |error| error.items());
        let mut found: Vec<&Value> = faults.iter().map(|fault| &fault.details["class"]).collect();
        found.dedup();
        assert_eq!(json!(found), refused, "to {classes}");
    }
}

/// The reasons and the pointers of faults.
fn reasons_and_pointers(faults: &[ErrorItem]) -> Value {
    let reason = |fault: &ErrorItem| fault.details.get("reason").cloned();
    let summary =
        |fault| json!([reason(fault).unwrap_or(fault.id.as_str().into()), fault.details["pointer"]]);
    faults.iter().map(summary).collect()
}

/// Imports a worldlet without trust, which must end with these errors, and with trust, which must end with
/// these warnings.
fn check_import(before: impl Fn() -> Db, worldlet: &Value, expected: Value) {
    let import = |db: &Db, trust| db.0.read_worldlet(&mut worldlet.to_string().as_bytes(), trust);
    let db = before();
    let state = export(&db.0);
    let refused = import(&db, false);
    let errors = refused.as_ref().err().map_or(&[][..], |error| error.items());
    assert_eq!(reasons_and_pointers(errors), expected, "{worldlet}");
    assert_eq!(refused.is_err(), export(&db.0) == state, "a refused import changes nothing: {worldlet}");
    let warnings = import(&before(), true).unwrap().warnings;
    assert_eq!(reasons_and_pointers(&warnings), expected, "with trust: {worldlet}");
}

/// Two records at which restricting references point: a starship and a record that stands for a file.
fn crew() -> Db {
    let db = fleet();
    define(&db, json!({"name": "a.b/portrayed", "fields": {"portrait": {"class": "puck.uno/dbfile"}}}))
        .unwrap();
    for (pk, class, bucket) in [
        ("ship", "a.b/starship", json!({})),
        ("file", "puck.uno/dbfile", json!({})),
        ("captain", "a.b/officer", json!({"ship": "ship"})),
        ("guest", "a.b/portrayed", json!({"portrait": "file"})),
    ] {
        db.run(json!({"action": "create", "pk": pk, "class": class, "bucket": bucket})).unwrap();
    }
    db
}

#[test]
fn an_import_takes_no_class_from_a_record_that_a_restricting_reference_requires() {
    let of_class = |class: &str| json!({"class": class, "bucket": {}});
    let (vessel, planet) = (of_class("a.b/vessel"), of_class("a.b/planet"));
    for (records, faults) in [
        (json!({"ship": planet}), json!([["reference-restricted", "/records/ship"]])),
        (json!({"file": planet}), json!([["reference-restricted", "/records/file"]])),
        (
            json!({"ship": planet, "file": planet}),
            json!([["reference-restricted", "/records/file"], ["reference-restricted", "/records/ship"]]),
        ),
        (json!({"ship": vessel}), json!([])),
        (json!({"file": of_class("puck.uno/reference/file")}), json!([])),
        (json!({"ship": planet, "captain": of_class("a.b/officer")}), json!([])),
        (
            json!({
                "ship": planet,
                "captain": {"class": "a.b/officer", "bucket": {"ship": "other"}},
                "other": vessel,
            }),
            json!([]),
        ),
    ] {
        check_import(crew, &json!({"records": records}), faults);
    }
}

#[test]
fn an_imported_tombstone_deletes_no_record_at_which_a_restricting_reference_points() {
    let before = || {
        let db = Db(temporal());
        let schema = json!({"classes": {
            "a.b/vessel": {},
            "a.b/officer": {"fields": {"ship": {
                "class": "puck.uno/reference", "target": "a.b/vessel", "on_delete": "restrict",
            }}},
        }});
        db.0.import_schema(schema).unwrap();
        db.run(json!({"action": "create", "pk": "ship", "class": "a.b/vessel", "bucket": {}})).unwrap();
        db.run(json!({"action": "create", "class": "a.b/officer", "bucket": {"ship": "ship"}})).unwrap();
        db
    };
    let version = |year: u16, class: Option<&str>| {
        let timestamp = format!("{year}-01-01T00:00:00.000Z");
        match class {
            None => json!({"record": "ship", "timestamp": timestamp, "active": false}),
            Some(class) => json!({"record": "ship", "timestamp": timestamp, "class": class, "bucket": {}}),
        }
    };
    let refused = |version| json!([["reference-restricted", format!("/history/{version}")]]);
    let (vessel, planet) = (Some("a.b/vessel"), Some("a.b/planet"));
    // The versions that are imported, with their years.
    for (versions, faults) in [
        (vec![version(3000, None)], refused("v0")),
        (vec![version(3000, planet)], refused("v0")),
        (vec![version(3000, None), version(3001, vessel)], json!([])),
        (vec![version(3001, vessel), version(3000, None)], json!([])),
        (vec![version(3000, vessel), version(3001, planet)], refused("v1")),
        (vec![version(3000, None), version(3001, planet)], refused("v1")),
        (vec![version(2000, planet)], json!([])),
    ] {
        let history = versions.into_iter().enumerate().map(|(nth, version)| (format!("v{nth}"), version));
        let history: Map<String, Value> = history.collect();
        check_import(before, &json!({"history": history}), faults);
        // A merge takes what the other database has accepted.
        assert_eq!(before().0.merge(json!({"history": history})).unwrap().rejected, [] as [&str; 0]);
    }
}
