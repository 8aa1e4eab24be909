//! Evaluating a path on the text of a bucket, without building what the path does not lead to.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::json;
use crate::query::path::{Path, Step};

impl Path {
    /// Does the condition hold for the bucket with this JSON text?
    pub(crate) fn holds(&self, bucket: &str) -> bool {
        let mut walk = Walk { steps: &self.steps, literal: &self.literal, verdict: None };
        // Leaving text unread is how the walk stops early, and serde_json calls that an error; the verdict stands.
        let _ = walk.deserialize(&mut serde_json::Deserializer::from_str(bucket));
        walk.verdict.unwrap_or_else(|| self.literal.is_null())
    }
}

/// Goes down one step per level; the verdict stays open as long as the value is absent.
struct Walk<'p> {
    steps: &'p [Step],
    literal: &'p Value,
    verdict: Option<bool>,
}

impl Walk<'_> {
    fn found(&mut self, equal: bool) {
        self.verdict = Some(equal);
    }

    /// At the end of the path any value is compared; before it, one that is neither object nor array leads nowhere.
    fn scalar<E>(&mut self, equal: impl FnOnce(&Value) -> bool) -> Result<(), E> {
        if self.steps.is_empty() {
            self.found(equal(self.literal));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for &mut Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            // A literal is never an object.
            self.found(false);
            return Ok(());
        };
        let Step::Key(key) = step else { return Ok(()) };
        while let Some(is_next) = map.next_key_seed(KeyIs(key))? {
            if is_next {
                self.steps = rest;
                return map.next_value_seed(self);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            if !self.literal.is_array() {
                self.found(false);
                return Ok(());
            }
            let value = Value::deserialize(SeqAccessDeserializer::new(seq))?;
            self.found(json::equal(&value, self.literal));
            return Ok(());
        };
        let Step::Index(index) = step else { return Ok(()) };
        for _ in 0..*index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        self.steps = rest;
        seq.next_element_seed(self).map(|_| ())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.scalar(|literal| literal.as_str() == Some(text))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(Value::is_null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(|literal| literal.as_bool() == Some(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(|literal| json::equal(&value.into(), literal))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(|literal| json::equal(&value.into(), literal))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(|literal| json::equal(&value.into(), literal))
    }
}

/// Compares a key where it stands, without a copy of it.
struct KeyIs<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(bucket: Value, holds: &[Value], fails: &[Value]) {
        let text = bucket.to_string();
        let outcome = |path: &Value| Path::from_text(&path.to_string()).unwrap().holds(&text);
        for path in holds {
            assert!(outcome(path), "{path} holds for {text}");
        }
        for path in fails {
            assert!(!outcome(path), "{path} does not hold for {text}");
        }
    }

    #[test]
    fn each_type_equals_only_itself() {
        check(
            json!({"s": "1", "n": 1, "f": 1.0, "t": true, "z": 0, "no": false, "null": null}),
            &[
                json!(["s", "1"]),
                json!(["n", 1]),
                json!(["n", 1.0]),
                json!(["f", 1]),
                json!(["t", true]),
                json!(["z", -0.0]),
                json!(["null", null]),
                json!(["absent", null]),
            ],
            &[
                json!(["s", 1]),
                json!(["n", "1"]),
                json!(["n", true]),
                json!(["t", 1]),
                json!(["no", 0]),
                json!(["z", false]),
                json!(["z", null]),
                json!(["no", null]),
                json!(["null", false]),
                json!(["absent", false]),
            ],
        );
    }

    #[test]
    fn an_index_is_for_arrays_and_a_key_for_objects() {
        check(
            json!({"a": ["x", {"0": "y"}], "0": "z"}),
            &[
                json!(["a", 0, "x"]),
                json!(["a", 1, "0", "y"]),
                json!(["0", "z"]),
                json!(["a", 2, null]),
                json!(["a", "0", null]),
                json!([0, null]),
                json!(["a", 0, "x", null]),
                json!(["a", u64::MAX, null]),
            ],
            &[json!(["a", "0", "x"]), json!([0, "z"]), json!(["a", 1, 0, "y"]), json!(["a", null])],
        );
    }

    #[test]
    fn arrays_compare_element_by_element() {
        check(
            json!({"a": [1, "x", [null], {"k": 1}], "e": []}),
            &[json!(["a", [1.0, "x", [null], {"k": 1}]]), json!(["e", []])],
            &[
                json!(["a", [1, "x"]]),
                json!(["a", []]),
                json!(["a", "x"]),
                json!(["e", null]),
                json!(["e", [null]]),
            ],
        );
    }
}
