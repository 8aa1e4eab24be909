//! Class definitions: their form, the effect of changing them, and selects by class.

use miko_core::ErrorId;
use serde_json::{Map, Value, json};

use crate::class_support::{Db, create, db, define, rules_broken};

#[test]
fn a_definition_that_is_not_well_formed_is_refused_with_every_fault() {
    let cases = [
        (json!({}), vec!["/bucket/name"]),
        (json!({"name": 5}), vec!["/bucket/name"]),
        (
            json!({"name": "officer", "inherits": [7, "x"]}),
            vec!["/bucket/name", "/bucket/inherits", "/bucket/inherits"],
        ),
        (
            json!({
                "name": "a.b/c",
                "fields": {
                    "x": 5, "y": {"class": "strin", "required": "yes"}, "z": {"class": "string", "min": 1},
                },
            }),
            vec![
                "/bucket/fields/x",
                "/bucket/fields/y/class",
                "/bucket/fields/y/required",
                "/bucket/fields/z/min",
            ],
        ),
        (
            json!({
                "name": "a.b/c",
                "fields": {"s": {
                    "class": "string", "pattern": "(", "format": "zip", "min_length": 5, "max_length": 4,
                }},
            }),
            vec!["/bucket/fields/s/format", "/bucket/fields/s/pattern", "/bucket/fields/s"],
        ),
        (
            json!({
                "name": "a.b/c",
                "fields": {"n": {"class": "number", "min": 1, "gte": 2, "multiple_of": 0, "max": "3"}},
            }),
            vec!["/bucket/fields/n/multiple_of", "/bucket/fields/n/gte", "/bucket/fields/n/max"],
        ),
        (
            json!({
                "name": "a.b/c",
                "fields": {"r": {"class": "puck.uno/reference", "target": "x", "on_delete": "cascade"}},
            }),
            vec!["/bucket/fields/r/target", "/bucket/fields/r/on_delete"],
        ),
        (
            json!({
                "name": "a.b/c",
                "fields": {"h": {
                    "class": "hash", "default": 5,
                    "fields": {"i": {"class": "array", "of": {"class": "nope"}}},
                }},
            }),
            vec!["/bucket/fields/h/default", "/bucket/fields/h/fields/i/of/class"],
        ),
        (
            json!({"name": "a.b/c", "uniques": ["a"], "join": "b", "fields": []}),
            vec!["/bucket/fields", "/bucket/uniques", "/bucket/join"],
        ),
    ];
    for (definition, places) in cases {
        let error = define(&db(), definition.clone()).unwrap_err();
        assert!(error.is(ErrorId::VALIDATION_FAILED), "{error}");
        let found: Vec<&str> =
            error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
        assert_eq!(found, places, "{definition}\n{error:?}");
    }
}

/// Settings of a hash apply to each of its sub-fields. Their faults are at the hash, once. A fault that the
/// settings of a sub-field have together with inherited ones is at the sub-field.
#[test]
fn faults_of_a_definition_are_at_places_that_it_has() {
    let hash = |settings: Value| {
        let mut field = json!({"class": "hash", "fields": {"a": {}, "b": {}}});
        field.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        field
    };
    let empty_range = json!({"class": "number", "min": 5, "max": 1});
    let cases = [
        (json!({"class": "array", "of": empty_range}), vec!["/of"]),
        (json!({"class": "array", "items": empty_range}), vec!["/items"]),
        (json!({"class": "array", "items": {"class": "array", "of": empty_range}}), vec!["/items/of"]),
        (json!({"class": "array", "of": "strng"}), vec!["/of"]),
        (json!({"class": "array", "of": {"class": "strng"}}), vec!["/of/class"]),
        (hash(json!({"of": "strng"})), vec!["/of"]),
        (hash(json!({"items": {"class": "string", "format": "zip"}})), vec!["/items/format"]),
        (hash(json!({"default": {"class": "string", "format": "zip"}})), vec!["/default/format"]),
        (hash(json!({"of": {"class": "number", "collapse": true}})), vec!["/of/collapse"]),
        (hash(json!({"of": "string", "items": "string"})), vec!["/items"]),
        (
            hash(json!({"default": {"class": "hash", "fields": {"x": {"class": "strng"}}}})),
            vec!["/default/fields/x/class"],
        ),
        (hash(json!({"default": empty_range})), vec!["/fields/a", "/fields/b"]),
        (hash(json!({"default": {"class": "array", "of": empty_range}})), vec!["/fields/a", "/fields/b"]),
        (hash(json!({"default": {"class": "number", "default": "x"}})), vec!["/fields/a", "/fields/b"]),
        (
            hash(json!({"of": "string", "fields": {"a": {"class": "number"}, "b": {"min": 1}}})),
            vec!["/fields/b/min"],
        ),
        (
            hash(json!({"default": {"collapse": true}, "fields": {"a": {"class": "number"}}})),
            vec!["/fields/a"],
        ),
        (
            hash(json!({"default": {"min_length": 2}, "of": "string", "fields": {"a": {"max_length": 1}}})),
            vec!["/fields/a"],
        ),
    ];
    for (field, places) in cases {
        let definition = json!({"name": "a.b/c", "fields": {"f": field}});
        let error = define(&db(), definition.clone()).unwrap_err();
        let found: Vec<&str> =
            error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
        let places: Vec<String> = places.iter().map(|place| format!("/bucket/fields/f{place}")).collect();
        assert_eq!(found, places, "{field}\n{error:?}");
        let request = json!({"bucket": definition});
        assert!(places.iter().all(|place| request.pointer(place).is_some()), "{field}\n{error:?}");
    }
}

#[test]
fn faults_of_a_definition_name_the_keys_that_it_has() {
    for (field, message) in [
        (json!({"class": "number", "gte": 5, "lte": 1}), "no number satisfies both `gte` and `lte`"),
        (json!({"class": "number", "gt": 5, "lte": 5}), "no number satisfies both `gt` and `lte`"),
        (json!({"enum": []}), "`enum` is empty: no value is allowed"),
        (
            json!({"class": "number", "enum": ["x"]}),
            "no value of `enum` satisfies the other rules of the field",
        ),
    ] {
        let error = define(&db(), json!({"name": "a.b/c", "fields": {"f": field}})).unwrap_err();
        let messages: Vec<&str> = error.items().iter().map(|item| item.message()).collect();
        assert_eq!(messages, [message], "{field}");
    }
}

/// A hash whose sub-fields are such hashes again: each level multiplies the number of fields.
#[test]
fn a_definition_whose_sub_fields_inherit_without_end_is_refused() {
    let nested = |depth: usize, key: &str, fields: Value| {
        (0..depth).fold(json!({}), |inner, _| json!({"class": "hash", "fields": fields, key: inner}))
    };
    let (one, two) = (json!({"a": {}}), json!({"a": {}, "b": {}}));
    for (key, fields) in [("of", one), ("default", two)] {
        let definition =
            |depth| json!({"name": "a.b/c", "fields": {"x": nested(depth, key, fields.clone())}});
        define(&db(), definition(8)).unwrap();
        let error = define(&db(), definition(40)).unwrap_err();
        assert_eq!(rules_broken(&error), ["fields"], "{key}: {error}");
    }
    let values: Vec<String> = (0..100).map(|number| format!("value {number}")).collect();
    let fields: Map<String, Value> = (0..100).map(|number| (format!("f{number}"), json!({}))).collect();
    let many = json!({"class": "hash", "of": {"class": "string", "one_of": values}, "fields": fields});
    define(&db(), json!({"name": "a.b/c", "fields": {"x": many}})).unwrap();
}

#[test]
fn a_definition_that_no_value_satisfies_is_refused_with_the_contradictory_rule() {
    let definition_of = |field: Value| json!({"name": "a.b/c", "fields": {"f": field}});
    let number = |rules: Value| {
        let mut field = json!({"class": "number"});
        field.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        field
    };
    // `gte` and `lte` are other spellings of `min` and `max`, `enum` of `one_of`. The first one is reported.
    let refused = [
        (number(json!({"min": 2, "max": 1})), "min"),
        (number(json!({"gt": 1, "lt": 1})), "gt"),
        (number(json!({"gte": 1, "lt": 1.0})), "min"),
        (number(json!({"gt": 1, "lte": 1})), "gt"),
        (number(json!({"min": 1.25, "max": 1.75, "integer_only": true})), "integer_only"),
        (number(json!({"gt": 1, "lt": 2, "integer_only": true})), "integer_only"),
        (number(json!({"gt": u64::MAX - 1, "lt": u64::MAX, "integer_only": true})), "integer_only"),
        (number(json!({"min": 1, "max": 6, "multiple_of": 7})), "multiple_of"),
        (number(json!({"one_of": []})), "one_of"),
        (json!({"enum": []}), "one_of"),
        (number(json!({"one_of": ["x", 1.5], "integer_only": true})), "one_of"),
        (json!({"class": "string", "one_of": ["abc"], "max_length": 2}), "one_of"),
        (json!({"class": "string", "one_of": ["a  b"], "collapse": true}), "one_of"),
        (json!({"class": "string", "one_of": (0..100).collect::<Vec<_>>()}), "one_of"),
        (number(json!({"default": "x"})), "default"),
        (number(json!({"default": 5, "max": 4})), "default"),
        (json!({"class": "string", "default": "x", "one_of": ["y"]}), "default"),
        (json!({"class": "string", "default": "x", "pattern": "^y"}), "default"),
        (json!({"class": "array", "default": [null], "of": {"required": true}}), "default"),
        (json!({"class": "string", "min_length": 2, "max_length": 1}), "min_length"),
        (json!({"class": "array", "min_elements": 2, "max_elements": 1}), "min_elements"),
        (json!({"class": "hash", "min_elements": 2, "max_elements": 1}), "min_elements"),
        (json!({"required": true, "default": null}), "default"),
        (json!({"class": "array", "of": {"class": "number", "min": 2, "max": 1}}), "min"),
        (json!({"class": "hash", "fields": {"g": {"class": "number", "min": 2, "max": 1}}}), "min"),
        (
            json!({
                "class": "hash", "max_elements": 1,
                "fields": {"a": {"required": true}, "b": {"required": true}},
            }),
            "max_elements",
        ),
        // An index has no entries for elements.
        (json!({"class": "array", "of": {"class": "string", "unique": true}}), "unique"),
        (json!({"class": "hash", "items": {"class": "string", "index": true}}), "index"),
        (json!({"class": "array", "of": {"class": "hash", "fields": {"a": {"unique": true}}}}), "unique"),
        (json!({"class": "array", "of": {"class": "hash", "of": {"index": true}, "fields": {}}}), "index"),
    ];
    for (field, rule) in refused {
        let error = define(&db(), definition_of(field.clone())).unwrap_err();
        assert_eq!(rules_broken(&error), [rule], "{field}: {error}");
        let schema = json!({"classes": {"a.b/c": definition_of(field.clone())}});
        let error = db().0.import_schema(schema.clone()).unwrap_err();
        assert_eq!(rules_broken(&error), [rule], "{field}: {error}");
        let trusted = db().0.read_worldlet(&mut schema.to_string().as_bytes(), true).unwrap();
        let warned: Vec<_> = trusted.warnings.iter().map(|warning| &warning.details["rule"]).collect();
        assert_eq!(warned, [rule], "{field}");
    }
    let accepted = [
        number(json!({"min": 1, "max": 1.0})),
        number(json!({"gt": 1, "lt": 2})),
        number(json!({"gt": 1, "lt": 3, "integer_only": true})),
        number(json!({"min": 1e300, "max": 1e301, "integer_only": true, "multiple_of": 3})),
        number(json!({"min": 1e299, "lt": 1e300, "integer_only": true, "default": 5e299})),
        number(json!({"gt": -1e300, "max": -1e299, "integer_only": true})),
        number(json!({"min": 1, "max": 7, "multiple_of": 7, "default": 7.0})),
        // A float is a multiple by its decimal digits.
        number(json!({"min": 1e23, "max": 1e23, "multiple_of": 10, "default": 1e23})),
        number(json!({"min": 1_u64 << 63, "max": 1_u64 << 63, "multiple_of": 10, "default": 2_f64.powi(63)})),
        number(json!({"min": -7, "max": -1, "multiple_of": 7})),
        json!({"class": "string", "default": "  a ", "collapse": true, "max_length": 1}),
        json!({"class": "number", "one_of": [1, "x"]}),
        json!({"class": "string", "one_of": ["a  b", "a b"], "collapse": true}),
        json!({"class": "hash", "of": {"class": "string", "index": true}, "fields": {"a": {}}}),
        json!({"default": null}),
        json!({"class": "a.b/c", "default": {"f": 1}}),
    ];
    for field in accepted {
        define(&db(), definition_of(field.clone())).unwrap_or_else(|error| panic!("{field}: {error}"));
    }
}

#[test]
fn a_reference_may_have_targets_of_allowed_class_and_of_allowed_classes() {
    let db = db();
    let field =
        json!({"class": "puck.uno/reference", "allowed_class": "a.b/one", "allowed_classes": ["a.b/two"]});
    define(&db, json!({"name": "a.b/c", "fields": {"f": field}})).unwrap();
    for (class, is_allowed) in [("a.b/one", true), ("a.b/two", true), ("a.b/three", false)] {
        let target = create(&db, class, json!({})).unwrap();
        assert_eq!(create(&db, "a.b/c", json!({"f": target})).is_ok(), is_allowed, "{class}");
    }
}

#[test]
fn unknown_keys_are_kept_and_names_lose_their_protocol() {
    let db = db();
    let definition = json!({
        "name": "https://a.b/c",
        "inherits": "https://puck.uno/record",
        "fields": {"r": {"class": "https://puck.uno/reference", "target": ["https://a.b/c"], "colour": "red"},
                   "l": {"class": "array", "of": "https://x.y/z"},
                   "h": {"class": "hash", "default": {"class": "http://x.y/z"}, "fields": {}},
                   "o": {"class": "a.b/o", "default": {"class": "https://x.y/z"}}},
        "methods": {"salute": {"body": "…"}},
        "motto": [1, 2],
    });
    let pk = define(&db, definition).unwrap();
    assert_eq!(
        db.bucket(&pk),
        concat!(
            r#"{"name":"a.b/c","inherits":"puck.uno/record","fields":{"#,
            r#""r":{"class":"puck.uno/reference","target":["a.b/c"],"colour":"red"},"#,
            r#""l":{"class":"array","of":"x.y/z"},"#,
            r#""h":{"class":"hash","default":{"class":"x.y/z"},"fields":{}},"#,
            r#""o":{"class":"a.b/o","default":{"class":"https://x.y/z"}}},"#,
            r#""methods":{"salute":{"body":"…"}},"motto":[1,2]}"#
        )
    );
}

/// Definitions that are stored as they came have the protocol still.
#[test]
fn each_spelling_of_a_hash_has_the_same_rules_however_it_is_defined() {
    for hash in ["hash", "puck.uno/hash", "https://puck.uno/hash", "http://puck.uno/hash"] {
        let field = json!({"class": hash, "fields": {"x": {"required": true}}});
        let outer = json!({"class": "hash", "default": field, "fields": {"inner": {}}});
        let definition = json!({"name": "a.b/c", "fields": {"h": field, "o": outer}});
        let ways: [fn(&Db, &Value); 4] = [
            |db, definition| drop(define(db, definition.clone()).unwrap()),
            |db, definition| {
                drop(db.0.import_schema(json!({"classes": {"a.b/c": definition}})).unwrap());
            },
            |db, definition| import(db, json!({"classes": {"a.b/c": definition}})),
            |db, definition| {
                let mut record = definition.clone();
                record["class"] = json!("puck.uno/class");
                import(db, json!({"records": {"d": record}}));
            },
        ];
        for (way, define) in ways.iter().enumerate() {
            let db = db();
            define(&db, &definition);
            create(&db, "a.b/c", json!({"h": {"x": 1}, "o": {"inner": {"x": 1}}})).unwrap();
            for (bucket, rule) in [
                (json!({"h": {}}), "required"),
                (json!({"h": "text"}), "class"),
                (json!({"o": {"inner": {}}}), "required"),
                (json!({"o": {"inner": "text"}}), "class"),
            ] {
                let error = create(&db, "a.b/c", bucket.clone()).unwrap_err();
                assert_eq!(rules_broken(&error), [rule], "{hash}, way {way}, {bucket}: {error}");
            }
        }
    }
}

fn import(db: &Db, worldlet: Value) {
    db.0.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap();
}

#[test]
fn a_class_has_one_definition() {
    let db = db();
    let pk = define(&db, json!({"name": "a.b/c"})).unwrap();
    let error = define(&db, json!({"name": "a.b/c", "fields": {}})).unwrap_err();
    assert!(error.is(ErrorId::DUPLICATE_CLASS), "{error}");
    assert_eq!(error.items()[0].details["other"], pk);
    let error = define(&db, json!({"name": "puck.uno/record"})).unwrap_err();
    assert!(error.is(ErrorId::DUPLICATE_CLASS), "{error}");
    db.delete(&pk).unwrap();
    define(&db, json!({"name": "a.b/c"})).unwrap();
}

#[test]
fn a_redefinition_holds_from_the_next_write_on() {
    let db = db();
    let definition = define(&db, json!({"name": "a.b/c", "fields": {"n": {"class": "number"}}})).unwrap();
    let record = create(&db, "a.b/c", json!({"n": 1})).unwrap();
    db.update(&definition, json!({"name": "a.b/c", "fields": {"n": {"class": "string"}}})).unwrap();
    assert_eq!(db.bucket(&record), r#"{"n":1}"#, "a stored record does not change");
    assert_eq!(rules_broken(&db.update(&record, json!({"n": 2})).unwrap_err()), ["class"]);
    create(&db, "a.b/c", json!({"n": "2"})).unwrap();
    db.delete(&definition).unwrap();
    db.update(&record, json!({"n": [3]})).unwrap();
}

#[test]
fn a_class_with_subclasses_cannot_be_deleted() {
    let db = db();
    let parent = define(&db, json!({"name": "a.b/parent"})).unwrap();
    let child = define(&db, json!({"name": "a.b/child", "inherits": "a.b/parent"})).unwrap();
    let error = db.delete(&parent).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    assert_eq!(error.items()[0].details["inherited_by"], json!(["a.b/child"]));
    let error = db.update(&parent, json!({"name": "a.b/renamed"})).unwrap_err();
    assert!(error.is(ErrorId::REFERENCE_RESTRICTED), "{error}");
    let error = db.update(&parent, json!({"name": "a.b/parent", "inherits": "a.b/child"})).unwrap_err();
    assert!(error.to_string().contains("inherits from itself"), "{error}");
    db.delete(&child).unwrap();
    db.delete(&parent).unwrap();
    let error = define(&db, json!({"name": "a.b/child", "inherits": "a.b/parent"})).unwrap_err();
    assert!(error.is(ErrorId::CLASS_NOT_FOUND), "{error}");
}

#[test]
fn a_select_by_class_finds_its_subclasses() {
    let db = db();
    for definition in [
        json!({"name": "a.b/person"}),
        json!({"name": "a.b/officer", "inherits": ["a.b/person"]}),
        json!({"name": "a.b/captain", "inherits": ["a.b/officer"]}),
    ] {
        define(&db, definition).unwrap();
    }
    let created: Vec<String> = ["a.b/captain", "a.b/person", "a.b/officer", "a.b/other"]
        .map(|class| create(&db, class, json!({})).unwrap())
        .into();
    let found =
        |class: &str| -> Vec<String> { db.by_class(class).into_iter().map(|record| record.pk).collect() };
    assert_eq!(found("a.b/person"), created[..3]);
    assert_eq!(found("a.b/officer"), [created[0].clone(), created[2].clone()]);
    assert_eq!(found("a.b/captain"), created[..1]);
    assert_eq!(found("a.b/other"), created[3..]);
    // A change of inheritance changes the result.
    let officer = db.by_path("puck.uno/class", json!(["name", "a.b/officer"]));
    db.update(&officer[0], json!({"name": "a.b/officer"})).unwrap();
    assert_eq!(found("a.b/person"), created[1..2]);
}

#[test]
fn an_abstract_class_has_records_of_subclasses_only() {
    let db = db();
    define(&db, json!({"name": "a.b/being", "abstract": true, "fields": {"age": {"class": "number"}}}))
        .unwrap();
    define(&db, json!({"name": "a.b/human", "inherits": "a.b/being"})).unwrap();
    create(&db, "a.b/human", json!({"age": 5})).unwrap();
    let error = create(&db, "a.b/being", json!({"age": "x"})).unwrap_err();
    assert_eq!(rules_broken(&error), ["abstract", "class"]);
}

#[test]
fn a_failed_definition_in_a_batch_leaves_the_classes_as_they_were() {
    let db = db();
    let class =
        |definition: Value| json!({"action": "create", "class": "puck.uno/class", "bucket": definition});
    let error = db
        .batch(vec![
            class(json!({"name": "a.b/c", "fields": {"n": {"class": "number"}}})),
            json!({"action": "create", "class": "a.b/c", "bucket": {"n": "x"}}),
        ])
        .unwrap_err();
    assert_eq!(error.items()[0].details["request"], 1);
    create(&db, "a.b/c", json!({"n": "x"})).unwrap();
    db.batch(vec![
        class(json!({"name": "a.b/d", "fields": {"n": {"class": "number"}}})),
        json!({"action": "create", "class": "a.b/d", "bucket": {"n": 1}}),
    ])
    .unwrap();
    assert_eq!(rules_broken(&create(&db, "a.b/d", json!({"n": "x"})).unwrap_err()), ["class"]);
}

#[test]
fn a_contradiction_names_the_step_as_the_definition_has_it() {
    for (step, shown) in [(json!(1e300), "1e+300"), (json!(7), "7"), (json!(7.0), "7.0")] {
        let field = json!({"class": "number", "min": 1, "max": 6, "multiple_of": step});
        let error = define(&db(), json!({"name": "a.b/c", "fields": {"f": field}})).unwrap_err();
        let message = format!("there is no multiple of {shown} between the bounds");
        assert_eq!(error.items()[0].message(), message);
    }
}

#[test]
fn a_step_that_is_not_positive_is_one_fault() {
    for step in [json!(0), json!(-1), json!(-0.5)] {
        for rules in [json!({"gt": 1, "lt": 1.5}), json!({"default": 5}), json!({"one_of": [5]})] {
            let mut field = json!({"class": "number", "multiple_of": step});
            field.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
            let error = define(&db(), json!({"name": "a.b/c", "fields": {"f": field}})).unwrap_err();
            let messages: Vec<_> = error.items().iter().map(|item| item.message()).collect();
            assert_eq!(messages, ["`multiple_of` must be greater than 0"], "{step} {rules}");
        }
    }
}
