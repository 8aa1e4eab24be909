//! Applies edits to the JSON text of a bucket, without parsing the whole bucket.

use serde_json::Value;

use crate::json::{self, CheckedObject, CheckedValue, TextChecker, needs_escapes};
use crate::query::edit::{Edit, Operation};
use crate::query::step::PathStep;

/// The maximal number of edits that are applied to a text. Each edit reads the whole text, so for more edits
/// it costs less to parse the bucket once.
const MAX_TEXT_EDITS: usize = 2;

/// Applies edits in order, as [`apply`](super::apply) does. Returns the new text, and for each edit the value
/// that the answer has for it. The caller charges these values to the size limit of the answer. The work
/// needs no limit: the edits are few, and move no elements.
///
/// Returns `None` if the caller must parse the bucket and use [`apply`](super::apply):
/// - There is no edit, or there are more than [`MAX_TEXT_EDITS`].
/// - The text does not pass the [`TextChecker`].
/// - An edit is neither a `set` nor an `increment` of a top-level member, or its key needs escapes.
/// - An edit does not fit the bucket, so `apply` refuses it.
pub(crate) fn apply_to_text(
    bucket: &str,
    edits: &[Edit],
    checker: &mut TextChecker,
) -> Option<(String, Vec<Value>)> {
    if edits.len() > MAX_TEXT_EDITS {
        return None;
    }
    let mut values = Vec::with_capacity(edits.len());
    let mut edited: Option<String> = None;
    for edit in edits {
        let object = checker.check(edited.as_deref().unwrap_or(bucket))?;
        let (text, value) = edit.apply_to(&object)?;
        edited = Some(text);
        values.push(value);
    }
    Some((edited?, values))
}

impl Edit {
    /// Applies the edit to an object. Returns the text of the new object, and the value for the answer.
    /// `None` if the bucket must be parsed: see [`apply_to_text`].
    fn apply_to(&self, object: &CheckedObject<'_>) -> Option<(String, Value)> {
        let [PathStep::Key(key)] = self.path.as_slice() else { return None };
        if needs_escapes(key) {
            return None;
        }
        let position = object.position(key);
        let old = position.map_or(Some(Value::Null), |position| object.value(position).map(into_value))?;
        let (new, answer) = match &self.operation {
            Operation::Set(value) => (value.to_string(), old),
            Operation::Increment(by) => {
                let number = match &old {
                    Value::Number(number) => number,
                    // An absent number counts as zero.
                    _ if position.is_none() => &0.into(),
                    // A null that is present, or another value that is no number.
                    _ => return None,
                };
                let sum = json::sum(number, by).ok()?;
                (sum.to_string(), sum.into())
            }
            _ => return None,
        };
        let text = match position {
            Some(position) => object.with_value(position, &new),
            None => object.with_member(key, &new),
        };
        Some((text, answer))
    }
}

fn into_value(value: CheckedValue<'_>) -> Value {
    match value {
        CheckedValue::Null => Value::Null,
        CheckedValue::Text(text) => text.into(),
        CheckedValue::Other(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::diagnostics::{Faults, Place};
    use crate::json::arbitrary::value;
    use crate::query::edit::{apply, read_edits};

    /// Edits of top-level members. Most are `increment` or `set`, which are applied to texts. An edit of the
    /// key `"` is never applied to a text, since the key needs escapes.
    fn edits() -> impl Strategy<Value = Value> {
        let number = || prop_oneof![any::<i64>().prop_map(Value::from), (-9.0..9.0).prop_map(Value::from)];
        let operation = prop_oneof![
            3 => number().prop_map(|by| ("increment", by)),
            2 => value().prop_map(|value| ("set", value)),
            1 => value().prop_map(|value| ("default", value)),
            1 => Just(("remove", Value::Bool(true))),
        ];
        let edit =
            ("[a-d]|\"", operation).prop_map(|(key, (name, operand))| json!({"path": [key], name: operand}));
        prop::collection::vec(edit, 1..4).prop_map(Value::from)
    }

    fn bucket() -> impl Strategy<Value = Value> {
        let value =
            prop_oneof![value(), (-9_i64..9).prop_map(Value::from), any::<u64>().prop_map(Value::from)];
        prop::collection::hash_map("[a-c]", value, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn edits_of_a_text_have_the_outcome_of_edits_of_the_parsed_bucket(
            bucket in bucket(),
            list in edits(),
        ) {
            let edits = read_edits(list, &Place::Root, &mut Faults::default()).unwrap();
            let bucket = bucket.as_object().unwrap().clone();
            let text = json::text_of(&bucket);
            let edited_text = apply_to_text(&text, &edits, &mut TextChecker::default());
            // The closure charges nothing: it is there because `apply` returns values only with one.
            let edited_bucket = apply(bucket, edits, Some(&|_| Ok(())));
            if let Some((text, values)) = edited_text {
                let (bucket, expected_values) = edited_bucket.unwrap();
                prop_assert_eq!((text, values), (json::text_of(&bucket), expected_values));
            }
        }
    }

    #[test]
    fn sets_and_increments_of_top_level_members_are_applied_to_the_text() {
        let cases = [
            (
                json!({"n": 1, "s": "x"}),
                json!([{"path": ["n"], "increment": 2}]),
                r#"{"n":3,"s":"x"}"#,
                json!([3]),
            ),
            (json!({"n": 0.5}), json!([{"path": ["n"], "increment": 1}]), r#"{"n":1.5}"#, json!([1.5])),
            (json!({}), json!([{"path": ["n"], "increment": 2}]), r#"{"n":2}"#, json!([2])),
            (json!({"s": "x"}), json!([{"path": ["s"], "set": ["é\n"]}]), r#"{"s":["é\n"]}"#, json!(["x"])),
            (
                json!({"s": null}),
                json!([{"path": ["t"], "set": 1}, {"path": ["t"], "increment": 1}]),
                r#"{"s":null,"t":2}"#,
                json!([null, 2]),
            ),
        ];
        for (bucket, list, expected, values) in cases {
            let edits = read_edits(list.clone(), &Place::Root, &mut Faults::default()).unwrap();
            let edited = apply_to_text(&bucket.to_string(), &edits, &mut TextChecker::default());
            let (text, answered) = edited.unwrap_or_else(|| panic!("{list} is applied to {bucket} as text"));
            assert_eq!((text.as_str(), Value::from(answered)), (expected, values), "{list}");
        }
        // For these edits, the bucket must be parsed.
        for list in [
            json!([{"path": ["n"], "remove": true}]),
            json!([{"path": ["n", "m"], "set": 1}]),
            // The old value is no number.
            json!([{"path": ["s"], "increment": 1}]),
            // The second sum is out of range.
            json!([{"path": ["n"], "increment": i64::MAX}, {"path": ["n"], "increment": u64::MAX}]),
        ] {
            let edits = read_edits(list.clone(), &Place::Root, &mut Faults::default()).unwrap();
            let bucket = json!({"n": 1, "s": "x"}).to_string();
            assert_eq!(apply_to_text(&bucket, &edits, &mut TextChecker::default()), None, "{list}");
        }
    }
}
