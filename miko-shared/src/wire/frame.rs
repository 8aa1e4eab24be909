//! Frames: a big-endian length of four bytes, followed by that many bytes.

use miko_rpc::codec::{self, EncodeFault, Message, SerdeMessage};
use miko_rpc::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The size of the length field, in bytes.
pub const HEADER_SIZE: usize = 4;

/// The largest frame that the header can express, in bytes, without the header.
pub const MAX_FRAME_SIZE: usize = u32::MAX as usize;

/// When all bytes of a buffer of unsent frames were sent, the buffer keeps at most this capacity, in bytes.
pub(crate) const KEPT_BUFFER: usize = 1 << 20;

/// The size of a [`FrameBuffer`] from its first use on, in bytes. The buffer grows beyond it only as bytes
/// arrive, regardless of the length in a header.
const MIN_BUFFER_SIZE: usize = 16 << 10;

/// [`FrameBuffer::shrink`] frees an empty buffer of more than this many bytes.
const MAX_IDLE_SIZE: usize = 16 * MIN_BUFFER_SIZE;

/// Appends `value` to `out` as one frame of MessagePack with field names.
///
/// # Errors
/// `request-too-large` beyond `limit` bytes, `internal` if the value cannot be serialized. After an error
/// `out` is unchanged.
pub fn encode(value: &impl Serialize, limit: usize, out: &mut Vec<u8>) -> Result<()> {
    encode_after(|_| {}, &SerdeMessage(value), limit, out)
}

/// As [`encode`], for a frame with further bytes before the message. `write_before` appends these bytes. They
/// count towards `limit`.
pub(super) fn encode_after(
    write_before: impl FnOnce(&mut Vec<u8>),
    message: &(impl Message + ?Sized),
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    append(limit, out, |out, end| {
        write_before(out);
        codec::encode(out, end, |encoder| message.write(encoder)).map_err(|fault| fault.into_error(limit))
    })
}

/// Appends one frame with the content that `write` appends. The second argument of `write` is the length up
/// to which `out` may grow. If `write` needs more, it must fail: this function does not check `limit`.
///
/// # Errors
/// The errors of `write`; `request-too-large` if the header cannot express the length. After an error `out`
/// is unchanged.
pub(super) fn append(
    limit: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>, usize) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_SIZE]);
    let end = start + HEADER_SIZE + limit.min(MAX_FRAME_SIZE);
    let written = write(out, end).and_then(|()| {
        u32::try_from(out.len() - start - HEADER_SIZE).map(u32::to_be_bytes).map_err(|_| too_large(limit))
    });
    match written {
        Ok(header) => out[start..start + HEADER_SIZE].copy_from_slice(&header),
        Err(_) => out.truncate(start),
    }
    written.map(|_| ())
}

/// Decodes the content of a frame that [`encode`] wrote.
///
/// # Errors
/// `internal` if the content is not a valid `T`: the peer does not use this protocol, or is faulty. The text
/// of the error calls the content an answer of the server.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T> {
    codec::decode(frame)
}

/// The length in the header of the frame that begins with `bytes`; `None` if `bytes` are fewer than the
/// header has.
fn announced_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER_SIZE>()?;
    Some(u32::from_be_bytes(*header) as usize)
}

/// The number of bytes of the first frame in `frames`, including its header; 0 if its header is not complete.
pub(crate) fn size_of_first(frames: &[u8]) -> usize {
    announced_length(frames).map_or(0, |length| HEADER_SIZE + length)
}

/// The error of a frame of more than `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Error {
    EncodeFault::TooLong.into_error(limit)
}

/// Buffers received bytes and splits them into frames.
#[derive(Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// The start of the unconsumed bytes.
    start: usize,
    /// The end of the received bytes. The part of `bytes` after it is free space.
    end: usize,
    /// The number of bytes to discard as they arrive: the rest of a skipped frame. 0 if no frame is skipped.
    bytes_to_skip: usize,
}

impl FrameBuffer {
    /// Free space to read into, never empty. The caller reports the number of bytes read to
    /// [`filled`](Self::filled).
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < MIN_BUFFER_SIZE / 4 {
            // With little room, many small reads would be needed. So the unconsumed bytes are moved to the
            // front, and the buffer is made large enough that at least half of it is free.
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let wanted = (self.end * 2).max(MIN_BUFFER_SIZE);
            if self.bytes.len() < wanted {
                self.bytes.resize(wanted, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Records that `count` bytes were read into the [`room`](Self::room).
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
        if self.bytes_to_skip > 0 {
            let skipped = self.bytes_to_skip.min(self.len());
            self.start += skipped;
            self.bytes_to_skip -= skipped;
        }
    }

    /// The received part of the next frame, without the header. The frame must be incomplete.
    pub fn partial_frame(&self) -> &[u8] {
        self.bytes[self.start..self.end].get(HEADER_SIZE..).unwrap_or_default()
    }

    /// Discards the next frame, which must be incomplete: the received bytes now, and the rest as they
    /// arrive. Does nothing if the header has not arrived.
    pub fn skip_frame(&mut self) {
        let Some(length) = self.announced_length() else { return };
        *self = Self { bytes_to_skip: (HEADER_SIZE + length).saturating_sub(self.len()), ..Self::default() };
    }

    /// Consumes the next frame and returns it without its header; `None` until it has arrived completely.
    ///
    /// # Errors
    /// `request-too-large` as soon as a header announces more than `limit`.
    pub fn next_frame(&mut self, limit: usize) -> Result<Option<&[u8]>> {
        let Some(length) = self.announced_length() else { return Ok(None) };
        if length > limit {
            return Err(too_large(limit).with("found", length));
        }
        if self.len() - HEADER_SIZE < length {
            return Ok(None);
        }
        let from = self.start + HEADER_SIZE;
        self.start = from + length;
        Ok(Some(&self.bytes[from..from + length]))
    }

    /// As [`next_frame`](Self::next_frame), without consuming the frame and without a limit.
    pub fn peek_frame(&self) -> Option<&[u8]> {
        let length = self.announced_length()?;
        self.bytes[self.start..self.end].get(HEADER_SIZE..HEADER_SIZE.checked_add(length)?)
    }

    /// The length in the header of the next frame, once the header has arrived.
    fn announced_length(&self) -> Option<usize> {
        announced_length(&self.bytes[self.start..self.end])
    }

    /// The number of received bytes that were not consumed yet.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether [`next_frame`](Self::next_frame) would return a frame or an error.
    pub fn is_ready(&self, limit: usize) -> bool {
        self.announced_length().is_some_and(|length| length > limit || self.len() - HEADER_SIZE >= length)
    }

    /// Consumes the next `N` bytes, which belong to no frame, and returns them; `None` until they have
    /// arrived.
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes[self.start..self.end].first_chunk::<N>()?;
        self.start += N;
        Some(taken)
    }

    /// Whether all received bytes were consumed.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Frees the memory of a large frame, if all received bytes were consumed.
    pub fn shrink(&mut self) {
        // While a frame is skipped, the buffer is small: `skip_frame` begins with a new buffer, and discarded
        // bytes do not enlarge it. So `bytes_to_skip` is 0 here, as in the new buffer.
        if self.is_empty() && self.bytes.len() > MAX_IDLE_SIZE {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use miko_rpc::ErrorId;

    use super::*;

    fn frames_of(stream: &[u8], chunk: usize) -> Vec<Vec<u8>> {
        let mut buffer = FrameBuffer::default();
        let mut frames = Vec::new();
        for mut bytes in stream.chunks(chunk) {
            while !bytes.is_empty() {
                let room = buffer.room();
                let count = room.len().min(bytes.len());
                room[..count].copy_from_slice(&bytes[..count]);
                buffer.filled(count);
                bytes = &bytes[count..];
                while let Some(frame) = buffer.next_frame(1 << 20).unwrap() {
                    frames.push(frame.to_vec());
                }
            }
        }
        assert!(buffer.is_empty());
        frames
    }

    #[test]
    fn frames_are_complete_for_every_chunk_size() {
        let values = ["".to_owned(), "a".repeat(5), "b".repeat(100_000), "c".to_owned()];
        let mut stream = Vec::new();
        for value in &values {
            encode(value, 1 << 20, &mut stream).unwrap();
        }
        for chunk in [1, 3, 4, 4096, 1 << 20] {
            let decoded: Vec<String> =
                frames_of(&stream, chunk).iter().map(|frame| rmp_serde::from_slice(frame).unwrap()).collect();
            assert_eq!(decoded, values, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_at_its_header() {
        let mut buffer = FrameBuffer::default();
        buffer.room()[..4].copy_from_slice(&[0xff; 4]);
        buffer.filled(4);
        let error = buffer.next_frame(1024).unwrap_err();
        assert_eq!(error.items()[0].details["found"], u32::MAX);
    }

    #[test]
    fn a_value_that_is_too_large_leaves_the_output_unchanged() {
        let mut out = b"before".to_vec();
        let error = encode(&"x".repeat(100), 50, &mut out).unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
        assert_eq!(out, b"before");
    }

    /// Serializes a million elements and counts those that were serialized.
    struct Counted<'c>(&'c std::cell::Cell<usize>);

    impl Serialize for Counted<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut elements = serializer.serialize_seq(Some(1_000_000))?;
            for _ in 0..1_000_000 {
                self.0.set(self.0.get() + 1);
                elements.serialize_element("0123456789")?;
            }
            elements.end()
        }
    }

    #[test]
    fn encoding_stops_where_the_frame_is_full() {
        let (serialized, mut out) = (std::cell::Cell::new(0), Vec::new());
        let error = encode(&Counted(&serialized), 1000, &mut out).unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE));
        assert!(serialized.get() < 100, "{} elements were serialized", serialized.get());
        assert!(out.capacity() < 4000, "{} bytes were allocated", out.capacity());
    }

    #[test]
    fn a_frame_may_be_exactly_as_large_as_the_limit() {
        for (length, fits) in [(97, true), (98, true), (99, false)] {
            // The MessagePack header of a string of this length takes two bytes.
            assert_eq!(encode(&"x".repeat(length), 100, &mut Vec::new()).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn a_skipped_frame_is_dropped_for_every_chunk_size() {
        let mut stream = Vec::new();
        for text in ["first", &"x".repeat(100_000), "last"] {
            encode(&text, usize::MAX, &mut stream).unwrap();
        }
        for chunk in [1, 1000, 60_000] {
            let (mut buffer, mut frames, mut has_skipped) = (FrameBuffer::default(), Vec::new(), false);
            for mut bytes in stream.chunks(chunk) {
                while !bytes.is_empty() {
                    let count = buffer.room().len().min(bytes.len());
                    buffer.room()[..count].copy_from_slice(&bytes[..count]);
                    buffer.filled(count);
                    bytes = &bytes[count..];
                    while let Some(frame) = buffer.next_frame(1 << 20).unwrap() {
                        frames.push(rmp_serde::from_slice::<String>(frame).unwrap());
                    }
                    if !has_skipped && buffer.len() > 10_000 {
                        assert!(buffer.partial_frame()[5..].iter().all(|byte| *byte == b'x'));
                        buffer.skip_frame();
                        has_skipped = true;
                    }
                }
            }
            assert_eq!(frames, ["first", "last"], "in chunks of {chunk}");
        }
    }

    /// A value whose serialization fails.
    struct Unserializable;

    impl Serialize for Unserializable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("a poisoned lock"))
        }
    }

    #[test]
    fn a_value_that_cannot_be_serialized_is_not_reported_as_too_large() {
        let error = encode(&Unserializable, 50, &mut Vec::new()).unwrap_err();
        assert!(error.is(ErrorId::INTERNAL) && error.to_string().contains("a poisoned lock"), "{error}");
    }
}
