//! Binary data in arguments and results: raw on the wire, base64 in JSON.

use std::fmt;

use data_encoding::BASE64;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Binary data: raw on the wire, base64 in JSON.
///
/// ```
/// use miko_rpc::Bytes;
///
/// assert_eq!(serde_json::to_string(&Bytes::from(vec![1, 2, 255])).unwrap(), r#""AQL/""#);
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bytes(Vec<u8>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&to_base64(&self.0))
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_string(Base64Visitor).map(Self)
        } else {
            RawBytes::deserialize(deserializer).map(|RawBytes(bytes)| Self(bytes))
        }
    }
}

/// Reads base64. It also takes raw bytes: where serde buffers a value (`#[serde(flatten)]`, untagged and
/// internally tagged enums), it is read from a deserializer that calls itself human-readable, whatever the
/// format was.
struct Base64Visitor;

impl Visitor<'_> for Base64Visitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        from_base64(text).map_err(E::custom)
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_owned())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

/// Bytes, or the sequence of numbers that serde and JSON have for a `Vec<u8>`. A text is refused: nobody can
/// tell whether its own bytes are meant.
pub(crate) struct RawBytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for RawBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for bytes, `serde_json` passes off those of a text.
        let bytes = if deserializer.is_human_readable() {
            deserializer.deserialize_seq(RawVisitor)
        } else {
            deserializer.deserialize_byte_buf(RawVisitor)
        };
        bytes.map(Self)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_owned())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vec<u8>, A::Error> {
        let mut bytes = Vec::with_capacity(numbers.size_hint().unwrap_or(0).min(MAX_PREALLOC));
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// Cap on the capacity that is preallocated from an untrusted size hint.
const MAX_PREALLOC: usize = 4_096;

/// The standard base64 of these bytes, as JSON holds them.
pub fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes of a base64 text.
///
/// # Errors
/// The reason why it is not base64.
pub fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text.as_bytes()).map_err(|fault| format!("this is no base64: {fault}"))
}
