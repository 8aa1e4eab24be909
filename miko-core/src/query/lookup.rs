//! Finds the value at the end of a path in the text of a bucket. Other values are passed over, not parsed.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::{Number, Value};

use crate::json::reader;
use crate::query::step::PathStep;
use crate::query::value_ref::ValueRef;

/// Calls `visit` with the value at the end of the steps in a bucket given as JSON text.
pub(super) fn with_value_at<R>(bucket: &str, steps: &[PathStep], visit: impl FnOnce(ValueRef<'_>) -> R) -> R {
    let text = Scanner { text: bucket, at: 0 }.find(steps).unwrap_or_default();
    match text.as_bytes().first() {
        None => visit(ValueRef::Absent),
        Some(b'n') => visit(ValueRef::Null),
        Some(b't') => visit(ValueRef::Bool(true)),
        Some(b'f') => visit(ValueRef::Bool(false)),
        Some(b'"') => visit(ValueRef::Text(&unescaped(text))),
        Some(b'{' | b'[') => {
            let value = reader::value(&mut serde_json::Deserializer::from_str(text));
            visit(ValueRef::Composite(&value.unwrap_or(Value::Null)))
        }
        Some(_) => {
            let number = serde_json::from_str::<Number>(text);
            visit(number.map_or(ValueRef::Null, ValueRef::Number))
        }
    }
}

/// The content of a string, given with its quotes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let content = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    if content.contains('\\') {
        serde_json::from_str(quoted).map_or_else(|_| content.into(), Cow::Owned)
    } else {
        content.into()
    }
}

/// Moves through JSON text, which is valid: it was written from a value. In other text it finds nothing, or
/// something else.
struct Scanner<'t> {
    text: &'t str,
    /// The index of the next byte.
    at: usize,
}

impl<'t> Scanner<'t> {
    /// The text of the value at the end of the steps.
    fn find(mut self, steps: &[PathStep]) -> Option<&'t str> {
        for step in steps {
            match (step, self.next()?) {
                (PathStep::Key(key), b'{') => self.enter_object(key)?,
                (PathStep::Index(index), b'[') => self.enter_array(*index)?,
                _ => return None,
            }
        }
        self.next()?;
        let begin = self.at;
        self.pass_value()?;
        self.text.get(begin..self.at)
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Moves from the brace of an object to the value of a key.
    fn enter_object(&mut self, key: &str) -> Option<()> {
        loop {
            self.at += 1;
            if self.next()? != b'"' {
                return None;
            }
            let begin = self.at;
            self.pass_string()?;
            let quoted = self.text.get(begin..self.at)?;
            if self.next()? != b':' {
                return None;
            }
            self.at += 1;
            if is_key(quoted, key) {
                return Some(());
            }
            self.next()?;
            self.pass_value()?;
            if self.next()? != b',' {
                return None;
            }
        }
    }

    /// Moves from the bracket of an array to an element.
    fn enter_array(&mut self, index: u64) -> Option<()> {
        self.at += 1;
        for _ in 0..index {
            if self.next()? == b']' {
                return None;
            }
            self.pass_value()?;
            if self.next()? != b',' {
                return None;
            }
            self.at += 1;
        }
        (self.next()? != b']').then_some(())
    }

    /// Moves behind the value whose first byte is the next one.
    fn pass_value(&mut self) -> Option<()> {
        match self.text.as_bytes().get(self.at)? {
            b'"' => self.pass_string(),
            b'{' | b'[' => self.pass_composite(),
            _ => {
                let rest = self.text.as_bytes().get(self.at..)?;
                let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                self.at += rest.iter().position(is_end).unwrap_or(rest.len());
                Some(())
            }
        }
    }

    /// Moves behind the string whose first quote is the next byte.
    fn pass_string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = memchr2(b'"', b'\\', rest)?;
            self.at += found + 1;
            if rest[found] == b'"' {
                return Some(());
            }
            // What is escaped.
            self.at += 1;
        }
    }

    /// Moves behind the array or object whose first byte is the next one.
    fn pass_composite(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.pass_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

/// Whether a key, given with its quotes, is `key`.
fn is_key(quoted: &str, key: &str) -> bool {
    let content = &quoted.as_bytes()[1..quoted.len() - 1];
    // What is escaped is never equal to its own text.
    let is_escaped = || content.contains(&b'\\');
    if content == key.as_bytes() { !is_escaped() } else { is_escaped() && unescaped(quoted) == key }
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

    /// The paths of all values inside.
    fn paths(value: &Value) -> Vec<Vec<PathStep>> {
        let below = |step: PathStep, value: &Value| {
            let below = paths(value).into_iter().map(move |path| [vec![step.clone()], path].concat());
            below.collect::<Vec<_>>()
        };
        let mut all = vec![Vec::new()];
        for (key, value) in value.as_object().into_iter().flatten() {
            all.extend(below(PathStep::Key(key.clone()), value));
        }
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            all.extend(below(PathStep::Index(index as u64), value));
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
        fn each_value_is_found_and_nothing_behind_it(value in value(), other in value()) {
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
        fn no_text_makes_it_panic(text in "[\\[\\]{}\",:\\\\a1n ]{0,20}") {
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
