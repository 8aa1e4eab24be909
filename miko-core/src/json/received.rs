//! Values as they come over the wire.
//!
//! They are read as `serde_json` reads them, but for two things. A format that says how many keys an object has gets room for
//! all of them at once. And a key is a key: `serde_json` takes one of its own names for a text to parse.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value that was received.
pub(crate) struct Received(pub(crate) Value);

/// Room for so many is made on somebody's word.
const CREDIT: usize = 64;

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
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

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::with_capacity(items.size_hint().unwrap_or(0).min(CREDIT));
        while let Some(Received(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::with_capacity(members.size_hint().unwrap_or(0).min(CREDIT));
        while let Some((key, Received(value))) = members.next_entry()? {
            object.insert(key, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The value after a journey over the wire.
    fn carried(value: &Value) -> Value {
        let sent = rmp_serde::to_vec_named(value).unwrap();
        rmp_serde::from_slice::<Received>(&sent).unwrap().0
    }

    #[test]
    fn they_come_as_they_were_sent() {
        let many: Map<String, Value> = (0..3 * CREDIT).rev().map(|n| (n.to_string(), json!([n]))).collect();
        let values = [
            json!(null),
            json!([true, false, "", "Bajor \u{1F6F0}", {}, []]),
            json!([0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, -0.0, 1e300, f64::MIN_POSITIVE]),
            json!({"z": 1, "a": {"b": [null, {"c": "d"}]}}),
            many.into(),
        ];
        for value in values {
            // As text, which shows the order of keys and the sign of zero, too.
            assert_eq!(carried(&value).to_string(), value.to_string());
        }
    }

    #[test]
    fn a_key_that_serde_json_uses_itself_is_a_key_like_any_other() {
        let value = json!({"$serde_json::private::RawValue": "[1, 2]"});
        assert_eq!(carried(&value), value);
    }
}
