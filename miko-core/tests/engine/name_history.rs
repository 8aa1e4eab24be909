//! Names of classes are unique among the definitions that are active at any one time, now and in the past.

use miko_core::backend::Mode;
use miko_core::{Engine, MikobaseExt, WorldletEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{cases, open_sqlite, open_temporal_sqlite, sqlite_in_memory, temporal_sqlite_in_memory};

/// One empty database of each kind, in a folder.
fn databases(folder: &std::path::Path, temporal: bool) -> Vec<(Box<dyn Engine>, Option<String>)> {
    let [db, json] = ["db", "json"].map(|end| folder.join(format!("{temporal}.{end}")));
    let names = [&db, &json].map(|path| Some(path.to_str().unwrap().to_owned()));
    let [db_name, json_name] = names;
    if temporal {
        return vec![
            (Box::new(temporal_sqlite_in_memory()), None),
            (Box::new(WorldletEngine::temporal_in_memory().unwrap()), None),
            (Box::new(open_temporal_sqlite(&db, Mode::ReadWrite).unwrap()), db_name),
            (Box::new(WorldletEngine::open_temporal(&json, Mode::ReadWrite).unwrap()), json_name),
        ];
    }
    vec![
        (Box::new(sqlite_in_memory()), None),
        (Box::new(WorldletEngine::in_memory().unwrap()), None),
        (Box::new(open_sqlite(&db, Mode::ReadWrite).unwrap()), db_name),
        (Box::new(WorldletEngine::open(&json, Mode::ReadWrite).unwrap()), json_name),
    ]
}

fn empty(temporal: bool) -> [Box<dyn Engine>; 2] {
    if temporal {
        return [
            Box::new(temporal_sqlite_in_memory()),
            Box::new(WorldletEngine::temporal_in_memory().unwrap()),
        ];
    }
    [Box::new(sqlite_in_memory()), Box::new(WorldletEngine::in_memory().unwrap())]
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn exported(db: &dyn Engine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Runs a write. A refused write, such as one with a name in use, is ignored.
fn write(db: &dyn Engine, request: Value) {
    let _ = db.q0(request);
}

/// Checks that the state is equal after export, import, merge and reopening.
#[track_caller]
fn check_round_trips(db: Box<dyn Engine>, path: Option<String>, temporal: bool) {
    let text = exported(&*db);
    let schema = db.export_schema().unwrap();
    drop(db);
    for copy in empty(temporal) {
        copy.read_worldlet(&mut text.as_bytes(), false).unwrap();
        assert_eq!(exported(&*copy), text);
        assert_eq!(copy.export_schema().unwrap(), schema);
    }
    if temporal {
        for copy in empty(temporal) {
            let merged = copy.merge(serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(merged.rejected, [] as [&str; 0]);
            assert_eq!(exported(&*copy), text);
        }
    }
    let Some(path) = path else { return };
    let reopened: Box<dyn Engine> = match path.ends_with(".db") {
        true => Box::new(open_sqlite(&path, Mode::ReadWrite).unwrap()),
        false => Box::new(WorldletEngine::open(&path, Mode::ReadWrite).unwrap()),
    };
    assert_eq!(exported(&*reopened), text);
    assert_eq!(reopened.export_schema().unwrap(), schema);
}

#[test]
fn a_name_that_was_given_up_can_be_taken_by_another_definition() {
    let folder = folder();
    for temporal in [false, true] {
        for rename in [false, true] {
            let folder = folder.path().join(rename.to_string());
            std::fs::create_dir_all(&folder).unwrap();
            for (db, path) in databases(&folder, temporal) {
                let define = |name| db.create("puck.uno/class", &json!({"name": name})).unwrap();
                let (p, q) = (define("a.b/p"), define("a.b/q"));
                if rename {
                    db.update(&q, &json!({"name": "a.b/r"})).unwrap();
                } else {
                    db.delete(&q).unwrap();
                }
                db.update(&p, &json!({"name": "a.b/q"})).unwrap();
                check_round_trips(db, path, temporal);
            }
        }
    }
}

#[test]
fn an_import_that_fails_releases_no_name() {
    for db in empty(true) {
        let version = |time: &str, name: &str| {
            let bucket = json!({"name": name});
            json!({"identity": "p", "timestamp": time, "bucket": bucket, "class": "puck.uno/class"})
        };
        let worldlet = json!({
            "properties": {"temporal": true}, "records": {"p": {}, "q": {}},
            "history": {
                "v1": version("8000-01-01T00:00:00.000Z", "a.b/c"),
                "v2": version("9000-01-01T00:00:00.000Z", "a.b/d"),
            },
        });
        let error = db.read_worldlet(&mut worldlet.to_string().as_bytes(), false).unwrap_err();
        // The only fault: there is no version of `q`. The import has ended the definition of `a.b/c`, in the
        // year 9000, before it finds that.
        let pointers: Vec<&Value> = error.items().iter().map(|item| &item.details["pointer"]).collect();
        assert_eq!(pointers, ["/records/q"], "{error}");
        let pk = db.create("puck.uno/class", &json!({"name": "a.b/c"})).unwrap();
        let created = db.record_by_pk(&pk).unwrap().unwrap().updated_at.to_string();
        assert!(*created < *"8000", "{created}");
    }
}

#[derive(Debug, Clone)]
enum NameStep {
    Define(u8),
    Rename(usize, u8),
    Delete(usize),
    Swap(usize, u8),
}

fn step() -> impl Strategy<Value = NameStep> {
    prop_oneof![
        (0..3_u8).prop_map(NameStep::Define),
        (0..4_usize, 0..3_u8).prop_map(|(definition, name)| NameStep::Rename(definition, name)),
        (0..4_usize).prop_map(NameStep::Delete),
        (0..4_usize, 0..3_u8).prop_map(|(definition, name)| NameStep::Swap(definition, name)),
    ]
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn a_state_with_any_history_of_names_can_be_exported_merged_and_reopened(
        temporal in any::<bool>(),
        steps in prop::collection::vec(step(), 1..16),
    ) {
        let folder = folder();
        for (db, path) in databases(folder.path(), temporal) {
            let mut pks = Vec::new();
            let named = |name: &u8| json!({"name": format!("a.b/c{name}")});
            let create = |name| json!({"action": "create", "class": "puck.uno/class", "bucket": named(name)});
            let delete = |pk: &String| json!({"action": "delete", "pk": pk});
            for step in &steps {
                match step {
                    NameStep::Define(name) => {
                        pks.extend(db.q0(create(name)).and_then(miko_core::Response::into_pk));
                    }
                    NameStep::Rename(definition, name) => {
                        let Some(pk) = pks.get(*definition) else { continue };
                        write(&*db, json!({"action": "update", "pk": pk, "bucket": named(name)}));
                    }
                    NameStep::Delete(definition) => {
                        let Some(pk) = pks.get(*definition) else { continue };
                        write(&*db, delete(pk));
                    }
                    // Both in one transaction, and so with the same time.
                    NameStep::Swap(definition, name) => {
                        let Some(pk) = pks.get(*definition) else { continue };
                        let _ = db.batch(vec![delete(pk), create(name)], true);
                    }
                }
            }
            check_round_trips(db, path, temporal);
        }
    }
}

#[test]
fn two_definitions_of_a_name_that_overlap_in_time_are_refused() {
    let version = |pk: &str, year: u32, name: Option<&str>| {
        let mut entry = json!({"identity": pk, "active": name.is_some(),
                               "timestamp": format!("{year}-01-01T00:00:00.000Z")});
        if let Some(name) = name {
            entry["class"] = "puck.uno/class".into();
            entry["bucket"] = json!({"name": name});
        }
        entry
    };
    let (q, http) = (Some("a.b/q"), Some("https://a.b/q"));
    let cases = [
        (vec![("p", 2001, q), ("p", 2003, None), ("q", 2002, q), ("q", 2004, None)], Some("/history/2")),
        (vec![("p", 2001, q), ("q", 2002, http), ("q", 2003, None)], Some("/history/1")),
        (vec![("p", 2001, q), ("q", 2002, http)], Some("/history/1")),
        (vec![("p", 2001, q), ("p", 2002, None), ("q", 2002, q)], None),
        (vec![("q", 2002, q), ("p", 2002, None), ("p", 2001, q)], None),
    ];
    for (versions, fault) in cases {
        let entries = versions.iter().enumerate();
        let entries = entries.map(|(index, (pk, year, name))| (index.to_string(), version(pk, *year, *name)));
        let worldlet = json!({"history": entries.collect::<serde_json::Map<_, _>>()});
        for db in empty(true) {
            let before = exported(&*db);
            match (db.read_worldlet(&mut worldlet.to_string().as_bytes(), false), fault) {
                (Ok(_), None) => {}
                (Err(error), Some(place)) => {
                    assert_eq!(error.items()[0].details["pointer"], place, "{error}");
                    assert_eq!(error.items()[0].details["reason"], "duplicate-class");
                    assert_eq!(exported(&*db), before);
                }
                (other, _) => panic!("{worldlet}: {other:?}"),
            }
        }
    }
}

/// All orders of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let shorter = orders(last);
    (0..count)
        .flat_map(|at| {
            shorter.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(at, last);
                order
            })
        })
        .collect()
}

#[test]
fn records_may_exchange_the_names_of_classes_in_any_order_of_the_text() {
    // The records before the import, which define `a.b/0`, `a.b/1` and so on; the imported ones, each with
    // the year of its time and the name that it defines then; and the years in which those begin.
    let cases = [
        // A new record takes the name of one that is no longer a definition.
        (1, vec![(8002, None), (8001, Some(0))], vec![8002, 8002]),
        (1, vec![(8001, None), (8002, Some(0))], vec![8001, 8002]),
        // The names move on from record to record.
        (2, vec![(8003, None), (8001, Some(0)), (8002, Some(1))], vec![8003, 8003, 8003]),
        (
            3,
            vec![(8001, None), (8003, Some(0)), (8002, Some(1)), (8001, Some(2))],
            vec![8001, 8003, 8003, 8003],
        ),
        // A circle.
        (3, vec![(8001, Some(1)), (8003, Some(2)), (8002, Some(0))], vec![8003, 8003, 8003]),
        (2, vec![(8002, Some(1)), (8001, Some(0)), (8000, Some(7))], vec![8002, 8002, 8000]),
    ];
    for (before, imported, expected) in cases {
        let define = |name: usize| json!({"class": "puck.uno/class", "name": format!("a.b/{name}")});
        let records = |records: Vec<(usize, Value)>| {
            let records = records.into_iter().map(|(pk, record)| (format!("r{pk}"), record));
            json!({"records": records.collect::<serde_json::Map<_, _>>()}).to_string()
        };
        let definitions = records((0..before).map(|name| (name, define(name))).collect());
        let in_year = |&(year, name): &(u32, Option<usize>)| {
            let mut record = name.map_or_else(|| json!({"bucket": {}}), define);
            record["updated_at"] = format!("{year}-01-01T00:00:00.000Z").into();
            record
        };
        for order in orders(imported.len()) {
            let worldlet = records(order.iter().map(|&pk| (pk, in_year(&imported[pk]))).collect());
            for db in empty(true) {
                db.read_worldlet(&mut definitions.as_bytes(), false).unwrap();
                db.read_worldlet(&mut worldlet.as_bytes(), false)
                    .unwrap_or_else(|error| panic!("{worldlet}: {error}"));
                let year = |pk| {
                    let record = db.record_by_pk(&format!("r{pk}")).unwrap().unwrap();
                    record.updated_at.to_string()[..4].parse::<u32>().unwrap()
                };
                assert_eq!((0..imported.len()).map(year).collect::<Vec<_>>(), expected, "{worldlet}");
                if order.is_sorted() {
                    check_round_trips(db, None, true);
                }
            }
        }
    }
}
