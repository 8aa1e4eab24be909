//! A bucket that is sent, replaced or edited as text becomes the same record as one that is handled as a
//! value, or is refused with the same error.

use std::collections::BTreeMap;

use miko_core::{Bucket, Error, MikobaseExt};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{ENGINE, Local, cases, db, export, ids, naive, read};

const CLASS: &str = "a.b/thing";

/// The keys of buckets.
const KEYS: [&str; 5] = ["a", "b", "c", "d", "é\""];

/// Field definitions, with the rules that a text may follow or break.
fn field() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({}),
        json!({"required": true}),
        json!({"class": "string", "min_length": 2}),
        json!({"class": "string", "collapse": true, "default": "a b"}),
        json!({"class": "string", "one_of": ["x", "yy", 1]}),
        json!({"class": "string", "pattern": "^[a-z]*$", "default": "dflt"}),
        json!({"class": "string", "unique": true}),
        json!({"class": "number", "min": 0, "default": 1}),
        json!({"class": "number", "integer_only": true, "required": true}),
        json!({"class": "number", "index": true}),
        json!({"index": true}),
        json!({"unique": true}),
        json!({"class": "boolean", "default": null}),
        json!({"class": "url"}),
        json!({"class": "timestamp"}),
        json!({"class": "array", "of": "number", "max_elements": 2}),
        json!({"class": "array", "of": {"default": 3, "class": "string", "collapse": true}}),
        json!({"class": "hash", "fields": {"x": {"class": "number", "index": true}}}),
        json!({"class": "hash", "fields": {"x": {"class": "string", "unique": true, "required": true}}}),
        json!({"class": "hash", "instantiate": true}),
        json!({"class": "puck.uno/reference"}),
        json!({"class": "a.b/other"}),
    ])
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-3),
        json!(1.0),
        json!(2.5),
        json!(-0.0),
        json!(1e300),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("yy"),
        json!("two  words "),
        json!("\t\"é\\"),
        json!("https://a.b/c"),
        json!("2026-04-21T14:32:00Z"),
    ]);
    prop_oneof![
        4 => scalar.clone(),
        1 => prop::collection::vec(scalar.clone(), 0..4).prop_map(Value::from),
        1 => prop::collection::vec((prop::sample::select(vec!["x", "y", "\n"]), scalar), 0..3)
            .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
    ]
}

/// Members of an object, with values of `of`.
fn members(of: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((prop::sample::select(KEYS.to_vec()), of), 0..6)
        .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// The bucket as a text with white space, which the wire carries as it is.
fn spaced(bucket: &Value) -> Bucket {
    let text = serde_json::to_string_pretty(bucket).unwrap();
    rmp_serde::from_slice(&rmp_serde::to_vec(&text).unwrap()).unwrap()
}

/// An error without the pks in it.
fn items(error: &Error) -> Vec<Value> {
    let details = |item: &miko_core::ErrorItem| {
        let mut details = item.details.clone();
        details.shift_remove("other");
        json!([item.id.as_str(), details])
    };
    error.items().iter().map(details).collect()
}

/// The bucket and the stack of the created record, or the items of the error.
fn outcome(db: &Local, created: Result<String, Error>) -> Result<(String, String), Vec<Value>> {
    let pk = created.map_err(|error| items(&error))?;
    let record = read(db, &pk);
    Ok((record.bucket.as_str().to_owned(), record.stack.as_str().to_owned()))
}

/// The database, with a class of these fields and unique combinations.
fn defined(db: Local, fields: &Map<String, Value>, uniques: &[Vec<&str>]) -> Local {
    let other = json!({"fields": {"n": {"class": "number", "default": 5}}});
    let thing = json!({"fields": fields, "uniques": uniques, "misc_fields": true});
    // Not all definitions are valid. A class that is not defined is tested as well.
    let _ = db.import_schema(json!({"classes": {CLASS: thing, "a.b/other": other}}));
    db
}

fn count(db: &Local, field: &str, value: &Value) -> usize {
    db.count(json!({"class": CLASS, "path": [field, {"value": value}]})).unwrap()
}

/// A change of the bucket of a record.
#[derive(Debug, Clone)]
enum BucketChange {
    Replace(Map<String, Value>),
    Edit(Vec<Value>),
}

impl BucketChange {
    /// Changes the bucket by the methods that take it as text. Returns the values of the edits.
    fn as_text(&self, db: &Local, pk: &str) -> Result<Vec<Value>, Error> {
        match self {
            Self::Replace(bucket) => db.update_one(pk, bucket.clone().into()).map(|_| Vec::new()),
            Self::Edit(edits) => db.edit(pk, edits.clone()).map(|edited| edited.values),
        }
    }

    /// Changes the bucket by a request.
    fn as_request(&self, db: &Local, pk: &str) -> Result<Vec<Value>, Error> {
        match self {
            Self::Replace(bucket) => {
                db.q0(json!({"action": "update", "pk": pk, "bucket": bucket})).map(|_| Vec::new())
            }
            Self::Edit(edits) => db.q0(json!({"action": "edit", "pk": pk, "edits": edits}))?.into_values(),
        }
    }
}

fn bucket_change() -> impl Strategy<Value = BucketChange> {
    let operation = prop_oneof![
        prop::sample::select(vec![json!(1), json!(-3), json!(0.5), json!(u64::MAX)])
            .prop_map(|by| ("increment", by)),
        value().prop_map(|value| ("set", value)),
        Just(("remove", json!(true))),
    ];
    let edit = (prop::sample::select(KEYS.to_vec()), operation)
        .prop_map(|(key, (name, operand))| json!({"path": [key], name: operand}));
    prop_oneof![
        members(value()).prop_map(BucketChange::Replace),
        prop::collection::vec(edit, 1..3).prop_map(BucketChange::Edit),
    ]
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_bucket_that_is_changed_as_text_becomes_that_of_its_value(
        fields in members(field()),
        uniques in prop::collection::vec(prop::sample::subsequence(KEYS.to_vec(), 1..=2), 0..2),
        buckets in prop::collection::vec(members(value()), 2),
        changes in prop::collection::vec((prop::sample::select(vec!["p", "q"]), bucket_change()), 1..8),
    ) {
        let (tested, by_value) = (defined(db(), &fields, &uniques), defined(naive(), &fields, &uniques));
        // Every bucket is parsed for the hooks, also for those of another class.
        by_value.before_save("of another class", "a.b/none", |_| Ok(()));
        for (pk, bucket) in ["p", "q"].into_iter().zip(&buckets) {
            let create = json!({"action": "create", "class": CLASS, "pk": pk, "bucket": bucket});
            prop_assert_eq!(tested.q0(create.clone()).is_ok(), by_value.q0(create).is_ok());
        }
        for (pk, change) in &changes {
            let changed = change.as_text(&tested, pk).map_err(|error| items(&error));
            let expected = change.as_request(&by_value, pk).map_err(|error| items(&error));
            prop_assert_eq!(changed, expected, "{:?}", change);
            let bucket = |db: &Local| db.record_by_pk(pk).unwrap().map(|record| record.bucket.to_string());
            prop_assert_eq!(bucket(&tested), bucket(&by_value), "{:?}", change);
        }
        for (field, value) in buckets.iter().flatten() {
            prop_assert_eq!(count(&tested, field, value), count(&by_value, field, value));
        }
    }

    #[test]
    fn a_bucket_that_is_text_becomes_the_record_of_its_value(
        fields in members(field()),
        uniques in prop::collection::vec(prop::sample::subsequence(KEYS.to_vec(), 1..=2), 0..2),
        buckets in prop::collection::vec(members(value()), 1..5),
        is_spaced in any::<bool>(),
    ) {
        let (tested, uncached) = (defined(db(), &fields, &uniques), defined(naive(), &fields, &uniques));
        for bucket in &buckets {
            let value = Value::from(bucket.clone());
            let text = if is_spaced { spaced(&value) } else { value.clone().into() };
            let created = tested.create_one(CLASS, text);
            let expected = uncached.q0(json!({"action": "create", "class": CLASS, "bucket": value}));
            let expected = expected.and_then(|response| response.into_pk());
            prop_assert_eq!(outcome(&tested, created), outcome(&uncached, expected), "{}", value);
            for (field, value) in bucket {
                prop_assert_eq!(count(&tested, field, value), count(&uncached, field, value));
            }
        }
        let many = buckets.iter().cloned().map(Bucket::from).collect();
        let request = |bucket| json!({"action": "create", "class": CLASS, "bucket": Value::Object(bucket)});
        let expected = uncached.batch(buckets.iter().cloned().map(request).collect(), true);
        match (tested.create_many(CLASS, many), expected) {
            (Ok(pks), Ok(answers)) => prop_assert_eq!(pks.len(), answers.into_iter().count()),
            (Err(error), Err(expected)) => prop_assert_eq!(items(&error), items(&expected)),
            (created, expected) => prop_assert!(false, "{:?} instead of {:?}", created, expected),
        }
        // An export is imported as text.
        let (text, imported) = (export(&tested), db());
        imported.read_worldlet(&mut text.as_bytes(), false).unwrap();
        prop_assert_eq!(export(&imported), text);
        for (field, value) in buckets.iter().flatten() {
            prop_assert_eq!(count(&imported, field, value), count(&uncached, field, value));
        }
    }
}

#[test]
fn a_bucket_text_that_is_no_json_or_has_lossy_numbers_is_refused_with_its_place() {
    let db = db();
    let is_over_http = std::env::var(ENGINE).is_ok_and(|engine| engine.contains("http"));
    // Each text with a key that the details of its error have.
    for (text, key) in [
        (r#"{"a": 1"#, "line"),
        (r#"{"a": 1, "a": 2}"#, "duplicate_key"),
        (r#"{"a": 18446744073709551617}"#, "found"),
        (r#"[1]"#, "found"),
    ] {
        let bucket: Bucket = rmp_serde::from_slice(&rmp_serde::to_vec(text).unwrap()).unwrap();
        for error in [
            db.create_one(CLASS, bucket.clone()).unwrap_err(),
            db.create_many(CLASS, vec![json!({}).into(), bucket]).unwrap_err(),
        ] {
            assert_eq!(ids(&error), [miko_core::ErrorId::INVALID_REQUEST], "{text}");
            if is_over_http {
                // It is refused earlier: by the client, as JSON cannot carry it, or with the params.
                continue;
            }
            assert!(error.items()[0].details.contains_key(key), "{text}: {error:?}");
            assert_eq!(error.items()[0].details["pointer"], "/bucket", "{text}");
        }
    }
    assert_eq!(db.count(json!({})).unwrap(), 0);
}

#[test]
fn a_bucket_text_that_replaces_another_is_refused_with_its_place() {
    let db = db();
    let pk = db.create(CLASS, &json!({"a": 1})).unwrap();
    let array: Bucket = rmp_serde::from_slice(&rmp_serde::to_vec("[1]").unwrap()).unwrap();
    for pk in [&pk, "none"] {
        let error = db.update_one(pk, array.clone()).unwrap_err();
        assert_eq!(ids(&error), [miko_core::ErrorId::INVALID_REQUEST], "{pk}");
    }
    let error = db.update_one("none", json!({}).into()).unwrap_err();
    assert_eq!(ids(&error), [miko_core::ErrorId::RECORD_NOT_FOUND]);
    let before = read(&db, &pk);
    let updated_at = db.update_one(&pk, json!({"b": 2}).into()).unwrap();
    let record = read(&db, &pk);
    assert_eq!((record.bucket.as_str(), record.updated_at), (r#"{"b":2}"#, updated_at));
    assert!(updated_at > before.updated_at);
}

#[test]
fn a_bucket_of_another_client_may_be_a_value() {
    let value = json!({"a": [1, null, {"b": "é"}], "c": -0.5});
    let bucket: Bucket = rmp_serde::from_slice(&rmp_serde::to_vec_named(&value).unwrap()).unwrap();
    assert_eq!(bucket, Bucket::from(value.clone()));
    assert_eq!(bucket.to_value().unwrap(), value);
    let read: Bucket = serde_json::from_value(value).unwrap();
    assert_eq!(read, bucket);
    assert_eq!(serde_json::to_string(&read).unwrap(), bucket.as_str());
}

#[test]
fn a_bucket_of_another_client_with_a_float_that_json_lacks_is_refused() {
    for sent in [rmp_serde::to_vec(&f64::NAN), rmp_serde::to_vec_named(&BTreeMap::from([("n", f64::NAN)]))] {
        let fault = rmp_serde::from_slice::<Bucket>(&sent.unwrap()).unwrap_err();
        assert_eq!(fault.to_string(), "JSON has no number NaN");
    }
}
