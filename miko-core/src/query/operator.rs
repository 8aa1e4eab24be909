//! The operators at the end of a path.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::diagnostics::readers::{self, refuse};
use crate::diagnostics::{Faults, Place, abbreviate};
use crate::json;
use crate::pattern::{Pattern, PatternFault};
use crate::query::folding::Folding;
use crate::query::value_list::ValueList;
use crate::query::value_ref::ValueRef;

/// The operators and modifiers at the end of one path. A value must match all operators.
#[derive(Debug, Clone)]
pub(super) struct Operators {
    operators: Vec<Operator>,
    folding: Folding,
}

/// An operator with its operand. `Value`, `In`, `Contains`, `StartsWith` and `EndsWith` compare folded texts:
/// the texts of their operands are folded when the operators are read. The other operators ignore the
/// folding.
#[derive(Debug, Clone)]
enum Operator {
    Value(Value),
    In(ValueList),
    Contains(String),
    StartsWith(String),
    EndsWith(String),
    Matches(Pattern),
    /// `gt`, `gte`, `lt` or `lte`: the accepted results of comparing the value with the bound, and the bound,
    /// which is a number or a string.
    Ordered(&'static [Ordering], Value),
    Includes(Value),
    IncludesAll(ValueList),
    IncludesAny(ValueList),
    /// With `true`, the value must be neither null nor absent; with `false`, null or absent.
    Exists(bool),
    /// With `true`, the value must not be null, absent or `false`; with `false`, it must be one of these
    /// three. Zero and an empty text are truthy.
    Truthy(bool),
    /// `any`: the path leads to a value, which may be null.
    Present,
}

/// The names of the operators, in the order in which error messages list them.
const OPERATORS: [&str; 16] = [
    "value",
    "contains",
    "starts-with",
    "ends-with",
    "gt",
    "lt",
    "gte",
    "lte",
    "includes",
    "includes_all",
    "includes_any",
    "exists",
    "truthy",
    "any",
    "in",
    "matches",
];

/// The names of the modifiers, which [`read_folding`] reads.
const MODIFIERS: [&str; 2] = ["case-sensitive", "collapse"];

/// Each key that has a hyphen, and its spelling with an underscore. Requests may use either.
const SPELLINGS: [(&str, &str); 3] =
    [("starts-with", "starts_with"), ("ends-with", "ends_with"), ("case-sensitive", "case_sensitive")];

/// The key as [`OPERATORS`] and [`MODIFIERS`] spell it: `starts-with` for `starts_with`. A key that is not a
/// spelling with an underscore is returned unchanged.
pub(super) fn hyphenated(key: &str) -> &str {
    SPELLINGS.iter().find(|(_, underscored)| *underscored == key).map_or(key, |(hyphenated, _)| *hyphenated)
}

/// Refuses an object that has a key in both spellings.
fn refuse_both_spellings(map: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) {
    for (hyphenated, underscored) in SPELLINGS {
        if map.contains_key(hyphenated) && map.contains_key(underscored) {
            let message = format!("`{hyphenated}` and `{underscored}` are one key: give only one of them");
            faults.refuse(place.fault(message).with("fields", vec![hyphenated, underscored]));
        }
    }
}

impl Operators {
    /// Reads the object of operators and modifiers at the end of a path. `None` if a fault was reported.
    pub(super) fn read(map: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let folding = read_folding(map, place, faults);
        let without_modifiers: Vec<_> =
            map.iter().filter(|(key, _)| !MODIFIERS.contains(&hyphenated(key))).collect();
        if without_modifiers.is_empty() {
            let message = "the object at the end of a path has no operator; to compare with an object, \
                           write {\"value\": {…}}";
            return refuse(faults, place.fault(message).with("allowed", OPERATORS.to_vec()));
        }
        let read = |(key, operand): (&String, &Value)| {
            Operator::read(key, operand, folding, &Place::Key(place, key), faults)
        };
        let operators: Vec<_> = without_modifiers.into_iter().filter_map(read).collect();
        (faults.count() == before).then_some(Self { operators, folding })
    }

    /// Whether the value at the end of the path matches all operators.
    pub(super) fn matches(&self, actual: &ValueRef<'_>) -> bool {
        self.operators.iter().all(|operator| operator.matches(actual, self.folding))
    }

    /// The accepted values, if the only operator is `value` or `in`, and none of its texts is compared with
    /// folding. `None` in all other cases.
    pub(super) fn equality_values(&self) -> Option<&[Value]> {
        let values = match &self.operators[..] {
            [Operator::Value(value)] => std::slice::from_ref(value),
            [Operator::In(values)] => values.values(),
            _ => return None,
        };
        let folds_texts = !self.folding.is_identity() && values.iter().any(Value::is_string);
        (!folds_texts).then_some(values)
    }
}

/// Reads the modifiers in `map`, which may have other keys. A modifier with a fault counts as absent.
pub(super) fn read_folding(map: &Map<String, Value>, place: &Place<'_>, faults: &mut Faults) -> Folding {
    refuse_both_spellings(map, place, faults);
    let mut read_modifier = |modifier: &str| {
        let (key, value) = map.iter().find(|(key, _)| hyphenated(key) == modifier)?;
        readers::boolean(value.clone(), &Place::Key(place, key), faults)
    };
    let [case_sensitive, collapse] = MODIFIERS;
    Folding {
        ignores_case: read_modifier(case_sensitive) == Some(false),
        collapses_whitespace: read_modifier(collapse) == Some(true),
    }
}

impl Operator {
    fn read(
        key: &str,
        operand: &Value,
        folding: Folding,
        place: &Place<'_>,
        faults: &mut Faults,
    ) -> Option<Self> {
        use Ordering::{Equal, Greater, Less};
        let folded = |value: &Value| match value {
            Value::String(text) => folding.apply(text).into_owned().into(),
            other => other.clone(),
        };
        let mut read_text = |make: fn(String) -> Self| {
            let text = readers::string(operand.clone(), place, faults)?;
            Some(make(folding.apply(&text).into_owned()))
        };
        match hyphenated(key) {
            "value" => Some(Self::Value(folded(operand))),
            "contains" => read_text(Self::Contains),
            "starts-with" => read_text(Self::StartsWith),
            "ends-with" => read_text(Self::EndsWith),
            "matches" => read_pattern(operand, place, faults).map(Self::Matches),
            "gt" => read_ordered(&[Greater], operand, place, faults),
            "gte" => read_ordered(&[Greater, Equal], operand, place, faults),
            "lt" => read_ordered(&[Less], operand, place, faults),
            "lte" => read_ordered(&[Less, Equal], operand, place, faults),
            "includes" => Some(Self::Includes(operand.clone())),
            "includes_all" => read_array(operand, place, faults)
                .map(|items| Self::IncludesAll(ValueList::of(items.to_vec()))),
            "includes_any" => read_array(operand, place, faults)
                .map(|items| Self::IncludesAny(ValueList::of(items.to_vec()))),
            "in" => read_array(operand, place, faults)
                .map(|items| Self::In(ValueList::of(items.iter().map(folded).collect()))),
            "exists" => readers::boolean(operand.clone(), place, faults).map(Self::Exists),
            "truthy" => readers::boolean(operand.clone(), place, faults).map(Self::Truthy),
            "any" => match operand {
                Value::Bool(true) => Some(Self::Present),
                Value::Bool(false) => refuse(faults, place.wrong_value("true", false)),
                other => readers::refuse_type(faults, place, "true", other),
            },
            _ => {
                let message = format!("there is no operator `{key}`");
                let item = place.fault(message).with("unknown_fields", vec![key]);
                refuse(faults, item.with("allowed", [&OPERATORS[..], &MODIFIERS].concat()))
            }
        }
    }

    fn matches(&self, actual: &ValueRef<'_>, folding: Folding) -> bool {
        match (self, actual) {
            (Self::Value(value), _) => actual.equals_folded(value, folding),
            (Self::In(values), _) => values.contains(actual, folding),
            (Self::Exists(expected), _) => *expected != actual.is_null_or_absent(),
            (Self::Truthy(expected), _) => {
                *expected != (actual.is_null_or_absent() || matches!(actual, ValueRef::Bool(false)))
            }
            (Self::Present, _) => !matches!(actual, ValueRef::Absent),
            (Self::Contains(part), ValueRef::Text(text)) => folding.apply(text).contains(part.as_str()),
            (Self::StartsWith(part), ValueRef::Text(text)) => folding.apply(text).starts_with(part.as_str()),
            (Self::EndsWith(part), ValueRef::Text(text)) => folding.apply(text).ends_with(part.as_str()),
            (Self::Matches(pattern), ValueRef::Text(text)) => pattern.is_match(text),
            (Self::Ordered(allowed, bound), actual) => {
                compare(actual, bound).is_some_and(|ordering| allowed.contains(&ordering))
            }
            (Self::Includes(value), ValueRef::Composite(Value::Array(items))) => {
                items.iter().any(|item| json::equal(item, value))
            }
            (Self::IncludesAll(values), ValueRef::Composite(Value::Array(items))) => values.is_within(items),
            (Self::IncludesAny(values), ValueRef::Composite(Value::Array(items))) => {
                values.contains_any_of(items)
            }
            _ => false,
        }
    }
}

/// Orders numbers by exact value and strings by code points. Other values have no order.
fn compare(actual: &ValueRef<'_>, bound: &Value) -> Option<Ordering> {
    match (actual, bound) {
        (ValueRef::Number(number), Value::Number(bound)) => json::compare_numbers(number, bound),
        (ValueRef::Text(text), Value::String(bound)) => Some((*text).cmp(bound.as_str())),
        _ => None,
    }
}

fn read_ordered(
    allowed: &'static [Ordering],
    operand: &Value,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Operator> {
    match operand {
        Value::Number(_) | Value::String(_) => Some(Operator::Ordered(allowed, operand.clone())),
        other => readers::refuse_type(faults, place, "a number or a string", other),
    }
}

fn read_pattern(operand: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Pattern> {
    let text = readers::string(operand.clone(), place, faults)?;
    // All patterns of the input share the budget in `faults`.
    let item = match faults.patterns.read(&text) {
        Ok(pattern) => return Some(pattern),
        Err(PatternFault::Malformed(reason)) => {
            place.wrong_value("a regular expression of the regex crate", text).with("reason", reason)
        }
        Err(too_large) => place
            .with_field(place.fault(too_large.to_string()))
            .with("found", abbreviate(&text.into()))
            .with("limit", too_large.limit()),
    };
    refuse(faults, item)
}

fn read_array<'v>(operand: &'v Value, place: &Place<'_>, faults: &mut Faults) -> Option<&'v [Value]> {
    match operand {
        Value::Array(items) => Some(items),
        other => readers::refuse_type(faults, place, "an array", other),
    }
}

/// Reads the last element of a path: `Some(Some(operators))` for an object, `Some(None)` for a literal, which
/// is any other value. `None` if a fault was reported, or if the element is a placeholder that is not
/// resolved yet: an unresolved placeholder is exempt from checks, and reports no fault.
pub(super) fn read_test(last: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Option<Operators>> {
    match last {
        exempt if faults.is_exempt(exempt) => None,
        Value::Object(map) => Operators::read(map, place, faults).map(Some),
        _ => Some(None),
    }
}
