//! The items of a stream that a server sends over a blocking connection.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use miko_rpc::{Error, ErrorId, ItemSource, Result, StreamMessage};

use super::connection::Connection;
use super::object::session_gone;
use crate::wire::extension::{self, FromServer};
use crate::wire::frame::HEADER_SIZE;

/// How many bytes of items may be on their way, or wait here to be read. One item may exceed it.
pub(super) const WINDOW: u64 = 256 << 10;

/// Receives the items of one stream. Dropping it releases the stream.
pub(super) struct SocketItems {
    connection: Arc<Connection>,
    handle: u64,
    frames: ItemFrames,
}

/// The frames of a stream that were received, and the credit that their reader gives.
#[derive(Default)]
pub(super) struct ItemFrames {
    /// Frames with their headers.
    received: Vec<u8>,
    /// The start of the first unread frame.
    start: usize,
    is_open: bool,
    has_ended: bool,
    /// The bytes of items that were read since the last credit.
    read: u64,
}

impl SocketItems {
    pub(super) fn new(connection: Arc<Connection>, handle: u64) -> Self {
        Self { connection, handle, frames: ItemFrames::default() }
    }

    /// The place of the next frame, once it has arrived.
    fn next_frame(&mut self, until: Option<Instant>) -> Result<Option<Range<usize>>> {
        if let Some(credit) = self.frames.credit() {
            self.connection.control(|out| extension::put_credit(self.handle, credit, out));
        }
        if self.frames.is_empty() {
            self.frames.clear();
            if !self.connection.wait_for_items(self.handle, until, &mut self.frames.received)? {
                return Ok(None);
            }
        }
        Ok(Some(self.frames.next()))
    }
}

impl ItemSource for SocketItems {
    fn wait(&mut self, until: Option<Instant>) -> Poll<StreamMessage<'_>> {
        if self.frames.has_ended {
            return Poll::Ready(StreamMessage::End(None));
        }
        match self.next_frame(until) {
            Ok(Some(frame)) => Poll::Ready(self.frames.message(frame)),
            Ok(None) => Poll::Pending,
            // A call may be refused here without a loss of the connection.
            Err(error) if error.is(ErrorId::INSIDE_RUNTIME) || error.is(ErrorId::SELF_CALL) => {
                Poll::Ready(StreamMessage::End(Some(error)))
            }
            Err(error) => {
                self.frames.has_ended = true;
                Poll::Ready(StreamMessage::End(Some(session_gone(error))))
            }
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<StreamMessage<'_>> {
        let message = "a stream of a blocking proxy was awaited: read it with `recv`, or call the method of \
                       the async client";
        Poll::Ready(StreamMessage::End(Some(Error::new(ErrorId::INSIDE_RUNTIME, message))))
    }
}

impl Drop for SocketItems {
    fn drop(&mut self) {
        self.connection.close_stream(self.handle);
    }
}

impl ItemFrames {
    /// The credit that is to be given before the next frame is waited for: the window at first, then what was
    /// read of it, once that is half of it.
    pub(super) fn credit(&mut self) -> Option<u64> {
        if !self.is_open {
            self.is_open = true;
            return Some(WINDOW);
        }
        (self.read >= WINDOW / 2).then(|| std::mem::take(&mut self.read))
    }

    fn is_empty(&self) -> bool {
        self.start == self.received.len()
    }

    fn clear(&mut self) {
        self.received.clear();
        self.start = 0;
    }

    /// Consumes the next frame, which is there; returns its place.
    fn next(&mut self) -> Range<usize> {
        let header = self.received[self.start..].first_chunk::<HEADER_SIZE>().copied().unwrap_or_default();
        let begin = self.start + HEADER_SIZE;
        let end = begin + u32::from_be_bytes(header) as usize;
        self.start = end;
        begin..end
    }

    /// The message in a frame.
    fn message(&mut self, frame: Range<usize>) -> StreamMessage<'_> {
        match FromServer::read(&self.received[frame.clone()]) {
            Ok(FromServer::Item { seq, item, .. }) => {
                self.read += frame.len() as u64;
                StreamMessage::Item { seq, item }
            }
            Ok(FromServer::Lag { count, .. }) => StreamMessage::Lagged(count),
            Ok(FromServer::End { error, .. }) => {
                self.has_ended = true;
                StreamMessage::End(error)
            }
            Err(error) => {
                self.has_ended = true;
                StreamMessage::End(Some(error))
            }
        }
    }
}
