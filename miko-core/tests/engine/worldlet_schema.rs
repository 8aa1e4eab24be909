//! The published JSON Schema of worldlets and the engine agree on generated worldlets.

use std::io::Read;

use miko_core::{Engine, ErrorItem, Imported, Result, WorldletEngine};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

use crate::schema_agreement::BEYOND_SCHEMAS;
use crate::schemas::JsonSchema;
use crate::support::temporal;

/// Kinds of faults that no JSON Schema can express, since they depend on distant parts.
const BEYOND_REASONS: &[&str] =
    &["duplicate-class", "class-not-found", "unique-violation", "reference-not-found", "file-not-found"];

/// Other faults that no JSON Schema can express, by parts of their messages.
const BEYOND_MESSAGES: &[&str] = &[
    "no version of this record is in the history",
    "the shadow must be the first member of a stack",
    "a record defines one class",
    "inherits from itself",
    // About the content of files.
    "the file has",
    "`file_chunks` has chunks of this file",
    "the chunks of the file have another content",
    "exactly one chunk of a file is marked `last`",
    "this is no base64",
    "there is a chunk with this index already",
    "comes after the last",
];

/// Whether a fault violates a class of the worldlet, and not the form of a record.
fn breaks_its_class(fault: &ErrorItem) -> bool {
    let detail = |key: &str| fault.details.get(key).and_then(Value::as_str);
    detail("reason") == Some("validation-failed")
        && detail("class").is_some_and(|class| class != "puck.uno/class")
}

fn is_beyond_schemas(fault: &ErrorItem) -> bool {
    let is_one_of = |key: &str, list: &[&str]| {
        fault.details.get(key).and_then(Value::as_str).is_some_and(|found| list.contains(&found))
    };
    is_one_of("reason", BEYOND_REASONS)
        || is_one_of("rule", BEYOND_SCHEMAS)
        || breaks_its_class(fault)
        || BEYOND_MESSAGES.iter().any(|part| fault.message().contains(part))
}

/// At most two of these members.
fn some(entries: Value) -> impl Strategy<Value = Map<String, Value>> {
    let entries: Vec<_> = entries.as_object().unwrap().clone().into_iter().collect();
    let count = entries.len();
    subsequence(entries, 0..=count.min(2)).prop_map(Map::from_iter)
}

/// A record of each form.
fn records() -> Value {
    json!({
        "stack": {"stack": {"shadow": {"s": 1}, "c": {"class": "a.b/c", "sticky": true, "bucket": {}}},
                  "bucket": {"n": 1}, "created_at": "2364-01-01T00:00:00.000Z",
                  "updated_at": "2364-02-29T00:00:00+02:00", "misc": 1},
        "class": {"class": "https://a.b/c", "bucket": {}},
        "null": {"class": null, "bucket": {"x": [null]}},
        "list": {"classes": ["a.b/c", "a.b/d"], "bucket": {"x": 1}},
        "object": {"classes": {"c": {"class": "a.b/c", "bucket": {"n": 2}}}, "bucket": {}},
        "whole": {"class": "puck.uno/class", "name": "a.b/e", "description": "x", "comment": null},
        "definition": {"bucket": {"name": "a.b/f", "fields": {"n": {"class": "number", "min": 1}},
                                  "inherits": ["puck.uno/record"]},
                       "stack": {"shadow": {}, "class": {"class": "puck.uno/class"}}},
        "listed": {"classes": ["puck.uno/class"],
                   "bucket": {"name": "a.b/g", "uniques": [["x", ["y", "z"]]]}},
        "compact": {"class": "puck.uno/reference", "value": "x"},
        "marked": {"bucket": {"zip": 1}, "custom_classes": {"zip": "a.b/zip"}},
        "empty": {},
        "bare list": [1, "x", {"class": 5}],
        "bare text": "x",
        "bare null": null,
    })
}

fn versions() -> Value {
    json!({
        "v1": {"identity": "a", "timestamp": "2364-01-01T00:00:00Z", "active": true,
               "bucket": {"n": 1}, "stack": {"c": {"class": "a.b/c"}}},
        "v2": {"identity": "a", "timestamp": "2365-01-01T00:00:00Z", "active": false, "comment": 1},
        "v3": {"record": "b", "updated_at": "2364-01-01T00:00:00.5-00:30", "class": "a.b/c", "bucket": {}},
        "v4": {"identity": "c", "timestamp": "2364-01-01T00:00:00Z",
               "class": "puck.uno/class", "name": "a.b/h", "fields": {"f": {"class": "string"}}},
        "v5": {"identity": "d", "timestamp": "2364-01-01T00:00:00Z",
               "class": "puck.uno/dbfile", "value": {"pk": "f"}, "custom_classes": {},
               "created_at": "2363-01-01T00:00:00Z"},
    })
}

/// Entries of `records` for the records of the versions.
fn stubs(history: &Map<String, Value>) -> Map<String, Value> {
    let pks = history.values().filter_map(|version| version.get("identity")?.as_str());
    pks.map(|pk| (pk.to_owned(), json!({"created_at": "2364-01-01T00:00:00Z", "comment": pk}))).collect()
}

fn files() -> Value {
    let hash_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    json!({
        "files": {"f": {"sha256": hash_of_nothing.to_uppercase(),
                        "mime": {"type": "x/y", "encoding": "UTF-8", "hue": 1},
                        "created_at": "2364-01-01T00:00:00Z", "comment": 1}},
        "file_chunks": {"c": {"file": "f", "index": 0.0, "last": true, "data": "", "misc": {}}},
    })
}

fn classes() -> Value {
    json!({
        "a.b/c": {"fields": {"n": {"class": "number"}}, "name": "any.thing"},
        "https://a.b/d": {"abstract": false, "join": ["x"], "fields": {"x": {"default": 1}}},
        "a.b/zip": {"methods": [1], "inherits": "puck.uno/hash"},
    })
}

/// The properties of a worldlet.
fn head() -> impl Strategy<Value = Map<String, Value>> {
    let format = select(vec![
        json!({}),
        json!({"format": "worldlet/1.0"}),
        json!({"format": "worldlet"}),
        json!({"format": "worldlet/7"}),
        json!({"format": "worldlet", "format_version": "1.0"}),
    ]);
    let rest = some(
        json!({"properties": {"executable": true, "comment": 5}, "meta": 1, "vibecode": {}, "comment": null}),
    );
    (format, rest).prop_map(|(format, mut rest)| {
        rest.extend(format.as_object().unwrap().clone());
        rest
    })
}

/// A valid worldlet.
fn worldlet() -> impl Strategy<Value = Value> {
    let section = |key: &'static str, entries| some(entries).prop_map(move |some| (key, Value::Object(some)));
    let of_records = (section("records", records()), section("classes", classes()))
        .prop_map(|(records, classes)| vec![records, classes]);
    let of_versions = some(versions()).prop_map(|history| {
        vec![("records", Value::Object(stubs(&history))), ("history", Value::Object(history))]
    });
    let files_only =
        Just(vec![("files", files()["files"].clone()), ("file_chunks", files()["file_chunks"].clone())]);
    let content = prop_oneof![4 => of_records, 3 => of_versions, 1 => files_only];
    (head(), content, any::<bool>()).prop_map(|(mut head, content, with_files)| {
        head.extend(content.into_iter().map(|(key, value)| (key.to_owned(), value)));
        if with_files {
            head.extend(files().as_object().unwrap().clone());
        }
        Value::Object(head)
    })
}

/// Keys, each with valid and invalid values.
const POOLS: &[(&str, &[&str])] = &[
    ("active", &["true", "false", "null", "1"]),
    ("bucket", &["{}", "{\"name\": \"a.b/x\"}", "{\"name\": \"puck.uno/hash\"}", "[]", "null"]),
    (
        "class",
        &[
            "null",
            "\"a.b/c\"",
            "\"http://puck.uno/class\"",
            "\"https://puck.uno/dbfile\"",
            "\"officer\"",
            "5",
        ],
    ),
    (
        "classes",
        &[
            "[\"a.b/c\"]",
            "[\"puck.uno/class\"]",
            "[\"puck.uno/class\", \"puck.uno/class\"]",
            "[]",
            "[null]",
            "\"a.b/c\"",
            "{}",
            "{\"x\": {\"class\": \"puck.uno/class\"}}",
            "{\"x\": {\"class\": \"puck.uno/class\", \"bucket\": {}}}",
            "{\"shadow\": {\"class\": \"a.b/c\"}}",
            "{\"a.b/x\": {\"fields\": null}}",
            "{\"puck.uno/hash\": {}}",
        ],
    ),
    ("comment", &["null", "{\"class\": 5}"]),
    ("corporate", &["1"]),
    (
        "created_at",
        &["\"2363-02-28T23:59:60Z\"", "\"2363-02-29T00:00:00Z\"", "\"2364-02-29t00:00:00.123456z\"", "null"],
    ),
    (
        "custom_classes",
        &["{}", "{\"$x\": \"https://a.b/c\"}", "{\"$x\": 5}", "{\"$x\": \"c\"}", "[]", "null"],
    ),
    ("data", &["\"\"", "null"]),
    ("encoding", &["\"base64\"", "\"utf-8\"", "\"Base64\"", "null"]),
    (
        "fields",
        &[
            "{}",
            "null",
            "{\"f\": {\"class\": \"strin\"}}",
            "{\"f\": {\"class\": \"string\", \"max_length\": 3.0}}",
        ],
    ),
    ("file", &["\"f\"", "\"g\"", "1"]),
    ("file_chunks", &["{}", "[]"]),
    ("files", &["{}", "null", "{\"g\": 5}"]),
    ("format", &["\"worldlet/2\"", "\"worldlet/\"", "\"worldlets\"", "\"worldlet\"", "\"\"", "null"]),
    ("format_version", &["\"1.0\"", "\"\"", "1"]),
    ("history", &["{}", "[]", "{\"v\": {}}", "{\"v\": null}"]),
    ("hue", &["1"]),
    ("identity", &["\"a\"", "\"\"", "null"]),
    ("index", &["0", "0.0", "0.5", "-1", "1e300", "\"0\""]),
    ("last", &["true", "false", "null"]),
    ("mime", &["{\"type\": \"\"}", "{}", "{\"type\": null}", "[\"x/y\"]", "null"]),
    ("misc", &["[]"]),
    ("name", &["\"a.b/x\"", "\"https://puck.uno/record\"", "\"x\"", "null"]),
    (
        "properties",
        &[
            "{}",
            "{\"temporal\": false}",
            "{\"temporal\": true, \"executable\": false}",
            "{\"hue\": 1}",
            "null",
        ],
    ),
    ("record", &["\"a\"", "1"]),
    ("records", &["{}", "[]", "null"]),
    ("sha256", &["\"\"", "5"]),
    ("shadow", &["{}", "{\"class\": \"a.b/c\"}", "5"]),
    (
        "stack",
        &[
            "{}",
            "{\"shadow\": {}}",
            "{\"shadow\": 1, \"x\": {\"class\": \"a.b/c\"}}",
            "{\"x\": {}}",
            "{\"x\": null}",
            "null",
            "{\"x\": {\"class\": \"a.b/c\", \"bucket\": []}}",
            "{\"x\": {\"class\": \"puck.uno/class\"}}",
            "{\"shadow\": {}, \"x\": {\"class\": \"https://puck.uno/class\", \"bucket\": {}}}",
        ],
    ),
    ("temporal", &["true", "false", "null"]),
    (
        "timestamp",
        &["\"2364-01-01T00:00:00Z\"", "\"2364-13-01T00:00:00Z\"", "\"2364-01-01 00:00:00Z\"", "\"now\"", "5"],
    ),
    (
        "updated_at",
        &["\"2364-04-30T00:00:00+23:59\"", "\"2364-04-31T00:00:00Z\"", "\"2364-01-01T24:00:00Z\"", "null"],
    ),
    ("value", &["1", "null", "{\"pk\": \"f\"}"]),
];

fn from_pool((key, pool): (&'static str, &[&str])) -> impl Strategy<Value = (&'static str, Value)> + use<> {
    let values: Vec<Value> = pool.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    (Just(key), select(values))
}

/// Values of every kind.
fn any_value() -> impl Strategy<Value = Value> {
    let kinds = [
        json!(null),
        json!(true),
        json!(2.0),
        json!("x"),
        json!("a.b/c"),
        json!("puck.uno/class"),
        json!([]),
        json!({}),
    ];
    select(kinds.to_vec())
}

/// A change of one place of a worldlet.
#[derive(Debug, Clone)]
enum Mutation {
    /// A key is added or gets another value, at any place.
    Set(&'static str, Value),
    Replace(Value),
    Remove,
}

fn mutation() -> impl Strategy<Value = (Index, Mutation)> {
    let set = select(POOLS).prop_flat_map(from_pool).prop_map(|(key, value)| Mutation::Set(key, value));
    let kind =
        prop_oneof![6 => set, 2 => any_value().prop_map(Mutation::Replace), 1 => Just(Mutation::Remove)];
    (any::<Index>(), kind)
}

/// All places of a value, as JSON pointers.
fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    let step = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| places(value, &step(key), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| places(item, &step(&index.to_string()), found));
        }
        _ => {}
    }
}

fn mutate(worldlet: &mut Value, place: Index, mutation: Mutation) {
    let mut found = Vec::new();
    places(worldlet, "", &mut found);
    if let Mutation::Set(key, _) = mutation {
        // Mostly at a place that has the key.
        let is_object = |pointer: &String| worldlet.pointer(pointer).is_some_and(Value::is_object);
        let has_it = |pointer: &&String| worldlet.pointer(&format!("{pointer}/{key}")).is_some();
        let objects: Vec<String> = found.iter().filter(|pointer| is_object(pointer)).cloned().collect();
        let having: Vec<String> = objects.iter().filter(has_it).cloned().collect();
        found = if having.is_empty() || place.index(3) == 0 { objects } else { having };
    }
    if found.is_empty() {
        return;
    }
    let pointer = &found[place.index(found.len())];
    match mutation {
        Mutation::Replace(value) => *worldlet.pointer_mut(pointer).unwrap() = value,
        Mutation::Remove => {
            let Some((parent, key)) = pointer.rsplit_once('/') else { return };
            let key = key.replace("~1", "/").replace("~0", "~");
            if let Some(Value::Object(entries)) = worldlet.pointer_mut(parent) {
                entries.shift_remove(&key);
            }
        }
        Mutation::Set(key, value) => {
            if let Some(Value::Object(entries)) = worldlet.pointer_mut(pointer) {
                entries.insert(key.to_owned(), value);
            }
        }
    }
}

/// The faults for which an import is refused.
fn faults(import: impl FnOnce(&mut dyn Read) -> Result<Imported>, worldlet: &Value) -> Vec<ErrorItem> {
    let imported = import(&mut worldlet.to_string().as_bytes());
    imported.err().map_or_else(Vec::new, |error| error.items().to_vec())
}

/// The faults that each kind of database reports, if it accepts this kind of worldlet.
fn faults_of_each(worldlet: &Value) -> Vec<Vec<ErrorItem>> {
    let is_temporal = worldlet["properties"]["temporal"] == true || worldlet.get("history").is_some();
    let mut databases = vec![WorldletEngine::temporal_in_memory().unwrap()];
    if !is_temporal {
        databases.push(WorldletEngine::in_memory().unwrap());
    }
    databases.iter().map(|db| faults(|text| db.read_worldlet(text, false), worldlet)).collect()
}

fn assert_agreement(worldlet: &Value) -> Result<(), TestCaseError> {
    thread_local!(static SCHEMA: JsonSchema = JsonSchema::of("worldlet.schema.json"));
    let refused = SCHEMA.with(|schema| schema.faults(worldlet));
    for faults in faults_of_each(worldlet) {
        prop_assert!(
            !faults.is_empty() || refused.is_empty(),
            "the engine accepts what the schema refuses: {worldlet}\n{refused}"
        );
        prop_assert!(
            !refused.is_empty() || faults.iter().all(is_beyond_schemas),
            "the schema accepts what the engine refuses: {worldlet}\n{faults:#?}"
        );
    }
    Ok(())
}

/// The same cases in each run: `times` as many as usual.
fn config(times: u32) -> ProptestConfig {
    let cases = ProptestConfig::default().cases * times;
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn reader_and_schema_accept_a_valid_worldlet_in_any_form(worldlet in worldlet()) {
        assert_agreement(&worldlet)?;
        let db = temporal();
        prop_assert_eq!(faults(|text| db.read_worldlet(text, false), &worldlet), [], "{}", worldlet);
    }
}

proptest! {
    #![proptest_config(config(5))]

    #[test]
    fn reader_and_schema_agree_on_a_mutated_worldlet(
        mut worldlet in worldlet(),
        mutations in prop::collection::vec(mutation(), 1..3),
    ) {
        for (place, mutation) in mutations {
            mutate(&mut worldlet, place, mutation);
        }
        assert_agreement(&worldlet)?;
    }
}

/// Combinations that mutations seldom produce.
#[test]
fn reader_and_schema_refuse_contradictory_entries() {
    let definition = json!({"name": "a.b/x"});
    let platter = json!({"class": "https://puck.uno/class", "bucket": {}});
    let records = [
        json!({"class": "a.b/c", "classes": ["a.b/c"], "bucket": {}}),
        json!({"class": "a.b/c", "stack": {"c": {"class": "a.b/c"}}, "bucket": {}}),
        json!({"stack": {"c": {"class": "a.b/c"}}, "classes": ["a.b/c"], "bucket": {}}),
        json!({"classes": ["puck.uno/class", "http://puck.uno/class"], "bucket": definition}),
        json!({"classes": {"a": {"class": "a.b/c"}, "x": platter}, "bucket": definition}),
        json!({"stack": {"shadow": {}, "a": {"class": "a.b/c"}, "x": platter}, "bucket": definition}),
        json!({"stack": {"a": {"class": "a.b/c"}, "x": {"class": "puck.uno/class"}}, "bucket": {}}),
        json!({"class": "puck.uno/reference", "value": 1, "bucket": {}}),
        json!({"classes": ["puck.uno/reference"], "value": 1}),
        json!({"class": "puck.uno/class", "name": "a.b/x", "bucket": {}}),
        json!({"class": "puck.uno/class", "name": "a.b/x", "created_at": null}),
    ];
    for record in records {
        let mut version = record.clone();
        version["identity"] = "a".into();
        version["timestamp"] = "2364-01-01T00:00:00Z".into();
        for worldlet in [json!({"records": {"a": record}}), json!({"history": {"v": version}})] {
            assert_agreement(&worldlet).unwrap();
            assert!(faults_of_each(&worldlet).iter().all(|faults| !faults.is_empty()), "{worldlet}");
        }
    }
    let version = json!({"identity": "a", "timestamp": "2364-01-01T00:00:00Z", "bucket": {}});
    for (key, value) in [("record", "a"), ("updated_at", "2364-01-01T00:00:00Z")] {
        let mut twice = version.clone();
        twice[key] = value.into();
        let worldlet = json!({"history": {"v": twice}});
        assert_agreement(&worldlet).unwrap();
        assert_eq!(faults_of_each(&worldlet)[0].len(), 1, "{worldlet}");
    }
}
