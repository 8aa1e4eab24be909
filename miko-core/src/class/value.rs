//! Checking one value against the type of its field.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

use super::check::Checker;
use super::field::{ElementRules, FieldType, Format, NumberRules, StringRules};
use super::reference::pk_of;
use crate::json::{compare_numbers, is_multiple, type_name};
use crate::query::Place;
use crate::timestamp::is_rfc3339;

/// Checks a value that is not null.
pub(super) fn check(checker: &mut Checker<'_>, kind: &FieldType, value: &Value, place: &Place<'_>) {
    match (kind, value) {
        (FieldType::Any | FieldType::Function, _) | (FieldType::Boolean, Value::Bool(_)) => {}
        (FieldType::String(rules), Value::String(text)) => check_text(checker, rules, text, place),
        (FieldType::Number(bounds), Value::Number(number)) => check_number(checker, bounds, number, place),
        (FieldType::Url, Value::String(text)) => {
            if !is_url(text) {
                refuse(
                    checker,
                    place,
                    "url",
                    "a URL with its protocol, such as https://starfleet.com",
                    value,
                );
            }
        }
        (FieldType::Timestamp, Value::String(text)) => {
            if !is_rfc3339(text) {
                let expected = "a timestamp with an offset, such as 2026-04-21T14:32:00Z";
                refuse(checker, place, "timestamp", expected, value);
            }
        }
        (FieldType::Hash(hash), Value::Object(map)) => {
            checker.hash(hash, map, place);
            check_count(checker, &hash.elements, map.len(), place);
        }
        (FieldType::Array(elements), Value::Array(items)) => {
            check_count(checker, elements, items.len(), place);
            if let Some(of) = &elements.of {
                for (index, item) in items.iter().enumerate() {
                    checker.element(of, item, &Place::Index(place, index));
                }
            }
        }
        (FieldType::Reference(_) | FieldType::File, found) if pk_of(found).is_some() => {}
        (FieldType::Class(_), Value::String(_)) => {}
        (FieldType::Class(class), Value::Object(embedded)) => {
            // An object that is marked is checked by the class that its marker names.
            if !checker.is_marked(class, embedded, place)
                && let Some(class) = checker.catalog.class(class)
            {
                checker.object(class, embedded, place);
            }
        }
        (kind, found) => refuse(checker, place, "class", expected(kind), found),
    }
}

/// What a value of this type is called in messages.
fn expected(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::Any | FieldType::Function => "any value",
        FieldType::String(_) => "a string",
        FieldType::Number(_) => "a number",
        FieldType::Boolean => "a boolean",
        FieldType::Url => "a URL",
        FieldType::Timestamp => "a timestamp",
        FieldType::Hash(_) => "an object",
        FieldType::Array(_) => "an array",
        FieldType::Reference(_) | FieldType::File => "a pk, or {\"pk\": …}",
        FieldType::Class(_) => "an object, or the pk of a record",
    }
}

fn refuse(checker: &mut Checker<'_>, place: &Place<'_>, rule: &str, expected: &str, found: &Value) {
    let fault = checker.fault(place, rule, format!("expected {expected}"));
    checker.faults.push(fault.with("expected", expected).with("found", abbreviate(found)));
}

fn check_text(checker: &mut Checker<'_>, rules: &StringRules, text: &str, place: &Place<'_>) {
    if rules.min_length.is_some() || rules.max_length.is_some() {
        let length = text.chars().count() as u64;
        let mut bound = |rule, allowed: u64, how| {
            let message = format!("the string has {length} characters, and {how} {allowed}");
            let fault = checker.fault(place, rule, message);
            checker.faults.push(fault.with("allowed", allowed).with("found", length));
        };
        match (rules.min_length, rules.max_length) {
            (Some(min), _) if length < min => bound("min_length", min, "needs at least"),
            (_, Some(max)) if length > max => bound("max_length", max, "may have at most"),
            _ => {}
        }
    }
    if let Some(format) = rules.format
        && let Some(expected) = format.violated_expectation(text)
    {
        refuse(checker, place, "format", expected, &text.into());
    }
    if let Some(pattern) = &rules.pattern
        && !pattern.is_match(text)
    {
        let fault = checker.fault(place, "pattern", format!("the string does not match /{pattern}/"));
        checker.faults.push(fault.with("allowed", pattern.as_str()).with("found", abbreviate(&text.into())));
    }
}

impl Format {
    /// What would have been right, if `text` is not.
    fn violated_expectation(self, text: &str) -> Option<&'static str> {
        static IDENTIFIER: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new("^[A-Za-z_][A-Za-z0-9_]*$").ok());
        let matches =
            |pattern: &LazyLock<Option<Regex>>| pattern.as_ref().is_some_and(|regex| regex.is_match(text));
        let (holds, expected) = match self {
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

/// An addr-spec of RFC 5322, without a display name.
fn is_email(text: &str) -> bool {
    let options = email_address::Options::default().without_display_text();
    email_address::EmailAddress::parse_with_options(text, options).is_ok()
}

/// Schemes whose URLs name a host.
const SCHEMES_WITH_HOST: [&str; 11] =
    ["http", "https", "ws", "wss", "ftp", "ftps", "sftp", "ssh", "git", "telnet", "rtsp"];

/// An IRI with its scheme; one of a scheme that has a host has one.
fn is_url(text: &str) -> bool {
    let Ok(iri) = iri_string::types::IriStr::new(text) else { return false };
    let needs_host = SCHEMES_WITH_HOST.iter().any(|scheme| iri.scheme_str().eq_ignore_ascii_case(scheme));
    !needs_host || iri.authority_components().is_some_and(|authority| !authority.host().is_empty())
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

fn check_number(checker: &mut Checker<'_>, bounds: &NumberRules, number: &Number, place: &Place<'_>) {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let rules = [
        ("min", &bounds.min, "at least", [Equal, Greater].as_slice()),
        ("max", &bounds.max, "at most", &[Equal, Less]),
        ("gt", &bounds.gt, "more than", &[Greater]),
        ("lt", &bounds.lt, "less than", &[Less]),
    ];
    for (rule, bound, how, allowed) in rules {
        if let Some(bound) = bound
            && !compare_numbers(number, bound).is_some_and(|order| allowed.contains(&order))
        {
            let fault =
                checker.fault(place, rule, format!("the number is {number}, and must be {how} {bound}"));
            checker.faults.push(fault.with("allowed", bound.clone()).with("found", number.clone()));
        }
    }
    if bounds.integer_only
        && !(number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|f| f.fract() == 0.0))
    {
        refuse(checker, place, "integer_only", "a whole number", &number.clone().into());
    }
    if let Some(step) = &bounds.multiple_of
        && !is_multiple(number, step)
    {
        let fault = checker.fault(place, "multiple_of", format!("{number} is no multiple of {step}"));
        checker.faults.push(fault.with("allowed", step.clone()).with("found", number.clone()));
    }
}

fn check_count(checker: &mut Checker<'_>, elements: &ElementRules, count: usize, place: &Place<'_>) {
    let count = count as u64;
    let broken = match (elements.min, elements.max) {
        (Some(min), _) if count < min => Some(("min_elements", min, "needs at least")),
        (_, Some(max)) if count > max => Some(("max_elements", max, "may have at most")),
        _ => None,
    };
    if let Some((rule, allowed, how)) = broken {
        let fault = checker.fault(place, rule, format!("there are {count} elements, and it {how} {allowed}"));
        checker.faults.push(fault.with("allowed", allowed).with("found", count));
    }
}

/// Trimmed, with every run of whitespace as one space.
pub(super) fn collapse_whitespace(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as an error shows it: whole if it is short, its type if not.
pub(crate) fn abbreviate(value: &Value) -> Value {
    const SHORT: usize = 200;
    match value {
        Value::String(text) if text.len() > SHORT => {
            let beginning: String = text.chars().take(SHORT / 4).collect();
            format!("{beginning}… ({} bytes)", text.len()).into()
        }
        Value::Array(_) | Value::Object(_) => type_name(value).into(),
        short => short.clone(),
    }
}
