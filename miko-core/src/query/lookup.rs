//! Finds the value at the end of a path in the text of a bucket. Other values are skipped, not built.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json::reader;
use crate::query::step::PathStep;
use crate::query::value_ref::ValueRef;

/// Calls `visit` with the value at the end of the steps in a bucket, which is given as JSON text.
pub(super) fn with_value_at<R>(bucket: &str, steps: &[PathStep], visit: impl FnOnce(ValueRef<'_>) -> R) -> R {
    let mut visitor = PathVisitor { steps, state: VisitState::Pending(visit) };
    // Once the value is found, or a step does not fit the type of its value, the visitor leaves the rest of
    // the text unread, which serde_json reports as an error. The error is ignored. A value that was not found
    // before an error counts as absent, also in a malformed text.
    let _ = visitor.deserialize(&mut serde_json::Deserializer::from_str(bucket));
    match visitor.state {
        VisitState::Pending(visit) => visit(ValueRef::Absent),
        VisitState::Done(outcome) => outcome,
        VisitState::Running => unreachable!("`visit` returns or unwinds"),
    }
}

/// A serde visitor that descends one step per level, and visits the value at the end of the path.
struct PathVisitor<'s, F, R> {
    /// The remaining steps: from the value that is being deserialized to the end of the path.
    steps: &'s [PathStep],
    state: VisitState<F, R>,
}

/// The state of the call of the closure `visit`, which is called once.
enum VisitState<F, R> {
    /// The value was not found yet. Holds the closure.
    Pending(F),
    /// The closure was moved out and runs. If it panics, the state stays so.
    Running,
    /// Holds the result of the closure.
    Done(R),
}

impl<R, F: FnOnce(ValueRef<'_>) -> R> PathVisitor<'_, F, R> {
    fn visit(&mut self, value: ValueRef<'_>) {
        if let VisitState::Pending(visit) = std::mem::replace(&mut self.state, VisitState::Running) {
            self.state = VisitState::Done(visit(value));
        }
    }

    /// Visits a scalar if the path ends here. If steps are left, the value is absent: a scalar has no
    /// members.
    fn visit_scalar<E>(&mut self, value: ValueRef<'_>) -> Result<(), E> {
        if self.steps.is_empty() {
            self.visit(value);
        }
        Ok(())
    }
}

impl<'de, R, F: FnOnce(ValueRef<'_>) -> R> DeserializeSeed<'de> for &mut PathVisitor<'_, F, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R, F: FnOnce(ValueRef<'_>) -> R> Visitor<'de> for &mut PathVisitor<'_, F, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            self.visit(ValueRef::Composite(&reader::value(MapAccessDeserializer::new(map))?));
            return Ok(());
        };
        let PathStep::Key(key) = step else { return Ok(()) };
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
            self.visit(ValueRef::Composite(&reader::value(SeqAccessDeserializer::new(seq))?));
            return Ok(());
        };
        let PathStep::Index(index) = step else { return Ok(()) };
        for _ in 0..*index {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        self.steps = rest;
        seq.next_element_seed(self).map(|_| ())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.visit_scalar(ValueRef::Text(text))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.visit_scalar(ValueRef::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.visit_scalar(ValueRef::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.visit_scalar(ValueRef::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.visit_scalar(ValueRef::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // JSON text has no non-finite numbers.
        self.visit_scalar(serde_json::Number::from_f64(value).map_or(ValueRef::Null, ValueRef::Number))
    }
}

/// Compares a key without copying it.
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
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::query::PathTest;

    fn check(bucket: Value, holds: &[Value], fails: &[Value]) {
        let text = bucket.to_string();
        let outcome = |path: &Value| PathTest::from_text(&path.to_string()).unwrap().holds(&text);
        for path in holds {
            assert!(outcome(path), "{path} holds for {text}");
        }
        for path in fails {
            assert!(!outcome(path), "{path} does not hold for {text}");
        }
    }

    /// The value at the end of a path, found by descending into the parsed bucket.
    fn descend<'v>(bucket: &'v Value, steps: &[PathStep]) -> Option<&'v Value> {
        steps.iter().try_fold(bucket, |value, step| match step {
            PathStep::Key(key) => value.as_object()?.get(key),
            PathStep::Index(index) => value.as_array()?.get(usize::try_from(*index).ok()?),
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = || {
            prop::sample::select(vec![
                "", "a", "b\\", "\"", "\\\"", "\\\\\"", "\\\"}", "é🖖", "\u{1}", "a,b:[{",
            ])
        };
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 24, 4, move |inner| {
            let members = prop::collection::vec((text().prop_map(str::to_owned), inner.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Value::from),
                members.prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    /// The paths from a value to itself and to each value inside it.
    fn paths(value: &Value) -> Vec<Vec<PathStep>> {
        let paths_through = |step: PathStep, member: &Value| {
            let paths = paths(member).into_iter().map(move |path| [vec![step.clone()], path].concat());
            paths.collect::<Vec<_>>()
        };
        let mut all = vec![Vec::new()];
        for (key, member) in value.as_object().into_iter().flatten() {
            all.extend(paths_through(PathStep::Key(key.clone()), member));
        }
        for (index, element) in value.as_array().into_iter().flatten().enumerate() {
            all.extend(paths_through(PathStep::Index(index as u64), element));
        }
        all
    }

    fn owned(value: ValueRef<'_>) -> Option<Value> {
        match value {
            ValueRef::Absent => None,
            ValueRef::Null => Some(Value::Null),
            ValueRef::Bool(value) => Some(value.into()),
            ValueRef::Number(number) => Some(number.into()),
            ValueRef::Text(text) => Some(text.into()),
            ValueRef::Composite(value) => Some(value.clone()),
        }
    }

    proptest! {
        #[test]
        fn a_path_finds_each_value_and_nothing_below_a_scalar(value in value(), other in value()) {
            let bucket = json!({"before": other, "a": value, "after": other});
            for text in [bucket.to_string(), serde_json::to_string_pretty(&bucket).unwrap()] {
                for mut path in paths(&bucket) {
                    prop_assert_eq!(with_value_at(&text, &path, owned), descend(&bucket, &path).cloned());
                    for step in [PathStep::Key("a".to_owned()), PathStep::Index(3)] {
                        path.push(step);
                        prop_assert_eq!(with_value_at(&text, &path, owned), descend(&bucket, &path).cloned());
                        path.pop();
                    }
                }
            }
        }

        #[test]
        fn no_text_makes_the_lookup_panic(text in "[\\[\\]{}\",:\\\\a1n ]{0,20}") {
            for path in [vec![], vec![PathStep::Key("a".to_owned())], vec![PathStep::Index(1)]] {
                with_value_at(&text, &path, |_| ());
            }
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
