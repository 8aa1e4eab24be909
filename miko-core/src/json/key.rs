//! Index keys: texts that represent values. Two values have the same key exactly when they are equal by the
//! rules of Q0. Also converts the keys of an older format.

use std::fmt::Write;

use serde_json::{Number, Value};

/// Builds the key of a tuple of values, which are added one by one.
///
/// `1` and `1.0` give the same key, `1` and `"1"` do not; the order of an object's keys does not matter. Keys
/// of natural numbers sort in numeric order, so ascending values are appended at the end of an index instead
/// of being inserted at random places.
#[derive(Debug)]
pub(crate) struct IndexKey(String);

impl IndexKey {
    pub(crate) fn new() -> Self {
        // Most keys are short.
        Self(String::with_capacity(24))
    }

    pub(crate) fn push(&mut self, value: &Value) {
        write_value(value, &mut self.0);
        // The text of a value has commas only inside brackets and strings, so a comma separates values
        // unambiguously.
        self.0.push(',');
    }

    /// Adds a string, which is given as its JSON text, with quotes and in the form in which `serde_json`
    /// writes it.
    pub(crate) fn push_string_text(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push(',');
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// The key of a tuple of values.
pub(crate) fn index_key(values: &[&Value]) -> String {
    let mut key = IndexKey::new();
    values.iter().for_each(|value| key.push(value));
    key.into_text()
}

fn write_value(value: &Value, key: &mut String) {
    match value {
        Value::Number(number) => write_number(number, key),
        Value::Array(items) => {
            key.push('[');
            for item in items {
                write_value(item, key);
                key.push(',');
            }
            key.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            key.push('{');
            for (name, value) in members {
                // Writing to a string cannot fail, here and below.
                let _ = write!(key, "{}:", Value::from(name.as_str()));
                write_value(value, key);
                key.push(',');
            }
            key.push('}');
        }
        // Serializing a string cannot fail.
        Value::String(text) => key.push_str(&serde_json::to_string(text).unwrap_or_default()),
        scalar => drop(write!(key, "{scalar}")),
    }
}

/// Writes a number. A whole float in the range of the integers is written as the integer, so both have the
/// same key.
fn write_number(number: &Number, key: &mut String) {
    let start = key.len();
    let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
    let _ = match whole {
        // Both bounds are exact as floats, and the conversion is exact between them.
        Some(float) if (-(2f64.powi(63))..2f64.powi(64)).contains(&float) => write!(key, "{}", float as i128),
        _ => write!(key, "{number}"),
    };
    key.insert_str(start, length_prefix(&key[start..]));
}

/// The prefix of a natural number: a letter for its number of digits, so that text order is numeric order.
/// Other numbers have no prefix.
fn length_prefix(number: &str) -> &'static str {
    // One letter for each length up to that of `u64::MAX`.
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRST";
    let natural = number.bytes().all(|byte| byte.is_ascii_digit());
    let letter = number.len().checked_sub(1).filter(|_| natural).and_then(|index| LETTERS.get(index..=index));
    letter.unwrap_or_default()
}

/// Converts a key of the older format of [`index_key`], without length prefixes, to the current format. For
/// the upgrade of a database file of an earlier version.
pub(crate) fn with_length_prefixes(old: &str) -> String {
    let mut key = String::with_capacity(old.len() + 8);
    let mut rest = old;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            // A number is one token, up to the comma that follows each value. So the digits of a negative
            // number get no prefix.
            '-' | '0'..='9' => rest.find(',').unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if first.is_ascii_digit() {
            key.push_str(length_prefix(token));
        }
        key.push_str(token);
        rest = after;
    }
    key
}

/// The length of the JSON string at the start of `text`.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::equal;

    #[test]
    fn keys_are_equal_exactly_when_values_are() {
        let values = [
            json!(1),
            json!(1.0),
            json!("1"),
            json!(true),
            json!(null),
            json!(-0.0),
            json!(0),
            json!(0.5),
            json!(9007199254740992.0),
            json!(9007199254740993_u64),
            json!(u64::MAX),
            json!(u64::MAX as f64),
            json!(i64::MIN),
            json!(i64::MIN as f64),
            json!(1e300),
            json!("a,b"),
            json!(["a", "b"]),
            json!(["a,b"]),
            json!([["a"], "b"]),
            json!([]),
            json!({}),
            json!({"a": 1, "b": [2.0]}),
            json!({"b": [2], "a": 1.0}),
            json!({"a": "1,\"b\":[2,],"}),
        ];
        for a in &values {
            for b in &values {
                assert_eq!(index_key(&[a]) == index_key(&[b]), equal(a, b), "{a} and {b}");
            }
        }
        assert_ne!(index_key(&[&json!("a"), &json!("b,")]), index_key(&[&json!("a,"), &json!("b")]));
    }

    #[test]
    fn keys_of_natural_numbers_sort_in_numeric_order() {
        let ascending = [0, 1, 9, 10, 11, 99, 100, 1_000, 99_999, 100_000, u64::MAX - 1, u64::MAX];
        assert!(ascending.map(|number| index_key(&[&json!(number)])).is_sorted());
    }

    #[test]
    fn a_key_of_the_old_format_is_converted_to_the_current_one() {
        let cases = [
            ("17,", json!([17])),
            ("-17,0.5,1e+300,", json!([-17, 0.5, 1e300])),
            (r#""17,\"18,","19,\\",20,"#, json!(["17,\"18,", "19,\\", 20])),
            (r#"[1,{"a 12":3,"b":[],},],null,true,"#, json!([[1, {"a 12": 3, "b": []}], null, true])),
        ];
        for (old, values) in cases {
            let values: Vec<&Value> = values.as_array().unwrap().iter().collect();
            assert_eq!(with_length_prefixes(old), index_key(&values));
        }
    }
}
