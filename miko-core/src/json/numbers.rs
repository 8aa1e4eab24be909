//! Which number literals survive being read as i64, u64 or f64 and written again.

/// The first number literal of valid JSON `text` that would come back as another number.
pub(super) fn first_inexact(text: &str) -> Option<&str> {
    literals(text).find(|literal| !is_exact(literal))
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
    if literal.bytes().all(|byte| byte != b'.' && byte != b'e' && byte != b'E') {
        return literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok();
    }
    // The shortest text that reads as the same float is what will be written again.
    literal
        .parse::<f64>()
        .is_ok_and(|float| float.is_finite() && Decimal::of(literal) == Decimal::of(&format!("{float:e}")))
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

#[cfg(test)]
mod tests {
    use super::*;

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
            "1.7976931348623157e308",
            "123456789012345680000.0",
        ];
        let inexact = [
            "18446744073709551616",
            "-9223372036854775809",
            "0.1000000000000000055511151231257827",
            "1e-400",
            "1.00000000000000000001",
            "123456789012345678901.5",
            "1e-99999999999999999999",
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
