//! A SQLite file on a memory file system, opened by every worker.

use std::path::Path;
use std::time::Duration;

use miko_shared::BoxError;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use tempfile::TempDir;

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::sample;
use crate::workload::{Client, FOUND, Workload};

pub(crate) const PEER: Peer = Peer {
    name: "sqlite-file",
    terms: "A file in WAL mode on /dev/shm with `synchronous` off, which every worker opens: there is no \
            server. A table of key and JSON text for each class, with a unique and a plain index on \
            expressions. It does not validate the other fields, and the text of an answer is not parsed.",
    workloads: &[
        Workload::Read,
        Workload::Create,
        Workload::ReadBatch,
        Workload::CreateBatch,
        Workload::Find,
        Workload::Scan,
        Workload::ColdScan,
    ],
    start,
};

/// A table for each class, so that a scan does not visit the created records.
const TABLES: &str = "
    CREATE TABLE item (pk TEXT PRIMARY KEY, bucket TEXT NOT NULL) WITHOUT ROWID;
    CREATE UNIQUE INDEX item_by_serial ON item (bucket->>'serial');
    CREATE INDEX item_by_deck ON item (bucket->>'deck');
    CREATE TABLE made (pk TEXT PRIMARY KEY, bucket TEXT NOT NULL) WITHOUT ROWID;
    CREATE UNIQUE INDEX made_by_serial ON made (bucket->>'serial');
    CREATE INDEX made_by_deck ON made (bucket->>'deck');";

const INSERT_ITEM: &str = "INSERT INTO item (pk, bucket) VALUES (?1, ?2)";
const INSERT_MADE: &str = "INSERT INTO made (pk, bucket) VALUES (?1, ?2)";
const READ: &str = "SELECT bucket FROM item WHERE pk = ?1";

fn start(size: Size) -> Result<Option<Running>, BoxError> {
    let directory = TempDir::new_in("/dev/shm")?;
    let path = directory.path().join("records.db");
    let mut connection = open(&path)?;
    connection.execute_batch(TABLES)?;
    let transaction = connection.transaction()?;
    for record in 0..size.records {
        insert(&transaction, INSERT_ITEM, &sample::key(record), record)?;
    }
    transaction.commit()?;
    // A connection must not cross a fork.
    drop(connection);
    let crew = Crew::fork(size, |_| Ok(SqliteFile(open(&path)?)))?;
    Ok(Some(Running::with(crew, PeerServer::none(directory))))
}

fn open(path: &Path) -> Result<Connection, BoxError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(60))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "off")?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    Ok(connection)
}

fn insert(connection: &Connection, sql: &str, pk: &str, serial: usize) -> Result<(), BoxError> {
    let created = connection.prepare_cached(sql)?.execute(params![pk, sample::text(serial)])?;
    sample::check_count(created, 1)
}

fn read(connection: &Connection, record: usize) -> Result<(), BoxError> {
    let mut statement = connection.prepare_cached(READ)?;
    let text: String = statement.query_row([sample::key(record)], |row| row.get(0))?;
    sample::check(&text, record)
}

struct SqliteFile(Connection);

impl SqliteFile {
    fn begin(&mut self, behavior: TransactionBehavior) -> rusqlite::Result<Transaction<'_>> {
        self.0.transaction_with_behavior(behavior)
    }

    fn texts(&self, query: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.0.prepare_cached(query)?;
        statement.query_map(parameters, |row| row.get(0))?.collect()
    }
}

impl Client for SqliteFile {
    fn read(&mut self, record: usize) -> Result<(), BoxError> {
        read(&self.0, record)
    }

    fn create(&mut self, serial: usize) -> Result<(), BoxError> {
        insert(&self.0, INSERT_MADE, &sample::made_key(serial), serial)
    }

    fn read_batch(&mut self, records: &[usize]) -> Result<(), BoxError> {
        let transaction = self.begin(TransactionBehavior::Deferred)?;
        records.iter().try_for_each(|&record| read(&transaction, record))?;
        Ok(transaction.commit()?)
    }

    fn create_batch(&mut self, serials: &[usize]) -> Result<(), BoxError> {
        let transaction = self.begin(TransactionBehavior::Immediate)?;
        serials
            .iter()
            .try_for_each(|&serial| insert(&transaction, INSERT_MADE, &sample::made_key(serial), serial))?;
        Ok(transaction.commit()?)
    }

    fn find(&mut self, deck: usize) -> Result<(), BoxError> {
        const FIND: &str =
            "SELECT bucket FROM item WHERE bucket->>'deck' = ?1 ORDER BY bucket->>'serial' DESC LIMIT 10";
        let texts = self.texts(FIND, [deck as i64])?;
        sample::check_last(texts.iter().map(String::as_str), deck, FOUND)
    }

    fn scan(&mut self, sector: usize) -> Result<(), BoxError> {
        const SCAN: &str =
            "SELECT bucket FROM item WHERE bucket->>'rank' = ?1 AND bucket->>'sector' = ?2 ORDER BY pk";
        let texts = self.texts(SCAN, params![sample::RANK, sector as i64])?;
        sample::check_count(texts.len(), sample::in_sector(sector))
    }
}
