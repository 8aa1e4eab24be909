//! The transaction state of a store: which transaction is open in storage, and how a write in it is undone.
//!
//! Every write runs in a transaction of storage. Either the transaction is its own, and a failed write is
//! rolled back; or the transaction has earlier writes, which have to stay, and a failed write is undone by
//! the inverse of its write sets.
//!
//! | scope | event | storage | next scope | the write |
//! | --- | --- | --- | --- | --- |
//! | none | write begins | `begin` | none | own |
//! | none | deferrable write begins, if storage may defer a commit | `begin` | deferred | nested |
//! | deferred, below its limit | deferrable write begins | – | deferred | nested |
//! | deferred, at its limit | deferrable write begins | `commit`, `begin` | deferred | nested |
//! | deferred, transaction lost by storage | write begins | – | – | the process is aborted |
//! | none | other write begins | `begin` | none | own |
//! | deferred | other write begins | `commit`, `begin` | none | own |
//! | deferred, with a memory limit | select runs | `commit` | none | |
//! | none, deferred | group begins | `commit` of what is deferred | group | |
//! | group | first write begins | `begin` | group | nested |
//! | group | later write begins | – | group | nested |
//! | group, transaction lost by storage | later write begins | `begin`, writes applied again | group | nested |
//! | group that has failed | write begins | – | group | refused |
//! | group | separate write begins | `commit`, `begin` | group | own |
//! | group | stream is opened or read | `commit` | group | |
//! | group | group ends | `commit` | none | |
//!
//! | the write | ends | fails or panics |
//! | --- | --- | --- |
//! | own | `commit` | `roll_back` |
//! | nested | – | the inverse of its write sets is applied |
//! | nested, and that fails, in a group | – | `roll_back`, and the writes before it are applied again |
//! | nested, and that fails, deferred | – | the process is aborted |
//!
//! An error of SQLite may roll back the whole transaction, as where memory or a disk is full: of a read, too.
//!
//! A group whose commit fails is rolled back, and its writes are applied again one by one, each with its own
//! commit. The first that fails ends this: its call and those after it have failed. A call that has several
//! writes, such as a batch that is not atomic, may be durable in part: the detail `committed` is the number
//! of its writes that are.
//!
//! A transaction of a user is to be one more scope. Its writes are nested, and so are its nested levels.

#[cfg(test)]
mod tests;

use std::thread::{self, ThreadId};

use miko_rpc::memory;
use miko_rpc::{GroupFailure, Result};
use tracing::debug;

use crate::engine::store::changes::CommitLog;
use crate::storage::ids::CommitSeq;
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Storage, corruption};

/// The number of writes that share a deferred commit in a small database. The copies of their pages take
/// memory: at worst, with values in no order, some 4 KiB per index and write.
const MIN_DEFERRED: i64 = 4096;

/// In a larger database one write per so many records. A commit may visit all pages. At most the pages of two
/// indexes, whose values may come in no order, are copied, a quarter of all.
const RECORDS_PER_DEFERRED: i64 = 8;

/// How a write may be combined with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Isolation {
    /// Its commit may be deferred: it only adds rows, and cannot meet the memory limit.
    Deferrable,
    /// It may be part of a group.
    Groupable,
    /// It has a transaction of its own: its write sets are large, or have no inverse.
    Separate,
}

/// What is open in storage between two writes.
#[derive(Debug, Default)]
enum OpenScope {
    #[default]
    None,
    /// Writes that have been answered share a transaction that is still open.
    Deferred { writes: i64, limit: i64 },
    /// One thread runs several calls, whose changes are committed together.
    Group(CallGroup),
}

#[derive(Debug)]
struct CallGroup {
    thread: ThreadId,
    /// Whether a transaction is open.
    is_begun: bool,
    /// The running call.
    call: usize,
    /// The number of its writes that have ended.
    writes: usize,
    /// The writes of the open transaction.
    log: Vec<LoggedWrite>,
    failure: Option<GroupFailure>,
}

/// A write of a group that has ended.
#[derive(Debug)]
struct LoggedWrite {
    call: usize,
    /// The number of writes of the call before this one.
    earlier: usize,
    /// The last commit number that it was given.
    last: CommitSeq,
    sets: Vec<WriteSet>,
}

/// The write that runs.
#[derive(Debug)]
struct Write {
    /// Whether its transaction has earlier writes.
    is_nested: bool,
    /// What it has done so far, the last of it perhaps in part. Kept for its inverse, for a group, and for
    /// the commit log.
    sets: Vec<WriteSet>,
}

/// The transaction state of a store.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    scope: OpenScope,
    write: Option<Write>,
    /// Empty, with the capacity that an earlier write needed.
    spare_sets: Vec<WriteSet>,
    spare_set: WriteSet,
    /// What committed writes have changed.
    pub(super) commits: CommitLog,
}

impl Transaction {
    /// Begins a write. `records` is the number of records of the database.
    ///
    /// # Errors
    /// Those of storage; in a group that has failed, the error of that. No write has begun then.
    pub(super) fn begin(
        &mut self,
        isolation: Isolation,
        records: i64,
        storage: &mut impl Storage,
    ) -> Result<()> {
        debug_assert!(self.write.is_none(), "a write does not contain another one");
        let is_nested = match (&mut self.scope, isolation) {
            (OpenScope::Deferred { writes, limit }, Isolation::Deferrable) if *writes < *limit => {
                if !storage.in_transaction() {
                    abort_without_answered_writes();
                }
                *writes += 1;
                true
            }
            (OpenScope::None | OpenScope::Deferred { .. }, Isolation::Deferrable)
                if storage.capabilities().may_defer_commit =>
            {
                self.commit_deferred(storage)?;
                storage.begin()?;
                let limit = MIN_DEFERRED.max(records / RECORDS_PER_DEFERRED);
                self.scope = OpenScope::Deferred { writes: 1, limit };
                true
            }
            (OpenScope::None | OpenScope::Deferred { .. }, _) => {
                self.commit_deferred(storage)?;
                storage.begin()?;
                false
            }
            (OpenScope::Group(group), Isolation::Separate) => {
                group.commit(storage, &mut self.commits)?;
                storage.begin()?;
                false
            }
            (OpenScope::Group(group), _) => {
                group.check()?;
                if group.is_begun && !storage.in_transaction() {
                    group.rebuild(storage, &mut self.commits);
                    group.check()?;
                }
                if !group.is_begun {
                    storage.begin()?;
                    group.is_begun = true;
                }
                true
            }
        };
        self.write = Some(Write { is_nested, sets: std::mem::take(&mut self.spare_sets) });
        Ok(())
    }

    /// An empty write set.
    pub(super) fn empty_set(&mut self) -> WriteSet {
        std::mem::take(&mut self.spare_set)
    }

    /// Applies a write set as a part of the running write. Returns the conflicts, as [`Storage::apply`] does.
    pub(super) fn apply(&mut self, set: WriteSet, storage: &mut impl Storage) -> Result<Vec<Conflict>> {
        let Some(write) = &mut self.write else { return Err(corruption("a write outside of a transaction")) };
        if !write.is_nested && !self.commits.is_observed() {
            return storage.apply(&set);
        }
        // It is kept first: an error or a panic may leave a part of it applied.
        write.sets.push(set);
        let conflicts = write.sets.last().map_or(Ok(Vec::new()), |set| storage.apply(set))?;
        if !conflicts.is_empty() {
            write.sets.pop();
        }
        Ok(conflicts)
    }

    /// Ends the running write. If its transaction is its own, commits that. `last` is the last commit number
    /// that it was given.
    ///
    /// # Errors
    /// Those of storage. The write is still running then, and is to be undone.
    pub(super) fn end(&mut self, last: CommitSeq, storage: &mut impl Storage) -> Result<()> {
        if self.write.as_ref().is_some_and(|write| !write.is_nested) {
            storage.commit()?;
        }
        let Some(Write { is_nested, mut sets }) = self.write.take() else { return Ok(()) };
        if let OpenScope::Group(group) = &mut self.scope {
            let (call, earlier) = (group.call, group.writes);
            group.writes += 1;
            if is_nested {
                group.log.push(LoggedWrite { call, earlier, last, sets });
                return Ok(());
            }
        }
        // What is deferred is answered now.
        if self.commits.is_observed() {
            self.commits.push(last, sets);
        } else {
            if let Some(mut set) = sets.pop() {
                set.clear();
                self.spare_set = set;
            }
            sets.clear();
            self.spare_sets = sets;
        }
        Ok(())
    }

    /// Undoes the running write, which has failed or panicked.
    pub(super) fn undo(&mut self, storage: &mut impl Storage) {
        let Some(Write { is_nested, sets }) = self.write.take() else { return };
        if !is_nested {
            return storage.roll_back();
        }
        if storage.in_transaction() && revert(sets, storage).is_ok() {
            return;
        }
        match &mut self.scope {
            OpenScope::Group(group) => {
                group.rebuild(storage, &mut self.commits);
            }
            _ => abort_without_answered_writes(),
        }
    }

    /// Prepares for a select. With a memory limit it may fail in SQLite, which then rolls back the
    /// transaction. So what was answered is committed first.
    pub(super) fn before_select(&mut self, storage: &mut impl Storage) -> Result<()> {
        if memory::current_limit().is_some() { self.commit_deferred(storage) } else { Ok(()) }
    }

    /// Commits the writes whose commit was deferred.
    pub(super) fn commit_deferred(&mut self, storage: &mut impl Storage) -> Result<()> {
        if let OpenScope::Deferred { .. } = self.scope {
            self.scope = OpenScope::None;
            storage.commit().unwrap_or_else(|_| abort_without_answered_writes());
        }
        Ok(())
    }
}

/// Groups.
impl Transaction {
    /// Begins calls of this thread whose changes are committed together. Returns `false` if a group is open.
    pub(super) fn begin_group(&mut self, storage: &mut impl Storage) -> Result<bool> {
        if let OpenScope::Group(_) = self.scope {
            return Ok(false);
        }
        self.commit_deferred(storage)?;
        self.scope = OpenScope::Group(CallGroup {
            thread: thread::current().id(),
            is_begun: false,
            call: 0,
            writes: 0,
            log: Vec::new(),
            failure: None,
        });
        Ok(true)
    }

    /// Says which call of the group runs from now on.
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

    /// Commits the writes of the group so far, if one is open. A stream must not show writes that may still
    /// be undone.
    pub(super) fn settle(&mut self, storage: &mut impl Storage) -> Result<()> {
        match &mut self.scope {
            OpenScope::Group(group) => group.commit(storage, &mut self.commits),
            OpenScope::None | OpenScope::Deferred { .. } => Ok(()),
        }
    }

    /// Ends the group: commits its writes.
    pub(super) fn end_group(&mut self, storage: &mut impl Storage) -> Result<(), GroupFailure> {
        let OpenScope::Group(group) = &mut self.scope else { return Ok(()) };
        // A failure is noted in the group.
        let _ = group.commit(storage, &mut self.commits);
        let failure = group.failure.take();
        self.scope = OpenScope::None;
        failure.map_or(Ok(()), Err)
    }

    /// Ends the group, if one is open, as after a panic of its calls. Returns whether writes were lost.
    pub(super) fn abandon_group(&mut self, storage: &mut impl Storage) -> bool {
        let OpenScope::Group(group) = &self.scope else { return false };
        let loses_writes = group.is_begun || group.failure.is_some();
        self.scope = OpenScope::None;
        storage.roll_back();
        loses_writes
    }
}

impl CallGroup {
    fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(failure.error.clone()))
    }

    /// Commits the open transaction. If that fails, commits its writes one by one.
    fn commit(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) -> Result<()> {
        if !self.is_begun {
            return self.check();
        }
        self.is_begun = false;
        match storage.commit() {
            Ok(()) => {
                self.log.drain(..).for_each(|write| commits.push(write.last, write.sets));
                Ok(())
            }
            Err(error) => {
                debug!(%error, "group rolled back: its writes are committed one by one");
                storage.roll_back();
                self.commit_one_by_one(storage, commits)
            }
        }
    }

    fn commit_one_by_one(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) -> Result<()> {
        for LoggedWrite { call, earlier, last, sets } in std::mem::take(&mut self.log) {
            let begun = storage.begin();
            let done = begun.and_then(|()| apply_again(&sets, storage)).and_then(|()| storage.commit());
            if let Err(error) = done {
                storage.roll_back();
                // All writes before this one are committed.
                let error = if earlier > 0 { error.with("committed", earlier) } else { error };
                self.failure = Some(GroupFailure { call, error: error.clone() });
                return Err(error);
            }
            commits.push(last, sets);
        }
        Ok(())
    }

    /// Begins the transaction anew, with the writes that have ended: storage has lost it.
    fn rebuild(&mut self, storage: &mut impl Storage, commits: &mut CommitLog) {
        storage.roll_back();
        let applied = storage
            .begin()
            .and_then(|()| self.log.iter().try_for_each(|write| apply_again(&write.sets, storage)));
        if applied.is_err() {
            storage.roll_back();
            self.is_begun = false;
            // A failure is noted in the group.
            let _ = self.commit_one_by_one(storage, commits);
        }
    }
}

/// Applies write sets that have been applied before, to the same state.
fn apply_again(sets: &[WriteSet], storage: &mut impl Storage) -> Result<()> {
    for set in sets {
        if !storage.apply(set)?.is_empty() {
            return Err(corruption("a write that had no conflict now has one"));
        }
    }
    Ok(())
}

/// Undoes write sets, the last one first. It may have been applied in part.
fn revert(sets: Vec<WriteSet>, storage: &mut impl Storage) -> Result<()> {
    for set in sets.into_iter().rev() {
        let inverse = set.inverse().ok_or_else(|| corruption("a nested write without an inverse"))?;
        apply_again(&[inverse], storage)?;
    }
    Ok(())
}

/// Ends the process, as Rust does where memory is exhausted: storage has lost writes that were answered.
fn abort_without_answered_writes() -> ! {
    eprintln!("mikobase: memory is exhausted: the records in memory are lost");
    std::process::abort()
}
