//! Objects that are marked by `custom_classes`, and strict databases.

use miko_core::{Engine, ErrorId, MikobaseExt, WorldletEngine};
use serde_json::{Value, json};

use crate::class_support::{Db, db, define, rules_broken};
use crate::support::{ids, read, sqlite_in_memory};

/// A database with addresses, which have a zip, and stations, which are addresses with a dock.
fn starfleet() -> Db {
    let db = db();
    let zip = json!({
        "zip": {"class": "string", "required": true, "collapse": true}, "planet": {"default": "Earth"},
    });
    define(&db, json!({"name": "a.b/address", "fields": zip})).unwrap();
    define(
        &db,
        json!({"name": "a.b/station", "inherits": "a.b/address", "fields": {"dock": {"class": "number"}}}),
    )
    .unwrap();
    define(&db, json!({"name": "a.b/ship", "fields": {"class": {"class": "string"}}})).unwrap();
    let home = json!({"home": {"class": "a.b/address"}, "log": {"class": "array"}});
    define(&db, json!({"name": "a.b/officer", "fields": home})).unwrap();
    db
}

fn create(db: &Db, class: &str, bucket: Value) -> Result<String, miko_core::Error> {
    let markers = json!({
        "$address": "a.b/address", "$station": "https://a.b/station", "$ship": "a.b/ship", "$free": "x.y/z",
    });
    db.run(json!({"action": "create", "class": class, "bucket": bucket, "custom_classes": markers}))
}

#[test]
fn a_marked_object_at_any_place_is_checked_and_gets_defaults() {
    let db = starfleet();
    let pk = create(
        &db,
        "x.y/undefined",
        json!({"$free": true, "deep": [{"in": {"$address": 1, "zip": "  a   b "}}], "plain": {"zip": 5}}),
    )
    .unwrap();
    assert_eq!(
        db.bucket(&pk),
        r#"{"$free":true,"deep":[{"in":{"$address":1,"zip":"a b","planet":"Earth"}}],"plain":{"zip":5}}"#
    );
    let error = create(
        &db,
        "x.y/undefined",
        json!({"deep": [{"$address": 1}], "$station": 1, "zip": "1", "dock": "one"}),
    )
    .unwrap_err();
    let places: Vec<_> = error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
    assert_eq!(places, ["/bucket/dock", "/bucket/deep/0/zip"]);
    assert_eq!(rules_broken(&error), ["class", "required"]);
    let error = db.update(&pk, json!({"deep": {"$address": 1}})).unwrap_err();
    assert_eq!(rules_broken(&error), ["required"], "an update keeps the markers of the record");
}

#[test]
fn a_marker_narrows_the_class_of_a_field_and_never_contradicts_it() {
    let db = starfleet();
    let officer = |home: Value| create(&db, "a.b/officer", json!({"home": home}));
    officer(json!({"$address": 1, "zip": "1"})).unwrap();
    officer(json!({"$station": 1, "zip": "1", "dock": 4})).unwrap();
    assert_eq!(
        rules_broken(&officer(json!({"$station": 1, "zip": "1", "dock": "four"})).unwrap_err()),
        ["class"]
    );
    assert_eq!(
        rules_broken(&officer(json!({"$station": 1})).unwrap_err()),
        ["required"],
        "one fault, not one per class"
    );
    for contradiction in [json!({"$ship": 1, "zip": "1"}), json!({"$free": 1, "zip": "1"})] {
        let error = officer(contradiction).unwrap_err();
        assert_eq!(rules_broken(&error), ["custom_classes"]);
        assert_eq!(error.items()[0].details["pointer"], "/bucket/home");
        assert_eq!(error.items()[0].details["allowed"], "a.b/address");
    }
    // Without a declaration there is no contradiction.
    create(&db, "a.b/officer", json!({"log": [{"$ship": 1}], "other": {"$free": 1}})).unwrap();
}

#[test]
fn a_marked_object_in_the_own_bucket_of_a_platter_is_checked_and_gets_defaults() {
    let db = starfleet();
    for class in ["a.b/officer", "x.y/undefined"] {
        let request = |own: Value| {
            json!({"action": "create", "bucket": {}, "custom_classes": {"$address": "a.b/address"},
                   "stack": {"p": {"class": class, "bucket": own}}})
        };
        let error = db.run(request(json!({"home": {"$address": 1}, "log": [{"$address": 2}]}))).unwrap_err();
        let places: Vec<_> = error.items().iter().map(|item| item.details["pointer"].as_str()).collect();
        let own = "/stack/p/bucket";
        assert_eq!(places, [Some(&*format!("{own}/home/zip")), Some(&*format!("{own}/log/0/zip"))]);
        let pk = db.run(request(json!({"home": {"$address": 1, "zip": "  a   b "}}))).unwrap();
        let stack: Value = serde_json::from_str(read(&db.0, &pk).stack.as_str()).unwrap();
        let home = json!({"$address": 1, "zip": "a b", "planet": "Earth"});
        assert_eq!(stack["p"]["bucket"], json!({ "home": home }), "{class}");
        let update = json!({"action": "update", "pk": pk, "bucket": {},
                            "stack": {"p": {"class": class, "bucket": {"home": {"$address": 1}}}}});
        assert_eq!(rules_broken(&db.run(update).unwrap_err()), ["required"], "{class}");
    }
    let worldlet = json!({"records": {"a": {
        "bucket": {}, "stack": {"p": {"class": "x.y/undefined", "bucket": {"home": {"$address": 1}}}},
        "custom_classes": {"$address": "a.b/address"},
    }}});
    let error = db.0.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/records/a/stack/p/bucket/home/zip");
}

#[test]
fn markers_in_worldlets_are_checked_too() {
    let db = starfleet();
    let worldlet = json!({"records": {"a": {
        "bucket": {"deep": {"$address": 1}}, "custom_classes": {"$address": "a.b/address"},
    }}});
    let error = db.0.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/records/a/bucket/deep/zip");
}

/// A request that creates a record with addresses that refer to `target`, and the places of the references.
fn with_marked_references(target: &str) -> Vec<(Value, &'static [&'static str])> {
    let create = |content: Value| {
        let markers = json!({"$address": "a.b/address", "$station": "a.b/station"});
        let mut request = json!({"action": "create", "custom_classes": markers});
        request.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        request
    };
    let address = json!({"$address": 1, "zip": "1", "ship": target});
    let station = json!({"$station": 1, "zip": "1", "ship": target, "docked": [{"pk": target}]});
    vec![
        (create(json!({"class": "x.y/z", "bucket": address})), &["/bucket/ship"]),
        (create(json!({"bucket": {"log": [{"home": address}]}})), &["/bucket/log/0/home/ship"]),
        // The field declares an address, the marker a station.
        (
            create(json!({"class": "a.b/officer", "bucket": {"home": station}})),
            &["/bucket/home/docked/0", "/bucket/home/ship"],
        ),
        (
            create(json!({"stack": {"p": {"class": "x.y/z", "bucket": {"home": address}}}, "bucket": {}})),
            &["/stack/p/bucket/home/ship"],
        ),
    ]
}

/// As [`starfleet`], with references in addresses and stations.
fn starfleet_with_references() -> Db {
    let db = starfleet();
    let reference = json!({"class": "puck.uno/reference", "on_delete": "restrict"});
    let classes = json!({"classes": {
        "a.b/address": {"fields": {"zip": {"class": "string"}, "ship": reference}},
        "a.b/station": {"inherits": "a.b/address", "fields": {"docked": {"class": "array", "of": reference}}},
    }});
    db.0.import_schema(classes).unwrap();
    db
}

#[test]
fn references_in_marked_objects_have_targets_and_restrict_their_deletion() {
    let db = starfleet_with_references();
    for (request, places) in with_marked_references("nope") {
        let error = db.run(request.clone()).unwrap_err();
        let pointer = |item: &miko_core::ErrorItem| item.details["pointer"].as_str().unwrap().to_owned();
        let mut found: Vec<_> = error.items().iter().map(pointer).collect();
        found.sort_unstable();
        assert_eq!(found, places, "{request}");
        assert_eq!(error.id(), &ErrorId::REFERENCE_NOT_FOUND);
    }
    let requests = with_marked_references("nope").len();
    for nth in 0..requests {
        let target = db.0.create("x.y/z", &json!({})).unwrap();
        let (request, places) = with_marked_references(&target).swap_remove(nth);
        let pk = db.run(request).unwrap();
        let error = db.delete(&target).unwrap_err();
        assert_eq!(ids(&error), [ErrorId::REFERENCE_RESTRICTED]);
        let pointed_at_by = error.items()[0].details["pointed_at_by"].as_array().unwrap();
        assert_eq!(pointed_at_by.len(), places.len(), "{error}");
        if nth % 2 == 0 {
            db.delete(&pk).unwrap();
        } else {
            let without = json!({"action": "update", "pk": pk, "class": "x.y/z", "bucket": {}});
            let mut stackless = without.clone();
            stackless["stack"] = json!({"p": {"class": "x.y/z"}});
            stackless.as_object_mut().unwrap().remove("class");
            db.run(if places[0].starts_with("/stack") { stackless } else { without }).unwrap();
        }
        db.delete(&target).unwrap();
    }
    let worldlet = json!({"records": {"a": {
        "bucket": {"deep": {"$address": 1, "ship": "nope"}}, "custom_classes": {"$address": "a.b/address"},
    }}});
    let error = db.0.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/records/a/bucket/deep/ship");
}

#[test]
fn a_definition_that_changes_changes_which_references_marked_objects_hold() {
    let db = db();
    let target = db.0.create("x.y/z", &json!({})).unwrap();
    let marked = json!({"action": "create", "bucket": {"home": {"$address": 1, "ship": target}},
                        "custom_classes": {"$address": "a.b/address"}});
    let pk = db.run(marked).unwrap();
    let restrict = json!({"ship": {"class": "puck.uno/reference", "on_delete": "restrict"}});
    let address = define(&db, json!({"name": "a.b/address", "fields": restrict})).unwrap();
    assert_eq!(ids(&db.delete(&target).unwrap_err()), [ErrorId::REFERENCE_RESTRICTED]);
    db.update(&address, json!({"name": "a.b/address", "fields": {}})).unwrap();
    // A reference that remained would refuse the deletion.
    db.update(&pk, json!({"home": {"$address": 1}})).unwrap();
    db.update(&address, json!({"name": "a.b/address", "fields": restrict})).unwrap();
    db.delete(&target).unwrap();
}

#[test]
fn a_file_in_a_marked_object_is_kept() {
    let db = db();
    define(&db, json!({"name": "a.b/photo", "fields": {"image": {"class": "puck.uno/dbfile"}}})).unwrap();
    let file = db.0.put_file(&mut &b"image"[..], "image/png").unwrap();
    let pk = db
        .run(json!({"action": "create", "bucket": {"photos": [{"$photo": 1, "image": file}]},
                    "custom_classes": {"$photo": "a.b/photo"}}))
        .unwrap();
    assert_eq!(ids(&db.0.delete_file(&file).unwrap_err()), [ErrorId::REFERENCE_RESTRICTED]);
    db.delete(&pk).unwrap();
    db.0.delete_file(&file).unwrap();
}

#[test]
fn a_strict_database_has_records_of_defined_classes_only() {
    let databases: [Box<dyn Engine>; 2] = [
        Box::new(sqlite_in_memory().strict()),
        miko_core::backend::open("mikobase.uno/worldlet?strict=true").unwrap(),
    ];
    for db in databases {
        db.import_schema(json!({"classes": {"a.b/c": {}}})).unwrap();
        let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
        db.q0(json!({"action": "create", "bucket": {}})).unwrap();
        let refused = [
            json!({"action": "create", "class": "a.b/d", "bucket": {}}),
            json!({"action": "create", "classes": ["a.b/c", "a.b/d"], "bucket": {}}),
            json!({"action": "create", "class": "a.b/c", "bucket": {}, "custom_classes": {"$d": "a.b/d"}}),
            json!({"action": "update", "pk": pk, "class": "a.b/d"}),
        ];
        for request in refused {
            let error = db.q0(request).unwrap_err();
            assert_eq!(ids(&error), [ErrorId::CLASS_NOT_FOUND]);
            assert_eq!(error.items()[0].details["class"], "a.b/d");
        }
        let worldlet = r#"{"records": {"a": {"bucket": {}, "class": "a.b/d"}, "b": 5}}"#;
        let error = db.read_worldlet(&mut worldlet.as_bytes(), false).unwrap_err();
        assert_eq!(error.items()[0].details["pointer"], "/records/a");
        let trusted = db.read_worldlet(&mut worldlet.as_bytes(), true).unwrap();
        assert_eq!(trusted.warnings.len(), 1);
    }
    // Records of undefined classes are allowed in other databases.
    WorldletEngine::in_memory().unwrap().create("a.b/d", &json!({})).unwrap();
}
