//! The sum of two numbers.

use serde_json::Number;

/// Why two numbers have no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSum {
    /// The sum is outside the range of integers (-2^63 to 2^64-1), or of floats.
    Overflow,
    /// The sum would be a float, but one of the operands is an integer that no float equals, or both operands
    /// are whole and no float equals their sum.
    Inexact,
}

/// Adds two numbers. The sum of two integers is an integer. If an operand is a float, the sum is a float, and
/// an integer operand that no float equals is an error. If both operands are whole, integers or floats, the
/// sum is exact: an increment that rounding would lose is an error. If an operand has a fraction, the sum is
/// rounded.
pub(crate) fn sum(a: &Number, b: &Number) -> Result<Number, NoSum> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => {
            // This cannot overflow: both operands fit into 65 bits.
            let sum = a + b;
            let signed = i64::try_from(sum).map(Number::from);
            signed.or_else(|_| u64::try_from(sum).map(Number::from)).map_err(|_| NoSum::Overflow)
        }
        _ => {
            let (a, b) = (float(a)?, float(b)?);
            let sum = Number::from_f64(a + b).ok_or(NoSum::Overflow)?;
            let are_whole = a.fract() == 0.0 && b.fract() == 0.0;
            if are_whole && rounding_error(a, b) != 0.0 { Err(NoSum::Inexact) } else { Ok(sum) }
        }
    }
}

/// The rounding error of `a + b`, exactly: the algorithm 2Sum of Knuth and Møller.
fn rounding_error(a: f64, b: f64) -> f64 {
    let sum = a + b;
    let from_b = sum - a;
    let from_a = sum - from_b;
    (a - from_a) + (b - from_b)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The float that equals the number; `Inexact` if no float equals it.
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
            (json!(9_007_199_254_740_992.0), json!(1), Err(NoSum::Inexact)),
            (json!(9_007_199_254_740_992.0), json!(1.0), Err(NoSum::Inexact)),
            (json!(9_007_199_254_740_992.0), json!(2), Ok(json!(9_007_199_254_740_994.0))),
            (json!(-9_007_199_254_740_992.0), json!(-1), Err(NoSum::Inexact)),
            (json!(1e20), json!(1), Err(NoSum::Inexact)),
            (json!(1e20), json!(-1e20), Ok(json!(0.0))),
            (json!(1e20), json!(0), Ok(json!(1e20))),
            (json!(f64::MAX), json!(1), Err(NoSum::Inexact)),
            (json!(1e20), json!(0.5), Ok(json!(1e20))),
        ];
        let number = |value: &Value| value.as_number().unwrap().clone();
        for (a, b, expected) in cases {
            let expected = expected.map(|sum| number(&sum));
            assert_eq!(sum(&number(&a), &number(&b)), expected, "{a} + {b}");
            assert_eq!(sum(&number(&b), &number(&a)), expected, "{b} + {a}");
        }
    }
}
