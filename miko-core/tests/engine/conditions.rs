//! Conditions: the operators, and combinations of conditions.

use serde_json::{Value, json};

use crate::support::{Local, agreed, create, db, run, sqlite};

/// A record for each kind of value under the key `v`, and one without: the name in the tests and the value,
/// in order of creation.
fn values() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("absent", None),
        ("null", Some(json!(null))),
        ("false", Some(json!(false))),
        ("true", Some(json!(true))),
        ("0", Some(json!(0))),
        ("1", Some(json!(1))),
        ("1.0", Some(json!(1.0))),
        ("1.5", Some(json!(1.5))),
        ("-1", Some(json!(-1))),
        ("max", Some(json!(u64::MAX))),
        ("above max", Some(json!(18446744073709551616.0))),
        ("''", Some(json!(""))),
        ("abc", Some(json!("abc"))),
        ("Abc", Some(json!("Abc"))),
        ("spaced", Some(json!(" abc\n\td "))),
        ("É", Some(json!("É"))),
        ("[]", Some(json!([]))),
        ("array", Some(json!([1, "a", null, [1]]))),
        ("{}", Some(json!({}))),
        ("object", Some(json!({"k": 1, "l": [2.0]}))),
    ]
}

const NOTHING: [&str; 2] = ["absent", "null"];
const STRINGS: [&str; 5] = ["''", "abc", "Abc", "spaced", "É"];

fn all_but(excluded: &[&str]) -> Vec<&'static str> {
    values().into_iter().map(|(name, _)| name).filter(|name| !excluded.contains(name)).collect()
}

/// A database with a record for each of [`values`].
fn stored() -> Local {
    let db = db();
    for (name, value) in values() {
        let mut bucket = json!({ "name": name });
        value.into_iter().for_each(|value| bucket["v"] = value);
        create(&db, bucket);
    }
    db
}

/// The names of the records that a select finds.
fn names(db: &Local, select: &Value) -> Vec<String> {
    let name = |record: &miko_core::Record| record.bucket.get("name").unwrap().unwrap();
    agreed(db, select).unwrap().iter().map(|record| name(record).as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_operator_selects_the_values_for_which_it_holds() {
    let db = stored();
    let insensitive = |mut step: Value| {
        step["case-sensitive"] = false.into();
        step
    };
    let collapsed = |mut step: Value| {
        step["collapse"] = true.into();
        step
    };
    // The last step of the path, and the names of the values for which it holds.
    let cases: Vec<(Value, Vec<&str>)> = vec![
        (json!(null), NOTHING.to_vec()),
        (json!(1), vec!["1", "1.0"]),
        (json!(1.0), vec!["1", "1.0"]),
        (json!(-0.0), vec!["0"]),
        (json!(u64::MAX), vec!["max"]),
        (json!(18446744073709551616.0), vec!["above max"]),
        (json!(false), vec!["false"]),
        (json!(true), vec!["true"]),
        (json!("abc"), vec!["abc"]),
        (json!(""), vec!["''"]),
        (json!([]), vec!["[]"]),
        (json!([1.0, "a", null, [1]]), vec!["array"]),
        (json!([1, "a"]), vec![]),
        (json!({"value": null}), NOTHING.to_vec()),
        (json!({"value": 1}), vec!["1", "1.0"]),
        (json!({"value": {}}), vec!["{}"]),
        (json!({"value": {"l": [2], "k": 1.0}}), vec!["object"]),
        (json!({"value": {"k": 1}}), vec![]),
        (json!({"value": "ABC"}), vec![]),
        (insensitive(json!({"value": "ABC"})), vec!["abc", "Abc"]),
        (insensitive(json!({"value": "é"})), vec!["É"]),
        (insensitive(json!({"value": 1})), vec!["1", "1.0"]),
        (insensitive(json!({"value": null})), NOTHING.to_vec()),
        (collapsed(json!({"value": "abc d"})), vec!["spaced"]),
        (collapsed(json!({"value": "  abc "})), vec!["abc"]),
        (collapsed(insensitive(json!({"value": "ABC  D"}))), vec!["spaced"]),
        (insensitive(json!({"value": [1, "A", null, [1]]})), vec![]),
        (json!({"contains": "b"}), vec!["abc", "Abc", "spaced"]),
        (json!({"contains": ""}), STRINGS.to_vec()),
        (json!({"contains": "1"}), vec![]),
        (insensitive(json!({"contains": "BC"})), vec!["abc", "Abc", "spaced"]),
        (json!({"contains": "c d"}), vec![]),
        (collapsed(json!({"contains": "c \n d"})), vec!["spaced"]),
        (json!({"starts-with": "a"}), vec!["abc"]),
        (insensitive(json!({"starts-with": "A"})), vec!["abc", "Abc"]),
        (collapsed(json!({"starts-with": "abc"})), vec!["abc", "spaced"]),
        (json!({"ends-with": "c"}), vec!["abc", "Abc"]),
        (json!({"starts_with": "a", "ends_with": "c"}), vec!["abc"]),
        (json!({"starts_with": "A", "case_sensitive": false}), vec!["abc", "Abc"]),
        (collapsed(json!({"ends-with": " d"})), vec!["spaced"]),
        (json!({"gt": 1}), vec!["1.5", "max", "above max"]),
        (json!({"gte": 1}), vec!["1", "1.0", "1.5", "max", "above max"]),
        (json!({"lt": 1}), vec!["0", "-1"]),
        (json!({"lte": 1.0}), vec!["0", "1", "1.0", "-1"]),
        (json!({"gt": u64::MAX}), vec!["above max"]),
        (json!({"lt": 18446744073709551616.0, "gt": 1.5}), vec!["max"]),
        (json!({"gt": 0, "lt": 2}), vec!["1", "1.0", "1.5"]),
        (json!({"gte": ""}), STRINGS.to_vec()),
        (json!({"gt": "Abc"}), vec!["abc", "É"]),
        (json!({"lte": "Abc"}), vec!["''", "Abc", "spaced"]),
        (json!({"gt": "1"}), vec!["abc", "Abc", "É"]),
        (json!({"includes": 1.0}), vec!["array"]),
        (json!({"includes": null}), vec!["array"]),
        (json!({"includes": [1]}), vec!["array"]),
        (json!({"includes": "A"}), vec![]),
        (insensitive(json!({"includes": "A"})), vec![]),
        (json!({"includes_all": ["a", 1]}), vec!["array"]),
        (json!({"includes_all": ["a", 2]}), vec![]),
        (json!({"includes_all": []}), vec!["[]", "array"]),
        (json!({"includes_any": [2, "a"]}), vec!["array"]),
        (json!({"includes_any": [2]}), vec![]),
        (json!({"includes_any": []}), vec![]),
        (json!({"exists": true}), all_but(&NOTHING)),
        (json!({"exists": false}), NOTHING.to_vec()),
        (json!({"truthy": true}), all_but(&["absent", "null", "false"])),
        (json!({"truthy": false}), vec!["absent", "null", "false"]),
        (json!({"any": true}), all_but(&["absent"])),
        (json!({"any": true, "exists": false}), vec!["null"]),
        (json!({"in": [1, "abc", null]}), vec!["absent", "null", "1", "1.0", "abc"]),
        (json!({"in": [{}, [], false]}), vec!["false", "[]", "{}"]),
        (json!({"in": []}), vec![]),
        (insensitive(json!({"in": ["ABC", 0]})), vec!["0", "abc", "Abc"]),
        (json!({"matches": "^a.c$"}), vec!["abc"]),
        (json!({"matches": "(?i)^a"}), vec!["abc", "Abc"]),
        (json!({"matches": r"\p{Lu}"}), vec!["Abc", "É"]),
        (json!({"matches": ""}), STRINGS.to_vec()),
        (json!({"exists": true, "value": null}), vec![]),
    ];
    for (step, expected) in cases {
        assert_eq!(names(&db, &json!({"action": "select", "path": ["v", step]})), expected, "{step}");
        let others = names(&db, &json!({"action": "select", "all": [{"not": true, "path": ["v", step]}]}));
        assert_eq!(others, all_but(&expected), "not {step}");
    }
}

/// Three officers, two of them doctors, and a ship.
fn crew() -> Local {
    let db = db();
    for (class, bucket) in [
        (json!("starfleet.com/officer"), json!({"name": "Kirk", "rank": "Captain", "age": 34})),
        (
            json!(["starfleet.com/officer", "starfleet.com/doctor"]),
            json!({"name": "McCoy", "rank": "Commander"}),
        ),
        (json!(["starfleet.com/doctor"]), json!({"name": "M'Benga", "rank": "Lieutenant"})),
        (
            json!(["starfleet.com/ship"]),
            json!({"name": "Enterprise", "tags": ["old", {"new": "Constitution"}]}),
        ),
    ] {
        let key = if class.is_string() { "class" } else { "classes" };
        run(&db, json!({"action": "create", key: class, "bucket": bucket}));
    }
    db
}

#[test]
fn without_case_a_text_has_all_its_parts() {
    let db = db();
    let texts = ["ΟΔΟΣΑ", "ΟΔΟΣ", "οδος", "οδοσ"];
    texts.iter().for_each(|text| drop(create(&db, json!({"name": text, "v": text}))));
    let [_, whole_words @ ..] = texts;
    // The small sigma has another form at the end of a word. Both are one letter.
    let cases: [(Value, &[&str]); 7] = [
        (json!({"starts-with": "ΟΔΟΣ"}), &texts),
        (json!({"contains": "Σ"}), &texts),
        (json!({"contains": "ς"}), &texts),
        (json!({"ends-with": "σ"}), &whole_words),
        (json!({"ends-with": "ΔΟΣ", "collapse": true}), &whole_words),
        (json!({"value": "οδος"}), &whole_words),
        (json!({"in": ["ΟΔΟΣ", 1]}), &whole_words),
    ];
    for (mut test, expected) in cases {
        test["case-sensitive"] = false.into();
        let select = json!({"action": "select", "path": ["v", test]});
        assert_eq!(names(&db, &select), expected, "{select}");
    }
    let sort = json!({"action": "select", "sort": ["v", {"case-sensitive": false}]});
    assert_eq!(names(&db, &sort), [&whole_words[..], &texts[..1]].concat(), "equal ones by creation");
}

#[test]
fn conditions_narrow_each_other() {
    let db = crew();
    let officer = json!({"class": "starfleet.com/officer"});
    let doctor = json!({"class": "starfleet.com/doctor"});
    let captain = json!({"path": ["rank", "Captain"]});
    let named = |name: &str| json!({"path": ["name", name]});
    let not = |mut condition: Value| {
        condition["not"] = true.into();
        condition
    };
    let cases = [
        (json!({"all": []}), &["Kirk", "McCoy", "M'Benga", "Enterprise"][..]),
        (json!({"any": []}), &[]),
        (json!({"all": [{}]}), &["Kirk", "McCoy", "M'Benga", "Enterprise"]),
        (json!({"all": [{"not": true}]}), &[]),
        (json!({"all": [{"not": false}]}), &["Kirk", "McCoy", "M'Benga", "Enterprise"]),
        (json!({"all": [officer, doctor]}), &["McCoy"]),
        (json!({"any": [officer, doctor]}), &["Kirk", "McCoy", "M'Benga"]),
        (json!({"class": "starfleet.com/officer", "all": [not(doctor.clone())]}), &["Kirk"]),
        (
            json!({"all": [{"not": true, "class": "starfleet.com/officer", "path": ["rank", "Captain"]}]}),
            &["McCoy", "M'Benga", "Enterprise"],
        ),
        (
            json!({"all": [{"not": true, "all": [officer], "any": [captain, named("McCoy")]}]}),
            &["M'Benga", "Enterprise"],
        ),
        (json!({"any": [officer], "then": {"any": [doctor, captain]}}), &["Kirk", "McCoy"]),
        // `then` applies to the records that remain after `not`.
        (
            json!({"all": [
                {"not": true, "class": "starfleet.com/officer", "then": {"class": "starfleet.com/doctor"}},
            ]}),
            &["M'Benga"],
        ),
        (json!({"then": {"then": {"then": {"path": ["age", {"gte": 34}]}}}}), &["Kirk"]),
        (
            json!({
                "path": ["tags", 0, "old"],
                "then": {"path": ["tags", 1, "new", {"starts-with": "Const"}]},
            }),
            &["Enterprise"],
        ),
        (json!({"class": [], "classes": "starfleet.com/ship"}), &["Enterprise"]),
        (json!({"all": [{"class": []}]}), &[]),
        (json!({"any": [{"pk": []}, captain]}), &["Kirk"]),
        (json!({"any": [{"all": [{"any": [{"all": [captain]}]}]}]}), &["Kirk"]),
    ];
    for (mut select, expected) in cases {
        select["action"] = "select".into();
        assert_eq!(names(&db, &select), expected, "{select}");
        select["limit"] = 1.into();
        select["offset"] = 1.into();
        let second = &expected[1.min(expected.len())..2.min(expected.len())];
        assert_eq!(names(&db, &select), second, "{select}");
    }
}

#[test]
fn more_conditions_than_sql_takes_are_evaluated() {
    let db = crew();
    let many: Vec<Value> =
        (0..5000).map(|n| json!({"path": ["name", n]})).chain([json!({"path": ["name", "Kirk"]})]).collect();
    let select = json!({"action": "select", "any": many, "sort": ["name"]});
    assert_eq!(names(&db, &select), ["Kirk"]);
    let residual_filter_reason = sqlite().explain(select).unwrap().residual_filter_reason;
    assert_eq!(
        residual_filter_reason.as_deref(),
        Some("it has more conditions and sort keys than one statement takes")
    );
    // About as deep as a request may nest, which is 120 levels: each round adds two.
    let deep =
        (0..58).fold(json!({"path": ["name", "Kirk"]}), |inner, _| json!({"not": true, "any": [inner]}));
    let select = json!({"action": "select", "all": [deep]});
    assert_eq!(names(&db, &select), ["Kirk"]);
    assert!(sqlite().explain(select).unwrap().residual_filter_reason.is_none());
}

#[test]
fn a_required_condition_may_use_an_index_at_any_place() {
    let db = db();
    let officer =
        json!({"fields": {"rank": {"class": "string", "index": true}, "name": {"class": "string"}}});
    db.import_schema(json!({"classes": {"a.b/officer": officer}})).unwrap();
    for (name, rank) in [("Kirk", "Captain"), ("Spock", "Commander"), ("Pike", "Captain")] {
        run(&db, json!({"action": "create", "class": "a.b/officer", "bucket": {"name": name, "rank": rank}}));
    }
    let index = Some("a.b/officer: [\"rank\"]".to_owned());
    for (select, expected, by_index) in [
        (json!({"class": "a.b/officer", "path": ["rank", "Captain"]}), &["Kirk", "Pike"][..], true),
        (json!({"class": "a.b/officer", "path": ["rank", {"value": "Captain"}]}), &["Kirk", "Pike"], true),
        (
            json!({"all": [
                {"class": "a.b/officer"}, {"path": ["name", "Pike"]}, {"path": ["rank", "Captain"]},
            ]}),
            &["Pike"],
            true,
        ),
        (json!({"class": "a.b/officer", "then": {"path": ["rank", "Captain"]}}), &["Kirk", "Pike"], true),
        (
            json!({"class": "a.b/officer", "path": ["rank", {"in": ["Captain", "Commander", "Captain"]}]}),
            &["Kirk", "Spock", "Pike"],
            true,
        ),
        (json!({"class": "a.b/officer", "path": ["rank", {"in": []}]}), &[], true),
        (
            json!({"class": "a.b/officer", "path": ["rank", {"in": ["Captain", null]}]}),
            &["Kirk", "Pike"],
            false,
        ),
        (json!({"class": "a.b/officer", "any": [{"path": ["rank", "Captain"]}]}), &["Kirk", "Pike"], false),
        (
            json!({"class": "a.b/officer", "all": [{"not": true, "path": ["rank", "Captain"]}]}),
            &["Spock"],
            false,
        ),
        (
            json!({"class": "a.b/officer", "path": ["rank", {"value": "captain", "case-sensitive": false}]}),
            &["Kirk", "Pike"],
            false,
        ),
    ] {
        let mut select = select;
        select["action"] = "select".into();
        assert_eq!(names(&db, &select), expected, "{select}");
        assert_eq!(db.explain(select.clone()).unwrap().index == index, by_index, "{select}");
    }
}
