//! Rows into records: text is copied, never parsed.

use rusqlite::{OptionalExtension, Row, params_from_iter};

use crate::engine::sqlite::{Sqlite, compile};
use crate::engine::store::Store;
use crate::engine::store::candidate::Candidate;
use crate::engine::tables::Shown;
use crate::error::Result;
use crate::json::Object;
use crate::query::Select;
use crate::record::{Record, Records};
use crate::timestamp::Timestamp;

/// SQL that gives rows which [`record`] reads.
macro_rules! select_record {
    ($rest:literal) => {
        concat!("SELECT pk, bucket, stack, extras, created_at, updated_at ", $rest)
    };
}
pub(super) use select_record;

impl Sqlite {
    pub(super) fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        const SQL: &str = select_record!("FROM record WHERE pk = ?1 AND bucket IS NOT NULL");
        Ok(self.connection.prepare_cached(SQL)?.query_row([pk], record).optional()?)
    }

    /// Shows records as they lie in SQLite's memory.
    pub(super) fn show_active(&self, show: &mut dyn FnMut(Shown<'_>) -> Result<()>) -> Result<()> {
        const SQL: &str = select_record!("FROM record WHERE bucket IS NOT NULL ORDER BY seq");
        let mut statement = self.connection.prepare_cached(SQL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            show(shown(row)?)?;
        }
        Ok(())
    }
}

impl Store<Sqlite> {
    pub(super) fn run_select(&self, select: &Select) -> Result<Records> {
        let plan = self.plan(select)?;
        let statement = compile::select(select, &plan);
        let mut prepared = self.tables.connection.prepare_cached(statement.text())?;
        let rows = prepared.query_map(params_from_iter(statement.values()), record)?;
        if plan.evaluator.is_none() {
            return Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into());
        }
        let candidates = rows.map(|row| Candidate::of(row?, &self.catalog));
        let selected = select.evaluate(candidates)?.into_iter().map(|candidate| candidate.record);
        Ok(selected.collect::<Vec<_>>().into())
    }
}

/// A row that [`select_record!`] gave.
fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        pk: row.get(0)?,
        bucket: Object::from_stored(row.get(1)?),
        stack: Object::from_stored(row.get(2)?),
        extras: row.get::<_, Option<String>>(3)?.map(Object::from_stored),
        created_at: Timestamp::from_millis(row.get(4)?),
        updated_at: Timestamp::from_millis(row.get(5)?),
    })
}

/// The same, where it lies.
fn shown<'r>(row: &'r Row<'_>) -> rusqlite::Result<Shown<'r>> {
    Ok(Shown {
        pk: row.get_ref(0)?.as_str()?,
        bucket: row.get_ref(1)?.as_str()?,
        stack: row.get_ref(2)?.as_str()?,
        extras: row.get_ref(3)?.as_str_or_null()?,
        created_at: Timestamp::from_millis(row.get(4)?),
        updated_at: Timestamp::from_millis(row.get(5)?),
    })
}
