//! A JSON object that stays text.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorId, Result};

/// A JSON object kept as its text, so that a reader gets it without parsing it on the way.
///
/// On the wire it is a string, in JSON it is the object itself.
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
#[derive(Clone, PartialEq, Eq)]
pub struct Object(String);

impl Object {
    /// Takes text that the engine itself wrote.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text, compact.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a string of its own.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The object as a map, keys in their stored order.
    ///
    /// # Errors
    /// `internal`, if a server sent text that is no JSON object.
    pub fn to_map(&self) -> Result<Map<String, Value>> {
        self.parse()
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// As [`to_map`](Self::to_map).
    pub fn get(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.to_map()?.shift_remove(key))
    }

    /// The object as a type of yours.
    ///
    /// # Errors
    /// `invalid_request`, if the object does not have the shape of `T`; the message names the field.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.0).map_err(|fault| {
            Error::new(
                ErrorId::INVALID_REQUEST,
                format!("the object does not fit the type asked for: {fault}"),
            )
            .with("expected", std::any::type_name::<T>())
        })
    }
}

impl From<&Map<String, Value>> for Object {
    fn from(map: &Map<String, Value>) -> Self {
        // A map of values has string keys and finite numbers, so printing it cannot fail.
        Self(serde_json::to_string(map).unwrap_or_else(|_| "{}".to_owned()))
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
            raw.serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return String::deserialize(deserializer).map(Self);
        }
        let text = String::from(Box::<str>::from(Box::<RawValue>::deserialize(deserializer)?));
        if text.starts_with('{') { Ok(Self(text)) } else { Err(D::Error::custom("expected a JSON object")) }
    }
}
