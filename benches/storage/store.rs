//! A database, in each of the ways in which it could be kept.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use tempfile::TempDir;

use crate::PRELOADED;
use crate::records::{Record, STACK};

/// How the records of one class are found.
pub(crate) const MEMBERS: &str = "(SELECT * FROM membership JOIN record USING (seq) WHERE class_id = 1)";

/// Where a bucket goes, and which expression gives its text and which its parts.
pub(crate) struct Layout {
    pub(crate) name: &'static str,
    pub(crate) declared: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) inserted: &'static str,
    pub(crate) text: &'static str,
    pub(crate) parts: &'static str,
}

pub(crate) const LAYOUTS: [Layout; 3] = [
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

pub(crate) struct Sql {
    pub(crate) insert: String,
    pub(crate) read: String,
    pub(crate) scan: String,
    pub(crate) indexed: String,
}

impl Sql {
    pub(crate) fn new(Layout { columns, inserted, text, parts, .. }: &Layout) -> Self {
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

pub(crate) struct Store {
    pub(crate) name: String,
    pub(crate) sql: Sql,
    pub(crate) writer: Connection,
    /// Present where readers have a connection of their own, which an open transaction does not disturb.
    pub(crate) reader: Option<Connection>,
    pub(crate) _directory: Option<TempDir>,
}

impl Store {
    pub(crate) fn in_memory(layout: &Layout, records: &[Record]) -> Self {
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

    pub(crate) fn in_shared_memory(layout: &Layout, records: &[Record]) -> Self {
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

    pub(crate) fn filled(self, Layout { declared, parts, .. }: &Layout, records: &[Record]) -> Self {
        self.run(&format!(
            "CREATE TABLE record (seq INTEGER PRIMARY KEY, pk TEXT NOT NULL UNIQUE, {declared},
                                  stack TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT;
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

    pub(crate) fn run(&self, sql: &str) {
        self.writer.execute_batch(sql).expect("the bench's own SQL");
    }

    pub(crate) fn readers(&self) -> &Connection {
        self.reader.as_ref().unwrap_or(&self.writer)
    }

    /// `BEGIN`, `COMMIT` and `ROLLBACK` are calls like any other: prepared once.
    pub(crate) fn step(&self, sql: &str) {
        self.writer
            .prepare_cached(sql)
            .and_then(|mut s| s.execute([]))
            .expect("transactions are properly nested");
    }

    pub(crate) fn insert(&self, record: &Record) {
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            self.writer.prepare_cached(sql).and_then(|mut s| s.execute(values)).expect("keys are fresh");
        };
        insert(&self.sql.insert, params![record.pk, record.bucket, STACK, record.created_at]);
        insert("INSERT INTO membership VALUES (1, ?1)", params![self.writer.last_insert_rowid()]);
    }

    pub(crate) fn create(&self, record: &Record) {
        self.step("BEGIN IMMEDIATE");
        self.insert(record);
        self.step("COMMIT");
    }

    pub(crate) fn read(&self, pk: &str) -> Option<Vec<u8>> {
        let mut statement = self.readers().prepare_cached(&self.sql.read).expect("valid SQL");
        statement
            .query_row([pk], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))
            .optional()
            .expect("a readable row")
    }

    /// Runs a query, takes up every row's bytes, and counts the rows.
    pub(crate) fn count(&self, sql: &str, parameters: impl rusqlite::Params) -> usize {
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
    pub(crate) fn shrink(&self) {
        self.run(&format!(
            "DELETE FROM record WHERE seq > {PRELOADED}; DELETE FROM membership WHERE seq > {PRELOADED}"
        ));
    }

    pub(crate) fn bytes_per_record(&self) -> f64 {
        let pragma =
            |name| self.writer.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).expect("a number");
        (pragma("page_count") * pragma("page_size")) as f64 / PRELOADED as f64
    }
}

pub(crate) fn open_wal(file: &Path) -> Connection {
    let connection = Connection::open(file).expect("the directory is ours");
    connection
        .execute_batch("PRAGMA journal_mode = wal; PRAGMA synchronous = off; PRAGMA mmap_size = 1073741824")
        .expect("known pragmas");
    connection
}
