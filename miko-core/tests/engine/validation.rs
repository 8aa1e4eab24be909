//! The rules of field definitions, each with valid and invalid values.

use serde_json::{Value, json};

use crate::class_support::{create, db, define, rules_broken};

/// A field definition with valid values, and invalid values with the violated rules.
struct Case {
    field: Value,
    good: Vec<Value>,
    bad: Vec<(Value, &'static str)>,
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            field: json!({}),
            good: vec![json!(1), json!("x"), json!([]), json!({"a": null})],
            bad: vec![],
        },
        Case {
            field: json!({"class": "string", "min_length": 2, "max_length": 3}),
            good: vec![json!("ab"), json!("äöü"), json!(null)],
            bad: vec![(json!("a"), "min_length"), (json!("äöüß"), "max_length"), (json!(12), "class")],
        },
        Case {
            field: json!({"class": "string", "one_of": ["Ensign", "Captain"]}),
            good: vec![json!("Captain")],
            bad: vec![(json!("captain"), "one_of"), (json!(" Captain"), "one_of")],
        },
        Case {
            field: json!({"class": "number", "enum": [1, 2.5]}),
            good: vec![json!(1), json!(1.0), json!(2.5)],
            bad: vec![(json!(2), "one_of")],
        },
        Case {
            field: json!({"class": "string", "pattern": "^NCC-[0-9]+$"}),
            good: vec![json!("NCC-1701")],
            bad: vec![(json!("NCC-1701-D"), "pattern")],
        },
        Case {
            field: json!({"class": "string", "format": "uuid"}),
            good: vec![json!("92677339-df86-4f68-9397-999e40cf2c40")],
            bad: vec![
                (json!("92677339df864f689397999e40cf2c40"), "format"),
                (json!("92677339-df86-4f68-9397-999e40cf2c4"), "format"),
            ],
        },
        Case {
            field: json!({"class": "string", "format": "identifier"}),
            good: vec![json!("warp_9"), json!("_")],
            bad: vec![(json!("9warp"), "format"), (json!(""), "format"), (json!("a-b"), "format")],
        },
        Case {
            field: json!({"class": "string", "format": "email"}),
            good: vec![json!("spock@vulcan.org"), json!("a.b+c@d.e.org")],
            bad: vec![
                (json!("spock"), "format"),
                (json!("spock@"), "format"),
                (json!("@vulcan.org"), "format"),
            ],
        },
        Case {
            field: json!({"class": "string", "format": "date"}),
            good: vec![json!("2364-02-28"), json!("2024-02-29")],
            bad: vec![
                (json!("2023-02-29"), "format"),
                (json!("2364-2-8"), "format"),
                (json!("20240229"), "format"),
            ],
        },
        Case {
            field: json!({"class": "number", "min": 0, "lt": 10}),
            good: vec![json!(0), json!(-0.0), json!(9.999)],
            bad: vec![(json!(-1), "min"), (json!(10), "lt"), (json!("5"), "class"), (json!(true), "class")],
        },
        Case {
            field: json!({"class": "number", "gt": 9007199254740992_i64, "lte": u64::MAX}),
            good: vec![json!(9007199254740993_i64), json!(u64::MAX)],
            bad: vec![(json!(9007199254740992.0), "gt"), (json!(1e20), "max")],
        },
        Case {
            field: json!({"class": "number", "integer_only": true}),
            good: vec![json!(6), json!(-9.0), json!(u64::MAX)],
            bad: vec![(json!(1.5), "integer_only")],
        },
        Case {
            field: json!({"class": "number", "multiple_of": 3}),
            good: vec![json!(6), json!(-9.0)],
            bad: vec![(json!(7), "multiple_of")],
        },
        Case {
            field: json!({"class": "number", "multiple_of": 0.1}),
            good: vec![json!(0.3), json!(7)],
            bad: vec![(json!(0.35), "multiple_of")],
        },
        Case {
            field: json!({"class": "boolean"}),
            good: vec![json!(true), json!(false)],
            bad: vec![(json!(0), "class"), (json!("true"), "class")],
        },
        Case {
            field: json!({"class": "url"}),
            good: vec![json!("https://starfleet.com/academy?year=1#top"), json!("ftp://x.org")],
            bad: vec![(json!("starfleet.com"), "url"), (json!("https://a b"), "url"), (json!(1), "class")],
        },
        Case {
            field: json!({"class": "timestamp"}),
            good: vec![json!("2364-01-01T00:00:00Z"), json!("2024-02-29T23:59:59.5+02:00")],
            bad: vec![
                (json!("2364-01-01T00:00:00"), "timestamp"),
                (json!("2364-01-01 00:00:00Z"), "timestamp"),
                (json!("2023-02-29T00:00:00Z"), "timestamp"),
                (json!("2364-01-01"), "timestamp"),
            ],
        },
        Case {
            field: json!({
                "class": "array", "of": {"class": "string", "min_length": 1}, "min_elements": 1,
                "max_elements": 2,
            }),
            good: vec![json!(["a"]), json!(["a", "b"]), json!(null)],
            bad: vec![
                (json!([]), "min_elements"),
                (json!(["a", "b", "c"]), "max_elements"),
                (json!([""]), "min_length"),
                (json!("a"), "class"),
            ],
        },
        Case {
            field: json!({"class": "array", "items": "number"}),
            good: vec![json!([1, 2.5])],
            bad: vec![(json!([1, "2"]), "class")],
        },
        Case {
            field: json!({"class": "hash", "of": "string", "default": {"max_length": 3},
                          "fields": {"surname": {"required": true}, "given": {"max_length": 5}}}),
            good: vec![
                json!({"surname": "abc"}),
                json!({"surname": "abc", "given": "abcde", "other": "long enough"}),
            ],
            bad: vec![
                (json!({}), "required"),
                (json!({"surname": null}), "required"),
                (json!({"surname": "abcd"}), "max_length"),
                (json!({"surname": "abc", "given": "abcdef"}), "max_length"),
                (json!({"surname": "abc", "other": 5}), "class"),
                (json!([]), "class"),
            ],
        },
        Case {
            field: json!({"class": "array", "of": {"class": "number", "required": true}}),
            good: vec![json!([]), json!([1])],
            bad: vec![(json!([null]), "required"), (json!([1, null, 2]), "required")],
        },
        Case {
            field: json!({"class": "array", "of": {"required": true}}),
            good: vec![json!([[], {}, 0, false])],
            bad: vec![(json!([null]), "required")],
        },
        Case {
            field: json!({"class": "hash", "of": {"required": true}}),
            good: vec![json!({}), json!({"k": 1})],
            bad: vec![(json!({"k": null}), "required")],
        },
        Case {
            field: json!({"class": "hash", "of": {"class": "array", "of": {"required": true}}}),
            good: vec![json!({"k": null}), json!({"k": [1]})],
            bad: vec![(json!({"k": [null]}), "required")],
        },
        Case {
            // Too many values to compare with each.
            field: json!({
                "one_of": (0..100).map(Value::from).chain([json!("a"), json!([1])]).collect::<Vec<_>>(),
            }),
            good: vec![json!(99), json!(7.0), json!("a"), json!([1.0]), json!(null)],
            bad: vec![
                (json!(100), "one_of"),
                (json!(7.5), "one_of"),
                (json!("7"), "one_of"),
                (json!("b"), "one_of"),
                (json!([2]), "one_of"),
            ],
        },
        Case {
            field: json!({"class": "function"}),
            good: vec![json!({"body": "return 1"}), json!("x => x")],
            bad: vec![],
        },
        Case {
            field: json!({"class": "puck.uno/dbfile"}),
            // The existence of the file is checked only if there are no other faults.
            good: vec![],
            bad: vec![
                (json!(5), "class"),
                (json!({"pk": 5}), "class"),
                (json!({"pk": "a", "b": 1}), "class"),
            ],
        },
        Case {
            field: json!({"required": true}),
            good: vec![json!(0), json!(""), json!(false)],
            bad: vec![(json!(null), "required")],
        },
    ]
}

#[test]
fn every_rule_accepts_values_that_satisfy_it_and_refuses_others() {
    for case in cases() {
        let db = db();
        define(&db, json!({"name": "a.b/c", "fields": {"f": case.field}})).unwrap();
        for value in case.good {
            let created = create(&db, "a.b/c", json!({"f": value}));
            assert!(created.is_ok(), "{} accepts {value}: {created:?}", case.field);
        }
        for (value, rule) in case.bad {
            let error = create(&db, "a.b/c", json!({"f": value})).unwrap_err();
            assert_eq!(rules_broken(&error), [rule], "{} refuses {value}: {error}", case.field);
        }
    }
}

#[test]
fn all_faults_of_a_record_are_reported_with_their_places() {
    let db = db();
    define(
        &db,
        json!({"name": "a.b/officer", "fields": {
            "name": {"class": "hash", "fields": {"sur/name": {"class": "string", "required": true}}},
            "rank": {"class": "string", "one_of": ["Ensign"]},
            "medals": {"class": "array", "of": "string"},
        }}),
    )
    .unwrap();
    let bucket = json!({"rank": "Captain", "name": {}, "medals": ["x", 5, true], "age": 3});
    let error = create(&db, "a.b/officer", bucket).unwrap_err();
    let places: Vec<&str> =
        error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
    assert_eq!(places, ["/bucket/name/sur~1name", "/bucket/rank", "/bucket/medals/1", "/bucket/medals/2"]);
    assert_eq!(
        error.items()[1].to_string(),
        concat!(
            "validation-failed: this value is not one of those that are allowed ",
            r#"(class: "a.b/officer", field: "rank", pointer: "/bucket/rank", rule: "one_of", "#,
            r#"allowed: ["Ensign"], found: "Captain")"#
        )
    );
    assert_eq!(db.by_class("a.b/officer").count(), 0);
}

#[test]
fn buckets_are_normalized_when_they_are_written() {
    let db = db();
    define(
        &db,
        json!({"name": "a.b/officer", "fields": {
            "name": {"class": "string", "collapse": true, "required": true, "min_length": 1},
            "active": {"class": "boolean", "default": true},
            "home": {"class": "hash", "instantiate": true, "fields": {"planet": {"default": "Earth"}}},
            "ship": {},
        }}),
    )
    .unwrap();
    let pk =
        create(&db, "a.b/officer", json!({"pet": "Spot", "ship": null, "name": " Data \t Soong\n"})).unwrap();
    // `default` on a sub-field of a hash is a value, as on any field; unknown fields keep their order.
    assert_eq!(
        db.bucket(&pk),
        r#"{"name":"Data Soong","active":true,"home":{"planet":"Earth"},"ship":null,"pet":"Spot"}"#
    );
    db.update(&pk, json!({"pet": "Spot", "name": "  Data"})).unwrap();
    assert_eq!(db.bucket(&pk), r#"{"name":"Data","pet":"Spot"}"#, "an update has no defaults");
    let error = db.update(&pk, json!({"name": " \t "})).unwrap_err();
    assert_eq!(
        rules_broken(&error),
        ["min_length"],
        "white space is collapsed before the value is validated"
    );
}

#[test]
fn an_embedded_object_is_checked_by_its_class_and_a_string_is_a_reference() {
    let db = db();
    define(&db, json!({"name": "a.b/engine", "fields": {"warp": {"class": "number", "required": true}}}))
        .unwrap();
    define(
        &db,
        json!({
            "name": "a.b/ship", "fields": {"engine": {"class": "a.b/engine"}, "captain": {"class": "x.y/z"}},
        }),
    )
    .unwrap();
    create(&db, "a.b/ship", json!({"engine": {"warp": 9}, "captain": {"anything": 1}})).unwrap();
    let error = create(&db, "a.b/ship", json!({"engine": {"warp": "9"}})).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/bucket/engine/warp");
    assert_eq!(error.items()[0].details["class"], "a.b/engine");
    let engine = create(&db, "a.b/engine", json!({"warp": 5})).unwrap();
    create(&db, "a.b/ship", json!({"engine": engine})).unwrap();
    let error = create(&db, "a.b/ship", json!({"engine": "no-such-pk"})).unwrap_err();
    assert!(error.is(miko_core::ErrorId::REFERENCE_NOT_FOUND), "{error}");
}
