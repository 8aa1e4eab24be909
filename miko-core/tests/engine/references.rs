//! References: their targets exist, and may be protected from deletion.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::class_support::{Db, create, db, define};

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
