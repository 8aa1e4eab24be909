//! Several platters on one bucket: the stored bucket and the faults do not depend on their order.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::class_support::{Db, db, define, rules_broken};
use crate::support::cases;

/// A database with classes that set defaults, collapse, set defaults in defaults of others, and check.
fn platters() -> Db {
    let db = db();
    for definition in [
        json!({"name": "a.b/number", "fields": {"e": {"class": "number", "default": 12}}}),
        json!({"name": "a.b/text", "fields": {"e": {"class": "string"}}}),
        json!({"name": "a.b/spaced", "fields": {"name": {"class": "string", "default": " Data  Soong "}}}),
        json!({
            "name": "a.b/collapsed",
            "fields": {"name": {"class": "string", "collapse": true, "max_length": 10}},
        }),
        json!({"name": "a.b/home", "fields": {"home": {"class": "hash", "instantiate": true}}}),
        json!({
            "name": "a.b/planet",
            "fields": {"home": {"class": "hash", "fields": {"planet": {"default": "Earth"}}}},
        }),
        json!({
            "name": "a.b/mars",
            "fields": {"home": {"class": "hash", "fields": {"planet": {"default": "Mars"}}}},
        }),
        json!({
            "name": "a.b/strict", "fields": {"home": {"class": "hash", "required": true, "min_elements": 1}},
        }),
        json!({"name": "a.b/child", "inherits": "a.b/planet", "fields": {"z": {"default": 1}}}),
    ] {
        define(&db, definition).unwrap();
    }
    db
}

const CLASSES: [&str; 9] = [
    "a.b/number",
    "a.b/text",
    "a.b/spaced",
    "a.b/collapsed",
    "a.b/home",
    "a.b/planet",
    "a.b/mars",
    "a.b/strict",
    "a.b/child",
];

/// The stored bucket of a record of these classes, or the rules that it violates.
fn outcome(db: &Db, classes: &[&str], bucket: &Value) -> Result<Map<String, Value>, Vec<String>> {
    let create = json!({"action": "create", "classes": classes, "bucket": bucket});
    match db.run(create) {
        Ok(pk) => Ok(serde_json::from_str(&db.bucket(&pk)).unwrap()),
        Err(error) => {
            let mut broken: Vec<String> = rules_broken(&error).into_iter().map(str::to_owned).collect();
            broken.sort();
            Err(broken)
        }
    }
}

#[test]
fn a_default_of_one_platter_is_checked_by_the_others() {
    let db = platters();
    for classes in [["a.b/number", "a.b/text"], ["a.b/text", "a.b/number"]] {
        assert_eq!(outcome(&db, &classes, &json!({})), Err(vec!["class".to_owned()]), "{classes:?}");
    }
    for classes in [["a.b/spaced", "a.b/collapsed"], ["a.b/collapsed", "a.b/spaced"]] {
        let stored = outcome(&db, &classes, &json!({})).unwrap();
        assert_eq!(stored["name"], "Data Soong", "{classes:?}");
    }
    for classes in [["a.b/home", "a.b/planet"], ["a.b/planet", "a.b/home"]] {
        let stored = outcome(&db, &classes, &json!({})).unwrap();
        assert_eq!(stored["home"], json!({"planet": "Earth"}), "{classes:?}");
    }
}

#[test]
fn defaults_with_markers_do_not_recurse_for_ever() {
    let db = platters();
    define(&db, json!({"name": "a.b/endless", "fields": {"child": {"default": {"$again": 1}}}})).unwrap();
    let create =
        json!({"action": "create", "bucket": {"$again": 1}, "custom_classes": {"$again": "a.b/endless"}});
    assert_eq!(rules_broken(&db.run(create).unwrap_err()), ["depth"]);
}

proptest! {
    #![proptest_config(cases(64))]
    #[test]
    fn the_order_of_platters_has_no_effect(
        (classes, shuffled) in proptest::sample::subsequence(CLASSES.to_vec(), 1..=5)
            .prop_flat_map(|classes| (Just(classes.clone()), Just(classes).prop_shuffle())),
        bucket in proptest::sample::select(vec![
            json!({}),
            json!({"e": 1}),
            json!({"e": "x", "name": " a "}),
            json!({"home": {}}),
            json!({"home": null, "name": "Lieutenant  Commander"}),
        ]),
    ) {
        let db = platters();
        prop_assert_eq!(outcome(&db, &classes, &bucket), outcome(&db, &shuffled, &bucket));
    }
}

#[test]
fn platters_of_one_class_on_the_shared_bucket_are_checked_once() {
    let db = platters();
    let create = |bucket| json!({"action": "create", "classes": vec!["a.b/strict"; 500], "bucket": bucket});
    assert_eq!(rules_broken(&db.run(create(json!({}))).unwrap_err()), ["required"]);
    let pk = db.run(create(json!({"home": {"n": 1}}))).unwrap();
    let error = db.run(json!({"action": "patch", "pk": pk, "bucket": {"home": {"n": null}}})).unwrap_err();
    assert_eq!(rules_broken(&error), ["min_elements"]);
    // A platter with a bucket of its own is checked as well.
    let own = json!({"class": "a.b/strict", "bucket": {}});
    let stack = json!({"a": {"class": "a.b/strict"}, "b": own, "c": {"class": "a.b/strict"}, "d": own});
    let error = db.run(json!({"action": "update", "pk": pk, "stack": stack})).unwrap_err();
    assert_eq!(rules_broken(&error), ["required", "required"]);
}
