//! The encoding of calls and answers: MessagePack with field names, written up to a limit.
//!
//! A call is a map of one entry, from the name of its method to a map of its arguments. An answer is a map of
//! one entry too, from the name of the method to its result. Serde gives the variants of an enum the same
//! form, so that a program with such enums can call a server.

use rmp::decode::{read_map_len, read_str_from_slice};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use self::serializer::ValueSerializer;
use self::writer::{Form, MessageWriter};
use crate::error::{Error, ErrorId, Result};

pub(crate) mod decoder;
#[cfg(test)]
mod samples;
mod serializer;
mod writer;

pub use self::writer::Encoded;

/// A message that can be encoded as MessagePack.
pub trait Message {
    /// Appends the message to `encoder`.
    ///
    /// # Errors
    /// If a value cannot be serialized, or the encoder is full.
    fn write(&self, encoder: &mut Encoder) -> Encoded;

    /// The arguments of a call as a JSON object by name, for a transport that speaks JSON.
    ///
    /// # Errors
    /// `invalid_request`, if JSON has no form of an argument; `internal`, if the message is no call.
    fn arguments_as_json(&self) -> Result<String> {
        Err(Error::new(ErrorId::INTERNAL, "only a call of a proxy has a JSON form"))
    }
}

/// Any value that serde can serialize, as a [`Message`].
pub struct SerdeMessage<'v, T>(pub &'v T);

impl<T: Serialize> Message for SerdeMessage<'_, T> {
    fn write(&self, encoder: &mut Encoder) -> Encoded {
        encoder.value(self.0)
    }
}

/// Appends MessagePack to a vector up to a maximum length. The first write beyond it fails, which stops the
/// serializer.
pub struct Encoder(MessageWriter);

/// Why nothing was encoded.
pub enum EncodeFault {
    /// The message is longer than the limit.
    TooLong,
    /// A value cannot be serialized.
    Unserializable(rmp_serde::encode::Error),
}

impl EncodeFault {
    /// The error of a frame that holds no answer of a method.
    pub fn into_error(self, limit: usize) -> Error {
        match self {
            Self::TooLong => {
                let message = "a frame is larger than the limit `frame_size`";
                Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", limit)
            }
            Self::Unserializable(fault) => {
                Error::caused_by(ErrorId::INTERNAL, "the request cannot be serialized", fault)
            }
        }
    }
}

/// The error of an answer that is longer than the limit, in whatever form.
pub(crate) fn answer_too_large(limit: usize) -> Error {
    let message = "the answer is larger than the limit `frame_size`: ask for less at once";
    Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", limit)
}

/// Appends what `write` writes to `out`, which grows at most to the length `end`. After an error `out` is
/// unchanged; after a panic it may have a part of the message.
///
/// # Errors
/// Those of `write`, and a message that is too long.
pub fn encode(
    out: &mut Vec<u8>,
    end: usize,
    write: impl FnOnce(&mut Encoder) -> Encoded,
) -> Result<(), EncodeFault> {
    /// Gives the vector back, also after a panic of a type that serializes itself.
    struct Lent<'o> {
        encoder: Encoder,
        out: &'o mut Vec<u8>,
    }
    impl Drop for Lent<'_> {
        fn drop(&mut self) {
            *self.out = self.encoder.0.take();
        }
    }
    let start = out.len();
    let encoder = Encoder(MessageWriter::new(std::mem::take(out), end));
    let mut lent = Lent { encoder, out };
    let written = write(&mut lent.encoder);
    let is_full = lent.encoder.0.is_full();
    drop(lent);
    let fault = match written {
        _ if is_full => EncodeFault::TooLong,
        Err(fault) => EncodeFault::Unserializable(fault),
        Ok(()) => return Ok(()),
    };
    out.truncate(start);
    Err(fault)
}

impl Encoder {
    /// Appends a value.
    ///
    /// # Errors
    /// If it cannot be serialized, or the encoder is full.
    #[inline]
    pub fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Encoded {
        value.serialize(ValueSerializer(&mut self.0))
    }

    /// Appends bytes that are MessagePack already.
    ///
    /// # Errors
    /// If the encoder is full.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) -> Encoded {
        self.0.raw(bytes)
    }

    /// Appends a string.
    ///
    /// # Errors
    /// If the encoder is full.
    #[inline]
    pub fn text(&mut self, text: &str) -> Encoded {
        self.0.text(text)
    }

    /// Appends a map of one entry up to its key. The value follows.
    ///
    /// # Errors
    /// If the encoder is full.
    #[inline]
    pub fn variant(&mut self, key: &str) -> Encoded {
        self.0.variant(key)
    }

    /// Appends the head of a map of `len` entries, which follow.
    ///
    /// # Errors
    /// If the encoder is full.
    #[inline]
    pub fn map(&mut self, len: usize) -> Encoded {
        self.0.head(Form::Map, len)
    }
}

/// Splits a map of one entry into its key and the bytes of its value. Returns `None` for anything else.
pub fn split_variant(message: &[u8]) -> Option<(&str, &[u8])> {
    let mut rest = message;
    if read_map_len(&mut rest).ok()? != 1 {
        return None;
    }
    read_str_from_slice(rest).ok()
}

/// The bytes of the value of a map of one entry with this key. Returns `None` for anything else.
#[inline]
pub(crate) fn value_of_variant<'m>(message: &'m [u8], key: &str) -> Option<&'m [u8]> {
    // The fast path, for the encoding of this package: a map of one entry, whose key is a short string.
    if let [0x81, marker @ 0xa0..=0xbf, rest @ ..] = message
        && usize::from(marker & 0x1f) == key.len()
        && let Some(value) = rest.strip_prefix(key.as_bytes())
    {
        return Some(value);
    }
    split_variant(message).filter(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Decodes a value of an answer.
///
/// # Errors
/// `internal` if it is not a valid `T`: the other side is not a server of this interface, or it is faulty.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T> {
    decoder::from_slice(bytes).map_err(unreadable)
}

/// The error of an answer that cannot be decoded.
pub(crate) fn unreadable(fault: rmp_serde::decode::Error) -> Error {
    Error::caused_by(ErrorId::INTERNAL, "the server's answer cannot be read", fault)
}

/// Reads a value of any type and returns it as MessagePack.
///
/// # Errors
/// Those of the deserializer, also if its format does not describe itself.
pub fn transcode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let mut bytes = Vec::new();
    serde_transcode::transcode(deserializer, &mut rmp_serde::Serializer::new(&mut bytes))
        .map_err(D::Error::custom)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_appended_or_nothing_if_it_exceeds_the_limit(
            before in proptest::collection::vec(any::<u8>(), 0..40),
            spare in 0_usize..100,
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            end in 0_usize..300,
        ) {
            let mut out = Vec::with_capacity(before.len() + spare);
            out.extend_from_slice(&before);
            let written = encode(&mut out, end, |encoder| {
                parts.iter().try_for_each(|part| encoder.raw(part))
            });
            let whole = [before.clone(), parts.concat()].concat();
            if whole.len() <= end {
                prop_assert!(written.is_ok());
                prop_assert_eq!(out, whole);
            } else {
                prop_assert!(matches!(written, Err(EncodeFault::TooLong)));
                prop_assert_eq!(out, before);
            }
        }

        #[test]
        fn texts_have_the_form_of_a_serializer(text in "\\PC{0,40}") {
            let mut out = Vec::new();
            let written = encode(&mut out, 1000, |encoder| {
                encoder.variant(&text)?;
                encoder.text(&text)
            });
            prop_assert!(written.is_ok());
            let map = std::collections::BTreeMap::from([(&text, &text)]);
            prop_assert_eq!(out, rmp_serde::to_vec(&map).unwrap());
        }
    }
}
