//! The watches of live queries: wakes their readers when there is something to read.
//!
//! A commit only wakes the readers. Its changes of a result are computed when a reader asks for them, in
//! [`live_query`](super::live_query).

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
    last: WatchId,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct WatchId(u64);

/// The store's side of a watch.
#[derive(Debug)]
struct Watcher {
    select: Arc<SelectRequest>,
    signal: Signal,
    /// Every commit up to this one is in its result, or does not change it.
    seen: CommitSeq,
    unread: Unread,
}

/// How much a reader has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unread {
    Nothing,
    /// Commits after `seen` may change the result.
    Commits,
    /// A class was redefined: other records may match now although none was written, so the select has to run
    /// again.
    Everything,
}

impl Watches {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The id of a watch that begins.
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

    /// The last commit that the result of a watch includes, and how much its reader has not read.
    pub(super) fn progress(&self, id: WatchId) -> Option<(CommitSeq, Unread)> {
        self.open.get(&id).map(|watcher| (watcher.seen, watcher.unread))
    }

    /// Notes that the result of a watch has all commits up to `seen`.
    pub(super) fn advance(&mut self, id: WatchId, seen: CommitSeq, unread: Unread) {
        if let Some(watcher) = self.open.get_mut(&id) {
            (watcher.seen, watcher.unread) = (seen, unread);
        }
    }

    /// Tells the readers of commits that may change their results.
    pub(super) fn notify(&mut self, commits: &[LoggedCommit], classes: &mut StackClasses, catalog: &Catalog) {
        if self.open.is_empty() {
            return;
        }
        for commit in commits {
            let redefines_classes = redefines_classes(commit, classes);
            self.open.retain(|_, watcher| {
                let unread = match redefines_classes {
                    true => Unread::Everything,
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
    /// Records a commit, and how much the reader has not read after it. Returns whether the watch has a
    /// reader.
    fn note(&mut self, commit: CommitSeq, unread: Unread) -> bool {
        if unread == Unread::Nothing {
            self.seen = commit;
            return self.signal.is_read();
        }
        let was_notified = self.unread != Unread::Nothing;
        self.unread = self.unread.max(unread);
        if was_notified { self.signal.is_read() } else { self.signal.notify() }
    }

    /// Whether the select finds, or has found, a record that a commit has changed.
    fn is_affected_by(&self, commit: &LoggedCommit, classes: &mut StackClasses, catalog: &Catalog) -> bool {
        let mut states = commit.changes.iter().flat_map(|change| {
            let (before, after) = before_and_after(change);
            before.into_iter().chain(after)
        });
        commit.left_out > 0
            || states.any(|record| {
                // The reader gets the error when it reads.
                self.select.filter.matches(&ChangedRecord::of(record, classes, catalog)).unwrap_or(true)
            })
    }
}

/// Whether a commit may have changed which classes a class inherits from.
fn redefines_classes(commit: &LoggedCommit, classes: &mut StackClasses) -> bool {
    let mut is_definition =
        |record: RecordRef<'_>| classes.of(record.stack).iter().any(|class| class == uns::CLASS);
    commit.changes.iter().any(|change| {
        let (before, after) = before_and_after(change);
        before.is_some_and(&mut is_definition) || after.is_some_and(&mut is_definition)
    })
}
