//! Answers in JSON, as a transport that speaks JSON passes them to a proxy.
//!
//! A proxy takes the bytes of an answer. Those of one in JSON begin with a byte that MessagePack never uses,
//! so that reading an answer in MessagePack, the usual one, needs no branch for it.

use serde_json::Deserializer;

use crate::bounds::Wire;
use crate::codec;
use crate::error::{Error, ErrorId, Result};
use crate::travel::{Nil, Received};

/// The first byte of an answer in JSON. MessagePack reserves it.
const MARKER: u8 = 0xc1;

/// An answer in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonAnswer<'a> {
    /// The result of the method.
    Value(&'a str),
    /// The result is a nil inside so many options, where JSON has `null` alone.
    Nil(u32),
    /// The error of the method, in the JSON form of its type.
    Failure(&'a str),
}

impl<'a> JsonAnswer<'a> {
    /// The bytes for [`CallTransport::call`](crate::CallTransport::call).
    pub fn to_bytes(self) -> Vec<u8> {
        let level;
        let (kind, content) = match self {
            Self::Value(text) => (b'v', text.as_bytes()),
            Self::Failure(text) => (b'f', text.as_bytes()),
            Self::Nil(count) => {
                level = count.to_be_bytes();
                (b'n', level.as_slice())
            }
        };
        let mut bytes = Vec::with_capacity(2 + content.len());
        bytes.extend_from_slice(&[MARKER, kind]);
        bytes.extend_from_slice(content);
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote; `None` for an answer in MessagePack.
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [MARKER, b'v', text @ ..] => str::from_utf8(text).ok().map(Self::Value),
            [MARKER, b'f', text @ ..] => str::from_utf8(text).ok().map(Self::Failure),
            [MARKER, b'n', level @ ..] => level.try_into().ok().map(u32::from_be_bytes).map(Self::Nil),
            _ => None,
        }
    }

    /// Decodes the answer.
    ///
    /// # Errors
    /// `internal`, if it is no result of this type.
    pub(crate) fn read<T: Wire, E: Wire>(self) -> Result<Result<T, E>> {
        match self {
            Self::Value(text) => read(text).map(Ok),
            Self::Failure(text) => read(text).map(Err),
            Self::Nil(level) => {
                let nil = Nil::received(level);
                nil.and_then(Received::read).map(Ok).map_err(codec::unreadable)
            }
        }
    }
}

/// Reads a value of an answer, or an item of a stream.
///
/// # Errors
/// `internal` if it is not a valid `T`: the other side is not a server of this interface, or it is faulty.
pub(crate) fn read<T: Wire>(text: &str) -> Result<T> {
    let mut deserializer = Deserializer::from_str(text);
    let value = Received::<T>::read(&mut deserializer);
    value
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "the server's answer cannot be read", fault))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn answers_are_read_as_they_were_written() {
        for answer in [JsonAnswer::Value("[1]"), JsonAnswer::Nil(2), JsonAnswer::Failure("\"é\"")] {
            assert_eq!(JsonAnswer::of_bytes(&answer.to_bytes()), Some(answer));
        }
        assert_eq!(JsonAnswer::of_bytes(&[0x81, 0xa2]), None);
    }

    #[test]
    fn results_keep_their_nils_and_their_keys() {
        type Nested = Option<Option<Value>>;
        let read = |answer: JsonAnswer<'_>| answer.read::<Nested, Error>().unwrap().unwrap();
        assert_eq!(read(JsonAnswer::Nil(0)), None);
        assert_eq!(read(JsonAnswer::Nil(1)), Some(None));
        assert_eq!(read(JsonAnswer::Nil(2)), Some(Some(Value::Null)));
        let reserved = r#"{"$serde_json::private::RawValue": "5"}"#;
        let Some(Some(Value::Object(object))) = read(JsonAnswer::Value(reserved)) else { panic!() };
        assert_eq!(object["$serde_json::private::RawValue"], "5");
    }

    #[test]
    fn bytes_are_read_from_the_numbers_that_json_has_for_them() {
        let bytes = JsonAnswer::Value("[0,255]").read::<Vec<u8>, Error>().unwrap().unwrap();
        assert_eq!(bytes, [0, 255]);
        assert!(JsonAnswer::Value("[0] 1").read::<Vec<u8>, Error>().is_err());
    }
}
