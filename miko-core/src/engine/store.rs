//! The store: the operations of a Mikobase, on any storage.
//!
//! Every engine is a [`Store`] on its own storage, so all engines share the code that validates and indexes a
//! write, defines a class and imports a worldlet.
//!
//! | subject | where |
//! | --- | --- |
//! | refusing writes to a read-only or append-only store | [`access`] |
//! | the transaction state; the log of the changes of commits | [`transaction`]; [`changes`] |
//! | subscriptions of changes, and their matches | [`subscribe`], [`subscriptions`]; [`change_matches`] |
//! | live queries: their results, and the watches that wake their readers | [`live_query`]; [`watches`] |
//! | transactions of callers, and their objects | [`transactions`], [`transaction_objects`] |
//! | the state that is restored when a write is undone | [`state`] |
//! | requests; writing one record | [`requests`]; [`mod@write`], [`update`], [`upsert`] |
//! | writing the records of a select | [`selected`] |
//! | claims of records, and the calls that wait for one | [`claims`] |
//! | hooks; running them, and their reads | [`hooks`]; [`before_save`], [`hook_reader`] |
//! | creating records from JSON text; changing their buckets as text | [`text_creates`]; [`text_updates`] |
//! | exporting, importing, merging | [`export`], [`import`], [`merge`] |
//! | parts of an import: files, text, places | [`import_files`], [`import_text`], [`import_places`] |
//! | planning and running a select; selects on the past | [`planner`], [`select`], [`candidate`]; [`past`] |
//! | the size limit of an answer | [`answer`] |
//! | classes: validating a record, definitions, the whole schema | [`examine`], [`definitions`], [`schema`] |
//! | index entries of a record | [`index_entries`] |
//! | unique values that move between records within a write | [`taken_values`] |
//! | checks of references at the end of a write | [`pending`], [`pending_checks`] |
//! | collecting all faults of a rejected write | [`refusal`] |
//! | files | [`files`] |
//! | streams of records and of exports | [`streams`], [`open_streams`], [`snapshot`] |
//! | reading records by pk; the record cache | [`records`]; [`record_cache`] |
//! | the JSON of stored records; the cache of parsed stacks | [`stored_json`]; [`parsed_stacks`] |
//! | columns: cached values at scanned paths | [`columns`], [`column_scans`] |
//! | pks of new records; ids of classes and constraints | [`pks`]; [`ids`], [`id_cache`] |

mod access;
mod answer;
mod before_save;
mod candidate;
mod change_matches;
mod changes;
pub(super) mod claims;
mod column_scans;
mod columns;
mod definitions;
mod examine;
pub(super) mod export;
pub(super) mod files;
mod hook_reader;
pub(super) mod hooks;
mod id_cache;
mod ids;
mod import;
mod import_files;
mod import_places;
mod import_text;
mod index_entries;
pub(super) mod live_query;
mod merge;
pub(super) mod open_streams;
mod parsed_stacks;
mod past;
mod pending;
mod pending_checks;
mod pks;
mod planner;
mod record_cache;
mod records;
mod refusal;
mod requests;
mod schema;
mod select;
mod selected;
mod snapshot;
mod state;
mod stored_json;
pub(super) mod streams;
pub(super) mod subscribe;
pub(super) mod subscriptions;
mod taken_values;
mod text_creates;
mod text_updates;
pub(super) mod transaction;
mod transaction_objects;
mod transactions;
mod update;
mod upsert;
mod watches;
mod write;

use std::cell::{Cell, RefCell};

use miko_rpc::{GroupFailure, Result, memory};
use rpds::HashTrieMapSync;

use crate::access::Access;
use crate::class::Catalog;
use crate::commit::Commit;
use crate::json::TextChecker;
use crate::mikobase::Properties;
use crate::mode::Mode;
use crate::storage::ids::{CommitSeq, LastNumbers, RowId};
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Capabilities, Storage};
use crate::timestamp::Timestamp;
use answer::AnswerBudget;
use claims::table::ClaimTable;
use claims::transient::TransientClaims;
use columns::Columns;
use hooks::Hooks;
use id_cache::IdCache;
use open_streams::Streams;
use parsed_stacks::ParsedStacks;
use pending::DeferredWork;
use pks::Pks;
use record_cache::RecordCache;
use state::StoreState;
use subscriptions::Subscriptions;
use transaction::{CommitSharing, Transaction};
use transaction_objects::TransactionObjects;
use watches::Watches;

/// With a memory limit, the record cache takes at most the limit divided by this. So do the columns.
const CACHE_DIVISOR: usize = 16;

/// A storage, and the state that is kept between two calls.
#[derive(Debug)]
pub(crate) struct Store<T> {
    pub(super) storage: T,
    is_temporal: bool,
    /// The transaction that is open in storage, and the running write.
    transaction: Transaction,
    /// The objects through which callers begin transactions.
    transaction_objects: TransactionObjects,
    /// The last number of each kind that was given out: of rows, commits, classes, constraints and files.
    last: Cell<LastNumbers>,
    ids: RefCell<IdCache>,
    /// The time of the running write, or of the last one. Records that the write creates, changes or deletes
    /// get this time. Exceptions: if the stored time of a record is not earlier, the record gets the next
    /// possible time after its stored one; an imported record may state another time.
    write_time: Timestamp,
    pks: Pks,
    /// The classes in force, with the changes that the running write has made so far.
    catalog: Catalog,
    /// In a temporal database: for each class name, the latest time at which a definition of the name was
    /// replaced or deleted. A new definition of the name begins no earlier.
    definition_ends: HashTrieMapSync<String, Timestamp>,
    /// The checks and hooks that the running write has deferred to its end.
    deferred: DeferredWork,
    /// The stored claims.
    claim_rows: ClaimTable,
    /// The state of claims that ends with the process: which claims belong to open connections, and which
    /// calls wait for a claim.
    claims: TransientClaims,
    streams: Streams,
    subscriptions: Subscriptions,
    watches: Watches,
    record_cache: RecordCache,
    parsed_stacks: ParsedStacks,
    /// Checks the texts of buckets. Kept for its allocations.
    text_checker: TextChecker,
    columns: Columns,
    /// The pks of unfinished files whose uploads were dropped, and that could not be discarded yet: a
    /// transaction was open, or the write that discards them failed. Discarding is tried again when the next
    /// file is begun or discarded, and when a transaction ends.
    abandoned_files: Vec<String>,
    /// Whether records of undefined classes are refused.
    pub(super) strict: bool,
    /// Whether a `create` may choose the pk of its record.
    pub(super) client_pks: bool,
    pub(super) answer: AnswerBudget,
    pub(super) hooks: Hooks,
    /// How the database was opened. Never changes.
    mode: Mode,
    /// Which writes are accepted: at first those of the mode. `restrict` may accept fewer.
    access: Access,
    /// In an append-only database: the last row that existed before the running write. The write may change
    /// only later rows. `None` in a merge, which may change any row, and in any other database.
    last_row_before: Option<RowId>,
}

impl<T: Storage> Store<T> {
    /// Opens the store of this storage: reads its classes and claims and, in mode `rw`, removes files that
    /// were never completed.
    pub(super) fn on(storage: T, mode: Mode) -> Result<Self> {
        let Capabilities { is_temporal, keeps_numbers, .. } = storage.capabilities();
        let mut store = Self {
            is_temporal,
            last: storage.last_numbers()?.into(),
            storage,
            transaction: Transaction::default(),
            transaction_objects: TransactionObjects::default(),
            ids: RefCell::default(),
            write_time: Timestamp::FIRST,
            pks: Pks::default(),
            catalog: Catalog::default(),
            definition_ends: HashTrieMapSync::default(),
            deferred: DeferredWork::default(),
            claim_rows: ClaimTable::default(),
            claims: TransientClaims::default(),
            streams: Streams::default(),
            subscriptions: Subscriptions::of(keeps_numbers),
            watches: Watches::default(),
            record_cache: RecordCache::of_size(0),
            parsed_stacks: ParsedStacks::default(),
            text_checker: TextChecker::default(),
            columns: Columns::of_size(0),
            abandoned_files: Vec::new(),
            strict: false,
            client_pks: true,
            answer: AnswerBudget::default(),
            hooks: Hooks::default(),
            mode,
            access: mode.into(),
            last_row_before: None,
        };
        store.set_record_cache_size(RecordCache::DEFAULT_SIZE);
        store.set_columns_size(Columns::DEFAULT_SIZE);
        store.load_catalog()?;
        store.load_claims()?;
        if mode == Mode::ReadWrite {
            store.remove_unfinished_files()?;
        }
        Ok(store)
    }

    /// Runs `work` as one write: all of it takes effect, or nothing if it fails or panics.
    ///
    /// # Errors
    /// `read-only-connection`; the errors of `work`, of the checks and hooks that it has deferred, and of
    /// storage; in a group of calls that has failed, the error of the group; `transaction-invalidated`, if
    /// the write belongs to a transaction of a caller that has lost its writes or exceeds its memory limit.
    pub(super) fn write<R>(
        &mut self,
        sharing: CommitSharing,
        work: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        self.check_writable()?;
        let sharing = self.sharing_with_hooks(sharing);
        self.note_last_row();
        // The number of records, including deleted ones: row ids are given out one by one from 1 on. It
        // limits how many writes share a deferred commit.
        let records = self.last.get().row.0;
        self.transaction.begin(sharing, records, &mut self.storage)?;
        // `begin` may have committed earlier calls. Their changes are published now, while the catalog still
        // has the classes with which they were made.
        self.publish_commits();
        self.deferred = DeferredWork::default();
        // A write in a transaction of a caller has the time of the transaction.
        let transaction_time = self.transaction.user_transaction().map(|transaction| transaction.time);
        self.write_time = transaction_time.unwrap_or_else(Timestamp::now);
        let (before, claims_before) = (self.state(), self.count_begun_claims());
        let done = RunningWrite { store: self, before, claims_before, has_ended: false }.run(work);
        if let Err(error) = &done {
            // If a hook has rejected the write, the whole transaction of the caller ends.
            self.end_rejected_transaction(error);
        }
        // A transaction of a caller that has lost its writes or exceeds its memory limit is rolled back here.
        // The error that says so replaces the result of the write.
        self.check_transaction().and(done)
    }

    /// Applies a write set as a part of the running write. Returns the unique values of the set that other
    /// records already have. If there are any, nothing was applied, and the caller must fail the write.
    ///
    /// The hooks for the rows of the set run at the end of the write.
    fn apply(&mut self, write: WriteSet) -> Result<Vec<Conflict>> {
        self.check_appends(&write)?;
        self.note_stored_rows(&write.rows)?;
        let rows = write.rows.iter().map(|change| change.key);
        // An import checks the rows from `first_stored_row` on (`check_imported`).
        self.deferred.first_stored_row = self.deferred.first_stored_row.into_iter().chain(rows).min();
        self.apply_after_hooks(write)
    }

    /// Applies a write set, without three steps of [`apply`](Self::apply).
    ///
    /// - The rows are not noted for hooks at the end of the write: their hooks have run already, there are no
    ///   hooks, or the caller is `apply`, which has noted them.
    /// - Append-only access is not checked: the write creates the record, `check_may_change` has checked the
    ///   call that changes the record, or the caller is `apply`, which has checked the set.
    /// - The rows do not count for `first_stored_row`: only an import needs it, and an import calls `apply`.
    fn apply_after_hooks(&mut self, write: WriteSet) -> Result<Vec<Conflict>> {
        self.streams.save_pre_images(&write.rows);
        self.columns.mark_stale(&write, self.last.get().row);
        match self.transaction.user_transaction_mut() {
            // The commit of the transaction stages the new states for the record cache, and wakes the calls
            // that wait for claims.
            Some(transaction) => {
                self.record_cache.remove(&write.rows);
                transaction.save_pre_images(&write);
                if transaction.is_too_large() {
                    return Err(self.memory_exceeded());
                }
            }
            None => {
                self.record_cache.stage(&write.rows);
                self.wake_calls_for_rows(&write.rows);
            }
        }
        self.transaction.apply(write, &mut self.storage)
    }

    /// Keeps the changes of all further commits, until [`take_commits`](Self::take_commits) takes them.
    pub(super) fn observe_commits(&mut self) {
        self.transaction.commits.observe();
    }

    /// Takes the commits since the last call.
    pub(super) fn take_commits(&mut self) -> Vec<Commit> {
        self.transaction.commits.take()
    }

    /// Called when the store is locked. If storage has lost the writes of the open group, applies them again.
    pub(super) fn restore_group(&mut self) {
        self.transaction.restore_group(&mut self.storage);
    }

    /// Begins a group: calls of this thread whose changes are committed together. Returns `false`, and begins
    /// none, if a group or a transaction of a caller is open.
    pub(super) fn begin_group(&mut self) -> bool {
        self.transaction.begin_group(&mut self.storage)
    }

    /// Begins the call with this index in the group.
    pub(super) fn begin_call(&mut self, index: usize) {
        self.transaction.begin_call(index);
    }

    pub(super) fn is_in_group_of_another_thread(&self) -> bool {
        self.transaction.is_in_group_of_another_thread()
    }

    /// Ends the group: commits its changes.
    ///
    /// # Errors
    /// The first call of which a write could not be committed, with the error.
    pub(super) fn end_group(&mut self) -> Result<(), GroupFailure> {
        let ended = self.transaction.end_group(&mut self.storage);
        if ended.is_err() {
            self.reload();
        }
        self.publish_commits();
        ended
    }

    /// Ends the group, if one is open, and rolls back its uncommitted changes.
    pub(super) fn abandon_group(&mut self) {
        if self.transaction.abandon_group(&mut self.storage) {
            self.reload();
        }
        self.publish_commits();
    }

    /// Derives the state of the store anew, after storage has lost writes of a group. The catalog stays: in a
    /// group, a write that may change a class definition has its own commit, so storage has not lost it.
    fn reload(&mut self) {
        self.ids = RefCell::default();
        self.record_cache.clear();
        self.columns.clear();
        // If a claim was lost with the writes, its caller gets `claim-lost`, and can claim the record again.
        // If the claims cannot be read, those in memory stay.
        let _ = self.load_claims();
        // If the last numbers cannot be read, the present ones stay: numbers that are too large only leave
        // gaps. The number of the last commit does not fall below the snapshots of open streams: a stream
        // recognizes rows that were written later by their larger commit numbers.
        if let Ok(last) = self.storage.last_numbers() {
            let commit = last.commit.max(self.streams.latest_snapshot());
            self.last.set(LastNumbers { commit, ..last });
        }
    }

    /// Sets the size of the record cache in bytes.
    pub(super) fn set_record_cache_size(&mut self, bytes: usize) {
        self.record_cache = RecordCache::of_size(self.cache_size(bytes));
    }

    /// Sets the size of the columns in bytes.
    pub(super) fn set_columns_size(&mut self, bytes: usize) {
        self.columns = Columns::of_size(self.cache_size(bytes));
    }

    /// The size in bytes that the record cache or the columns get if `requested` bytes are configured. It is
    /// 0 if storage reads fast, and in mode `r`: a file that is opened for reading is not always locked
    /// against writers of other processes. With a memory limit of the process, it is at most
    /// [a part](CACHE_DIVISOR) of the limit.
    fn cache_size(&self, requested: usize) -> usize {
        if !self.storage.capabilities().has_slow_reads || self.mode != Mode::ReadWrite {
            return 0;
        }
        memory::current_limit().map_or(requested, |limit| requested.min(limit / CACHE_DIVISOR))
    }

    /// Bounds the record cache, the columns and the storage by parts of `limit`, in bytes. It is the memory
    /// limit of the process, which must be set already.
    pub(super) fn limit_memory(&mut self, limit: usize) -> Result<()> {
        // Setting the sizes again builds the record cache and the columns anew, within the limit of the
        // process.
        self.set_record_cache_size(self.record_cache.max_size());
        self.set_columns_size(self.columns.max_size());
        self.storage.limit_memory(limit)
    }

    pub(super) fn properties(&self) -> Result<Properties> {
        let capabilities = self.storage.capabilities();
        Ok(Properties {
            temporal: capabilities.is_temporal,
            executable: self.storage.metadata("executable")? == Some(true.into()),
            engine: capabilities.backend.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    fn next_row_id(&self) -> RowId {
        self.next_numbers(|last| last.row = last.row.next()).row
    }

    fn next_commit(&self) -> CommitSeq {
        self.next_numbers(|last| last.commit = last.commit.next()).commit
    }

    /// Gives out a number: `advance` increments one of the last numbers. Returns the new last numbers.
    fn next_numbers(&self, advance: impl FnOnce(&mut LastNumbers)) -> LastNumbers {
        let mut last = self.last.get();
        advance(&mut last);
        self.last.set(last);
        last
    }
}

/// A write that has begun. Dropping it before it has ended undoes it.
struct RunningWrite<'s, T: Storage> {
    store: &'s mut Store<T>,
    /// The state of the store when the write began.
    before: StoreState,
    /// How many claims the call had begun before the write. If the write is undone, all later ones are
    /// forgotten: the write has begun them.
    claims_before: usize,
    has_ended: bool,
}

impl<T: Storage> RunningWrite<'_, T> {
    /// Runs `work`, then the checks and hooks that it has deferred, and ends the write.
    fn run<R>(mut self, work: impl FnOnce(&mut Store<T>) -> Result<R>) -> Result<R> {
        let done = work(self.store)?;
        self.store.run_deferred_checks()?;
        self.store.run_deferred_hooks()?;
        let last_commit = self.store.last.get().commit;
        self.store.transaction.end(last_commit, &mut self.store.storage)?;
        if let Some(transaction) = self.store.transaction.user_transaction_mut() {
            // A write that defines a class may have advanced its time past the end of a former definition.
            // The next writes of the transaction get no earlier time.
            transaction.time = self.store.write_time;
        }
        self.has_ended = true;
        self.store.record_cache.publish();
        self.store.publish_commits();
        Ok(done)
    }
}

impl<T: Storage> Drop for RunningWrite<'_, T> {
    fn drop(&mut self) {
        let store = &mut *self.store;
        store.deferred = DeferredWork::default();
        if self.has_ended {
            return;
        }
        store.record_cache.discard_staged();
        store.transaction.undo(&mut store.storage);
        store.forget_begun_claims(self.claims_before);
        let undone_claims = store.claim_rows.clone();
        store.set_state(self.before.clone());
        store.wake_calls_after_undo(&undone_claims);
    }
}
