//! Begins subscriptions, and publishes commits to subscribers.

use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, Sink, memory};

use crate::change::{Change, ChangeLimits, ChangeOptions};
use crate::engine::store::Store;
use crate::engine::store::change_matches::Interest;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::streams::FoundRecords;
use crate::engine::store::subscriptions::MissedChanges;
use crate::query::SelectRequest;
use crate::storage::Storage;
use crate::storage::ids::CommitSeq;
use crate::target::Target;

/// With a memory limit, the ring, each queue and each live query may take this part of it (1/16).
const LIMIT_DIVISOR: usize = 16;

/// The size, but no more than the [part](LIMIT_DIVISOR) of the memory limit.
fn within_memory_limit(size: usize) -> usize {
    memory::current_limit().map_or(size, |limit| size.min(limit / LIMIT_DIVISOR))
}

/// A subscription that begins.
pub(in crate::engine) struct Subscription {
    interest: Arc<Interest>,
    /// The most bytes that its feed may hold.
    pub(in crate::engine) queue_size: usize,
}

/// The items with which a subscription begins.
pub(in crate::engine) enum InitialItems {
    Nothing,
    /// The changes since the one that the subscriber has seen last.
    Missed(MissedChanges),
    /// The records that are in the set, and the number of the last commit.
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
            // A waker that is woken here may drop streams of this store. As in a hook, they cannot lock the
            // store then, and are closed under the next lock.
            let _guard = self.hooks.thread().enter();
            self.watches.notify(&commits, &mut self.subscriptions.classes, &self.catalog);
            let is_watched = self.watches.len() > 0;
            if !self.subscriptions.publish(commits, &self.catalog, is_watched) {
                self.transaction.commits.end_publishing();
            }
        }
    }

    pub(in crate::engine) fn set_change_limits(&mut self, limits: ChangeLimits) {
        self.subscriptions.limits = limits;
    }

    /// Prepares a subscription. Returns the items that precede the changes from now on. The caller has to
    /// call
    /// [`subscribe`](Self::subscribe) before any other write.
    ///
    /// # Errors
    /// Every fault of the target; `changes-expired`; `read-only-connection`; `storage-full`.
    pub(in crate::engine) fn begin_subscription(
        &mut self,
        target: &Target,
        options: ChangeOptions,
        max_queue_size: usize,
    ) -> Result<(Subscription, InitialItems)> {
        self.check_subscribable(options)?;
        let interest = Arc::new(Interest { filter: target.filter()?, leaving: options.leaving });
        self.check_room_for_subscription()?;
        self.transaction.settle(&mut self.storage)?;
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
        self.keep_commits_from(last);
        let queue_size = within_memory_limit(self.subscriptions.limits.queue).min(max_queue_size);
        self.transaction.commits.begin_publishing(queue_size);
        Ok((Subscription { interest, queue_size }, initial))
    }

    /// Keeps the commits after `last` in the ring.
    pub(super) fn keep_commits_from(&mut self, last: CommitSeq) {
        let ring_size = within_memory_limit(self.subscriptions.limits.ring);
        self.subscriptions.keep_commits(last, ring_size);
        self.transaction.commits.begin_publishing(ring_size);
    }

    /// Refuses another subscription or watch if too many are open.
    pub(super) fn check_room_for_subscription(&mut self) -> Result<()> {
        self.subscriptions.check_room(self.watches.len())
    }

    /// The most bytes that a live query may hold.
    pub(super) fn live_query_size(&self) -> usize {
        within_memory_limit(self.subscriptions.limits.live_query)
    }

    /// Adds the subscriber of a subscription that has begun.
    pub(in crate::engine) fn subscribe(&mut self, subscription: Subscription, sink: Sink<Change>) {
        let Subscription { interest, queue_size } = subscription;
        self.subscriptions.add(interest, sink, queue_size);
    }

    fn check_subscribable(&self, options: ChangeOptions) -> Result<()> {
        // In mode `r` another process may commit, of which this store would not learn.
        self.check_writable()?;
        if options.snapshot && options.after.is_some() {
            let message = "a subscription begins with a `snapshot`, or resumes `after` a change";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message));
        }
        Ok(())
    }
}
