//! The transaction state of a store: which transaction is open in storage, and how a write in it is undone.
//!
//! Every write runs in a transaction of storage. Either the write owns the transaction, and is rolled back if
//! it fails; or the write shares the transaction with others, which have to stay, and is undone by the
//! inverse of its write sets.
//!
//! The scope (`OpenScope`) is what is open between two writes: nothing, deferred writes, a group of calls, or
//! a transaction of a caller. Deferred writes were answered, and their transaction of storage is still open:
//! further writes may share it. Each line of the table says what storage does on an event in a scope, the
//! scope after the event, and whether the write that begins owns its transaction or shares it.
//!
//! | scope | event | storage | next scope | the write |
//! | --- | --- | --- | --- | --- |
//! | none | deferrable write begins, if storage may defer a commit | `begin` | deferred | shared |
//! | deferred, below its limit | deferrable write begins | – | deferred | shared |
//! | deferred, at its limit | deferrable write begins | `commit`, `begin` | deferred | shared |
//! | deferred, transaction lost by storage | write begins | – | – | the process is aborted |
//! | deferred | its commit fails | – | – | the process is aborted |
//! | none | other write begins | `begin` | none | own |
//! | deferred | other write begins | `commit`, `begin` | none | own |
//! | deferred, with a memory limit | select runs | `commit` | none | |
//! | none, deferred | group begins | `commit` of the deferred writes | group | |
//! | group | first write begins | `begin` | group | shared |
//! | group | later write begins | – | group | shared |
//! | group, transaction lost by storage | write begins | `begin`, writes applied again | group | shared |
//! | group, transaction lost by storage | call begins | `begin`, writes applied again | group | |
//! | group that has failed | write begins | – | group | refused |
//! | group | separate write begins | `commit`, `begin` | group | own |
//! | group | stream or subscription is opened, live query is opened or read | `commit` | group | |
//! | group | group ends | `commit` | none | |
//! | group | group is abandoned, as after a panic | `roll_back` | none | |
//!
//! What storage does at the end of a write:
//!
//! | the write | ends | fails or panics |
//! | --- | --- | --- |
//! | own | `commit` | `roll_back` |
//! | shared | – | the inverse of its write sets is applied |
//! | shared in a group, and the inverse fails | – | `roll_back`; the writes before it are applied again |
//! | shared and deferred, and the inverse fails | – | the process is aborted |
//! | shared in a transaction of a caller, and the inverse fails | – | as in a group |
//!
//! If the earlier writes of a transaction of a caller cannot be applied again, that transaction is
//! invalidated: it is rolled back, and the next calls of its objects fail.
//!
//! Storage can lose a transaction: SQLite may roll back the whole transaction on an error, as when memory or
//! the disk is full. The error may be that of a read, too. If a write has to be undone in a transaction that
//! is lost, this counts as an inverse that fails.
//!
//! A group whose commit fails is rolled back, and its writes are applied again one by one, each with its own
//! commit, up to the first write that fails. The call of that write and all later calls have then failed. A
//! call that has several writes, such as a batch that is not atomic, may be committed in part: the detail
//! `committed` of its error is the number of its committed writes.
//!
//! A transaction of a caller ([`user_transaction`]) is one more scope, in which all writes are shared. The
//! log of the transaction has their write sets. A read by pk of another caller gets the pre-images of changed
//! records. Two events roll storage back, so that it lacks the writes of the log:
//!
//! - Another caller is about to read, but not by pk. The store also gets its committed state (in the table:
//!   hidden).
//! - A nested transaction is rolled back. The writes that are left in the log are then missing in storage (in
//!   the table: not applied).
//!
//! The next call of the transaction applies the log again.
//!
//! | scope | event | storage | next scope | the write |
//! | --- | --- | --- | --- | --- |
//! | none, deferred, group | transaction is opened | `commit` of the open transaction | user | |
//! | user, nothing written | write begins | `begin` | user | shared |
//! | user | write begins | – | user | shared |
//! | user, something written | another caller reads, but not by pk | `roll_back` | user, hidden | |
//! | user, hidden or not applied | call of the transaction begins | `begin`, its log applied again | user | |
//! | user, transaction lost by storage | call of the transaction begins | as above | user | |
//! | user, transaction lost by storage | write begins | as above | user | shared |
//! | user | nested transaction that has written is rolled back | `roll_back` | user, not applied | |
//! | user, something written | the transaction is committed | `commit` | none | |
//! | user, nothing written | the transaction is committed | `roll_back`, if a write has failed | none | |
//! | user | the transaction is rolled back, or its log cannot be applied again | `roll_back` | none | |

mod replay;
#[cfg(test)]
mod tests;
pub(in crate::engine) mod user_transaction;

use std::thread::{self, ThreadId};

use miko_rpc::{GroupFailure, Result, memory};
use tracing::debug;

use crate::engine::store::changes::{ChangedRows, CommitLog};
use crate::storage::ids::CommitSeq;
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Storage, corruption};
use replay::{apply_again, revert};
use user_transaction::UserTransaction;

/// The least limit of writes per deferred commit. Before SQLite changes a page, it copies the page into its
/// journal in memory. With keys in random order these copies take some 4 KiB per index and write.
const MIN_DEFERRED_LIMIT: i64 = 4096;

/// The size of a page in bytes. A deferred write counts once more for each page that its records fill, since
/// an update of a large record copies all its pages to the journal.
const PAGE_SIZE: usize = 4096;

/// In a large database the limit is the number of records divided by this, since the cost of a commit may
/// grow with the number of pages (decision 0013). With two indexes in random order of keys, the journal then
/// has at most one of their pages per four records.
const RECORDS_PER_DEFERRED_WRITE: i64 = 8;

/// Whether a write may share its transaction and its commit with other writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum CommitSharing {
    /// Its commit may be deferred. It creates records, or changes one record or its claim, and changes no
    /// definition. With a memory limit it is the create of one record, which is so small that it cannot reach
    /// the limit.
    Deferrable,
    /// It shares the transaction of the group, or of the caller, in which it runs. Outside of both it owns
    /// its transaction.
    Groupable,
    /// It owns its transaction, in a group as well, because its write sets are large or have no inverse. A
    /// write set that removes chunks of files has none. Exception: in a transaction of a caller it shares
    /// that transaction. No write that removes chunks runs there.
    Separate,
}

/// What is open between two writes.
#[derive(Debug, Default)]
enum OpenScope {
    #[default]
    None,
    /// Writes that have been answered share a transaction that is still open. `writes` is their number: large
    /// writes, and writes of several records, count several times. When the number has reached `limit`, the
    /// next write commits them before it begins.
    Deferred { writes: i64, limit: i64 },
    /// One thread runs several calls, whose changes are committed together.
    Group(CallGroup),
    /// A transaction of a caller, over several calls.
    User(Box<UserTransaction>),
}

#[derive(Debug)]
struct CallGroup {
    thread: ThreadId,
    /// Whether the group has begun a transaction and not committed it. Storage may have lost the transaction
    /// since.
    has_uncommitted: bool,
    /// The index of the running call.
    call: usize,
    /// The number of writes of the running call that have ended.
    writes: usize,
    /// The writes of the open transaction.
    log: Vec<LoggedWrite>,
    /// The first call of which a write could not be committed, with the error; `None` if there is none. A
    /// group with a failure refuses further writes.
    failure: Option<GroupFailure>,
}

/// A finished write of the open group.
#[derive(Debug)]
struct LoggedWrite {
    /// The index of its call.
    call: usize,
    /// How many writes of the same call have ended before this write.
    earlier_writes: usize,
    /// The last of the commit numbers that the write has given to the records that it wrote.
    last: CommitSeq,
    sets: Vec<WriteSet>,
}

/// The write that runs.
#[derive(Debug)]
struct Write {
    /// Whether the write shares its transaction with other writes. If so, it does not commit, and is undone
    /// by its inverse. Otherwise it owns the transaction.
    shares_transaction: bool,
    /// The write sets so far, if the transaction is shared: for the inverse, for the log of a group or of a
    /// transaction of a caller, and for the commit log. The last set may be applied in part.
    sets: Vec<WriteSet>,
    /// The rows changed so far, if the write owns its transaction: for the commit log.
    changed: ChangedRows,
}

/// The transaction state of a store.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    scope: OpenScope,
    write: Option<Write>,
    /// The empty list of write sets of an earlier write, whose allocation the next write uses.
    spare_sets: Vec<WriteSet>,
    /// An emptied small write set, whose allocations the next write uses.
    spare_set: WriteSet,
    /// The changes of committed writes.
    pub(super) commits: CommitLog,
}

impl Transaction {
    /// Begins a write. `records` is the number of records of the database, deleted ones included.
    ///
    /// # Errors
    /// The errors of storage; in a group that has failed, the error of the group. No write has begun then.
    pub(super) fn begin(
        &mut self,
        sharing: CommitSharing,
        records: i64,
        storage: &mut impl Storage,
    ) -> Result<()> {
        debug_assert!(self.write.is_none(), "a write does not contain another one");
        let shares_transaction = match (&mut self.scope, sharing) {
            (OpenScope::Deferred { writes, limit }, CommitSharing::Deferrable) if *writes < *limit => {
                if !storage.in_transaction() {
                    abort_after_losing_answered_writes();
                }
                *writes += 1;
                true
            }
            (OpenScope::None | OpenScope::Deferred { .. }, CommitSharing::Deferrable)
                if storage.capabilities().may_defer_commit =>
            {
                self.commit_deferred(storage);
                storage.begin()?;
                // This transaction is never rolled back: a write that fails is undone by the inverse of its
                // write sets, and the writes before it stay.
                storage.promise_commit();
                let limit = MIN_DEFERRED_LIMIT.max(records / RECORDS_PER_DEFERRED_WRITE);
                self.scope = OpenScope::Deferred { writes: 1, limit };
                true
            }
            (OpenScope::None | OpenScope::Deferred { .. }, _) => {
                self.commit_deferred(storage);
                storage.begin()?;
                false
            }
            (OpenScope::User(user), _) => {
                user.begin_in(storage)?;
                true
            }
            (OpenScope::Group(group), CommitSharing::Separate) => {
                group.commit(storage, &mut self.commits)?;
                storage.begin()?;
                false
            }
            (OpenScope::Group(group), _) => {
                group.check()?;
                if group.has_uncommitted && !storage.in_transaction() {
                    group.rebuild(storage, &mut self.commits);
                    group.check()?;
                }
                if !group.has_uncommitted {
                    storage.begin()?;
                    group.has_uncommitted = true;
                }
                true
            }
        };
        let (sets, changed) = (std::mem::take(&mut self.spare_sets), ChangedRows::default());
        self.write = Some(Write { shares_transaction, sets, changed });
        Ok(())
    }

    /// An empty write set, which may have the allocations of an earlier one.
    pub(super) fn empty_set(&mut self) -> WriteSet {
        std::mem::take(&mut self.spare_set)
    }

    /// Applies a write set as a part of the running write. Returns the conflicts, as [`Storage::apply`] does.
    pub(super) fn apply(&mut self, set: WriteSet, storage: &mut impl Storage) -> Result<Vec<Conflict>> {
        let Some(write) = &mut self.write else { return Err(corruption("a write outside of a transaction")) };
        if !write.shares_transaction {
            let conflicts = storage.apply(&set)?;
            if conflicts.is_empty() && self.commits.is_kept() {
                write.changed.add(set.rows, &self.commits);
            }
            return Ok(conflicts);
        }
        // The set is kept before it is applied: an error or a panic may leave a part of it applied.
        write.sets.push(set);
        let conflicts = write.sets.last().map_or(Ok(Vec::new()), |set| storage.apply(set))?;
        if !conflicts.is_empty() {
            write.sets.pop();
        }
        Ok(conflicts)
    }

    /// Ends the running write, and commits the transaction if the write owns it. `last` is the last of the
    /// commit numbers that the write has given to the records that it wrote.
    ///
    /// # Errors
    /// The errors of storage. The write is still running then, and the caller must undo it.
    pub(super) fn end(&mut self, last: CommitSeq, storage: &mut impl Storage) -> Result<()> {
        if self.write.as_ref().is_some_and(|write| !write.shares_transaction) {
            storage.commit()?;
        }
        let Some(Write { shares_transaction, mut sets, changed }) = self.write.take() else { return Ok(()) };
        if let OpenScope::User(user) = &mut self.scope {
            user.push(sets);
            return Ok(());
        }
        if let OpenScope::Group(group) = &mut self.scope {
            let (call, earlier_writes) = (group.call, group.writes);
            group.writes += 1;
            if shares_transaction {
                group.log.push(LoggedWrite { call, earlier_writes, last, sets });
                return Ok(());
            }
        }
        self.count_pages(&sets);
        // A deferred write counts as committed: it is answered now, and never rolled back afterwards.
        if shares_transaction {
            self.commits.push_sets(last, &mut sets);
        } else {
            self.commits.push_rows(last, changed);
        }
        if let Some(mut set) = sets.pop().filter(WriteSet::is_small) {
            set.clear();
            self.spare_set = set;
        }
        sets.clear();
        self.spare_sets = sets;
        Ok(())
    }

    /// Counts a write of several records as that many writes, if its commit is deferred.
    pub(super) fn count_records(&mut self, records: usize) {
        if let OpenScope::Deferred { writes, .. } = &mut self.scope {
            // One of them was counted when the write began. Half the maximum leaves room for the sum.
            *writes += i64::try_from(records.saturating_sub(1)).unwrap_or(i64::MAX / 2);
        }
    }

    /// Counts a write once more for each page that its records fill, if its commit is deferred.
    fn count_pages(&mut self, sets: &[WriteSet]) {
        if let OpenScope::Deferred { writes, .. } = &mut self.scope {
            *writes = writes.saturating_add(filled_pages(sets));
        }
    }

    /// Undoes the running write, which has failed or panicked.
    pub(super) fn undo(&mut self, storage: &mut impl Storage) {
        let Some(Write { shares_transaction, sets, .. }) = self.write.take() else { return };
        if !shares_transaction {
            return storage.roll_back();
        }
        // The pages that the write has changed stay in the journal of storage until the commit, even if the
        // write is undone. So they count towards the limit.
        self.count_pages(&sets);
        if storage.in_transaction() && revert(sets, storage).is_ok() {
            return;
        }
        match &mut self.scope {
            OpenScope::Group(group) => {
                group.rebuild(storage, &mut self.commits);
            }
            OpenScope::User(user) => {
                if let Err(error) = user.apply_log(storage) {
                    user.lost = Some(error);
                }
            }
            // Deferred writes before this one, which were answered, may be lost.
            _ => abort_after_losing_answered_writes(),
        }
    }

    /// If storage has lost the transaction of the open group, begins it anew and applies the writes of the
    /// group again, so that a read sees them.
    pub(super) fn restore_group(&mut self, storage: &mut impl Storage) {
        // While a write runs, nothing is done: its write sets are not in the log. That write fails, and
        // undoing it rebuilds the group.
        if let OpenScope::Group(group) = &mut self.scope
            && group.has_uncommitted
            && self.write.is_none()
            && !storage.in_transaction()
        {
            group.rebuild(storage, &mut self.commits);
        }
    }

    /// Prepares for a select outside of a write: of a request, of `by_class`, of a stream or of a live query.
    /// Not called before a read by pk. With a memory limit a select may fail in SQLite, which then rolls back
    /// the transaction. So deferred writes, which were answered, are committed first. A select in a write
    /// needs no call: with a memory limit such a write is not deferrable, so its begin commits them.
    pub(super) fn before_select(&mut self, storage: &mut impl Storage) {
        if memory::current_limit().is_some() {
            self.commit_deferred(storage);
        }
    }

    /// Commits the writes whose commit was deferred. If the commit fails, the process is aborted, because the
    /// writes were answered.
    fn commit_deferred(&mut self, storage: &mut impl Storage) {
        if let OpenScope::Deferred { .. } = self.scope {
            self.scope = OpenScope::None;
            storage.commit().unwrap_or_else(|_| abort_after_losing_answered_writes());
        }
    }
}

/// Groups of calls whose changes are committed together.
impl Transaction {
    /// Begins a group: calls of this thread whose changes are committed together. If another group or a
    /// transaction of a caller is open, returns `false` and begins no group: the calls then run as they would
    /// without this group.
    pub(super) fn begin_group(&mut self, storage: &mut impl Storage) -> bool {
        if let OpenScope::Group(_) | OpenScope::User(_) = self.scope {
            return false;
        }
        self.commit_deferred(storage);
        self.scope = OpenScope::Group(CallGroup {
            thread: thread::current().id(),
            has_uncommitted: false,
            call: 0,
            writes: 0,
            log: Vec::new(),
            failure: None,
        });
        true
    }

    /// Begins the call of the group with this index.
    pub(super) fn begin_call(&mut self, index: usize) {
        if let OpenScope::Group(group) = &mut self.scope {
            (group.call, group.writes) = (index, 0);
        }
    }

    pub(super) fn is_in_group(&self) -> bool {
        matches!(self.scope, OpenScope::Group(_))
    }

    /// Whether another thread runs a group.
    pub(super) fn is_in_group_of_another_thread(&self) -> bool {
        matches!(&self.scope, OpenScope::Group(group) if group.thread != thread::current().id())
    }

    /// Commits the writes of the group so far, if a group is open. Called before streams, subscriptions and
    /// live queries read: they must not show writes of a group that may still be undone. Also called when a
    /// transaction of a caller is opened, which ends the group.
    ///
    /// # Errors
    /// The error of the group, if one of its writes could not be committed.
    pub(super) fn commit_group_so_far(&mut self, storage: &mut impl Storage) -> Result<()> {
        match &mut self.scope {
            OpenScope::Group(group) => group.commit(storage, &mut self.commits),
            OpenScope::None | OpenScope::Deferred { .. } | OpenScope::User(_) => Ok(()),
        }
    }

    /// Ends the group: commits its writes.
    ///
    /// # Errors
    /// The first call of which a write could not be committed, with the error.
    pub(super) fn end_group(&mut self, storage: &mut impl Storage) -> Result<(), GroupFailure> {
        // If no group is open, a call of the group has opened a transaction of a caller. Opening it has
        // committed the writes of the group.
        let OpenScope::Group(group) = &mut self.scope else { return Ok(()) };
        // The group has the error as its failure.
        let _ = group.commit(storage, &mut self.commits);
        let failure = group.failure.take();
        self.scope = OpenScope::None;
        failure.map_or(Ok(()), Err)
    }

    /// Ends the group, if one is open, and rolls back its uncommitted writes, as after a panic of a call.
    /// Returns whether writes of the group were lost, now or by its failure.
    pub(super) fn abandon_group(&mut self, storage: &mut impl Storage) -> bool {
        let OpenScope::Group(group) = &self.scope else { return false };
        let loses_writes = group.has_uncommitted || group.failure.is_some();
        self.scope = OpenScope::None;
        storage.roll_back();
        loses_writes
    }
}

/// Transactions that callers have begun.
impl Transaction {
    /// The transaction of a caller, if one is open.
    pub(super) fn user_transaction(&self) -> Option<&UserTransaction> {
        match &self.scope {
            OpenScope::User(user) => Some(user),
            _ => None,
        }
    }

    /// As [`user_transaction`](Self::user_transaction), to be changed.
    pub(super) fn user_transaction_mut(&mut self) -> Option<&mut UserTransaction> {
        match &mut self.scope {
            OpenScope::User(user) => Some(user),
            _ => None,
        }
    }

    /// Opens a transaction of a caller. Commits the writes of an open group, or deferred ones, first.
    pub(super) fn open_user_transaction(
        &mut self,
        user: UserTransaction,
        storage: &mut impl Storage,
    ) -> Result<()> {
        self.commit_group_so_far(storage)?;
        self.commit_deferred(storage);
        self.scope = OpenScope::User(Box::new(user));
        Ok(())
    }

    /// Commits the open transaction of a caller. Storage must have the writes of the transaction. `last` is
    /// the last of the commit numbers that the transaction has given to the records that it wrote. If the
    /// commit fails, the transaction is rolled back.
    pub(super) fn commit_user_transaction(
        &mut self,
        last: CommitSeq,
        storage: &mut impl Storage,
    ) -> Result<()> {
        let Some(user) = self.take_user_transaction() else { return Ok(()) };
        if !user.is_empty() {
            storage.commit().inspect_err(|_| storage.roll_back())?;
            self.commits.push_sets(last, &mut user.into_log());
        } else if storage.in_transaction() {
            // A write that has failed began the transaction of storage.
            storage.roll_back();
        }
        Ok(())
    }

    /// Rolls back the open transaction of a caller.
    pub(super) fn roll_back_user_transaction(&mut self, storage: &mut impl Storage) {
        if self.take_user_transaction().is_some() {
            storage.roll_back();
        }
    }

    fn take_user_transaction(&mut self) -> Option<UserTransaction> {
        match std::mem::take(&mut self.scope) {
            OpenScope::User(user) => Some(*user),
            other => {
                self.scope = other;
                None
            }
        }
    }

    /// Whether the state of a record in storage may still be undone, by the running write or an open
    /// transaction of a caller. While a write runs, this holds for all records. Writes of a group that have
    /// ended do not count: if they are lost, the store clears the record cache, the columns and the id cache.
    pub(super) fn may_be_undone(&self, pk: &str) -> bool {
        self.write.is_some() || self.user_transaction().is_some_and(|user| user.pre_image(pk).is_some())
    }

    /// Whether reads may see changes of the running write or of a transaction of a caller, which may still be
    /// undone. As in [`may_be_undone`](Self::may_be_undone), a group does not count.
    pub(super) fn reads_uncommitted(&self) -> bool {
        self.write.is_some()
            || self.user_transaction().is_some_and(|user| user.runs_own_call && !user.is_empty())
    }
}

impl CallGroup {
    /// Fails with the error of the group, if it has failed.
    fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(failure.error.clone()))
    }

    /// Commits the transaction that the group has begun, if there is one. If the commit fails, commits the
    /// writes one by one.
    ///
    /// # Errors
    /// The failure of the group, also if it is from an earlier commit.
    fn commit(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) -> Result<()> {
        if !self.has_uncommitted {
            return self.check();
        }
        self.has_uncommitted = false;
        match storage.commit() {
            Ok(()) => {
                self.log.drain(..).for_each(|mut write| commits.push_sets(write.last, &mut write.sets));
                Ok(())
            }
            Err(error) => {
                debug!(%error, "group rolled back: its writes are committed one by one");
                storage.roll_back();
                self.commit_one_by_one(storage, commits)
            }
        }
    }

    /// Applies the writes of the log again, each with its own commit. The first error becomes the failure of
    /// the group; the writes after it are dropped.
    fn commit_one_by_one(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) -> Result<()> {
        for LoggedWrite { call, earlier_writes, last, mut sets } in std::mem::take(&mut self.log) {
            let begun = storage.begin();
            let done = begun.and_then(|()| apply_again(&sets, storage)).and_then(|()| storage.commit());
            if let Err(error) = done {
                storage.roll_back();
                // All writes before this one are committed.
                let error = if earlier_writes > 0 { error.with("committed", earlier_writes) } else { error };
                self.failure = Some(GroupFailure { call, error: error.clone() });
                return Err(error);
            }
            commits.push_sets(last, &mut sets);
        }
        Ok(())
    }

    /// Begins the transaction anew and applies the log again, after storage has lost the transaction or an
    /// inverse could not be applied. If the log cannot be applied, commits its writes one by one.
    fn rebuild(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) {
        storage.roll_back();
        let applied = storage
            .begin()
            .and_then(|()| self.log.iter().try_for_each(|write| apply_again(&write.sets, storage)));
        if applied.is_err() {
            storage.roll_back();
            self.has_uncommitted = false;
            // The group has the error as its failure.
            let _ = self.commit_one_by_one(storage, commits);
        }
    }
}

/// How many pages the rows of these write sets fill: their states before and after the write.
fn filled_pages(sets: &[WriteSet]) -> i64 {
    let rows = sets.iter().flat_map(|set| set.rows.iter().chain(&set.versions));
    let states = rows.flat_map(|change| change.before.iter().chain(&change.after));
    let pages: usize = states.map(|row| row.stored_size() / PAGE_SIZE).sum();
    i64::try_from(pages).unwrap_or(i64::MAX)
}

/// Aborts the process, as Rust does when memory is exhausted: storage has lost writes that were answered.
fn abort_after_losing_answered_writes() -> ! {
    eprintln!("mikobase: memory is exhausted: the records in memory are lost");
    std::process::abort()
}
