//! Items that are made when their reader asks for them.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Instant;

use super::feed::{self, Next, Overflow, Receiver, Sink};
use crate::error::Result;

/// Tells the reader of a stream of [`Stream::on_demand`](crate::Stream::on_demand) that there may be an item.
/// Dropping it ends the stream.
pub struct Signal(Sink<()>);

/// Makes items, and waits for a signal where there are none.
pub(super) struct OnDemand<T> {
    make: Box<Make<T>>,
    signal: Receiver<()>,
}

/// The next item and its sequence number; `Pending` if there is none yet.
type Make<T> = dyn FnMut() -> Poll<Option<Result<(u64, T)>>> + Send;

impl Signal {
    /// Says that there may be an item. Never waits. Returns whether the stream has a reader.
    pub fn notify(&self) -> bool {
        self.0.send(()).is_ok()
    }

    /// Whether the stream has a reader.
    pub fn is_read(&self) -> bool {
        self.0.is_read()
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("is_read", &self.is_read()).finish_non_exhaustive()
    }
}

impl<T> OnDemand<T> {
    pub(super) fn new<F>(make: F) -> (Signal, Self)
    where
        F: FnMut() -> Poll<Option<Result<(u64, T)>>> + Send + 'static,
    {
        // One signal says as much as many.
        let (sink, signal) = feed::feed(1, Overflow::DropOldest);
        (Signal(sink), Self { make: Box::new(make), signal })
    }

    /// Waits for what comes next until this time.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> Poll<Next<T>> {
        loop {
            if let Poll::Ready(next) = self.make() {
                return Poll::Ready(next);
            }
            match self.signal.wait(until) {
                None => return Poll::Pending,
                Some(Next::End(error)) => return Poll::Ready(Next::End(error)),
                Some(Next::Item(..) | Next::Lagged(_)) => {}
            }
        }
    }

    /// What comes next, or registers the waker for a signal.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next<T>> {
        loop {
            if let Poll::Ready(next) = self.make() {
                return Poll::Ready(next);
            }
            match self.signal.poll(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Next::End(error)) => return Poll::Ready(Next::End(error)),
                Poll::Ready(Next::Item(..) | Next::Lagged(_)) => {}
            }
        }
    }

    fn make(&mut self) -> Poll<Next<T>> {
        (self.make)().map(|made| match made {
            Some(Ok((seq, item))) => Next::Item(seq, item),
            Some(Err(error)) => Next::End(Some(error)),
            None => Next::End(None),
        })
    }
}
