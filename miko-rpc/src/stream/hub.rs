//! A hub: a feed with any number of readers.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::shared::Shared;
use super::{Overflow, Sink, Stream};

/// Publishes items to any number of readers. An item is encoded once, however many readers elsewhere get it.
///
/// ```
/// use miko_rpc::{Hub, Overflow};
///
/// let ticks = Hub::new(1000, Overflow::DropOldest);
/// let mut stream = ticks.subscribe();
/// assert_eq!(ticks.publish("tick".to_owned()), 1);
/// assert_eq!(stream.recv().unwrap()?, "tick");
/// assert_eq!(stream.last_seq(), 1);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub struct Hub<T> {
    subscribers: Mutex<Subscribers<T>>,
    capacity: usize,
    overflow: Overflow,
}

struct Subscribers<T> {
    sinks: Vec<Sink<T>>,
    /// The sequence number of the last item.
    seq: u64,
}

impl<T: 'static> Hub<T> {
    /// A hub that holds up to `capacity` items for each reader.
    pub fn new(capacity: usize, overflow: Overflow) -> Self {
        Self { subscribers: Mutex::new(Subscribers { sinks: Vec::new(), seq: 0 }), capacity, overflow }
    }

    /// A stream of the items that are published from now on.
    pub fn subscribe(&self) -> Stream<T> {
        let (sink, stream) = Stream::feed(self.capacity, self.overflow);
        let mut subscribers = self.lock();
        subscribers.sinks.retain(Sink::is_read);
        subscribers.sinks.push(sink);
        stream
    }

    /// Publishes an item to all readers. Returns its sequence number; the first is 1.
    pub fn publish(&self, item: T) -> u64
    where
        T: Clone,
    {
        let mut subscribers = self.lock();
        subscribers.seq += 1;
        let item = Shared::new(subscribers.seq, item);
        subscribers.sinks.retain(|sink| sink.send_shared(&item));
        item.seq()
    }

    /// The sequence number of the last item; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.lock().seq
    }

    /// How many readers there are.
    pub fn subscribers(&self) -> usize {
        let mut subscribers = self.lock();
        subscribers.sinks.retain(Sink::is_read);
        subscribers.sinks.len()
    }

    fn lock(&self) -> MutexGuard<'_, Subscribers<T>> {
        // A panic of a waker leaves the list as it is.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: 'static> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("last_seq", &self.last_seq()).finish_non_exhaustive()
    }
}
