//! Begins subscriptions, and publishes commits to subscribers and live queries.

use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, Sink, memory};

use crate::change::{Change, ChangeLimits, ChangeOptions};
use crate::engine::store::Store;
use crate::engine::store::change_matches::Interest;
use crate::engine::store::changes::LoggedCommit;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::streams::FoundRecords;
use crate::engine::store::subscriptions::MissedChanges;
use crate::query::SelectRequest;
use crate::storage::Storage;
use crate::storage::ids::CommitSeq;
use crate::target::Target;

/// With a memory limit, each of these takes at most the limit divided by this: the ring, the queue of a
/// subscription, a live query. The ring has the last commits, from which a subscription resumes.
const LIMIT_DIVISOR: usize = 16;

/// The size, but no more than the [part](LIMIT_DIVISOR) of the memory limit.
fn within_memory_limit(size: usize) -> usize {
    memory::current_limit().map_or(size, |limit| size.min(limit / LIMIT_DIVISOR))
}

/// The largest size in bytes of conditions that are tested for each commit: of the target of a subscription,
/// and of the select of a live query or of a waiting claim. All of them are tested against the records of the
/// commit, under the lock of the store.
const MAX_TESTED_SIZE: usize = 128 << 10;

/// Checks that a target or a select of this size is small enough to be tested after each commit.
///
/// # Errors
/// `request-too-large`.
pub(in crate::engine) fn check_tested_size(size: usize) -> Result<()> {
    if size <= MAX_TESTED_SIZE {
        return Ok(());
    }
    let message = "these conditions are too large to be tested for each change: write shorter ones, and test \
                   what you get yourself";
    Err(Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", MAX_TESTED_SIZE).with("found", size))
}

/// A subscription that has begun. [`subscribe`](Store::subscribe) adds its subscriber.
pub(in crate::engine) struct Subscription {
    interest: Arc<Interest>,
    /// The most bytes that its feed, which is the queue of its stream, may hold.
    pub(in crate::engine) queue_size: usize,
}

/// The items with which a subscription begins.
pub(in crate::engine) enum InitialItems {
    Nothing,
    /// The changes since the last one that the subscriber has seen.
    Missed(MissedChanges),
    /// The records that match the target, and the number of the last commit as changes carry it
    /// ([`Change::seq`]).
    Snapshot {
        seq: i64,
        records: (StreamId, FoundRecords),
    },
}

impl<T: Storage> Store<T> {
    /// Delivers the commits that were made since the last call.
    pub(super) fn publish_commits(&mut self) {
        if self.transaction.commits.has_unpublished() {
            let commits = self.transaction.commits.take_unpublished();
            // Delivery runs the wakers of readers on this thread, which holds the lock of the store. A waker
            // may drop a stream of this store, and closing the stream needs the same lock. The guard marks
            // this thread as running a callback. Then the next call that locks the store closes the stream.
            let _guard = self.hooks.thread().enter();
            self.watches.notify(&commits, &mut self.subscriptions.classes, &self.catalog);
            let is_watched = self.watches.len() > 0;
            let needs_more = self.subscriptions.publish(commits, &self.catalog, is_watched);
            if !needs_more {
                self.transaction.commits.stop_logging();
            }
        }
    }

    pub(in crate::engine) fn set_change_limits(&mut self, limits: ChangeLimits) {
        self.subscriptions.limits = limits;
    }

    /// Begins a subscription. Returns it with the items that precede the changes from now on. The caller must
    /// call [`subscribe`](Self::subscribe) before the store makes another write.
    ///
    /// # Errors
    /// The faults of the target; `request-too-large`, if it is too large to be tested for each change;
    /// `invalid_request` for a snapshot with `after`; `changes-expired`, if there is no ring, or it lacks a
    /// change after `after`, or no commit has the number `after` yet; `read-only-connection`; `storage-full`,
    /// if too many subscriptions or streams are open; the error of the open group, if it cannot be committed;
    /// for a snapshot, the errors of the select.
    pub(in crate::engine) fn begin_subscription(
        &mut self,
        target: &Target,
        options: ChangeOptions,
        max_queue_size: usize,
    ) -> Result<(Subscription, InitialItems)> {
        self.check_subscribable(options)?;
        let interest = Arc::new(Interest { filter: target.filter()?, leaving: options.leaving });
        check_tested_size(interest.filter.approximate_size())?;
        self.check_room_for_subscription()?;
        // The subscription begins after the writes of the open group, so they must not be undone any more.
        self.transaction.commit_group_so_far(&mut self.storage)?;
        self.publish_commits();
        let last = self.last.get().commit;
        let initial = match options.after {
            Some(after) => {
                InitialItems::Missed(self.subscriptions.missed(after, last, &interest, &self.catalog)?)
            }
            None if options.snapshot => InitialItems::Snapshot {
                records: self.open_select_of(&SelectRequest::of_filter(target.filter()?))?,
                seq: self.subscriptions.seq_of(last),
            },
            None => InitialItems::Nothing,
        };
        self.keep_commits_after(last);
        let queue_size = within_memory_limit(self.subscriptions.limits.queue).min(max_queue_size);
        // `keep_commits_after` logs commits up to the size of the ring. A larger commit may still fit into
        // the queue.
        self.transaction.commits.log_commits_up_to(queue_size);
        Ok((Subscription { interest, queue_size }, initial))
    }

    /// Keeps the commits from now on, which are those after `last`, in the ring. Creates the ring if there is
    /// none. A ring that exists keeps the commits that it has.
    pub(super) fn keep_commits_after(&mut self, last: CommitSeq) {
        let ring_size = within_memory_limit(self.subscriptions.limits.ring);
        self.subscriptions.keep_commits_after(last, ring_size);
        self.transaction.commits.log_commits_up_to(ring_size);
    }

    /// Refuses another subscription or watch, with `storage-full`, if too many are open.
    pub(super) fn check_room_for_subscription(&mut self) -> Result<()> {
        self.subscriptions.check_room(self.watches.len())
    }

    /// The most bytes that a live query may hold.
    pub(super) fn live_query_size(&self) -> usize {
        within_memory_limit(self.subscriptions.limits.live_query)
    }

    /// The next commit that a subscriber has missed; `None` if it has read all of them.
    ///
    /// # Errors
    /// `changes-expired`, if the ring no longer has all commits that the subscriber has missed.
    pub(in crate::engine) fn next_missed(&self, missed: &MissedChanges) -> Result<Option<Arc<LoggedCommit>>> {
        self.subscriptions.next_missed(missed)
    }

    /// Adds the subscriber of a subscription that has begun.
    pub(in crate::engine) fn subscribe(&mut self, subscription: Subscription, sink: Sink<Change>) {
        let Subscription { interest, queue_size } = subscription;
        self.subscriptions.add(interest, sink, queue_size);
    }

    fn check_subscribable(&self, options: ChangeOptions) -> Result<()> {
        // In mode `r` another process may commit changes, which this store would not notice.
        self.check_writable()?;
        if options.snapshot && options.after.is_some() {
            let message = "`snapshot` and `after` exclude each other: leave out one of them";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message));
        }
        Ok(())
    }
}
