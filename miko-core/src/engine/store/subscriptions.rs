//! Subscriptions: delivers commits to subscribers, and keeps the last commits for those that resume.
//!
//! A commit is published while the store is locked, before the calls that made it are answered. A subscriber
//! gets the changes of a commit that match its target as one group of its feed, the queue of its stream. A
//! change is built and encoded once for all subscribers that get it in the same variant ([`BuiltChanges`]).
//!
//! The last commits are kept in the ring. A subscription that resumes reads there what it has missed; live
//! queries read there how their results have changed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{Error, ErrorId, Result, Shared, Sink};

use crate::change::{Change, ChangeKind, ChangeLimits};
use crate::class::Catalog;
use crate::engine::open_limit::too_many_open;
use crate::engine::store::change_matches::{
    Interest, Match, StackClasses, change_of, change_size, matches_of,
};
use crate::engine::store::changes::LoggedCommit;
use crate::storage::ids::CommitSeq;
use crate::timestamp::Timestamp;

/// The maximum number of subscriptions.
const MAX_SUBSCRIPTIONS: usize = 1024;

/// The subscriptions of a store.
#[derive(Debug)]
pub(super) struct Subscriptions {
    pub(super) limits: ChangeLimits,
    subscribers: Vec<Subscriber>,
    /// The last commits; `None` before the first subscription or watch, and again from some time after all
    /// have ended ([`ChangeLimits::keep`]). Without a ring there are no subscribers.
    ring: Option<Ring>,
    /// A cache, for testing records against targets and selects.
    pub(super) classes: StackClasses,
    /// Added to a commit number to make the number that changes carry ([`Change::seq`]).
    seq_offset: i64,
}

/// A subscriber of the changes of the records that match its target.
#[derive(Debug)]
struct Subscriber {
    interest: Arc<Interest>,
    sink: Sink<Change>,
    /// The most bytes that its feed holds.
    queue_size: usize,
}

/// The last commits.
#[derive(Debug)]
struct Ring {
    commits: VecDeque<Arc<LoggedCommit>>,
    /// The sum of the sizes of the commits, in bytes.
    size: usize,
    /// The most that `size` may be, in bytes.
    max_size: usize,
    /// The ring has all commits after this one.
    floor: CommitSeq,
    /// When the first commit was published that had no subscriber and no watch. `None` before such a commit,
    /// and again when the ring is in use again.
    unused_since: Option<Instant>,
}

impl Subscriptions {
    /// The subscriptions of a storage. `keeps_numbers`: whether its commit numbers continue when the storage
    /// is opened again.
    pub(super) fn of(keeps_numbers: bool) -> Self {
        // If commit numbers begin anew each time that the storage is opened, an offset makes the numbers of
        // changes larger than all from before. So an old number never names a new commit, unless there were
        // more than a million commits a second.
        let seq_offset = if keeps_numbers { 0 } else { Timestamp::now().as_millis() << 10 };
        Self {
            limits: ChangeLimits::default(),
            subscribers: Vec::new(),
            ring: None,
            classes: StackClasses::default(),
            seq_offset,
        }
    }

    /// Delivers commits, and keeps them in the ring for subscriptions that resume and for watches.
    /// `is_watched` is whether there are watches. Returns whether further commits are needed.
    pub(super) fn publish(
        &mut self,
        commits: Vec<LoggedCommit>,
        catalog: &Catalog,
        is_watched: bool,
    ) -> bool {
        let Self { limits, subscribers, ring: Some(ring), classes, seq_offset } = self else { return false };
        for commit in commits {
            let seq = commit.seq.0 + *seq_offset;
            let mut built = BuiltChanges { commit: &commit, seq, variants: Vec::new() };
            subscribers.retain(|subscriber| subscriber.deliver(&mut built, classes, catalog));
            ring.push(commit);
        }
        if is_watched || !subscribers.is_empty() {
            ring.unused_since = None;
            return true;
        }
        let unused_since = *ring.unused_since.get_or_insert_with(Instant::now);
        let keeps_ring = unused_since.elapsed() < limits.keep;
        if !keeps_ring {
            self.ring = None;
        }
        keeps_ring
    }

    /// The number that the changes of a commit carry ([`Change::seq`]).
    pub(super) fn seq_of(&self, commit: CommitSeq) -> i64 {
        commit.0 + self.seq_offset
    }

    /// Keeps the commits from now on, which are those after `last`, in a ring. A ring that exists already
    /// keeps its commits, and counts as in use again. From the next commit on, the ring has at most
    /// `max_size` bytes.
    pub(super) fn keep_commits_after(&mut self, last: CommitSeq, max_size: usize) {
        let ring = self.ring.get_or_insert_with(|| Ring::empty_after(last));
        ring.max_size = max_size;
        ring.unused_since = None;
    }

    /// Adds a subscriber, whose feed holds at most `queue_size` bytes.
    pub(super) fn add(&mut self, interest: Arc<Interest>, sink: Sink<Change>, queue_size: usize) {
        self.subscribers.push(Subscriber { interest, sink, queue_size });
    }

    /// The oldest commit after `seen`; `None` also if the ring does not have all commits after `seen`.
    pub(super) fn commit_after(&self, seen: CommitSeq) -> Option<Arc<LoggedCommit>> {
        let ring = self.ring.as_ref().filter(|ring| ring.floor <= seen)?;
        ring.after(seen).next().cloned()
    }

    /// The commits after `seen` that the ring has, in order.
    pub(super) fn commits_after(&self, seen: CommitSeq) -> impl Iterator<Item = &LoggedCommit> {
        self.ring.iter().flat_map(move |ring| ring.after(seen)).map(Arc::as_ref)
    }

    /// Refuses another subscription, with `storage-full`, if too many are open. The open watches count as
    /// subscriptions.
    pub(super) fn check_room(&mut self, watches: usize) -> Result<()> {
        // Subscribers without a reader are removed at each commit. If there are too many subscribers, those
        // are removed at once.
        if self.subscribers.len() + watches >= MAX_SUBSCRIPTIONS {
            self.subscribers.retain(|subscriber| subscriber.sink.is_read());
        }
        if self.subscribers.len() + watches < MAX_SUBSCRIPTIONS {
            return Ok(());
        }
        Err(too_many_open("subscriptions", MAX_SUBSCRIPTIONS))
    }

    /// The changes of the commits after the one whose changes carry the number `after`. `last` is the last
    /// commit.
    ///
    /// # Errors
    /// `changes-expired`, if the ring does not have all of these commits, or no commit has the number yet.
    pub(super) fn missed(
        &self,
        after: i64,
        last: CommitSeq,
        interest: &Arc<Interest>,
        catalog: &Catalog,
    ) -> Result<MissedChanges> {
        let seen = CommitSeq(after.saturating_sub(self.seq_offset));
        let ring = self.ring.as_ref().filter(|ring| ring.floor <= seen && seen <= last);
        let ring = ring.ok_or_else(|| expired(after))?;
        Ok(MissedChanges {
            seen,
            last: ring.commits.back().map_or(seen, |commit| commit.seq),
            interest: Arc::clone(interest),
            catalog: catalog.clone(),
            classes: StackClasses::default(),
            seq_offset: self.seq_offset,
            current: VecDeque::new(),
        })
    }

    /// The next commit that a subscriber has missed; `None` if it has read all of them.
    ///
    /// # Errors
    /// `changes-expired`, if it has read so slowly that the ring no longer has all of them.
    pub(super) fn next_missed(&self, missed: &MissedChanges) -> Result<Option<Arc<LoggedCommit>>> {
        if missed.seen >= missed.last {
            return Ok(None);
        }
        let ring = self.ring.as_ref().filter(|ring| ring.floor <= missed.seen);
        let ring = ring.ok_or_else(|| expired(missed.seen.0 + self.seq_offset))?;
        Ok(ring.after(missed.seen).next().cloned())
    }
}

fn expired(after: i64) -> Error {
    let message = "the server does not have all changes after this number, or no change has it yet: begin \
                   anew, as with a snapshot";
    Error::new(ErrorId::CHANGES_EXPIRED, message).with("after", after)
}

impl Subscriber {
    /// Sends the changes of a commit that match the target. Returns whether the subscriber still has a
    /// reader.
    fn deliver(&self, built: &mut BuiltChanges<'_>, classes: &mut StackClasses, catalog: &Catalog) -> bool {
        let commit = built.commit;
        // The changes of a commit that was too large are not logged, only their number. The subscriber gets
        // the error `lagged` in their place.
        if commit.left_out > 0 {
            return self.sink.skip(commit.left_out);
        }
        let matches = matches_of(commit, &self.interest, classes, catalog);
        let Some(last_position) = matches.len().checked_sub(1) else { return self.sink.is_read() };
        let (mut items, mut size) = (Vec::with_capacity(matches.len()), 0);
        for (position, found) in matches.iter().enumerate() {
            let (item, item_size) = built.get(*found, position == last_position, classes);
            size += item_size;
            // The feed would leave out a group of this size, so the rest of the changes need not be built.
            if size > self.queue_size {
                return self.sink.skip(matches.len() as u64);
            }
            items.push(item);
        }
        self.sink.send_group(items, size)
    }
}

/// The changes of a commit that were built for one subscriber, to be sent to the others as well.
struct BuiltChanges<'c> {
    commit: &'c LoggedCommit,
    /// The number that its changes carry.
    seq: i64,
    /// The four variants of each change, for subscribers that differ in two respects: whether the record
    /// leaves their set, and whether the change is the last one of the commit that they get. Empty before the
    /// first one is built.
    variants: Vec<[Option<BuiltChange>; 4]>,
}

/// A change, and its approximate size in bytes.
type BuiltChange = (Shared<Change>, usize);

impl BuiltChanges<'_> {
    /// The change that `found` names, for a subscriber. `last` is whether it is the last one of the commit
    /// that the subscriber gets.
    fn get(&mut self, found: Match, last: bool, classes: &mut StackClasses) -> BuiltChange {
        if self.variants.is_empty() {
            self.variants.resize_with(self.commit.changes.len(), Default::default);
        }
        let Self { commit, seq, variants } = self;
        let variant = 2 * usize::from(found.kind == ChangeKind::Leave) + usize::from(last);
        let build = || {
            let change = change_of(&commit.changes[found.index], found.kind, *seq, last, classes);
            let size = change_size(&change);
            (Shared::new(seq.unsigned_abs(), change), size)
        };
        variants[found.index][variant].get_or_insert_with(build).clone()
    }
}

/// The changes that a resuming subscriber has missed. It reads them before the changes from now on. They are
/// read from the ring, one commit after another, so that a subscriber that does not read holds no memory.
pub(in crate::engine) struct MissedChanges {
    /// The last commit that was read.
    seen: CommitSeq,
    /// The last commit to be read.
    last: CommitSeq,
    interest: Arc<Interest>,
    /// The classes as they were when the subscriber resumed.
    catalog: Catalog,
    classes: StackClasses,
    seq_offset: i64,
    /// The changes of the commit `seen` that match and were not returned yet.
    current: VecDeque<Change>,
}

impl MissedChanges {
    /// The next change of the commit that was read last, with its sequence number.
    pub(in crate::engine) fn next_of_commit(&mut self) -> Option<(u64, Change)> {
        self.current.pop_front().map(|change| (change.seq.unsigned_abs(), change))
    }

    /// Reads a commit: builds those of its changes that match, for [`next_of_commit`](Self::next_of_commit).
    pub(in crate::engine) fn read(&mut self, commit: &LoggedCommit) {
        self.seen = commit.seq;
        let matches = matches_of(commit, &self.interest, &mut self.classes, &self.catalog);
        for (position, found) in matches.iter().enumerate() {
            let (change, last) = (&commit.changes[found.index], position + 1 == matches.len());
            let seq = commit.seq.0 + self.seq_offset;
            self.current.push_back(change_of(change, found.kind, seq, last, &mut self.classes));
        }
    }
}

impl Ring {
    /// An empty ring, for the commits after this one.
    fn empty_after(last: CommitSeq) -> Self {
        Self { commits: VecDeque::new(), size: 0, max_size: 0, floor: last, unused_since: None }
    }

    /// The commits after `seen`, in order.
    fn after(&self, seen: CommitSeq) -> impl Iterator<Item = &Arc<LoggedCommit>> {
        self.commits.range(self.commits.partition_point(|commit| commit.seq <= seen)..)
    }

    /// Adds a commit, and drops the oldest commits while the ring is too large. If the commit lacks changes,
    /// drops all commits, this one included: no subscription can resume from before it.
    fn push(&mut self, commit: LoggedCommit) {
        self.size += commit.size;
        let is_complete = commit.left_out == 0;
        self.commits.push_back(Arc::new(commit));
        while (self.size > self.max_size || !is_complete)
            && let Some(oldest) = self.commits.pop_front()
        {
            self.size -= oldest.size;
            self.floor = oldest.seq;
        }
    }
}
