//! Rows into records: text is copied, never parsed.

use rusqlite::{OptionalExtension, Row, params_from_iter};

use crate::engine::sqlite::compile;
use crate::engine::sqlite::statement::Statement;
use crate::engine::sqlite::store::Store;
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

impl Store {
    pub(super) fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        const SQL: &str = select_record!("FROM record WHERE pk = ?1 AND bucket IS NOT NULL");
        Ok(self.connection.prepare_cached(SQL)?.query_row([pk], record).optional()?)
    }

    pub(super) fn select(&self, select: &Select) -> Result<Records> {
        self.records(&compile::select(select, &self.plan(&select.condition)?))
    }

    fn records(&self, statement: &Statement) -> Result<Records> {
        let mut prepared = self.connection.prepare_cached(statement.text())?;
        let rows = prepared.query_map(params_from_iter(statement.values()), record)?;
        Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into())
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
