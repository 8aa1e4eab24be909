//! Edits of a record: each is an operation at a path, and a list takes effect as a whole or not at all.

use miko_core::q0::Step;
use miko_core::{ErrorId, MAX_EDITS, MikobaseExt, Results};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{Local, cases, create, db, failure, ids, read, run};

fn edit(pk: &str, edits: Value) -> Value {
    json!({"action": "edit", "pk": pk, "edits": edits})
}

fn values(db: &Local, request: Value) -> Vec<Value> {
    db.q0(request).unwrap().into_values().unwrap()
}

/// Checks what edits make of a bucket, and their values. Both are compared as text, since `1` equals `1.0`.
#[track_caller]
fn check(bucket: Value, edits: Value, after: Value, expected: Value) {
    let db = db();
    let pk = create(&db, bucket);
    let found = values(&db, edit(&pk, edits.clone()));
    assert_eq!(read(&db, &pk).bucket.as_str(), after.to_string(), "{edits}");
    assert_eq!(Value::from(found).to_string(), expected.to_string(), "{edits}");
}

#[test]
fn each_operation_changes_its_value_and_returns_its_result() {
    // The bucket, the edit, the bucket after it, and the value that it returns.
    let cases = [
        (json!({"a": 1}), json!({"path": ["a"], "set": {"b": 2}}), json!({"a": {"b": 2}}), json!(1)),
        (json!({}), json!({"path": ["a"], "set": null}), json!({"a": null}), json!(null)),
        (json!({"a": 1, "b": 2}), json!({"path": ["a"], "set": 3}), json!({"a": 3, "b": 2}), json!(1)),
        (json!({}), json!({"path": ["a"], "default": 3}), json!({"a": 3}), json!(null)),
        (json!({"a": 1}), json!({"path": ["a"], "default": 3}), json!({"a": 1}), json!(1)),
        (json!({"a": null}), json!({"path": ["a"], "default": 3}), json!({"a": null}), json!(null)),
        (
            json!({"a": 1, "b": 2, "c": 3}),
            json!({"path": ["a"], "remove": true}),
            json!({"b": 2, "c": 3}),
            json!(1),
        ),
        (json!({"b": 2}), json!({"path": ["a", "b", 3], "remove": true}), json!({"b": 2}), json!(null)),
        (json!({"a": [1, 2, 3]}), json!({"path": ["a", 1], "remove": true}), json!({"a": [1, 3]}), json!(2)),
        (json!({"a": [1]}), json!({"path": ["a", 1], "remove": true}), json!({"a": [1]}), json!(null)),
        (json!({"a": 1}), json!({"path": ["a"], "increment": 3}), json!({"a": 4}), json!(4)),
        (json!({"a": 1}), json!({"path": ["a"], "increment": -3}), json!({"a": -2}), json!(-2)),
        (json!({"a": 1}), json!({"path": ["a"], "increment": 0.5}), json!({"a": 1.5}), json!(1.5)),
        (json!({"a": 0.5}), json!({"path": ["a"], "increment": 1}), json!({"a": 1.5}), json!(1.5)),
        (json!({}), json!({"path": ["a"], "increment": 3}), json!({"a": 3}), json!(3)),
        (
            json!({"a": u64::MAX - 1}),
            json!({"path": ["a"], "increment": 1}),
            json!({"a": u64::MAX}),
            json!(u64::MAX),
        ),
        (json!({"a": [1]}), json!({"path": ["a"], "push": [2]}), json!({"a": [1, [2]]}), json!(2)),
        (json!({}), json!({"path": ["a"], "push": 1}), json!({"a": [1]}), json!(1)),
        (json!({"a": [1]}), json!({"path": ["a"], "unshift": 2}), json!({"a": [2, 1]}), json!(2)),
        (json!({}), json!({"path": ["a"], "unshift": 1}), json!({"a": [1]}), json!(1)),
        (json!({"a": [1, 2]}), json!({"path": ["a"], "pop": true}), json!({"a": [1]}), json!(2)),
        (json!({"a": [1, 2]}), json!({"path": ["a"], "shift": true}), json!({"a": [2]}), json!(1)),
        (json!({"a": []}), json!({"path": ["a"], "pop": true}), json!({"a": []}), json!(null)),
        (json!({"a": []}), json!({"path": ["a"], "shift": true}), json!({"a": []}), json!(null)),
        (json!({}), json!({"path": ["a"], "pop": true}), json!({}), json!(null)),
        (json!({}), json!({"path": ["a", "b"], "shift": true}), json!({}), json!(null)),
        (json!({"a": [1]}), json!({"path": ["a"], "add": 1.0}), json!({"a": [1]}), json!(false)),
        (json!({"a": [1]}), json!({"path": ["a"], "add": "1"}), json!({"a": [1, "1"]}), json!(true)),
        (json!({}), json!({"path": ["a"], "add": 1}), json!({"a": [1]}), json!(true)),
        (json!({"a": [1, 2, 1.0]}), json!({"path": ["a"], "discard": 1}), json!({"a": [2]}), json!(true)),
        (json!({"a": [1]}), json!({"path": ["a"], "discard": 2}), json!({"a": [1]}), json!(false)),
        (json!({}), json!({"path": ["a"], "discard": 2}), json!({}), json!(false)),
        (
            json!({"a": {"b": 1, "c": {"d": 2}}}),
            json!({"path": ["a"], "merge": {"b": null, "c": {"e": 3}}}),
            json!({"a": {"c": {"d": 2, "e": 3}}}),
            json!({"b": 1, "c": {"d": 2}}),
        ),
        (
            json!({}),
            json!({"path": ["a"], "merge": {"b": null, "c": 1}}),
            json!({"a": {"c": 1}}),
            json!(null),
        ),
        (json!({"a": 1}), json!({"path": [], "merge": {"b": 2}}), json!({"a": 1, "b": 2}), json!({"a": 1})),
        (json!({"a": 1}), json!({"path": ["a"], "test": 1.0}), json!({"a": 1}), json!(1)),
        (json!({"a": 1}), json!({"path": ["b", 7], "test": null}), json!({"a": 1}), json!(null)),
        (json!({"a": 1}), json!({"path": [], "test": {"a": 1}}), json!({"a": 1}), json!({"a": 1})),
        // Missing parents become objects; the index after the last adds an element.
        (json!({}), json!({"path": ["a", "", "b.c"], "set": 1}), json!({"a": {"": {"b.c": 1}}}), json!(null)),
        (json!({"a": [1]}), json!({"path": ["a", 1], "set": 2}), json!({"a": [1, 2]}), json!(null)),
        (
            json!({"a": []}),
            json!({"path": ["a", 0, "n"], "increment": 2}),
            json!({"a": [{"n": 2}]}),
            json!(2),
        ),
        (json!({"a": [1]}), json!({"path": ["a", 1], "push": 2}), json!({"a": [1, [2]]}), json!(1)),
    ];
    for (bucket, operation, after, value) in cases {
        check(bucket, json!([operation]), after, json!([value]));
    }
}

#[test]
fn a_list_of_edits_runs_in_order_and_makes_one_version() {
    let db = db();
    let pk = create(&db, json!({"count": 1, "jobs": ["a", "b"]}));
    let before = read(&db, &pk);
    let request = edit(
        &pk,
        json!([
            {"path": ["count"], "increment": 1},
            {"path": ["count"], "increment": 1},
            {"path": ["count"], "test": 3},
            {"path": ["jobs"], "shift": true},
            {"path": ["done"], "push": "a"},
        ]),
    );
    let response = db.q0(request).unwrap();
    let after = read(&db, &pk);
    let values = vec![json!(2), json!(3), json!(3), json!("a"), json!(1)];
    assert_eq!(response.results, Results::Edited { pk: pk.clone(), updated_at: after.updated_at, values });
    assert_eq!(after.bucket.as_str(), r#"{"count":3,"jobs":["b"],"done":["a"]}"#);
    assert!(after.updated_at > before.updated_at);
    assert_eq!((after.stack, after.created_at), (before.stack, before.created_at));
    if db.properties().unwrap().temporal {
        assert_eq!(db.history(&pk).unwrap().len(), 2);
    }
}

#[test]
fn an_edit_that_does_not_fit_undoes_the_whole_list() {
    let cases = [
        (json!({"path": ["name"], "increment": 1}), json!({"expected": "a number", "found": "string"})),
        (json!({"path": ["name"], "push": 1}), json!({"expected": "an array", "found": "string"})),
        (json!({"path": ["name"], "pop": true}), json!({"expected": "an array", "found": "string"})),
        (json!({"path": ["nothing"], "add": 1}), json!({"expected": "an array", "found": "null"})),
        (json!({"path": ["name"], "discard": 1}), json!({"expected": "an array", "found": "string"})),
        (json!({"path": ["list"], "merge": {}}), json!({"expected": "an object", "found": "array"})),
        (json!({"path": ["name", "x"], "set": 1}), json!({"expected": "an object", "found": "string"})),
        (json!({"path": ["nothing", "x"], "set": 1}), json!({"expected": "an object", "found": "null"})),
        (json!({"path": ["list", "x"], "set": 1}), json!({"expected": "an object", "found": "array"})),
        (json!({"path": [0], "set": 1}), json!({"expected": "an array", "found": "object"})),
        (json!({"path": ["new", 0], "set": 1}), json!({"expected": "an array", "found": "object"})),
        (json!({"path": ["absent", 0], "set": 1}), json!({"expected": "an array", "found": "null"})),
        (json!({"path": ["list", 3], "set": 1}), json!({"expected": "an index of at most 2", "found": 3})),
        (json!({"path": ["large"], "increment": 1}), json!({"found": u64::MAX, "increment": 1})),
        (json!({"path": ["large"], "increment": 0.5}), json!({"found": u64::MAX, "increment": 0.5})),
    ];
    let bucket = json!({"name": "Kirk", "nothing": null, "list": [1, 2], "large": u64::MAX});
    for (operation, details) in cases {
        let db = db();
        let pk = create(&db, bucket.clone());
        let error = failure(&db, edit(&pk, json!([{"path": ["new"], "set": {}}, operation])));
        assert_eq!(ids(&error), [ErrorId::EDIT_REFUSED], "{operation}");
        let mut found = error.items()[0].details.clone();
        assert!(!error.items()[0].message().is_empty());
        found.shift_remove("message");
        let mut expected = details.as_object().unwrap().clone();
        expected.insert("pointer".to_owned(), json!("/edits/1"));
        expected.insert("path".to_owned(), operation["path"].clone());
        expected.insert("pk".to_owned(), json!(pk));
        assert_eq!(Value::from(found), Value::from(expected), "{operation}");
    }
}

#[test]
fn a_failed_test_is_a_retryable_conflict() {
    let db = db();
    let pk = create(&db, json!({"state": "open"}));
    let request = edit(&pk, json!([{"path": ["n"], "set": 1}, {"path": ["state"], "test": "done"}]));
    let error = failure(&db, request);
    assert_eq!(ids(&error), [ErrorId::CONFLICT]);
    let details = &error.items()[0].details;
    assert_eq!(details["retryable"], true);
    assert_eq!((&details["expected"], &details["found"]), (&json!("done"), &json!("open")));
    assert_eq!((&details["pointer"], &details["pk"]), (&json!("/edits/1"), &json!(pk)));
}

#[test]
fn a_conditional_write_fails_after_another_write() {
    let db = db();
    let pk = create(&db, json!({}));
    let requests = [
        edit(&pk, json!([{"path": ["n"], "increment": 1}])),
        json!({"action": "patch", "pk": pk, "bucket": {"n": 7}}),
        json!({"action": "delete", "pk": pk}),
        json!({"action": "delete", "pk": pk, "if_exists": true}),
    ];
    let seen = read(&db, &pk).updated_at.to_string();
    run(&db, requests[0].clone());
    for mut request in requests {
        request["if_updated_at"] = seen.as_str().into();
        let error = failure(&db, request.clone());
        assert_eq!(ids(&error), [ErrorId::CONFLICT], "{request}");
        assert_eq!(error.items()[0].details["retryable"], true);
        assert_eq!(error.items()[0].details["expected"], seen);
    }
    let mut request = json!({"action": "delete", "pk": pk, "if_exists": true});
    request["if_updated_at"] = read(&db, &pk).updated_at.to_string().into();
    for deleted in [true, false] {
        let results = db.q0(request.clone()).unwrap().results;
        assert_eq!(results, Results::Deleted { pk: pk.clone(), deleted });
    }
}

#[test]
fn a_patch_keeps_the_fields_that_it_does_not_name() {
    let db = db();
    let bucket = json!({"name": "Kirk", "ship": {"name": "Enterprise", "decks": [1, 2]}, "rank": "Captain"});
    let pk = run(&db, json!({"action": "create", "class": "a.b/c", "comment": "kept", "bucket": bucket}));
    let before = read(&db, &pk);
    let patch = json!({"ship": {"decks": [3], "name": null}, "rank": null, "age": 34});
    let response = db.q0(json!({"action": "patch", "pk": pk, "bucket": patch})).unwrap();
    let after = read(&db, &pk);
    assert_eq!(response.results, Results::Written { pk, updated_at: after.updated_at });
    assert_eq!(after.bucket.as_str(), r#"{"name":"Kirk","ship":{"decks":[3]},"age":34}"#);
    assert_eq!((after.stack, after.extras), (before.stack, before.extras));
}

#[test]
fn a_patch_is_validated_as_an_update_is() {
    let db = db();
    let fields = json!({"n": {"class": "number", "required": true}});
    db.import_schema(json!({"classes": {"a.b/x": {"fields": fields}}})).unwrap();
    let pk = run(&db, json!({"action": "create", "class": "a.b/x", "bucket": {"n": 1}}));
    for bucket in [json!({"n": null}), json!({"n": "x"})] {
        let error = failure(&db, json!({"action": "patch", "pk": pk, "bucket": bucket}));
        assert_eq!(ids(&error), [ErrorId::VALIDATION_FAILED]);
    }
    run(&db, json!({"action": "patch", "pk": pk, "bucket": {"m": 2}}));
    assert_eq!(read(&db, &pk).bucket.as_str(), r#"{"n":1,"m":2}"#);
}

#[test]
fn only_an_active_record_is_edited() {
    let db = db();
    let pk = create(&db, json!({}));
    let request = |pk: &str| edit(pk, json!([{"path": ["n"], "increment": 1}]));
    assert_eq!(ids(&failure(&db, request("nobody"))), [ErrorId::RECORD_NOT_FOUND]);
    run(&db, json!({"action": "delete", "pk": pk}));
    assert_eq!(ids(&failure(&db, request(&pk))), [ErrorId::RECORD_DELETED]);
}

#[test]
fn the_result_is_validated_once_and_indexed_as_that_of_an_update() {
    let db = db();
    let fields = json!({
        "serial": {"class": "string", "unique": true, "collapse": true},
        "rank": {"one_of": ["Ensign", "Captain"], "required": true},
        "ship": {"class": "puck.uno/reference"},
    });
    db.import_schema(json!({"classes": {"a.b/officer": {"fields": fields}}})).unwrap();
    let officer = |serial: &str| {
        let bucket = json!({"serial": serial, "rank": "Ensign"});
        run(&db, json!({"action": "create", "class": "a.b/officer", "bucket": bucket}))
    };
    let (first, second) = (officer("1"), officer("2"));
    // Between two edits the record may break its rules.
    let request = edit(
        &first,
        json!([
            {"path": ["rank"], "remove": true},
            {"path": ["rank"], "default": "Captain"},
            {"path": ["serial"], "set": " 3  4 "},
        ]),
    );
    assert_eq!(values(&db, request), [json!("Ensign"), json!(null), json!("1")]);
    assert_eq!(read(&db, &first).bucket.as_str(), r#"{"serial":"3 4","rank":"Captain"}"#);
    let by_serial = json!({"action": "select", "class": "a.b/officer", "path": ["serial", "3 4"]});
    assert_eq!(db.q0(by_serial).unwrap().into_records().unwrap().count(), 1);
    let refused = [
        (json!({"path": ["rank"], "set": "Admiral"}), ErrorId::VALIDATION_FAILED),
        (json!({"path": ["rank"], "remove": true}), ErrorId::VALIDATION_FAILED),
        (json!({"path": ["serial"], "set": "3 4"}), ErrorId::UNIQUE_VIOLATION),
        (json!({"path": ["ship"], "set": "nowhere"}), ErrorId::REFERENCE_NOT_FOUND),
    ];
    for (operation, id) in refused {
        assert_eq!(ids(&failure(&db, edit(&second, json!([operation])))), [id], "{operation}");
    }
    // The serial number that the first has given up is free.
    values(&db, edit(&second, json!([{"path": ["serial"], "set": "1"}])));
}

#[test]
fn a_class_definition_is_edited_as_a_record() {
    let db = db();
    db.import_schema(json!({"classes": {"a.b/x": {"fields": {"n": {"class": "number"}}}}})).unwrap();
    let definitions = db.by_class("puck.uno/class").unwrap();
    let pk = &definitions.iter().next().unwrap().pk;
    let new = || json!({"action": "create", "class": "a.b/x", "bucket": {"n": "text"}});
    assert_eq!(ids(&failure(&db, new())), [ErrorId::VALIDATION_FAILED]);
    values(&db, edit(pk, json!([{"path": ["fields", "n", "class"], "set": "string"}])));
    run(&db, new());
}

#[test]
fn edits_that_would_nest_a_bucket_too_deep_are_refused() {
    let db = db();
    let pk = create(&db, json!({}));
    let path = |steps: usize| Value::from(vec!["x"; steps]);
    // A bucket may nest 119 levels deep.
    values(&db, edit(&pk, json!([{"path": path(119), "set": 1}, {"path": path(119), "remove": true}])));
    values(&db, edit(&pk, json!([{"path": path(118), "set": []}])));
    values(&db, edit(&pk, json!([{"path": path(117), "merge": {"y": []}}])));
    for patch in [json!({}), json!({"y": null})] {
        values(&db, edit(&create(&db, json!({})), json!([{"path": path(118), "merge": patch}])));
    }
    assert!(miko_core::json::parse(read(&db, &pk).bucket.as_str()).is_ok());
    let refused = [
        (json!({"path": path(120), "set": 1}), "/edits/0/path"),
        (json!({"path": vec!["x"; 100_000], "remove": true}), "/edits/0/path"),
        (json!({"path": path(119), "set": []}), "/edits/0/set"),
        (json!({"path": path(118), "push": []}), "/edits/0/push"),
        (json!({"path": path(119), "push": 1}), "/edits/0/push"),
        (json!({"path": path(118), "merge": {"y": {}}}), "/edits/0/merge"),
        (json!({"path": path(119), "merge": {}}), "/edits/0/merge"),
        (json!({"path": path(119), "merge": {"y": null}}), "/edits/0/merge"),
    ];
    for (operation, pointer) in refused {
        let error = failure(&db, edit(&pk, json!([operation])));
        assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
        assert_eq!(error.items()[0].details["pointer"], pointer);
    }
}

#[test]
fn a_list_of_edits_has_a_maximal_length() {
    let db = db();
    let pk = create(&db, json!({}));
    let increments = |count: usize| edit(&pk, vec![json!({"path": ["n"], "increment": 1}); count].into());
    assert_eq!(values(&db, increments(MAX_EDITS)).len(), MAX_EDITS);
    assert_eq!(ids(&failure(&db, increments(MAX_EDITS + 1))), [ErrorId::REQUEST_TOO_LARGE]);
}

#[test]
fn a_hot_record_reads_and_changes_its_values() {
    let db = db();
    let pk = create(&db, json!({"list": [1, {"a": 2}], "n": 1}));
    let hot = db.hot(&pk);
    assert_eq!(hot.pk(), pk);
    assert_eq!(hot.get(["n"]).unwrap(), Some(json!(1)));
    assert_eq!(hot.get([Step::from("list"), 1.into(), "a".into()]).unwrap(), Some(json!(2)));
    assert_eq!(hot.get([Step::from("list"), 2.into()]).unwrap(), None);
    assert_eq!(hot.get(["list", "0"]).unwrap(), None);
    assert_eq!(hot.set(["n"], 2).unwrap(), json!(1));
    assert_eq!(hot.remove(["n"]).unwrap(), json!(2));
    assert_eq!(hot.increment(["n"], 0.5).unwrap(), json!(0.5));
    assert_eq!(hot.push(["list"], "x").unwrap(), 3);
    assert_eq!(hot.unshift(["list"], "y").unwrap(), 4);
    assert_eq!(hot.pop(["list"]).unwrap(), Some(json!("x")));
    assert_eq!(hot.shift(["list"]).unwrap(), Some(json!("y")));
    assert_eq!(hot.shift(["nothing"]).unwrap(), None);
    assert!(hot.compare_and_set(["state"], (), "open").unwrap());
    assert!(!hot.compare_and_set(["state"], (), "open").unwrap());
    assert!(hot.compare_and_set(["state"], "open", "done").unwrap());
    assert_eq!(read(&db, &pk).bucket.as_str(), r#"{"list":[1,{"a":2}],"n":0.5,"state":"done"}"#);
    assert_eq!(ids(&hot.compare_and_set(["n", "x"], (), 1).unwrap_err()), [ErrorId::EDIT_REFUSED]);
    for result in [db.hot("nobody").get(["n"]), db.hot("nobody").set(["n"], 1).map(Some)] {
        assert_eq!(ids(&result.unwrap_err()), [ErrorId::RECORD_NOT_FOUND]);
    }
}

#[test]
fn a_list_of_edits_that_nests_to_any_depth_is_refused() {
    let db = db();
    let pk = create(&db, json!({}));
    let mut deep = json!(1);
    for _ in 0..100_000 {
        deep = Value::Array(vec![deep]);
    }
    let error = db.edit(&pk, vec![deep]).unwrap_err();
    assert_eq!(ids(&error), [ErrorId::INVALID_REQUEST]);
}

/// The bucket after edits and the values that they return; or the error.
type Edited = Result<(Value, Vec<Value>), ErrorId>;

/// The result of edits by the specification. Each edit rebuilds the bucket from copies.
fn model(bucket: &Value, edits: &[Value]) -> Edited {
    let mut values = Vec::new();
    let bucket = edits.iter().try_fold(bucket.clone(), |bucket, edit| {
        let mut value = Value::Null;
        let (name, operand) = edit.as_object().unwrap().iter().find(|(key, _)| *key != "path").unwrap();
        let inserts_missing = !["remove", "pop", "shift", "discard", "test"].contains(&name.as_str());
        let path = edit["path"].as_array().unwrap();
        let changed = rebuild(Some(&bucket), path, inserts_missing, &mut |found| {
            let after = operate(name, operand, found)?;
            value = after.1;
            Ok(after.0)
        })?;
        values.push(value);
        Ok(changed.unwrap())
    });
    bucket.map(|bucket| (bucket, values))
}

type Change<'c> = dyn FnMut(Option<&Value>) -> Result<Option<Value>, ErrorId> + 'c;

/// A copy of `value`, with the value at `path` changed. `None` is an absent value. If `inserts_missing`,
/// missing parents become objects, and parents of another type are refused.
fn rebuild(
    value: Option<&Value>,
    path: &[Value],
    inserts_missing: bool,
    change: &mut Change<'_>,
) -> Result<Option<Value>, ErrorId> {
    let Some((step, rest)) = path.split_first() else { return change(value) };
    let new = json!({});
    let parent = if inserts_missing { Some(value.unwrap_or(&new)) } else { value };
    match (parent, step) {
        (Some(Value::Object(members)), Value::String(key)) => {
            let member = rebuild(members.get(key), rest, inserts_missing, change)?;
            let mut members = members.clone();
            match member {
                Some(member) => drop(members.insert(key.clone(), member)),
                None => drop(members.shift_remove(key)),
            }
            Ok(Some(members.into()))
        }
        (Some(Value::Array(items)), Value::Number(index)) => {
            let index = index.as_u64().unwrap() as usize;
            if index > items.len() && inserts_missing {
                return Err(ErrorId::EDIT_REFUSED);
            }
            let item = rebuild(items.get(index), rest, inserts_missing, change)?;
            let before = items.iter().take(index).cloned();
            Ok(Some(before.chain(item).chain(items.iter().skip(index + 1).cloned()).collect()))
        }
        (Some(_), _) if inserts_missing => Err(ErrorId::EDIT_REFUSED),
        (parent, _) => {
            // There is no such place: the operation gets an absent value, and its result is dropped.
            change(None)?;
            Ok(parent.cloned())
        }
    }
}

/// The value after an operation (`None` removes it), and the value that the edit returns.
fn operate(name: &str, operand: &Value, found: Option<&Value>) -> Result<(Option<Value>, Value), ErrorId> {
    let refused = Err(ErrorId::EDIT_REFUSED);
    let before = found.cloned().unwrap_or_default();
    let with_items = |change: &dyn Fn(&mut Vec<Value>) -> Value| match &before {
        Value::Array(items) => {
            let mut items = items.clone();
            let value = change(&mut items);
            Ok((Some(items.into()), value))
        }
        _ if found.is_some() => refused.clone(),
        _ => Ok((None, Value::Null)),
    };
    let with_items_or_new = |change: &dyn Fn(&mut Vec<Value>) -> Value| match found {
        None => {
            let mut items = Vec::new();
            let value = change(&mut items);
            Ok((Some(items.into()), value))
        }
        Some(_) => with_items(change),
    };
    match name {
        "set" => Ok((Some(operand.clone()), before)),
        "default" => Ok((Some(found.unwrap_or(operand).clone()), before)),
        "remove" => Ok((None, before)),
        "increment" => {
            // The generated numbers are small integers and halves.
            let Some(number) = (if found.is_none() { Some(0.0) } else { before.as_f64() }) else {
                return refused;
            };
            let sum = number + operand.as_f64().unwrap();
            let is_integer = !before.is_f64() && !operand.is_f64();
            let sum = if is_integer { json!(sum as i64) } else { json!(sum) };
            Ok((Some(sum.clone()), sum))
        }
        "push" | "unshift" => with_items_or_new(&|items| {
            items.insert(if name == "push" { items.len() } else { 0 }, operand.clone());
            items.len().into()
        }),
        "pop" => with_items(&|items| items.pop().unwrap_or_default()),
        "shift" => with_items(&|items| if items.is_empty() { Value::Null } else { items.remove(0) }),
        "add" => with_items_or_new(&|items| {
            let is_new = !items.iter().any(|item| miko_core::json::equal(item, operand));
            items.extend(is_new.then(|| operand.clone()));
            is_new.into()
        }),
        "discard" if found.is_none() => Ok((None, false.into())),
        "discard" => with_items(&|items| {
            let before = items.len();
            items.retain(|item| !miko_core::json::equal(item, operand));
            (items.len() < before).into()
        }),
        "merge" => match found {
            Some(Value::Object(_)) | None => Ok((Some(merged(found, operand)), before)),
            Some(_) => refused,
        },
        // `test`.
        _ if miko_core::json::equal(&before, operand) => Ok((found.cloned(), before)),
        _ => Err(ErrorId::CONFLICT),
    }
}

/// The function `MergePatch` of RFC 7396.
fn merged(target: Option<&Value>, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut object = target.and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in patch {
        if value.is_null() {
            object.shift_remove(key);
        } else {
            let member = merged(object.get(key), value);
            object.insert(key.clone(), member);
        }
    }
    object.into()
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(1.0),
        json!(-0.5),
        json!("a"),
    ]);
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            object(inner).prop_map(Value::from),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    prop::collection::vec((key, value), 0..4).prop_map(Map::from_iter)
}

/// An edit of a bucket with the keys of [`object`].
pub(crate) fn any_edit() -> impl Strategy<Value = Value> {
    let step = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "c"]).prop_map(Value::from),
        1 => (0..3_u64).prop_map(Value::from),
    ];
    let with_operand =
        prop::sample::select(vec!["set", "default", "push", "unshift", "add", "discard", "test"]);
    let numbers = prop::sample::select(vec![json!(1), json!(-2), json!(0.5), json!(2.0)]);
    let operation = prop_oneof![
        4 => (with_operand, value()).prop_map(|(name, operand)| (name, operand)),
        3 => prop::sample::select(vec!["remove", "pop", "shift"]).prop_map(|name| (name, json!(true))),
        2 => numbers.prop_map(|by| ("increment", by)),
        1 => object(value()).prop_map(|patch| ("merge", patch.into())),
    ];
    (prop::collection::vec(step, 1..4), operation).prop_map(|(path, (name, operand))| {
        let mut edit = json!({ "path": path });
        edit[name] = operand;
        edit
    })
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn edits_do_what_the_model_does(
        bucket in object(value()),
        lists in prop::collection::vec(prop::collection::vec(any_edit(), 1..5), 1..8),
    ) {
        let db = db();
        let mut bucket = Value::from(bucket);
        let pk = create(&db, bucket.clone());
        for edits in lists {
            let expected = model(&bucket, &edits);
            let found = db.q0(edit(&pk, edits.clone().into()));
            let found = found.and_then(|response| response.into_values());
            let found = found.map_err(|error| error.id().clone());
            let after = read(&db, &pk).bucket;
            match expected {
                Ok((after_edits, values)) => {
                    let found = found.map(|found| Value::from(found).to_string());
                    prop_assert_eq!(found, Ok(Value::from(values).to_string()), "{} {:?}", bucket, edits);
                    prop_assert_eq!(after.as_str(), after_edits.to_string(), "{} {:?}", bucket, edits);
                    bucket = after_edits;
                }
                Err(id) => {
                    prop_assert_eq!(found.unwrap_err(), id, "{} {:?}", bucket, edits);
                    prop_assert_eq!(after.as_str(), bucket.to_string());
                }
            }
        }
    }
}
