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
use crate::target::Target;

/// With a memory limit, the ring and each queue may take this part of it (1/16).
const LIMIT_DIVISOR: usize = 16;

/// A subscription that begins.
pub(in crate::engine) struct Subscription {
    interest: Arc<Interest>,
    /// The most bytes that its feed may hold.
    pub(in crate::engine) queue_size: usize,
}

/// What a subscription begins with.
pub(in crate::engine) enum First {
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
            if !self.subscriptions.publish(commits, &self.catalog) {
                self.transaction.commits.end_publishing();
            }
        }
    }

    pub(in crate::engine) fn set_change_limits(&mut self, limits: ChangeLimits) {
        self.subscriptions.limits = limits;
    }

    /// Prepares a subscription. Returns what comes before the changes from now on: call
    /// [`subscribe`](Self::subscribe) before any other write.
    ///
    /// # Errors
    /// Every fault of the target; `changes-expired`; `read-only-connection`; `storage-full`.
    pub(in crate::engine) fn begin_subscription(
        &mut self,
        target: &Target,
        options: ChangeOptions,
        max_queue_size: usize,
    ) -> Result<(Subscription, First)> {
        self.check_subscribable(options)?;
        let interest = Arc::new(Interest { filter: target.filter()?, leaving: options.leaving });
        self.subscriptions.check_room()?;
        self.transaction.settle(&mut self.storage)?;
        self.publish_commits();
        let last = self.last.get().commit;
        let first = match options.after {
            Some(after) => First::Missed(self.subscriptions.missed(after, last, &interest, &self.catalog)?),
            None if options.snapshot => First::Snapshot {
                records: self.open_select_of(&SelectRequest::of_filter(target.filter()?))?,
                seq: self.subscriptions.seq_of(last),
            },
            None => First::Nothing,
        };
        let limits = self.subscriptions.limits;
        let bounded =
            |size: usize| memory::current_limit().map_or(size, |limit| size.min(limit / LIMIT_DIVISOR));
        let (ring_size, queue_size) = (bounded(limits.ring), bounded(limits.queue).min(max_queue_size));
        self.subscriptions.keep_commits(last, ring_size);
        self.transaction.commits.begin_publishing(ring_size.max(queue_size));
        Ok((Subscription { interest, queue_size }, first))
    }

    /// Adds the subscriber of a subscription that has begun.
    pub(in crate::engine) fn subscribe(&mut self, subscription: Subscription, sink: Sink<Change>) {
        let Subscription { interest, queue_size } = subscription;
        self.subscriptions.add(interest, sink, queue_size);
    }

    fn check_subscribable(&self, options: ChangeOptions) -> Result<()> {
        // In mode `r` another process may commit.
        self.check_writable()?;
        if options.snapshot && options.after.is_some() {
            let message = "a subscription begins with a `snapshot`, or resumes `after` a change";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message));
        }
        Ok(())
    }
}
