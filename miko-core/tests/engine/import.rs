//! Imports of worldlets: the round trip, and the faults, any of which refuses the whole import.

use miko_core::{Engine, Error, Imported, Result};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::class_support::{Db, create, db, define, non_temporal};
use crate::support::{cases, export, temporal_sqlite_in_memory};

fn import(db: &Db, worldlet: &str) -> Result<Imported> {
    db.0.read_worldlet(&mut worldlet.as_bytes(), false)
}

/// The places and messages of all faults.
fn faults(error: &Error) -> Vec<(String, String)> {
    let place = |details: &serde_json::Map<String, Value>| {
        details.get("pointer").map_or_else(String::new, |pointer| pointer.as_str().unwrap().to_owned())
    };
    error.items().iter().map(|item| (place(&item.details), item.message().to_owned())).collect()
}

fn starfleet() -> Db {
    starfleet_in(db())
}

fn starfleet_in(db: Db) -> Db {
    define(&db, json!({"name": "a.b/ship", "fields": {"name": {"unique": true, "class": "string"}}}))
        .unwrap();
    define(
        &db,
        json!({"name": "a.b/officer", "fields": {
            "name": {"class": "string", "collapse": true, "required": true},
            "ship": {"class": "puck.uno/reference", "target": "a.b/ship"},
            "rank": {"default": "Ensign", "index": true}}}),
    )
    .unwrap();
    let ship = create(&db, "a.b/ship", json!({"name": "Enterprise"})).unwrap();
    create(&db, "a.b/officer", json!({"name": "Data", "ship": ship, "cat": "Spot"})).unwrap();
    let gone = create(&db, "a.b/officer", json!({"name": "Yar"})).unwrap();
    db.run(json!({
        "action": "create", "bucket": {"n": u64::MAX, "f": 5e-324, "": "\u{0}🖖"},
        "comment": [1], "misc": null,
        "stack": {"shadow": {"s": 1}, "mine": {"class": "x.y/z", "sticky": true, "bucket": {"b": 2}}},
    }))
    .unwrap();
    db.delete(&gone).unwrap();
    db
}

#[test]
fn an_export_imports_to_the_same_bytes_and_works_as_before() {
    let original = starfleet();
    let worldlet = export(&original.0);
    let copy = db();
    assert!(import(&copy, &worldlet).unwrap().records >= 5);
    assert_eq!(export(&copy.0), worldlet);
    // Definitions, unique values, indexes and references are effective.
    assert!(create(&copy, "a.b/officer", json!({})).is_err());
    assert!(create(&copy, "a.b/ship", json!({"name": "Enterprise"})).is_err());
    assert_eq!(copy.by_path("a.b/officer", json!(["rank", "Ensign"])).len(), 1);
    // Importing it again overwrites each record with itself and adds no versions.
    import(&copy, &worldlet).unwrap();
    assert_eq!(export(&copy.0), worldlet);
}

#[test]
fn the_properties_of_a_worldlet_are_exported_again() {
    let worldlet = "{\"format\":\"worldlet/1.0\",\"properties\":{\"temporal\":false,\"executable\":true},\
                    \"meta\":{\"name\":\"Starfleet\",\"n\":1.0},\"comment\":null,\"misc\":[],\"records\":{}}";
    let db = non_temporal();
    import(&db, worldlet).unwrap();
    assert_eq!(export(&db.0), worldlet);
    assert!(db.0.properties().unwrap().executable);
}

#[test]
fn the_order_in_the_text_does_not_matter() {
    let worldlet = json!({
        "records": {
            "data": {"bucket": {"name": "Data", "ship": "enterprise"},
                     "stack": {"officer": {"class": "a.b/officer"}}},
            "officer": {"bucket": {"name": "a.b/officer", "inherits": "a.b/person",
                                   "fields": {"ship": {"class": "puck.uno/reference", "target": "a.b/ship"}}},
                        "stack": {"class": {"class": "puck.uno/class"}}},
            "person": {"bucket": {"name": "a.b/person", "fields": {"name": {"class": "string"}}},
                       "stack": {"shadow": {}, "class": {"class": "puck.uno/class"}}},
            "enterprise": {"bucket": {}, "stack": {"ship": {"class": "a.b/ship"}}},
        },
        "format_version": "1.0",
        "format": "worldlet",
    });
    let db = db();
    assert_eq!(import(&db, &worldlet.to_string()).unwrap().records, 4);
    let pks: Vec<String> = db.by_class("a.b/person").into_iter().map(|record| record.pk).collect();
    assert_eq!(pks, ["data"]);
    assert!(db.update("data", json!({"ship": "nowhere"})).is_err());
}

#[test]
fn all_faults_are_reported_with_their_places_and_nothing_is_imported() {
    let db = starfleet_in(non_temporal());
    let before = export(&db.0);
    let cases = [
        ("", vec![("", "the worldlet cannot be read: EOF while parsing a value at line 1 column 0")]),
        (
            "[]",
            vec![(
                "",
                "the worldlet cannot be read: invalid type: sequence, \
                 expected a worldlet, which is a JSON object at line 1 column 1",
            )],
        ),
        (
            "{\"records\": {}} x",
            vec![("", "the worldlet cannot be read: trailing characters at line 1 column 17")],
        ),
        (
            "{\"records\": {\"a\": {\"bucket\": {}, \"stack\"",
            vec![("", "the worldlet cannot be read: EOF while parsing an object at line 1 column 40")],
        ),
        // No fault: it is imported with a warning.
        (r#"{"format": "worldlet/2"}"#, vec![]),
        (
            r#"{"format": "json", "colour": 1, "records": {}}"#,
            vec![
                ("/colour", "a worldlet has no key `colour`"),
                ("/format", "this is no worldlet: the format is `worldlet/1.0`"),
            ],
        ),
        (
            r#"{"properties": {"temporal": true, "x": 1, "executable": 5}}"#,
            vec![
                ("/properties/temporal", "a temporal worldlet goes into a temporal database only"),
                ("/properties/x", "a worldlet has no property `x`"),
                ("/properties/executable", "`executable`: expected a boolean"),
            ],
        ),
        (
            r#"{"files": {"f": {}}, "history": {}}"#,
            vec![("/files/f", "`sha256` is missing"), ("/files/f", "`mime` is missing")],
        ),
        (
            r#"{"classes": [], "records": {"a/b": {"bucket": [], "stack": {"x": {}}}, "c": {"value": 5},
                "d": {"stack": {"x": {"class": "a.b/c"}}, "created_at": "now", "hue": 1},
                "e": {"bucket": {"n": 1e999}, "stack": {"x": {"class": "a.b/c"}}}}}"#,
            vec![
                ("/classes", "`classes`: expected an object: a definition for each class name"),
                ("/records/a~1b/bucket", "`bucket`: expected an object"),
                ("/records/a~1b/stack/x", "every platter names a class"),
                (
                    "/records/c/value",
                    "`value` is allowed only with one of the classes \
                     puck.uno/reference, puck.uno/reference/file, puck.uno/dbfile, and without `bucket`",
                ),
                (
                    "/records/d/created_at",
                    "`created_at`: expected a timestamp such as 2026-04-21T14:32:00.123Z",
                ),
                ("/records/d", "a record has a `bucket`"),
                ("/records/d/hue", "a record has no key `hue`"),
                ("/records/e", "this is not JSON: number out of range at line 1 column 22"),
            ],
        ),
        (
            r#"{"records": {
                "o": {"bucket": {"name": 5, "ship": "nowhere"},
                      "stack": {"officer": {"class": "a.b/officer"}}},
                "s": {"bucket": {"name": "Enterprise"}, "stack": {"ship": {"class": "a.b/ship"}}},
                "c": {"bucket": {"name": "a.b/child", "inherits": "a.b/nobody"},
                      "stack": {"class": {"class": "puck.uno/class"}}},
                "t": {"bucket": {"name": "a.b/ship", "fields": 5},
                      "stack": {"class": {"class": "puck.uno/class"}}}}}"#,
            vec![
                ("/records/t/bucket/fields", "`fields`: expected an object"),
                ("/records/t", "`a.b/ship` is defined already: update that definition"),
                ("", "`a.b/child` inherits from `a.b/nobody`, which is not defined"),
                ("/records/o/bucket/name", "expected a string"),
                ("/records/s", "another record of `a.b/ship` has the same name"),
                ("/records/o/bucket/ship", "no active record has this pk"),
            ],
        ),
        (
            r#"{"records": {"a": {"bucket": {}, "stack": {"x": {"class": "a.b/c"}}},
                            "a": {"bucket": {}, "stack": {"x": {"class": "a.b/c"}}}}}"#,
            vec![("/records/a", "two records of the worldlet have this pk")],
        ),
    ];
    for (worldlet, expected) in cases {
        match import(&db, worldlet) {
            Ok(imported) => assert!(expected.is_empty() && !imported.warnings.is_empty(), "{worldlet}"),
            Err(error) => {
                assert!(error.items().iter().all(|item| item.id.as_str() == "invalid-worldlet"), "{error}");
                let expected: Vec<(String, String)> = expected
                    .iter()
                    .map(|(place, message)| (place.to_string(), message.to_string()))
                    .collect();
                assert_eq!(faults(&error), expected, "{worldlet}");
            }
        }
        assert_eq!(export(&db.0), before, "{worldlet}");
    }
}

/// Each form of a record, with the resulting classes and bucket.
#[test]
fn a_record_may_be_written_in_many_forms() {
    let forms = [
        (
            json!({"bucket": {"n": 1}, "stack": {"shadow": {"s": 1}, "x": {"class": "a.b/x"}}}),
            json!({"shadow": {"s": 1}, "x": {"class": "a.b/x"}}),
            json!({"n": 1}),
        ),
        (
            json!({"class": "https://a.b/x", "bucket": {"n": 1}}),
            json!({"shadow": {}, "x": {"class": "a.b/x"}}),
            json!({"n": 1}),
        ),
        (
            json!({"class": null, "bucket": {}}),
            json!({"shadow": {}, "record": {"class": "puck.uno/record"}}),
            json!({}),
        ),
        (
            json!({
                "classes": {"one": {"class": "a.b/x", "bucket": {"p": 1}}, "two": {"class": "a.b/y"}},
                "bucket": {"n": 1},
            }),
            json!({"shadow": {}, "one": {"class": "a.b/x", "bucket": {"p": 1}}, "two": {"class": "a.b/y"}}),
            json!({"n": 1}),
        ),
        (
            json!({"classes": ["a.b/x", "a.b/y"], "bucket": {}}),
            json!({"shadow": {}, "x": {"class": "a.b/x"}, "y": {"class": "a.b/y"}}),
            json!({}),
        ),
        (
            json!({"class": "puck.uno/dbfile", "value": "f1"}),
            json!({"shadow": {}, "dbfile": {"class": "puck.uno/dbfile"}}),
            json!({"value": "f1"}),
        ),
        (
            json!({"class": "puck.uno/class", "name": "a.b/defined", "fields": {"n": {"class": "number"}}}),
            json!({"shadow": {}, "class": {"class": "puck.uno/class"}}),
            json!({"name": "a.b/defined", "fields": {"n": {"class": "number"}}}),
        ),
        (
            json!({"bucket": {"n": 1}}),
            json!({"shadow": {}, "record": {"class": "puck.uno/record"}}),
            json!({"n": 1}),
        ),
        (json!({}), json!({"shadow": {}, "record": {"class": "puck.uno/record"}}), json!({})),
        (json!(null), json!({"shadow": {}, "value": {"class": "puck.uno/value"}}), json!({"value": null})),
        (
            json!("text"),
            json!({"shadow": {}, "value": {"class": "puck.uno/value"}}),
            json!({"value": "text"}),
        ),
        (
            json!([1, {"a": 2}]),
            json!({"shadow": {}, "value": {"class": "puck.uno/value"}}),
            json!({"value": [1, {"a": 2}]}),
        ),
    ];
    for (form, stack, bucket) in forms {
        let db = non_temporal();
        import(&db, &json!({"records": {"p": form}}).to_string())
            .unwrap_or_else(|error| panic!("{form}: {error}"));
        let record = db.0.record_by_pk("p").unwrap().unwrap();
        assert_eq!(Value::Object(record.stack.to_map().unwrap()), stack, "{form}");
        assert_eq!(Value::Object(record.bucket.to_map().unwrap()), bucket, "{form}");
        let exported: Value = serde_json::from_str(&export(&db.0)).unwrap();
        assert_eq!(
            exported["records"]["p"] == form,
            !form.is_object(),
            "only a bare value is exported as it was written: {form}"
        );
    }
}

#[test]
fn definitions_under_the_key_classes_create_or_update_classes() {
    let db = starfleet();
    let definition = || {
        let pks = db.by_path("puck.uno/class", json!(["name", "a.b/officer"]));
        db.0.record_by_pk(&pks[0]).unwrap().unwrap()
    };
    let before = definition();
    let officer = json!({"fields": {
        "name": {"class": "string", "required": true}, "rank": {"one_of": ["Ensign", "Captain"]},
    }});
    let worldlet = json!({
        "records": {"kirk": {"class": "a.b/captain", "bucket": {"name": "Kirk", "rank": "Captain"}}},
        "classes": {"a.b/captain": {"inherits": ["a.b/officer"]}, "a.b/officer": officer},
    });
    // A stored rank that the new definition does not allow does not prevent the import.
    assert_eq!(import(&db, &worldlet.to_string()).unwrap().records, 3);
    let after = definition();
    assert_eq!((&after.pk, after.created_at), (&before.pk, before.created_at));
    assert!(after.updated_at > before.updated_at);
    let wrong = json!({"action": "create", "class": "a.b/captain", "bucket": {"name": "Q", "rank": "Q"}});
    assert!(db.0.q0(wrong).is_err());
    // An equal definition is not written.
    assert_eq!(import(&db, &worldlet.to_string()).unwrap().records, 1);
    let twice = json!({
        "classes": {"a.b/new": {}},
        "records": {"n": {"class": "puck.uno/class", "name": "a.b/new", "fields": {}}},
    });
    let error = import(&db, &twice.to_string()).unwrap_err();
    assert_eq!(
        faults(&error),
        [("/records/n".to_owned(), "`a.b/new` is defined already: update that definition".to_owned())]
    );
    let wrong = json!({"classes": {"new": {}, "a.b/c": 5, "a.b/d": {"fields": {"f": {"class": "strin"}}}}});
    let places: Vec<_> =
        faults(&import(&db, &wrong.to_string()).unwrap_err()).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["/classes/new", "/classes/a.b~1c", "/classes/a.b~1d/fields/f/class"]);
}

#[test]
fn a_defined_class_may_be_under_classes_and_among_the_records_in_any_order() {
    let db = db();
    let fields = |name: &str| json!({name: {"class": "number"}});
    let definition = |class: &str, field| json!({"class": "puck.uno/class", "name": class, "fields": field});
    let (old, new) = (|| fields("old"), || fields("new"));
    // The fields under `classes`; those in the record that has defined the class so far, or `None` if it is
    // no longer a definition; the field that is defined afterwards, and whether by that record.
    let cases = [
        (old(), Some(old()), Some(("old", true))),
        (new(), Some(new()), Some(("new", true))),
        (old(), None, Some(("old", false))),
        (new(), None, Some(("new", false))),
        (old(), Some(new()), None),
        (new(), Some(old()), None),
    ];
    for (index, (under_classes, in_record, expected)) in cases.into_iter().enumerate() {
        for classes_first in [true, false] {
            let (class, pk) = (format!("a.b/c{index}{classes_first}"), format!("d{index}{classes_first}"));
            import(&db, &json!({"records": {&pk: definition(&class, old())}}).to_string()).unwrap();
            let record = match &in_record {
                Some(fields) => definition(&class, fields.clone()),
                None => json!({"class": "a.b/other", "bucket": {}}),
            };
            let classes = ("classes", json!({&class: {"fields": under_classes}}));
            let mut parts = [classes, ("records", json!({&pk: record}))];
            if !classes_first {
                parts.reverse();
            }
            let parts = parts.map(|(key, part)| (key.to_owned(), part));
            let worldlet = Value::from(parts.into_iter().collect::<serde_json::Map<_, _>>()).to_string();
            let result = import(&db, &worldlet);
            let Some((field, by_record)) = expected else {
                let place = format!("/classes/{}", class.replace('/', "~1"));
                let message = format!("`{class}` is defined already: update that definition");
                assert_eq!(faults(&result.unwrap_err()), [(place, message)], "{worldlet}");
                continue;
            };
            result.unwrap_or_else(|error| panic!("{worldlet}: {error}"));
            let defined = &db.0.export_schema().unwrap()["classes"][&class];
            assert_eq!(defined["fields"], fields(field), "{worldlet}");
            let by = db.by_path("puck.uno/class", json!(["name", class]));
            assert_eq!((by.len(), by[0] == pk), (1, by_record), "{worldlet}");
        }
    }
}

#[test]
fn an_overwritten_record_keeps_the_time_of_its_creation_unless_the_text_states_one() {
    let db = db();
    let (old, new) = ("2001-01-01T00:00:00.000Z", "2002-01-01T00:00:00.000Z");
    let forms = [
        (json!({"class": "a.b/c", "bucket": {}}), old),
        (json!({"bucket": {}, "stack": {"shadow": {}, "c": {"class": "a.b/c"}}}), old),
        (json!({"class": "a.b/c", "bucket": {}, "updated_at": new}), old),
        (json!({"class": "puck.uno/class", "name": "a.b/c"}), old),
        (json!(5), old),
        (json!({"class": "a.b/c", "bucket": {}, "created_at": new}), new),
    ];
    let created_at = |pk: &str| db.0.record_by_pk(pk).unwrap().unwrap().created_at.to_string();
    for is_deleted in [false, true] {
        let pks: Vec<String> = (0..forms.len()).map(|index| format!("{is_deleted}{index}")).collect();
        let records = |form: &dyn Fn(usize) -> Value| {
            let records = pks.iter().enumerate().map(|(index, pk)| (pk.clone(), form(index)));
            json!({"records": records.collect::<serde_json::Map<_, _>>()}).to_string()
        };
        import(&db, &records(&|_| json!({"bucket": {"n": 1}, "created_at": old}))).unwrap();
        if is_deleted {
            pks.iter().for_each(|pk| drop(db.delete(pk).unwrap()));
        }
        import(&db, &records(&|index| forms[index].0.clone())).unwrap();
        for (pk, (form, expected)) in pks.iter().zip(&forms) {
            // Without history, a deleted record is as one that was never there.
            let is_new = is_deleted && *expected == old && !db.0.properties().unwrap().temporal;
            assert_eq!(created_at(pk) == *expected, !is_new, "{form}");
        }
        import(&db, &records(&|_| json!({"bucket": {}}))).unwrap();
    }
}

#[test]
fn with_trust_an_export_that_breaks_newer_rules_is_imported() {
    let db = starfleet();
    let definition = db.by_path("puck.uno/class", json!(["name", "a.b/officer"]));
    let fields = json!({"cat": {"class": "number"}, "ship": {"class": "puck.uno/reference"}});
    db.update(&definition[0], json!({"name": "a.b/officer", "fields": fields})).unwrap();
    let ship = db.by_class("a.b/ship")[0].pk.clone();
    db.delete(&ship).unwrap();
    let worldlet = export(&db.0);
    let copy = crate::support::db();
    assert!(copy.read_worldlet(&mut worldlet.as_bytes(), false).is_err());
    assert_eq!(export(&copy), export(&crate::support::db()));
    let imported = copy.read_worldlet(&mut worldlet.as_bytes(), true).unwrap();
    let ids: Vec<&str> = imported.warnings.iter().map(|warning| warning.id.as_str()).collect();
    assert_eq!(ids, ["validation-failed", "reference-not-found"]);
    assert_eq!(export(&copy), worldlet);
}

#[test]
fn an_overwritten_record_leaves_no_values_or_references() {
    let db = starfleet();
    let ship = db.by_class("a.b/ship")[0].pk.clone();
    let worldlet = json!({"records": {
        &ship: {"bucket": {"name": "Voyager"}, "stack": {"shadow": {}, "other": {"class": "x.y/other"}}},
    }});
    import(&db, &worldlet.to_string()).unwrap();
    assert_eq!(db.by_class("a.b/ship").count(), 0);
    assert_eq!(db.by_class("x.y/other").count(), 1);
    create(&db, "a.b/ship", json!({"name": "Enterprise"})).unwrap();
}

fn any_json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_state_survives_the_round_trip(
        buckets in prop::collection::vec(prop::collection::vec((".{0,6}", any_json()), 0..5), 0..6),
    ) {
        let original = db();
        for members in buckets {
            create(&original, "x.y/z", Value::Object(members.into_iter().collect())).unwrap();
        }
        let worldlet = export(&original.0);
        let copy = crate::class_support::db();
        import(&copy, &worldlet).unwrap();
        prop_assert_eq!(export(&copy.0), worldlet);
    }
}

#[test]
fn a_fault_that_is_found_at_the_end_has_its_place_in_the_form_of_the_entry() {
    let classes = json!({
        "a.b/c": {"fields": {"n": {"class": "number"}, "r": {"class": "puck.uno/reference"}}},
        "a.b/abstract": {"abstract": true},
        "puck.uno/value": {"misc_fields": true, "fields": {"n": {"required": true}}},
    });
    let definition =
        |field: Value| json!({"class": "puck.uno/class", "name": "a.b/d", "fields": {"n": field}});
    let own = json!({"class": "a.b/c", "bucket": {"n": "x"}});
    let version = |state: Value| {
        let mut version = json!({"identity": "a", "timestamp": "2364-01-01T00:00:00Z"});
        version.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        json!({"history": {"i": version}})
    };
    let record = |record: Value| json!({"records": {"a": record}});
    let cases = [
        (record(json!({"stack": {"z": own}, "bucket": {}})), "/records/a/stack/z/bucket/n"),
        (record(json!({"classes": {"z": own}, "bucket": {}})), "/records/a/classes/z/bucket/n"),
        (record(own.clone()), "/records/a/bucket/n"),
        (record(json!({"classes": ["a.b/c"], "bucket": {"r": "x"}})), "/records/a/bucket/r"),
        (record(json!({"class": "a.b/abstract", "bucket": {}})), "/records/a/class"),
        (record(json!({"classes": ["a.b/abstract"], "bucket": {}})), "/records/a/classes"),
        (record(json!([1])), "/records/a"),
        (record(definition(json!({"class": "nope"}))), "/records/a/fields/n/class"),
        (record(definition(json!({"one_of": []}))), "/records/a/fields/n"),
        (version(own.clone()), "/history/i/bucket/n"),
        (version(json!({"class": "a.b/c", "bucket": {"r": "x"}})), "/history/i/bucket/r"),
        (version(json!({"classes": {"z": own}, "bucket": {}})), "/history/i/classes/z/bucket/n"),
        (version(definition(json!({"class": "nope"}))), "/history/i/fields/n/class"),
        (version(definition(json!({"one_of": []}))), "/history/i/fields/n"),
    ];
    for (mut worldlet, place) in cases {
        worldlet["classes"] = classes.clone();
        let error = temporal_sqlite_in_memory().read_worldlet(&mut worldlet.to_string().as_bytes(), false);
        let error = error.unwrap_err();
        assert_eq!(error.items()[0].details["pointer"], place, "{worldlet}: {error}");
        assert!(worldlet.pointer(place).is_some());
    }
}

#[test]
fn a_record_that_a_temporal_database_imports_as_text_has_its_place_under_records() {
    let record = |bucket: Value| json!({"bucket": bucket, "stack": {"shadow": {}, "c": {"class": "a.b/c"}}});
    let worldlet = json!({
        "classes": {"a.b/c": {"fields": {"n": {"class": "number", "required": true}}}},
        "records": {"a": record(json!({"n": 1})), "b": record(json!({"n": 2})), "x": record(json!({}))},
    });
    let error = temporal_sqlite_in_memory().read_worldlet(&mut worldlet.to_string().as_bytes(), false);
    let pointers: Vec<String> = faults(&error.unwrap_err()).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/records/x/bucket/n"]);
}
