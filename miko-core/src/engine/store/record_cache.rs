//! The record cache: the records that were read or changed last, with the JSON texts that answers contain.
//!
//! For each record, the cache has the same state as storage, or nothing. So a write removes the records that
//! it changes, and stages their new states: they are set aside until it is known whether the write succeeds.
//! If it succeeds, the staged states are added to the cache, since the next write of such a record reads the
//! record first. The states that a transaction of a caller writes are staged only at its commit.
//!
//! A record that is read from storage is not added in two cases, in which its state may still be undone:
//! while a write runs, and if an open transaction has changed the record.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::unsync::Cache;
use quick_cache::{Lifecycle, Weighter};

use crate::engine::store::stored_json::MAX_CACHED_STACK_LENGTH;
use crate::json::Object;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, StoredRecord};
use crate::storage::write_set::RowChange;

/// The approximate number of bytes that a record takes besides its texts.
const OVERHEAD: usize = size_of::<StoredRecord>() + 256;

/// The most stacks that are kept for sharing. When there would be more, all are forgotten, which is simpler
/// than to evict one. Records that share a stack already keep it.
const MAX_SHARED_STACKS: usize = 1024;

/// The most new states that are staged for one write, or for one transaction of a caller at its commit; a
/// record that is changed twice has two. Nothing is staged for a write with more: such writes are rare, and
/// only few of their records are read soon. The staged states together are at most as large as the record
/// cache.
const MAX_STAGED: usize = 64;

/// The record cache: records by pk and by row id. When they exceed its size, records that were not read
/// lately are evicted.
#[derive(Debug)]
pub(super) struct RecordCache(RefCell<Content>);

#[derive(Debug)]
struct Content {
    records: Cache<Arc<str>, StoredRecord, SizeWeighter, RandomState, EvictedRows>,
    /// The pks of the cached records, by row id.
    pks: HashMap<RowId, Arc<str>, RandomState>,
    /// Distinct stacks, which the cached records share: most records of a class have equal stacks.
    stacks: HashSet<Object, RandomState>,
    /// The new states of the records that the running write has changed, in the order of the changes. While
    /// a transaction of a caller is committed: the new states of the records that the transaction has
    /// changed.
    staged: Staged,
    /// The most bytes that `records` may take; 0 if nothing is kept.
    max_size: usize,
}

#[derive(Debug, Default)]
struct Staged {
    /// The new states by pk; `None` for a deleted record.
    records: Vec<(Arc<str>, Option<StoredRecord>)>,
    /// The approximate size of `records` in bytes.
    size: usize,
    /// Whether the write has exceeded the limits of staging. Its states were dropped, and no more are staged.
    is_too_large: bool,
}

#[derive(Debug, Clone)]
struct SizeWeighter;

impl Weighter<Arc<str>, StoredRecord> for SizeWeighter {
    fn weight(&self, pk: &Arc<str>, record: &StoredRecord) -> u64 {
        let extras = record.extras.as_ref().map_or(0, |extras| extras.as_str().len());
        let instance_pk = record.instance_pk.as_ref().map_or(0, |pk| pk.len());
        // A shared stack counts for each record, since any of the records may be the last one that uses it.
        let texts = record.bucket.as_str().len() + record.stack.as_str().len() + extras + instance_pk;
        (OVERHEAD + pk.len() + texts) as u64
    }
}

/// Collects the row ids of the records that an insertion evicts.
#[derive(Debug, Clone)]
struct EvictedRows;

impl Lifecycle<Arc<str>, StoredRecord> for EvictedRows {
    type RequestState = Vec<RowId>;

    fn on_evict(&self, evicted: &mut Vec<RowId>, _: Arc<str>, record: StoredRecord) {
        evicted.push(record.id);
    }
}

impl RecordCache {
    /// The default size in bytes.
    pub(super) const DEFAULT_SIZE: usize = 64 << 20;

    /// An empty cache, whose records take at most this many bytes. Staged states and shared stacks come on
    /// top. A cache of size 0 keeps nothing.
    pub(super) fn of_size(size: usize) -> Self {
        // An estimate, by which `Cache` sizes its tables. It assumes that the texts of a record take
        // `OVERHEAD` bytes.
        let expected_records = size / (2 * OVERHEAD);
        let records =
            Cache::with(expected_records, size as u64, SizeWeighter, RandomState::default(), EvictedRows);
        let (pks, stacks, staged) = (HashMap::default(), HashSet::default(), Staged::default());
        Self(RefCell::new(Content { records, pks, stacks, staged, max_size: size }))
    }

    /// The size that the cache was created with: the most bytes that its records may take; 0 if nothing is
    /// kept.
    pub(super) fn max_size(&self) -> usize {
        self.0.borrow().max_size
    }

    /// Whether anything is kept.
    pub(super) fn is_enabled(&self) -> bool {
        self.max_size() > 0
    }

    /// Calls `read` with a record, if the cache has it.
    pub(super) fn get<R>(&self, pk: &str, read: impl FnOnce(&StoredRecord) -> R) -> Option<R> {
        self.0.borrow().records.get(pk).map(read)
    }

    /// As [`get`](Self::get), with the pk and the record of a row.
    pub(super) fn get_row<R>(&self, id: RowId, read: impl FnOnce(&str, &StoredRecord) -> R) -> Option<R> {
        let content = self.0.borrow();
        let pk = content.pks.get(&id)?;
        content.records.get(pk).map(|record| read(pk, record))
    }

    /// Adds a record. Returns the record with a stack that it may share with other cached records.
    pub(super) fn insert(&self, pk: &str, record: StoredRecord) -> StoredRecord {
        let mut content = self.0.borrow_mut();
        let stack = content.shared_stack(record.stack);
        let record = StoredRecord { stack, ..record };
        content.insert(pk.into(), record.clone());
        record
    }

    /// Removes the records that a write in the transaction of a caller changes. The commit of the transaction
    /// stages their new states.
    pub(super) fn remove(&self, changes: &[RowChange<RowId, Row>]) {
        let mut content = self.0.borrow_mut();
        changes.iter().filter_map(|change| change.before.as_ref()).for_each(|row| content.remove(&row.pk));
    }

    /// Removes the records that a write changes, and stages their new states. New records are not staged, so
    /// that a create does no extra work.
    pub(super) fn stage(&self, changes: &[RowChange<RowId, Row>]) {
        let mut content = self.0.borrow_mut();
        for RowChange { key, before, after } in changes {
            let Some(before) = before else { continue };
            content.remove(&before.pk);
            if content.max_size > 0 {
                content.stage(*key, &before.pk, after.as_ref());
            }
        }
    }

    /// Adds the staged states to the record cache: the write has succeeded.
    pub(super) fn publish(&self) {
        let mut content = self.0.borrow_mut();
        let mut staged = std::mem::take(&mut content.staged);
        if !staged.is_too_large {
            for (pk, record) in staged.records.drain(..) {
                match record {
                    Some(record) => content.insert(pk, record),
                    // An earlier state of the same write may just have been inserted.
                    None => content.remove(&pk),
                }
            }
            // The list is empty now. It goes back, so that the next write uses its allocation.
            staged.size = 0;
            content.staged = staged;
        }
    }

    /// Drops the staged states: the write is undone.
    pub(super) fn discard_staged(&self) {
        self.0.borrow_mut().staged = Staged::default();
    }

    /// Removes all records.
    pub(super) fn clear(&self) {
        let mut content = self.0.borrow_mut();
        content.records.clear();
        content.pks.clear();
        content.stacks.clear();
        content.staged = Staged::default();
    }
}

impl Content {
    fn insert(&mut self, pk: Arc<str>, record: StoredRecord) {
        let (id, mut evicted) = (record.id, Vec::new());
        self.records.insert_with_lifecycle(Arc::clone(&pk), record, &mut evicted);
        evicted.iter().for_each(|id| drop(self.pks.remove(id)));
        // `evicted` has the id of this record in two cases: an earlier state of the record was replaced, or
        // the new state is too large and was not kept. Only in the first case `records` has the record.
        if !evicted.contains(&id) || self.records.contains_key(&*pk) {
            self.pks.insert(id, pk);
        }
    }

    fn remove(&mut self, pk: &str) {
        if let Some((_, record)) = self.records.remove(pk) {
            self.pks.remove(&record.id);
        }
    }

    /// Stages the record of the row `after`. Of a tombstone, and of a row that is removed, stages that there
    /// is no record. If the states of the write would be more than [`MAX_STAGED`], or larger than the record
    /// cache, drops all of them, and stages no further states of this write.
    fn stage(&mut self, id: RowId, pk: &str, after: Option<&Row>) {
        let size = self.staged.size + OVERHEAD + after.map_or(0, Row::memory_size);
        if self.staged.records.len() == MAX_STAGED || size > self.max_size {
            self.staged = Staged { is_too_large: true, ..Staged::default() };
        }
        if !self.staged.is_too_large {
            self.staged.size = size;
            let record =
                after.and_then(|row| StoredRecord::with_stack(id, row, |text| self.stack_of_text(text)));
            self.staged.records.push((pk.into(), record));
        }
    }

    /// The stack with this text: one that other records share, or a new one.
    fn stack_of_text(&mut self, text: &str) -> Object {
        match self.stacks.get(text) {
            Some(shared) => shared.clone(),
            None => self.shared_stack(Object::from_stored_text(text)),
        }
    }

    /// The stack, or an equal one that other records share.
    fn shared_stack(&mut self, stack: Object) -> Object {
        let text = stack.as_str();
        if text.len() > MAX_CACHED_STACK_LENGTH {
            return stack;
        }
        if let Some(shared) = self.stacks.get(text) {
            return shared.clone();
        }
        if self.stacks.len() >= MAX_SHARED_STACKS {
            self.stacks.clear();
        }
        self.stacks.insert(stack.clone());
        stack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::store::Store;
    use crate::mode::Mode;
    use crate::storage::ids::CommitSeq;
    use crate::storage::sqlite::Sqlite;
    use crate::timestamp::Timestamp;

    fn record(number: i64, stack: String) -> StoredRecord {
        StoredRecord {
            id: RowId(number),
            bucket: Object::from_stored_text(format!("{{\"a\":\"{}\"}}", "b".repeat(100))),
            stack: Object::from_stored_text(stack),
            extras: None,
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            commit: CommitSeq(1),
            instance_pk: None,
        }
    }

    #[test]
    fn a_cache_stays_within_its_size_also_with_data_in_stacks() {
        let cache = RecordCache::of_size(64 << 10);
        for (length, is_kept) in [(10, true), (10_000, true), (100_000, false)] {
            for number in 0..1000 {
                let stack = format!("{{\"shadow\":{{\"{number}\":\"{}\"}}}}", "s".repeat(length));
                let pk = number.to_string();
                let cached = cache.insert(&pk, record(number, stack.clone()));
                assert_eq!(cached.stack.as_str(), stack);
                assert_eq!(cache.get(&pk, |_| ()).is_some(), is_kept);
                let found = cache.get_row(RowId(number), |found, _| found == pk);
                assert_eq!(found, is_kept.then_some(true));
            }
            let content = cache.0.borrow();
            assert!(content.records.weight() <= 64 << 10);
            let texts = |record: &StoredRecord| record.stack.as_str().len();
            assert!(content.records.iter().map(|(_, record)| texts(record)).sum::<usize>() <= 64 << 10);
            assert!(content.stacks.len() <= MAX_SHARED_STACKS);
            assert_eq!(content.pks.len(), content.records.len());
        }
        cache.clear();
        assert!(cache.0.borrow().records.is_empty() && cache.0.borrow().stacks.is_empty());
    }

    /// The change of record `number` to a bucket with this text.
    fn change(number: i64, text: &str) -> RowChange<RowId, Row> {
        let mut before = record(number, "{}".to_owned()).to_row(&number.to_string());
        let mut after = before.clone();
        before.state.as_mut().unwrap().bucket = "{}".to_owned();
        after.state.as_mut().unwrap().bucket = format!("{{\"a\":\"{text}\"}}");
        RowChange::replace(RowId(number), before, after)
    }

    #[test]
    fn a_record_that_a_write_has_changed_twice_is_found_by_pk_and_by_row() {
        let cache = RecordCache::of_size(64 << 10);
        for texts in [["first", "last"], ["other", "end"]] {
            texts.iter().for_each(|text| cache.stage(&[change(1, text)]));
            cache.publish();
            let expected = Some(format!("{{\"a\":\"{}\"}}", texts[1]));
            assert_eq!(cache.get("1", |record| record.bucket.as_str().to_owned()), expected);
            assert_eq!(cache.get_row(RowId(1), |_, record| record.bucket.as_str().to_owned()), expected);
        }
        let content = cache.0.borrow();
        assert_eq!((content.pks.len(), content.records.len()), (1, 1));
    }

    #[test]
    fn the_staged_records_of_a_write_are_at_most_as_large_as_the_cache() {
        let cache = RecordCache::of_size(64 << 10);
        let large = "x".repeat(20 << 10);
        for (count, is_kept) in [(1, true), (3, true), (4, false), (50, false), (2, true)] {
            (0..count).for_each(|number| cache.stage(&[change(number, &large)]));
            let texts = |staged: &Staged| {
                let sizes =
                    staged.records.iter().map(|(_, record)| record.as_ref().unwrap().bucket.as_str().len());
                sizes.sum::<usize>()
            };
            assert!(texts(&cache.0.borrow().staged) <= 64 << 10);
            cache.publish();
            assert_eq!(cache.get("0", |_| ()).is_some(), is_kept, "{count} records");
        }
    }

    #[test]
    fn equal_stacks_are_kept_once() {
        let cache = RecordCache::of_size(64 << 10);
        let stacks = ["a", "b"].map(|pk| cache.insert(pk, record(1, "{}".to_owned())).stack);
        assert_eq!(stacks[0].as_str().as_ptr(), stacks[1].as_str().as_ptr());
    }

    #[test]
    fn a_read_only_database_has_no_record_cache_since_another_process_may_write() {
        for (mode, is_enabled) in [(Mode::ReadWrite, true), (Mode::Read, false)] {
            let store = Store::on(Sqlite::in_memory(false).unwrap(), mode).unwrap();
            assert_eq!(store.record_cache.is_enabled(), is_enabled);
        }
    }
}
