//! Imports and exports of all class definitions.

use miko_core::{ErrorId, SchemaChanges};
use serde_json::{Value, json};

use crate::class_support::{create, db, define, rules_broken};
use crate::support::export;

fn changes(created: &[&str], updated: &[&str], unchanged: &[&str]) -> SchemaChanges {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    SchemaChanges { created: owned(created), updated: owned(updated), unchanged: owned(unchanged) }
}

#[test]
fn missing_classes_are_created_different_ones_updated_and_others_stay() {
    let db = db();
    define(&db, json!({"name": "a.b/stays"})).unwrap();
    // Children may come before their parents; a definition may leave out its name.
    let schema = json!({"classes": {
        "a.b/child": {"inherits": "a.b/parent"},
        "https://a.b/parent": {"name": "a.b/parent", "fields": {"n": {"class": "number"}}},
    }});
    assert_eq!(db.0.import_schema(schema.clone()).unwrap(), changes(&["a.b/child", "a.b/parent"], &[], &[]));
    assert_eq!(rules_broken(&create(&db, "a.b/child", json!({"n": "x"})).unwrap_err()), ["class"]);

    let before = db.0.export_schema().unwrap();
    let times = |db: &crate::class_support::Db| -> Vec<String> {
        db.by_class("puck.uno/class").iter().map(|record| record.updated_at.to_string()).collect()
    };
    let written = times(&db);
    assert_eq!(db.0.import_schema(schema.clone()).unwrap(), changes(&[], &[], &["a.b/child", "a.b/parent"]));
    assert_eq!(times(&db), written, "an equal definition is not written");

    let mut changed = schema;
    changed["classes"]["a.b/child"]["fields"] = json!({"n": {"class": "string"}});
    assert_eq!(db.0.import_schema(changed).unwrap(), changes(&[], &["a.b/child"], &["a.b/parent"]));
    create(&db, "a.b/child", json!({"n": "x"})).unwrap();
    assert_ne!(db.0.export_schema().unwrap(), before);
}

#[test]
fn an_export_imports_to_the_same_schema() {
    let db = db();
    define(&db, json!({"name": "a.b/parent", "fields": {"z": {}, "a": {}}, "motto": "…"})).unwrap();
    define(&db, json!({"name": "a.b/child", "inherits": ["a.b/parent"]})).unwrap();
    let schema = db.0.export_schema().unwrap();
    assert_eq!(
        schema.to_string(),
        concat!(
            r#"{"classes":{"a.b/parent":{"name":"a.b/parent","fields":{"z":{},"a":{}},"motto":"…"},"#,
            r#""a.b/child":{"name":"a.b/child","inherits":["a.b/parent"]}}}"#
        )
    );
    let other = crate::class_support::db();
    other.0.import_schema(schema.clone()).unwrap();
    assert_eq!(other.0.export_schema().unwrap(), schema);
}

#[test]
fn a_schema_has_no_protocols_and_an_equal_one_is_not_written() {
    let bare = json!({
        "a.b/parent": {"name": "a.b/parent"},
        "a.b/child": {"fields": {
            "one": {"class": "a.b/parent"},
            "list": {"class": "array", "of": {"class": "puck.uno/reference", "target": "a.b/parent"}},
            "hash": {"class": "hash", "fields": {"x": {"class": "a.b/parent"}}},
        }, "inherits": ["a.b/parent"], "name": "a.b/child"},
    });
    for protocol in ["", "http://", "https://"] {
        // An import stores the definitions as they came.
        let buckets = bare.to_string().replace("\"a.b/", &format!("\"{protocol}a.b/"));
        let buckets: serde_json::Map<_, _> = serde_json::from_str(&buckets).unwrap();
        let record = |bucket| json!({"class": "puck.uno/class", "bucket": bucket});
        let records = buckets.into_iter().map(|(name, bucket)| (name.replace('/', ""), record(bucket)));
        let worldlet = json!({"records": Value::from_iter(records)}).to_string();
        let db = db();
        db.0.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
        let before = export(&db.0);
        assert!(before.contains(&format!("\"{protocol}a.b/child\"")), "{before}");

        let schema = db.0.export_schema().unwrap();
        assert_eq!(schema.to_string(), json!({"classes": bare}).to_string());
        let unchanged = changes(&[], &[], &["a.b/parent", "a.b/child"]);
        assert_eq!(db.0.import_schema(schema.clone()).unwrap(), unchanged, "{protocol}");
        db.0.read_worldlet(&mut schema.to_string().as_bytes(), false).unwrap();
        assert_eq!(export(&db.0), before, "{protocol}");
    }
}

#[test]
fn a_schema_is_imported_whole_or_not_at_all() {
    let cases = [
        (json!([]), "a schema is an object"),
        (json!({}), "a schema has an object `classes`"),
        (json!({"classes": {}, "records": {}}), "a schema holds `classes` and nothing else"),
        (json!({"classes": {"a.b/good": {}, "bad": {}}}), "a class name is a UNS"),
        (json!({"classes": {"a.b/good": {}, "a.b/bad": 5}}), "expected an object"),
        (
            json!({"classes": {"a.b/good": {}, "https://a.b/good": {"abstract": true}}}),
            "`a.b/good` is defined twice",
        ),
        (json!({"classes": {"a.b/good": {}, "http://a.b/good": {}}}), "`a.b/good` is defined twice"),
        (json!({"classes": {"a.b/good": {}, "a.b/bad": {"inherits": "a.b/nobody"}}}), "which is not defined"),
        (json!({"classes": {"a.b/good": {}, "puck.uno/class": {}}}), "is built in"),
    ];
    for (schema, message) in cases {
        let db = db();
        let error = db.0.import_schema(schema.clone()).unwrap_err();
        assert!(error.to_string().contains(message), "{schema}: {error}");
        assert_eq!(db.0.export_schema().unwrap(), json!({"classes": {}}));
    }
    let faults =
        db().0.import_schema(json!({"classes": {"a.b/c": {"fields": {"x": 5}}, "d": {}}})).unwrap_err();
    let places: Vec<&Value> = faults.items().iter().map(|item| &item.details["pointer"]).collect();
    assert_eq!(places, ["/classes/a.b~1c/fields/x", "/classes/d"]);
    let mut deep = json!(0);
    for _ in 0..100_000 {
        deep = Value::Array(vec![deep]);
    }
    assert!(db().0.import_schema(deep).unwrap_err().is(ErrorId::INVALID_REQUEST));
}

#[test]
fn the_key_of_a_definition_overrides_the_name_inside() {
    for name in [json!("a.b/other"), json!("https://a.b/c"), json!("no UNS"), json!(5)] {
        let db = db();
        let schema = json!({"classes": {"a.b/c": {"motto": 1, "name": name}}});
        assert_eq!(db.0.import_schema(schema).unwrap(), changes(&["a.b/c"], &[], &[]));
        let stored = json!({"classes": {"a.b/c": {"motto": 1, "name": "a.b/c"}}});
        assert_eq!(db.0.export_schema().unwrap().to_string(), stored.to_string());
    }
}

/// A database with the definition of `a.b/x`, whose record is also of the class `a.b/tag`.
fn db_with_tagged_definition(tag: &Value) -> crate::class_support::Db {
    let db = db();
    db.0.import_schema(json!({"classes": {"a.b/tag": tag}})).unwrap();
    let stack = json!({"shadow": {}, "c": {"class": "puck.uno/class"}, "t": {"class": "a.b/tag"}});
    let bucket = json!({"name": "a.b/x", "note": "one"});
    db.run(json!({"action": "create", "stack": stack, "bucket": bucket})).unwrap();
    db
}

fn tagged(db: &crate::class_support::Db, note: &str) -> usize {
    db.by_path("a.b/tag", json!(["note", note])).len()
}

#[test]
fn the_record_of_a_definition_is_indexed_anew_for_all_of_its_classes() {
    for setting in ["index", "unique"] {
        let db = db_with_tagged_definition(&json!({"fields": {"note": {setting: true}}}));
        let schema = json!({"classes": {"a.b/x": {"note": "two"}}});
        assert_eq!(db.0.import_schema(schema.clone()).unwrap(), changes(&[], &["a.b/x"], &[]));
        assert_eq!((tagged(&db, "one"), tagged(&db, "two")), (0, 1), "{setting}");
        assert_eq!(db.0.import_schema(schema).unwrap(), changes(&[], &[], &["a.b/x"]));
        // Also if the schema changes the other class.
        let tag = json!({"fields": {"note": {setting: true}, "more": {}}});
        let schema = json!({"classes": {"a.b/x": {"note": "three"}, "a.b/tag": tag}});
        assert_eq!(db.0.import_schema(schema).unwrap(), changes(&[], &["a.b/x", "a.b/tag"], &[]));
        assert_eq!((tagged(&db, "two"), tagged(&db, "three")), (0, 1), "{setting}");
    }
}

#[test]
fn the_record_of_a_definition_is_validated_against_all_of_its_classes() {
    let note = json!({"class": "string", "max_length": 5, "unique": true});
    let db = db_with_tagged_definition(&json!({"fields": {"note": note}}));
    create(&db, "a.b/tag", json!({"note": "taken"})).unwrap();
    let before = export(&db.0);
    let cases = [
        (json!({"note": 5}), ErrorId::VALIDATION_FAILED, "/classes/https:~1~1a.b~1x/note"),
        (json!({"note": "too long"}), ErrorId::VALIDATION_FAILED, "/classes/https:~1~1a.b~1x/note"),
        (json!({"note": "taken"}), ErrorId::UNIQUE_VIOLATION, "/classes/https:~1~1a.b~1x"),
    ];
    for (definition, id, place) in cases {
        let schema = json!({"classes": {"https://a.b/x": definition}});
        let error = db.0.import_schema(schema).unwrap_err();
        let [item] = error.items() else { panic!("{definition}: {error}") };
        assert_eq!((&item.id, &item.details["pointer"]), (&id, &json!(place)), "{definition}");
        assert_eq!(export(&db.0), before);
    }
    // By the rules that the same schema brings into force.
    let tag = json!({"fields": {"note": {"class": "number"}}});
    let schema = json!({"classes": {"a.b/x": {"note": 5}, "a.b/tag": tag}});
    db.0.import_schema(schema).unwrap();
}

#[test]
fn a_schema_changes_no_tuple_of_a_join() {
    let tag = json!({"fields": {"note": {}, "other": {}}, "join": ["note", "other"]});
    let db = db();
    db.0.import_schema(json!({"classes": {"a.b/tag": tag}})).unwrap();
    let stack = json!({"shadow": {}, "c": {"class": "puck.uno/class"}, "t": {"class": "a.b/tag"}});
    let bucket = json!({"name": "a.b/x", "note": "one", "other": "one"});
    db.run(json!({"action": "create", "stack": stack, "bucket": bucket})).unwrap();
    let schema = |note| json!({"classes": {"a.b/x": {"note": note, "other": "one", "motto": "…"}}});
    let error = db.0.import_schema(schema("two")).unwrap_err();
    assert!(error.is(ErrorId::IMMUTABLE_FIELD), "{error}");
    db.0.import_schema(schema("one")).unwrap();
}
