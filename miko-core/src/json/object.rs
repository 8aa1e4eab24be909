//! A JSON object stored as text. Also serializes and deserializes raw JSON (`RawValue`) for fields of other
//! types.

use std::borrow::Borrow;
use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use miko_rpc::travel::{reads_binary, writes_binary};
use miko_rpc::{Error, ErrorId, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::writer::text_of;
use super::{plain, reader, serialize_text};

/// A JSON object stored as its text, so that passing it on requires no parsing. A clone shares the text.
/// Objects are equal if their texts are: the order of the keys and the form of numbers matter.
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
#[derive(Clone)]
pub struct Object {
    text: Arc<str>,
    /// Whether the text is known to be a JSON object. `false` for text that was deserialized, which may come
    /// from another process.
    is_checked: bool,
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Object {}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Allows looking up an object by its text in a set of objects.
impl Borrow<str> for Object {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl Object {
    /// Wraps text that is known to be a JSON object: it was checked when it was stored, or was just written.
    pub(crate) fn from_stored_text(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), is_checked: true }
    }

    /// Wraps text without checking that it is a JSON object. If it is not, [`to_map`](Self::to_map) fails.
    pub(crate) fn from_text_unchecked(text: impl Into<Arc<str>>) -> Self {
        Self { text: text.into(), is_checked: false }
    }

    /// The JSON text, as it was stored or received.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A copy of the text.
    pub fn into_string(self) -> String {
        self.text.as_ref().to_owned()
    }

    /// Parses the object as a map with the keys in their stored order.
    ///
    /// # Errors
    /// `internal`, if the text was deserialized and is not a JSON object: a server sent something else.
    pub fn to_map(&self) -> Result<Map<String, Value>> {
        reader::object_from_text(&self.text).map_err(|fault| {
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
    /// `invalid_request`, if the text is not JSON, or does not have the shape of `T`. The message ends with
    /// the error of `serde_json`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        // `serde_json` reserves some keys. `plain` reads them like all other keys.
        let parsed = if plain::may_hold_reserved_key(&self.text) {
            let mut deserializer = serde_json::Deserializer::from_str(&self.text);
            plain::read(&mut deserializer).and_then(|value| deserializer.end().map(|()| value))
        } else {
            serde_json::from_str(&self.text)
        };
        parsed.map_err(|fault| {
            Error::caused_by(ErrorId::INVALID_REQUEST, "the object does not fit the type asked for", fault)
                .with("expected", std::any::type_name::<T>())
        })
    }
}

impl From<&Map<String, Value>> for Object {
    fn from(map: &Map<String, Value>) -> Self {
        Self::from_stored_text(text_of(map))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if !writes_binary(&serializer) {
            let parse_and_serialize = |serializer| {
                let raw: &RawValue = serde_json::from_str(&self.text).map_err(serde::ser::Error::custom)?;
                serialize_raw(&Some(raw), serializer)
            };
            // `serialize_text` may copy the text into the output without parsing it, so it gets only text
            // that is known to be an object.
            if self.is_checked {
                serialize_text(&self.text, serializer, parse_and_serialize)
            } else {
                parse_and_serialize(serializer)
            }
        } else {
            serializer.serialize_str(&self.text)
        }
    }
}

/// Serializes raw JSON, or `None`. It takes an `Option` so that it can be the `serialize_with` of an optional
/// field. `serde_json::to_value` would misread a `RawValue` with a key that `serde_json` reserves. So a text
/// with such a key is parsed by [`reader`] and serialized as a value.
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

/// Deserializes raw JSON. Unlike `RawValue`, it also reads a value that serde has buffered: the value is then
/// written as text again.
pub(crate) fn deserialize_raw<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Box<RawValue>, D::Error> {
    /// The name of a newtype for which `serde_json` passes the text to the visitor, as a map that `RawValue`
    /// reads.
    const RAW_VALUE: &str = "$serde_json::private::RawValue";
    deserializer.deserialize_newtype_struct(RAW_VALUE, RawVisitor)
}

/// `serde_json` calls `visit_map`, with the text. The buffer of serde calls `visit_newtype_struct`, with the
/// buffered value.
struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Box<RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, text: A) -> std::result::Result<Box<RawValue>, A::Error> {
        Box::<RawValue>::deserialize(MapAccessDeserializer::new(text))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        buffered: D,
    ) -> std::result::Result<Box<RawValue>, D::Error> {
        RawValue::from_string(reader::value(buffered)?.to_string()).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        if reads_binary(&deserializer) {
            return deserializer.deserialize_str(TextVisitor);
        }
        let text = deserialize_raw(deserializer)?;
        let text = text.get();
        if text.starts_with('{') {
            // Unchecked: if an object has the key that `serde_json` reserves for `RawValue`, `text` may be
            // the string under this key, which need not be JSON.
            Ok(Self::from_text_unchecked(text))
        } else {
            Err(D::Error::custom("expected a JSON object"))
        }
    }
}

/// Copies the text once, from the received frame into the object.
struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the text of a JSON object")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Object, E> {
        Ok(Object::from_text_unchecked(text))
    }
}

/// An object that is deserialized from a binary format, and is mostly equal to the one before: the stack of a
/// record. Equal objects that a thread reads one after another share their text.
pub(crate) struct RepeatedObject(pub(crate) Object);

impl<'de> Deserialize<'de> for RepeatedObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_str(RepeatedTextVisitor).map(Self)
    }
}

thread_local! {
    /// The object that this thread has read last as a [`RepeatedObject`].
    static LAST_READ: RefCell<Option<Object>> = const { RefCell::new(None) };
}

struct RepeatedTextVisitor;

impl Visitor<'_> for RepeatedTextVisitor {
    type Value = Object;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        TextVisitor.expecting(formatter)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Object, E> {
        // A thread must not keep much memory.
        const MAX_KEPT: usize = 1024;
        if text.len() > MAX_KEPT {
            return TextVisitor.visit_str(text);
        }
        let read = LAST_READ.try_with(|last| match &mut *last.borrow_mut() {
            Some(last) if last.as_str() == text => last.clone(),
            last => last.insert(Object::from_text_unchecked(text)).clone(),
        });
        // A thread that ends may read a record after it has dropped its thread-local values.
        read.or_else(|_| TextVisitor.visit_str(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::to_text;

    #[test]
    fn equal_objects_that_are_read_one_after_another_share_their_text() {
        let texts = [r#"{"a":1}"#, r#"{"a":1}"#, r#"{"b":2}"#, r#"{"b":2}"#, r#"{"a":1}"#];
        let read = texts.map(|text| {
            let RepeatedObject(object) = rmp_serde::from_slice(&rmp_serde::to_vec(text).unwrap()).unwrap();
            object
        });
        assert_eq!(read.each_ref().map(Object::as_str), texts);
        let shares = |a: &Object, b: &Object| Arc::ptr_eq(&a.text, &b.text);
        assert!(shares(&read[0], &read[1]) && shares(&read[2], &read[3]) && !shares(&read[0], &read[4]));
    }

    #[test]
    fn the_text_of_an_object_is_written_as_it_was_stored() {
        let text = r#"{"n":1.50,"$serde_json::private::RawValue":"2","none":null}"#;
        for object in [Object::from_stored_text(text), Object::from_text_unchecked(text)] {
            let value = reader::from_text(text).unwrap();
            assert_eq!(reader::from_text(&to_text(&object).unwrap()).unwrap(), value);
            assert_eq!(serde_json::to_value(&object).unwrap(), value);
        }
        assert_eq!(to_text(&Object::from_stored_text(text)).unwrap(), text);
        assert_eq!(to_text(&[Object::from(json!({"a": []}).as_object().unwrap())]).unwrap(), r#"[{"a":[]}]"#);
    }

    #[test]
    fn text_of_another_process_is_neither_written_nor_read_unless_it_is_one_object() {
        let texts = [
            r#"{},"pk":{}"#,
            "{",
            "nonsense",
            r#"{"a":1} {}"#,
            r#"{"$serde_json::private::RawValue":"1"} text"#,
            r#"{"a":"\u0001"}]"#,
        ];
        for text in texts {
            let bytes = rmp_serde::to_vec(text).unwrap();
            let object: Object = rmp_serde::from_slice(&bytes).unwrap();
            assert!(object.to_map().unwrap_err().is(ErrorId::INTERNAL), "{text}");
            assert!(object.get("a").unwrap_err().is(ErrorId::INTERNAL), "{text}");
            assert!(object.parse::<Map<String, Value>>().unwrap_err().is(ErrorId::INVALID_REQUEST), "{text}");
            assert!(to_text(&[object]).is_err(), "{text}");
        }
    }
}
