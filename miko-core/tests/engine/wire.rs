//! Values are unchanged by serialization and deserialization, as JSON and as MessagePack.

use std::fmt::Debug;

use miko_core::json::parse;
use miko_core::{Answers, Bucket, Error, ErrorId, Record, Records, Response, ResponseEnvelope};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Local, create, db, read, run};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Field<T> {
    value: T,
}

/// Serde buffers what is flattened, and what it reads of an enum without a tag or with an internal one.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flattened<T> {
    id: u8,
    #[serde(flatten)]
    rest: T,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged<T> {
    Newtype(T),
    Struct { value: T },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Struct { value: T },
}

/// Checks that a value is equal after serialization and deserialization, also inside serde's buffers.
#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(value: &T) {
    let value = || value.clone();
    check_form(&value());
    check_form(&Flattened { id: 1, rest: Field { value: value() } });
    check_form(&Tagged::Newtype(Field { value: value() }));
    check_form(&Tagged::Struct { value: value() });
    check_form(&Untagged::Struct { value: value() });
}

#[track_caller]
fn check_form<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    let bytes = rmp_serde::to_vec_named(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&bytes).unwrap(), value);
}

const BUCKET: &str =
    r#"{"z":-0.0,"a":[18446744073709551615,-9223372036854775808,5e-324,1e308,1.0,1],"":"\u0000🖖\"\\"}"#;

fn full_record(db: &Local) -> Record {
    let pk = run(
        db,
        json!({"action": "create", "bucket": parse(BUCKET).unwrap(), "classes": ["foo.com/a", "foo.com/b"],
        "custom_classes": {"m": "foo.com/m"}, "vibecode": null, "comment": "c", "misc": [1.0],
        "corporate": {}}),
    );
    read(db, &pk)
}

#[test]
fn records() {
    let db = db();
    let full = full_record(&db);
    check(&full);
    check(&full.updated_at);
    check(&full.bucket);
    check_form(&Flattened { id: 1, rest: full.clone() });
    check_form(&Tagged::Newtype(full));
    check(&read(&db, &create(&db, json!({}))));
    check(&Bucket::from(parse(BUCKET).unwrap()));
    check(&db.by_class("puck.uno/record").unwrap());
    check(&Records::default());
}

#[test]
fn a_record_in_json_is_the_one_of_the_specification() {
    let record = full_record(&db());
    assert_eq!(
        serde_json::to_string(&record).unwrap(),
        format!(
            concat!(
                r#"{{"pk":"{}","bucket":{},"#,
                r#""stack":{{"shadow":{{}},"a":{{"class":"foo.com/a"}},"b":{{"class":"foo.com/b"}}}},"#,
                r#""custom_classes":{{"m":"foo.com/m"}},"vibecode":null,"comment":"c","misc":[1.0],"#,
                r#""corporate":{{}},"created_at":"{}","updated_at":"{}"}}"#
            ),
            record.pk,
            // `serde_json` writes a positive exponent with its sign.
            BUCKET.replace("1e308", "1e+308"),
            record.created_at,
            record.updated_at
        )
    );
}

#[test]
fn responses_and_answers() {
    let db = db();
    let pk = full_record(&db).pk;
    db.import_schema(json!({"classes": {"a.b/c": {"fields": {"k": {"unique": true}, "n": {}}}}})).unwrap();
    // `serde_json` gives a meaning to objects with this key, which those of a caller must not get.
    let values = json!([{"$serde_json::private::RawValue": "5"}, u64::MAX, -0.0, null]);
    let edits = json!([{"path": ["values"], "set": values}, {"path": ["values"], "test": values},
               {"path": ["n"], "increment": 1}]);
    let upsert = json!({"action": "upsert", "class": "a.b/c", "key": {"k": 1}});
    let upsert_with_edits = json!({"action": "upsert", "class": "a.b/c", "key": {"k": 1},
                       "edits": [{"path": ["n"], "set": values}, {"path": ["n"], "test": values}]});
    let claim = json!({"action": "claim", "select": {"class": "a.b/c"}, "lease": 60});
    // All kinds of results, and from the eleventh request on an answer with warnings and errors. Of the
    // claims the first finds no record, the second one claims the only one, and the third finds none that is
    // free.
    let queries = vec![
        claim.clone(),
        json!({"action": "edit", "pk": pk, "edits": edits}),
        json!({"action": "patch", "pk": pk, "bucket": {"values": null}}),
        json!({"action": "edit", "where": {"pk": [pk, "nobody"]}, "edits": edits}),
        json!({"action": "patch", "where": {"pk": "nobody"}, "bucket": {}}),
        upsert.clone(),
        upsert,
        upsert_with_edits,
        claim.clone(),
        claim,
        json!({"action": "select", "class": "foo.com/a", "classes": "foo.com/b"}),
        json!({"action": "select", "pk": []}),
        json!({"action": "update", "pk": pk, "bucket": {}}),
        json!({"action": "delete", "pk": "nobody"}),
        json!({"action": "delete", "pk": "nobody", "if_exists": true}),
        json!({"action": "delete", "pk": pk}),
        json!({"action": "select", "limit": u64::MAX, "path": [-1, 1.5, 1], "x": 1}),
    ];
    let answers = db.batch(queries, false).unwrap();
    assert!(answers[..10].iter().all(Result::is_ok), "{answers:?}");
    check(&answers);
    check(&Answers::default());
    for answer in answers {
        match answer {
            Ok(response) => check(&response),
            Err(error) => check(&error),
        }
    }
}

#[test]
fn answers_in_json_are_those_of_the_specification() {
    let db = db();
    let pk = create(&db, json!({}));
    let answer = |request| serde_json::to_value(ResponseEnvelope(&db.q0(request))).unwrap();
    let record = serde_json::to_value(read(&db, &pk)).unwrap();
    assert_eq!(
        answer(json!({"action": "select"})),
        json!({"success": true, "results": [record], "count": 1})
    );
    assert_eq!(
        answer(json!({"action": "delete", "pk": pk})),
        json!({"success": true, "results": {"pk": pk, "deleted": true}})
    );
    let failed = answer(json!({"action": "delete", "pk": pk}));
    assert_eq!(failed["errors"][0]["id"], "record_deleted");
    assert_eq!(failed["success"], false);
    let warned = answer(json!({"action": "select", "class": "foo.com/a", "classes": []}));
    assert_eq!(warned["warnings"][0]["id"], "redundant_fields");
}

#[test]
fn errors_properties_and_validations() {
    let db = db();
    check(&Error::new(ErrorId::CONFLICT, "m").with("n", json!([u64::MAX, i64::MIN, -0.0, null, {"k": 1.0}])));
    check(&db.properties().unwrap());
    check(
        &db.validate(json!({"action": "select", "class": "foo.com/a", "classes": [], "limit": -1})).unwrap(),
    );
    check(&db.validate(json!({"action": "select"})).unwrap());
    assert!(serde_json::from_value::<Error>(json!([])).is_err(), "an error has at least one item");
}

#[test]
fn a_malformed_response_is_refused() {
    for text in [
        "{}",
        "null",
        r#"{"success": true}"#,
        r#"{"success": true, "results": {}}"#,
        r#"{"success": true, "results": {"count": -1, "pks": []}}"#,
        r#"{"success": false}"#,
        r#"{"success": true, "results": [{"pk": 1}]}"#,
        r#"{"success": false, "errors": [{"id": "x"}]}"#,
    ] {
        assert!(serde_json::from_str::<Response>(text).is_err(), "{text}");
    }
}
