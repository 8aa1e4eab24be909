//! Upserts: the record that has a key is changed, or created.

use miko_core::{ErrorId, Results};
use serde_json::{Value, json};

use crate::support::{Local, db, failure, ids, read, run};

fn word_database() -> Local {
    let db = db();
    let word = json!({"word": {"class": "string", "unique": true, "collapse": true},
                      "count": {"class": "number", "default": 10}, "note": {}});
    let place = json!({"fields": {"at": {"class": "hash", "fields": {"x": {}, "y": {}}}, "name": {}},
                       "uniques": [[["at", "x"], ["at", "y"]]]});
    let classes = json!({
        "a.b/word": {"fields": word},
        "a.b/verb": {"inherits": "a.b/word"},
        "a.b/noun": {"inherits": "a.b/word"},
        "a.b/place": place,
        "a.b/plain": {"fields": {"n": {}}},
    });
    db.import_schema(json!({ "classes": classes })).unwrap();
    db
}

fn upsert(class: &str, key: Value, rest: Value) -> Value {
    let mut request = json!({"action": "upsert", "class": class, "key": key});
    request.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    request
}

/// Runs an upsert that succeeds. Returns the pk, whether it created the record, and the bucket after it.
fn upserted(db: &Local, request: Value) -> (String, bool, String) {
    let Results::Upserted { pk, updated_at, created, .. } = db.q0(request).unwrap().results else {
        panic!("the results of an upsert")
    };
    let record = read(db, &pk);
    assert_eq!(record.updated_at, updated_at);
    assert_eq!(created, record.created_at == updated_at);
    (pk, created, record.bucket.to_string())
}

#[test]
fn the_first_upsert_creates_the_record_and_later_ones_patch_it() {
    let db = word_database();
    let request = |bucket: Value| upsert("a.b/word", json!({"word": " g  pl "}), json!({ "bucket": bucket }));
    let (pk, created, bucket) = upserted(&db, request(json!({"note": {"a": 1}})));
    assert_eq!((created, bucket.as_str()), (true, r#"{"word":"g pl","count":10,"note":{"a":1}}"#));
    let (same, created, bucket) = upserted(&db, request(json!({"count": null, "note": {"b": 2}})));
    assert_eq!((same, created), (pk.clone(), false));
    assert_eq!(bucket, r#"{"word":"g pl","note":{"a":1,"b":2}}"#);
    let (same, created, _) = upserted(&db, upsert("a.b/word", json!({"word": "g pl"}), json!({})));
    assert_eq!((same, created), (pk, false));
    assert_eq!(db.by_class("a.b/word").unwrap().count(), 1);
}

#[test]
fn edits_of_an_upsert_apply_to_a_new_record_as_to_an_existing_one() {
    let db = word_database();
    let edits = json!([{"path": ["count"], "increment": 1}, {"path": ["seen"], "increment": 1}]);
    let request = upsert("a.b/word", json!({"word": "gpl"}), json!({"bucket": {"note": 1}, "edits": edits}));
    let (pk, created, bucket) = upserted(&db, request.clone());
    assert_eq!((created, bucket.as_str()), (true, r#"{"word":"gpl","count":11,"note":1,"seen":1}"#));
    let values = db.q0(request.clone()).unwrap().into_values().unwrap();
    assert_eq!(values, [json!(12), json!(2)]);
    // Beside edits, the bucket is that of a new record only: it does not patch an existing one.
    run(&db, json!({"action": "patch", "pk": pk, "bucket": {"note": null}}));
    let (same, created, bucket) = upserted(&db, request);
    assert_eq!((same, created), (pk, false));
    assert_eq!(bucket, r#"{"word":"gpl","count":13,"seen":3}"#);
    // A default that the edits remove stays away.
    let remove = json!({"edits": [{"path": ["count"], "remove": true}]});
    let (_, created, bucket) = upserted(&db, upsert("a.b/word", json!({"word": "mit"}), remove));
    assert_eq!((created, bucket.as_str()), (true, r#"{"word":"mit"}"#));
}

#[test]
fn a_key_may_be_a_combination_of_nested_fields() {
    let db = word_database();
    let named = json!({"bucket": {"name": "n"}});
    let at = |x: u64, y: u64| upsert("a.b/place", json!({"at": {"x": x, "y": y}}), named.clone());
    let (first, created, bucket) = upserted(&db, at(1, 2));
    assert_eq!((created, bucket.as_str()), (true, r#"{"at":{"x":1,"y":2},"name":"n"}"#));
    assert!(upserted(&db, at(2, 1)).1);
    assert_eq!(upserted(&db, at(1, 2)).0, first);
    // Members of the bucket beside the fields of the key are no contradiction.
    let key = json!({"at": {"x": 1, "y": 2}});
    let (_, _, bucket) = upserted(&db, upsert("a.b/place", key, json!({"bucket": {"at": {"x": 1.0}}})));
    assert_eq!(bucket, r#"{"at":{"x":1.0,"y":2},"name":"n"}"#);
}

#[test]
fn an_upsert_does_not_find_a_deleted_record() {
    let db = word_database();
    let request = || upsert("a.b/word", json!({"word": "gpl"}), json!({}));
    let (pk, ..) = upserted(&db, request());
    run(&db, json!({"action": "delete", "pk": pk}));
    let (other, created, _) = upserted(&db, request());
    assert!(created && other != pk);
}

#[test]
fn an_upsert_by_a_key_of_an_ancestor_finds_records_of_all_subclasses() {
    let db = word_database();
    let of = |class: &str| upsert(class, json!({"word": "run"}), json!({}));
    let (pk, created, _) = upserted(&db, of("a.b/verb"));
    assert!(created);
    assert_eq!(read(&db, &pk).class().unwrap(), "a.b/verb");
    assert_eq!(upserted(&db, of("a.b/word")).0, pk);
    let error = failure(&db, of("a.b/noun"));
    assert_eq!(ids(&error), [ErrorId::UNIQUE_VIOLATION]);
    assert_eq!(error.items()[0].details["other"], pk);
}

#[test]
fn an_upsert_with_an_invalid_key_is_refused() {
    let db = word_database();
    let word = || json!({"word": "gpl"});
    let refused = [
        (upsert("a.b/nothing", word(), json!({})), ErrorId::CLASS_NOT_FOUND, "/class"),
        (upsert("a.b/plain", json!({"n": 1}), json!({})), ErrorId::INVALID_REQUEST, "/key"),
        (upsert("a.b/word", json!({}), json!({})), ErrorId::INVALID_REQUEST, "/key"),
        (upsert("a.b/word", json!({"word": "x", "count": 1}), json!({})), ErrorId::INVALID_REQUEST, "/key"),
        (upsert("a.b/place", json!({"at": {"x": 1}}), json!({})), ErrorId::INVALID_REQUEST, "/key"),
        (upsert("a.b/word", json!({"word": null}), json!({})), ErrorId::INVALID_REQUEST, "/key"),
        (upsert("a.b/word", word(), json!({"bucket": {"word": "mit"}})), ErrorId::INVALID_REQUEST, "/bucket"),
        (upsert("a.b/word", word(), json!({"bucket": {"word": null}})), ErrorId::INVALID_REQUEST, "/bucket"),
    ];
    for (request, id, pointer) in refused {
        let error = failure(&db, request.clone());
        assert_eq!(ids(&error), [id], "{request}");
        assert_eq!(error.items()[0].details["pointer"], pointer, "{request}");
    }
    // The same value in another spelling does not contradict.
    assert!(upserted(&db, upsert("a.b/word", word(), json!({"bucket": {"word": " gpl"}}))).1);
}

#[test]
fn a_refused_upsert_changes_nothing() {
    let db = word_database();
    for exists in [false, true] {
        let request = |rest: Value| upsert("a.b/word", json!({"word": "gpl"}), rest);
        if exists {
            run(&db, request(json!({})));
        }
        let fails = json!({"edits": [{"path": ["seen"], "set": 1}, {"path": ["count"], "test": 0}]});
        assert_eq!(ids(&failure(&db, request(fails))), [ErrorId::CONFLICT]);
        let invalid = json!({"edits": [{"path": ["count"], "set": "many"}]});
        assert_eq!(ids(&failure(&db, request(invalid))), [ErrorId::VALIDATION_FAILED]);
    }
}

#[test]
fn threads_that_upsert_one_key_create_one_record() {
    let db = word_database();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..20 {
                    let count = json!({"edits": [{"path": ["seen"], "increment": 1}]});
                    run(&db, upsert("a.b/word", json!({"word": format!("w{}", n % 3)}), count));
                }
            });
        }
    });
    let words = db.by_class("a.b/word").unwrap();
    assert_eq!(words.count(), 3);
    let seen = words.iter().map(|word| word.bucket.get("seen").unwrap().unwrap().as_u64().unwrap());
    assert_eq!(seen.sum::<u64>(), 80);
}

#[test]
fn an_upsert_changes_only_a_record_that_has_the_key_in_the_shared_bucket() {
    // A verb with a bucket of its own, and what else the record is.
    let database = |own: &str, noun: Value, shared: Value| {
        let db = word_database();
        let verb = json!({"class": "a.b/verb", "bucket": {"word": own}});
        let mut create = json!({"action": "create", "classes": {"verb": verb}, "bucket": shared});
        if noun.is_object() {
            create["classes"]["noun"] = noun;
        }
        let pk = run(&db, create);
        (db, pk)
    };
    /// What an upsert does with the record.
    #[derive(Clone, Copy, PartialEq)]
    enum Effect {
        Changed,
        /// Another record is created.
        Created,
        /// Refused: the record has the key in the own bucket of its verb.
        InOwnBucket,
        /// Refused: a platter of another class has the key.
        OfAnotherClass,
    }
    use Effect::*;
    let (noun, none) = (|| json!({"class": "a.b/noun"}), || Value::Null);
    let cases = [
        ("run", none(), json!({"word": "walk"}), "a.b/verb", "run", InOwnBucket),
        ("run", none(), json!({"word": "walk"}), "a.b/word", "run", InOwnBucket),
        ("run", none(), json!({"word": "run"}), "a.b/word", "run", InOwnBucket),
        ("run", none(), json!({"word": "walk"}), "a.b/noun", "run", OfAnotherClass),
        ("run", none(), json!({"word": "walk"}), "a.b/word", "walk", Created),
        ("run", noun(), json!({"word": "walk"}), "a.b/noun", "walk", Changed),
        ("run", noun(), json!({"word": "walk"}), "a.b/word", "walk", Changed),
        ("run", noun(), json!({"word": "walk"}), "a.b/verb", "walk", OfAnotherClass),
        ("run", noun(), json!({"word": "walk"}), "a.b/verb", "run", InOwnBucket),
        ("run", noun(), json!({"word": "walk"}), "a.b/word", "run", InOwnBucket),
        ("run", noun(), json!({"word": "walk"}), "a.b/noun", "run", OfAnotherClass),
        ("run", noun(), json!({"word": "run"}), "a.b/noun", "run", Changed),
        ("run", noun(), json!({"word": "run"}), "a.b/word", "run", Changed),
        ("run", noun(), json!({"word": "run"}), "a.b/verb", "run", InOwnBucket),
    ];
    for (own, noun, shared, class, word, effect) in cases {
        for rest in [json!({"bucket": {"note": 1}}), json!({"edits": [{"path": ["note"], "set": 1}]})] {
            let (db, pk) = database(own, noun.clone(), shared.clone());
            let before = read(&db, &pk);
            let request = upsert(class, json!({"word": word}), rest);
            let context = format!("{} {} {request}", before.stack, before.bucket);
            if let Changed | Created = effect {
                let (upserted, created, bucket) = upserted(&db, request);
                assert_eq!((created, upserted != pk), (effect == Created, effect == Created), "{context}");
                assert!(bucket.contains(r#""note":1"#), "{context}");
                assert_eq!(read(&db, &pk).stack, before.stack, "{context}");
                continue;
            }
            let error = failure(&db, request);
            assert_eq!(ids(&error), [ErrorId::UNIQUE_VIOLATION], "{context}");
            let details = &error.items()[0].details;
            assert_eq!(details["other"], pk, "{context}");
            let platter = (effect == InOwnBucket).then(|| json!("verb"));
            assert_eq!(details.get("platter"), platter.as_ref(), "{context}");
        }
    }
}
