//! Placeholders: their values, the scope of their names, and undefined ones.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::support::{Local, agreed, create, db, run};

fn crew() -> Local {
    let db = db();
    for (name, rank) in [("Kirk", "Captain"), ("Spock", "Commander"), ("Pike", "Captain")] {
        run(
            &db,
            json!({
                "action": "create", "class": "a.b/officer",
                "bucket": {"name": name, "rank": rank, "at": {"deck": [1]}},
            }),
        );
    }
    create(&db, json!({"name": "Enterprise"}));
    db
}

fn select(mut rest: Value) -> Value {
    rest["action"] = "select".into();
    rest
}

#[track_caller]
fn names(rest: Value) -> Vec<String> {
    let records = agreed(&crew(), &select(rest)).unwrap();
    records
        .iter()
        .map(|record| record.bucket.get("name").unwrap().unwrap().as_str().unwrap().to_owned())
        .collect()
}

/// The fault of a placeholder: its name and the reason.
#[track_caller]
fn fault(rest: Value) -> (String, String) {
    let error = agreed(&crew(), &select(rest)).unwrap_err();
    let [item] = error.items() else { panic!("one fault: {error}") };
    assert_eq!(item.id, ErrorId::INVALID_REQUEST);
    let detail = |key: &str| item.details[key].as_str().unwrap().to_owned();
    (detail("placeholder"), detail("reason"))
}

/// A placeholder with this name.
fn p(name: &str) -> Value {
    json!({ "placeholder": name })
}

#[test]
fn a_placeholder_may_replace_a_value_at_any_place() {
    let captains = ["Kirk", "Pike"];
    let rank = json!({
        "rank": "Captain", "key": "rank", "deck": 0, "in": ["Captain"], "test": {"starts-with": "Capt"},
        "path": ["rank", "Captain"], "condition": {"path": ["rank", "Captain"]}, "yes": true, "one": 1,
        "conditions": [{"path": ["rank", "Captain"]}], "class": "a.b/officer", "sort": ["name"],
    });
    for select in [
        json!({"path": ["rank", p("rank")]}),
        json!({"path": [p("key"), "Captain"]}),
        json!({"path": ["at", "deck", p("deck"), 1], "then": p("condition")}),
        json!({"path": ["rank", {"in": p("in")}]}),
        json!({"path": ["rank", {"in": [p("rank"), 7]}]}),
        json!({"path": ["rank", p("test")]}),
        json!({"path": p("path")}),
        json!({"all": [p("condition")]}),
        json!({"any": p("conditions")}),
        json!({"then": p("condition")}),
        json!({"class": p("class"), "all": [{"path": ["rank", {"value": "Commander"}], "not": p("yes")}]}),
        json!({
            "class": [p("class")], "path": ["rank", {"matches": "n$", "gt": p("rank"), "gte": "C"}],
            "then": {"any": []},
        }),
    ] {
        let mut select = select;
        let expected = if select["then"]["any"] == json!([]) { &[][..] } else { &captains[..] };
        select["placeholders"] = rank.clone();
        assert_eq!(names(select), expected);
    }
    let cut = json!({"sort": p("sort"), "limit": p("one"), "offset": p("one"), "placeholders": rank});
    assert_eq!(names(cut), ["Kirk"]);
    let by_key = json!({
        "sort": [p("key"), {"reverse": p("yes")}], "limit": 2, "placeholders": {"key": "name", "yes": true},
    });
    assert_eq!(names(by_key), ["Spock", "Pike"]);
}

#[test]
fn a_name_is_looked_up_in_the_scope_of_its_use() {
    // An inner condition may shadow a name within itself.
    let shadowed = json!({
        "placeholders": {"rank": "Captain"},
        "all": [{"path": ["rank", p("rank")]}],
        "then": {"any": [
            {"placeholders": {"rank": "Commander"}, "path": ["rank", p("rank")]},
            {"path": ["rank", p("rank")], "then": {"path": ["name", "Pike"]}},
        ]},
    });
    assert_eq!(names(shadowed), ["Pike"]);
    // The names in a condition from a placeholder are resolved where it is used.
    let dynamic = json!({
        "placeholders": {"ranked": {"path": ["rank", p("rank")]}},
        "any": [{"placeholders": {"rank": "Commander"}, "all": [p("ranked")]}],
    });
    assert_eq!(names(dynamic), ["Spock"]);
    let chain = json!({
        "placeholders": {"a": p("b"), "b": [p("c")], "c": "Captain"}, "path": ["rank", {"in": p("a")}],
    });
    assert_eq!(names(chain), ["Kirk", "Pike"]);
    // A definition that is used twice, with other names the second time, is not endless.
    let again = json!({
        "placeholders": {
            "x": {"all": [p("y")]}, "y": {"placeholders": {"y": {"path": ["name", "Kirk"]}}, "all": [p("x")]},
        },
        "all": [p("x")],
    });
    assert_eq!(names(again), ["Kirk"]);
}

#[test]
fn an_evaluated_placeholder_must_be_defined() {
    let undefined = |name: &str| (name.to_owned(), "undefined".to_owned());
    let circular = |name: &str| (name.to_owned(), "circular".to_owned());
    for place in [
        json!({"path": ["rank", p("x")]}),
        json!({"path": [p("x"), "Captain"]}),
        json!({"class": p("x")}),
        json!({"pk": ["a", p("x")]}),
        json!({"all": [p("x")]}),
        json!({"all": p("x")}),
        json!({"any": [{"any": []}, p("x")]}),
        json!({"then": p("x")}),
        json!({"all": [{"not": p("x")}]}),
        json!({"path": ["rank", "Captain"], "then": {"path": ["name", "Pike"], "then": p("x")}}),
        json!({"path": ["rank", {"value": {"deep": [p("x")]}}]}),
        // The limit does not reduce the evaluated conditions.
        json!({"limit": 0, "path": ["rank", p("x")]}),
        json!({"limit": p("x")}),
        json!({"offset": p("x")}),
        json!({"sort": p("x")}),
        json!({"sorts": [["name"], [p("x")]]}),
    ] {
        assert_eq!(fault(place), undefined("x"));
    }
    let own = json!({"placeholders": {"x": {"all": [p("x")]}}, "all": [p("x")]});
    assert_eq!(fault(own), circular("x"));
    let pair = json!({"placeholders": {"x": p("y"), "y": [p("x")]}, "path": ["rank", p("x")]});
    assert_eq!(fault(pair), circular("x"));
    let growing = json!({"placeholders": {"x": {"placeholders": {"y": 1}, "any": [p("x")]}}, "then": p("x")});
    assert_eq!(fault(growing), circular("x"));
    let shadow = json!({
        "placeholders": {"x": "Captain"}, "then": {"placeholders": {"x": p("x")}, "path": ["rank", p("x")]},
    });
    assert_eq!(fault(shadow), circular("x"));
}

#[test]
fn the_value_of_a_placeholder_must_fit_its_place() {
    let pointer = |rest: Value| {
        let error = agreed(&crew(), &select(rest)).unwrap_err();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
        error.items()[0].details["pointer"].as_str().unwrap().to_owned()
    };
    let wrong = json!({
        "number": 7, "object": {}, "text": "text", "flag": true, "class": {"class": "text"},
        "path": {"path": ["rank", {"in": 7}]}, "test": {"in": 7}, "conditions": [{"any": []}, {"not": 7}],
        "nested": {"all": [p("class")]},
    });
    for (place, expected) in [
        (json!({"path": p("number")}), "/path"),
        (json!({"path": [p("flag"), 1]}), "/path/0"),
        (json!({"path": ["rank", {"contains": p("number")}]}), "/path/1/contains"),
        (json!({"path": ["rank", p("object")]}), "/path/1"),
        (json!({"class": p("text")}), "/class"),
        (json!({"class": p("number")}), "/class"),
        (json!({"pk": p("object")}), "/pk"),
        (json!({"all": p("object")}), "/all"),
        (json!({"all": [p("text")]}), "/all/0"),
        (json!({"then": p("number")}), "/then"),
        (json!({"all": [{"not": p("text")}]}), "/all/0/not"),
        (json!({"all": [p("class")]}), "/all/0"),
        (json!({"all": [{}, p("path")]}), "/all/1"),
        (json!({"any": p("conditions")}), "/any"),
        (json!({"then": p("nested")}), "/then"),
        (json!({"path": ["rank", p("test")]}), "/path/1"),
        (json!({"limit": p("text")}), "/limit"),
        (json!({"sort": [p("object"), 1]}), "/sort/0"),
    ] {
        let mut place = place;
        place["placeholders"] = wrong.clone();
        assert_eq!(pointer(place.clone()), expected, "{place}");
    }
}

#[test]
fn a_placeholder_that_is_not_evaluated_may_be_undefined() {
    let undefined_part = json!({"path": ["rank", p("x")]});
    assert_eq!(names(json!({"class": "a.b/nobody", "path": ["rank", p("x")]})), [""; 0]);
    assert_eq!(names(json!({"pk": "nobody", "all": [undefined_part], "then": p("y")})), [""; 0]);
    assert_eq!(names(json!({"path": ["name", "Kirk"], "any": [{}, undefined_part]})), ["Kirk"]);
    assert_eq!(names(json!({"all": [{"any": []}, undefined_part]})), [""; 0]);
    assert_eq!(names(json!({"all": [{"path": ["name", "nobody"], "then": p("x")}]})), [""; 0]);
    assert_eq!(
        names(json!({"class": "a.b/officer", "any": [{"path": ["rank", {"exists": true}]}, undefined_part]})),
        ["Kirk", "Spock", "Pike"]
    );
    let unused = json!({"placeholders": {"x": p("nobody"), "y": p("y")}, "path": ["name", "Kirk"]});
    assert_eq!(names(unused), ["Kirk"]);
}

#[test]
fn literal_parts_are_checked_also_beside_placeholders() {
    let db = db();
    let request = select(json!({
        "path": [p("x"), {"contains": 5, "gt": p("x")}], "all": [p("x"), {"class": "y"}],
        "pk": [p("x"), 1],
    }));
    let error = db.q0(request).unwrap_err();
    let pointers: Vec<_> =
        error.items().iter().map(|item| item.details["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/pk/1", "/path/1/contains", "/all/1/class"]);
}

#[test]
fn a_placeholder_adds_no_warning() {
    let db = crew();
    let name = json!({"placeholders": {"name": "name"}});
    // Requests with and without a placeholder, and their warnings.
    let cases = [
        (json!({"sort": [p("name"), "desc"]}), json!({"sort": ["name", "desc"]}), 1),
        (
            json!({"sorts": [[p("name"), "asc"], ["rank"], ["name", "desc"]]}),
            json!({"sorts": [["name", "asc"], ["rank"], ["name", "desc"]]}),
            2,
        ),
    ];
    for (mut with, without, count) in cases {
        with["placeholders"] = name["placeholders"].clone();
        let [with, without] = [with, without].map(|rest| db.q0(select(rest)).unwrap().warnings);
        assert_eq!(with, without);
        assert_eq!(with.len(), count);
    }
    // The warning of a part whose placeholder is undefined is kept.
    let validation = db.validate(select(json!({"sort": [p("nowhere"), "desc"]}))).unwrap();
    assert_eq!((validation.errors.len(), validation.warnings.len()), (1, 1));
}

#[test]
fn the_expansion_of_placeholders_is_bounded() {
    let mut placeholders = json!({"x0": "Captain"});
    for n in 1..=12 {
        placeholders[format!("x{n}")] = vec![p(&format!("x{}", n - 1)); 10].into();
    }
    let huge = json!({"placeholders": placeholders, "path": ["rank", {"in": p("x12")}]});
    assert_eq!(fault(huge).1, "too_large");
    let mut conditions = json!({"x0": {"path": ["rank", "Captain"]}});
    for n in 1..=30 {
        conditions[format!("x{n}")] = json!({"all": [p(&format!("x{}", n - 1)), p(&format!("x{}", n - 1))]});
    }
    let huge = json!({"placeholders": conditions, "all": [p("x30")]});
    assert_eq!(fault(huge).1, "too_large");
    // Literal conditions are repeated as well as values.
    let repeated = |times: usize| {
        let literal = json!({"any": vec![json!({"pk": vec!["x"; 50]}); 10]});
        json!({"placeholders": {"literal": literal}, "any": vec![p("literal"); times]})
    };
    assert_eq!(fault(repeated(300)).1, "too_large");
    assert_eq!(names(repeated(100)), [] as [&str; 0]);
    let chain = |length: usize, link: fn(Value) -> Value| {
        let mut placeholders = json!({"x0": "Captain"});
        for n in 1..=length {
            placeholders[format!("x{n}")] = link(p(&format!("x{}", n - 1)));
        }
        placeholders
    };
    for length in [1000, 20_000] {
        let last = p(&format!("x{length}"));
        let names = json!({"placeholders": chain(length, |name| name), "path": ["rank", last]});
        assert_eq!(fault(names).1, "too_large");
        let conditions = json!({"placeholders": chain(length, |name| json!({ "then": name })), "then": last});
        assert_eq!(fault(conditions).1, "too_large");
    }
    let nested =
        json!({"placeholders": chain(100, |name| json!([[name]])), "path": ["rank", {"in": p("x100")}]});
    let error = agreed(&crew(), &select(nested)).unwrap_err();
    assert!(error.to_string().contains("arrays and objects may nest 120 deep"), "{error}");
    let within_limits = json!({"placeholders": chain(100, |name| name), "path": ["rank", p("x100")]});
    assert_eq!(names(within_limits), ["Kirk", "Pike"]);
    let mut many: Vec<Value> = (0..150_000).map(Value::from).collect();
    many.push("Captain".into());
    let long = json!({
        "placeholders": {"many": many, "key": "rank"}, "path": [p("key"), {"in": p("many")}], "limit": 1,
    });
    assert_eq!(names(long), ["Kirk"]);
}

#[test]
fn validate_reports_unresolved_and_unused_placeholders() {
    let db = db();
    let request = select(json!({
        "placeholders": {"used": "Captain", "unused": 1, "loop": p("loop")},
        "any": [{}, {"path": ["rank", p("undefined_part")]}, {"path": ["rank", {"contains": p("loop")}]}],
        "path": ["rank", p("used")],
    }));
    let validation = db.validate(request.clone()).unwrap();
    let reasons: Vec<_> =
        validation.errors.iter().map(|item| (&item.details["pointer"], &item.details["reason"])).collect();
    assert_eq!(
        reasons,
        [
            (&json!("/any/1/path/1"), &json!("undefined")),
            (&json!("/any/2/path/1/contains"), &json!("circular"))
        ]
    );
    let [warning] = &validation.warnings[..] else { panic!("{validation:?}") };
    assert_eq!(
        (warning.id.as_str(), &warning.details["pointer"]),
        ("unused_placeholder", &json!("/placeholders/unused"))
    );
    let response = db.q0(request).unwrap();
    assert_eq!(response.warnings, []);
}

#[test]
fn each_aspect_may_be_checked_alone() {
    use miko_core::Check;
    let request = select(json!({
        "placeholders": {"text": "text", "x": 1}, "class": "officer", "limit": -1, "sort": ["a"], "sorts": [],
        "any": [{"path": ["rank", p("undefined_part")]}, {"all": p("text")}],
    }));
    let found = |check: Check, request: &Value| {
        let validation = check.run(request.clone());
        let pointer = |item: &miko_core::ErrorItem| item.details["pointer"].as_str().unwrap().to_owned();
        let pointers = |items: &[miko_core::ErrorItem]| items.iter().map(pointer).collect::<Vec<_>>();
        (pointers(&validation.errors), pointers(&validation.warnings))
    };
    let none: [&str; 0] = [];
    let expected = |errors: &[&str], warnings: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        (owned(errors), owned(warnings))
    };
    assert_eq!(found(Check::Action, &request), expected(&none, &none));
    assert_eq!(found(Check::Uns, &request), expected(&["/class"], &none));
    assert_eq!(found(Check::Fields, &request), expected(&["/limit"], &[""]));
    assert_eq!(
        found(Check::Placeholders, &request),
        expected(&["/any/0/path/1", "/any/1/all"], &["/placeholders/x"])
    );
    let unknown = json!({"action": "engage", "limit": -1});
    assert_eq!(found(Check::Action, &unknown), expected(&["/action"], &none));
    assert_eq!(found(Check::Fields, &unknown), expected(&none, &none));
    let all = db().validate(request).unwrap();
    assert_eq!((all.errors.len(), all.warnings.len()), (4, 2));
}

#[test]
fn a_bucket_has_no_reserved_keys() {
    let db = db();
    let bucket = json!({"placeholder": "x", "a": {"placeholder": "y"}});
    let pk = create(&db, bucket.clone());
    assert_eq!(db.record_by_pk(&pk).unwrap().unwrap().bucket.to_map().unwrap(), *bucket.as_object().unwrap());
    let error = db.q0(json!({"action": "create", "class": p("x"), "bucket": {}})).unwrap_err();
    assert_eq!(error.items()[0].details["pointer"], "/class");
}
