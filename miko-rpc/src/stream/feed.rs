//! A feed: a bounded queue whose sender never waits.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

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
    capacity: usize,
    overflow: Overflow,
}

struct State<T> {
    queue: VecDeque<Queued<T>>,
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

/// An item in the queue.
pub(super) enum Queued<T> {
    /// For one reader.
    Own(u64, T),
    /// For several readers.
    Shared(Arc<SharedItem<T>>),
}

/// An item for several readers.
pub(super) struct SharedItem<T> {
    seq: u64,
    value: Mutex<T>,
    clone: fn(&T) -> T,
    /// The item as MessagePack, once a reader elsewhere has needed it.
    encoded: OnceLock<Result<Box<[u8]>, Error>>,
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
        queue: VecDeque::new(),
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
        let pushed = {
            let mut state = self.0.lock();
            let seq = state.seq + 1;
            self.0.push(&mut state, seq, Queued::Own(seq, item))
        };
        match pushed {
            // What was left out is dropped without the lock.
            Ok(_left_out) => Ok(()),
            Err(Queued::Own(_, item)) => Err(item),
            // It was sent as its own.
            Err(Queued::Shared(_)) => Ok(()),
        }
    }

    /// Sends an item that other feeds get, too; whether the stream has a reader.
    pub(super) fn send_shared(&self, item: &Arc<SharedItem<T>>) -> bool {
        let pushed = self.0.push(&mut self.0.lock(), item.seq, Queued::Shared(Arc::clone(item)));
        pushed.is_ok()
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
    /// Adds an item; returns one that is left out.
    fn push(&self, state: &mut State<T>, seq: u64, item: Queued<T>) -> Result<Option<Queued<T>>, Queued<T>> {
        if !state.is_read || state.end.is_some() {
            return Err(item);
        }
        let mut left_out = None;
        if state.queue.len() == self.capacity {
            if self.overflow == Overflow::End {
                let message =
                    format!("the stream has ended: its reader did not read {} items", self.capacity);
                state.end = Some(Some(Error::new(ErrorId::LAGGED, message)));
                self.wake(state);
                return Err(item);
            }
            left_out = state.queue.pop_front();
            state.left_out += 1;
        }
        state.seq = seq;
        state.queue.push_back(item);
        self.wake(state);
        Ok(left_out)
    }

    fn end(&self, error: Option<Error>) {
        let mut state = self.lock();
        state.end.get_or_insert(error);
        self.wake(&mut state);
    }

    fn wake(&self, state: &mut State<T>) {
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        if state.waiting > 0 {
            self.arrived.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A waker or the drop of an item may panic; the state is consistent before either.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        if self.left_out > 0 {
            return Some(NextQueued::Lagged(std::mem::take(&mut self.left_out)));
        }
        match self.queue.pop_front() {
            Some(item) => Some(NextQueued::Item(item)),
            None => self.end.as_mut().map(|end| NextQueued::End(end.take())),
        }
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
        let unread = std::mem::take(&mut state.queue);
        drop(state);
        drop(unread);
    }
}

impl<T> NextQueued<T> {
    fn into_next(self) -> Next<T> {
        match self {
            Self::Item(Queued::Own(seq, item)) => Next::Item(seq, item),
            Self::Item(Queued::Shared(item)) => Next::Item(item.seq, SharedItem::into_value(item)),
            Self::Lagged(count) => Next::Lagged(count),
            Self::End(error) => Next::End(error),
        }
    }
}

impl<T> SharedItem<T> {
    pub(super) fn new(seq: u64, value: T) -> Self
    where
        T: Clone,
    {
        Self { seq, value: Mutex::new(value), clone: T::clone, encoded: OnceLock::new() }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// The item as MessagePack, which `encode` makes of it for the first reader.
    pub(super) fn encoded(&self, encode: impl FnOnce(&T) -> Result<Vec<u8>, Error>) -> Result<&[u8], Error> {
        let encoded = self.encoded.get_or_init(|| encode(&self.lock()).map(Vec::into_boxed_slice));
        encoded.as_deref().map_err(Clone::clone)
    }

    /// The value: the last reader takes it, the others clone it.
    fn into_value(item: Arc<Self>) -> T {
        match Arc::try_unwrap(item) {
            Ok(item) => item.value.into_inner().unwrap_or_else(PoisonError::into_inner),
            Err(item) => (item.clone)(&item.lock()),
        }
    }

    /// Gives the value to `read`.
    pub(super) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A clone or an encoding that panics does not change the value.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
