//! Validates strings, URLs, numbers and counts of elements against the rules of a field.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Number;

use super::field::ElementRules;
use super::scalar_rules::{Bound, Format, NumberRules, StringRules};
use super::violations::Violations;
use crate::diagnostics::{Place, abbreviate};
use crate::json::{compare_numbers, is_multiple};

pub(super) fn check_string(
    violations: &mut Violations<'_>,
    rules: &StringRules,
    text: &str,
    place: &Place<'_>,
) {
    if rules.min_length.is_some() || rules.max_length.is_some() {
        let length = text.chars().count() as u64;
        let mut report = |rule, allowed: u64, how| {
            let message = format!("the string has {length} characters, and {how} {allowed}");
            let fault = violations.item(place, rule, message);
            violations.push(fault.with("allowed", allowed).with("found", length));
        };
        match (rules.min_length, rules.max_length) {
            (Some(min), _) if length < min => report("min_length", min, "needs at least"),
            (_, Some(max)) if length > max => report("max_length", max, "may have at most"),
            _ => {}
        }
    }
    if let Some(format) = rules.format
        && let Some(expected) = format.expected_unless_matched(text)
    {
        violations.push_mismatch(place, "format", expected, &text.into());
    }
    if let Some(pattern) = &rules.pattern
        && !pattern.is_match(text)
    {
        let fault = violations.item(place, "pattern", format!("the string does not match /{pattern}/"));
        violations.push(fault.with("allowed", pattern.as_str()).with("found", abbreviate(&text.into())));
    }
}

impl Format {
    /// The description of the format for an error message; `None` if `text` has the format.
    fn expected_unless_matched(self, text: &str) -> Option<&'static str> {
        // Never `None`, since the pattern is well-formed.
        static IDENTIFIER: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new("^[A-Za-z_][A-Za-z0-9_]*$").ok());
        let matches =
            |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_some_and(|regex| regex.is_match(text));
        let (holds, expected) = match self {
            // The parser also accepts UUIDs in other forms, which have other lengths.
            Self::Uuid => (
                text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
                "a UUID, 32 hexadecimal digits with hyphens",
            ),
            Self::Identifier => {
                (matches(&IDENTIFIER), "an identifier: letters, digits and _, not beginning with a digit")
            }
            Self::Email => (is_email(text), "an email address alone, such as kirk@starfleet.com"),
            Self::Date => (is_date(text), "a date such as 2026-04-21"),
        };
        (!holds).then_some(expected)
    }
}

/// Whether the text is an addr-spec of RFC 5322, without a display name.
fn is_email(text: &str) -> bool {
    let options = email_address::Options::default().without_display_text();
    email_address::EmailAddress::parse_with_options(text, options).is_ok()
}

/// Schemes whose URLs must have a host.
const SCHEMES_WITH_HOST: [&str; 11] =
    ["http", "https", "ws", "wss", "ftp", "ftps", "sftp", "ssh", "git", "telnet", "rtsp"];

/// Whether the text is an IRI with a scheme, and with a host if the scheme needs one.
pub(super) fn is_url(text: &str) -> bool {
    let Ok(iri) = iri_string::types::IriStr::new(text) else { return false };
    let needs_host = SCHEMES_WITH_HOST.iter().any(|scheme| iri.scheme_str().eq_ignore_ascii_case(scheme));
    !needs_host || iri.authority_components().is_some_and(|authority| !authority.host().is_empty())
}

/// Whether the text is a date with hyphens. The parser also accepts other forms, which have other lengths.
fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

pub(super) fn check_number(
    violations: &mut Violations<'_>,
    rules: &NumberRules,
    number: &Number,
    place: &Place<'_>,
) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    // The last part of each tuple has the allowed results of comparing the number with the bound.
    let bounds = [
        ("min", &rules.min, "at least", [Equal, Greater].as_slice()),
        ("max", &rules.max, "at most", &[Equal, Less]),
        ("gt", &rules.gt, "more than", &[Greater]),
        ("lt", &rules.lt, "less than", &[Less]),
    ];
    for (rule, bound, how, allowed_orders) in bounds {
        if let Some(Bound { number: bound, .. }) = bound
            && !compare_numbers(number, bound).is_some_and(|order| allowed_orders.contains(&order))
        {
            let fault =
                violations.item(place, rule, format!("the number is {number}, and must be {how} {bound}"));
            violations.push(fault.with("allowed", bound.clone()).with("found", number.clone()));
        }
    }
    if rules.integer_only
        && !(number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|f| f.fract() == 0.0))
    {
        violations.push_mismatch(place, "integer_only", "a whole number", &number.clone().into());
    }
    if let Some(step) = &rules.multiple_of
        && !is_multiple(number, step)
    {
        let fault = violations.item(place, "multiple_of", format!("{number} is no multiple of {step}"));
        violations.push(fault.with("allowed", step.clone()).with("found", number.clone()));
    }
}

pub(super) fn check_count(
    violations: &mut Violations<'_>,
    elements: &ElementRules,
    count: usize,
    place: &Place<'_>,
) {
    let count = count as u64;
    let violated = match (elements.min, elements.max) {
        (Some(min), _) if count < min => Some(("min_elements", min, "needs at least")),
        (_, Some(max)) if count > max => Some(("max_elements", max, "may have at most")),
        _ => None,
    };
    if let Some((rule, allowed, how)) = violated {
        let fault =
            violations.item(place, rule, format!("there are {count} elements, and it {how} {allowed}"));
        violations.push(fault.with("allowed", allowed).with("found", count));
    }
}
