//! Worldlets as other programs may write them: with another order of keys, with files as text, with duplicate
//! definitions.

use miko_core::{Engine, Mikobase, MikobaseExt, WorldletEngine};
use serde_json::{Value, json};

use crate::support::{sqlite_in_memory, temporal_sqlite_in_memory};

fn temporal() -> [Box<dyn Engine>; 2] {
    [Box::new(temporal_sqlite_in_memory()), Box::new(WorldletEngine::temporal_in_memory().unwrap())]
}

fn non_temporal() -> [Box<dyn Engine>; 2] {
    [Box::new(sqlite_in_memory()), Box::new(WorldletEngine::in_memory().unwrap())]
}

fn exported(db: &dyn Engine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The places of all faults.
fn faults(db: &dyn Engine, worldlet: &str) -> Vec<String> {
    let Err(error) = db.read_worldlet(&mut worldlet.as_bytes(), false) else { return Vec::new() };
    let place = |item: &miko_core::ErrorItem| {
        format!("{}: {}", item.details["pointer"].as_str().unwrap_or_default(), item.message())
    };
    error.items().iter().map(place).collect()
}

#[test]
fn a_worldlet_with_a_history_is_temporal_in_any_order_of_its_keys() {
    let records = r#""records": {"a": {}, "b": {"created_at": "2026-05-28T07:00:00Z"}}"#;
    let history = r#""history": {
        "123": {
            "identity": "a", "timestamp": "2026-05-28T07:30:00Z", "class": "puck.uno/reference", "value": "x"
        },
        "124": {"identity": "b", "timestamp": "2026-05-28T03:30:00-04:00", "class": "a.b/c", "bucket": {}}
    }"#;
    let properties = r#""properties": {"temporal": true}"#;
    let orders = [
        vec![records, history],
        vec![history, records],
        vec![properties, records, history],
        vec![records, properties, history],
        vec![records, history, properties],
        vec![history, properties, records],
    ];
    for parts in orders {
        let worldlet = format!(r#"{{"format": "worldlet/1.0", {}}}"#, parts.join(", "));
        for db in temporal() {
            assert_eq!(faults(&*db, &worldlet), [] as [&str; 0], "{worldlet}");
            let history = db.history("a").unwrap();
            assert_eq!(history.len(), 1, "{worldlet}");
            assert_eq!(history[0].instance_pk, "123");
            let created = db.record_by_pk("b").unwrap().unwrap().created_at.to_string();
            assert_eq!(created, "2026-05-28T07:00:00.000Z", "{worldlet}");
        }
        for db in non_temporal() {
            let found = faults(&*db, &worldlet).join(" ");
            assert!(found.contains("goes into a temporal database only"), "{found}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crew.json");
        std::fs::write(&path, &worldlet).unwrap();
        let db = WorldletEngine::open(&path, miko_core::backend::Mode::ReadWrite).unwrap();
        assert!(db.properties().unwrap().temporal);
    }
}

#[test]
fn a_worldlet_has_one_entry_for_each_file() {
    // The hash is that of the empty file, whose only chunk is empty.
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let file = format!(r#""f": {{"sha256": "{sha256}", "mime": {{"type": "a/b"}}}}"#);
    let chunk = r#""file_chunks": {"f/0": {"file": "f", "index": 0, "last": true, "data": ""}}"#;
    for worldlet in [
        format!(r#"{{"files": {{{file}}}, {chunk}, "files": {{{file}}}}}"#),
        format!(r#"{{"files": {{{file}, {file}}}, {chunk}}}"#),
    ] {
        for db in non_temporal() {
            assert_eq!(faults(&*db, &worldlet), ["/files/f: two files of the worldlet have this pk"]);
        }
    }
}

#[test]
fn a_record_without_versions_in_the_history_is_imported_as_an_empty_record() {
    for db in temporal() {
        assert_eq!(faults(&*db, r#"{"records": {"a": {}, "b": 5}, "history": {}}"#), [] as [&str; 0]);
        assert_eq!(db.record_by_pk("a").unwrap().unwrap().bucket.to_string(), "{}");
        assert_eq!(db.history("a").unwrap().len(), 1);
        let twice = r#"{"records": {"c": {}, "c": {}}}"#;
        assert_eq!(faults(&*db, twice), ["/records/c: two records of the worldlet have this pk"]);
        assert_eq!(faults(&*db, r#"{"records": {"a": {}}}"#), [] as [&str; 0], "a second import");
    }
}

#[test]
fn two_definitions_of_a_name_are_a_fault() {
    let twice = "is defined twice under `classes`";
    let already = "is defined already: update that definition";
    let record = |name: &str| json!({"class": "puck.uno/class", "name": name}).to_string();
    let cases = [
        (r#"{"classes": {"s.x/v": {}, "s.x/v": {"fields": {}}}}"#.to_owned(), "/classes/s.x~1v", twice),
        (r#"{"classes": {"s.x/v": {}, "s.x/v": {}}}"#.to_owned(), "/classes/s.x~1v", twice),
        (r#"{"classes": {"https://s.x/v": {}, "s.x/v": {}}}"#.to_owned(), "/classes/s.x~1v", twice),
        (
            format!(r#"{{"records": {{"a": {}, "b": {}}}}}"#, record("s.x/v"), record("https://s.x/v")),
            "/records/b",
            already,
        ),
        (
            format!(r#"{{"classes": {{"s.x/v": {{}}}}, "records": {{"b": {}}}}}"#, record("https://s.x/v")),
            "/records/b",
            already,
        ),
        (
            format!(r#"{{"records": {{"b": {}}}, "classes": {{"s.x/v": {{}}}}}}"#, record("s.x/v")),
            "/classes/s.x~1v",
            already,
        ),
    ];
    for (worldlet, place, message) in cases {
        for db in temporal().into_iter().chain(non_temporal()) {
            assert_eq!(faults(&*db, &worldlet), [format!("{place}: `s.x/v` {message}")], "{worldlet}");
        }
    }
}

/// A worldlet with one file, whose keys are in either order.
fn with_file(file: &Value, chunk: &Value, files_first: bool) -> String {
    let (file, chunk) =
        (format!(r#""files": {{"f": {file}}}"#), format!(r#""file_chunks": {{"c": {chunk}}}"#));
    if files_first { format!("{{{file}, {chunk}}}") } else { format!("{{{chunk}, {file}}}") }
}

/// The hash of `make it so`.
const SHA: &str = "a1ba49bcb4ef49e0f24c7ab8ca9dc9cd5dc7ceea2b31a3dbfb83c0b7ec91ac0f";

#[test]
fn the_data_of_a_chunk_may_be_text() {
    let sha = {
        let db = sqlite_in_memory();
        let pk =
            miko_core::MikobaseExt::put_file(&db, &mut "Tea. Earl Grey. Hot. ☕".as_bytes(), "text/plain")
                .unwrap();
        db.file_info(&pk).unwrap().sha256
    };
    let file = json!({"sha256": sha, "mime": {"type": "text/plain", "encoding": "utf-8"}});
    let chunk = json!({"file": "f", "index": 0, "last": true, "data": "Tea. Earl Grey. Hot. ☕"});
    for db in temporal().into_iter().chain(non_temporal()) {
        for files_first in [true, false] {
            assert_eq!(faults(&*db, &with_file(&file, &chunk, files_first)), [] as [&str; 0]);
            assert!(exported(&*db).contains(r#""data":"Tea. Earl Grey. Hot. ☕""#), "it is exported as text");
        }
        if !db.properties().unwrap().temporal {
            let copy = WorldletEngine::in_memory().unwrap();
            copy.read_worldlet(&mut exported(&*db).as_bytes(), false).unwrap();
            assert_eq!(exported(&copy), exported(&*db));
        }
    }
}

#[test]
fn a_fault_of_a_file_is_reported_once() {
    let mime = json!({"type": "text/plain"});
    let chunk = json!({"file": "f", "index": 0, "last": true, "data": ""});
    let bad = |key: &str, value: Value| {
        let mut chunk = chunk.clone();
        chunk[key] = value;
        chunk
    };
    let cases = [
        (json!({"sha256": SHA}), chunk.clone(), "/files/f: `mime` is missing"),
        (json!({"mime": mime}), chunk.clone(), "/files/f: `sha256` is missing"),
        (json!({"sha256": SHA, "mime": 5}), chunk.clone(), "/files/f/mime: "),
        (json!({"sha256": SHA, "mime": mime}), bad("data", json!("?")), "/file_chunks/c/data: "),
        (json!({"sha256": SHA, "mime": mime}), bad("index", json!(-1)), "/file_chunks/c/index: "),
        (json!({"sha256": SHA, "mime": mime}), bad("file", json!(5)), "/file_chunks/c/file: "),
    ];
    for (file, chunk, fault) in cases {
        for files_first in [true, false] {
            for db in non_temporal() {
                let found = faults(&*db, &with_file(&file, &chunk, files_first));
                assert!(found.len() == 1 && found[0].starts_with(fault), "{file} {chunk}: {found:?}");
            }
        }
    }
}

#[test]
fn a_version_of_a_definition_may_have_its_settings_outside_of_a_bucket() {
    let version = |time: &str, fields: Value| {
        json!({"identity": "class", "timestamp": time, "class": "https://puck.uno/class",
               "name": "s.x/ship", "fields": fields, "comment": "no bucket"})
    };
    let ship = |pk: &str, time: &str, bucket: Value| {
        let class = "s.x/ship";
        json!({"identity": pk, "timestamp": time, "class": class, "bucket": bucket})
    };
    let (crew, required) = (json!({"class": "number"}), json!({"required": true}));
    let history = json!({
        "v1": version("2364-01-01T00:00:00Z", json!({"crew": crew})),
        "v2": ship("a", "2364-02-01T00:00:00Z", json!({"crew": 5})),
        "v3": version("2365-01-01T00:00:00Z", json!({"crew": crew, "name": required})),
        "v4": ship("b", "2365-02-01T00:00:00Z", json!({"crew": 1014, "name": "Enterprise"})),
    });
    let records = json!({"class": {}, "b": {}, "a": {}});
    for worldlet in [
        json!({"history": history, "records": records}),
        json!({"records": records, "history": history}),
        json!({"history": history}),
    ] {
        for db in temporal() {
            db.read_worldlet(&mut worldlet.to_string().as_bytes(), true).unwrap();
            let definition = db.record_by_pk("class").unwrap().unwrap();
            assert_eq!(definition.class().unwrap(), "puck.uno/class");
            assert_eq!(
                definition.bucket.to_map().unwrap().keys().collect::<Vec<_>>(),
                ["name", "fields"],
                "the settings are in the bucket now"
            );
            assert_eq!(definition.extras.unwrap().to_string(), r#"{"comment":"no bucket"}"#);
            assert_eq!(db.by_class("s.x/ship").unwrap().count(), 2, "{worldlet}");
            assert!(db.create("s.x/ship", &json!({"crew": 1})).is_err(), "the last definition is in force");
            let then = json!({"class": "s.x/ship", "cutoff": "2364-06-01T00:00:00Z"});
            assert_eq!(db.select(then).unwrap().count(), 1);
            let copy = WorldletEngine::temporal_in_memory().unwrap();
            copy.read_worldlet(&mut exported(&*db).as_bytes(), true).unwrap();
            assert_eq!(exported(&copy), exported(&*db));
        }
    }
    let bad = json!({"history": {"v1": version("2364-01-01T00:00:00Z", json!({"crew": 5}))}});
    for db in temporal() {
        let found = faults(&*db, &bad.to_string());
        assert!(found.len() == 1 && found[0].starts_with("/history/v1/"), "{found:?}");
    }
}

#[test]
fn an_array_under_records_is_a_bare_value_and_no_stub() {
    for db in temporal() {
        for worldlet in [
            r#"{"properties": {"temporal": true}, "records": {"a": []}}"#,
            r#"{"records": {"b": ["2026-05-28T07:00:00Z"]}, "properties": {"temporal": true}}"#,
        ] {
            assert_eq!(faults(&*db, worldlet), [] as [&str; 0], "{worldlet}");
        }
        let record = |pk| db.record_by_pk(pk).unwrap().unwrap();
        assert_eq!(record("a").class().unwrap(), "puck.uno/value");
        assert_eq!(record("a").bucket.as_str(), r#"{"value":[]}"#);
        assert_eq!(record("b").bucket.as_str(), r#"{"value":["2026-05-28T07:00:00Z"]}"#);
    }
}

#[test]
fn an_array_is_no_mark_of_a_temporal_worldlet() {
    let is_temporal = |text: &str| miko_core::is_temporal_worldlet(&mut text.as_bytes());
    for text in ["[{\"temporal\": true}, {}]", "[[true]]", r#"{"properties": [true]}"#, r#"{"history": [1]}"#]
    {
        assert!(!is_temporal(text), "{text}");
    }
    for text in [
        r#"{"properties": {"temporal": true}}"#,
        r#"{"history": {"1": 1}}"#,
        "\u{FEFF}{\"history\": {\"1\": 1}}",
    ] {
        assert!(is_temporal(text), "{text}");
        assert!(!is_temporal(&format!("{text} 1")), "{text}");
    }
}

#[test]
fn a_repeated_key_does_not_hide_that_a_worldlet_is_temporal() {
    const VERSION: &str = r#""v": {"identity": "a", "timestamp": "2026-05-28T07:30:00Z", "bucket": {}}"#;
    for (worldlet, expected) in [
        (format!(r#"{{"history": {{{VERSION}}}, "history": {{}}}}"#), true),
        (format!(r#"{{"history": {{}}, "history": {{{VERSION}}}}}"#), true),
        (r#"{"properties": {"temporal": true}, "properties": {}}"#.to_owned(), true),
        (r#"{"properties": {"temporal": true}, "properties": {"temporal": false}}"#.to_owned(), false),
        (r#"{"properties": {"temporal": false}, "properties": {"temporal": true}}"#.to_owned(), true),
        (r#"{"properties": {"temporal": false, "temporal": true}}"#.to_owned(), true),
    ] {
        assert_eq!(miko_core::is_temporal_worldlet(&mut worldlet.as_bytes()), expected, "{worldlet}");
        for db in temporal() {
            assert_eq!(faults(&*db, &worldlet), [] as [&str; 0], "{worldlet}");
        }
        if expected {
            for db in non_temporal() {
                assert_ne!(faults(&*db, &worldlet), [] as [&str; 0], "{worldlet}");
            }
        }
    }
}

#[test]
fn a_pk_that_two_entries_have_is_a_fault_whether_they_are_stubs_or_records() {
    let properties = r#""properties": {"temporal": true}"#;
    let history = r#""history": {"v": {"identity": "a", "timestamp": "2026-05-28T07:30:00Z", "bucket": {}}}"#;
    let stub = r#"{"created_at": "2026-05-28T07:00:00Z"}"#;
    let (text_record, record) =
        (r#"{"bucket": {"n": 1}, "stack": {"x": {"class": "a.b/c"}}}"#, r#"{"bucket": {"n": 1}}"#);
    let pairs = [("{}", record), (record, "{}"), ("{}", text_record), (text_record, "{}"), (stub, "{}")];
    for (one, other) in pairs {
        let records = format!(r#""records": {{"a": {one}, "a": {other}}}"#);
        for parts in [
            vec![properties, &records, history],
            vec![&records, properties, history],
            vec![&records, history, properties],
            vec![properties, &records],
            vec![&records, properties],
        ] {
            let worldlet = format!("{{{}}}", parts.join(", "));
            for db in temporal() {
                // Also if the record exists before the import.
                for _ in 0..2 {
                    let found = faults(&*db, &worldlet);
                    let twice = "/records/a: two records of the worldlet have this pk".to_owned();
                    assert!(found.contains(&twice), "{worldlet}: {found:?}");
                    assert_eq!(faults(&*db, r#"{"records": {"a": {"bucket": {}}}}"#), [] as [&str; 0]);
                }
            }
        }
    }
}
