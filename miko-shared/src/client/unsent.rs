//! The bytes that a connection is still to send: frames that there was no room for, and frames that may wait
//! for the next one. A state machine without I/O.

use miko_rpc::Result;

use crate::wire::frame::KEPT_BUFFER;

/// Frames that may wait are sent without another one when they are more than this many bytes.
const MAX_DEFERRED: usize = 1 << 10;

/// Bytes that are still to be sent.
#[derive(Default)]
pub(super) struct Unsent {
    /// Whole frames that are sent with the next one.
    deferred: Vec<u8>,
    /// Bytes that there was no room for. They are sent before all others.
    bytes: Vec<u8>,
    /// The index in `bytes` of the first byte that was not sent.
    start: usize,
    /// How many bytes went through `bytes` before its first one. A position is the number of all bytes before
    /// it.
    before: u64,
}

/// How much of a frame was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// Nothing.
    NotBegun,
    /// A part. The rest is in [`Unsent`], before this position.
    Until(u64),
    /// All of it.
    Done,
}

/// Sends as many bytes as there is room for, and returns their number.
type SendBytes<'s> = &'s mut dyn FnMut(&[u8]) -> Result<usize>;

impl Unsent {
    /// Adds frames that are sent as soon as there is room.
    pub(super) fn add(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.append(&mut self.deferred);
        put(&mut self.bytes);
    }

    /// Adds frames that are sent with the next one. If there are many, they are sent as soon as there is
    /// room.
    pub(super) fn defer(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.deferred);
        if self.deferred.len() > MAX_DEFERRED {
            self.bytes.append(&mut self.deferred);
        }
    }

    /// Sends a frame, as far as there is room, after all that is to be sent before it. If a part of it was
    /// sent, keeps the rest: it must follow before any other frame.
    ///
    /// # Errors
    /// The errors of `send`.
    pub(super) fn send(&mut self, frame: &[u8], send: SendBytes<'_>) -> Result<Sending> {
        if frame.len() > KEPT_BUFFER {
            // A large frame is not copied behind them.
            self.bytes.append(&mut self.deferred);
        }
        if !self.flush(send)? {
            return Ok(Sending::NotBegun);
        }
        if self.deferred.is_empty() {
            let sent = send(frame)?;
            return Ok(self.keep_rest(frame, sent));
        }
        let mut frames = std::mem::take(&mut self.deferred);
        let deferred = frames.len();
        frames.extend_from_slice(frame);
        let sent = send(&frames).inspect_err(|_| self.deferred.extend_from_slice(&frames[..deferred]))?;
        Ok(if sent == 0 {
            frames.truncate(deferred);
            self.deferred = frames;
            Sending::NotBegun
        } else if sent <= deferred {
            self.bytes.extend_from_slice(&frames[sent..deferred]);
            Sending::NotBegun
        } else {
            let sending = self.keep_rest(frame, sent - deferred);
            frames.clear();
            self.deferred = frames;
            sending
        })
    }

    /// Keeps what was not sent of a frame, if a part was.
    fn keep_rest(&mut self, frame: &[u8], sent: usize) -> Sending {
        if sent == frame.len() {
            return Sending::Done;
        }
        if sent == 0 {
            return Sending::NotBegun;
        }
        self.bytes.extend_from_slice(&frame[sent..]);
        Sending::Until(self.before + self.bytes.len() as u64)
    }

    /// Sends the bytes that there was no room for. Returns whether all were sent.
    ///
    /// # Errors
    /// The errors of `send`.
    pub(super) fn flush(&mut self, send: SendBytes<'_>) -> Result<bool> {
        let flushed = loop {
            if self.is_empty() {
                break Ok(());
            }
            match send(&self.bytes[self.start..]) {
                Ok(0) => break Ok(()),
                Ok(count) => self.start += count,
                Err(error) => break Err(error),
            }
        };
        if self.is_empty() {
            self.before += self.bytes.len() as u64;
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BUFFER);
            self.start = 0;
        }
        flushed.map(|()| self.is_empty())
    }

    /// Whether there are no bytes that there was no room for.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Whether all bytes before a position were sent.
    pub(super) fn has_sent(&self, position: u64) -> bool {
        self.before + self.start as u64 >= position
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
        Add(u8),
        Defer(u8),
        Send(u8),
        Flush,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_u8).prop_map(Step::Add),
            (0..40_u8).prop_map(Step::Defer),
            (0..200_u8).prop_map(Step::Send),
            Just(Step::Flush),
        ]
    }

    proptest! {
        /// Each frame that is added, deferred or begun arrives whole and once; those of calls in their order.
        #[test]
        fn frames_arrive_whole_however_much_room_there_is(
            steps in prop::collection::vec((step(), 0..120_usize), 1..200),
        ) {
            let (mut unsent, mut wire, mut expected) = (Unsent::default(), Vec::new(), Vec::new());
            for (number, (step, mut room)) in (0..=u8::MAX).cycle().zip(steps) {
                let mut send = |bytes: &[u8]| {
                    let count = bytes.len().min(room);
                    room -= count;
                    wire.extend_from_slice(&bytes[..count]);
                    Ok(count)
                };
                match step {
                    Step::Add(length) => {
                        unsent.add(|out| out.extend(frame(number, length)));
                        expected.push(frame(number, length));
                    }
                    Step::Defer(length) => {
                        unsent.defer(|out| out.extend(frame(number, length)));
                        expected.push(frame(number, length));
                    }
                    Step::Send(length) => {
                        let sending = unsent.send(&frame(number, length), &mut send).unwrap();
                        if sending != Sending::NotBegun {
                            expected.push(frame(number, length));
                        }
                        if let Sending::Until(position) = sending {
                            prop_assert!(!unsent.is_empty() && !unsent.has_sent(position));
                        }
                    }
                    Step::Flush => drop(unsent.flush(&mut send).unwrap()),
                }
            }
            // A next frame takes all others with it.
            let sending = unsent.send(&frame(0, 0), &mut |bytes| {
                wire.extend_from_slice(bytes);
                Ok(bytes.len())
            });
            prop_assert_eq!(sending.unwrap(), Sending::Done);
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
        assert!(lost.is_err() && unsent.is_empty());
        let mut wire = Vec::new();
        let sent = unsent.send(&[3], &mut |bytes| {
            wire.extend_from_slice(bytes);
            Ok(bytes.len())
        });
        assert_eq!((sent.unwrap(), wire), (Sending::Done, vec![1, 3]));
    }

    #[test]
    fn many_deferred_frames_do_not_wait() {
        let mut unsent = Unsent::default();
        (0..MAX_DEFERRED).for_each(|_| unsent.defer(|out| out.push(1)));
        assert!(unsent.is_empty());
        unsent.defer(|out| out.push(1));
        assert!(!unsent.is_empty());
    }
}
