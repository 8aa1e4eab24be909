//! The watches of live queries: wakes their readers when there is something to read.
//!
//! A watch is the state of an open live query. A commit only wakes the readers. How the commit changes a
//! result is computed when a reader asks for the changes, in [`live_query`](super::live_query).

use std::collections::BTreeMap;
use std::sync::Arc;

use miko_rpc::Signal;

use crate::class::Catalog;
use crate::engine::store::change_matches::{ChangedRecord, StackClasses, before_and_after};
use crate::engine::store::changes::LoggedCommit;
use crate::query::SelectRequest;
use crate::storage::ids::CommitSeq;
use crate::storage::row::RecordRef;
use crate::uns;

/// The watches of a store, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Watches {
    open: BTreeMap<WatchId, Watcher>,
    /// The id that was given out last.
    last: WatchId,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct WatchId(u64);

/// The store's side of a watch. The reader's side is [`Watch`](super::live_query::Watch).
#[derive(Debug)]
struct Watcher {
    select: Arc<SelectRequest>,
    signal: Signal,
    /// Every commit up to this one is in the result of the watch, or does not change the result.
    seen: CommitSeq,
    unread: Unread,
}

/// How much a reader has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unread {
    Nothing,
    /// Commits after `seen` may change the result.
    Commits,
    /// A class was redefined: other records may match now although they were not written, so the select has
    /// to run again.
    Everything,
}

impl Watches {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Gives out the id of a new watch.
    pub(super) fn new_id(&mut self) -> WatchId {
        self.last.0 += 1;
        self.last
    }

    /// Adds a watch whose result has all commits up to `seen`.
    pub(super) fn add(&mut self, id: WatchId, select: Arc<SelectRequest>, signal: Signal, seen: CommitSeq) {
        self.open.insert(id, Watcher { select, signal, seen, unread: Unread::Nothing });
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.open.remove(&id);
    }

    /// The last commit that the result of a watch includes, and how much its reader has not read. `None` if
    /// the watch was removed.
    pub(super) fn progress(&self, id: WatchId) -> Option<(CommitSeq, Unread)> {
        self.open.get(&id).map(|watcher| (watcher.seen, watcher.unread))
    }

    /// Notes that the result of a watch has all commits up to `seen`, and how much of the rest is `unread`.
    pub(super) fn advance(&mut self, id: WatchId, seen: CommitSeq, unread: Unread) {
        if let Some(watcher) = self.open.get_mut(&id) {
            (watcher.seen, watcher.unread) = (seen, unread);
        }
    }

    /// Wakes the reader of each result that the commits may change. Removes watches without a reader.
    pub(super) fn notify(&mut self, commits: &[LoggedCommit], classes: &mut StackClasses, catalog: &Catalog) {
        if self.open.is_empty() {
            return;
        }
        for commit in commits {
            let redefines_classes = redefines_classes(commit, classes);
            self.open.retain(|_, watcher| {
                let unread = match redefines_classes {
                    true => Unread::Everything,
                    // The reader has yet to read earlier commits, and reads this one after them.
                    false if watcher.unread != Unread::Nothing => watcher.unread,
                    false if watcher.is_affected_by(commit, classes, catalog) => Unread::Commits,
                    false => Unread::Nothing,
                };
                watcher.note(commit.seq, unread)
            });
        }
    }
}

impl Watcher {
    /// Notes how much the reader has not read after a commit. Wakes the reader if there is something to read
    /// now, and there was nothing before the commit. Returns whether the watch has a reader.
    fn note(&mut self, commit: CommitSeq, unread: Unread) -> bool {
        if unread == Unread::Nothing {
            self.seen = commit;
            return self.signal.is_read();
        }
        let was_notified = self.unread != Unread::Nothing;
        self.unread = self.unread.max(unread);
        if was_notified { self.signal.is_read() } else { self.signal.notify() }
    }

    /// Whether a commit may change the result: the select finds the old or the new state of a changed record.
    /// A commit whose changes were not logged may change every result.
    fn is_affected_by(&self, commit: &LoggedCommit, classes: &mut StackClasses, catalog: &Catalog) -> bool {
        let mut states = commit.changes.iter().flat_map(|change| {
            let (before, after) = before_and_after(change);
            before.into_iter().chain(after)
        });
        commit.left_out > 0
            || states.any(|record| {
                // If the evaluation fails, the reader is woken, and gets the error when it reads.
                self.select.filter.matches(&ChangedRecord::of(record, classes, catalog)).unwrap_or(true)
            })
    }
}

/// Whether a commit has changed a class definition, and so perhaps the ancestors of classes. `false` for a
/// commit whose changes were not logged: the ring lacks it, so the select runs again anyway.
fn redefines_classes(commit: &LoggedCommit, classes: &mut StackClasses) -> bool {
    let mut is_definition =
        |record: RecordRef<'_>| classes.of(record.stack).iter().any(|class| class == uns::CLASS);
    commit.changes.iter().any(|change| {
        let (before, after) = before_and_after(change);
        before.is_some_and(&mut is_definition) || after.is_some_and(&mut is_definition)
    })
}
