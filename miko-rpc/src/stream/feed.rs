//! A feed: a bounded queue whose sender never waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::shared::{Shared, SharedItem};
use crate::error::{Error, ErrorId};

/// What a feed does with an item that its reader has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// Leaves out the oldest item. The reader gets one error `lagged` in place of all that were left out.
    DropOldest,
    /// Ends the stream with the error `lagged`, after the items that are held.
    End,
}

/// The sending half of a feed. Dropping it ends the stream.
pub struct Sink<T>(Arc<Feed<T>>);

/// The reading half.
pub(super) struct Receiver<T>(Arc<Feed<T>>);

struct Feed<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    /// The most that the queue holds: the sum of the weights of its items.
    capacity: usize,
    overflow: Overflow,
}

struct State<T> {
    /// The rest of the group whose first items the reader has taken. It is not left out any more.
    current: VecDeque<Queued<T>>,
    queue: VecDeque<Entry<T>>,
    /// The sum of the weights in the queue.
    weight: usize,
    /// The sequence number of the last item that was sent.
    seq: u64,
    /// How many items were left out before those in the queue.
    left_out: u64,
    /// The end of the feed, once it has been sent.
    end: Option<Option<Error>>,
    /// Whether there is a reader.
    is_read: bool,
    waker: Option<Waker>,
    /// How many threads wait.
    waiting: usize,
}

/// What the queue holds.
enum Entry<T> {
    /// An item of weight 1.
    Item(Queued<T>),
    /// Items that the reader gets together, or not at all.
    Group { items: Vec<Shared<T>>, weight: usize },
    /// This many items were left out here.
    Gap(u64),
}

/// An item in the queue.
pub(super) enum Queued<T> {
    /// For one reader.
    Own(u64, T),
    /// For several readers.
    Shared(Arc<SharedItem<T>>),
}

/// What a reader gets next.
pub(super) enum Next<T> {
    /// An item and its sequence number.
    Item(u64, T),
    /// This many items were left out.
    Lagged(u64),
    /// The end of the stream.
    End(Option<Error>),
}

pub(super) fn feed<T>(capacity: usize, overflow: Overflow) -> (Sink<T>, Receiver<T>) {
    let state = State {
        current: VecDeque::new(),
        queue: VecDeque::new(),
        weight: 0,
        seq: 0,
        left_out: 0,
        end: None,
        is_read: true,
        waker: None,
        waiting: 0,
    };
    let (state, arrived, capacity) = (Mutex::new(state), Condvar::new(), capacity.max(1));
    let feed = Arc::new(Feed { state, arrived, capacity, overflow });
    (Sink(Arc::clone(&feed)), Receiver(feed))
}

impl<T> Sink<T> {
    /// Sends an item. Never waits.
    ///
    /// # Errors
    /// The item, if the reader has dropped the stream, or it has ended by an [`Overflow::End`].
    pub fn send(&self, item: T) -> Result<(), T> {
        let pushed = self.0.push(|last| (last + 1, Entry::Item(Queued::Own(last + 1, item))));
        match pushed {
            // What was left out is dropped without the lock.
            Ok(_left_out) => Ok(()),
            Err(Entry::Item(Queued::Own(_, item))) => Err(item),
            // It was sent as its own.
            Err(_) => Ok(()),
        }
    }

    /// Sends an item that other feeds get, too; whether the stream has a reader.
    pub(super) fn send_shared(&self, item: &Shared<T>) -> bool {
        self.0.push(|_| (item.seq(), Entry::Item(Queued::Shared(Arc::clone(&item.0))))).is_ok()
    }

    /// Sends items that the reader gets together, or not at all. Never waits. `weight` is what they take of
    /// the capacity of the feed, of which an item that was sent alone takes 1. Items that weigh more than the
    /// whole capacity are left out: the reader gets one error `lagged` in their place. Returns whether the
    /// stream has a reader.
    pub fn send_group(&self, items: Vec<Shared<T>>, weight: usize) -> bool {
        let Some(seq) = items.last().map(Shared::seq) else { return self.is_read() };
        let entry = if weight <= self.0.capacity {
            Entry::Group { items, weight: weight.max(1) }
        } else {
            Entry::Gap(items.len() as u64)
        };
        self.0.push(|_| (seq, entry)).is_ok()
    }

    /// Tells the reader that this many items were left out after those that were sent. Returns whether the
    /// stream has a reader.
    pub fn skip(&self, count: u64) -> bool {
        self.0.push(|last| (last, Entry::Gap(count))).is_ok()
    }

    /// Whether the stream has a reader.
    pub fn is_read(&self) -> bool {
        let state = self.0.lock();
        state.is_read && state.end.is_none()
    }

    /// Ends the stream with an error.
    pub fn fail(self, error: Error) {
        self.0.end(Some(error));
    }
}

impl<T> Drop for Sink<T> {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

impl<T> fmt::Debug for Sink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("is_read", &self.is_read()).finish_non_exhaustive()
    }
}

impl<T> Feed<T> {
    /// Adds an entry, which is made from the last sequence number, with its own. Returns those that are left
    /// out.
    fn push(&self, entry: impl FnOnce(u64) -> (u64, Entry<T>)) -> Result<Vec<Entry<T>>, Entry<T>> {
        let mut state = self.lock();
        let (seq, entry) = entry(state.seq);
        let pushed = self.push_locked(&mut state, seq, entry);
        let waker = self.wake(&mut state);
        drop(state);
        // Without the lock: a waker may drop the stream.
        waker.into_iter().for_each(Waker::wake);
        pushed
    }

    fn push_locked(
        &self,
        state: &mut State<T>,
        seq: u64,
        entry: Entry<T>,
    ) -> Result<Vec<Entry<T>>, Entry<T>> {
        if !state.is_read || state.end.is_some() {
            return Err(entry);
        }
        let needed = state.weight + entry.weight();
        let is_lag = needed > self.capacity || matches!(entry, Entry::Gap(_));
        if is_lag && self.overflow == Overflow::End {
            let message = format!("the stream has ended: its reader did not read {} items", state.len());
            state.end = Some(Some(Error::new(ErrorId::LAGGED, message)));
            return Err(entry);
        }
        let mut left_out = Vec::new();
        while state.weight + entry.weight() > self.capacity
            && let Some(oldest) = state.queue.pop_front()
        {
            state.weight -= oldest.weight();
            state.left_out += oldest.len();
            left_out.push(oldest);
        }
        state.seq = seq;
        state.weight += entry.weight();
        match (state.queue.back_mut(), entry) {
            (Some(Entry::Gap(before)), Entry::Gap(count)) => *before += count,
            (_, entry) => state.queue.push_back(entry),
        }
        Ok(left_out)
    }

    fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.end.get_or_insert(error);
        let waker = self.wake(&mut state);
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Wakes threads. Returns the waker of a task, for the caller to wake without the lock.
    fn wake(&self, state: &mut State<T>) -> Option<Waker> {
        if state.waiting > 0 {
            self.arrived.notify_all();
        }
        state.waker.take()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A waker or the drop of an item may panic; the state is consistent before either.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Entry<T> {
    fn weight(&self) -> usize {
        match self {
            Self::Item(_) => 1,
            Self::Group { weight, .. } => *weight,
            Self::Gap(_) => 0,
        }
    }

    /// The number of its items.
    fn len(&self) -> u64 {
        match self {
            Self::Item(_) => 1,
            Self::Group { items, .. } => items.len() as u64,
            Self::Gap(count) => *count,
        }
    }
}

/// As [`Next`], with an item as it was queued.
pub(super) enum NextQueued<T> {
    Item(Queued<T>),
    Lagged(u64),
    End(Option<Error>),
}

impl<T> State<T> {
    fn take(&mut self) -> Option<NextQueued<T>> {
        if let Some(item) = self.current.pop_front() {
            return Some(NextQueued::Item(item));
        }
        while let Some(Entry::Gap(count)) = self.queue.front() {
            self.left_out += count;
            self.queue.pop_front();
        }
        if self.left_out > 0 {
            return Some(NextQueued::Lagged(std::mem::take(&mut self.left_out)));
        }
        let Some(entry) = self.queue.pop_front() else {
            return self.end.as_mut().map(|end| NextQueued::End(end.take()));
        };
        self.weight -= entry.weight();
        match entry {
            Entry::Item(item) => Some(NextQueued::Item(item)),
            Entry::Group { items, .. } => {
                self.current.extend(items.into_iter().map(|item| Queued::Shared(item.0)));
                self.current.pop_front().map(NextQueued::Item)
            }
            // Those at the front were taken above.
            Entry::Gap(count) => Some(NextQueued::Lagged(count)),
        }
    }

    /// The number of items in the queue.
    fn len(&self) -> u64 {
        self.queue.iter().map(Entry::len).sum()
    }
}

impl<T> Receiver<T> {
    /// Waits for what comes next until this time.
    pub(super) fn wait(&self, until: Option<Instant>) -> Option<Next<T>> {
        let mut state = self.0.lock();
        loop {
            if let Some(next) = state.take() {
                drop(state);
                return Some(next.into_next());
            }
            state.waiting += 1;
            state = match until {
                None => self.0.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    let waited = self.0.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.waiting -= 1;
            if until.is_some_and(|until| Instant::now() >= until) {
                return state.take().map(NextQueued::into_next);
            }
        }
    }

    /// What comes next, or registers the waker for it.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Next<T>> {
        self.poll_queued(context).map(NextQueued::into_next)
    }

    /// As [`poll`](Self::poll), with the item as it was queued.
    pub(super) fn poll_queued(&self, context: &mut Context<'_>) -> Poll<NextQueued<T>> {
        let mut state = self.0.lock();
        if let Some(next) = state.take() {
            return Poll::Ready(next);
        }
        if !state.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_read = false;
        let unread = (std::mem::take(&mut state.current), std::mem::take(&mut state.queue));
        let waker = state.waker.take();
        drop(state);
        drop(unread);
        // A task that waited for the next item learns that there is none.
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> NextQueued<T> {
    fn into_next(self) -> Next<T> {
        match self {
            Self::Item(Queued::Own(seq, item)) => Next::Item(seq, item),
            Self::Item(Queued::Shared(item)) => Next::Item(item.seq(), SharedItem::into_value(item)),
            Self::Lagged(count) => Next::Lagged(count),
            Self::End(error) => Next::End(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbers = (Sink<u64>, Receiver<u64>);

    fn send(feed: &Numbers, items: impl IntoIterator<Item = u64>, weight: usize) {
        let items = items.into_iter().map(|n| Shared::new(n, n)).collect();
        assert!(feed.0.send_group(items, weight));
    }

    /// What is there to read: items, and negative the numbers of those that were left out.
    fn read(feed: &Numbers, count: usize) -> Vec<i64> {
        let until = Instant::now();
        let next = |_| match feed.1.wait(Some(until))? {
            Next::Item(seq, item) => {
                assert_eq!(seq, item);
                i64::try_from(item).ok()
            }
            Next::Lagged(count) => i64::try_from(count).ok().map(|count| -count),
            Next::End(_) => None,
        };
        (0..count).map_while(next).collect()
    }

    #[test]
    fn a_group_is_left_out_as_a_whole_unless_its_reader_has_begun() {
        let feed = feed(10, Overflow::DropOldest);
        send(&feed, 1..=3, 5);
        send(&feed, 4..=5, 5);
        assert_eq!(read(&feed, 1), [1]);
        send(&feed, 6..=7, 10);
        assert_eq!(read(&feed, 9), [2, 3, -2, 6, 7]);
        send(&feed, 8..=9, 5);
        send(&feed, [10], 6);
        send(&feed, [11], 4);
        assert_eq!(read(&feed, 9), [-2, 10, 11]);
    }

    #[test]
    fn what_is_too_large_is_a_gap_in_its_place() {
        let feed = feed(10, Overflow::DropOldest);
        send(&feed, [1], 5);
        send(&feed, 2..=4, 11);
        assert!(feed.0.skip(7));
        send(&feed, [12], 5);
        assert!(feed.0.skip(2));
        assert_eq!(read(&feed, 9), [1, -10, 12, -2]);
        // Gaps that are left out count.
        send(&feed, [15], 5);
        assert!(feed.0.skip(2));
        send(&feed, [18], 10);
        assert_eq!(read(&feed, 9), [-3, 18]);
        drop(feed.1);
        assert!(!feed.0.skip(1) && !feed.0.send_group(Vec::new(), 0));
    }
}
