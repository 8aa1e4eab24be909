//! Many records in one call: reading by pks, and creating.

use miko_core::{Error, ErrorId, ErrorItem, MAX_BATCH_REQUESTS, MikobaseExt};
use serde_json::{Value, json};

use crate::support::{create, db, export, read};

#[test]
fn records_come_in_the_order_of_their_pks() {
    let db = db();
    let pks: Vec<String> = (0..3).map(|n| create(&db, json!({"n": n}))).collect();
    db.delete(&pks[1]).unwrap();
    let asked = [&pks[2], &pks[1], "none", &pks[0], &pks[2]];
    let found = db.records_by_pks(asked.map(str::to_owned).to_vec()).unwrap();
    let expected = asked.map(|pk| db.record_by_pk(pk).unwrap());
    assert_eq!(found, expected);
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true, true]);
    assert_eq!(db.records_by_pks(Vec::new()).unwrap(), []);
}

#[test]
fn a_select_by_pks_has_each_record_once_and_in_order_of_creation() {
    let db = db();
    let pks: Vec<String> = (0..3).map(|n| create(&db, json!({"n": n}))).collect();
    let select = json!({"action": "select", "pk": [pks[2], pks[0], pks[2], "none"]});
    for _ in 0..2 {
        let records = db.q0(select.clone()).unwrap().into_records().unwrap();
        assert_eq!(records.iter().map(|record| &record.pk).collect::<Vec<_>>(), [&pks[0], &pks[2]]);
    }
}

#[test]
fn a_bucket_becomes_a_record_as_by_create() {
    let db = db();
    let fields =
        json!({"name": {"class": "string", "unique": true}, "crew": {"class": "number", "default": 1}});
    db.import_schema(json!({"classes": {"a.b/ship": {"fields": fields}}})).unwrap();
    let pks = db.create_all("https://a.b/ship", &[json!({"name": "Defiant"}), json!({"name": "Voyager"})]);
    let pks = pks.unwrap();
    let records = db.records_by_pks(pks.clone()).unwrap();
    let texts: Vec<String> =
        records.into_iter().map(|record| record.unwrap().bucket.as_str().to_owned()).collect();
    assert_eq!(texts, [r#"{"name":"Defiant","crew":1}"#, r#"{"name":"Voyager","crew":1}"#]);
    assert_eq!(db.by_class("a.b/ship").unwrap().iter().map(|it| it.pk.clone()).collect::<Vec<_>>(), pks);
    assert_eq!(read(&db, &pks[0]).stack.as_str(), r#"{"shadow":{},"ship":{"class":"a.b/ship"}}"#);
    assert_eq!(db.create_many("a.b/ship", Vec::new()).unwrap(), [] as [&str; 0]);
}

#[test]
fn a_definition_is_in_force_for_the_buckets_after_it() {
    let db = db();
    let class = |name: &str| json!({"name": name, "fields": {"n": {"class": "number", "required": true}}});
    db.create_all("puck.uno/class", &[class("a.b/c"), class("a.b/d")]).unwrap();
    assert!(db.create("a.b/d", &json!({})).unwrap_err().is(ErrorId::VALIDATION_FAILED));
    let error = db.create_all("puck.uno/class", &[class("a.b/e"), class("a.b/c")]).unwrap_err();
    assert!(error.is(ErrorId::DUPLICATE_CLASS), "{error}");
    db.create("a.b/e", &json!({})).unwrap();
}

/// Some lists of buckets that are refused, with their class.
fn refused() -> Vec<(&'static str, Vec<Value>)> {
    let ship = |name: &str| json!({"name": name});
    vec![
        ("a.b/ship", vec![ship("Defiant"), json!({}), json!({"name": 1})]),
        ("a.b/ship", vec![ship("Defiant"), ship("Voyager"), ship("Defiant")]),
        ("a.b/ship", vec![ship("Enterprise")]),
        ("a.b/ship", vec![ship("Defiant"), json!({"name": "Voyager", "home": "nowhere"})]),
        ("a.b/ship", vec![ship("Defiant"), json!("no object")]),
        ("a.b/ship", vec![ship("Defiant"), json!({}), json!("no object")]),
        ("no uns", vec![json!({})]),
    ]
}

#[test]
fn a_refused_create_many_has_the_faults_of_an_atomic_batch_and_changes_nothing() {
    let db = db();
    let fields = json!({"name": {"class": "string", "unique": true, "required": true},
                        "home": {"class": "puck.uno/reference"}});
    db.import_schema(json!({"classes": {"a.b/ship": {"fields": fields}}})).unwrap();
    db.create("a.b/ship", &json!({"name": "Enterprise"})).unwrap();
    let before = export(&db);
    for (class, buckets) in refused() {
        let request = |bucket: &Value| json!({"action": "create", "class": class, "bucket": bucket});
        let expected = db.batch(buckets.iter().map(request).collect(), true).unwrap_err();
        let error = db.create_many(class, buckets.into_iter().map(Into::into).collect()).unwrap_err();
        let items = |error: &Error| {
            let without_message = |item: &ErrorItem| {
                let mut details = item.details.clone();
                details.shift_remove("message");
                // The pk of a record that was undone.
                details.shift_remove("other");
                (item.id.clone(), details)
            };
            error.items().iter().map(without_message).collect::<Vec<_>>()
        };
        assert_eq!(items(&error), items(&expected), "{class}");
        assert_eq!(export(&db), before, "{class}");
    }
}

#[test]
fn a_bucket_nests_as_deep_as_one_of_a_request() {
    let db = db();
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let create = |levels: usize| json!({"action": "create", "bucket": nested(levels)});
    let deepest = (1..).find(|levels| db.q0(create(levels + 1)).is_err()).unwrap();
    let pks = db.create_many("a.b/c", vec![nested(deepest).into()]).unwrap();
    assert_eq!(read(&db, &pks[0]).bucket.to_map().unwrap(), *nested(deepest).as_object().unwrap());
    let error = db.create_many("a.b/c", vec![json!({}).into(), nested(deepest + 1).into()]).unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    assert_eq!(error.items()[0].details["request"], 1);
}

#[test]
fn more_pks_or_buckets_than_the_maximum_of_a_batch_are_refused() {
    let db = db();
    let error = db.records_by_pks(vec![String::new(); MAX_BATCH_REQUESTS + 1]).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
    let error = db.create_many("a.b/c", vec![json!({}).into(); MAX_BATCH_REQUESTS + 1]).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
    assert_eq!(db.count(json!({})).unwrap(), 0);
}
