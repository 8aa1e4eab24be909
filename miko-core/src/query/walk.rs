//! Going down a path in the text of a bucket, without building what the path does not lead to.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::reader;
use crate::query::found::Found;
use crate::query::path::Step;

/// Gives `look` what the steps lead to in the bucket with this JSON text.
pub(super) fn walk<R>(bucket: &str, steps: &[Step], look: impl FnOnce(Found<'_>) -> R) -> R {
    let mut walk = Walk { steps, view: View::Open(look) };
    // Leaving text unread is how the walk stops early, and serde_json calls that an error; what was seen stands.
    let _ = walk.deserialize(&mut serde_json::Deserializer::from_str(bucket));
    match walk.view {
        View::Open(look) => look(Found::Absent),
        View::Seen(outcome) => outcome,
        View::Looking => unreachable!("`look` returns or unwinds"),
    }
}

/// Goes down one step per level.
struct Walk<'s, L, R> {
    steps: &'s [Step],
    view: View<L, R>,
}

/// Open as long as the value is absent.
enum View<L, R> {
    Open(L),
    Looking,
    Seen(R),
}

impl<R, L: FnOnce(Found<'_>) -> R> Walk<'_, L, R> {
    fn see(&mut self, found: Found<'_>) {
        if let View::Open(look) = std::mem::replace(&mut self.view, View::Looking) {
            self.view = View::Seen(look(found));
        }
    }

    /// At the end of the path any value is seen; before it, one that is neither object nor array leads nowhere.
    fn scalar<E>(&mut self, found: Found<'_>) -> Result<(), E> {
        if self.steps.is_empty() {
            self.see(found);
        }
        Ok(())
    }
}

impl<'de, R, L: FnOnce(Found<'_>) -> R> DeserializeSeed<'de> for &mut Walk<'_, L, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R, L: FnOnce(Found<'_>) -> R> Visitor<'de> for &mut Walk<'_, L, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            self.see(Found::Composite(&reader::value(MapAccessDeserializer::new(map))?));
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
            self.see(Found::Composite(&reader::value(SeqAccessDeserializer::new(seq))?));
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
        self.scalar(Found::Text(text))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.scalar(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(Found::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(Found::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(Found::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // Text has no number that is not finite.
        self.scalar(serde_json::Number::from_f64(value).map_or(Found::Null, Found::Number))
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
    use serde_json::{Value, json};

    use crate::query::Path;

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
