//! The only deserializer of [`Value`] in this crate, for text and for binary formats.
//!
//! `serde_json`'s own deserializer parses an object whose first key is `$serde_json::private::RawValue` as
//! raw JSON text. Here every key is plain data. This deserializer can also refuse duplicate keys, and it
//! preallocates the capacity that a binary format announces.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::representable;
use crate::memory;

/// A value whose keys are all plain data. The last of several equal keys wins.
pub struct PlainValue(pub Value);

/// Cap on the capacity that is preallocated from an untrusted size hint.
const MAX_PREALLOC: usize = 64;

/// The memory of an array element, assuming a vector that is half full.
const ELEMENT_SIZE: usize = 2 * size_of::<Value>();

/// The memory of an object member: its key, its value and its slot in the index.
const MEMBER_SIZE: usize = 2 * (size_of::<String>() + size_of::<Value>() + size_of::<u64>());

impl<'de> Deserialize<'de> for PlainValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor { duplicate: None }).map(Self)
    }
}

/// Parses trusted text: stored by an engine, or written by this crate.
///
/// # Errors
/// If the text is not JSON.
pub fn from_text(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str::<PlainValue>(text).map(|PlainValue(value)| value)
}

/// As [`from_text`], for text that is an object. Text behind the object is refused.
pub fn object_from_text(text: &str) -> serde_json::Result<Map<String, Value>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let map = object(&mut deserializer)?;
    deserializer.end().map(|()| map)
}

/// Parses untrusted text. A duplicate key in an object is refused and stored in `duplicate`.
pub(super) fn from_untrusted_text(
    text: &str,
    duplicate: &RefCell<Option<String>>,
) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = ValueVisitor { duplicate: Some(duplicate) }.deserialize(&mut deserializer)?;
    deserializer.end().map(|()| value)
}

/// Deserializes a field that is a value: `#[serde(deserialize_with = "…")]`.
pub fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    PlainValue::deserialize(deserializer).map(|PlainValue(value)| value)
}

/// Deserializes a field that is a list of values: `#[serde(deserialize_with = "…")]`.
pub fn values<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    let values = Vec::<PlainValue>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|PlainValue(value)| value).collect())
}

/// Deserializes a field that is a map of values: `#[serde(deserialize_with = "…")]`.
pub fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match value(deserializer)? {
        Value::Object(map) => Ok(map),
        other => {
            Err(D::Error::custom(format!("invalid type: {}, expected an object", super::type_name(&other))))
        }
    }
}

#[derive(Clone, Copy)]
struct ValueVisitor<'r> {
    /// Receives a duplicate key; `None` permits duplicates.
    duplicate: Option<&'r RefCell<Option<String>>>,
}

impl<'de> DeserializeSeed<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        let finite = Number::from_f64(number);
        finite.map(Value::Number).ok_or_else(|| E::custom(representable::not_finite(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::with_capacity(items.size_hint().unwrap_or(0).min(MAX_PREALLOC));
        while let Some(item) = items.next_element_seed(self)? {
            memory::charge_deserialized(ELEMENT_SIZE)?;
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::with_capacity(members.size_hint().unwrap_or(0).min(MAX_PREALLOC));
        while let Some(key) = members.next_key::<String>()? {
            memory::charge_deserialized(MEMBER_SIZE + key.len())?;
            if let Some(duplicate) = self.duplicate
                && object.contains_key(&key)
            {
                let refused = A::Error::custom(format!("duplicate key `{key}`"));
                duplicate.replace(Some(key));
                return Err(refused);
            }
            object.insert(key, members.next_value_seed(self)?);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    /// Sends the value through a binary format and reads it back.
    fn round_trip(value: &Value) -> Value {
        let sent = rmp_serde::to_vec_named(value).unwrap();
        rmp_serde::from_slice::<PlainValue>(&sent).unwrap().0
    }

    #[test]
    fn values_survive_a_round_trip() {
        let many: Map<String, Value> =
            (0..3 * MAX_PREALLOC).rev().map(|n| (n.to_string(), json!([n]))).collect();
        let values = [
            json!(null),
            json!([true, false, "", "Bajor \u{1F6F0}", {}, []]),
            json!([0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, -0.0, 1e300, f64::MIN_POSITIVE]),
            json!({"z": 1, "a": {"b": [null, {"c": "d"}]}}),
            many.into(),
        ];
        for value in values {
            // Compared as text, which preserves the order of keys and the sign of zero.
            assert_eq!(round_trip(&value).to_string(), value.to_string());
            assert_eq!(from_text(&value.to_string()).unwrap().to_string(), value.to_string());
        }
    }

    #[test]
    fn a_float_that_json_lacks_is_refused() {
        for (float, name) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            let sent = rmp_serde::to_vec_named(&[BTreeMap::from([("n", float)])]).unwrap();
            let fault =
                rmp_serde::from_slice::<PlainValue>(&sent).map(|PlainValue(value)| value).unwrap_err();
            assert_eq!(fault.to_string(), format!("JSON has no number {name}"));
        }
    }

    #[test]
    fn a_reserved_key_of_serde_json_is_plain_data() {
        let value = json!({"$serde_json::private::RawValue": "[1, 2]"});
        assert_eq!(round_trip(&value), value);
        assert_eq!(from_text(&value.to_string()).unwrap(), value);
    }
}
