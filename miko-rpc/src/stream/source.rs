//! Where the items of a stream come from.

use std::task::{Context, Poll};
use std::time::Instant;

use super::feed::{Next, Receiver};
use super::item::decode;
use super::on_demand::OnDemand;
use crate::bounds::Wire;
use crate::error::Result;
use crate::link::{ItemSource, StreamMessage};

/// Where the items come from.
pub(super) enum Source<T> {
    /// An iterator of this process, and the sequence number of its last item.
    Iterator { items: Box<dyn Iterator<Item = Result<T>> + Send>, seq: u64 },
    /// A feed of this process.
    Feed(Receiver<T>),
    /// Items with their sequence numbers, and a feed that follows them.
    Preceded { first: Box<NumberedItems<T>>, feed: Receiver<T> },
    /// Items that this process makes for the reader.
    OnDemand(OnDemand<T>),
    /// A server.
    Elsewhere(Box<dyn ItemSource>),
    /// There are no more items.
    Ended,
}

/// Items with their sequence numbers.
pub(super) type NumberedItems<T> = dyn Iterator<Item = Result<(u64, T)>> + Send;

impl<T> Source<T> {
    /// Goes on to a feed when the items that precede it have ended. Returns an item that precedes it, or what
    /// ends the stream.
    pub(super) fn next_preceding(&mut self) -> Option<Next<T>> {
        let Self::Preceded { first, .. } = self else { return None };
        match first.next() {
            Some(Ok((seq, item))) => Some(Next::Item(seq, item)),
            Some(Err(error)) => Some(Next::End(Some(error))),
            None => {
                if let Self::Preceded { feed, .. } = std::mem::replace(self, Self::Ended) {
                    *self = Self::Feed(feed);
                }
                None
            }
        }
    }
}

impl<T: Wire> Source<T> {
    /// Waits for what comes next until this time.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> Poll<Next<T>> {
        if let Some(next) = self.next_preceding() {
            return Poll::Ready(next);
        }
        match self {
            Self::Iterator { items, seq } => Poll::Ready(next_of_iterator(&mut **items, seq)),
            Self::Feed(receiver) => receiver.wait(until).map_or(Poll::Pending, Poll::Ready),
            Self::OnDemand(items) => items.wait(until),
            Self::Elsewhere(items) => items.wait(until).map(next_of_message),
            Self::Preceded { .. } | Self::Ended => Poll::Ready(Next::End(None)),
        }
    }

    /// What comes next, or registers the waker for it.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Next<T>> {
        if let Some(next) = self.next_preceding() {
            return Poll::Ready(next);
        }
        match self {
            Self::Iterator { items, seq } => Poll::Ready(next_of_iterator(&mut **items, seq)),
            Self::Feed(receiver) => receiver.poll(context),
            Self::OnDemand(items) => items.poll(context),
            Self::Elsewhere(items) => items.poll(context).map(next_of_message),
            Self::Preceded { .. } | Self::Ended => Poll::Ready(Next::End(None)),
        }
    }
}

pub(super) fn next_of_iterator<T>(items: &mut dyn Iterator<Item = Result<T>>, seq: &mut u64) -> Next<T> {
    match items.next() {
        Some(Ok(item)) => {
            *seq += 1;
            Next::Item(*seq, item)
        }
        Some(Err(error)) => Next::End(Some(error)),
        None => Next::End(None),
    }
}

pub(super) fn next_of_message<T: Wire>(message: StreamMessage<'_>) -> Next<T> {
    match message {
        StreamMessage::Item { seq, item } => match decode(item) {
            Ok(item) => Next::Item(seq, item),
            Err(error) => Next::End(Some(error)),
        },
        #[cfg(feature = "json-transport")]
        StreamMessage::JsonItem { seq, item } => match crate::json_answer::read(item) {
            Ok(item) => Next::Item(seq, item),
            Err(error) => Next::End(Some(error)),
        },
        StreamMessage::Lagged(count) => Next::Lagged(count),
        StreamMessage::End(error) => Next::End(error),
    }
}
