//! Reads rows as records. The JSON text is copied, not parsed.

use rusqlite::{Row, params_from_iter};

use crate::engine::sqlite::{Sqlite, compile};
use crate::engine::store::Store;
use crate::engine::store::candidate::Candidate;
use crate::engine::tables::Tables;
use crate::error::Result;
use crate::json::Object;
use crate::query::SelectRequest;
use crate::record::{Record, Records};
use crate::timestamp::Timestamp;

/// SQL that selects the columns that [`read_record`] reads.
macro_rules! select_record {
    ($rest:literal) => {
        concat!("SELECT pk, bucket, stack, extras, created_at, updated_at ", $rest)
    };
}
pub(super) use select_record;

impl Sqlite {
    pub(super) fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        const SQL: &str = select_record!("FROM record WHERE pk = ?1 AND bucket IS NOT NULL");
        self.connection.query_optional(SQL, [pk], read_record)
    }
}

impl Store<Sqlite> {
    /// Runs a select. Fails if the records exceed the size limit of the answer.
    pub(super) fn run_select(&self, select: &SelectRequest) -> Result<Records> {
        self.records(select, |record| self.answer.charge_record(record))
    }

    fn records(&self, select: &SelectRequest, charge: impl Fn(&Record) -> Result<()>) -> Result<Records> {
        let charged = |record: Record| charge(&record).map(|()| record);
        let plan = self.plan(select)?;
        let statement = compile::select(select, &plan);
        let mut cached = self.tables.connection.prepare_cached(statement.sql())?;
        let rows = cached.query_map(params_from_iter(statement.values()), read_record)?;
        if plan.residual_filter.is_none() {
            return Ok(rows.map(|row| charged(row?)).collect::<Result<Vec<_>>>()?.into());
        }
        let candidates = rows.map(|row| Candidate::of(row?, &self.catalog));
        let selected = select.evaluate(candidates, |candidate| charge(&candidate.record))?;
        Ok(selected.into_iter().map(|candidate| candidate.record).collect::<Vec<_>>().into())
    }
}

impl Store<Sqlite> {
    /// Runs a select and returns the row ids (`seq`) of the records.
    pub(super) fn fetch_row_ids(&self, select: &SelectRequest) -> Result<Vec<i64>> {
        let plan = self.plan(select)?;
        if plan.residual_filter.is_none() {
            let statement = compile::select_row_ids(select, &plan);
            let mut cached = self.tables.connection.prepare_cached(statement.sql())?;
            let rows = cached.query_map(params_from_iter(statement.values()), |row| row.get(0))?;
            return Ok(rows.collect::<rusqlite::Result<_>>()?);
        }
        let mut row_ids = Vec::new();
        for record in self.records(select, |_| Ok(()))? {
            row_ids.extend(self.tables.find(&record.pk)?.map(|(seq, _)| seq));
        }
        Ok(row_ids)
    }
}

/// Reads a row of [`select_record!`].
fn read_record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        pk: row.get(0)?,
        bucket: Object::from_text_unchecked(row.get(1)?),
        stack: Object::from_text_unchecked(row.get(2)?),
        extras: row.get::<_, Option<String>>(3)?.map(Object::from_text_unchecked),
        created_at: Timestamp::from_millis(row.get(4)?),
        updated_at: Timestamp::from_millis(row.get(5)?),
    })
}
