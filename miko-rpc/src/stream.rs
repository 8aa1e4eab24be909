//! Streams: results that come item by item.

mod feed;
mod hub;
mod item;
mod on_demand;
mod served;
mod shared;
mod source;

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::bounds::Wire;
use crate::error::{Error, ErrorId, Result};
use crate::handles::{self, Carried, Kind};
use crate::link;

use self::feed::Next;
use self::on_demand::OnDemand;
use self::served::Serving;
use self::source::Source;

pub use self::feed::{Overflow, Sink};
pub use self::hub::Hub;
pub use self::on_demand::Signal;
pub use self::shared::Shared;

/// The items of a result that come one by one: `Result<Stream<Change>>`.
///
/// The implementation of a method makes one of an iterator ([`Stream::of`]), or of a feed ([`Stream::feed`],
/// [`Hub`]). An iterator is advanced only as the reader reads, so it can be of any length. A feed never waits
/// for its reader: it holds a number of items, and what happens beyond it is chosen with [`Overflow`].
///
/// A reader elsewhere gets the items over the connection of the call. It is an iterator, and a
/// `futures::Stream` where it came from an async proxy. Dropping it ends the stream at its source.
///
/// ```
/// use miko_rpc::Stream;
///
/// let squares = Stream::of((1..4).map(|n| n * n));
/// assert_eq!(squares.collect::<miko_rpc::Result<Vec<i32>>>()?, [1, 4, 9]);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
///
/// # Errors
/// An item is an error where items were left out (`lagged`, with their number; the stream goes on after it),
/// or where the stream ends with an error: that of its source, or `session-gone` if the connection was lost.
pub struct Stream<T> {
    /// A `Cell`, since serializing the stream moves its source away.
    source: Cell<Source<T>>,
    last_seq: u64,
}

impl<T: 'static> Stream<T> {
    /// The items of an iterator, numbered from 1. It runs as far as the reader reads.
    pub fn of<S>(items: S) -> Self
    where
        S: IntoIterator<Item = T>,
        S::IntoIter: Send + 'static,
    {
        Self::of_results(items.into_iter().map(Ok))
    }

    /// As [`of`](Self::of). The first error is the end of the stream.
    pub fn of_results<S>(items: S) -> Self
    where
        S: IntoIterator<Item = Result<T>>,
        S::IntoIter: Send + 'static,
    {
        Self::over(Source::Iterator { items: Box::new(items.into_iter()), seq: 0 })
    }

    /// A feed that holds up to `capacity` items for its reader, at least one.
    pub fn feed(capacity: usize, overflow: Overflow) -> (Sink<T>, Self) {
        let (sink, receiver) = feed::feed(capacity, overflow);
        (sink, Self::over(Source::Feed(receiver)))
    }

    /// As [`feed`](Self::feed), with items and their sequence numbers that the reader gets before those of
    /// the feed. They come as from an iterator: it runs as far as the reader reads, and its first error is
    /// the end of the stream. What is sent meanwhile waits in the feed.
    ///
    /// ```
    /// use miko_rpc::{Overflow, Stream};
    ///
    /// let (sink, stream) = Stream::<u64>::feed_after([Ok((4, 40)), Ok((5, 50))], 10, Overflow::DropOldest);
    /// sink.send(60).unwrap();
    /// drop(sink);
    /// assert_eq!(stream.collect::<miko_rpc::Result<Vec<_>>>()?, [40, 50, 60]);
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    pub fn feed_after<S>(first: S, capacity: usize, overflow: Overflow) -> (Sink<T>, Self)
    where
        S: IntoIterator<Item = Result<(u64, T)>>,
        S::IntoIter: Send + 'static,
    {
        let (sink, feed) = feed::feed(capacity, overflow);
        (sink, Self::over(Source::Preceded { first: Box::new(first.into_iter()), feed }))
    }

    /// Items that are made when the reader asks for one: `make` returns the next item and its sequence
    /// number, `Pending` if there is none yet, or `None` at the end. An error is the end of the stream. After
    /// `Pending` it is called again when the [`Signal`] says that there may be an item.
    ///
    /// A reader that is slow holds nothing up, and nothing waits for it: what it has missed can be told as
    /// one item.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::task::Poll;
    ///
    /// use miko_rpc::Stream;
    ///
    /// // The reader gets the latest value, and not all of those before it.
    /// let (value, mut told) = (Arc::new(AtomicU64::new(1)), 0);
    /// let latest = Arc::clone(&value);
    /// let (signal, mut values) = Stream::on_demand(move || match latest.load(Ordering::Relaxed) {
    ///     value if value == told => Poll::Pending,
    ///     value => {
    ///         told = value;
    ///         Poll::Ready(Some(Ok((value, value))))
    ///     }
    /// });
    /// assert_eq!(values.recv().unwrap()?, 1);
    /// assert!(values.try_recv().is_pending());
    /// for n in 2..10 {
    ///     value.store(n, Ordering::Relaxed);
    ///     assert!(signal.notify());
    /// }
    /// assert_eq!(values.recv().unwrap()?, 9);
    /// # Ok::<(), miko_rpc::Error>(())
    /// ```
    pub fn on_demand<F>(make: F) -> (Signal, Self)
    where
        F: FnMut() -> Poll<Option<Result<(u64, T)>>> + Send + 'static,
    {
        let (signal, items) = OnDemand::new(make);
        (signal, Self::over(Source::OnDemand(items)))
    }
}

impl<T> Stream<T> {
    /// The sequence number of the last item that was read; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn over(source: Source<T>) -> Self {
        Self { source: Cell::new(source), last_seq: 0 }
    }
}

impl<T: Wire> Stream<T> {
    /// Waits for the next item; `None` at the end of the stream.
    pub fn recv(&mut self) -> Option<Result<T>> {
        match self.wait(None) {
            Poll::Ready(item) => item,
            // There is no limit to wait for.
            Poll::Pending => None,
        }
    }

    /// As [`recv`](Self::recv); `Pending` if there is no item yet.
    pub fn try_recv(&mut self) -> Poll<Option<Result<T>>> {
        self.recv_timeout(Duration::ZERO)
    }

    /// As [`recv`](Self::recv); `Pending` if there was no item within this time.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Poll<Option<Result<T>>> {
        self.wait(Instant::now().checked_add(timeout))
    }

    /// As [`recv`](Self::recv), for async code. With `StreamExt` in scope, `next` may be that of an iterator
    /// or that of a `futures::Stream`; this name is neither.
    pub async fn recv_async(&mut self) -> Option<Result<T>> {
        poll_fn(|context| {
            let next = self.source.get_mut().poll(context);
            next.map(|next| self.accept(next))
        })
        .await
    }

    fn wait(&mut self, until: Option<Instant>) -> Poll<Option<Result<T>>> {
        let next = self.source.get_mut().wait(until);
        next.map(|next| self.accept(next))
    }

    /// The next item as the reader gets it.
    fn accept(&mut self, next: Next<T>) -> Option<Result<T>> {
        match next {
            Next::Item(seq, item) => {
                self.last_seq = seq;
                Some(Ok(item))
            }
            Next::Lagged(count) => Some(Err(lagged(count))),
            Next::End(error) => {
                self.source.set(Source::Ended);
                error.map(Err)
            }
        }
    }
}

/// The error in place of items that were left out.
fn lagged(count: u64) -> Error {
    let message = format!("{count} items were left out, because they were not read in time");
    Error::new(ErrorId::LAGGED, message).with("count", count)
}

impl<T: Wire> Iterator for Stream<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.recv()
    }
}

impl<T: Wire> futures_core::Stream for Stream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let next = self.source.get_mut().poll(context);
        next.map(|next| self.accept(next))
    }
}

impl<T> Unpin for Stream<T> {}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("last_seq", &self.last_seq).finish_non_exhaustive()
    }
}

impl<T: Wire> Serialize for Stream<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handles::serialize(serializer, Kind::Stream, || {
            Ok(Carried::Stream(Box::new(Serving::new(self.source.replace(Source::Ended)))))
        })
    }
}

impl<'de, T> Deserialize<'de> for Stream<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handles::deserialize(deserializer, Kind::Stream)?;
        let link = link::current().ok_or_else(|| {
            D::Error::custom("a stream travels in the result of a method, never in an argument")
        })?;
        Ok(Self::over(Source::Elsewhere(link.stream(handle))))
    }
}
