//! Reads records by their pks or row ids: from the record cache, or from storage.

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
        Ok(self.record_with_row_id(pk)?.map(|(_, record)| record))
    }

    /// For each of these pks, in their order: the record with the pk, if it is active. Fails if the records
    /// exceed the size limit of the answer. A pk that is listed twice has its record twice.
    pub(in crate::engine) fn records(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
        let read = |pk: String| {
            // The pk is moved into the record, and not copied.
            let found = self.committed_record(&pk, |record| record.to_record(String::new()))?;
            let record = found.map(|record| Record { pk, ..record });
            match &record {
                Some(record) => self.answer.charge_record(record)?,
                // Charges the overhead of an entry without a record.
                None => self.answer.charge(0)?,
            }
            Ok(record)
        };
        pks.into_iter().map(read).collect()
    }

    /// The active records with these pks, each once, in order of creation. Fails if they exceed the size
    /// limit of the answer.
    pub(super) fn records_by_creation(&self, pks: &[String]) -> Result<Records> {
        // Without this fast path for one record, a batch of selects by one pk takes an eighth longer.
        if let [pk] = pks {
            let found = self.record_with_row_id(pk)?.map(|(_, record)| record);
            found.iter().try_for_each(|record| self.answer.charge_record(record))?;
            return Ok(Vec::from_iter(found).into());
        }
        let (mut seen, mut records) = (HashSet::new(), Vec::new());
        for pk in pks {
            let is_repeated = !seen.insert(pk);
            if is_repeated {
                continue;
            }
            if let Some((id, record)) = self.record_with_row_id(pk)? {
                self.answer.charge_record(&record)?;
                records.push((id, record));
            }
        }
        records.sort_by_key(|(id, _)| *id);
        Ok(records.into_iter().map(|(_, record)| record).collect::<Vec<_>>().into())
    }

    /// As [`record`](Self::record), with the id of its row.
    fn record_with_row_id(&self, pk: &str) -> Result<Option<(RowId, Record)>> {
        self.committed_record(pk, |record| (record.id, record.to_record(pk.to_owned())))
    }

    /// As [`with_record`](Self::with_record). But for a call outside of the open transaction it is the record
    /// as it was committed. If the transaction has changed the record, this is the pre-image.
    fn committed_record<R>(&self, pk: &str, read: impl Fn(&StoredRecord) -> R) -> Result<Option<R>> {
        if let Some(open_transaction) = self.transaction.user_transaction()
            && !open_transaction.runs_own_call
            && let Some(committed) = open_transaction.pre_image(pk)
        {
            return Ok(committed.map(read));
        }
        self.with_record(pk, read)
    }

    /// Calls `read` with the record of a pk, if it is active. If a transaction of a caller is open, the
    /// record has the changes of that transaction, unless [`show_committed`](Self::show_committed) has hidden
    /// them from the other callers.
    pub(super) fn with_record<R>(&self, pk: &str, read: impl Fn(&StoredRecord) -> R) -> Result<Option<R>> {
        if let Some(found) = self.record_cache.get(pk, &read) {
            return Ok(Some(found));
        }
        let Some(record) = self.storage.record(pk)? else { return Ok(None) };
        Ok(Some(read(&self.cache_if_allowed(pk, record))))
    }

    /// The records of these rows, in their order. The rows are those that a select has found, so none of them
    /// is a tombstone. Fails if the records exceed the size limit of the answer.
    pub(super) fn records_of_rows(&self, rows: &[RowId]) -> Result<Records> {
        let read = |id: &RowId| {
            let record = self.record_of_row(*id)?;
            self.answer.charge_record(&record)?;
            Ok(record)
        };
        Ok(rows.iter().map(read).collect::<Result<Vec<_>>>()?.into())
    }

    /// The record of a row that a select has found.
    fn record_of_row(&self, id: RowId) -> Result<Record> {
        let record = self.with_record_of_row(id, |pk, record| record.to_record(pk.to_owned()))?;
        record.ok_or_else(|| corruption("a select has found a tombstone"))
    }

    /// Calls `read` with the pk and the record of a row; `None` for a tombstone or a stub. As in
    /// [`with_record`](Self::with_record), the record may have the changes of an open transaction.
    ///
    /// # Errors
    /// `internal`, if there is no such row.
    pub(super) fn with_record_of_row<R>(
        &self,
        id: RowId,
        read: impl Fn(&str, &StoredRecord) -> R,
    ) -> Result<Option<R>> {
        if let Some(found) = self.record_cache.get_row(id, &read) {
            return Ok(Some(found));
        }
        let row = self.storage.row(id)?.ok_or_else(|| corruption("there is no such row"))?;
        let Some(record) = StoredRecord::of(id, &row) else { return Ok(None) };
        Ok(Some(read(&row.pk, &self.cache_if_allowed(&row.pk, record))))
    }

    /// Caches a record that was read from storage, if it may be cached. Returns the record.
    fn cache_if_allowed(&self, pk: &str, record: StoredRecord) -> StoredRecord {
        // The record may have a change by the running write or an open transaction. Such a change may still
        // be undone, so the record is not cached.
        let may_cache = self.record_cache.is_enabled() && !self.transaction.may_be_undone(pk);
        if may_cache { self.record_cache.insert(pk, record) } else { record }
    }

    /// The row of a pk, which may be a tombstone or a stub.
    pub(super) fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        if let Some(found) = self.record_cache.get(pk, |record| (record.id, record.to_row(pk))) {
            return Ok(Some(found));
        }
        self.storage.find(pk)
    }

    /// The row with an id, which may be a tombstone or a stub.
    pub(super) fn row(&self, id: RowId) -> Result<Option<Row>> {
        if let Some(found) = self.record_cache.get_row(id, |pk, record| record.to_row(pk)) {
            return Ok(Some(found));
        }
        self.storage.row(id)
    }
}
