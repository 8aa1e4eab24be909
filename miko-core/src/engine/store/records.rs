//! Reads records by their pks: from the image, or from storage.

use std::collections::HashSet;

use miko_rpc::Result;

use crate::engine::store::Store;
use crate::engine::store::image::ImageRecord;
use crate::json::Object;
use crate::record::{Record, Records};
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};

impl<T: Storage> Store<T> {
    /// The record with a pk, if it is active.
    pub(in crate::engine) fn record(&self, pk: &str) -> Result<Option<Record>> {
        Ok(self.numbered_record(pk)?.map(|(_, record)| record))
    }

    /// The records with these pks, in their order. Fails if they exceed the size limit of the answer.
    pub(in crate::engine) fn records(&self, pks: &[String]) -> Result<Vec<Option<Record>>> {
        let read = |pk: &String| {
            let record = self.record(pk)?;
            match &record {
                Some(record) => self.answer.charge_record(record)?,
                None => self.answer.charge(0)?,
            }
            Ok(record)
        };
        pks.iter().map(read).collect()
    }

    /// The distinct records with these pks, in order of creation. Fails if they exceed the size limit of the
    /// answer.
    pub(super) fn records_by_creation(&self, pks: &[String]) -> Result<Records> {
        let (mut seen, mut records) = (HashSet::new(), Vec::new());
        for pk in pks {
            let is_repeated = pks.len() > 1 && !seen.insert(pk);
            if is_repeated {
                continue;
            }
            if let Some((id, record)) = self.numbered_record(pk)? {
                self.answer.charge_record(&record)?;
                records.push((id, record));
            }
        }
        records.sort_by_key(|(id, _)| *id);
        Ok(records.into_iter().map(|(_, record)| record).collect::<Vec<_>>().into())
    }

    /// As [`record`](Self::record), with the id of its row.
    fn numbered_record(&self, pk: &str) -> Result<Option<(RowId, Record)>> {
        let numbered = |record: &ImageRecord| (record.id(), record.to_record(pk));
        if let Some(found) = self.image.get(pk, numbered) {
            return Ok(Some(found));
        }
        let Some((id, row)) = self.storage.find(pk)? else { return Ok(None) };
        self.enter(id, &row);
        Ok(record_of(row).map(|record| (id, record)))
    }

    /// The row of a pk, which may be a tombstone.
    pub(super) fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        if let Some(found) = self.image.get(pk, |record| (record.id(), record.to_row(pk))) {
            return Ok(Some(found));
        }
        self.storage.find(pk)
    }

    /// Enters a row that was read into the image, unless a running write may have changed it.
    fn enter(&self, id: RowId, row: &Row) {
        if self.image.is_enabled() && !self.transaction.is_writing() {
            self.image.enter(id, row);
        }
    }
}

fn record_of(row: Row) -> Option<Record> {
    let State { bucket, stack, extras } = row.state?;
    Some(Record {
        pk: row.pk,
        bucket: Object::from_text_unchecked(bucket),
        stack: Object::from_text_unchecked(stack),
        extras: extras.map(Object::from_text_unchecked),
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}
