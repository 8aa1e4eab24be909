//! Which number literals say no more than the i64, u64 or f64 as which they are kept.

use serde_json::Number;

/// The first number literal of valid JSON `text` that would lose digits.
pub(super) fn first_inexact(text: &str) -> Option<&str> {
    literals(text).find(|literal| !is_exact(literal))
}

/// As what a number literal would be kept, if as any number.
pub(super) fn kept_as(literal: &str) -> Option<Number> {
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

/// The place after the string that opens at `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn is_exact(literal: &str) -> bool {
    if literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok() {
        return true;
    }
    let (Some(kept), Ok(float)) = (kept_as(literal), literal.parse::<f64>()) else { return false };
    let written = Decimal::of(literal);
    // A float may have two shortest forms that are equally near. The writer and the standard library choose one each.
    if [kept.to_string(), float.to_string()].iter().any(|shortest| written == Decimal::of(shortest)) {
        return true;
    }
    let digits = significant_digits(literal).clamp(1, MAX_DIGITS);
    written == Decimal::of(&format!("{float:.*e}", digits - 1))
}

/// A float has no more significant digits than some 770: rounded to so many or more it is itself.
const MAX_DIGITS: usize = 800;

/// How many significant digits are written, trailing zeros among them.
fn significant_digits(literal: &str) -> usize {
    let mantissa = literal.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    digits.skip_while(|digit| *digit == b'0').count()
}

/// A decimal number as its significant digits and the exponent of the first of them.
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
        // An exponent beyond i64 is beyond f64, too: the value is infinite or zero and compares as such.
        let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap_or(i64::MAX / 2);
        Self { digits, exponent: exponent.saturating_add(whole.len() as i64 - leading_zeros as i64) }
    }
}

/// Is `number` a whole multiple of `step`, as people count? `0.3` is three times `0.1`, though the floats are not.
pub(crate) fn is_multiple(number: &Number, step: &Number) -> bool {
    let (Some(number), Some(step)) = (Scaled::of(number), Scaled::of(step)) else { return false };
    if step.mantissa == 0 || number.mantissa == 0 {
        return step.mantissa != 0;
    }
    match u64::try_from(number.exponent - step.exponent) {
        // Ten times a remainder stays small: a mantissa has at most 20 digits.
        Ok(more) => (0..more).fold(number.mantissa % step.mantissa, |rest, _| rest * 10 % step.mantissa) == 0,
        // The step is the one with more zeros. Where they do not fit, it is larger than the number.
        Err(_) => step.at(number.exponent).is_some_and(|step| number.mantissa % step == 0),
    }
}

/// A number as `mantissa * 10^exponent`, exactly as it is written.
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

    /// The mantissa at a smaller exponent.
    fn at(self, exponent: i64) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(shift)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn multiples_are_counted_in_decimals() {
        let multiple = |number: serde_json::Value, step: serde_json::Value| match (&number, &step) {
            (serde_json::Value::Number(number), serde_json::Value::Number(step)) => is_multiple(number, step),
            _ => panic!("two numbers"),
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
    fn numbers_that_survive_and_numbers_that_do_not() {
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
            assert!(is_exact(literal), "{literal} survives");
        }
        for literal in inexact {
            assert!(!is_exact(literal), "{literal} does not survive");
        }
    }

    #[test]
    fn digits_inside_strings_are_no_numbers() {
        let text = r#"{"18446744073709551616": "\"99999999999999999999\\", "b": [1, {"c": 2.50}]}"#;
        assert_eq!(literals(text).collect::<Vec<_>>(), ["1", "2.50"]);
        assert_eq!(first_inexact(text), None);
    }
}
