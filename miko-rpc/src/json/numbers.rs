//! Number literals: whether the decimal number survives being stored as i64, u64 or f64, and decimal
//! divisibility.

use serde_json::Number;

/// Returns the first number literal of valid JSON `text` that would lose digits: one that is not
/// [exact](is_exact).
pub(super) fn first_inexact(text: &str) -> Option<&str> {
    literals(text).find(|literal| !is_exact(literal))
}

/// The float that is nearest to a number literal; `None` if it is infinite.
pub(super) fn nearest_float(literal: &str) -> Option<Number> {
    literal.parse().ok().and_then(Number::from_f64)
}

/// The number literals of valid JSON `text`, in order.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            match bytes[at] {
                b'"' => at = end_of_string(bytes, at),
                b'-' | b'0'..=b'9' => {
                    let start = at;
                    while at < bytes.len()
                        && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
                    {
                        at += 1;
                    }
                    return Some(&text[start..at]);
                }
                _ => at += 1,
            }
        }
        None
    })
}

/// The index after the string that opens at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Whether a literal round-trips: it is an i64 or a u64, or its nearest float gives the same decimal number
/// again, when printed in its shortest form or with as many significant digits as the literal has. So `0.1`
/// is exact, although no float has this value. Signs are not compared: a float keeps the sign.
fn is_exact(literal: &str) -> bool {
    if literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok() {
        return true;
    }
    let (Some(stored), Ok(float)) = (nearest_float(literal), literal.parse::<f64>()) else { return false };
    let decimal = Decimal::of(literal);
    // A float may have two shortest decimal forms that are equally near. The JSON writer and the standard
    // library choose one each.
    if [stored.to_string(), float.to_string()].iter().any(|shortest| decimal == Decimal::of(shortest)) {
        return true;
    }
    let digits = significant_digits(literal).clamp(1, MAX_DIGITS);
    decimal == Decimal::of(&format!("{float:.*e}", digits - 1))
}

/// More significant digits than any float has (about 770): rounding to this many digits leaves every float
/// unchanged.
const MAX_DIGITS: usize = 800;

/// Counts the significant digits of a literal, including trailing zeros.
fn significant_digits(literal: &str) -> usize {
    let mantissa = literal.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    digits.skip_while(|digit| *digit == b'0').count()
}

/// The absolute value of a decimal number: `0.d1d2… * 10^exponent`, where `d1d2…` are the significant
/// digits, without leading and trailing zeros. The sign is dropped.
#[derive(PartialEq, Eq)]
struct Decimal {
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(literal: &str) -> Self {
        let unsigned = literal.trim_start_matches('-');
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading_zeros = all.len() - digits.len();
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Self { digits, exponent: 0 };
        }
        // An exponent beyond i64 is also beyond f64: the value is infinite or zero and compares as such.
        let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX / 2);
        Self { digits, exponent: exponent.saturating_add(whole.len() as i64 - leading_zeros as i64) }
    }
}

/// Whether `number` is an integer multiple of `step` in decimal arithmetic: `0.3` is three times `0.1`,
/// though the floats are not. No number is a multiple of zero.
pub fn is_multiple(number: &Number, step: &Number) -> bool {
    let (Some(number), Some(step)) = (Scaled::of(number), Scaled::of(step)) else { return false };
    if step.mantissa == 0 || number.mantissa == 0 {
        return step.mantissa != 0;
    }
    match u64::try_from(number.exponent - step.exponent) {
        // Ten times a remainder does not overflow: a mantissa has at most 20 digits.
        Ok(shift) => {
            (0..shift).fold(number.mantissa % step.mantissa, |remainder, _| remainder * 10 % step.mantissa)
                == 0
        }
        // The step has the larger exponent. If its mantissa overflows at the smaller exponent, the step
        // exceeds the number.
        Err(_) => step.scaled_to(number.exponent).is_some_and(|step| number.mantissa % step == 0),
    }
}

/// The absolute value of a number as `mantissa * 10^exponent`, from its decimal text. The sign, which
/// divisibility does not depend on, is dropped.
#[derive(Clone, Copy)]
struct Scaled {
    mantissa: i128,
    exponent: i64,
}

impl Scaled {
    fn of(number: &Number) -> Option<Self> {
        let decimal = Decimal::of(&number.to_string());
        let mantissa = if decimal.digits.is_empty() { 0 } else { decimal.digits.parse().ok()? };
        Some(Self { mantissa, exponent: decimal.exponent - decimal.digits.len() as i64 })
    }

    /// Scales the mantissa to a smaller exponent.
    fn scaled_to(self, exponent: i64) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(shift)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn multiples_are_decimal() {
        let multiple = |number: serde_json::Value, step: serde_json::Value| match (&number, &step) {
            (serde_json::Value::Number(number), serde_json::Value::Number(step)) => is_multiple(number, step),
            _ => panic!("both values should be numbers"),
        };
        let multiples = [
            (json!(0.3), json!(0.1)),
            (json!(-6), json!(3)),
            (json!(6.0), json!(3)),
            (json!(0), json!(7)),
            (json!(1e300), json!(1e300)),
            (json!(u64::MAX), json!(5)),
            (json!(1e20), json!(0.5)),
            (json!(1e40), json!(1)),
            (json!(1e300), json!(0.001)),
        ];
        let others = [
            (json!(0.35), json!(0.1)),
            (json!(7), json!(3)),
            (json!(i64::MAX), json!(2)),
            (json!(1), json!(1e300)),
            (json!(1), json!(0)),
            (json!(1e40), json!(3)),
        ];
        for (number, step) in multiples {
            assert!(multiple(number.clone(), step.clone()), "{number} {step}");
        }
        for (number, step) in others {
            assert!(!multiple(number.clone(), step.clone()), "{number} {step}");
        }
    }

    #[test]
    fn exact_and_inexact_literals_are_distinguished() {
        let exact = [
            "0",
            "-0",
            "-0.0",
            "1",
            "-1",
            "1.0",
            "1.10",
            "0.1",
            "1e2",
            "1E+2",
            "100.0e-2",
            "1e308",
            "5e-324",
            "0e999",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "1e20",
            "0.30000000000000004",
            "0.10000000000000001",
            "0.1000000000000000055511151231257827",
            "0.1000000000000000055511151231257827021181583404541015625",
            "100000000000000000000",
            "18446744073709551616",
            "-100000000000000000000.00",
            "0.00000000000000000000",
            "1.7976931348623157e308",
            "123456789012345680000.0",
            // Two shortest forms of the same float.
            "1241342377403049.2",
            "1241342377403049.3",
        ];
        let inexact = [
            "18446744073709551617",
            "-9223372036854775809",
            "9007199254740993.0",
            "9007199254740993e0",
            "0.1000000000000000055511151231257828",
            "0.10000000000000000555111512312578270211815834045410156250001",
            "1e999",
            "1e-400",
            "1.00000000000000000001",
            "123456789012345678901.5",
            "1e-99999999999999999999",
            "1241342377403049.4",
        ];
        for literal in exact {
            assert!(is_exact(literal), "{literal} should be exact");
        }
        for literal in inexact {
            assert!(!is_exact(literal), "{literal} should be inexact");
        }
    }

    #[test]
    fn digits_inside_strings_are_not_numbers() {
        let text = r#"{"18446744073709551616": "\"99999999999999999999\\", "b": [1, {"c": 2.50}]}"#;
        assert_eq!(literals(text).collect::<Vec<_>>(), ["1", "2.50"]);
        assert_eq!(first_inexact(text), None);
    }
}
