//! Implements [`Storage`]: reads the tables, begins and ends transactions. Each operation is a prepared
//! statement, or reads the maps that a database in memory has.
//!
//! Reads of the table `record`, and the statements that [`Sqlite::run`] runs, go through `after_flush`, which
//! first writes a postponed update. Reads of other tables go through `without_flush`.

use miko_rpc::Result;
use rusqlite::{Row as SqlRow, params};
use serde_json::Value;

use super::Sqlite;
use super::faults::sqlite_error;
use super::heap::LiftedHeapLimit;
use super::select::read_record;
use crate::class::Constraint;
use crate::json::{self, Object};
use crate::storage::explain::Explanation;
use crate::storage::ids::{ClassId, CommitSeq, ConstraintId, FileId, LastNumbers, RowId};
use crate::storage::plan::Plan;
use crate::storage::row::{ClaimRow, FileRow, Row, State, StoredRecord};
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Capabilities, IdVisitor, Storage, Visitor, corruption};
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

impl Storage for Sqlite {
    fn capabilities(&self) -> Capabilities {
        let is_in_file = self.lease.is_some();
        Capabilities {
            backend: if is_in_file { "mikobase.uno/sqlite/file" } else { "mikobase.uno/sqlite/memory" },
            is_temporal: self.is_temporal,
            has_slow_commit: is_in_file,
            has_slow_reads: true,
            may_defer_commit: !is_in_file,
            keeps_numbers: is_in_file,
            residual_filter_reason: None,
        }
    }

    fn limit_memory(&mut self, limit: usize) -> Result<()> {
        self.limit_heap(limit)
    }

    fn begin(&mut self) -> Result<()> {
        self.run("BEGIN IMMEDIATE", [])
    }

    fn commit(&mut self) -> Result<()> {
        self.run("COMMIT", [])?;
        if let Some(maps) = &self.entry_maps {
            maps.lock().commit();
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.statements.forget_postponed();
        if let Some(maps) = &self.entry_maps {
            maps.lock().roll_back();
        }
        // After some errors SQLite has rolled back already, and its transaction is no longer open.
        if self.in_transaction() {
            // A rollback must succeed even if the heap limit is reached. It needs little memory.
            let _lifted = LiftedHeapLimit::lift();
            // SQLite documents no failure of ROLLBACK that leaves the transaction open.
            let _ = self.run("ROLLBACK", []);
        }
    }

    fn in_transaction(&self) -> bool {
        !self.statements.without_flush().is_autocommit()
    }

    fn promise_commit(&mut self) {
        if let Some(maps) = &self.entry_maps {
            maps.lock().promise_commit();
        }
    }

    fn apply(&mut self, write: &WriteSet) -> Result<Vec<Conflict>> {
        self.apply_write_set(write)
    }

    fn last_numbers(&self) -> Result<LastNumbers> {
        const RECORDS: &str = "SELECT coalesce(max(seq), 0), coalesce(max(commit_seq), 0) FROM record";
        const VERSIONS: &str = "SELECT coalesce(max(commit_seq), 0) FROM version";
        const OTHERS: &str = "SELECT (SELECT coalesce(max(id), 0) FROM class), \
                              (SELECT coalesce(max(id), 0) FROM class_constraint), \
                              (SELECT coalesce(max(id), 0) FROM file)";
        let connection = self.statements.after_flush()?;
        let no_row = || corruption("an aggregate without a row");
        let records = connection.query_optional(RECORDS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (row, commit): (RowId, CommitSeq) = records.ok_or_else(no_row)?;
        let past_commit: Option<CommitSeq> = match self.is_temporal {
            true => connection.query_optional(VERSIONS, [], |row| row.get(0))?,
            false => None,
        };
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let (class, constraint, file) = connection.query_optional(OTHERS, [], read)?.ok_or_else(no_row)?;
        Ok(LastNumbers { row, commit: commit.max(past_commit.unwrap_or_default()), class, constraint, file })
    }

    fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        const BY_PK: &str = select_row!("FROM record WHERE pk = ?1");
        const BY_NUMBER: &str = select_row!("FROM record WHERE pk = ?1 AND seq = ?2");
        self.query_by_pk(pk, BY_PK, BY_NUMBER, read_row)
    }

    fn record(&self, pk: &str) -> Result<Option<StoredRecord>> {
        const BY_PK: &str = select_row!("FROM record WHERE pk = ?1 AND bucket IS NOT NULL");
        const BY_NUMBER: &str = select_row!("FROM record WHERE pk = ?1 AND seq = ?2 AND bucket IS NOT NULL");
        self.query_by_pk(pk, BY_PK, BY_NUMBER, read_stored_record)
    }

    fn row(&self, id: RowId) -> Result<Option<Row>> {
        const SQL: &str = select_row!("FROM record WHERE seq = ?1");
        Ok(self.statements.after_flush()?.query_optional(SQL, [id], read_row)?.map(|(_, row)| row))
    }

    fn next_row(&self, id: RowId, commit: CommitSeq) -> Result<Option<(RowId, Row)>> {
        const SQL: &str = select_row!("FROM record WHERE seq > ?1 AND commit_seq > ?2 ORDER BY seq LIMIT 1");
        self.statements.after_flush()?.query_optional(SQL, params![id, commit], read_row)
    }

    fn next_rows(&self, id: RowId, commit: CommitSeq, max: usize) -> Result<Vec<(RowId, Row)>> {
        const SQL: &str = select_row!("FROM record WHERE seq > ?1 AND commit_seq > ?2 ORDER BY seq LIMIT ?3");
        self.statements.after_flush()?.query_all(SQL, params![id, commit, max as i64], read_row)
    }

    fn each_version(&self, id: RowId, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        const PAST: &str = select_version!("WHERE seq = ?1 ORDER BY version.updated_at, version.instance_pk");
        self.statements.after_flush()?.for_each_row(PAST, [id], |row| Ok(read_row(row)?.1), &mut *visit)?;
        self.row(id)?.map_or(Ok(()), visit)
    }

    fn next_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>> {
        const PAST: &str = select_version!(
            "WHERE seq = ?1 AND (version.updated_at, version.instance_pk) > (?2, ?3) \
             ORDER BY version.updated_at, version.instance_pk LIMIT 1"
        );
        let (time, instance_pk) = after;
        let past = self.statements.after_flush()?.query_optional(
            PAST,
            params![id, time.as_millis(), instance_pk],
            read_row,
        )?;
        match past {
            Some((_, version)) => Ok(Some(version)),
            None => Ok(self.row(id)?.filter(|last| last.position() > after)),
        }
    }

    fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>> {
        const PAST: &str = select_version!(
            "WHERE seq = ?1 AND version.updated_at <= ?2 \
             ORDER BY version.updated_at DESC, version.instance_pk DESC LIMIT 1"
        );
        let last = self.row(id)?;
        if last.as_ref().is_none_or(|last| last.updated_at <= time) {
            return Ok(last);
        }
        let past =
            self.statements.after_flush()?.query_optional(PAST, params![id, time.as_millis()], read_row)?;
        Ok(past.map(|(_, version)| version))
    }

    fn find_version(&self, instance_pk: &str) -> Result<Option<(RowId, Row)>> {
        const LAST: &str = select_row!("FROM record WHERE instance_pk = ?1");
        const PAST: &str = select_version!("WHERE version.instance_pk = ?1");
        match self.statements.after_flush()?.query_optional(LAST, [instance_pk], read_row)? {
            Some(last) => Ok(Some(last)),
            None => self.statements.after_flush()?.query_optional(PAST, [instance_pk], read_row),
        }
    }

    fn definitions(&self) -> Result<Vec<RowId>> {
        self.statements
            .without_flush()
            .query_all("SELECT seq FROM ever_definition ORDER BY seq", [], |row| row.get(0))
    }

    fn select(&self, plan: &Plan<'_>, visit: Visitor<'_>) -> Result<()> {
        self.run_select(plan, |row| visit(read_record(row).map_err(sqlite_error)?))
    }

    fn select_with_ids(&self, plan: &Plan<'_>, visit: IdVisitor<'_>) -> Result<()> {
        self.run_select(plan, |row| {
            visit(row.get(0).map_err(sqlite_error)?, read_record(row).map_err(sqlite_error)?)
        })
    }

    fn select_row_ids(&self, plan: &Plan<'_>) -> Result<Vec<RowId>> {
        self.run_select_row_ids(plan)
    }

    fn explain(&self, plan: &Plan<'_>) -> Result<Explanation> {
        self.explain_select(plan)
    }

    fn class_id(&self, class: &str) -> Result<Option<ClassId>> {
        self.statements.without_flush().query_optional(
            "SELECT id FROM class WHERE uns = ?1",
            [class],
            |row| row.get(0),
        )
    }

    fn members(&self, class: ClassId) -> Result<Vec<RowId>> {
        const SQL: &str = "SELECT seq FROM membership WHERE class_id = ?1 ORDER BY seq";
        if let Some(maps) = &self.entry_maps {
            let mut members = Vec::new();
            if let Some(rows) = maps.lock().members(class) {
                let before_first_row = RowId::default();
                rows.push_after(before_first_row, usize::MAX, &mut members);
            }
            return Ok(members);
        }
        self.statements.without_flush().query_all(SQL, [class], |row| row.get(0))
    }

    fn constraint_id(&self, constraint: &Constraint) -> Result<Option<ConstraintId>> {
        const SQL: &str = "SELECT id FROM class_constraint WHERE class = ?1 AND kind = ?2 AND fields = ?3";
        let values = params![constraint.class, constraint.kind.as_str(), fields_text(constraint)];
        self.statements.without_flush().query_optional(SQL, values, |row| row.get(0))
    }

    fn find_unique(&self, constraint: ConstraintId, value: &str) -> Result<Option<RowId>> {
        const SQL: &str = "SELECT seq FROM unique_value WHERE constraint_id = ?1 AND value = ?2";
        if let Some(maps) = &self.entry_maps {
            return Ok(maps.lock().find_unique(constraint, value));
        }
        self.statements.without_flush().query_optional(SQL, params![constraint, value], |row| row.get(0))
    }

    fn refers(&self, target: &str, row: RowId, pointer: &str) -> Result<bool> {
        const SQL: &str = "SELECT 1 FROM reference WHERE target = ?1 AND seq = ?2 AND pointer = ?3";
        Ok(self
            .statements
            .without_flush()
            .query_optional(SQL, params![target, row, pointer], |_| Ok(()))?
            .is_some())
    }

    fn restricting_references(&self, target: &str, limit: usize) -> Result<Vec<(RowId, String)>> {
        const SQL: &str = "SELECT seq, pointer FROM reference WHERE target = ?1 AND restricts \
                           ORDER BY seq, pointer LIMIT ?2";
        self.statements
            .without_flush()
            .query_all(SQL, params![target, limit as i64], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn claims(&self) -> Result<Vec<(RowId, ClaimRow)>> {
        const SQL: &str = "SELECT seq, id, attempts, lease_end, lasting FROM claim ORDER BY seq";
        if let Some(maps) = &self.entry_maps {
            return Ok(maps.lock().claims());
        }
        self.statements.without_flush().query_all(SQL, [], |row| {
            let claim = ClaimRow {
                id: row.get(1)?,
                attempts: row.get::<_, i64>(2)? as u64,
                lease_end: Timestamp::from_millis(row.get(3)?),
                lasting_select: row.get(4)?,
            };
            Ok((row.get(0)?, claim))
        })
    }

    fn find_file(&self, pk: &str) -> Result<Option<(FileId, FileRow)>> {
        self.statements.without_flush().query_optional(select_file!("WHERE pk = ?1"), [pk], read_file)
    }

    fn find_file_by_sha256(&self, sha256: &str) -> Result<Option<(FileId, FileRow)>> {
        const SQL: &str = select_file!("WHERE sha256 = ?1 ORDER BY id LIMIT 1");
        self.statements.without_flush().query_optional(SQL, [sha256], read_file)
    }

    fn next_file(&self, id: FileId) -> Result<Option<(FileId, FileRow)>> {
        self.statements.without_flush().query_optional(
            select_file!("WHERE id > ?1 ORDER BY id LIMIT 1"),
            [id],
            read_file,
        )
    }

    fn chunk(&self, file: FileId, index: u64, offset: u64, max: usize) -> Result<Option<(Vec<u8>, u64)>> {
        // `substr` of an empty blob is NULL.
        const SQL: &str = "SELECT coalesce(substr(data, ?3 + 1, ?4), x''), length(data) FROM file_chunk \
                           WHERE file_id = ?1 AND number = ?2";
        // The same cast as in `change_chunk`: an index beyond the range of `i64` is stored as a negative
        // number.
        let index = index as i64;
        // At most `i64::MAX - 1`, because the statement adds 1.
        let offset = i64::try_from(offset).unwrap_or(i64::MAX - 1);
        let read = |row: &SqlRow<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64));
        self.statements.without_flush().query_optional(SQL, params![file, index, offset, max as i64], read)
    }

    fn metadata(&self, key: &str) -> Result<Option<Value>> {
        const SQL: &str = "SELECT value FROM worldlet_key WHERE key = ?1";
        let text: Option<String> =
            self.statements.without_flush().query_optional(SQL, [key], |row| row.get(0))?;
        text.map(|text| json::from_text(&text).map_err(corruption)).transpose()
    }
}

impl Sqlite {
    /// Reads the row of a pk: with `by_pk`, whose parameter is the pk, or in memory with `by_number`, whose
    /// parameters are the pk and the number of a row that may have it.
    fn query_by_pk<R>(
        &self,
        pk: &str,
        by_pk: &'static str,
        by_number: &'static str,
        read: fn(&SqlRow<'_>) -> rusqlite::Result<R>,
    ) -> Result<Option<R>> {
        let statements = self.statements.after_flush()?;
        let Some(rows) = self.rows_of_pks([pk]) else {
            return statements.query_optional(by_pk, [pk], read);
        };
        for row in rows {
            if let Some(found) = statements.query_optional(by_number, params![pk, row], read)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The rows of these pks, and other rows whose pks have the same hash as one of them. `None` for a
    /// database with an index of pks.
    pub(super) fn rows_of_pks<'p>(&self, pks: impl IntoIterator<Item = &'p str>) -> Option<Vec<RowId>> {
        let maps = self.entry_maps.as_ref()?.lock();
        let mut rows = Vec::new();
        pks.into_iter().for_each(|pk| maps.push_rows_of_pk(pk, &mut rows));
        Some(rows)
    }
}

/// The fields of a constraint in the form that the table stores.
pub(super) fn fields_text(constraint: &Constraint) -> String {
    constraint.fields.iter().cloned().map(Value::from).collect::<Value>().to_string()
}

/// Reads a row of [`select_file!`] and its id.
fn read_file(row: &SqlRow<'_>) -> rusqlite::Result<(FileId, FileRow)> {
    let file = FileRow {
        pk: row.get(1)?,
        sha256: row.get(2)?,
        mime: row.get(3)?,
        size: row.get::<_, i64>(4)? as u64,
        created_at: Timestamp::from_millis(row.get(5)?),
    };
    Ok((row.get(0)?, file))
}

/// Reads a row of [`select_row!`] or [`select_version!`] and its number (`seq`).
fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<(RowId, Row)> {
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
        instance_pk: row.get(8)?,
    };
    Ok((row.get(0)?, record_row))
}

/// Reads a row of [`select_row!`] that has content. Each text is copied once, from SQLite into the record.
fn read_stored_record(row: &SqlRow<'_>) -> rusqlite::Result<StoredRecord> {
    let extras = row.get_ref(4)?.as_str_or_null()?;
    Ok(StoredRecord {
        id: row.get(0)?,
        bucket: Object::from_stored_text(row.get_ref(2)?.as_str()?),
        stack: Object::from_stored_text(row.get_ref(3)?.as_str()?),
        extras: extras.map(Object::from_stored_text),
        created_at: Timestamp::from_millis(row.get(5)?),
        updated_at: Timestamp::from_millis(row.get(6)?),
        commit: row.get(7)?,
        instance_pk: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::SelectRequest;
    use crate::storage::plan::AccessPath;
    use crate::storage::row::State;
    use crate::storage::write_set::RowChange;

    fn row(pk: &str) -> Row {
        Row {
            pk: pk.to_owned(),
            state: Some(State { bucket: "{}".to_owned(), stack: "{}".to_owned(), extras: None }),
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            commit: CommitSeq(1),
            instance_pk: None,
        }
    }

    fn apply(storage: &mut Sqlite, changes: Vec<RowChange<RowId, Row>>) {
        assert_eq!(storage.apply(&WriteSet { rows: changes, ..WriteSet::default() }).unwrap(), []);
    }

    fn selected(storage: &Sqlite, pks: &[String]) -> Vec<RowId> {
        let select = SelectRequest::default();
        let access_path = AccessPath::Pks(pks.into());
        let plan =
            Plan { select: &select, access_path, predicates: Vec::new(), residual_filter_reason: None };
        storage.select_row_ids(&plan).unwrap()
    }

    #[test]
    fn an_insert_that_fails_and_is_undone_leaves_the_row_that_has_its_pk() {
        let mut storage = Sqlite::as_in_a_file(false).unwrap();
        apply(&mut storage, vec![RowChange::insert(RowId(1), row("a"))]);
        let taken = WriteSet { rows: vec![RowChange::insert(RowId(2), row("a"))], ..WriteSet::default() };
        assert!(storage.apply(&taken).is_err());
        storage.apply(&taken.inverse().unwrap()).unwrap();
        assert_eq!(storage.find("a").unwrap(), Some((RowId(1), row("a"))));
    }

    #[test]
    fn pks_with_the_same_hash_are_told_apart_also_after_a_rollback() {
        let mut storage = Sqlite::in_memory(false).unwrap();
        storage.entry_maps.as_ref().unwrap().lock().have_pks_one_hash = true;
        let pks = ["a", "b", "c", "d"].map(str::to_owned);
        let found = |storage: &Sqlite| {
            pks.each_ref().map(|pk| {
                let id = storage.find(pk).unwrap().map(|(id, row)| {
                    assert_eq!(row.pk, *pk);
                    id
                });
                assert_eq!(storage.record(pk).unwrap().map(|record| record.id), id);
                assert_eq!(selected(storage, std::slice::from_ref(pk)), Vec::from_iter(id));
                id
            })
        };
        let inserts = |pks: &[(i64, &str)]| {
            pks.iter().map(|(id, pk)| RowChange::insert(RowId(*id), row(pk))).collect::<Vec<_>>()
        };
        storage.begin().unwrap();
        apply(&mut storage, inserts(&[(1, "a"), (2, "b")]));
        storage.commit().unwrap();
        let committed = [Some(RowId(1)), Some(RowId(2)), None, None];
        storage.begin().unwrap();
        apply(&mut storage, inserts(&[(3, "c")]));
        assert_eq!(found(&storage), [Some(RowId(1)), Some(RowId(2)), Some(RowId(3)), None]);
        assert_eq!(selected(&storage, &pks), [1, 2, 3].map(RowId));
        let undone = WriteSet { rows: inserts(&[(3, "c")]), ..WriteSet::default() }.inverse().unwrap();
        storage.apply(&undone).unwrap();
        assert_eq!(found(&storage), committed);
        apply(&mut storage, inserts(&[(4, "d")]));
        storage.roll_back();
        assert_eq!(found(&storage), committed);
        assert_eq!(selected(&storage, &pks), [1, 2].map(RowId));
    }
}
