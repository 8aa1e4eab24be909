//! Class definitions: what is well-formed, what a change of them means, and selecting by class.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::classed::{create, db, define, rules_broken};

#[test]
fn a_definition_that_is_not_well_formed_is_refused_with_every_fault() {
    let cases = [
        (json!({}), vec!["/bucket/name"]),
        (json!({"name": 5}), vec!["/bucket/name"]),
        (
            json!({"name": "officer", "inherits": [7, "x"]}),
            vec!["/bucket/name", "/bucket/inherits", "/bucket/inherits"],
        ),
        (
            json!({"name": "a.b/c", "fields": {"x": 5, "y": {"class": "strin", "required": "yes"}, "z": {"class": "string", "min": 1}}}),
            vec![
                "/bucket/fields/x",
                "/bucket/fields/y/class",
                "/bucket/fields/y/required",
                "/bucket/fields/z/min",
            ],
        ),
        (
            json!({"name": "a.b/c", "fields": {"s": {"class": "string", "pattern": "(", "format": "zip", "min_length": 5, "max_length": 4}}}),
            vec!["/bucket/fields/s/min_length", "/bucket/fields/s/format", "/bucket/fields/s/pattern"],
        ),
        (
            json!({"name": "a.b/c", "fields": {"n": {"class": "number", "min": 1, "gte": 2, "multiple_of": 0, "max": "3"}}}),
            vec!["/bucket/fields/n/multiple_of", "/bucket/fields/n/gte", "/bucket/fields/n/max"],
        ),
        (
            json!({"name": "a.b/c", "fields": {"r": {"class": "puck.uno/reference", "target": "x", "on_delete": "cascade"}}}),
            vec!["/bucket/fields/r/target", "/bucket/fields/r/on_delete"],
        ),
        (
            json!({"name": "a.b/c", "fields": {"h": {"class": "hash", "default": 5, "fields": {"i": {"class": "array", "of": {"class": "nope"}}}}}}),
            vec!["/bucket/fields/h/default", "/bucket/fields/h/fields/i/of/class"],
        ),
        (
            json!({"name": "a.b/c", "uniques": ["a"], "join": "b", "fields": []}),
            vec!["/bucket/fields", "/bucket/uniques", "/bucket/join"],
        ),
    ];
    for (definition, places) in cases {
        let error = define(&db(), definition.clone()).unwrap_err();
        assert!(error.is(ErrorId::VALIDATION_FAILED), "{error}");
        let found: Vec<&str> =
            error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, places, "{definition}\n{error:?}");
    }
}

#[test]
fn what_nobody_knows_is_kept_and_names_lose_their_protocol() {
    let db = db();
    let definition = json!({
        "name": "https://a.b/c",
        "inherits": "https://puck.uno/record",
        "fields": {"r": {"class": "https://puck.uno/reference", "target": ["https://a.b/c"], "colour": "red"},
                   "l": {"class": "array", "of": "https://x.y/z"}},
        "methods": {"salute": {"body": "…"}},
        "motto": [1, 2],
    });
    let pk = define(&db, definition).unwrap();
    assert_eq!(
        db.bucket(&pk),
        r#"{"name":"a.b/c","inherits":"puck.uno/record","fields":{"r":{"class":"puck.uno/reference","target":["a.b/c"],"colour":"red"},"l":{"class":"array","of":"x.y/z"}},"methods":{"salute":{"body":"…"}},"motto":[1,2]}"#
    );
}

#[test]
fn a_class_has_one_definition() {
    let db = db();
    let pk = define(&db, json!({"name": "a.b/c"})).unwrap();
    let error = define(&db, json!({"name": "a.b/c", "fields": {}})).unwrap_err();
    assert!(error.is(ErrorId::DUPLICATE_CLASS), "{error}");
    assert_eq!(error.items()[0].details["other"], pk);
    let error = define(&db, json!({"name": "puck.uno/record"})).unwrap_err();
    assert!(error.is(ErrorId::DUPLICATE_CLASS), "{error}");
    db.delete(&pk).unwrap();
    define(&db, json!({"name": "a.b/c"})).unwrap();
}

#[test]
fn a_redefinition_holds_from_the_next_write_on() {
    let db = db();
    let definition = define(&db, json!({"name": "a.b/c", "fields": {"n": {"class": "number"}}})).unwrap();
    let record = create(&db, "a.b/c", json!({"n": 1})).unwrap();
    db.update(&definition, json!({"name": "a.b/c", "fields": {"n": {"class": "string"}}})).unwrap();
    assert_eq!(db.bucket(&record), r#"{"n":1}"#, "what is stored stays");
    assert_eq!(rules_broken(&db.update(&record, json!({"n": 2})).unwrap_err()), ["class"]);
    create(&db, "a.b/c", json!({"n": "2"})).unwrap();
    db.delete(&definition).unwrap();
    db.update(&record, json!({"n": [3]})).unwrap();
}

#[test]
fn a_class_that_others_inherit_from_stays() {
    let db = db();
    let parent = define(&db, json!({"name": "a.b/parent"})).unwrap();
    let child = define(&db, json!({"name": "a.b/child", "inherits": "a.b/parent"})).unwrap();
    let error = db.delete(&parent).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    assert_eq!(error.items()[0].details["inherited_by"], json!(["a.b/child"]));
    let error = db.update(&parent, json!({"name": "a.b/renamed"})).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    let error = db.update(&parent, json!({"name": "a.b/parent", "inherits": "a.b/child"})).unwrap_err();
    assert!(error.to_string().contains("inherits from itself"), "{error}");
    db.delete(&child).unwrap();
    db.delete(&parent).unwrap();
    let error = define(&db, json!({"name": "a.b/child", "inherits": "a.b/parent"})).unwrap_err();
    assert!(error.is(ErrorId::CLASS_NOT_FOUND), "{error}");
}

#[test]
fn a_select_by_class_finds_its_subclasses() {
    let db = db();
    for definition in [
        json!({"name": "a.b/person"}),
        json!({"name": "a.b/officer", "inherits": ["a.b/person"]}),
        json!({"name": "a.b/captain", "inherits": ["a.b/officer"]}),
    ] {
        define(&db, definition).unwrap();
    }
    let made: Vec<String> = ["a.b/captain", "a.b/person", "a.b/officer", "a.b/other"]
        .map(|class| create(&db, class, json!({})).unwrap())
        .into();
    let found =
        |class: &str| -> Vec<String> { db.by_class(class).into_iter().map(|record| record.pk).collect() };
    assert_eq!(found("a.b/person"), made[..3]);
    assert_eq!(found("a.b/officer"), [made[0].clone(), made[2].clone()]);
    assert_eq!(found("a.b/captain"), made[..1]);
    assert_eq!(found("a.b/other"), made[3..]);
    // Both rounds of the hierarchy: what inherits changes what is found.
    let officer = db.by_path("puck.uno/class", json!(["name", "a.b/officer"]));
    db.update(&officer[0], json!({"name": "a.b/officer"})).unwrap();
    assert_eq!(found("a.b/person"), made[1..2]);
}

#[test]
fn an_abstract_class_is_there_for_its_subclasses() {
    let db = db();
    define(&db, json!({"name": "a.b/being", "abstract": true, "fields": {"age": {"class": "number"}}}))
        .unwrap();
    define(&db, json!({"name": "a.b/human", "inherits": "a.b/being"})).unwrap();
    create(&db, "a.b/human", json!({"age": 5})).unwrap();
    let error = create(&db, "a.b/being", json!({"age": "x"})).unwrap_err();
    assert_eq!(rules_broken(&error), ["abstract", "class"]);
}

#[test]
fn a_failed_definition_in_a_batch_leaves_the_classes_as_they_were() {
    let db = db();
    let class =
        |definition: Value| json!({"action": "create", "class": "puck.uno/class", "bucket": definition});
    let error = db
        .batch(vec![
            class(json!({"name": "a.b/c", "fields": {"n": {"class": "number"}}})),
            json!({"action": "create", "class": "a.b/c", "bucket": {"n": "x"}}),
        ])
        .unwrap_err();
    assert_eq!(error.items()[0].details["request"], 1);
    create(&db, "a.b/c", json!({"n": "x"})).unwrap();
    db.batch(vec![
        class(json!({"name": "a.b/d", "fields": {"n": {"class": "number"}}})),
        json!({"action": "create", "class": "a.b/d", "bucket": {"n": 1}}),
    ])
    .unwrap();
    assert_eq!(rules_broken(&create(&db, "a.b/d", json!({"n": "x"})).unwrap_err()), ["class"]);
}
