//! Keys, values and numbers that break code which splices, unescapes or rounds.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::support::{buckets, create, db, export, failure, read, run, sqlite};

pub(crate) const STRINGS: [&str; 32] = [
    "",
    " ",
    "0",
    "1",
    "-1",
    "00",
    "a.b",
    "a..b",
    ".",
    "$",
    "$.a",
    "$[0]",
    "[0]",
    "#",
    "[#-1]",
    "\"",
    "'",
    "''",
    "`",
    "\\",
    "\\\"",
    "\\u0000",
    "\0",
    "a\0b",
    "\n\t\r",
    "\u{7f}\u{85}\u{2028}",
    "🖖",
    "é",
    "e\u{301}",
    "?1",
    "'); DROP TABLE record; --",
    "\u{feff}",
];

#[test]
fn any_string_is_a_key_and_a_value() {
    let db = db();
    for (n, key) in STRINGS.into_iter().enumerate() {
        create(&db, json!({"n": n, key: {key: [key]}}));
    }
    for (n, key) in STRINGS.into_iter().enumerate() {
        let found = buckets(&db, json!({"action": "select", "path": [key, key, 0, key]}));
        assert_eq!(found, [json!({"n": n, key: {key: [key]}})], "{key:?}");
        let absent: Vec<_> = buckets(&db, json!({"action": "select", "path": [key, null]}));
        assert_eq!(absent.len(), STRINGS.len() - 1, "{key:?}");
    }
    assert!(serde_json::from_str::<Value>(&export(&db)).is_ok());
}

#[test]
fn any_string_is_accepted_as_an_unknown_pk() {
    let db = db();
    let pk = create(&db, json!({}));
    for name in STRINGS {
        assert_eq!(db.record_by_pk(name).unwrap(), None);
        assert!(buckets(&db, json!({"action": "select", "pk": [name, name]})).is_empty());
        let error = failure(&db, json!({"action": "delete", "pk": name}));
        assert!(error.is(ErrorId::RECORD_NOT_FOUND));
        assert!(db.record_by_pk(&format!("{pk}{name}")).unwrap().is_none() || name.is_empty());
    }
}

#[test]
fn any_string_is_a_platter_key_and_no_class() {
    let db = db();
    for name in STRINGS {
        let pk = run(
            &db,
            json!({"action": "create", "bucket": {}, "classes": {name: {"class": "foo.com/x", name: 1}}}),
        );
        let stack = Value::from(read(&db, &pk).stack.to_map().unwrap());
        assert_eq!(stack, json!({"shadow": {}, name: {"class": "foo.com/x", name: 1}}));
        // After a valid prefix, so that only the string is invalid.
        let class = format!("foo.com/{name}");
        if !["0", "1", "-1", "00", "a.b", "?1"].contains(&name) {
            let error = failure(&db, json!({"action": "create", "bucket": {}, "class": class}));
            assert!(error.is(ErrorId::INVALID_REQUEST));
            assert!(db.by_class(&class).is_err());
        }
    }
}

#[test]
fn numbers_are_read_back_exactly() {
    let numbers = [
        "0",
        "-0.0",
        "1",
        "1.0",
        "-1",
        "18446744073709551615",
        "-9223372036854775808",
        "9223372036854775807",
        "9007199254740993",
        "5e-324",
        "1e308",
        "1.7976931348623157e308",
        "2.2250738585072014e-308",
        "0.1",
        "0.30000000000000004",
        "1e20",
        "123456789012345680000.0",
    ];
    let db = db();
    for literal in numbers {
        let value = miko_core::json::parse(literal).unwrap();
        let pk = create(&db, json!({"n": value, "in": [value, {"n": value}]}));
        let stored = read(&db, &pk).bucket;
        let text = value.to_string();
        assert_eq!(stored.as_str(), format!(r#"{{"n":{text},"in":[{text},{{"n":{text}}}]}}"#));
        let read_back = stored.get("n").unwrap().unwrap();
        assert_eq!(read_back.to_string(), text, "{literal}");
        assert_eq!(read_back.as_f64().map(f64::to_bits), literal.parse().ok().map(f64::to_bits), "{literal}");
    }
}

#[test]
fn numbers_are_equal_only_if_they_are_the_same_number() {
    let db = db();
    let numbers = [
        json!(0),
        json!(-0.0),
        json!(1),
        json!(1.0),
        json!(9007199254740992_i64),
        json!(9007199254740993_i64),
        json!(9007199254740992.0),
        json!(i64::MAX),
        json!(9223372036854775808_u64),
        json!(9223372036854775808.0),
        json!(u64::MAX),
        json!(18446744073709551616.0),
        json!(i64::MIN),
        json!(-9223372036854775808.0),
        json!(5e-324),
        json!("0"),
        json!(false),
        json!(true),
        json!("1"),
    ];
    numbers.iter().for_each(|number| drop(create(&db, json!({ "n": number }))));
    let equal_to = |literal: Value| -> Vec<String> {
        let found = buckets(&db, json!({"action": "select", "path": ["n", literal]}));
        found.iter().map(|bucket| bucket["n"].to_string()).collect()
    };
    assert_eq!(equal_to(json!(0)), ["0", "-0.0"]);
    assert_eq!(equal_to(json!(1.0)), ["1", "1.0"]);
    assert_eq!(equal_to(json!(9007199254740992_i64)), ["9007199254740992", "9007199254740992.0"]);
    assert_eq!(equal_to(json!(9007199254740993_i64)), ["9007199254740993"]);
    assert_eq!(equal_to(json!(i64::MAX)), ["9223372036854775807"]);
    assert_eq!(equal_to(json!(9223372036854775808.0)), ["9223372036854775808", "9.223372036854776e+18"]);
    assert_eq!(equal_to(json!(u64::MAX)), ["18446744073709551615"]);
    assert_eq!(equal_to(json!(i64::MIN)), ["-9223372036854775808", "-9.223372036854776e+18"]);
    assert_eq!(equal_to(json!(5e-324)), ["5e-324"]);
    assert_eq!(equal_to(json!(false)), ["false"]);
}

#[test]
fn large_texts_are_stored_and_found() {
    let db = db();
    let text = "🖖\0\"".repeat(200_000);
    let pk = create(&db, json!({ "text": text }));
    assert_eq!(read(&db, &pk).bucket.get("text").unwrap(), Some(json!(text)));
    assert_eq!(buckets(&db, json!({"action": "select", "path": ["text", text]})).len(), 1);
}

/// Names of fields are data too: in definitions, indexes, references and pointers.
#[test]
fn any_string_is_the_name_of_a_field() {
    use crate::class_support;
    let names =
        ["", "a.b", "a/b~c", "\"", "'; DROP TABLE record; --", "$.x[0]", "\u{0}", "🖖", " ", "null", "class"];
    for name in names.into_iter().chain(STRINGS) {
        let db = class_support::db();
        let fields = json!({
            name: {"class": "hash", "fields": {name: {"unique": true}}},
            format!("{name}2"): {"index": true},
            format!("{name}3"): {"class": "puck.uno/reference", "on_delete": "restrict"},
        });
        class_support::define(
            &db,
            json!({"name": "a.b/c", "fields": fields, "uniques": [[[name, name], format!("{name}2")]]}),
        )
        .unwrap();
        let target = class_support::create(&db, "a.b/d", json!({})).unwrap();
        let bucket = json!({name: {name: name}, format!("{name}2"): name, format!("{name}3"): target});
        let pk = class_support::create(&db, "a.b/c", bucket.clone()).unwrap();
        let error = class_support::create(&db, "a.b/c", bucket).unwrap_err();
        assert_eq!(error.items().len(), 2, "{name:?} is taken by `unique` and by `uniques`: {error}");
        assert_eq!(db.by_path("a.b/c", json!([name, name, name])), [pk.as_str()]);
        assert_eq!(db.by_path("a.b/c", json!([format!("{name}2"), name])), [pk.as_str()]);
        let error = db.delete(&target).unwrap_err();
        let pointer = format!("/bucket/{}", format!("{name}3").replace('~', "~0").replace('/', "~1"));
        assert_eq!(error.items()[0].details["pointed_at_by"][0]["pointer"], pointer);
        let copy = crate::support::db();
        let worldlet = crate::support::export(&db.0);
        copy.read_worldlet(&mut worldlet.as_bytes(), false).unwrap();
        assert_eq!(crate::support::export(&copy), worldlet);
    }
}

#[test]
fn large_values_and_many_keys_are_indexed_and_validated_like_others() {
    use crate::class_support;
    let db = class_support::db();
    let fields =
        json!({"text": {"class": "string", "unique": true, "min_length": 1 << 20}, "many": {"index": true}});
    class_support::define(&db, json!({"name": "a.b/c", "fields": fields})).unwrap();
    let text = "ä".repeat(1 << 20);
    let many: Vec<u32> = (0..10_000).collect();
    let keys: serde_json::Map<String, Value> = (0..10_000).map(|n| (format!("key {n}"), json!(n))).collect();
    let pk = class_support::create(&db, "a.b/c", json!({"text": text, "many": many, "keys": keys})).unwrap();
    assert!(class_support::create(&db, "a.b/c", json!({"text": text})).is_err());
    assert_eq!(db.by_path("a.b/c", json!(["text", text])), [pk.as_str()]);
    assert_eq!(db.by_path("a.b/c", json!(["many", many])), [pk.as_str()]);
    let error = class_support::create(&db, "a.b/c", json!({"text": "x".repeat(1000)})).unwrap_err();
    assert!(error.to_string().len() < 1000, "an error does not repeat what it refuses: {error}");
}

/// The SQL of a hostile request equals that of a harmless one of the same shape; the hostile parts are bound.
#[test]
fn no_part_of_a_request_becomes_sql() {
    let db = sqlite();
    let request = |text: &str| {
        json!({
            "action": "select", "pk": text, "path": [text, text], "sort": [text], "limit": 3,
            "all": [{"path": [text, 0, {"in": [text, {text: text}], "contains": text}], "not": true}],
            "any": [{"path": [text, {"starts-with": text, "case-sensitive": false}]}, {"pk": [text, "b"]}],
            "then": {"placeholders": {text: text}, "path": ["a", {"placeholder": text}]},
        })
    };
    let harmless = db.explain(request("a")).unwrap();
    for text in STRINGS {
        let explanation = db.explain(request(text)).unwrap();
        assert_eq!(explanation.sql, harmless.sql, "{text:?}");
        let bound =
            |value: &Value| value.as_str().is_some_and(|value| value.contains(&json!(text).to_string()));
        assert!(explanation.values.iter().filter(|value| bound(value)).count() >= 4, "{text:?}");
        assert_eq!(explanation.residual_filter_reason, None);
        assert!(db.q0(request(text)).is_ok(), "{text:?}");
    }
}
