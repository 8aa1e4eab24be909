//! Receives the items of a stream. [`SocketItems`] receives them on a blocking connection. [`ItemFrames`]
//! keeps the frames that have arrived and counts the credit, for blocking and async connections.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use miko_rpc::{Error, ErrorId, ItemSource, Result, StreamMessage};

use super::connection::Connection;
use super::fault::session_gone;
use crate::wire::extension::{self, FromServer};
use crate::wire::frame::HEADER_SIZE;

/// The flow-control window of a stream: the first credit, and so the most bytes of items that are in transit
/// or received but unread. An item that begins within the window may exceed it.
pub(super) const WINDOW: u64 = 256 << 10;

/// Receives the items of one stream. Dropping it releases the stream.
pub(super) struct SocketItems {
    connection: Arc<Connection>,
    handle: u64,
    frames: ItemFrames,
}

/// The frames of a stream that were received, and the credit for more: the number of bytes of items that the
/// server may send.
#[derive(Default)]
pub(super) struct ItemFrames {
    /// Frames with their headers, also those that were read.
    received: Vec<u8>,
    /// The start of the first unread frame in `received`.
    start: usize,
    /// Whether the server was given the first credit.
    has_given_credit: bool,
    /// Whether the end of the stream was returned. The stream then has no further messages.
    has_ended: bool,
    /// The bytes of items that were read since the last credit, counted as the server counts them: the frame
    /// of an item without its header.
    read_since_credit: u64,
}

impl SocketItems {
    pub(super) fn new(connection: Arc<Connection>, handle: u64) -> Self {
        Self { connection, handle, frames: ItemFrames::default() }
    }

    /// Gives the server the credit that is due. Waits until there is an unread frame; returns `false` if none
    /// has arrived at `until`.
    fn wait_for_frames(&mut self, until: Option<Instant>) -> Result<bool> {
        if let Some(credit) = self.frames.take_credit() {
            // In a forked process this sends nothing.
            self.connection.send_control(|out| extension::put_credit(self.handle, credit, out));
        }
        if !self.frames.is_empty() {
            // A forked process inherits the frames that were received and not read: they are the parent's.
            // Where there are none, `wait_for_items` checks the process.
            self.connection.check_process()?;
            return Ok(true);
        }
        self.frames.clear();
        self.connection.wait_for_items(self.handle, until, &mut self.frames.received)
    }
}

impl ItemSource for SocketItems {
    fn wait(&mut self, until: Option<Instant>) -> Poll<StreamMessage<'_>> {
        if self.frames.has_ended {
            return Poll::Ready(StreamMessage::End(None));
        }
        match self.wait_for_frames(until) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(self.frames.next_message(Ok(()))),
            Err(error) => Poll::Ready(self.frames.next_message(Err(error))),
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
    /// Returns the credit to give before waiting for the next frame, and records that it was given. The first
    /// credit is the whole window. Later ones are the bytes that were read since the last credit, once they
    /// are half a window.
    pub(super) fn take_credit(&mut self) -> Option<u64> {
        if !self.has_given_credit {
            self.has_given_credit = true;
            return Some(WINDOW);
        }
        (self.read_since_credit >= WINDOW / 2).then(|| std::mem::take(&mut self.read_since_credit))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Stores frames that have arrived. All earlier frames must have been read.
    pub(super) fn replace(&mut self, frames: Vec<u8>) {
        self.received = frames;
        self.start = 0;
    }

    /// Returns the message of the next frame, after a wait with the result `waited`. After a success the
    /// frame must have arrived, unless the stream has ended: then returns the end. After an error, ends the
    /// stream, since a stream reports an error only by its end: with the error itself if the calling thread
    /// or process was refused, and with `session-gone`, caused by the error, if the connection was lost.
    pub(super) fn next_message(&mut self, waited: Result<()>) -> StreamMessage<'_> {
        match waited {
            Ok(()) if self.has_ended => StreamMessage::End(None),
            Ok(()) => {
                let frame = self.next_frame();
                self.read_message(frame)
            }
            Err(error) => {
                self.has_ended = true;
                // `inside-runtime` and `self-call` refuse the calling thread, and `session-gone` refuses a
                // forked process. All other errors mean that the connection was lost.
                let refusals = [ErrorId::INSIDE_RUNTIME, ErrorId::SELF_CALL, ErrorId::SESSION_GONE];
                let was_lost = !refusals.into_iter().any(|id| error.is(id));
                StreamMessage::End(Some(if was_lost { session_gone(error) } else { error }))
            }
        }
    }

    /// Whether all frames that have arrived were read.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.received.len()
    }

    /// Drops the frames, all of which were read, and the memory of an item beyond the window.
    pub(super) fn clear(&mut self) {
        self.received.clear();
        self.received.shrink_to(WINDOW as usize);
        self.start = 0;
    }

    /// Consumes the next frame, which must have arrived. Returns the range of its bytes in `received`.
    fn next_frame(&mut self) -> Range<usize> {
        let header = self.received[self.start..].first_chunk::<HEADER_SIZE>().copied().unwrap_or_default();
        let begin = self.start + HEADER_SIZE;
        let end = begin + u32::from_be_bytes(header) as usize;
        self.start = end;
        begin..end
    }

    /// Decodes the frame at this range of `received`. Counts the bytes of an item, and records the end of the
    /// stream.
    fn read_message(&mut self, frame: Range<usize>) -> StreamMessage<'_> {
        match FromServer::read(&self.received[frame.clone()]) {
            Ok(FromServer::Item { seq, item, .. }) => {
                self.read_since_credit += frame.len() as u64;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_large_item_is_freed_when_it_was_read() {
        const LARGE: u32 = 4 << 20;
        let mut frames = ItemFrames::default();
        let mut frame = LARGE.to_be_bytes().to_vec();
        frame.resize(HEADER_SIZE + LARGE as usize, 0);
        frames.replace(frame);
        frames.next_frame();
        assert!(frames.is_empty());
        frames.clear();
        assert!(frames.received.capacity() <= WINDOW as usize, "{} bytes", frames.received.capacity());
    }
}
