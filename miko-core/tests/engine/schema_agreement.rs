//! The published JSON Schemas and the engine agree on generated definitions and requests.

use miko_core::Error;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::class_support::{db, define};
use crate::schemas::JsonSchema;
use crate::support::cases;

/// The rules that no JSON Schema can express: only these may be violated by input that the schema accepts.
pub(crate) const BEYOND_SCHEMAS: &[&str] = &[
    // Contradictory bounds, which no value satisfies.
    "min",
    "gt",
    "integer_only",
    "multiple_of",
    "min_length",
    "min_elements",
    "max_elements",
    // Values that the other rules of the field do not allow.
    "one_of",
    "default",
    // Constraints of elements: in a hash with `fields`, its sub-fields inherit them.
    "unique",
    "index",
    // Invalid or too large regular expressions.
    "pattern",
];

fn is_beyond_schemas(error: &Error) -> bool {
    error.items().iter().all(|item| {
        let rule = item.details.get("rule").and_then(Value::as_str);
        rule.is_some_and(|rule| BEYOND_SCHEMAS.contains(&rule))
    })
}

type Pool = &'static [(&'static str, &'static str)];

const ANY: Pool = &[
    ("required", "true"),
    ("required", "1"),
    ("unique", "false"),
    ("unique", "null"),
    ("default", "1"),
    ("hue", "[]"),
];
const SCALARS: Pool = &[
    ("one_of", "[1, \"a\"]"),
    ("one_of", "[]"),
    ("enum", "[null, 1.5]"),
    ("enum", "{}"),
    ("index", "true"),
    ("index", "\"x\""),
];
const STRINGS: Pool = &[
    ("min_length", "2"),
    ("max_length", "1"),
    ("max_length", "-1"),
    ("collapse", "true"),
    ("collapse", "0"),
    ("format", "\"uuid\""),
    ("format", "\"zip\""),
    ("pattern", "\"^a\""),
    ("pattern", "\"(\""),
    ("pattern", "5"),
    ("default", "\"a\""),
];
const NUMBERS: Pool = &[
    ("min", "1"),
    ("gte", "0.5"),
    ("max", "2"),
    ("lte", "0"),
    ("gt", "1"),
    ("lt", "1.5"),
    ("min", "\"1\""),
    ("integer_only", "true"),
    ("multiple_of", "3"),
    ("multiple_of", "0"),
    ("multiple_of", "-1"),
    ("integer_only", "null"),
];
const COLLECTIONS: Pool = &[
    ("min_elements", "1"),
    ("max_elements", "0"),
    ("max_elements", "1.5"),
    ("of", "\"string\""),
    ("of", "\"strin\""),
    ("of", "{}"),
    ("items", "{\"class\": \"a.b/c\"}"),
    ("items", "5"),
    ("of", "{\"class\": \"number\", \"min_length\": 1}"),
];
const HASHES: Pool = &[
    ("instantiate", "true"),
    ("instantiate", "5"),
    ("fields", "{\"a\": {}}"),
    ("fields", "{\"a\": 5}"),
    ("fields", "[]"),
    ("fields", "{\"a\": {\"required\": true}}"),
    ("default", "{\"required\": true}"),
];
const REFERENCES: Pool = &[
    ("target", "\"a.b/c\""),
    ("target", "[\"a.b/c\", \"c\"]"),
    ("allowed_class", "\"a.b/c\""),
    ("allowed_classes", "[\"a.b/d\"]"),
    ("on_delete", "\"restrict\""),
    ("on_delete", "\"cascade\""),
    ("target", "7"),
];
const POOLS: [Pool; 7] = [ANY, SCALARS, STRINGS, NUMBERS, COLLECTIONS, HASHES, REFERENCES];

/// Types, each with the settings that fit it.
const TYPES: &[(&str, &[Pool])] = &[
    ("string", &[ANY, SCALARS, STRINGS]),
    ("number", &[ANY, SCALARS, NUMBERS]),
    ("boolean", &[ANY, SCALARS]),
    ("url", &[ANY, SCALARS]),
    ("timestamp", &[ANY, SCALARS]),
    ("function", &[ANY]),
    ("array", &[ANY, COLLECTIONS]),
    ("hash", &[ANY, COLLECTIONS, HASHES]),
    ("puck.uno/hash", &[ANY, COLLECTIONS, HASHES]),
    ("puck.uno/reference", &[ANY, SCALARS, REFERENCES]),
    ("https://puck.uno/reference/file", &[ANY, SCALARS, REFERENCES]),
    ("puck.uno/dbfile", &[ANY, SCALARS]),
    ("a.b/c", &[ANY, SCALARS]),
    ("strin", &[ANY]),
];

fn setting(pools: &[Pool]) -> impl Strategy<Value = (String, Value)> + use<> {
    let all: Vec<(&str, &str)> = pools.iter().copied().flatten().copied().collect();
    select(all).prop_map(|(key, value)| (key.to_owned(), serde_json::from_str(value).unwrap()))
}

fn field() -> impl Strategy<Value = Value> {
    let typed = select(TYPES).prop_flat_map(|(class, fitting)| {
        let one = prop_oneof![9 => setting(fitting), 1 => setting(&POOLS)];
        proptest::collection::vec(one, 0..4).prop_map(move |settings| {
            let mut field = Map::from_iter([("class".to_owned(), json!(class))]);
            field.extend(settings);
            Value::Object(field)
        })
    });
    let untyped = proptest::collection::vec(setting(&[ANY, SCALARS]), 0..3)
        .prop_map(|settings| Value::Object(settings.into_iter().collect()));
    prop_oneof![8 => typed, 2 => untyped, 1 => select(vec![json!(5), json!([]), json!({"class": 5})])]
}

fn name() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => Just(json!("a.b/c")),
        2 => "(https?://)?[ab1.]{1,4}[./?][ab./?_-]{0,5}".prop_map(Value::from),
        1 => r"[0-9]{1,3}\.[0-9]{1,2}\.[0-9]\.[0-9]{1,3}(/x)?".prop_map(Value::from),
        1 => select(vec![
            json!("puck.uno/record"), json!("http://puck.uno/hash"), json!("puck.uno/value"), json!(5),
            json!("é.b"), json!("a.b/c\n"),
        ]),
    ]
}

fn body() -> impl Strategy<Value = Map<String, Value>> {
    let rest = select(vec![
        ("abstract", json!(true)),
        ("abstract", json!("yes")),
        ("inherits", json!("puck.uno/record")),
        ("inherits", json!(["https://puck.uno/record"])),
        ("inherits", json!([5])),
        ("inherits", json!({})),
        ("methods", json!([])),
        ("methods", json!({"m": 1})),
        ("description", json!(5)),
        ("uniques", json!([["x"], [["x", "y"], "z"]])),
        ("uniques", json!([[]])),
        // A misspelling in existing definitions, which is accepted.
        ("unqiues", json!(["x"])),
        ("unqiues", json!([["x"]])),
        ("join", json!(["x", ["y", "z"]])),
        ("join", json!([[]])),
        ("join", json!("x")),
        ("hue", json!(null)),
    ]);
    let fields = proptest::collection::vec(field(), 0..3).prop_map(|fields| {
        Value::Object(
            fields.into_iter().enumerate().map(|(index, field)| (format!("f{index}"), field)).collect(),
        )
    });
    (fields, proptest::collection::vec(rest, 0..3)).prop_map(|(fields, rest)| {
        let mut body = Map::from_iter([("fields".to_owned(), fields)]);
        body.extend(rest.into_iter().map(|(key, value)| (key.to_owned(), value)));
        body
    })
}

fn assert_agreement(accepts: bool, engine: Result<(), Error>, what: &Value) -> Result<(), TestCaseError> {
    match engine {
        Ok(()) => prop_assert!(accepts, "the engine accepts what the schema refuses: {what}"),
        Err(error) => prop_assert!(
            !accepts || is_beyond_schemas(&error),
            "the schema accepts what the engine refuses: {what}\n{error}"
        ),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn schema_and_engine_agree_on_definitions(
        name in proptest::option::weighted(0.9, name()),
        body in body(),
    ) {
        let mut definition = body;
        definition.extend(name.map(|name| ("name".to_owned(), name)));
        let definition = Value::Object(definition);
        thread_local! { static SCHEMA: JsonSchema = JsonSchema::of("class-definition.schema.json"); }
        let accepts = SCHEMA.with(|schema| schema.accepts(&definition));
        assert_agreement(accepts, define(&db(), definition.clone()).map(drop), &definition)?;
    }

    #[test]
    fn schema_and_engine_agree_on_imported_schemas(
        key in name().prop_filter_map("a key is a string", |key| key.as_str().map(str::to_owned)),
        name in proptest::option::weighted(0.3, name()),
        body in body(),
    ) {
        let mut definition = body;
        definition.extend(name.map(|name| ("name".to_owned(), name)));
        let schema = json!({"classes": {key: definition}});
        thread_local! { static SCHEMA: JsonSchema = JsonSchema::of("classes.schema.json"); }
        let accepts = SCHEMA.with(|validator| validator.accepts(&schema));
        assert_agreement(accepts, db().0.import_schema(schema.clone()).map(drop), &schema)?;
    }

    #[test]
    fn schema_and_engine_agree_on_requests(
        action in select(vec![
            "select", "create", "update", "patch", "edit", "upsert", "delete", "claim", "finish",
            "release", "transaction", "commit", "rollback",
        ]),
        keys in proptest::collection::vec(request_key(), 0..4),
        selects in any::<bool>(),
    ) {
        let mut request = Map::from_iter([("action".to_owned(), json!(action))]);
        request.extend(match action {
            "create" => vec![("bucket".to_owned(), json!({}))],
            "update" | "patch" => vec![("pk".to_owned(), json!("x")), ("bucket".to_owned(), json!({}))],
            "edit" => {
                vec![("pk".to_owned(), json!("x")), ("edits".to_owned(), json!([{"path": ["a"], "set": 1}]))]
            }
            "upsert" => vec![("class".to_owned(), json!("a.b/c")), ("key".to_owned(), json!({"a": 1}))],
            "delete" => vec![("pk".to_owned(), json!("x"))],
            "claim" => vec![("select".to_owned(), json!({"class": "a.b/c"})), ("lease".to_owned(), json!(1))],
            "finish" | "release" => vec![("claim".to_owned(), json!("an id"))],
            "commit" | "rollback" => vec![("transaction".to_owned(), json!("an id"))],
            _ => vec![],
        });
        request.extend(keys);
        if selects && ["patch", "edit", "delete"].contains(&action) {
            request.shift_remove("pk");
            request.entry("where").or_insert_with(|| json!({"class": "a.b/c"}));
        }
        let request = Value::Object(request);
        thread_local! { static SCHEMA: JsonSchema = JsonSchema::of("q0-request.schema.json"); }
        let accepts = SCHEMA.with(|schema| schema.accepts(&request));
        let errors = db().0.validate(request.clone()).unwrap().errors;
        let engine = if errors.is_empty() { Ok(()) } else { Err(Error::from(errors[0].clone())) };
        assert_agreement(accepts, engine, &request)?;
    }
}

fn request_key() -> impl Strategy<Value = (String, Value)> {
    let fixed = select(vec![
        ("lease", json!(0)),
        ("lease", json!(0.5)),
        ("lease", json!("1")),
        ("wait", json!(0)),
        ("wait", json!(-1)),
        ("wait", json!(1e9)),
        ("hold", json!("lease")),
        ("hold", json!("hand")),
        ("select", json!({"action": "select", "path": ["a", 1], "sort": ["b"]})),
        ("select", json!({"limit": 1})),
        ("select", json!({"action": "delete"})),
        ("edits", json!([{"path": ["a"], "set": 1}])),
        ("delete", json!(true)),
        ("delete", json!(false)),
        ("claim", json!(1)),
        ("limit", json!(1)),
        ("limit", json!(-1)),
        ("offset", json!("1")),
        ("history", json!(true)),
        ("history", json!(1)),
        ("cutoff", json!("2026-04-21T14:32:00Z")),
        ("cutoff", json!("now")),
        ("cutoff", json!(5)),
        ("pk", json!("x")),
        ("pk", json!(["x"])),
        ("pk", json!([1])),
        ("pk", json!("")),
        ("then", json!({"not": true, "class": "a.b/c"})),
        ("then", json!({"limit": 1})),
        ("all", json!([{}, {"pk": "x"}])),
        ("any", json!({})),
        ("not", json!(true)),
        ("path", json!(["a", 1])),
        ("path", json!(["a"])),
        ("path", json!(["a", {"in": [1], "collapse": true}])),
        ("path", json!(["a", {"gt": null}])),
        ("path", json!(["a", {"like": 1}])),
        ("path", json!(["a", {}])),
        ("sort", json!(["a", {"reverse": true}])),
        ("sort", json!([{"record": "pk"}])),
        ("sort", json!([])),
        ("sorts", json!([["a"], ["b", 0]])),
        ("sorts", json!(["a"])),
        ("placeholders", json!({"x": 1})),
        ("placeholders", json!([])),
        ("classes", json!(["a.b/c"])),
        ("classes", json!([])),
        ("classes", json!({"x": {"class": "a.b/c", "bucket": {}}})),
        ("classes", json!({"shadow": {"class": "a.b/c"}})),
        ("classes", json!({"x": {}})),
        ("stack", json!({"shadow": {}, "x": {"class": "a.b/c"}})),
        ("stack", json!({"shadow": {}})),
        ("stack", json!({})),
        ("stack", json!({"shadow": {"class": "a.b/c"}, "x": {"class": "a.b/c"}})),
        ("stack", json!({"x": {"class": "c"}})),
        ("stack", json!({"x": {"class": "a.b/c", "bucket": 1}})),
        ("class", json!(null)),
        ("custom_classes", json!({"$x": "a.b/c"})),
        ("custom_classes", json!({"$x": 5})),
        ("if_updated_at", json!("2026-04-21T14:32:00.5Z")),
        ("if_updated_at", json!("2026-13-21T14:32:00Z")),
        ("if_exists", json!(true)),
        ("if_exists", json!(null)),
        ("bucket", json!([])),
        ("edits", json!([{"path": ["a", 0], "pop": true}, {"path": [], "merge": {"a": null}}])),
        ("edits", json!([{"path": ["a"], "increment": 1.5}])),
        ("edits", json!([{"path": ["a"], "increment": "1"}])),
        ("edits", json!([{"path": ["a"], "set": 1, "push": 1}])),
        ("edits", json!([{"path": ["a"]}])),
        ("edits", json!([{"path": [], "set": {}}])),
        ("edits", json!([{"path": [-1], "set": 1}])),
        ("edits", json!([{"path": ["a"], "shift": false}])),
        ("edits", json!([{"set": 1}])),
        ("edits", json!([])),
        ("where", json!({"path": ["a", 1]})),
        ("where", json!({"class": "a.b/c", "placeholders": {"x": 1}, "then": {"not": true}})),
        ("where", json!({"placeholders": {"x": 1}})),
        ("where", json!({"not": true})),
        ("where", json!({})),
        ("where", json!([])),
        ("key", json!({"a": null})),
        ("key", json!([])),
        ("misc", json!([1])),
        ("comment", json!(null)),
        ("transaction", json!("an id")),
        ("transaction", json!(null)),
        ("hue", json!(1)),
        ("transaction", json!("x")),
    ]);
    prop_oneof![
        5 => fixed.prop_map(|(key, value)| (key.to_owned(), value)),
        1 => name().prop_map(|name| ("class".to_owned(), name)),
    ]
}
