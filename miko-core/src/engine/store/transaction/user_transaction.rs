//! A transaction of a caller: writes of several calls, which are committed together or not at all.
//!
//! Its writes are applied to storage, in a transaction of storage that stays open between the calls. Other
//! callers get the committed state (decision 0028):
//!
//! - A read by pk gets the pre-image. The transaction keeps one of each record that it has written.
//! - Before any other read, storage is rolled back. The next call of the transaction applies the writes again
//!   from the log.

use std::collections::HashMap;
use std::thread::{self, ThreadId};
use std::time::Instant;

use foldhash::fast::RandomState;
use miko_rpc::{Error, Pass, Result};

use super::replay::apply_again;
use crate::engine::store::state::StoreState;
use crate::storage::Storage;
use crate::storage::row::{Row, StoredRecord};
use crate::storage::write_set::{IndexEntry, WriteSet};
use crate::timestamp::Timestamp;

/// The number of a transaction object, which begins one transaction after another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub(crate) u64);

/// The transaction of a caller that is open, with its nested ones.
#[derive(Debug)]
pub(crate) struct UserTransaction {
    /// The transaction itself, and the nested ones that are open: the innermost is last.
    pub(crate) levels: Vec<Level>,
    /// The write sets of the writes that have ended.
    log: Vec<WriteSet>,
    /// The approximate size of the log, in bytes.
    log_size: usize,
    /// The approximate size of the write sets of the running write, in bytes.
    running_size: usize,
    /// The approximate size of the pre-images, in bytes.
    pre_image_size: usize,
    /// The largest allowed sum of the three sizes, in bytes.
    max_size: usize,
    /// The committed states of the records that the log may change, by pk; `None` for a record that is not in
    /// the committed state, such as one that the transaction has created.
    pre_images: HashMap<String, Option<StoredRecord>, RandomState>,
    /// Whether a transaction of storage was begun, and all writes of the log were applied in it. Storage may
    /// have lost that transaction since.
    is_applied: bool,
    /// While the writes are hidden from other callers: the state of the store with these writes; otherwise
    /// `None`.
    hidden: Option<StoreState>,
    /// Whether the call that runs, or has run last, belongs to the transaction. Set when a call locks the
    /// store to read or write records, and when a stream of the transaction is read.
    pub(crate) runs_own_call: bool,
    /// The error of applying the log again, after a failed write could not be undone by its inverse, as when
    /// storage has lost the transaction. Storage then lacks the writes of the log. The end of the failed
    /// write rolls the transaction back; if the write has panicked, the next call of the transaction applies
    /// the log instead. `None` if nothing was lost.
    pub(crate) lost: Option<Error>,
    /// The time of the next write. It is the time that the transaction got when it was opened, unless a write
    /// has advanced it.
    pub(crate) time: Timestamp,
    /// When the transaction was opened, for its limit of time.
    pub(crate) began: Instant,
    /// The thread that opened the transaction.
    pub(crate) thread: ThreadId,
    /// When its last call ended, or one of its streams was read, for its limit of idleness.
    pub(crate) last_call: Instant,
    /// The turn to write, which is given up when the transaction ends.
    _turn: Pass,
}

/// The transaction itself (level 0), or a nested one.
#[derive(Debug)]
pub(crate) struct Level {
    /// The object that began the level.
    pub(crate) id: TransactionId,
    /// The length of the log when the level began.
    log_length: usize,
    /// The size of the log in bytes when the level began.
    log_size: usize,
    /// The state of the store when the level began.
    state: StoreState,
}

impl UserTransaction {
    /// A transaction in which nothing is written yet. `state` is the committed state of the store, `turn` the
    /// right to write.
    pub(crate) fn new(
        id: TransactionId,
        state: StoreState,
        time: Timestamp,
        max_size: usize,
        turn: Pass,
    ) -> Self {
        let now = Instant::now();
        Self {
            levels: vec![Level { id, log_length: 0, log_size: 0, state }],
            log: Vec::new(),
            log_size: 0,
            running_size: 0,
            pre_image_size: 0,
            max_size,
            pre_images: HashMap::default(),
            is_applied: false,
            hidden: None,
            runs_own_call: true,
            lost: None,
            time,
            began: now,
            thread: thread::current().id(),
            last_call: now,
            _turn: turn,
        }
    }

    /// Begins a nested transaction.
    pub(crate) fn nest(&mut self, id: TransactionId, state: StoreState) {
        self.levels.push(Level { id, log_length: self.log.len(), log_size: self.log_size, state });
    }

    /// Whether `id` has begun the innermost level.
    pub(crate) fn is_innermost(&self, id: TransactionId) -> bool {
        self.levels.last().is_some_and(|level| level.id == id)
    }

    /// The index of the level that `id` has begun.
    pub(crate) fn level_of(&self, id: TransactionId) -> Option<usize> {
        self.levels.iter().position(|level| level.id == id)
    }

    /// The committed state of the store.
    pub(crate) fn committed_state(&self) -> &StoreState {
        &self.levels[0].state
    }

    /// The committed state of a record that the transaction may have changed. `None` for any other record.
    /// `Some(None)` for a record that is not in the committed state, such as one that the transaction has
    /// created.
    pub(crate) fn pre_image(&self, pk: &str) -> Option<Option<&StoredRecord>> {
        self.pre_images.get(pk).map(Option::as_ref)
    }

    /// Whether nothing is written, so that all callers see the same state.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// The write sets so far.
    pub(crate) fn log(&self) -> &[WriteSet] {
        &self.log
    }

    pub(crate) fn into_log(self) -> Vec<WriteSet> {
        self.log
    }

    /// Begins the transaction of storage for a write, unless it is open. If storage has lost the transaction
    /// and the log has writes, applies them again. The running call has done so when it began, but a read
    /// before this write may have failed since, and ended the transaction.
    pub(crate) fn begin_in(&mut self, storage: &mut impl Storage) -> Result<()> {
        // If the write before this one has failed, its size is still counted.
        self.running_size = 0;
        if self.needs_apply(&*storage) {
            return self.apply_log(storage);
        }
        if !(self.is_applied && storage.in_transaction()) {
            storage.begin()?;
            self.is_applied = true;
        }
        Ok(())
    }

    /// Counts a write set that the running write is about to apply, and saves the committed states of the
    /// records that it changes.
    pub(crate) fn save_pre_images(&mut self, set: &WriteSet) {
        self.running_size += size_of_set(set);
        for change in &set.rows {
            let Some(pk) = change.before.as_ref().or(change.after.as_ref()).map(|row| &row.pk) else {
                continue;
            };
            if !self.pre_images.contains_key(pk) {
                self.pre_image_size += pk.len() + change.before.as_ref().map_or(0, Row::memory_size);
                let record = change.before.as_ref().and_then(|row| StoredRecord::of(change.key, row));
                self.pre_images.insert(pk.clone(), record);
            }
        }
    }

    /// Adds bytes to the size of the running write, for memory that it takes besides its write sets.
    pub(crate) fn add_size(&mut self, bytes: usize) {
        self.running_size += bytes;
    }

    /// Adds the write sets of a write that has ended.
    pub(crate) fn push(&mut self, sets: Vec<WriteSet>) {
        self.log_size += std::mem::take(&mut self.running_size);
        self.log.extend(sets);
    }

    /// Whether the log, the running write and the pre-images together exceed the limit of memory.
    pub(crate) fn is_too_large(&self) -> bool {
        self.log_size + self.running_size + self.pre_image_size > self.max_size
    }

    /// Hides the writes from other callers: rolls storage back to the committed state, and keeps `state`, the
    /// state of the store with the writes. Returns the committed state of the store.
    pub(crate) fn hide(&mut self, state: StoreState, storage: &mut impl Storage) -> StoreState {
        self.is_applied = false;
        storage.roll_back();
        self.hidden = Some(state);
        self.committed_state().clone()
    }

    /// Takes the state of the store with the writes, if they are hidden from other callers.
    pub(crate) fn take_hidden(&mut self) -> Option<StoreState> {
        self.hidden.take()
    }

    /// Whether the writes are hidden from other callers.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Whether storage lacks writes of the log, for example because it has lost its transaction.
    pub(crate) fn needs_apply(&self, storage: &impl Storage) -> bool {
        let storage_has_all = self.is_applied && storage.in_transaction();
        !(storage_has_all || self.log.is_empty())
    }

    /// Applies the log to the committed state, in a transaction of storage.
    pub(crate) fn apply_log(&mut self, storage: &mut impl Storage) -> Result<()> {
        self.is_applied = false;
        storage.roll_back();
        storage.begin()?;
        apply_again(&self.log, storage)?;
        self.is_applied = true;
        Ok(())
    }

    /// Ends a nested level and those inside of it. Their writes stay in the log, and so become writes of the
    /// level around them. Returns the objects of the ended levels, the outermost first.
    pub(crate) fn merge_level(&mut self, level: usize) -> Vec<TransactionId> {
        self.remove_levels(level)
    }

    /// Ends a level and those inside of it, removes their writes from the log, and rolls storage back if
    /// there are any. Returns the objects of the ended levels, the outermost first, and the state that the
    /// store had when the level began. After the end of level 0 the caller must drop the transaction.
    pub(crate) fn drop_level(
        &mut self,
        level: usize,
        storage: &mut impl Storage,
    ) -> (Vec<TransactionId>, StoreState) {
        let Level { log_length, log_size, ref state, .. } = self.levels[level];
        let state = state.clone();
        if log_length < self.log.len() {
            self.log.truncate(log_length);
            self.log_size = log_size;
            self.is_applied = false;
            storage.roll_back();
        }
        // The state that `hide` may have kept has the removed writes. The caller sets `state` instead.
        self.hidden = None;
        (self.remove_levels(level), state)
    }

    /// Removes a level and those inside of it. Returns their objects, the outermost first.
    fn remove_levels(&mut self, level: usize) -> Vec<TransactionId> {
        self.levels.drain(level..).map(|level| level.id).collect()
    }
}

/// The approximate size of a write set in memory, in bytes. Of [`WriteSet::others`] only the selects of
/// lasting claims are counted. The other changes in it are small: a transaction of a caller writes no files.
fn size_of_set(set: &WriteSet) -> usize {
    let rows = set.rows.iter().chain(&set.versions);
    let states = rows.flat_map(|change| change.before.iter().chain(&change.after));
    let entry = |entry: &IndexEntry| {
        size_of::<IndexEntry>()
            + match entry {
                IndexEntry::Member { .. } => 0,
                IndexEntry::Unique { value, .. } | IndexEntry::Indexed { value, .. } => value.len(),
                IndexEntry::Reference { target, pointer, .. } => target.len() + pointer.len(),
            }
    };
    let claims = set.others.as_deref().map_or(&[][..], |others| &others.claims);
    let selects = claims.iter().flat_map(|change| change.before.iter().chain(&change.after));
    let selects = selects.filter_map(|claim| claim.lasting_select.as_ref());
    size_of::<WriteSet>()
        + states.map(Row::memory_size).sum::<usize>()
        + selects.map(String::len).sum::<usize>()
        + set.removed_entries.iter().chain(&set.added_entries).map(entry).sum::<usize>()
}
