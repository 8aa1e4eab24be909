//! The bytes that a connection has yet to send: a queue, which is sent as soon as the socket has room, and
//! deferred frames, which may wait for the next frame. A state machine without I/O.

use miko_rpc::Result;

use crate::wire::frame::KEPT_BUFFER;

/// Once the deferred frames have more than this many bytes, they no longer wait for the next frame.
const MAX_DEFERRED: usize = 1 << 10;

/// Bytes that are still to be sent.
#[derive(Default)]
pub(super) struct Unsent {
    /// Whole frames that are sent together with the next frame.
    deferred: Vec<u8>,
    /// Bytes that are sent before all others, as soon as there is room.
    queue: Vec<u8>,
    /// The index in `queue` of the first byte that was not sent.
    start: usize,
    /// The position of the first byte of `queue`. Positions count all bytes that were ever queued.
    base: u64,
}

/// How much was sent of a frame, or of two frames that are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendProgress {
    /// Nothing of the frame was sent or queued.
    NotBegun,
    /// A part was sent. The rest is queued, and ends at the position `end`.
    Partial { end: u64 },
    /// The whole frame was sent.
    Done,
}

/// Sends as many bytes as the socket has room for, and returns their number.
type SendBytes<'s> = &'s mut dyn FnMut(&[u8]) -> Result<usize>;

impl Unsent {
    /// Queues the deferred frames, and then the frames that `put` appends: all are sent as soon as there is
    /// room.
    pub(super) fn enqueue(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.queue.append(&mut self.deferred);
        put(&mut self.queue);
    }

    /// Defers the frames that `put` appends: they are sent together with the next frame. If there are many
    /// deferred frames, queues them.
    pub(super) fn defer(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.deferred);
        if self.deferred.len() > MAX_DEFERRED {
            self.queue.append(&mut self.deferred);
        }
    }

    /// Sends the queue, the deferred frames and then `frame`, as far as there is room. `frame` may be two
    /// frames: an opening call and the first call on its object, which are treated as one frame. If only a
    /// part of `frame` was sent, queues the rest, because no other frame may come in between. If nothing of
    /// `frame` was sent, keeps nothing of it: the caller has to send it again.
    ///
    /// # Errors
    /// The errors of `send`.
    pub(super) fn send(&mut self, frame: &[u8], send: SendBytes<'_>) -> Result<SendProgress> {
        if frame.len() > KEPT_BUFFER {
            // The deferred frames are sent by a separate call of `send`. To send them and `frame` by one
            // call, the large frame would have to be copied into their buffer, which is kept afterwards.
            self.queue.append(&mut self.deferred);
        }
        if !self.flush(send)? {
            return Ok(SendProgress::NotBegun);
        }
        if self.deferred.is_empty() {
            let sent = send(frame)?;
            return Ok(self.queue_rest(frame, sent));
        }
        let mut frames = std::mem::take(&mut self.deferred);
        let deferred_length = frames.len();
        frames.extend_from_slice(frame);
        let sent =
            send(&frames).inspect_err(|_| self.deferred.extend_from_slice(&frames[..deferred_length]))?;
        Ok(if sent == 0 {
            frames.truncate(deferred_length);
            self.deferred = frames;
            SendProgress::NotBegun
        } else if sent <= deferred_length {
            // Nothing of `frame` was sent. The rest of the deferred frames is sent before all other frames,
            // because one of the deferred frames may have been sent in part.
            self.queue.extend_from_slice(&frames[sent..deferred_length]);
            SendProgress::NotBegun
        } else {
            let progress = self.queue_rest(frame, sent - deferred_length);
            // The buffer is kept for the next deferred frames.
            frames.clear();
            self.deferred = frames;
            progress
        })
    }

    /// Queues the rest of a frame of which the first `sent` bytes were sent. Queues nothing if `sent` is
    /// zero. The queue must be empty.
    fn queue_rest(&mut self, frame: &[u8], sent: usize) -> SendProgress {
        if sent == frame.len() {
            return SendProgress::Done;
        }
        if sent == 0 {
            return SendProgress::NotBegun;
        }
        self.queue.extend_from_slice(&frame[sent..]);
        SendProgress::Partial { end: self.base + self.queue.len() as u64 }
    }

    /// Sends the queue, as far as there is room. Returns whether all of it was sent.
    ///
    /// # Errors
    /// The errors of `send`.
    pub(super) fn flush(&mut self, send: SendBytes<'_>) -> Result<bool> {
        let flushed = loop {
            if self.is_queue_empty() {
                break Ok(());
            }
            match send(&self.queue[self.start..]) {
                Ok(0) => break Ok(()),
                Ok(count) => self.start += count,
                Err(error) => break Err(error),
            }
        };
        self.remove_sent();
        if self.queue.is_empty() {
            self.queue.shrink_to(KEPT_BUFFER);
        }
        flushed.map(|()| self.is_queue_empty())
    }

    /// Removes the bytes that were sent from the queue, if they are more than half of it. Under steady load
    /// the buffer of the socket may never take all bytes, and the queue would grow. Since fewer bytes are
    /// moved than were sent, the cost per byte is bounded.
    fn remove_sent(&mut self) {
        if self.start > self.queue.len() / 2 {
            self.queue.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
    }

    /// Whether all queued bytes were sent. There may still be deferred frames.
    pub(super) fn is_queue_empty(&self) -> bool {
        self.start == self.queue.len()
    }

    /// Whether all bytes before a position were sent.
    pub(super) fn has_sent(&self, position: u64) -> bool {
        self.base + self.start as u64 >= position
    }
}

#[cfg(test)]
mod tests {
    use miko_rpc::{Error, ErrorId};
    use proptest::prelude::*;

    use super::*;

    /// A frame: its length in one byte, then as many bytes of one number.
    fn frame(number: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![length];
        frame.resize(1 + usize::from(length), number);
        frame
    }

    #[derive(Debug, Clone)]
    enum Step {
        Enqueue(u8),
        Defer(u8),
        Send(u8),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_u8).prop_map(Step::Enqueue),
            (0..40_u8).prop_map(Step::Defer),
            (0..200_u8).prop_map(Step::Send),
            Just(Step::Flush),
        ]
    }

    proptest! {
        /// Each frame that was enqueued, deferred or begun arrives whole, once and in its order.
        #[test]
        fn frames_arrive_whole_however_much_room_there_is(
            steps in prop::collection::vec((step(), 0..120_usize), 1..200),
        ) {
            let (mut unsent, mut wire, mut expected) = (Unsent::default(), Vec::new(), Vec::new());
            // The positions at which frames end that were sent in part, and where they end on the wire.
            let mut ends = Vec::new();
            for (number, (step, mut room)) in (0..=u8::MAX).cycle().zip(steps) {
                let mut send = |bytes: &[u8]| {
                    let count = bytes.len().min(room);
                    room -= count;
                    wire.extend_from_slice(&bytes[..count]);
                    Ok(count)
                };
                match step {
                    Step::Enqueue(length) => {
                        unsent.enqueue(|out| out.extend(frame(number, length)));
                        expected.push(frame(number, length));
                    }
                    Step::Defer(length) => {
                        unsent.defer(|out| out.extend(frame(number, length)));
                        expected.push(frame(number, length));
                    }
                    Step::Send(length) => {
                        let progress = unsent.send(&frame(number, length), &mut send).unwrap();
                        if progress != SendProgress::NotBegun {
                            expected.push(frame(number, length));
                        }
                        if let SendProgress::Partial { end } = progress {
                            prop_assert!(!unsent.is_queue_empty() && !unsent.has_sent(end));
                            ends.push((end, wire.len() + unsent.queue.len() - unsent.start));
                        }
                    }
                    Step::Flush => drop(unsent.flush(&mut send).unwrap()),
                }
                for (end, length) in &ends {
                    prop_assert_eq!(unsent.has_sent(*end), wire.len() >= *length);
                }
                // The sent front of the queue never takes more room than its rest.
                prop_assert!(unsent.start <= unsent.queue.len() - unsent.start);
            }
            // With unlimited room, the next frame is sent after all others.
            let progress = unsent.send(&frame(0, 0), &mut |bytes| {
                wire.extend_from_slice(bytes);
                Ok(bytes.len())
            });
            prop_assert_eq!(progress.unwrap(), SendProgress::Done);
            expected.push(frame(0, 0));
            let mut rest = &wire[..];
            for frame in &expected {
                prop_assert!(rest.starts_with(frame), "{:?} instead of {:?}", rest, frame);
                rest = &rest[frame.len()..];
            }
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn deferred_frames_are_kept_when_sending_fails() {
        let mut unsent = Unsent::default();
        unsent.defer(|out| out.push(1));
        let lost = unsent.send(&[2], &mut |_| Err(Error::new(ErrorId::SERVER_GONE, "lost")));
        assert!(lost.is_err() && unsent.is_queue_empty());
        let mut wire = Vec::new();
        let progress = unsent.send(&[3], &mut |bytes| {
            wire.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!((progress.unwrap(), wire), (SendProgress::Done, vec![1, 3]));
    }

    #[test]
    fn many_deferred_frames_do_not_wait() {
        let mut unsent = Unsent::default();
        (0..MAX_DEFERRED).for_each(|_| unsent.defer(|out| out.push(1)));
        assert!(unsent.is_queue_empty());
        unsent.defer(|out| out.push(1));
        assert!(!unsent.is_queue_empty());
    }
}
