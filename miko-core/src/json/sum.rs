//! The sum of two numbers.

use serde_json::Number;

/// Why two numbers have no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSum {
    /// It is outside the range of integers (-2^63 to 2^64-1), or of floats.
    Overflow,
    /// One is a float, and the other an integer that no float equals.
    Inexact,
}

/// Adds two numbers. Two integers give their exact sum, as an integer; a float makes the sum a float.
pub(crate) fn sum(a: &Number, b: &Number) -> Result<Number, NoSum> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => {
            // It cannot overflow: both fit into 65 bits.
            let sum = a + b;
            let signed = i64::try_from(sum).map(Number::from);
            signed.or_else(|_| u64::try_from(sum).map(Number::from)).map_err(|_| NoSum::Overflow)
        }
        _ => Number::from_f64(float(a)? + float(b)?).ok_or(NoSum::Overflow),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The float that equals the number; `Inexact` if none does.
fn float(number: &Number) -> Result<f64, NoSum> {
    let float = number.as_f64().ok_or(NoSum::Inexact)?;
    match integer(number) {
        Some(integer) if float as i128 != integer => Err(NoSum::Inexact),
        _ => Ok(float),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn integers_have_an_exact_sum_and_a_float_makes_a_float() {
        let cases = [
            (json!(1), json!(2), Ok(json!(3))),
            (json!(u64::MAX - 1), json!(1), Ok(json!(u64::MAX))),
            (json!(u64::MAX), json!(1), Err(NoSum::Overflow)),
            (json!(u64::MAX), json!(i64::MIN), Ok(json!(9_223_372_036_854_775_807_u64))),
            (json!(i64::MIN), json!(-1), Err(NoSum::Overflow)),
            (json!(i64::MAX), json!(1), Ok(json!(9_223_372_036_854_775_808_u64))),
            (json!(9_007_199_254_740_993_u64), json!(1), Ok(json!(9_007_199_254_740_994_u64))),
            (json!(9_007_199_254_740_993_u64), json!(1.0), Err(NoSum::Inexact)),
            (json!(9_007_199_254_740_992_u64), json!(2.0), Ok(json!(9_007_199_254_740_994.0))),
            (json!(1), json!(1.0), Ok(json!(2.0))),
            (json!(0.1), json!(0.2), Ok(json!(0.1 + 0.2))),
            (json!(0), json!(-0.5), Ok(json!(-0.5))),
            (json!(f64::MAX), json!(f64::MAX), Err(NoSum::Overflow)),
            (json!(u64::MAX), json!(0.5), Err(NoSum::Inexact)),
        ];
        let number = |value: &Value| value.as_number().unwrap().clone();
        for (a, b, expected) in cases {
            let expected = expected.map(|sum| number(&sum));
            assert_eq!(sum(&number(&a), &number(&b)), expected, "{a} + {b}");
            assert_eq!(sum(&number(&b), &number(&a)), expected, "{b} + {a}");
        }
    }
}
