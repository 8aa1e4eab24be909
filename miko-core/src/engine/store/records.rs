//! Reads records by their pks: from the record cache, or from storage.

use std::collections::HashSet;

use miko_rpc::Result;

use crate::engine::store::Store;
use crate::record::{Record, Records};
use crate::storage::ids::RowId;
use crate::storage::row::{Row, StoredRecord};
use crate::storage::{Storage, corruption};

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
        let numbered = |record: &StoredRecord| (record.id, record.to_record(pk));
        if let Some(user) = self.transaction.user()
            && !user.is_serving
            && let Some(committed) = user.pre_image(pk)
        {
            return Ok(committed.map(numbered));
        }
        if let Some(found) = self.record_cache.get(pk, numbered) {
            return Ok(Some(found));
        }
        let Some(record) = self.storage.record(pk)? else { return Ok(None) };
        Ok(Some(numbered(&self.cached(pk, record))))
    }

    /// The records of rows that have one, in their order. Fails if they exceed the size limit of the answer.
    pub(super) fn records_of_rows(&self, rows: &[RowId]) -> Result<Records> {
        let read = |id: &RowId| {
            let record = self.record_of_row(*id)?;
            self.answer.charge_record(&record)?;
            Ok(record)
        };
        Ok(rows.iter().map(read).collect::<Result<Vec<_>>>()?.into())
    }

    fn record_of_row(&self, id: RowId) -> Result<Record> {
        if let Some(found) = self.record_cache.get_row(id, |pk, record| record.to_record(pk)) {
            return Ok(found);
        }
        let row =
            self.storage.row(id)?.ok_or_else(|| corruption("a select has found a row that is not there"))?;
        let pk = row.pk.clone();
        let record = StoredRecord::of(id, row).ok_or_else(|| corruption("a select has found a tombstone"))?;
        Ok(self.cached(&pk, record).to_record(&pk))
    }

    /// Caches a record that was read from storage, if it may be cached.
    fn cached(&self, pk: &str, record: StoredRecord) -> StoredRecord {
        // What a running write or an open transaction has changed may be undone.
        let may_cache = self.record_cache.is_enabled() && !self.transaction.may_undo(pk);
        if may_cache { self.record_cache.insert(pk, record) } else { record }
    }

    /// The row of a pk, which may be a tombstone.
    pub(super) fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        if let Some(found) = self.record_cache.get(pk, |record| (record.id, record.to_row(pk))) {
            return Ok(Some(found));
        }
        self.storage.find(pk)
    }
}
