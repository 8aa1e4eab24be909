//! How a record is best kept in SQLite: the bucket as text or JSONB, the database in memory or as a WAL file on
//! `/dev/shm`, conditions evaluated by SQLite or by us, and readers kept from an open transaction.
//!
//! Decisions 0002, 0003 and 0004 in `docs/decisions` rest on it. Run: `cargo bench --bench storage`.

#![allow(clippy::print_stdout, reason = "a bench reports to its terminal")]

mod support;

use std::fmt::Formatter;
use std::hint::black_box;
use std::path::Path;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use support::{Samples, Table, interleaved, seconds_per_call};
use tempfile::TempDir;

const PRELOADED: usize = 100_000;
const ROUNDS: usize = 7;
const STACK: &str = r#"{"shadow":{},"officer":{"class":"starfleet.com/officer"}}"#;
const RANKS: [&str; 8] =
    ["Crewman", "Ensign", "Lieutenant", "Commander", "Captain", "Commodore", "Admiral", "Cadet"];
const SHIPS: usize = 500;

/// How the records of one class are found.
const MEMBERS: &str = "(SELECT * FROM membership JOIN record USING (seq) WHERE class_id = 1)";

/// The two conditions of the scan, as `matches` takes them.
const PLAN: [Condition; 2] = [("rank", Test::Is("Commander")), ("age", Test::Above(60.0))];

fn main() {
    if !support::wanted() {
        return;
    }
    let preloaded = records(PRELOADED);
    let mut stores: Vec<_> = LAYOUTS.iter().map(|layout| Store::in_memory(layout, &preloaded)).collect();
    stores.push(Store::in_shared_memory(&LAYOUTS[0], &preloaded));
    let fresh = records(6_000);

    println!("Bucket {} bytes on average.\n", average_size(&preloaded));
    println!("{}", workloads(&mut stores, &preloaded, &fresh));
    println!("{}", conditions(&stores[0], &stores[1]));
    println!("{}", open_transactions(&stores[0], &stores[3], &fresh, &preloaded[0].pk));
    println!("{}", reads_beside_a_transaction(&stores[0], &stores[3], &fresh, &preloaded));
}

// ---- data ----

struct Record {
    pk: String,
    bucket: String,
    created_at: i64,
}

fn records(count: usize) -> Vec<Record> {
    (0..count)
        .map(|n| Record { pk: uuid::Uuid::now_v7().to_string(), bucket: bucket(n), created_at: n as i64 })
        .collect()
}

/// Strides that share no divisor make the fields vary independently without a random generator.
fn bucket(n: usize) -> String {
    format!(
        r#"{{"name":"Officer {n:06}","rank":"{}","serial":"SC-{n:08}","ship":"ship-{:03}","age":{},"score":{}.5,"active":{},"medals":["valor","service"],"home":{{"city":"Riverside","planet":"Earth"}}}}"#,
        RANKS[n % RANKS.len()],
        n * 7 % SHIPS,
        n * 13 % 81,
        n % 97,
        n.is_multiple_of(3),
    )
}

fn average_size(records: &[Record]) -> usize {
    records.iter().map(|record| record.bucket.len()).sum::<usize>() / records.len()
}

// ---- stores ----

/// Where a bucket goes, and which expression gives its text and which its parts.
struct Layout {
    name: &'static str,
    declared: &'static str,
    columns: &'static str,
    inserted: &'static str,
    text: &'static str,
    parts: &'static str,
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "text",
        declared: "bucket TEXT NOT NULL",
        columns: "bucket",
        inserted: "?2",
        text: "bucket",
        parts: "bucket",
    },
    Layout {
        name: "JSONB",
        declared: "bucket BLOB NOT NULL",
        columns: "bucket",
        inserted: "jsonb(?2)",
        text: "json(bucket)",
        parts: "bucket",
    },
    Layout {
        name: "both",
        declared: "bucket TEXT NOT NULL, parsed BLOB NOT NULL",
        columns: "bucket, parsed",
        inserted: "?2, jsonb(?2)",
        text: "bucket",
        parts: "parsed",
    },
];

struct Sql {
    insert: String,
    read: String,
    scan: String,
    indexed: String,
}

impl Sql {
    fn new(Layout { columns, inserted, text, parts, .. }: &Layout) -> Self {
        Self {
            insert: format!(
                "INSERT INTO record (pk, {columns}, stack, created_at, updated_at) VALUES (?1, {inserted}, ?3, ?4, ?4)"
            ),
            read: format!("SELECT {text} FROM record WHERE pk = ?1"),
            scan: format!(
                "SELECT {text} FROM {MEMBERS} WHERE {parts} ->> '$.rank' = 'Commander' \
                 AND json_type({parts}, '$.rank') = 'text' AND {parts} ->> '$.age' > 60 \
                 AND json_type({parts}, '$.age') IN ('integer', 'real')"
            ),
            indexed: format!(
                "SELECT {text} FROM record WHERE {parts} ->> '$.ship' = ?1 \
                 AND json_type({parts}, '$.ship') = 'text' LIMIT 10"
            ),
        }
    }
}

struct Store {
    name: String,
    sql: Sql,
    writer: Connection,
    /// Present where readers have a connection of their own, which an open transaction does not disturb.
    reader: Option<Connection>,
    _directory: Option<TempDir>,
}

impl Store {
    fn in_memory(layout: &Layout, records: &[Record]) -> Self {
        let writer = Connection::open_in_memory().expect("memory is there");
        Self {
            name: format!("{}, `:memory:`", layout.name),
            sql: Sql::new(layout),
            writer,
            reader: None,
            _directory: None,
        }
        .filled(layout, records)
    }

    fn in_shared_memory(layout: &Layout, records: &[Record]) -> Self {
        let directory =
            TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a directory to write in");
        let file = directory.path().join("bench.db");
        Self {
            name: format!("{}, WAL", layout.name),
            sql: Sql::new(layout),
            writer: open_wal(&file),
            reader: Some(open_wal(&file)),
            _directory: Some(directory),
        }
        .filled(layout, records)
    }

    fn filled(self, Layout { declared, parts, .. }: &Layout, records: &[Record]) -> Self {
        self.run(&format!(
            "CREATE TABLE record (seq INTEGER PRIMARY KEY, pk TEXT NOT NULL UNIQUE, {declared}, stack TEXT NOT NULL,
                                  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;
             CREATE TABLE class (id INTEGER PRIMARY KEY, uns TEXT NOT NULL UNIQUE) STRICT;
             CREATE TABLE membership (class_id INTEGER NOT NULL, seq INTEGER NOT NULL,
                                      PRIMARY KEY (class_id, seq)) STRICT, WITHOUT ROWID;
             CREATE INDEX by_ship ON record ({parts} ->> '$.ship');
             INSERT INTO class VALUES (1, 'starfleet.com/officer');
             BEGIN"
        ));
        records.iter().for_each(|record| self.insert(record));
        self.run("COMMIT");
        assert_eq!(
            self.read(&records[0].pk).as_deref(),
            Some(records[0].bucket.as_bytes()),
            "text comes back as it went in"
        );
        self
    }

    fn run(&self, sql: &str) {
        self.writer.execute_batch(sql).expect("the bench's own SQL");
    }

    fn readers(&self) -> &Connection {
        self.reader.as_ref().unwrap_or(&self.writer)
    }

    /// `BEGIN`, `COMMIT` and `ROLLBACK` are calls like any other: prepared once.
    fn step(&self, sql: &str) {
        self.writer
            .prepare_cached(sql)
            .and_then(|mut s| s.execute([]))
            .expect("transactions are properly nested");
    }

    fn insert(&self, record: &Record) {
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            self.writer.prepare_cached(sql).and_then(|mut s| s.execute(values)).expect("keys are fresh");
        };
        insert(&self.sql.insert, params![record.pk, record.bucket, STACK, record.created_at]);
        insert("INSERT INTO membership VALUES (1, ?1)", params![self.writer.last_insert_rowid()]);
    }

    fn create(&self, record: &Record) {
        self.step("BEGIN IMMEDIATE");
        self.insert(record);
        self.step("COMMIT");
    }

    fn read(&self, pk: &str) -> Option<Vec<u8>> {
        let mut statement = self.readers().prepare_cached(&self.sql.read).expect("valid SQL");
        statement
            .query_row([pk], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))
            .optional()
            .expect("a readable row")
    }

    /// Runs a query, takes up every row's bytes, and counts the rows.
    fn count(&self, sql: &str, parameters: impl rusqlite::Params) -> usize {
        let mut statement = self.readers().prepare_cached(sql).expect("valid SQL");
        let mut rows = statement.query(parameters).expect("parameters fit");
        let (mut count, mut bytes) = (0, Vec::new());
        while let Some(row) = rows.next().expect("a readable row") {
            bytes.extend_from_slice(row.get_ref(0).and_then(|value| Ok(value.as_bytes()?)).expect("text"));
            count += 1;
        }
        count
    }

    /// Puts the store back to what was preloaded, outside of anything timed.
    fn shrink(&self) {
        self.run(&format!(
            "DELETE FROM record WHERE seq > {PRELOADED}; DELETE FROM membership WHERE seq > {PRELOADED}"
        ));
    }

    fn bytes_per_record(&self) -> f64 {
        let pragma =
            |name| self.writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a number");
        (pragma("page_count") * pragma("page_size")) as f64 / PRELOADED as f64
    }
}

fn open_wal(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("the directory is ours");
    connection
        .execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = off; PRAGMA mmap_size = 1073741824")
        .expect("known pragmas");
    connection
}

// ---- create, read, scan, indexed ----

fn workloads(stores: &mut [Store], preloaded: &[Record], fresh: &[Record]) -> Table {
    let mut table = Table::new(stores.iter().map(|store| store.name.as_str()));
    let sizes: Vec<_> = stores.iter().map(|store| Samples::exact(store.bytes_per_record())).collect();

    table.measured(
        "create, /s",
        &interleaved(ROUNDS, stores, |store| {
            let seconds = seconds_per_call(fresh.len(), |n| store.create(&fresh[n]));
            store.shrink();
            1.0 / seconds
        }),
    );
    table.measured(
        "read by key, /s",
        &interleaved(ROUNDS, stores, |store| {
            // A stride that shares no divisor with the count visits every key, never its neighbour next.
            1.0 / seconds_per_call(30_000, |n| {
                assert!(store.read(&preloaded[n * 7_919 % PRELOADED].pk).is_some());
            })
        }),
    );
    table.measured(
        "scan, two conditions, /s",
        &interleaved(ROUNDS, stores, |store| {
            1.0 / seconds_per_call(2, |_| assert!(store.count(&store.sql.scan, []) > 0))
        }),
    );
    table.measured(
        "indexed equality, limit 10, /s",
        &interleaved(ROUNDS, stores, |store| {
            1.0 / seconds_per_call(1_000, |n| {
                assert_eq!(store.count(&store.sql.indexed, [format!("ship-{:03}", n % SHIPS)]), 10);
            })
        }),
    );
    table.measured("bytes per record", &sizes);
    table
}

// ---- who evaluates a condition ----

fn conditions(text: &Store, jsonb: &Store) -> Table {
    offer_matches(&text.writer);
    let scan = |condition| format!("SELECT bucket FROM {MEMBERS} WHERE {condition}");
    let mut variants = [
        ("SQLite, on text", text, text.sql.scan.clone()),
        ("Rust, a call per condition", text, scan("matches(bucket, 0, 1) AND matches(bucket, 1, 2)")),
        ("Rust, one call for both", text, scan("matches(bucket, 0, 2)")),
        ("SQLite, on JSONB", jsonb, jsonb.sql.scan.clone()),
        ("nothing evaluated, nothing found", text, scan("bucket = ''")),
    ];
    let [hits @ .., _] = variants.each_ref().map(|(_, store, sql)| store.count(sql, []));
    assert!(hits.iter().all(|&n| n > 0 && n == hits[0]), "all evaluate alike: {hits:?}");

    let mut table = Table::new(variants.each_ref().map(|(name, ..)| *name));
    let mut scans = |workload: &str, variants: &mut [(_, &Store, String)]| {
        let per_second = |(_, store, sql): &mut (_, &Store, String)| {
            1.0 / seconds_per_call(3, |_| {
                black_box(store.count(sql, []));
            })
        };
        table.measured(workload, &interleaved(ROUNDS, variants, per_second));
    };
    scans("scan of a class through `membership`, /s", &mut variants);
    variants.iter_mut().for_each(|(.., sql)| *sql = sql.replace(MEMBERS, "record"));
    scans("scan of `record` alone, /s", &mut variants);
    table
}

/// A condition on one field of a bucket; all of a plan's must hold.
type Condition = (&'static str, Test);

#[derive(Clone, Copy)]
enum Test {
    Is(&'static str),
    Above(f64),
}

impl Test {
    fn holds(self, value: &RawValue) -> bool {
        let json = value.get();
        match self {
            Self::Is(expected) if json.starts_with('"') => Lend(|text: &str| text == expected)
                .deserialize(&mut serde_json::Deserializer::from_str(json))
                .unwrap_or(false),
            Self::Above(least) => json.parse::<f64>().is_ok_and(|number| number > least),
            Self::Is(_) => false,
        }
    }
}

/// Registers `matches(text, from, to)`: do the plan's conditions from one number to another hold?
fn offer_matches(connection: &Connection) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection
        .create_scalar_function("matches", 3, flags, |context| {
            let (from, to) = (context.get::<u8>(1)?, context.get::<u8>(2)?);
            Ok(matches(context.get_raw(0).as_str()?, &PLAN[from.into()..to.into()]))
        })
        .expect("a free name");
}

fn matches(object: &str, plan: &[Condition]) -> bool {
    let mut walk = Walk { plan, verdict: false };
    // Stopping early leaves text unread, which serde_json calls an error; the verdict stands nevertheless.
    let _ = serde_json::Deserializer::from_str(object).deserialize_map(&mut walk);
    walk.verdict
}

/// Goes through an object once, skips what no condition names, stops when one fails or all have held.
struct Walk<'p> {
    plan: &'p [Condition],
    verdict: bool,
}

impl<'de> Visitor<'de> for &mut Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut waiting = self.plan.len();
        let find = |key: &str| self.plan.iter().find(|(name, _)| *name == key);
        while let Some(condition) = map.next_key_seed(Lend(find))? {
            let Some((_, test)) = condition else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !test.holds(map.next_value()?) {
                return Ok(());
            }
            waiting -= 1;
            if waiting == 0 {
                self.verdict = true;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Lends a string, its escapes resolved, to a closure: no allocation for what is only compared.
struct Lend<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Lend<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Lend<F> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

// ---- how readers are kept from an open transaction ----

/// An open transaction. With one connection for all, a reader's call rolls it back, and its own next call replays
/// what it had written; as other writers wait, nothing can have changed meanwhile.
struct Open<'s> {
    store: &'s Store,
    written: Vec<&'s Record>,
    applied: bool,
}

impl<'s> Open<'s> {
    fn new(store: &'s Store) -> Self {
        Self { store, written: Vec::new(), applied: false }
    }

    fn apply(&mut self) {
        if !self.applied {
            self.store.step("BEGIN IMMEDIATE");
            self.written.iter().for_each(|record| self.store.insert(record));
            self.applied = true;
        }
    }

    fn write(&mut self, record: &'s Record) {
        self.apply();
        self.store.insert(record);
        self.written.push(record);
    }

    /// Somebody else's read.
    fn read_beside(&mut self, pk: &str) -> Option<Vec<u8>> {
        if self.applied && self.store.reader.is_none() {
            self.store.step("ROLLBACK");
            self.applied = false;
        }
        self.store.read(pk)
    }

    fn commit(mut self) {
        self.apply();
        self.store.step("COMMIT");
    }
}

#[derive(Clone, Copy)]
enum Readers {
    None,
    OneAtTheEnd,
    AfterEachWrite,
}

fn transaction(store: &Store, records: &[Record], readers: Readers, other: &str) {
    let mut open = Open::new(store);
    for (n, record) in records.iter().enumerate() {
        open.write(record);
        let last = n + 1 == records.len();
        if matches!(readers, Readers::AfterEachWrite) || last && matches!(readers, Readers::OneAtTheEnd) {
            assert!(open.read_beside(other).is_some());
        }
    }
    open.commit();
}

fn open_transactions(memory: &Store, wal: &Store, fresh: &[Record], other: &str) -> Table {
    assert_hidden(memory, fresh);
    assert_hidden(wal, fresh);
    let mut cases = [
        ("`:memory:`, no reader", memory, Readers::None),
        ("replay, one read before the commit", memory, Readers::OneAtTheEnd),
        ("replay, a read after each write", memory, Readers::AfterEachWrite),
        ("WAL, no reader", wal, Readers::None),
        ("WAL, one read before the commit", wal, Readers::OneAtTheEnd),
        ("WAL, a read after each write", wal, Readers::AfterEachWrite),
    ];
    let mut table = Table::new(cases.map(|(name, ..)| name));
    for size in [2, 10, 100] {
        let samples = interleaved(ROUNDS, &mut cases, |(_, store, readers)| {
            let transactions: Vec<_> = fresh[..2_000].chunks(size).collect();
            let seconds = seconds_per_call(transactions.len(), |n| {
                transaction(store, transactions[n], *readers, other)
            });
            store.shrink();
            seconds * 1e6
        });
        table.measured(format!("transaction of {size} creates, µs"), &samples);
    }
    table
}

/// What is timed must also be right: unseen before the commit, whole after it.
fn assert_hidden(store: &Store, records: &[Record]) {
    let mut open = Open::new(store);
    for record in &records[..3] {
        open.write(record);
        assert!(open.read_beside(&record.pk).is_none(), "a reader saw what is not committed");
    }
    open.commit();
    assert!(
        records[..3].iter().all(|record| store.read(&record.pk).is_some()),
        "a committed record is missing"
    );
    store.shrink();
}

fn reads_beside_a_transaction(memory: &Store, wal: &Store, fresh: &[Record], preloaded: &[Record]) -> Table {
    let mut cases = [
        ("`:memory:`, rolled back for the reader", memory, 10),
        ("WAL, no transaction open", wal, 0),
        ("WAL, a transaction open", wal, 10),
    ];
    let mut table = Table::new(cases.map(|(name, ..)| name));
    let samples = interleaved(ROUNDS, &mut cases, |(_, store, writes)| {
        let mut open = Open::new(store);
        fresh[..*writes].iter().for_each(|record| open.write(record));
        let seconds = seconds_per_call(30_000, |n| {
            assert!(open.read_beside(&preloaded[n * 7_919 % PRELOADED].pk).is_some());
        });
        open.commit();
        store.shrink();
        1.0 / seconds
    });
    table.measured("read by key beside 10 uncommitted creates, /s", &samples);
    table
}
