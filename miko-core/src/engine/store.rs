//! The store: the operations of a Mikobase, on any storage.
//!
//! Every engine is a [`Store`] on its own storage, so a write is validated and indexed, a class defined and a
//! worldlet imported in one place.
//!
//! | subject | where |
//! | --- | --- |
//! | the writes that are refused | [`access`] |
//! | the transaction state; the changes of commits | [`transaction`]; [`changes`] |
//! | subscriptions of changes, and their matches | [`subscribe`], [`subscriptions`]; [`change_matches`] |
//! | live queries: their results, and the watches that wake their readers | [`live_query`]; [`watches`] |
//! | transactions of callers, and their objects | [`transactions`], [`transaction_objects`] |
//! | the state that is restored when a write is undone | [`state`] |
//! | requests; writing one record | [`requests`]; [`mod@write`], [`update`], [`upsert`] |
//! | writing the records of a select | [`selected`] |
//! | claims of records, and the calls that wait for one | [`claims`] |
//! | hooks; running them, and their reads | [`hooks`]; [`before_save`], [`hook_reader`] |
//! | exporting, importing | [`export`], [`import`] |
//! | planning and running a select; the past | [`planner`], [`select`], [`candidate`]; [`past`] |
//! | classes: validating a record, definitions, the whole schema | [`examine`], [`definitions`], [`schema`] |
//! | index entries of a record | [`index_entries`] |
//! | unique values that move between records within a write | [`taken_values`] |
//! | references that must have targets | [`pending`], [`pending_checks`] |
//! | files; results and exports as of one moment | [`files`]; [`streams`], [`open_streams`], [`snapshot`] |
//! | records by their pks; those that were read or changed last | [`records`]; [`record_cache`] |
//! | stacks that were parsed last | [`parsed_stacks`] |
//! | values at the paths that are scanned | [`columns`]; [`column_scans`] |
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
use crate::mikobase::Properties;
use crate::mode::Mode;
use crate::storage::ids::{CommitSeq, LastNumbers, RowId};
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Capabilities, Storage};
use crate::timestamp::Timestamp;
use answer::AnswerBudget;
use claims::known::KnownClaims;
use claims::table::ClaimTable;
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

/// With a memory limit, each cache may take this part of it (1/16).
const CACHE_DIVISOR: usize = 16;

/// Storage, and the state that is kept between two calls.
#[derive(Debug)]
pub(crate) struct Store<T> {
    pub(super) storage: T,
    is_temporal: bool,
    transaction: Transaction,
    transaction_objects: TransactionObjects,
    /// The ids and the commit number given out last.
    last: Cell<LastNumbers>,
    ids: RefCell<IdCache>,
    /// The time of the running write: all of its records have the same.
    transaction_time: Timestamp,
    pks: Pks,
    /// The classes in force, inside the running write if there is one.
    catalog: Catalog,
    /// When the last ended definition of each class name ended, in a temporal database. A new definition of
    /// the name begins no earlier.
    definition_ends: HashTrieMapSync<String, Timestamp>,
    /// The constraint checks that the running write has deferred to its end.
    deferred: DeferredWork,
    /// The stored claims.
    claim_rows: ClaimTable,
    /// What is known about claims and not stored: whose connections are open, and which calls wait for one.
    claims: KnownClaims,
    streams: Streams,
    subscriptions: Subscriptions,
    watches: Watches,
    record_cache: RecordCache,
    parsed_stacks: ParsedStacks,
    columns: Columns,
    /// The pks of unfinished files whose writers are gone, and which could not be discarded yet: a
    /// transaction was open, or the write failed. This is tried again when the next file is begun or
    /// discarded, and when a transaction ends.
    abandoned_files: Vec<String>,
    /// Whether records of undefined classes are refused.
    pub(super) strict: bool,
    /// Whether a `create` may choose the pk of its record.
    pub(super) client_pks: bool,
    pub(super) answer: AnswerBudget,
    pub(super) hooks: Hooks,
    mode: Mode,
    access: Access,
    /// In an append-only database: the last row before the running write, which may change only later rows.
    last_record_before: Option<RowId>,
}

impl<T: Storage> Store<T> {
    /// Opens the store of this storage.
    pub(super) fn on(storage: T, mode: Mode) -> Result<Self> {
        let Capabilities { is_temporal, keeps_numbers, .. } = storage.capabilities();
        let mut store = Self {
            is_temporal,
            last: storage.last_numbers()?.into(),
            storage,
            transaction: Transaction::default(),
            transaction_objects: TransactionObjects::default(),
            ids: RefCell::default(),
            transaction_time: Timestamp::FIRST,
            pks: Pks::default(),
            catalog: Catalog::default(),
            definition_ends: HashTrieMapSync::default(),
            deferred: DeferredWork::default(),
            claim_rows: ClaimTable::default(),
            claims: KnownClaims::default(),
            streams: Streams::default(),
            subscriptions: Subscriptions::of(keeps_numbers),
            watches: Watches::default(),
            record_cache: RecordCache::of_size(0),
            parsed_stacks: ParsedStacks::default(),
            columns: Columns::of_size(0),
            abandoned_files: Vec::new(),
            strict: false,
            client_pks: true,
            answer: AnswerBudget::default(),
            hooks: Hooks::default(),
            mode,
            access: mode.into(),
            last_record_before: None,
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
    pub(super) fn write<R>(
        &mut self,
        sharing: CommitSharing,
        work: impl FnOnce(&mut Self) -> Result<R>,
    ) -> Result<R> {
        self.check_writable()?;
        let sharing = self.sharing_with_hooks(sharing);
        self.note_last_record();
        self.transaction.begin(sharing, self.last.get().row.0, &mut self.storage)?;
        // `begin` may have committed earlier calls. Their changes are published now, while the classes are
        // still those with which they were made.
        self.publish_commits();
        self.deferred = DeferredWork::default();
        self.transaction_time =
            self.transaction.user_transaction().map_or_else(Timestamp::now, |user| user.time);
        let (before, begun_claims) = (self.state(), self.begun_claims());
        let done = RunningWrite { store: self, before, begun_claims, has_ended: false }.run(work);
        if let Err(error) = &done {
            self.end_rejected_transaction(error);
        }
        self.check_transaction().and(done)
    }

    /// Applies a write set as a part of the running write. If unique values of it belong to other records,
    /// they are returned, and nothing is applied; the write is to fail then.
    ///
    /// The hooks run for its rows at the end of the write.
    fn apply(&mut self, write: WriteSet) -> Result<Vec<Conflict>> {
        self.check_appends(&write)?;
        self.note_stored_rows(&write.rows)?;
        let rows = write.rows.iter().map(|change| change.key);
        // An import checks the rows from this one on (`check_imported`).
        self.deferred.first_stored_row = self.deferred.first_stored_row.into_iter().chain(rows).min();
        self.apply_after_hooks(write)
    }

    /// As [`apply`](Self::apply), for a record for which the hooks have run.
    fn apply_after_hooks(&mut self, write: WriteSet) -> Result<Vec<Conflict>> {
        self.streams.save_pre_images(&write.rows);
        self.columns.note(&write, self.last.get().row);
        match self.transaction.user_transaction_mut() {
            Some(user) => {
                self.record_cache.remove(&write.rows);
                user.note(&write);
                if user.is_too_large() {
                    return Err(self.memory_exceeded());
                }
            }
            None => {
                self.record_cache.stage(&write.rows);
                self.wake_claims_for_rows(&write.rows);
            }
        }
        self.transaction.apply(write, &mut self.storage)
    }

    /// Keeps the changes of commits from now on, for [`take_commits`](Self::take_commits).
    pub(super) fn observe_commits(&mut self) {
        self.transaction.commits.observe();
    }

    /// Takes the commits since the last call.
    pub(super) fn take_commits(&mut self) -> Vec<Commit> {
        self.transaction.commits.take()
    }

    /// Prepares for a call: brings back the writes of its group, if storage has lost their transaction.
    pub(super) fn restore_group(&mut self) {
        self.transaction.restore_group(&mut self.storage);
    }

    /// Begins calls of this thread whose changes are committed together. Returns `false` if a group or a
    /// transaction of a caller is open.
    pub(super) fn begin_group(&mut self) -> Result<bool> {
        self.transaction.begin_group(&mut self.storage)
    }

    /// Sets which call of the group runs from now on.
    pub(super) fn begin_call(&mut self, index: usize) {
        self.transaction.begin_call(index);
    }

    pub(super) fn is_in_group_of_another_thread(&self) -> bool {
        self.transaction.is_in_group_of_another_thread()
    }

    /// Ends the group: commits its changes.
    pub(super) fn end_group(&mut self) -> Result<(), GroupFailure> {
        let ended = self.transaction.end_group(&mut self.storage);
        if ended.is_err() {
            self.reload();
        }
        self.publish_commits();
        ended
    }

    /// Ends the group, if one is open, without its changes.
    pub(super) fn abandon_group(&mut self) {
        if self.transaction.abandon_group(&mut self.storage) {
            self.reload();
        }
        self.publish_commits();
    }

    /// Restores the state that is derived from storage after storage has lost writes.
    fn reload(&mut self) {
        self.ids = RefCell::default();
        self.record_cache.clear();
        self.columns.clear();
        // The callers of claims that are lost here get `claim-lost`, and can claim the records again.
        let _ = self.load_claims();
        // If they cannot be read, the numbers stay: too large ones only leave gaps. The number of the last
        // commit does not fall below the snapshots of open streams, which recognize later rows by it.
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

    /// The size of a cache for which `bytes` are asked, in bytes. It is 0 where reads are fast, and in mode
    /// `r`: a file that is opened for reading is not always locked against writers of other processes. With
    /// a memory limit of the process, it is at most [a part](CACHE_DIVISOR) of that.
    fn cache_size(&self, bytes: usize) -> usize {
        if !self.storage.capabilities().has_slow_reads || self.mode != Mode::ReadWrite {
            return 0;
        }
        memory::current_limit().map_or(bytes, |limit| bytes.min(limit / CACHE_DIVISOR))
    }

    /// Limits the memory of the store to its part of the memory limit of the process.
    pub(super) fn limit_memory(&mut self, limit: usize) -> Result<()> {
        // Built anew: their sizes have a new bound.
        self.set_record_cache_size(self.record_cache.size());
        self.set_columns_size(self.columns.size());
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

    /// Gives out a number: `give_out` advances one of the last numbers.
    fn next_numbers(&self, give_out: impl FnOnce(&mut LastNumbers)) -> LastNumbers {
        let mut last = self.last.get();
        give_out(&mut last);
        self.last.set(last);
        last
    }
}

/// A write that has begun. Dropping it before it has ended undoes it.
struct RunningWrite<'s, T: Storage> {
    store: &'s mut Store<T>,
    /// The state of the store when it began.
    before: StoreState,
    /// The length of the list of begun claims when the write began. If the write is undone, those that follow
    /// are forgotten.
    begun_claims: usize,
    has_ended: bool,
}

impl<T: Storage> RunningWrite<'_, T> {
    /// Does the work, runs the checks and hooks that it has deferred, and ends the write.
    fn run<R>(mut self, work: impl FnOnce(&mut Store<T>) -> Result<R>) -> Result<R> {
        let done = work(self.store)?;
        self.store.check_deferred_constraints()?;
        self.store.run_deferred_hooks()?;
        let last_commit = self.store.last.get().commit;
        self.store.transaction.end(last_commit, &mut self.store.storage)?;
        if let Some(user) = self.store.transaction.user_transaction_mut() {
            // A write may have advanced the time.
            user.time = self.store.transaction_time;
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
        store.forget_begun_claims(self.begun_claims);
        let undone_claims = store.claim_rows.clone();
        store.set_state(self.before.clone());
        store.wake_claims_after_undo(&undone_claims);
    }
}
