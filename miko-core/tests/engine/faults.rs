//! Malformed requests: every fault is reported with its place, and nothing is run.

use miko_core::{ErrorId, ErrorItem, MAX_REPORTED_FAULTS, MikobaseExt};
use serde_json::{Map, Value, json};

use crate::support::{db, failure};

/// Checks that `q0` and `validate` report exactly these faults. Messages are not compared.
#[track_caller]
fn check(request: Value, faults: Value) {
    let db = db();
    let error = failure(&db, request.clone());
    assert_eq!(db.validate(request).unwrap().errors, error.items());
    let found: Vec<Value> = error
        .items()
        .iter()
        .map(|item| {
            assert_eq!(item.id, ErrorId::INVALID_REQUEST);
            assert!(!item.message().is_empty());
            let mut details = item.details.clone();
            details.shift_remove("message");
            details.into()
        })
        .collect();
    assert_eq!(Value::from(found), faults);
}

fn wrong(pointer: &str, expected: &str, found: impl Into<Value>) -> Value {
    let field = pointer.split('/').rfind(|key| key.parse::<usize>().is_err());
    json!({"pointer": pointer, "field": field, "expected": expected, "found": found.into()})
}

const UNS: &str = "a UNS such as starfleet.com/officer";
const COUNT: &str = "a non-negative integer";
const PATH: &str = "an array of keys and indices that ends with a literal or an object of operators";
const CONDITION: [&str; 9] = ["class", "classes", "pk", "path", "all", "any", "then", "not", "placeholders"];
const EDIT_OPERATIONS: [&str; 12] = [
    "set",
    "default",
    "remove",
    "increment",
    "push",
    "pop",
    "shift",
    "unshift",
    "add",
    "discard",
    "merge",
    "test",
];
const STEP: &str = "an object key (a string) or an array index (a non-negative integer)";

#[test]
fn a_request_is_an_object_with_a_known_action() {
    let not_an_object = |found| json!([{"pointer": "", "expected": "an object", "found": found}]);
    check(json!(null), not_an_object("null"));
    check(json!("select"), not_an_object("string"));
    check(json!([{"action": "select"}]), not_an_object("array"));
    check(json!({}), json!([{"pointer": "", "missing_fields": ["action"]}]));
    check(json!({"class": "foo.com/x"}), json!([{"pointer": "", "missing_fields": ["action"]}]));
    check(json!({"action": 1}), json!([wrong("/action", "a string", "number")]));
    let known = "one of select, create, update, patch, edit, upsert, delete, claim, finish, release, \
                 transaction, commit, rollback";
    check(json!({"action": "oops"}), json!([wrong("/action", known, "oops")]));
}

#[test]
fn the_actions_of_transactions_are_no_part_of_a_batch() {
    for action in ["transaction", "commit", "rollback"] {
        for atomic in [true, false] {
            let answers = db().batch(vec![json!({"action": action, "transaction": "x"})], atomic);
            let error = answers.and_then(|answers| answers.into_iter().next().unwrap()).unwrap_err();
            assert!(error.is(ErrorId::ACTION_NOT_SUPPORTED), "{error}");
        }
    }
}

#[test]
fn all_faults_of_a_request_are_reported_together() {
    check(
        json!({"action": "select", "limit": -1, "offset": "two", "class": ["foo.com/x", "foo", 3], "pk": {},
               "path": ["a"], "colour": 1, "a/b": 2}),
        json!([
            {"rule": "uns", "found": "foo", "pointer": "/class/1", "field": "class"},
            wrong("/class/2", UNS, "number"),
            wrong("/pk", "a string", "object"),
            wrong("/path", PATH, json!(["a"])),
            wrong("/limit", COUNT, -1),
            wrong("/offset", COUNT, "string"),
            {"pointer": "", "unknown_fields": ["colour", "a/b"]},
        ]),
    );
    check(
        json!({"action": "create", "class": "starfleet", "custom_classes": {"a/b": 1}, "limit": 1}),
        json!([
            {"rule": "uns", "found": "starfleet", "pointer": "/class", "field": "class"},
            wrong("/custom_classes/a~1b", UNS, "number").as_object().map(|map| {
                let mut map = map.clone();
                map["field"] = "a/b".into();
                map
            }),
            {"pointer": "", "missing_fields": ["bucket"]},
            {"pointer": "", "unknown_fields": ["limit"]},
        ]),
    );
    check(
        json!({"action": "update", "if_updated_at": "yesterday"}),
        json!([
            {"pointer": "", "missing_fields": ["bucket", "class", "classes", "stack"]},
            wrong("/if_updated_at", "a timestamp such as 2026-04-21T14:32:00.123Z", "yesterday"),
            {"pointer": "", "missing_fields": ["pk"]},
        ]),
    );
    check(
        json!({"action": "delete", "pk": 7, "if_exists": 1, "bucket": {}, "if_updated_at": 5}),
        json!([
            wrong("/pk", "a string", "number"),
            wrong("/if_updated_at", "a string", "number"),
            wrong("/if_exists", "a boolean", "number"),
            {"pointer": "", "unknown_fields": ["bucket"]},
        ]),
    );
}

#[test]
fn the_pk_of_a_new_record_is_a_string_of_1_to_255_bytes() {
    let create = |pk: Value| json!({"action": "create", "pk": pk, "bucket": {}});
    check(create(json!(5)), json!([wrong("/pk", "a string", "number")]));
    for length in [0, 256] {
        let fault = json!({"pointer": "/pk", "field": "pk", "found": length});
        check(create("x".repeat(length).into()), json!([fault]));
    }
}

#[test]
fn a_patch_has_a_pk_and_an_object() {
    check(
        json!({"action": "patch", "bucket": [1], "class": "a.b/c", "if_updated_at": "now"}),
        json!([
            wrong("/if_updated_at", "a timestamp such as 2026-04-21T14:32:00.123Z", "now"),
            wrong("/bucket", "an object", "array"),
            {"pointer": "", "missing_fields": ["pk"]},
            {"pointer": "", "unknown_fields": ["class"]},
        ]),
    );
}

#[test]
fn a_write_is_about_one_record_or_about_those_that_conditions_select() {
    const WHERE: [&str; 8] = ["class", "classes", "pk", "path", "all", "any", "then", "placeholders"];
    check(
        json!({"action": "delete", "where": {"class": "foo", "limit": 1, "path": ["a"]}, "pk": "x",
               "if_exists": true, "if_updated_at": 5, "sort": [], "offset": 1}),
        json!([
            {"pointer": "", "fields": ["pk", "if_updated_at", "if_exists", "where"]},
            {"rule": "uns", "found": "foo", "pointer": "/where/class", "field": "class"},
            wrong("/where/path", PATH, json!(["a"])),
            wrong("/sort", "an array of at least one key or index, and qualifiers if any", json!([])),
            {"pointer": "/where", "unknown_fields": ["limit"], "allowed": WHERE},
            {"pointer": "", "unknown_fields": ["offset"]},
        ]),
    );
    for (conditions, fault) in [
        (json!({}), json!({"pointer": "/where"})),
        (json!({"placeholders": {"a": 1}}), json!({"pointer": "/where"})),
        (json!([]), wrong("/where", "an object", "array")),
    ] {
        check(json!({"action": "patch", "where": conditions, "bucket": {}}), json!([fault]));
    }
    check(
        json!({"action": "edit", "limit": 1, "edits": [{"path": ["a"], "set": 1}]}),
        json!([{"pointer": "", "missing_fields": ["pk"]}, {"pointer": "", "unknown_fields": ["limit"]}]),
    );
}

#[test]
fn an_upsert_has_a_class_and_a_key() {
    check(
        json!({"action": "upsert", "class": null, "bucket": 5, "edits": [{}], "pk": "x"}),
        json!([
            wrong("/class", UNS, "null"),
            wrong("/bucket", "an object", "number"),
            {"pointer": "/edits/0", "missing_fields": ["path"]},
            {"pointer": "/edits/0", "allowed": EDIT_OPERATIONS, "found": []},
            {"pointer": "", "missing_fields": ["key"]},
            {"pointer": "", "unknown_fields": ["pk"]},
        ]),
    );
}

#[test]
fn all_faults_of_a_list_of_edits_are_reported_together() {
    let edits = json!([
        5,
        {"set": 1},
        {"path": ["a"]},
        {"path": ["a"], "set": 1, "push": 2},
        {"path": ["a"], "append": 1},
        {"path": "a", "increment": "1"},
        {"path": ["a", -1], "merge": []},
        {"path": ["a"], "pop": false},
        {"path": ["a"], "remove": 1},
        {"path": ["a"], "shift": true},
        {"path": [], "push": 1},
    ]);
    let operations = |index: usize, found: Value| {
        let pointer = format!("/edits/{index}");
        json!({"pointer": pointer, "allowed": EDIT_OPERATIONS, "found": found})
    };
    check(
        json!({"action": "edit", "edits": edits, "bucket": {}}),
        json!([
            wrong("/edits/0", "an edit (an object)", "number"),
            {"pointer": "/edits/1", "missing_fields": ["path"]},
            operations(2, json!([])),
            operations(3, json!(["set", "push"])),
            {"pointer": "/edits/4", "unknown_fields": ["append"], "allowed": EDIT_OPERATIONS},
            wrong("/edits/5/path", "an array of keys and indices", "string"),
            wrong("/edits/5/increment", "a number", "string"),
            wrong("/edits/6/path/1", STEP, -1),
            wrong("/edits/6/merge", "an object", "array"),
            wrong("/edits/7/pop", "true", false),
            wrong("/edits/8/remove", "true", "number"),
            {"pointer": "/edits/10/path"},
            {"pointer": "", "missing_fields": ["pk"]},
            {"pointer": "", "unknown_fields": ["bucket"]},
        ]),
    );
    check(
        json!({"action": "edit", "pk": "x", "edits": []}),
        json!([wrong("/edits", "one edit or more", json!([]))]),
    );
    check(
        json!({"action": "edit", "pk": "x", "edits": {}}),
        json!([wrong("/edits", "an array of edits", "object")]),
    );
}

#[test]
fn counts_are_integers() {
    for limit in [json!(-1), json!(1.5), json!(1e300), json!(i64::MIN)] {
        check(json!({"action": "select", "limit": limit}), json!([wrong("/limit", COUNT, limit)]));
    }
}

#[test]
fn a_path_has_steps() {
    let path = |path: Value| json!({"action": "select", "path": path});
    check(path(json!("a")), json!([wrong("/path", PATH, "string")]));
    check(
        path(json!([null, -1, 1.5, [], true, 1])),
        json!([
            wrong("/path/0", STEP, "null"),
            wrong("/path/1", STEP, -1),
            wrong("/path/2", STEP, 1.5),
            wrong("/path/3", STEP, "array"),
            wrong("/path/4", STEP, "boolean"),
        ]),
    );
}

#[test]
fn a_request_of_a_batch_names_no_transaction() {
    let actions =
        ["select", "create", "update", "patch", "edit", "upsert", "delete", "claim", "finish", "release"];
    for action in actions {
        let request = json!({"action": action, "pk": "x", "bucket": {}, "transaction": "t"});
        let error = db().batch(vec![request], true).unwrap_err();
        assert!(error.to_string().contains("`transaction` is allowed only in a request of `q0`"), "{error}");
    }
}

#[test]
fn an_operator_accepts_only_operands_of_its_type() {
    let field = |field: &str, expected: &str, found: Value| {
        let pointer = format!("/path/1/{field}");
        json!({"pointer": pointer, "field": field, "expected": expected, "found": found})
    };
    let text = "a string";
    let flag = "a boolean";
    let ordered = "a number or a string";
    let list = "an array";
    let cases = [
        (json!({"contains": 1}), field("contains", text, json!("number"))),
        (json!({"starts-with": null}), field("starts-with", text, json!("null"))),
        (json!({"ends-with": ["a"]}), field("ends-with", text, json!("array"))),
        (json!({"gt": true}), field("gt", ordered, json!("boolean"))),
        (json!({"lt": null}), field("lt", ordered, json!("null"))),
        (json!({"gte": []}), field("gte", ordered, json!("array"))),
        (json!({"lte": {}}), field("lte", ordered, json!("object"))),
        (json!({"includes_all": "a"}), field("includes_all", list, json!("string"))),
        (json!({"includes_any": 1}), field("includes_any", list, json!("number"))),
        (json!({"in": "a"}), field("in", list, json!("string"))),
        (json!({"exists": 1}), field("exists", flag, json!("number"))),
        (json!({"truthy": "yes"}), field("truthy", flag, json!("string"))),
        (json!({"any": false}), field("any", "true", json!(false))),
        (json!({"any": 1}), field("any", "true", json!("number"))),
        (json!({"matches": 1}), field("matches", text, json!("number"))),
        (json!({"value": 1, "collapse": "no"}), field("collapse", flag, json!("string"))),
        (json!({"value": 1, "case-sensitive": 0}), field("case-sensitive", flag, json!("number"))),
        (json!({"ends_with": 1}), field("ends_with", text, json!("number"))),
        (json!({"value": 1, "case_sensitive": 0}), field("case_sensitive", flag, json!("number"))),
    ];
    for (last, expected) in cases {
        check(json!({"action": "select", "path": ["a", last]}), json!([expected]));
    }
    let error = failure(&db(), json!({"action": "select", "path": ["a", {"matches": "["}]}));
    assert_eq!(error.items()[0].details["pointer"], "/path/1/matches");
    assert!(error.items()[0].details["reason"].as_str().unwrap().contains("unclosed character class"));
}

#[test]
fn a_path_ends_with_a_known_operator() {
    let unknown = |last: Value| {
        let error = failure(&db(), json!({"action": "select", "path": ["a", last]}));
        let details = error.items()[0].details.clone();
        (details["pointer"].clone(), details.get("unknown_fields").cloned())
    };
    assert_eq!(unknown(json!({"like": "a%"})), (json!("/path/1/like"), Some(json!(["like"]))));
    assert_eq!(
        unknown(json!({"placeholder": "a", "gt": 1})),
        (json!("/path/1/placeholder"), Some(json!(["placeholder"])))
    );
    for nothing in [json!({}), json!({"case-sensitive": false})] {
        assert_eq!(unknown(nothing), (json!("/path/1"), None));
    }
}

#[test]
fn a_key_is_given_in_one_spelling() {
    let pairs =
        [["starts-with", "starts_with"], ["ends-with", "ends_with"], ["case-sensitive", "case_sensitive"]];
    for pair in pairs {
        let operand = if pair[0] == "case-sensitive" { json!(false) } else { json!("a") };
        let test = json!({"value": "a", pair[0]: operand, pair[1]: operand});
        let expected = json!([{"pointer": "/path/1", "fields": pair}]);
        check(json!({"action": "select", "path": ["a", test]}), expected);
    }
    let sort = json!(["a", {"case-sensitive": false, "case_sensitive": false}]);
    let expected = json!([{"pointer": "/sort/1", "fields": pairs[2]}]);
    check(json!({"action": "select", "sort": sort}), expected);
}

#[test]
fn faults_of_inner_conditions_are_found_where_they_are() {
    check(
        json!({"action": "select", "not": true, "all": [{"path": ["a"]}, 3, {"limit": 1, "placeholders": []}],
               "any": {}, "then": {"then": {"not": "yes", "any": [{"class": "x"}]}}}),
        json!([
            wrong("/all/0/path", PATH, json!(["a"])),
            wrong("/all/1", "a condition (an object)", json!("number")),
            {"pointer": "/all/2", "unknown_fields": ["limit"], "allowed": CONDITION},
            wrong("/all/2/placeholders", "an object", "array"),
            wrong("/any", "an array of conditions", "object"),
            {"rule": "uns", "found": "x", "pointer": "/then/then/any/0/class", "field": "class"},
            wrong("/then/then/not", "a boolean", "string"),
            {"pointer": "", "unknown_fields": ["not"]},
        ]),
    );
}

#[test]
fn a_sort_path_has_keys_and_known_qualifiers() {
    const EXPECTED: &str = "an array of at least one key or index, and qualifiers if any";
    let allowed = json!(["reverse", "case-sensitive", "collapse"]);
    check(
        json!({"action": "select", "sort": [{"reverse": true}], "sorts": [
            "name", ["a", {"reverse": 1, "desc": true}], ["a", null, 0], [{"record": "seq"}],
            [{"record": "pk", "x": 1}],
        ]}),
        json!([
            wrong("/sort", EXPECTED, json!([{"reverse": true}])),
            wrong("/sorts/0", EXPECTED, json!("string")),
            wrong("/sorts/1/1/reverse", "a boolean", json!("number")),
            {"pointer": "/sorts/1/1", "unknown_fields": ["desc"], "allowed": allowed},
            wrong("/sorts/2/1", STEP, json!("null")),
            wrong("/sorts/3/0/record", "one of pk, created_at, updated_at", json!("seq")),
            {"pointer": "/sorts/4/0", "unknown_fields": ["x"]},
        ]),
    );
    check(
        json!({"action": "select", "sorts": {}}),
        json!([wrong("/sorts", "an array of sort paths", "object")]),
    );
    check(
        json!({"action": "select", "sort": [{"record": "pk"}, {"collapse": true}]}),
        json!([{"pointer": "/sort/1"}]),
    );
}

#[test]
fn a_stack_has_a_shadow_first_and_then_classes() {
    let stack = |stack: Value| json!({"action": "create", "bucket": {}, "stack": stack});
    check(stack(json!({})), json!([{"pointer": "/stack"}]));
    check(stack(json!({"shadow": {}})), json!([{"pointer": "/stack"}]));
    check(stack(json!([])), json!([wrong("/stack", "an object", "array")]));
    check(
        stack(json!({"a": {"class": "x", "bucket": 1}, "shadow": {"class": "foo.com/x"}, "b": {}, "c": 3})),
        json!([
            {"pointer": "/stack/shadow"},
            {"pointer": "/stack/shadow/class"},
            {"rule": "uns", "found": "x", "pointer": "/stack/a/class", "field": "class"},
            wrong("/stack/a/bucket", "an object", "number"),
            {"pointer": "/stack/b", "missing_fields": ["class"]},
            wrong("/stack/c", "an object", "number"),
        ]),
    );
    let classes = |classes: Value| json!({"action": "create", "bucket": {}, "classes": classes});
    check(classes(json!([])), json!([{"pointer": "/classes"}]));
    check(
        classes(json!({"shadow": {}, "a": {"class": "foo.com/x"}})),
        json!([{"pointer": "/classes/shadow"}]),
    );
    check(classes(json!(["foo.com/x", null])), json!([wrong("/classes/1", UNS, "null")]));
    check(
        json!({"action": "create", "bucket": {}, "class": "foo.com/x", "stack": {}}),
        json!([{"pointer": "", "fields": ["class", "stack"]}]),
    );
}

#[test]
fn two_keys_for_one_thing_are_a_warning() {
    let db = db();
    let request = json!({"action": "select", "class": "foo.com/a", "classes": ["foo.com/b"]});
    let warnings = db.q0(request.clone()).unwrap().warnings;
    assert_eq!(warnings.iter().map(|warning| &warning.id).collect::<Vec<_>>(), [&ErrorId::REDUNDANT_FIELDS]);
    assert_eq!(warnings[0].details["fields"], json!(["class", "classes"]));
    assert_eq!(db.validate(request).unwrap().warnings, warnings);
}

#[test]
fn validate_runs_nothing() {
    let db = db();
    assert_eq!(db.validate(json!({"action": "create", "bucket": {}})).unwrap(), Default::default());
    assert!(db.q0(json!({"action": "select"})).unwrap().into_records().unwrap().is_empty());
}

#[test]
fn nesting_is_bounded_without_costing_stack() {
    let nested = |depth: usize| {
        (0..depth).fold(json!(1), |inner, n| match n % 2 {
            0 => Value::Array(vec![inner]),
            // `json!` would copy the inner value at each level.
            _ => Value::Object([("k".to_owned(), inner)].into_iter().collect()),
        })
    };
    let db = db();
    let create = |depth| json!({"action": "create", "bucket": {"deep": nested(depth)}});
    let deepest = miko_core::json::MAX_DEPTH - 2;
    let pk = db.q0(create(deepest)).unwrap().into_pk().unwrap();
    assert_eq!(db.record_by_pk(&pk).unwrap().unwrap().bucket.get("deep").unwrap(), Some(nested(deepest)));
    assert_eq!(
        db.q0(json!({"action": "select", "path": ["deep", null]})).unwrap().into_records().unwrap().count(),
        0
    );

    assert!(db.q0(create(deepest + 1)).unwrap_err().is(ErrorId::INVALID_REQUEST));
    // Tests only the drop by the engine: clones and drops by the caller are recursive. A test has a stack of
    // 2 MiB, which is too small for a frame per level.
    for request in [nested(100_000), Value::Array(vec![nested(100_000)])] {
        assert!(db.q0(request).is_err());
    }
    let mut request = json!({"action": "select"});
    request["path"] = Value::Array(vec!["a".into(), nested(100_000)]);
    assert!(!db.validate(request).unwrap().errors.is_empty());
}

/// The first hundred faults are listed, and the last item has the number of the others.
#[test]
fn more_faults_than_are_listed_are_counted() {
    const COUNT: usize = 250;
    let db = db();
    let officer = json!({"action": "create", "class": "puck.uno/class", "bucket": {
        "name": "foo.com/crew", "fields": {"ages": {"class": "array", "of": {"class": "number"}}},
    }});
    db.q0(officer).unwrap();
    let texts = vec!["x"; COUNT];
    let classes = (0..COUNT).map(|n| (format!("foo.com/c{n}"), json!({"fields": 1})));
    let records = (0..COUNT).map(|n| (n.to_string(), json!({"bucket": 1, "stack": {}})));
    let worldlet = json!({"records": records.collect::<Map<_, _>>()}).to_string();
    let undefined =
        json!({"action": "select", "any": vec![json!({"path": ["a", {"placeholder": "b"}]}); COUNT]});
    let reports = [
        ("a condition", failure(&db, json!({"action": "select", "class": vec![1; COUNT]}))),
        (
            "a record",
            failure(&db, json!({"action": "create", "class": "foo.com/crew", "bucket": {"ages": texts}})),
        ),
        ("a schema", db.import_schema(json!({"classes": classes.collect::<Map<_, _>>()})).unwrap_err()),
        ("a worldlet", db.import_worldlet(&mut worldlet.as_bytes(), false).unwrap_err()),
    ];
    let mut listed: Vec<(&str, Vec<ErrorItem>)> =
        reports.into_iter().map(|(what, error)| (what, error.items().to_vec())).collect();
    listed.push((
        "a validation",
        db.validate(json!({"action": "select", "class": vec![1; COUNT]})).unwrap().errors,
    ));
    listed.push(("placeholders", db.validate(undefined).unwrap().errors));
    for (what, items) in listed {
        let omitted = items.last().unwrap().details.get("omitted").and_then(Value::as_u64);
        assert_eq!(items.len(), MAX_REPORTED_FAULTS + 1, "{what}");
        assert!(omitted >= Some((COUNT - MAX_REPORTED_FAULTS) as u64), "{what}: {omitted:?}");
        assert!(items[..MAX_REPORTED_FAULTS].iter().all(|item| item.details.len() > 1), "{what}");
    }
}
