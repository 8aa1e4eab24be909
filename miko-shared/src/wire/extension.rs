//! Frames in addition to tarpc's messages: calls on objects, the frames of streams (items, end, lag), and
//! control frames, by which a client gives credit for a stream, releases an object or a stream, or cancels a
//! call.
//!
//! Each frame of this module is a MessagePack array whose first element is a tag. The messages of tarpc are
//! maps. So the first byte of a frame tells whether it is a frame of this module or a message of tarpc.
//!
//! | from the client | array |
//! | --- | --- |
//! | call on an object | `[0, id, object, deadline in nanoseconds, {method: arguments}]` |
//! | credit | `[1, stream, bytes]` |
//! | release | `[2, handle]` |
//! | cancel | `[3, id]` |
//!
//! | from the server | array |
//! | --- | --- |
//! | item | `[0, stream, sequence number, item]` |
//! | end | `[1, stream, error or nil]` |
//! | lag | `[2, stream, number of items left out]` |

use std::time::Duration;

use miko_rpc::codec::{self, Message, SerdeMessage};
use miko_rpc::{Error, ErrorId, Result};
use rmp::decode::read_int;
use rmp::encode::{write_array_len, write_uint};

use super::frame;

// The tags of frames from a client.
const CALL: u64 = 0;
const CREDIT: u64 = 1;
const RELEASE: u64 = 2;
const CANCEL: u64 = 3;

// The tags of frames from a server.
const ITEM: u64 = 0;
const END: u64 = 1;
const LAG: u64 = 2;

/// The bit that is set in a number which names an object by the id of the call that opened it. The other bits
/// are the id. A handle does not have this bit, since handles are counted up from 1. The ids that clients of
/// this package give to calls are also counted up from 1, and do not have it either.
const OPENED_BY: u64 = 1 << 63;

/// Names the object that the answer to the call `id` carries. A client does not know the handle of the object
/// before the answer has arrived, and uses this name in its place.
pub const fn opened_by(id: u64) -> u64 {
    id | OPENED_BY
}

/// The id of the call whose answer carries `object`, if `object` was made by [`opened_by`]; `None` if it is a
/// handle.
pub const fn opening_of(object: u64) -> Option<u64> {
    if object & OPENED_BY == 0 { None } else { Some(object & !OPENED_BY) }
}

/// Whether a frame is one of this module, rather than a message of tarpc.
#[inline]
pub fn is_extension(frame: &[u8]) -> bool {
    // The first byte of an array of at most 15 elements.
    matches!(frame.first(), Some(0x90..=0x9f))
}

/// Whether a frame of a client is a control frame: credit, release or cancellation. A control frame has no
/// answer of its own: what the server may send after a cancellation is the answer to the cancelled call.
/// `false` for a cancellation in the form of tarpc.
pub fn is_control(frame: &[u8]) -> bool {
    matches!(FromClient::decode(frame), Some(decoded) if !matches!(decoded, FromClient::Call { .. }))
}

/// A frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub enum FromClient<'f> {
    /// A call on an object of the connection. The server answers it like any other call.
    Call {
        /// The id that the answer must carry.
        id: u64,
        /// The handle of the object, or the result of [`opened_by`].
        object: u64,
        /// How long the client waits, from the time it sent the call.
        deadline: Duration,
        /// The message: a map of one entry, from the name of the method to its arguments. It is not checked,
        /// and it is cut off if the frame is.
        call: &'f [u8],
    },
    /// The client has room for more items of a stream.
    Credit {
        /// The handle of the stream.
        stream: u64,
        /// How many more bytes of items the server may send. The bytes of an item are its frame without the
        /// header.
        bytes: u64,
    },
    /// The client no longer uses an object or a stream.
    Release {
        /// The handle of the object or the stream.
        handle: u64,
    },
    /// The client no longer waits for an answer.
    Cancel {
        /// The id of the call.
        id: u64,
    },
}

/// A frame from a server.
#[derive(Debug)]
pub enum FromServer<'f> {
    /// An item of a stream, as MessagePack.
    Item {
        /// The handle of the stream.
        stream: u64,
        /// The number that the sender of the stream gave to the item.
        /// [`Stream::last_seq`](miko_rpc::Stream::last_seq) returns it.
        seq: u64,
        /// The item.
        item: &'f [u8],
    },
    /// The end of a stream.
    End {
        /// The handle of the stream.
        stream: u64,
        /// The error with which the stream ends; `None` after its last item.
        error: Option<Error>,
    },
    /// Items of a stream were left out, because the client did not read them in time.
    Lag {
        /// The handle of the stream.
        stream: u64,
        /// How many items were left out.
        count: u64,
    },
}

impl<'f> FromClient<'f> {
    /// Decodes a frame. The frame of a call may have arrived only in part, if the numbers before `call` are
    /// there: the server needs the id to refuse a call that it does not receive.
    ///
    /// # Errors
    /// `invalid_request` if the frame is not one that a client may send.
    pub fn read(frame: &'f [u8]) -> Result<Self> {
        Self::decode(frame)
            .ok_or_else(|| Error::new(ErrorId::INVALID_REQUEST, "the frame is not one that a client sends"))
    }

    fn decode(frame: &'f [u8]) -> Option<Self> {
        let (len, tag, mut rest) = split_tag(frame)?;
        let decoded = match (tag, len) {
            (CALL, 5) => {
                let (id, object) = (take_number(&mut rest)?, take_number(&mut rest)?);
                let deadline = Duration::from_nanos(take_number(&mut rest)?);
                // The message is not read: a frame that has arrived in part may end inside of it.
                return Some(Self::Call { id, object, deadline, call: rest });
            }
            (CREDIT, 3) => Self::Credit { stream: take_number(&mut rest)?, bytes: take_number(&mut rest)? },
            (RELEASE, 2) => Self::Release { handle: take_number(&mut rest)? },
            (CANCEL, 2) => Self::Cancel { id: take_number(&mut rest)? },
            _ => return None,
        };
        rest.is_empty().then_some(decoded)
    }
}

impl<'f> FromServer<'f> {
    /// Decodes a frame.
    ///
    /// # Errors
    /// `internal`, if the tag is unknown, or if the frame ends early or cannot be decoded. The number of
    /// elements is not checked, and neither is what follows them.
    pub fn read(frame: &'f [u8]) -> Result<Self> {
        let unknown = || Error::new(ErrorId::INTERNAL, "the frame is not one that a server sends");
        let (tag, stream, mut rest) = Self::split_stream(frame).ok_or_else(unknown)?;
        match tag {
            ITEM => {
                let seq = take_number(&mut rest).ok_or_else(unknown)?;
                Ok(Self::Item { stream, seq, item: rest })
            }
            END => Ok(Self::End { stream, error: codec::decode(rest)? }),
            LAG => Ok(Self::Lag { stream, count: take_number(&mut rest).ok_or_else(unknown)? }),
            _ => Err(unknown()),
        }
    }

    /// The handle of the stream that a frame belongs to. `None` if the frame does not begin with a tag and a
    /// handle.
    #[inline]
    pub fn stream_of(frame: &[u8]) -> Option<u64> {
        Self::split_stream(frame).map(|(_, stream, _)| stream)
    }

    /// Splits a frame into its tag, the handle of its stream, and the rest. `None` if the frame does not
    /// begin with a tag and a handle.
    fn split_stream(frame: &[u8]) -> Option<(u64, u64, &[u8])> {
        let (_, tag, mut rest) = split_tag(frame)?;
        Some((tag, take_number(&mut rest)?, rest))
    }
}

/// Appends a call on `object` to `out`, as one frame of at most `limit` bytes. `object` is a handle, or the
/// result of [`opened_by`].
///
/// # Errors
/// As [`frame::encode`].
pub fn put_call(
    object: u64,
    id: u64,
    deadline: Duration,
    call: &dyn Message,
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    let deadline = u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX);
    frame::encode_after(|out| put_array_start(out, 5, &[CALL, id, object, deadline]), call, limit, out)
}

/// Appends a credit of `bytes` for `stream`.
pub fn put_credit(stream: u64, bytes: u64, out: &mut Vec<u8>) {
    put_numbers(&[CREDIT, stream, bytes], out);
}

/// Appends the release of an object or a stream.
pub fn put_release(handle: u64, out: &mut Vec<u8>) {
    put_numbers(&[RELEASE, handle], out);
}

/// Appends the cancellation of a call.
pub fn put_cancel(id: u64, out: &mut Vec<u8>) {
    put_numbers(&[CANCEL, id], out);
}

/// Appends an item, which is already encoded as MessagePack, to `out`, as one frame.
///
/// # Errors
/// `request-too-large` if the frame exceeds `limit` bytes. After an error `out` is unchanged.
pub fn put_item(stream: u64, seq: u64, item: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<()> {
    frame::append(limit, out, |out, end| {
        put_array_start(out, 4, &[ITEM, stream, seq]);
        if item.len() > end.saturating_sub(out.len()) {
            return Err(frame::too_large(limit));
        }
        out.extend_from_slice(item);
        Ok(())
    })
}

/// Appends the end of a stream.
pub fn put_end(stream: u64, error: Option<&Error>, out: &mut Vec<u8>) {
    let before = |out: &mut Vec<u8>| put_array_start(out, 3, &[END, stream]);
    // Cannot fail: an error consists of texts and JSON, and there is no limit.
    let _ = frame::encode_after(before, &SerdeMessage(&error), usize::MAX, out);
}

/// Appends the notice that `count` items were left out.
pub fn put_lag(stream: u64, count: u64, out: &mut Vec<u8>) {
    put_numbers(&[LAG, stream, count], out);
}

/// Appends a frame that consists of numbers.
fn put_numbers(numbers: &[u64], out: &mut Vec<u8>) {
    // Cannot fail: the frame has a few dozen bytes, and there is no limit.
    let _ = frame::append(usize::MAX, out, |out, _| {
        put_array_start(out, numbers.len(), numbers);
        Ok(())
    });
}

/// Appends the header of an array of `len` elements, and `numbers` as its first elements.
fn put_array_start(out: &mut Vec<u8>, len: usize, numbers: &[u64]) {
    // Writing to a vector cannot fail, and no array here has more than five elements.
    let _ = write_array_len(out, u32::try_from(len).unwrap_or(u32::MAX));
    for number in numbers {
        let _ = write_uint(out, *number);
    }
}

/// Splits a frame into the number of elements of its array, its tag, and the bytes after the tag. `None` if
/// the frame is no array with a tag.
fn split_tag(frame: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (first, mut rest) = frame.split_first()?;
    let len = first.checked_sub(0x90).filter(|len| *len < 16)?;
    Some((len, take_number(&mut rest)?, rest))
}

/// Removes a number from the front of `rest`, and returns the number; `None` if `rest` begins with none.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    read_int(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::HEADER_SIZE;

    /// A number of each encoding of MessagePack.
    const NUMBERS: [u64; 6] = [0, 127, 255, 65_535, 1 << 31, u64::MAX];

    fn encoded(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out);
        out.split_off(HEADER_SIZE)
    }

    #[test]
    fn frames_from_a_client_survive_encoding_and_decoding() {
        for (one, other) in NUMBERS.into_iter().zip(NUMBERS.into_iter().rev()) {
            let cases = [
                (
                    encoded(|out| put_credit(one, other, out)),
                    FromClient::Credit { stream: one, bytes: other },
                ),
                (encoded(|out| put_release(one, out)), FromClient::Release { handle: one }),
                (encoded(|out| put_cancel(one, out)), FromClient::Cancel { id: one }),
            ];
            for (frame, expected) in cases {
                assert!(is_extension(&frame));
                assert_eq!(FromClient::read(&frame).unwrap(), expected);
            }
            let deadline = Duration::from_nanos(5);
            let call = SerdeMessage(&"call");
            let frame = encoded(|out| put_call(one, other, deadline, &call, 1 << 10, out).unwrap());
            let expected = FromClient::Call { id: other, object: one, deadline, call: b"\xa4call" };
            assert_eq!(FromClient::read(&frame).unwrap(), expected);
        }
    }

    #[test]
    fn frames_from_a_server_survive_encoding_and_decoding() {
        for number in NUMBERS {
            let frame = encoded(|out| put_item(number, number, b"\x07", 1 << 10, out).unwrap());
            assert_eq!(FromServer::stream_of(&frame), Some(number));
            assert!(matches!(FromServer::read(&frame), Ok(FromServer::Item { stream, seq, item: [7] })
                if stream == number && seq == number));
            let frame = encoded(|out| put_lag(number, number, out));
            assert!(matches!(FromServer::read(&frame), Ok(FromServer::Lag { stream, count })
                if stream == number && count == number));
            for error in [None, Some(Error::new(ErrorId::INTERNAL, "no"))] {
                let frame = encoded(|out| put_end(number, error.as_ref(), out));
                let Ok(FromServer::End { stream, error: read }) = FromServer::read(&frame) else { panic!() };
                assert_eq!((stream, read.map(|error| error.to_json())), (number, error.map(|e| e.to_json())));
            }
        }
    }

    #[test]
    fn every_other_frame_is_refused() {
        let frames: [&[u8]; 9] = [
            // An empty frame, two arrays without a tag, and one with an unknown tag.
            b"",
            b"\x90",
            b"\x91",
            b"\x91\x09",
            // A cancellation without an id, and one with a further element.
            b"\x92\x03",
            b"\x93\x03\x01\x02",
            // A credit of two elements.
            b"\x92\x01\x01",
            // A map, and an array whose tag is a string.
            b"\x81",
            b"\x92\xa0\x01",
        ];
        for frame in frames {
            assert!(FromClient::read(frame).is_err(), "{frame:?}");
        }
        // An empty frame, one with an unknown tag, and ones that end early.
        for frame in [&b""[..], b"\x93\x09\x01\x02", b"\x93\x00", b"\x93\x02\x01", b"\x93\x01\x01"] {
            assert!(FromServer::read(frame).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn an_item_beyond_the_limit_leaves_the_output_unchanged() {
        let mut out = b"before".to_vec();
        assert!(put_item(1, 1, &[0; 100], 50, &mut out).unwrap_err().is(ErrorId::REQUEST_TOO_LARGE));
        assert_eq!(out, b"before");
    }
}
