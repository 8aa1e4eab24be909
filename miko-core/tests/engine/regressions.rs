//! Regressions: a test for each fault that was found.

use std::collections::HashMap;

use miko_core::backend::Mode;
use miko_core::json::MAX_DEPTH;
use miko_core::q0::{Condition, eq};
use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt};
use serde_json::{Value, json};

use crate::class_support::{create, db, define, non_temporal, rules_broken};
use crate::support::{export, open_sqlite, sqlite_in_memory};

/// An object in `child`, and so on, this number of times around `innermost`.
fn children(levels: usize, innermost: Value) -> Value {
    (0..levels).fold(innermost, |inner, _| Value::Object([("child".to_owned(), inner)].into_iter().collect()))
}

/// Defaults make a bucket that nests deeper than the one of the request. The stored record is read again,
/// and its export is imported.
#[test]
fn a_bucket_with_its_defaults_nests_no_deeper_than_one_without() {
    const NODE: &str = "a.b/node";
    const DEFAULT: usize = 100;
    const SHARED: usize = MAX_DEPTH - 1;
    // A stack and a platter are around it.
    const OWN: usize = MAX_DEPTH - 3;
    type Create = fn(Value) -> Value;
    let by_create: Create = |bucket| json!({"action": "create", "class": NODE, "bucket": bucket});
    let upsert: Create =
        |bucket| json!({"action": "upsert", "class": NODE, "key": {"key": 1}, "bucket": bucket});
    let edit: Create = |bucket| {
        json!({"action": "upsert", "class": NODE, "key": {"key": 1}, "bucket": bucket,
               "edits": [{"path": ["n"], "increment": 1}]})
    };
    let marked: Create = |mut bucket| {
        bucket["$node"] = true.into();
        json!({"action": "create", "bucket": bucket, "custom_classes": {"$node": NODE}})
    };
    let own: Create = |bucket| {
        let stack = json!({"node": {"class": NODE, "bucket": bucket}});
        json!({"action": "create", "bucket": {}, "stack": stack})
    };
    let default = (0..DEFAULT).fold(json!(1), |inner, _| Value::Array(vec![inner]));
    let fields = json!({
        "key": {"unique": true}, "child": {"class": NODE}, "data": {"default": default},
    });
    for (name, create, levels) in [
        ("create", by_create, SHARED),
        ("upsert", upsert, SHARED),
        ("upsert with edits", edit, SHARED),
        ("marked", marked, SHARED),
        ("own bucket", own, OWN),
    ] {
        let db = db();
        define(&db, json!({"name": NODE, "fields": fields})).unwrap();
        if !db.0.is_share() {
            // A hook whose condition reads the bucket with its defaults.
            db.0.before_save("reads", Condition::path(["n"], eq(2)), |_| Ok(()));
        }
        // The object that has the deepest default is a level, too.
        let deepest = levels - DEFAULT - 1;
        let error = db.run(create(children(deepest + 1, json!({})))).unwrap_err();
        assert_eq!(rules_broken(&error), ["depth"], "{name}: {error}");
        let pk = db.run(create(children(deepest, json!({})))).unwrap();
        let edit = json!({"action": "edit", "pk": pk, "edits": [{"path": ["n"], "increment": 1}]});
        db.0.q0(edit).unwrap();
        let exported = export(&db.0);
        let imported = crate::support::db();
        imported.read_worldlet(&mut exported.as_bytes(), false).expect(name);
        assert_eq!(export(&imported), exported, "{name}");
    }
}

#[test]
fn a_scalar_at_the_deepest_level_of_a_bucket_is_normalized_and_validated() {
    let db = db();
    let fields = json!({"child": {"class": "a.b/node"}, "name": {"class": "string", "collapse": true}});
    define(&db, json!({"name": "a.b/node", "fields": fields})).unwrap();
    // The request and the bucket are two of the levels.
    let deepest = |name: Value| children(MAX_DEPTH - 2, json!({ "name": name }));
    for request in [
        json!({"action": "create", "class": "a.b/node"}),
        json!({"action": "create", "custom_classes": {"name": "a.b/node"}}),
    ] {
        let create = |name: Value| {
            let mut request = request.clone();
            request["bucket"] = deepest(name);
            db.run(request)
        };
        let pk = create(json!(" a  b ")).unwrap();
        assert_eq!(db.bucket(&pk), deepest(json!("a b")).to_string(), "{request}");
        assert_eq!(rules_broken(&create(json!(1)).unwrap_err()), ["class"], "{request}");
    }
}

#[test]
fn defaults_of_defaults_do_not_recurse_for_ever() {
    let endless = db();
    define(&endless, json!({"name": "a.b/c", "fields": {"child": {"class": "a.b/c", "default": {}}}}))
        .unwrap();
    let error = create(&endless, "a.b/c", json!({})).unwrap_err();
    assert_eq!(rules_broken(&error), ["depth"]);

    // A chain of 150 defaults nests deeper than the 120 levels of a bucket; its last 90 do not.
    let deep = db();
    let class = |n: usize| format!("a.b/c{n}");
    for n in (0..150).rev() {
        let field = if n == 149 { json!({}) } else { json!({"class": class(n + 1), "default": {}}) };
        define(&deep, json!({"name": class(n), "fields": {"child": field}})).unwrap();
    }
    assert_eq!(rules_broken(&create(&deep, &class(0), json!({})).unwrap_err()), ["depth"]);
    let pk = create(&deep, &class(60), json!({})).unwrap();
    deep.update(&pk, json!({})).unwrap();

    // Each level doubles the number of defaults, which exceeds its limit.
    let wide = db();
    for n in (0..20).rev() {
        let field = if n == 19 { json!({}) } else { json!({"class": class(n + 1), "default": {}}) };
        define(&wide, json!({"name": class(n), "fields": {"left": field, "right": field}})).unwrap();
    }
    assert_eq!(rules_broken(&create(&wide, &class(0), json!({})).unwrap_err()), ["default"]);
}

#[test]
fn a_definition_is_in_the_bucket_of_its_record_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let db = open_sqlite(&path, Mode::ReadWrite).unwrap();
    let stacks = [
        json!({"shadow": {}, "class": {"class": "puck.uno/class", "bucket": {"name": "a.b/c"}}}),
        json!({"x": {"class": "puck.uno/class"}, "y": {"class": "puck.uno/class"}}),
    ];
    for stack in stacks {
        let bucket = json!({"name": "a.b/d"});
        let error = db.q0(json!({"action": "create", "bucket": bucket, "stack": stack})).unwrap_err();
        assert!(error.is(ErrorId::VALIDATION_FAILED), "{error}");
        let worldlet = json!({"records": {"a": {"bucket": bucket, "stack": stack}}}).to_string();
        assert!(db.read_worldlet(&mut worldlet.as_bytes(), true).is_err());
    }
    drop(db);
    let db = open_sqlite(&path, Mode::ReadWrite).unwrap();
    assert_eq!(db.export_schema().unwrap(), json!({"classes": {}}));
}

#[test]
fn the_faults_of_a_definition_are_reported_once_beside_a_second_platter_of_a_definition() {
    let db = db();
    let faults = |stack: Value| {
        let create = json!({"action": "create", "bucket": {"fields": 1}, "stack": stack});
        let error = db.0.q0(create).unwrap_err();
        error
            .items()
            .iter()
            .map(|item| (item.message().to_owned(), item.details.get("pointer").cloned()))
            .collect()
    };
    let platter = json!({"class": "puck.uno/class"});
    let mut expected: Vec<_> = faults(json!({"x": platter}));
    assert!(!expected.is_empty());
    let second = "a record defines one class: it has one platter of class `puck.uno/class`".to_owned();
    expected.push((second, Some("/stack/x".into())));
    assert_eq!(faults(json!({"x": platter, "y": platter})), expected);
}

#[test]
fn of_two_declarations_of_a_reference_the_stricter_counts() {
    for classes in [["a.b/lax", "a.b/strict"], ["a.b/strict", "a.b/lax"]] {
        let db = db();
        for (name, on_delete) in [("a.b/lax", "ignore"), ("a.b/strict", "restrict")] {
            let field = json!({"class": "puck.uno/reference", "on_delete": on_delete});
            define(&db, json!({"name": name, "fields": {"ship": field}})).unwrap();
        }
        let ship = create(&db, "a.b/ship", json!({})).unwrap();
        db.run(json!({"action": "create", "classes": classes, "bucket": {"ship": ship}})).unwrap();
        assert!(db.delete(&ship).unwrap_err().is(ErrorId::REFERENCE_RESTRICTED));
    }
}

#[test]
fn references_in_the_bucket_of_a_platter_have_a_place_of_their_own() {
    let db = db();
    define(&db, json!({"name": "a.b/c", "fields": {"to": {"class": "puck.uno/reference"}}})).unwrap();
    let stack = json!({"a/b": {"class": "a.b/c", "bucket": {"to": "nobody"}}});
    let error = db.run(json!({"action": "create", "stack": stack, "bucket": {"to": "ignored"}})).unwrap_err();
    assert_eq!(error.items().len(), 1);
    assert_eq!(error.items()[0].details["pointer"], "/stack/a~1b/bucket/to");
}

#[test]
fn an_import_that_changes_a_record_changes_its_time() {
    let db = db();
    let pk = create(&db, "a.b/c", json!({"n": 1})).unwrap();
    let read = db.0.record_by_pk(&pk).unwrap().unwrap().updated_at;
    for time in [Some(read.to_string()), None] {
        let mut record = json!({"bucket": {"n": 2, "t": time}, "stack": {"c": {"class": "a.b/c"}}});
        if let Some(time) = &time {
            record["updated_at"] = time.as_str().into();
        }
        let worldlet = json!({"records": {&pk: record}}).to_string();
        db.0.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
        let update = json!({"action": "update", "pk": pk, "bucket": {}, "if_updated_at": read.to_string()});
        assert!(db.run(update).unwrap_err().is(ErrorId::CONFLICT));
    }
}

#[test]
fn a_number_without_a_json_form_is_refused() {
    let db = sqlite_in_memory();
    for number in [f64::NAN, f64::INFINITY] {
        let error = db.create("a.b/c", &HashMap::from([("t", number)])).unwrap_err();
        assert!(
            error.is(ErrorId::INVALID_REQUEST) && error.to_string().contains("JSON has no number"),
            "{error}"
        );
    }
}

#[test]
fn numbers_of_a_worldlet_are_kept_exactly_or_refused() {
    let db = db();
    let worldlet = r#"{"meta":{"n":12345678901234567890123},"records":{}}"#;
    let error = db.0.read_worldlet(&mut worldlet.as_bytes(), false).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/meta");
}

#[test]
fn many_platters_and_many_selected_classes_are_accepted() {
    let db = db();
    let pk = db.run(json!({"action": "create", "classes": vec!["a.b/c"; 1_000], "bucket": {}})).unwrap();
    assert_eq!(db.by_class("a.b/c")[0].pk, pk);
    let platters: serde_json::Map<_, _> =
        (0..1_001).map(|n| (format!("p{n}"), json!({"class": "a.b/c"}))).collect();
    let mut with_shadow = serde_json::Map::from_iter([("shadow".to_owned(), json!({}))]);
    with_shadow.extend(platters.clone());
    for (key, stack) in [
        ("classes", json!(vec!["a.b/c"; 1_001])),
        ("classes", json!(platters)),
        ("stack", json!(platters)),
        ("stack", json!(with_shadow)),
    ] {
        let error = db.run(json!({"action": "update", "pk": pk, key: stack})).unwrap_err();
        let details = &error.items()[0].details;
        assert_eq!((&details["allowed"], &details["found"]), (&json!(1_000), &json!(1_001)), "{key}");
    }
    let markers: serde_json::Map<_, _> = (0..1_001).map(|n| (format!("m{n}"), json!("a.b/c"))).collect();
    let update = json!({"action": "update", "pk": pk, "bucket": {}, "custom_classes": markers});
    let error = db.run(update).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/custom_classes");
    // Records that a database has may have more.
    let worldlet = json!({"records": {"many": {"bucket": {}, "stack": platters}}}).to_string();
    db.0.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    let unknown_classes: Vec<String> = (0..20_000).map(|n| format!("a.b/c{n}")).collect();
    let found =
        db.0.q0(json!({"action": "select", "classes": unknown_classes})).unwrap().into_records().unwrap();
    assert!(found.is_empty());
}

#[test]
fn a_batch_that_only_reads_is_no_write_and_one_that_fails_at_its_end_names_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let select = || json!({"action": "select"});
    drop(open_sqlite(&path, Mode::ReadWrite).unwrap());
    let reader = open_sqlite(&path, Mode::Read).unwrap();
    assert_eq!(reader.batch(vec![select(), select()], true).unwrap().len(), 2);

    let db = db();
    define(
        &db,
        json!({"name": "a.b/c", "fields": {"to": {"class": "puck.uno/reference", "on_delete": "restrict"}}}),
    )
    .unwrap();
    let dangling = json!({"action": "create", "class": "a.b/c", "bucket": {"to": "nobody"}});
    let error = db.batch(vec![select(), select(), dangling]).unwrap_err();
    assert_eq!(error.items()[0].details["request"], 2);
    let target = create(&db, "a.b/d", json!({})).unwrap();
    create(&db, "a.b/c", json!({"to": target})).unwrap();
    let error = db.batch(vec![select(), json!({"action": "delete", "pk": target})]).unwrap_err();
    assert_eq!(error.items()[0].details["request"], 1);
}

#[test]
fn a_batch_may_have_too_deep_a_request_after_an_invalid_one() {
    let deep = (0..1_000_000).fold(json!([]), |inner, _| Value::Array(vec![inner]));
    let error = db().batch(vec![json!({"action": "oops"}), deep]).unwrap_err();
    assert_eq!(error.items()[0].details["request"], 0);
}

#[test]
fn every_accepted_time_is_exported_and_imported_again() {
    let worldlet = |time: &str| {
        json!({"records": {"a": {"bucket": {}, "stack": {"c": {"class": "a.b/c"}}, "updated_at": time}}})
            .to_string()
    };
    let times = [
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.998Z", "9999-12-31T23:59:59.998Z"),
        ("0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00.000+23:59"),
        ("9999-12-31T23:59:59.999-23:59", "9999-12-31T23:59:59.999-23:59"),
    ];
    for (time, exported_time) in times {
        let db = db();
        db.0.read_worldlet(&mut worldlet(time).as_bytes(), false).unwrap();
        let exported = export(&db.0);
        assert!(exported.contains(exported_time), "{exported}");
        let copy = crate::support::db();
        copy.read_worldlet(&mut exported.as_bytes(), false).unwrap();
        assert_eq!(copy.record_by_pk("a").unwrap(), db.0.record_by_pk("a").unwrap());
    }
    assert!(db().0.read_worldlet(&mut worldlet("10000-01-01T00:00:00Z").as_bytes(), false).is_err());
}

#[test]
fn a_write_whose_time_could_not_be_read_again_is_refused() {
    let db = db();
    let worldlet = r#"{"records": {"a": {
        "bucket": {"n": 1}, "class": "a.b/c", "updated_at": "9999-12-31T23:59:59.998Z"}}}"#;
    db.0.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    db.update("a", json!({"n": 2})).unwrap();
    let before = export(&db.0);
    assert!(before.contains("9999-12-31T23:59:59.999Z"));
    for request in
        [json!({"action": "update", "pk": "a", "bucket": {}}), json!({"action": "delete", "pk": "a"})]
    {
        let error = db.0.q0(request).unwrap_err();
        assert!(error.to_string().contains("9999"), "{error}");
        assert_eq!(export(&db.0), before);
    }
}

#[test]
fn an_exported_definition_is_unchanged_when_it_is_imported_again() {
    let db = db();
    define(&db, json!({"fields": {}, "name": "a.b/c"})).unwrap();
    let schema = db.0.export_schema().unwrap();
    assert_eq!(db.0.import_schema(schema).unwrap().unchanged, ["a.b/c"]);
}

#[test]
fn elements_are_counted_after_defaults_are_filled_in() {
    let db = db();
    let sub_fields = json!({"a": {"default": 1}, "b": {"default": 2}});
    let hash = |bounds: Value| {
        let mut hash = json!({"class": "hash", "instantiate": true, "fields": sub_fields});
        hash.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
        hash
    };
    define(&db, json!({"name": "a.b/few", "fields": {"h": hash(json!({"max_elements": 1}))}})).unwrap();
    define(&db, json!({"name": "a.b/many", "fields": {"h": hash(json!({"min_elements": 2}))}})).unwrap();
    assert_eq!(rules_broken(&create(&db, "a.b/few", json!({})).unwrap_err()), ["max_elements"]);
    create(&db, "a.b/many", json!({})).unwrap();
}

#[test]
fn a_redefined_embedded_class_changes_the_references_of_the_records_that_embed_it() {
    let db = db();
    let maker = json!({"maker": {"class": "puck.uno/reference", "on_delete": "restrict"}});
    let engine = define(&db, json!({"name": "a.b/engine", "fields": maker})).unwrap();
    define(&db, json!({"name": "a.b/ship", "fields": {"engine": {"class": "a.b/engine"}}})).unwrap();
    let factory = create(&db, "a.b/factory", json!({})).unwrap();
    create(&db, "a.b/ship", json!({"engine": {"maker": factory}})).unwrap();
    assert!(db.delete(&factory).is_err());
    db.update(&engine, json!({"name": "a.b/engine"})).unwrap();
    db.delete(&factory).unwrap();
}

#[test]
fn many_fields_are_told_from_many_undeclared_keys() {
    // If each key were compared with each field, this would take seconds.
    const COUNT: usize = 5000;
    let db = non_temporal();
    let object = |prefix: &str, value: Value| {
        (0..COUNT).map(|n| (format!("{prefix}{n}"), value.clone())).collect::<serde_json::Map<_, _>>()
    };
    let hash = json!({"class": "hash", "fields": object("f", json!({"class": "string"})), "of": "number"});
    let mut fields = object("f", json!({}));
    fields.insert("hash".to_owned(), hash);
    define(&db, json!({"name": "a.b/wide", "fields": fields})).unwrap();
    let mut bucket = object("x", json!(1));
    bucket.insert("hash".to_owned(), object("y", json!(2)).into());
    bucket["hash"]["f7"] = json!("seven");
    bucket.extend([("f4999".to_owned(), json!(3)), ("f0".to_owned(), json!(4))]);
    let pk = create(&db, "a.b/wide", bucket.clone().into()).unwrap();
    let stored: serde_json::Map<String, Value> = serde_json::from_str(&db.bucket(&pk)).unwrap();
    let first: Vec<&String> = stored.keys().take(5).collect();
    assert_eq!(first, ["f0", "f4999", "hash", "x0", "x1"]);
    assert_eq!(stored.len(), COUNT + 3);
    bucket["hash"]["y0"] = json!("two");
    let error = create(&db, "a.b/wide", bucket.into()).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/bucket/hash/y0");
}
