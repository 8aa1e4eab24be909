//! Values as keys of an index: text that is equal exactly if the values are, as Q0 compares them.

use std::fmt::Write;

use serde_json::{Number, Value};

/// A tuple of values as a key.
///
/// `1` and `1.0` give the same key, `1` and `"1"` do not; the order of an object's keys does not matter. Keys of natural
/// numbers are in the order of the numbers, so that values that ascend go to the end of an index and not all over it.
pub(crate) fn key_of(values: &[&Value]) -> String {
    let mut key = String::new();
    for value in values {
        write_value(value, &mut key);
        // No value's text ends inside another's, so a separator that JSON has outside strings keeps them apart.
        key.push(',');
    }
    key
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
                let _ = write!(key, "{}:", Value::from(name.as_str()));
                write_value(value, key);
                key.push(',');
            }
            key.push('}');
        }
        // Printing a string does not fail, nor does writing to one.
        Value::String(text) => key.push_str(&serde_json::to_string(text).unwrap_or_default()),
        scalar => drop(write!(key, "{scalar}")),
    }
}

/// A float that is a whole number of the range of integers is written as that integer.
fn write_number(number: &Number, key: &mut String) {
    let from = key.len();
    let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
    let _ = match whole {
        // Both bounds are exact as floats, and the conversion is exact between them.
        Some(float) if (-(2f64.powi(63))..2f64.powi(64)).contains(&float) => write!(key, "{}", float as i128),
        _ => write!(key, "{number}"),
    };
    key.insert_str(from, magnitude(&key[from..]));
}

/// What stands before the digits of a natural number: a letter for how many there are. Nothing stands before other numbers.
fn magnitude(number: &str) -> &'static str {
    // As many as a `u64` can have.
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRST";
    let natural = number.bytes().all(|byte| byte.is_ascii_digit());
    let letter = number.len().checked_sub(1).filter(|_| natural).and_then(|at| LETTERS.get(at..=at));
    letter.unwrap_or_default()
}

/// A key as [`key_of`] gave it before it wrote numbers in their order, as it gives it now.
pub(crate) fn with_ordered_numbers(old: &str) -> String {
    let mut key = String::with_capacity(old.len() + 8);
    let mut rest = old;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => string_length(rest),
            _ if first.is_ascii_digit() => rest.find([',', ':', ']', '}']).unwrap_or(rest.len()),
            // A number with a sign keeps its digits as they are.
            '-' => rest.find(',').unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if first.is_ascii_digit() {
            key.push_str(magnitude(token));
        }
        key.push_str(token);
        rest = after;
    }
    key
}

/// How long the JSON string is that `text` begins with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::json::equal;

    #[test]
    fn keys_are_equal_exactly_where_values_are() {
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
                assert_eq!(key_of(&[a]) == key_of(&[b]), equal(a, b), "{a} and {b}");
            }
        }
        assert_ne!(key_of(&[&json!("a"), &json!("b,")]), key_of(&[&json!("a,"), &json!("b")]));
    }

    #[test]
    fn keys_of_natural_numbers_are_in_their_order() {
        let ascending = [0, 1, 9, 10, 11, 99, 100, 1_000, 99_999, 100_000, u64::MAX - 1, u64::MAX];
        assert!(ascending.map(|number| key_of(&[&json!(number)])).is_sorted());
    }

    #[test]
    fn an_old_key_becomes_the_one_that_its_values_have_now() {
        let cases = [
            ("17,", json!([17])),
            ("-17,0.5,1e+300,", json!([-17, 0.5, 1e300])),
            (r#""17,\"18,","19,\\",20,"#, json!(["17,\"18,", "19,\\", 20])),
            (r#"[1,{"a 12":3,"b":[],},],null,true,"#, json!([[1, {"a 12": 3, "b": []}], null, true])),
        ];
        for (old, values) in cases {
            let values: Vec<&Value> = values.as_array().unwrap().iter().collect();
            assert_eq!(with_ordered_numbers(old), key_of(&values));
        }
    }
}
