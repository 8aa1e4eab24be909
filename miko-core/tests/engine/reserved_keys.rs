//! The two keys that `serde_json` reserves are ordinary keys of a bucket, in every interface.

use std::collections::HashMap;

use miko_core::backend::Mode;
use miko_core::rpc::Interface;
use miko_core::{Answers, Engine, Mikobase, Record, WorldletEngine, json};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::{buckets, cases, create, db, export, read, run};

const RAW_VALUE: &str = "$serde_json::private::RawValue";
const NUMBER: &str = "$serde_json::private::Number";

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(RAW_VALUE), 2 => Just(NUMBER), 1 => Just("value"), 1 => Just("$"), 1 => Just("")]
        .prop_map(str::to_owned)
}

/// A value with reserved keys at any depth, beside strings that look like JSON.
fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        Just(json!("zz")),
        Just(json!("12")),
        Just(json!("{\"action\":\"delete\"}")),
        Just(json!("9007199254740993.0")),
        any::<i64>().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            4 => any_object(inner).prop_map(Value::Object),
        ]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((any_key(), value), 1..3).prop_map(Map::from_iter)
}

/// The JSON text of a value, which also compares the order of keys.
fn text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// A type of a caller, with arbitrary values in each kind of container.
#[derive(Debug, Deserialize)]
struct Fields {
    a: Value,
    list: Vec<Value>,
    #[serde(default)]
    named: HashMap<String, Option<Value>>,
    variant: Variant,
}

#[derive(Debug, Deserialize)]
enum Variant {
    Newtype(Value),
}

/// Checks that a record has this bucket in each form in which it can be read or sent.
fn check_record(record: &Record, bucket: &Value) {
    assert_eq!(record.bucket.as_str(), text(bucket));
    assert_eq!(text(&record.bucket.to_map().unwrap()), text(bucket));
    assert_eq!(text(&record.bucket_as::<Value>().unwrap()), text(bucket));
    assert_eq!(text(&record.bucket_as::<Map<String, Value>>().unwrap()), text(bucket));
    let value = serde_json::to_value(record).unwrap();
    assert_eq!(text(&value["bucket"]), text(bucket));
    assert_eq!(&serde_json::from_str::<Record>(&text(record)).unwrap(), record);
    assert_eq!(&serde_json::from_value::<Record>(value).unwrap(), record);
    assert_eq!(&rmp_serde::from_slice::<Record>(&rmp_serde::to_vec_named(record).unwrap()).unwrap(), record);
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn reserved_keys_are_stored_and_read_unchanged(bucket in any_object(any_value()), misc in any_value()) {
        let db = db();
        let bucket = Value::Object(bucket);
        let as_value = json!({"action": "create", "bucket": bucket, "misc": misc});
        let as_text = json::parse(&as_value.to_string()).unwrap();
        prop_assert_eq!(text(&as_text), text(&as_value));
        let pk = run(&db, as_value.clone());
        let answer = db.batch(vec![as_text], true).unwrap().into_iter().next().unwrap();
        let from_text = answer.unwrap().into_pk().unwrap();
        for pk in [&pk, &from_text] {
            check_record(&read(&db, pk), &bucket);
            prop_assert_eq!(text(&serde_json::to_value(read(&db, pk)).unwrap()["misc"]), text(&misc));
        }
        run(&db, json!({"action": "update", "pk": pk, "bucket": {"a": bucket}}));
        let nested = json!({"a": bucket});
        check_record(&read(&db, &pk), &nested);
        let select = json!({"action": "select", "path": ["a", {"value": bucket}]});
        prop_assert_eq!(buckets(&db, select.clone()), vec![nested.clone()]);

        let answers = db.batch(vec![json!({"action": "select"}), json!({"action": bucket})], false).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Answers>(&text(&answers)).unwrap(), &answers);
        let sent = rmp_serde::to_vec_named(&answers).unwrap();
        prop_assert_eq!(&rmp_serde::from_slice::<Answers>(&sent).unwrap(), &answers);

        let dispatched = Interface::dispatch(&*db, "q0", json!({ "query": select })).unwrap();
        let dispatched = json::from_text(dispatched.get()).unwrap();
        prop_assert_eq!(text(&dispatched["results"][0]["bucket"]), text(&nested));

        let exported = export(&db);
        let copy = crate::support::db();
        copy.read_worldlet(&mut exported.as_bytes(), false).unwrap();
        check_record(&read(&copy, &pk), &nested);
        check_record(&read(&copy, &from_text), &bucket);
        prop_assert_eq!(export(&copy), exported);
    }

    #[test]
    fn values_are_deserialized_unchanged_into_types_of_the_caller(
        value in any_value(),
        named in any_object(any_value()),
    ) {
        let db = db();
        let bucket = json!({"a": value, "list": [value, 1], "named": named, "variant": {"Newtype": value}});
        let fields: Fields = read(&db, &create(&db, bucket)).bucket_as().unwrap();
        let Variant::Newtype(variant) = fields.variant;
        for found in [&fields.a, &fields.list[0], &variant] {
            prop_assert_eq!(text(found), text(&value));
        }
        let non_null = |value: Value| Some(value).filter(|value| !value.is_null());
        let named: HashMap<String, Option<Value>> =
            named.into_iter().map(|(key, value)| (key, non_null(value))).collect();
        prop_assert_eq!(fields.named, named);
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn a_worldlet_file_with_reserved_keys_can_be_opened_again(bucket in any_object(any_value())) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.json");
        let bucket = Value::Object(bucket);
        let request = json!({"action": "create", "bucket": bucket});
        let engine = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
        let pk = engine.q0(request).unwrap().into_pk().unwrap();
        drop(engine);
        let engine = WorldletEngine::open(&path, Mode::ReadWrite).unwrap();
        check_record(&engine.record_by_pk(&pk).unwrap().unwrap(), &bucket);
        let mut exported = Vec::new();
        engine.write_worldlet(&mut exported).unwrap();
        let exported = String::from_utf8(exported).unwrap();
        prop_assert!(exported.contains(&text(&bucket)), "{}", exported);
    }
}

#[test]
fn a_request_inside_a_reserved_key_is_not_run() {
    let line = json!({RAW_VALUE: json!({"action": "create", "bucket": {}}).to_string()}).to_string();
    let db = db();
    assert!(db.q0(json::parse(&line).unwrap()).is_err());
    assert_eq!(buckets(&db, json!({"action": "select"})), Vec::<Value>::new());
}

#[test]
fn a_reserved_key_that_serde_would_copy_is_refused_with_its_name() {
    #[derive(Debug, Deserialize)]
    struct Flattened {
        #[serde(flatten)]
        _rest: Value,
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        _Any(#[allow(dead_code, reason = "it is there to be read")] Value),
    }
    #[derive(Debug, Deserialize)]
    #[serde(tag = "type")]
    enum Tagged {
        A(#[allow(dead_code, reason = "it is there to be read")] Value),
    }
    let db = db();
    let refused = |error: miko_core::Error| assert!(error.to_string().contains(RAW_VALUE), "{error}");
    for bucket in [json!({RAW_VALUE: "12"}), json!({"a": {RAW_VALUE: "12"}})] {
        let record = read(&db, &create(&db, bucket));
        refused(record.bucket_as::<Flattened>().unwrap_err());
    }
    for bucket in [json!({RAW_VALUE: "12"}), json!({"a": [{RAW_VALUE: "12"}]})] {
        let record = read(&db, &create(&db, bucket));
        // The error of an untagged enum says only that no variant fits.
        assert!(record.bucket_as::<Untagged>().is_err());
    }
    let record = read(&db, &create(&db, json!({"type": "A", RAW_VALUE: "12"})));
    refused(record.bucket_as::<Tagged>().unwrap_err());
}

#[test]
fn a_duplicate_key_is_refused_with_its_name() {
    for text in [
        r#"{"action": "create", "bucket": {"a": 1, "b": {"twice": 1, "twice": 1}}}"#,
        r#"{"action": "create", "bucket": [{"twice": 1, "tw\u0069ce": 2}]}"#,
        r#"{"twice": {}, "twice": {}}"#,
    ] {
        let error = json::parse(text).unwrap_err();
        assert_eq!(error.items()[0].details["duplicate_key"], "twice", "{text}");
    }
    let worldlet = r#"{"records": {"1": {"bucket": {"twice": 1, "twice": 2}}}}"#;
    let error = db().read_worldlet(&mut worldlet.as_bytes(), false).unwrap_err();
    assert_eq!(error.items()[0].details["duplicate_key"], "twice");
    assert_eq!(error.items()[0].details["pointer"], "/records/1");
}
