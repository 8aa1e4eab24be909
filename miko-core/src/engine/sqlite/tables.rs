//! The operations on the tables of `schema/sqlite.sql`, each a prepared statement.

use std::sync::Arc;

use rusqlite::{Params, Row as SqlRow, params};
use serde_json::Value;

use crate::class::{Class, Constraint};
use crate::engine::Explanation;
use crate::engine::sqlite::Sqlite;
use crate::engine::sqlite::heap::HeapLimit;
use crate::engine::store::{Store, broken};
use crate::engine::tables::{FileRow, Row, State, Tables};
use crate::error::{ErrorId, Result};
use crate::json;
use crate::memory;
use crate::query::SelectRequest;
use crate::record::{Record, Records};
use crate::timestamp::Timestamp;

/// SQL that selects past versions, with the columns that [`read_row`] reads.
macro_rules! select_version {
    ($rest:literal) => {
        concat!(
            "SELECT seq, pk, version.bucket, version.stack, version.extras, created_at, version.updated_at, \
             version.commit_seq, version.instance_pk FROM version JOIN record USING (seq) ",
            $rest
        )
    };
}

/// SQL that selects the columns that [`read_row`] reads.
macro_rules! select_row {
    ($rest:literal) => {
        concat!(
            "SELECT seq, pk, bucket, stack, extras, created_at, updated_at, commit_seq, instance_pk ",
            $rest
        )
    };
}

/// SQL that selects the columns that [`read_file`] reads.
macro_rules! select_file {
    ($rest:literal) => {
        concat!("SELECT id, pk, sha256, mime, size, created_at FROM file ", $rest)
    };
}

impl Tables for Sqlite {
    fn name(&self) -> &'static str {
        if self.lease.is_some() { "mikobase.uno/sqlite/file" } else { "mikobase.uno/sqlite/memory" }
    }

    fn gain_together(&self) -> bool {
        self.lease.is_some()
    }

    fn gain_standing(&self) -> bool {
        self.lease.is_none()
    }

    fn is_temporal(&self) -> bool {
        self.temporal
    }

    fn begin(&mut self) -> Result<()> {
        self.run("BEGIN IMMEDIATE", [])
    }

    fn commit(&mut self) -> Result<()> {
        self.run("COMMIT", [])
    }

    fn roll_back(&mut self) {
        self.ids.take();
        // SQLite rolls back by itself after some errors; no transaction is open then.
        if self.in_transaction() {
            // A rollback must succeed when memory is short, and needs little.
            let _unlimited = HeapLimit::lift();
            // SQLite documents no failure of ROLLBACK that leaves the transaction open.
            let _ = self.run("ROLLBACK", []);
        }
    }

    fn in_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    fn limit_memory(&mut self, limit: usize) -> Result<()> {
        self.limit_heap(limit)
    }

    fn changes(&mut self) -> u64 {
        self.connection.total_changes()
    }

    fn find(&self, pk: &str) -> Result<Option<(i64, Row)>> {
        self.connection.query_optional(select_row!("FROM record WHERE pk = ?1"), [pk], read_row)
    }

    fn row(&self, seq: i64) -> Result<Option<Row>> {
        Ok(self
            .connection
            .query_optional(select_row!("FROM record WHERE seq = ?1"), [seq], read_row)?
            .map(|(_, row)| row))
    }

    fn next_row(&self, seq: i64, commit: i64) -> Result<Option<(i64, Row)>> {
        const SQL: &str = select_row!("FROM record WHERE seq > ?1 AND commit_seq > ?2 ORDER BY seq LIMIT 1");
        self.connection.query_optional(SQL, [seq, commit], read_row)
    }

    fn insert(&mut self, row: &Row) -> Result<i64> {
        const SQL: &str = "INSERT INTO record \
             (pk, bucket, stack, extras, created_at, updated_at, commit_seq, instance_pk) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        memory::charge(row.size())?;
        let [bucket, stack, extras] = body_columns(row);
        let times = [row.created_at, row.updated_at].map(Timestamp::as_millis);
        self.run(SQL, params![row.pk, bucket, stack, extras, times[0], times[1], row.commit, row.instance])?;
        Ok(self.last_inserted())
    }

    fn rewrite(&mut self, seq: i64, row: &Row) -> Result<()> {
        const SQL: &str = "UPDATE record SET bucket = ?2, stack = ?3, extras = ?4, created_at = ?5, \
                           updated_at = ?6, commit_seq = ?7, instance_pk = ?8 WHERE seq = ?1";
        memory::charge(row.size())?;
        let [bucket, stack, extras] = body_columns(row);
        let times = [row.created_at, row.updated_at].map(Timestamp::as_millis);
        self.run(SQL, params![seq, bucket, stack, extras, times[0], times[1], row.commit, row.instance])
    }

    fn archive(&mut self, seq: i64) -> Result<()> {
        const SQL: &str = "INSERT INTO version \
             (seq, updated_at, instance_pk, bucket, stack, extras, commit_seq) \
             SELECT seq, updated_at, instance_pk, bucket, stack, extras, commit_seq \
             FROM record WHERE seq = ?1";
        self.run(SQL, [seq])
    }

    fn creations(&self) -> Result<Vec<(Timestamp, i64)>> {
        let created = |row: &SqlRow<'_>| Ok((Timestamp::from_millis(row.get(0)?), row.get(1)?));
        self.connection.query_all("SELECT created_at, seq FROM record", [], created)
    }

    fn insert_version(&mut self, seq: i64, version: &Row) -> Result<()> {
        const SQL: &str = "INSERT INTO version \
                           (seq, updated_at, instance_pk, bucket, stack, extras, commit_seq) \
                           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let [bucket, stack, extras] = body_columns(version);
        let time = version.updated_at.as_millis();
        self.run(SQL, params![seq, time, version.instance, bucket, stack, extras, version.commit])
    }

    fn each_version(&self, seq: i64, mut show: impl FnMut(Row) -> Result<()>) -> Result<()> {
        const PAST: &str = select_version!("WHERE seq = ?1 ORDER BY version.updated_at, version.instance_pk");
        self.connection.for_each_row(PAST, [seq], |row| Ok(read_row(row)?.1), &mut show)?;
        self.row(seq)?.map_or(Ok(()), show)
    }

    fn version_at(&self, seq: i64, time: Timestamp) -> Result<Option<Row>> {
        const PAST: &str = select_version!(
            "WHERE seq = ?1 AND version.updated_at <= ?2 \
             ORDER BY version.updated_at DESC, version.instance_pk DESC LIMIT 1"
        );
        let last = self.row(seq)?;
        if last.as_ref().is_none_or(|last| last.updated_at <= time) {
            return Ok(last);
        }
        Ok(self
            .connection
            .query_optional(PAST, [seq, time.as_millis()], read_row)?
            .map(|(_, version)| version))
    }

    fn enter_definition(&mut self, seq: i64) -> Result<()> {
        self.run("INSERT OR IGNORE INTO ever_definition (seq) VALUES (?1)", [seq])
    }

    fn ever_definitions(&self) -> Result<Vec<i64>> {
        self.connection.query_all("SELECT seq FROM ever_definition ORDER BY seq", [], |row| row.get(0))
    }

    fn find_version(&self, instance: &str) -> Result<Option<(i64, Row)>> {
        let last = self.connection.query_optional(
            select_row!("FROM record WHERE instance_pk = ?1"),
            [instance],
            read_row,
        )?;
        if last.is_some() {
            return Ok(last);
        }
        self.connection.query_optional(
            select_version!("WHERE version.instance_pk = ?1"),
            [instance],
            read_row,
        )
    }

    fn remove(&mut self, seq: i64) -> Result<()> {
        self.run("DELETE FROM record WHERE seq = ?1", [seq])
    }

    fn last_inserted(&self) -> i64 {
        self.connection.last_insert_rowid()
    }

    fn last_commit(&self) -> Result<i64> {
        const PAST: &str = "SELECT coalesce(max(commit_seq), 0) FROM version";
        let last =
            self.connection
                .query_optional("SELECT coalesce(max(commit_seq), 0) FROM record", [], |row| row.get(0))?;
        let past =
            if self.temporal { self.connection.query_optional(PAST, [], |row| row.get(0))? } else { None };
        Ok(last.max(past).unwrap_or(0))
    }

    fn record(&self, pk: &str) -> Result<Option<Record>> {
        self.record_by_pk(pk)
    }

    fn select(store: &Store<Self>, select: &SelectRequest) -> Result<Records> {
        store.run_select(select)
    }

    fn select_numbers(store: &Store<Self>, select: &SelectRequest) -> Result<Vec<i64>> {
        store.fetch_row_ids(select)
    }

    fn explain(store: &Store<Self>, select: &SelectRequest) -> Result<Explanation> {
        store.explain_select(select)
    }

    fn find_class(&self, class: &str) -> Result<Option<i64>> {
        self.find_class_id(class)
    }

    fn class_id(&mut self, class: &str) -> Result<i64> {
        self.class_id_or_insert(class)
    }

    fn enter(&mut self, class: i64, seq: i64) -> Result<()> {
        self.run("INSERT INTO membership (class_id, seq) VALUES (?1, ?2)", [class, seq])
    }

    fn leave(&mut self, class: i64, seq: i64) -> Result<()> {
        self.run("DELETE FROM membership WHERE class_id = ?1 AND seq = ?2", [class, seq])
    }

    fn members(&self, class: i64) -> Result<Vec<i64>> {
        self.connection.query_all(
            "SELECT seq FROM membership WHERE class_id = ?1 ORDER BY seq",
            [class],
            |row| row.get(0),
        )
    }

    fn classes_of(&self, seq: i64) -> Result<Vec<String>> {
        const SQL: &str = "SELECT uns FROM membership JOIN class ON class.id = class_id WHERE seq = ?1";
        self.connection.query_all(SQL, [seq], |row| row.get(0))
    }

    fn constraint_ids(&mut self, class: &Class) -> Result<Arc<[i64]>> {
        self.constraint_ids_or_insert(class)
    }

    fn find_constraint(&self, class: &Class, index: usize) -> Result<Option<i64>> {
        self.cached_constraint_id(class, index)
    }

    fn keep_constraints(&mut self, class: &str, kept: &[Constraint]) -> Result<()> {
        let kept: Vec<i64> =
            kept.iter().map(|one| self.constraint_id_or_insert(one)).collect::<Result<_>>()?;
        let all: Vec<i64> = self.connection.query_all(
            "SELECT id FROM class_constraint WHERE class = ?1",
            [class],
            |row| row.get(0),
        )?;
        for id in all.into_iter().filter(|id| !kept.contains(id)) {
            self.run("DELETE FROM unique_value WHERE constraint_id = ?1", [id])?;
            self.run("DELETE FROM indexed_value WHERE constraint_id = ?1", [id])?;
            self.run("DELETE FROM class_constraint WHERE id = ?1", [id])?;
        }
        self.ids.get_mut().clear_constraints();
        Ok(())
    }

    fn enter_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<bool> {
        const SQL: &str =
            "INSERT OR IGNORE INTO unique_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        Ok(self.connection.execute(SQL, params![constraint, value, seq])? == 1)
    }

    fn leave_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        const SQL: &str = "DELETE FROM unique_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        self.run(SQL, params![constraint, value, seq])
    }

    fn holder(&self, constraint: i64, value: &str) -> Result<Option<i64>> {
        const SQL: &str = "SELECT seq FROM unique_value WHERE constraint_id = ?1 AND value = ?2";
        self.connection.query_optional(SQL, params![constraint, value], |row| row.get(0))
    }

    fn enter_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        const SQL: &str =
            "INSERT OR IGNORE INTO indexed_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        self.run(SQL, params![constraint, value, seq])
    }

    fn leave_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        const SQL: &str = "DELETE FROM indexed_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        self.run(SQL, params![constraint, value, seq])
    }

    fn point(&mut self, target: &str, seq: i64, pointer: &str, restricts: bool) -> Result<()> {
        const SQL: &str = "INSERT INTO reference (target, seq, pointer, restricts) VALUES (?1, ?2, ?3, ?4) \
                           ON CONFLICT DO UPDATE SET restricts = max(restricts, excluded.restricts)";
        self.run(SQL, params![target, seq, pointer, restricts])
    }

    fn unpoint(&mut self, seq: i64) -> Result<()> {
        self.run("DELETE FROM reference WHERE seq = ?1", [seq])
    }

    fn points(&self, target: &str, seq: i64, pointer: &str) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM reference WHERE target = ?1 AND seq = ?2 AND pointer = ?3";
        Ok(self.connection.query_optional(SQL, params![target, seq, pointer], |_| Ok(()))?.is_some())
    }

    fn restricting(&self, target: &str, limit: usize) -> Result<Vec<(i64, String)>> {
        const SQL: &str = "SELECT seq, pointer FROM reference WHERE target = ?1 AND restricts \
                           ORDER BY seq, pointer LIMIT ?2";
        self.connection.query_all(SQL, params![target, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn find_file(&self, pk: &str) -> Result<Option<(i64, FileRow)>> {
        self.connection.query_optional(select_file!("WHERE pk = ?1"), [pk], read_file)
    }

    fn file_with(&self, sha256: &str) -> Result<Option<(i64, FileRow)>> {
        self.connection.query_optional(
            select_file!("WHERE sha256 = ?1 ORDER BY id LIMIT 1"),
            [sha256],
            read_file,
        )
    }

    fn next_file(&self, file: i64) -> Result<Option<(i64, FileRow)>> {
        self.connection.query_optional(select_file!("WHERE id > ?1 ORDER BY id LIMIT 1"), [file], read_file)
    }

    fn write_file(&mut self, row: &FileRow) -> Result<i64> {
        const SQL: &str = "INSERT INTO file (pk, sha256, mime, size, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                           ON CONFLICT (pk) DO UPDATE SET sha256 = excluded.sha256, mime = excluded.mime, \
                           size = excluded.size, created_at = excluded.created_at RETURNING id";
        let (mime, created_at) = (row.mime.to_string(), row.created_at.as_millis());
        let values = params![row.pk, row.sha256, mime, row.size as i64, created_at];
        self.connection
            .query_optional(SQL, values, |row| row.get(0))?
            .ok_or_else(|| broken("inserting a file returned no id"))
    }

    fn remove_file(&mut self, file: i64) -> Result<()> {
        self.run("DELETE FROM file_chunk WHERE file_id = ?1", [file])?;
        self.run("DELETE FROM file WHERE id = ?1", [file])
    }

    fn write_chunk(&mut self, file: i64, index: u64, data: &[u8]) -> Result<()> {
        const SQL: &str = "INSERT OR REPLACE INTO file_chunk (file_id, number, data) VALUES (?1, ?2, ?3)";
        self.run(SQL, params![file, index as i64, data])
    }

    fn chunk(&self, file: i64, index: u64, offset: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>> {
        const SQL: &str = "SELECT coalesce(substr(data, ?3 + 1, ?4), x''), length(data) FROM file_chunk \
                           WHERE file_id = ?1 AND number = ?2";
        let [index, offset] = [index, offset].map(|value| i64::try_from(value).unwrap_or(i64::MAX - 1));
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64));
        self.connection.query_optional(SQL, params![file, index, offset, most as i64], read)
    }

    fn kept(&self, key: &str) -> Result<Option<Value>> {
        let text: Option<String> = self.connection.query_optional(
            "SELECT value FROM worldlet_key WHERE key = ?1",
            [key],
            |row| row.get(0),
        )?;
        text.map(|text| json::from_text(&text).map_err(broken)).transpose()
    }

    fn keep(&mut self, key: &str, value: &Value) -> Result<()> {
        const SQL: &str = "INSERT INTO worldlet_key (key, value) VALUES (?1, ?2) \
                           ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.run(SQL, params![key, value.to_string()])
    }
}

impl Sqlite {
    /// Runs a statement that returns no rows.
    pub(super) fn run(&self, sql: &'static str, values: impl Params) -> Result<()> {
        self.connection.execute(sql, values).map(drop).map_err(|error| match self.connection.path() {
            Some(path) if error.is(ErrorId::NOT_WRITABLE) => error.with("path", path),
            _ => error,
        })
    }
}

/// Reads a row of [`select_file!`] and its id.
fn read_file(row: &SqlRow<'_>) -> rusqlite::Result<(i64, FileRow)> {
    let mime: String = row.get(3)?;
    let file = FileRow {
        pk: row.get(1)?,
        sha256: row.get(2)?,
        mime: json::from_text(&mime).unwrap_or_default(),
        size: row.get::<_, i64>(4)? as u64,
        created_at: Timestamp::from_millis(row.get(5)?),
    };
    Ok((row.get(0)?, file))
}

/// Returns bucket, stack and extras; a tombstone has none of them.
fn body_columns(row: &Row) -> [Option<&str>; 3] {
    match &row.state {
        Some(State { bucket, stack, extras }) => [Some(bucket), Some(stack), extras.as_deref()],
        None => [None; 3],
    }
}

/// Reads a row of [`select_row!`] or [`select_version!`] and its row id (`seq`).
fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<(i64, Row)> {
    let state = match row.get(2)? {
        Some(bucket) => Some(State { bucket, stack: row.get(3)?, extras: row.get(4)? }),
        None => None,
    };
    let record_row = Row {
        pk: row.get(1)?,
        state,
        created_at: Timestamp::from_millis(row.get(5)?),
        updated_at: Timestamp::from_millis(row.get(6)?),
        commit: row.get(7)?,
        instance: row.get(8)?,
    };
    Ok((row.get(0)?, record_row))
}
