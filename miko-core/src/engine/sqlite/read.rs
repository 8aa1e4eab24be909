//! Rows into records: text is copied, never parsed.

use rusqlite::{OptionalExtension, Row, params_from_iter};

use crate::class::Catalog;
use crate::engine::sqlite::store::Store;
use crate::engine::sqlite::{broken, compile};
use crate::error::Result;
use crate::json::Object;
use crate::query::{Select, Subject, stack};
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
        let plan = self.plan(select)?;
        let statement = compile::select(select, &plan);
        let mut prepared = self.connection.prepare_cached(statement.text())?;
        let rows = prepared.query_map(params_from_iter(statement.values()), record)?;
        if plan.evaluator.is_none() {
            return Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.into());
        }
        let candidates = rows.map(|row| self.candidate(row?));
        let selected = select.evaluate(candidates)?.into_iter().map(|candidate| candidate.record);
        Ok(selected.collect::<Vec<_>>().into())
    }

    fn candidate(&self, record: Record) -> Result<Candidate<'_>> {
        let stack = record.stack.to_map().map_err(broken)?;
        let classes = stack::classes(&stack).into_iter().map(str::to_owned).collect();
        Ok(Candidate { record, classes, catalog: &self.catalog })
    }
}

/// A record that the evaluator looks at.
struct Candidate<'c> {
    record: Record,
    classes: Vec<String>,
    catalog: &'c Catalog,
}

impl Subject for Candidate<'_> {
    fn pk(&self) -> &str {
        &self.record.pk
    }

    fn bucket(&self) -> &str {
        self.record.bucket.as_str()
    }

    fn is_of(&self, classes: &[String]) -> bool {
        self.classes.iter().any(|class| self.catalog.is_one_of(class, classes))
    }

    fn created_at(&self) -> Timestamp {
        self.record.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.record.updated_at
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
