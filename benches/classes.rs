//! What classes cost and give, and how fast a whole Mikobase goes in and out, on 100,000 records:
//! `cargo bench --bench classes`.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints what it measures")]

mod support;

use mikobase::{Engine, Mikobase, MikobaseExt, SqliteEngine, json};
use serde_json::Value;
use support::{Samples, Table, interleaved, seconds_per_call};

const RECORDS: usize = 100_000;
const ROUNDS: usize = 5;

/// How many officers share a rank.
const PER_RANK: usize = 20;

fn main() {
    if support::wanted() {
        println!("{}", lookups());
        println!("{}", writes());
        println!("{}", worldlets());
    }
}

fn bucket(n: usize) -> Value {
    json!({"serial": format!("SP-{n:06}"), "rank": n / PER_RANK,
           "name": {"given": "Red", "surname": format!("Shirt {n}")},
           "active": n.is_multiple_of(2), "languages": ["en", "fr"], "height": 1.5 + n as f64 / 1e6})
}

/// Officers whose serial number is unique and whose rank is indexed, or neither.
fn officers(indexed: bool) -> SqliteEngine {
    let db = SqliteEngine::in_memory().unwrap();
    let fields = json!({"serial": {"class": "string", "unique": indexed},
                        "rank": {"class": "number", "index": indexed}});
    db.import_schema(json!({"classes": {"starfleet.com/officer": {"fields": fields}}})).unwrap();
    db
}

fn fill(db: &SqliteEngine) {
    for n in 0..RECORDS {
        db.create("starfleet.com/officer", &bucket(n)).unwrap();
    }
}

/// Equality on a field, with an index and without: microseconds per select.
fn lookups() -> Table {
    let mut engines = [officers(true), officers(false)];
    engines.iter().for_each(fill);
    let mut table = Table::new(["with index", "without"]);
    let select = |path: Value| json!({"action": "select", "class": "starfleet.com/officer", "path": path});
    let by_serial: fn(usize) -> Value = |n| json!(["serial", format!("SP-{n:06}")]);
    let by_rank: fn(usize) -> Value = |n| json!(["rank", n / PER_RANK]);
    let workloads = [
        ("one record by a unique field, µs", by_serial, 1),
        ("20 records by an indexed field, µs", by_rank, PER_RANK),
    ];
    for (name, path, expected) in workloads {
        let mut number = 0;
        let samples = interleaved(ROUNDS, &mut engines, |db| {
            1e6 * seconds_per_call(5, |_| {
                number = (number + 7919) % RECORDS;
                let found = db.q0(select(path(number))).unwrap().into_records().unwrap();
                assert_eq!(found.count(), expected);
            })
        });
        table.measured(name, &samples);
    }
    table
}

/// What a class costs the writer: microseconds per create.
fn writes() -> Table {
    let mut table = Table::new(["no definition", "fields", "and an index", "and a unique field"]);
    let definitions = [
        json!({}),
        json!({"starfleet.com/officer": {"fields":
            {"serial": {"class": "string"}, "rank": {"class": "number"}}}}),
        json!({"starfleet.com/officer": {"fields":
            {"serial": {"class": "string"}, "rank": {"class": "number", "index": true}}}}),
        json!({"starfleet.com/officer": {"fields":
            {"serial": {"class": "string", "unique": true}, "rank": {"class": "number", "index": true}}}}),
    ];
    let mut variants = definitions.map(|classes| {
        let db = SqliteEngine::in_memory().unwrap();
        db.import_schema(json!({ "classes": classes })).unwrap();
        (db, 0)
    });
    let samples = interleaved(ROUNDS, &mut variants, |(db, written)| {
        1e6 * seconds_per_call(5000, |_| {
            *written += 1;
            db.create("starfleet.com/officer", &bucket(*written)).unwrap();
        })
    });
    table.measured("create, µs", &samples);
    table
}

/// A whole Mikobase in and out, beside `serde_json` on the same bytes: MB/s.
fn worldlets() -> Table {
    let db = officers(true);
    fill(&db);
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    let megabytes = text.len() as f64 / 1e6;
    let value: Value = serde_json::from_slice(&text).unwrap();
    let mut table = Table::new(["serde_json: parse", "import", "serde_json: print", "export"]);
    let run = |variant: &mut usize| match variant {
        0 => drop(serde_json::from_slice::<Value>(&text).unwrap()),
        1 => {
            let copy = SqliteEngine::in_memory().unwrap();
            assert_eq!(copy.read_worldlet(&mut text.as_slice(), false).unwrap().records, RECORDS as u64 + 1);
        }
        2 => drop(serde_json::to_vec(&value).unwrap()),
        _ => {
            let mut out = Vec::with_capacity(text.len());
            db.write_worldlet(&mut out).unwrap();
            assert_eq!(out.len(), text.len());
        }
    };
    let samples: Vec<Samples> =
        interleaved(ROUNDS, &mut [0, 1, 2, 3], |variant| megabytes / seconds_per_call(1, |_| run(variant)));
    table.measured(format!("{RECORDS} records, {megabytes:.0} MB, MB/s"), &samples);
    table
}
