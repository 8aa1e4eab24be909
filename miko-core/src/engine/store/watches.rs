//! The watches of live queries, and how commits wake their readers.
//!
//! A watch is the state of an open live query. A commit only wakes the readers whose results it may change.
//! The changes themselves are computed when a reader asks for them, in [`live_query`](super::live_query).

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
    watchers: BTreeMap<WatchId, Watcher>,
    /// The id that was given out last.
    last_id: WatchId,
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
        self.watchers.len()
    }

    /// Gives out the id of a new watch.
    pub(super) fn new_id(&mut self) -> WatchId {
        self.last_id.0 += 1;
        self.last_id
    }

    /// Adds a watch whose result has all commits up to `seen`.
    pub(super) fn add(&mut self, id: WatchId, select: Arc<SelectRequest>, signal: Signal, seen: CommitSeq) {
        self.watchers.insert(id, Watcher { select, signal, seen, unread: Unread::Nothing });
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.watchers.remove(&id);
    }

    /// The last commit that the result of a watch includes, and how much its reader has not read. `None` if
    /// the watch was removed.
    pub(super) fn progress(&self, id: WatchId) -> Option<(CommitSeq, Unread)> {
        self.watchers.get(&id).map(|watcher| (watcher.seen, watcher.unread))
    }

    /// Notes that the result of a watch has all commits up to `seen`, and how much of the rest is `unread`.
    pub(super) fn advance(&mut self, id: WatchId, seen: CommitSeq, unread: Unread) {
        if let Some(watcher) = self.watchers.get_mut(&id) {
            (watcher.seen, watcher.unread) = (seen, unread);
        }
    }

    /// Wakes the reader of each result that the commits may change. Removes watches without a reader.
    pub(super) fn notify(&mut self, commits: &[LoggedCommit], classes: &mut StackClasses, catalog: &Catalog) {
        if self.watchers.is_empty() {
            return;
        }
        for commit in commits {
            let redefines_classes = redefines_classes(commit, classes);
            self.watchers.retain(|_, watcher| {
                let unread = match redefines_classes {
                    true => Unread::Everything,
                    // The reader has not read earlier commits yet. It reads this commit after them, so the
                    // commit is not tested now.
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
    /// Notes how much the reader has not read after a commit. If that is nothing, the commit counts as seen.
    /// Wakes the reader if there is something to read now, and there was nothing before the commit. Returns
    /// whether the watch has a reader.
    fn note(&mut self, commit: CommitSeq, unread: Unread) -> bool {
        let has_reader = || self.signal.is_read();
        if unread == Unread::Nothing {
            self.seen = commit;
            return has_reader();
        }
        let was_notified = self.unread != Unread::Nothing;
        self.unread = self.unread.max(unread);
        // `notify` returns whether there is a reader, too.
        if was_notified { has_reader() } else { self.signal.notify() }
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
