//! Regular expressions in requests and definitions: they have limits, and `^\w{1,255}$` is within them.

use miko_core::ErrorId;
use serde_json::{Value, json};

use crate::class_support::{create, db, define, rules_broken};

fn matches(pattern: &str) -> Value {
    json!({"path": ["a", {"matches": pattern}]})
}

#[test]
fn the_patterns_of_a_request_have_a_limit_each_and_one_together() {
    let db = db();
    let refusal = |members: Vec<Value>| {
        let error = db.0.q0(json!({"action": "select", "any": members})).unwrap_err();
        let item = error.items()[0].clone();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
        (item.message().to_owned(), item.details["limit"].clone(), item.details["pointer"].clone())
    };
    let (message, limit, pointer) = refusal(vec![matches("a"), matches(r"\w{10000}")]);
    assert!(message.starts_with("the regular expression is too large"), "{message}");
    assert_eq!((limit, pointer), (json!(64 << 20), json!("/any/1/path/1/matches")));
    let (message, limit, _) =
        refusal((1..=20).map(|more| matches(&format!(r"\w{{200}}{}", "x".repeat(more)))).collect());
    assert!(message.starts_with("the regular expressions are together too large"), "{message}");
    assert_eq!(limit, json!(128 << 20));
    // The same limit holds for the values of placeholders: here `\w{200}` to `\w{2019}`.
    let placed = |index: usize| json!({"path": ["a", {"matches": {"placeholder": format!("p{index}")}}]});
    let definitions = (0..20).map(|index| (format!("p{index}"), format!(r"\w{{20{index}}}").into()));
    let select = json!({
        "action": "select",
        "all": (0..20).map(placed).collect::<Vec<_>>(),
        "placeholders": Value::Object(definitions.collect()),
    });
    let validation = db.0.validate(select).unwrap();
    assert!(validation.errors.iter().any(|item| item.details.get("limit") == Some(&json!(128 << 20))));
    // Equal patterns count once.
    let same = vec![matches(r"^\w{1,255}$"); 20];
    assert_eq!(db.0.q0(json!({"action": "select", "any": same})).unwrap().into_records().unwrap().count(), 0);
}

#[test]
fn a_definition_takes_large_patterns_within_limits() {
    let db = db();
    let field = |pattern: &str| json!({"class": "string", "pattern": pattern});
    define(&db, json!({"name": "a.b/c", "fields": {"a": field(r"^\w{1,255}$"), "b": field(r"^\w{1,255}$")}}))
        .unwrap();
    create(&db, "a.b/c", json!({"a": "Ω".repeat(255)})).unwrap();
    let error = create(&db, "a.b/c", json!({"a": "Ω".repeat(256), "b": ""})).unwrap_err();
    assert_eq!(rules_broken(&error), ["pattern", "pattern"]);
    let error = define(&db, json!({"name": "a.b/d", "fields": {"a": field(r"\w{10000}")}})).unwrap_err();
    assert_eq!(error.items()[0].details["limit"], 64 << 20);
    assert_eq!(error.items()[0].details["pointer"], "/bucket/fields/a/pattern");
    let many = (0..20).map(|index| (format!("f{index}"), field(&format!(r"\w{{20{index}}}"))));
    let error = define(&db, json!({"name": "a.b/d", "fields": Value::Object(many.collect())})).unwrap_err();
    assert_eq!(error.items()[0].details["limit"], 128 << 20);
}
