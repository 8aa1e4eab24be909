//! Equality of JSON values as Q0 defines it.

use std::cell::Cell;
use std::cmp::Ordering;

use serde_json::{Number, Value};

/// Whether two JSON values are equal. Their types must agree. Numbers compare by exact value across i64, u64
/// and f64 (`1` equals `1.0`), arrays element by element, objects regardless of the order of their keys.
///
/// ```
/// use miko_core::json::equal;
/// use serde_json::json;
///
/// assert!(equal(&json!([1, {"a": 1, "b": 2}]), &json!([1.0, {"b": 2, "a": 1}])));
/// assert!(!equal(&json!(1), &json!(true)));
/// assert!(!equal(&json!(u64::MAX), &json!(u64::MAX as f64)));
/// ```
pub fn equal(a: &Value, b: &Value) -> bool {
    equal_with(a, b, |_| ())
}

/// As [`equal`]. Adds to `work` how many elements and members inside of the values were compared. Long text
/// counts more: a string or a key counts once for each full [`TEXT_UNIT`] in it, besides.
pub(crate) fn equal_counting(a: &Value, b: &Value, work: &mut usize) -> bool {
    let counter = Cell::new(*work);
    let are_equal = equal_with(a, b, |count| counter.set(counter.get().saturating_add(count)));
    *work = counter.get();
    are_equal
}

/// How many bytes of text are about as much work to compare as a number.
const TEXT_UNIT: usize = 64;

/// As [`equal`]. `count` is called with the work of each comparison, as [`equal_counting`] adds it. It is
/// passed by value, so that a function that does nothing costs nothing.
fn equal_with(a: &Value, b: &Value, count: impl Fn(usize) + Copy) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
        (Value::String(a), Value::String(b)) => {
            // Only strings of the same length are compared further.
            a.len() == b.len() && {
                count(a.len() / TEXT_UNIT);
                a == b
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let are_equal = |(a, b)| {
                count(1);
                equal_with(a, b, count)
            };
            a.len() == b.len() && a.iter().zip(b).all(are_equal)
        }
        (Value::Object(a), Value::Object(b)) => {
            let is_in_b = |(key, a): (&String, &Value)| {
                count(1 + key.len() / TEXT_UNIT);
                b.get(key).is_some_and(|b| equal_with(a, b, count))
            };
            a.len() == b.len() && a.iter().all(is_in_b)
        }
        (a, b) => a == b,
    }
}

/// Orders two numbers by their exact values. `None` only for NaN, which JSON lacks.
pub(crate) fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_integer_with_float(a, b.as_f64()?),
        (None, Some(b)) => compare_integer_with_float(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// Compares without rounding. The integer is not converted to a float, which could round it. Instead, the
/// integer part of the float is converted to `i128`, which is exact below 2^64. A float of 2^64 or more
/// exceeds every `i64` and `u64` in magnitude, so its sign gives the order.
fn compare_integer_with_float(integer: i128, float: f64) -> Option<Ordering> {
    if float.abs() >= 2f64.powi(64) {
        return 0.0.partial_cmp(&float);
    }
    let integer_part = float.trunc() as i128;
    match integer.cmp(&integer_part) {
        Ordering::Equal => 0.0.partial_cmp(&float.fract()),
        unequal => Some(unequal),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_compared_inside_of_values_is_counted() {
        let text = |last: &str| format!("{}{last}", "x".repeat(2 * TEXT_UNIT));
        let cases = [
            (json!(1), json!(1), 0),
            (json!([1, 2, 3]), json!([1, 2, 3]), 3),
            (json!([1, 2, 3]), json!([1, 0, 3]), 2),
            (json!([1, 2, 3]), json!([1, 2]), 0),
            (json!([[1, 2], [3]]), json!([[1, 2], [3]]), 5),
            (json!({"a": 1, "b": [2]}), json!({"b": [2], "a": 1}), 3),
            (json!({"a": 1, "b": 2}), json!({"c": 1, "b": 2}), 1),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), 0),
            (json!(text("a")), json!(text("b")), 2),
            (json!(text("a")), json!(text("")), 0),
            (json!({text("a"): 1}), json!({text("b"): 1}), 3),
        ];
        for (a, b, expected) in cases {
            let mut work = 10;
            assert_eq!(equal_counting(&a, &b, &mut work), equal(&a, &b));
            assert_eq!(work, 10 + expected, "{a} and {b}");
        }
    }

    #[test]
    fn numbers_compare_by_exact_value() {
        let equal_pairs = [
            (json!(1), json!(1.0)),
            (json!(0), json!(-0.0)),
            (json!(9007199254740992_i64), json!(9007199254740992.0)),
            (json!(i64::MIN), json!(-9223372036854775808.0)),
        ];
        let unequal_pairs = [
            (json!(1), json!(1.5)),
            (json!(-1), json!(-1.5)),
            (json!(9007199254740993_i64), json!(9007199254740992.0)),
            (json!(i64::MAX), json!(9223372036854775808.0)),
            (json!(u64::MAX), json!(18446744073709551616.0)),
            (json!(u64::MAX), json!(-1)),
            (json!(1), json!(1e300)),
            (json!(1), json!("1")),
        ];
        for (a, b) in equal_pairs {
            assert!(equal(&a, &b) && equal(&b, &a), "{a} should equal {b}");
        }
        for (a, b) in unequal_pairs {
            assert!(!equal(&a, &b) && !equal(&b, &a), "{a} should not equal {b}");
        }
    }
}
