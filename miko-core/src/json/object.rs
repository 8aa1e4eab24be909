//! A JSON object stored as text.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result};
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::writer::text_of;
use super::{plain, reader};

/// A JSON object stored as its text, so that passing it on requires no parsing. A clone shares the text.
///
/// It serializes as a string in binary formats, and as the object itself in JSON.
///
/// ```
/// use miko_core::json::Object;
/// use serde_json::json;
///
/// let bucket = Object::from(json!({"name": "Spock", "age": 35}).as_object().unwrap());
/// assert_eq!(bucket.as_str(), r#"{"name":"Spock","age":35}"#);
/// assert_eq!(bucket.get("age")?, Some(json!(35)));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Object(Arc<str>);

/// As its text, so that a set of objects finds one by its text.
impl Borrow<str> for Object {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Object {
    /// Wraps text without checking that it is a JSON object. [`to_map`](Self::to_map) reports it if it is
    /// not.
    pub(crate) fn from_text_unchecked(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The JSON text, as it was stored or received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy of the text.
    pub fn into_string(self) -> String {
        self.0.as_ref().to_owned()
    }

    /// Parses the object as a map with the keys in their stored order.
    ///
    /// # Errors
    /// `internal`, if a server sent text that is not a JSON object.
    pub fn to_map(&self) -> Result<Map<String, Value>> {
        reader::object_from_text(&self.0).map_err(|fault| {
            Error::caused_by(ErrorId::INTERNAL, "the server sent an object that is not JSON", fault)
        })
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// As [`to_map`](Self::to_map).
    pub fn get(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.to_map()?.shift_remove(key))
    }

    /// Deserializes the object as a `T`.
    ///
    /// Every key is treated as plain data. The one exception is `$serde_json::private::RawValue`, which
    /// `serde_json` reserves: where serde buffers an object (`#[serde(flatten)]`, untagged and internally
    /// tagged enums), this key is refused.
    ///
    /// # Errors
    /// `invalid_request`, if the object does not have the shape of `T`; the message names the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let parsed = if plain::may_hold_reserved_key(&self.0) {
            let mut deserializer = serde_json::Deserializer::from_str(&self.0);
            plain::read(&mut deserializer)
        } else {
            serde_json::from_str(&self.0)
        };
        parsed.map_err(|fault| {
            Error::caused_by(ErrorId::INVALID_REQUEST, "the object does not fit the type asked for", fault)
                .with("expected", std::any::type_name::<T>())
        })
    }
}

impl From<&Map<String, Value>> for Object {
    fn from(map: &Map<String, Value>) -> Self {
        Self(text_of(map).into())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            serialize_raw(&Some(raw), serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

/// Serializes JSON text; an option, since fields with `serialize_with` may be optional.
/// `serde_json::to_value` parses a `RawValue` with the reader that reserves some keys. Text with such a key
/// is therefore parsed by [`reader`] and serialized as a value.
pub(crate) fn serialize_raw<S: Serializer>(
    raw: &Option<impl Deref<Target = RawValue>>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    let Some(raw) = raw else { return serializer.serialize_none() };
    let raw: &RawValue = raw;
    if plain::may_hold_reserved_key(raw.get()) {
        reader::from_text(raw.get()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    } else {
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return deserializer.deserialize_str(TextVisitor);
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let text = text.get();
        if text.starts_with('{') {
            Ok(Self(text.into()))
        } else {
            Err(D::Error::custom("expected a JSON object"))
        }
    }
}

/// Copies the text once, from the frame in which it came.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the text of a JSON object")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Object, E> {
        Ok(Object(text.into()))
    }
}
