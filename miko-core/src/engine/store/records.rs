//! Reads records by their pks: from the record cache, or from storage.

use std::collections::HashSet;

use miko_rpc::Result;

use crate::engine::store::Store;
use crate::record::{Record, Records};
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, StoredRecord};

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
        if let Some(found) = self.record_cache.get(pk, numbered) {
            return Ok(Some(found));
        }
        let Some(record) = self.storage.record(pk)? else { return Ok(None) };
        // What a running write has changed may be undone.
        let may_cache = self.record_cache.is_enabled() && !self.transaction.is_writing();
        let record = if may_cache { self.record_cache.insert(pk, record) } else { record };
        Ok(Some(numbered(&record)))
    }

    /// The row of a pk, which may be a tombstone.
    pub(super) fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        if let Some(found) = self.record_cache.get(pk, |record| (record.id, record.to_row(pk))) {
            return Ok(Some(found));
        }
        self.storage.find(pk)
    }
}
