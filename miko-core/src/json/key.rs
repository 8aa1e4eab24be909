//! Values as keys of an index: text that is equal exactly if the values are, as Q0 compares them.

use std::fmt::Write;

use serde_json::{Number, Value};

/// A tuple of values as a key.
///
/// `1` and `1.0` give the same key, `1` and `"1"` do not; the order of an object's keys does not matter.
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
        // Writing to a string does not fail.
        scalar => drop(write!(key, "{scalar}")),
    }
}

/// A float that is a whole number of the range of integers is written as that integer.
fn write_number(number: &Number, key: &mut String) {
    let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
    let _ = match whole {
        // Both bounds are exact as floats, and the conversion is exact between them.
        Some(float) if (-(2f64.powi(63))..2f64.powi(64)).contains(&float) => write!(key, "{}", float as i128),
        _ => write!(key, "{number}"),
    };
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
}
