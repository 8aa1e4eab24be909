//! The encoding of the items of a stream.

use crate::bounds::Wire;
use crate::codec::{self, EncodeFault};
use crate::error::{Error, ErrorId, Result};
use crate::json::{self, TextFault};
use crate::travel::{Nil, Received, Sent, nil_level};

/// An item that is a nil inside options, such as `Some(None)`: a MessagePack extension of one byte, which is
/// the number of the options.
const NIL_LEVEL: [u8; 2] = [0xd4, b'N'];

/// Appends an item as MessagePack.
pub(super) fn encode<T: Wire>(item: &T, limit: usize, out: &mut Vec<u8>) -> Result<()> {
    let level = nil_level(item);
    if let Some(level) = u8::try_from(level).ok().filter(|level| *level > 0) {
        out.extend_from_slice(&NIL_LEVEL);
        out.push(level);
        return Ok(());
    }
    let end = out.len().saturating_add(limit);
    codec::encode(out, end, |encoder| encoder.value(&Sent(item))).map_err(|fault| match fault {
        EncodeFault::TooLong => too_large(limit),
        EncodeFault::Unserializable(fault) => {
            Error::caused_by(ErrorId::INTERNAL, "an item of the stream cannot be sent", fault)
        }
    })
}

/// Decodes what [`encode`] wrote.
pub(super) fn decode<T: Wire>(item: &[u8]) -> Result<T> {
    if let Some([level]) = item.strip_prefix(&NIL_LEVEL) {
        return Nil::received((*level).into()).and_then(Received::read).map_err(codec::unreadable);
    }
    codec::decode(item).map(|Received(item)| item)
}

/// Appends an item as JSON.
pub(super) fn encode_json<T: Wire>(item: &T, limit: usize, out: &mut Vec<u8>) -> Result<()> {
    let text = json::to_text_within(item, limit).map_err(|fault| match fault {
        TextFault::TooLong => too_large(limit),
        TextFault::Unserializable(fault) => {
            let message = "an item of the stream cannot be represented in JSON";
            Error::caused_by(ErrorId::INTERNAL, message, fault)
        }
    })?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn too_large(limit: usize) -> Error {
    let message = "an item of the stream is larger than the limit `frame_size`";
    Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", limit)
}
