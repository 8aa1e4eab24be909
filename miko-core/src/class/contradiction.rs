//! Detects rules of a definition that no value satisfies together, and defaults that violate their own field.
//!
//! A definition is checked when it is written, not when it is loaded. A database with a definition that an
//! earlier version accepted can still be opened.

use std::cmp::Ordering;

use miko_rpc::ErrorItem;
use serde_json::{Number, Value};

use super::catalog::Catalog;
use super::check::{Checker, WriteKind};
use super::definition::Definition;
use super::field::{ElementRules, Field, FieldType};
use super::markers::Markers;
use super::normalize::Normalizer;
use super::scalar_rules::NumberRules;
use super::settings::fault;
use crate::diagnostics::{FaultList, Place};
use crate::json::compare_numbers;

impl Definition {
    /// Reports unsatisfiable rules. Each fault names the rule and has a JSON pointer under `place`.
    pub(crate) fn report_contradictions(&self, place: &Place<'_>, faults: &mut FaultList) {
        report_in_fields(&self.fields, place, faults);
    }
}

fn report_in_fields(fields: &[(String, Field)], place: &Place<'_>, faults: &mut FaultList) {
    let place = Place::Key(place, "fields");
    for (name, field) in fields {
        field.report_contradictions(&Place::Key(&place, name), faults);
    }
}

impl Field {
    fn report_contradictions(&self, place: &Place<'_>, faults: &mut FaultList) {
        let before = faults.len();
        let mut refuse = |rule: &str, message: String| faults.push(fault(place, message).with("rule", rule));
        match &self.field_type {
            FieldType::Number(bounds) => {
                if let Some((rule, message)) = bounds.contradiction() {
                    refuse(rule, message);
                }
            }
            FieldType::Hash(hash) => {
                let required = hash.fields.iter().filter(|(_, field)| field.required).count() as u64;
                if let Some(max) = hash.elements.max.filter(|max| *max < required) {
                    refuse(
                        "max_elements",
                        format!("{required} fields are required, and at most {max} may be there"),
                    );
                }
                report_in_fields(&hash.fields, place, faults);
                report_in_elements(&hash.elements, place, faults);
            }
            FieldType::Array(elements) => report_in_elements(elements, place, faults),
            _ => {}
        }
        // Unsatisfiable rules are reported once, not again for the values that violate them.
        if faults.len() == before {
            self.report_unsatisfiable_values(place, faults);
        }
    }

    /// Reports allowed values that all violate the other rules, and a default that violates a rule.
    fn report_unsatisfiable_values(&self, place: &Place<'_>, faults: &mut FaultList) {
        if let Some(allowed) = &self.one_of
            && !allowed.iter().any(|value| self.first_violation(value).is_none())
        {
            let message = if allowed.is_empty() {
                "`one_of` is empty: no value is allowed"
            } else {
                "no value of `one_of` satisfies the other rules of the field"
            };
            return faults.push(fault(place, message).with("rule", "one_of"));
        }
        let Some(default) = &self.default else { return };
        if let Some(broken) = self.first_violation(default) {
            let rule = broken.details.get("rule").and_then(Value::as_str).unwrap_or_default();
            let message = format!("`default` breaks a rule of its own field, `{rule}`: {}", broken.message());
            let item = fault(&Place::Key(place, "default"), message);
            faults.push(item.with("rule", "default").with("broken", rule));
        }
    }

    /// The first rule that a normalized value violates. Other classes are ignored, because they may change.
    fn first_violation(&self, value: &Value) -> Option<ErrorItem> {
        let (catalog, markers, mut faults) = (Catalog::default(), Markers::default(), FaultList::default());
        let mut value = value.clone();
        let place = Place::Root;
        Normalizer::new(&catalog, WriteKind::Create, &markers).normalize_value(self, &mut value, &place);
        Checker::of(&catalog, "", &markers, &mut faults).check_element(self, &value, &place);
        faults.into_items().into_iter().next()
    }
}

fn report_in_elements(elements: &ElementRules, place: &Place<'_>, faults: &mut FaultList) {
    if let Some(element_field) = &elements.element_field {
        element_field.report_contradictions(&Place::Key(place, "of"), faults);
    }
}

impl NumberRules {
    /// The bound or rule that contradicts another one, with a message.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let lower = [("min", &self.min, false), ("gt", &self.gt, true)];
        let upper = [("max", &self.max, false), ("lt", &self.lt, true)];
        for (lower_key, lower, lower_is_strict) in lower {
            for (upper_key, upper, upper_is_strict) in upper {
                let order = lower
                    .as_ref()
                    .zip(upper.as_ref())
                    .and_then(|(lower, upper)| compare_numbers(lower, upper));
                let is_empty = match order {
                    Some(Ordering::Greater) => true,
                    Some(Ordering::Equal) => lower_is_strict || upper_is_strict,
                    _ => false,
                };
                if is_empty {
                    return Some((
                        lower_key,
                        format!("no number satisfies both `{lower_key}` and `{upper_key}`"),
                    ));
                }
            }
        }
        let low = self
            .min
            .iter()
            .map(|min| least_integer(min, false))
            .chain(self.gt.iter().map(|gt| least_integer(gt, true)));
        let high = self
            .max
            .iter()
            .map(|max| greatest_integer(max, false))
            .chain(self.lt.iter().map(|lt| greatest_integer(lt, true)));
        let (low, high) = (low.max()?, high.min()?);
        if self.integer_only && low > high {
            return Some(("integer_only", "there is no whole number between the bounds".to_owned()));
        }
        // A float that is out of range has become a limit of `i128`.
        let is_in_range = |bound: i128| bound > i128::MIN && bound < i128::MAX;
        if !(is_in_range(low) && is_in_range(high)) {
            return None;
        }
        let step = self
            .multiple_of
            .as_ref()
            .filter(|step| is_integer(step))
            .map(|step| greatest_integer(step, false))?;
        let greatest_multiple = if step > 0 { high.checked_sub(high.rem_euclid(step))? } else { high };
        (greatest_multiple < low)
            .then(|| ("multiple_of", format!("there is no multiple of {step} between the bounds")))
    }
}

/// The least integer that is at least the number; greater than it if `is_strict`.
fn least_integer(number: &Number, is_strict: bool) -> i128 {
    let rounded = to_integer(number, f64::ceil);
    if is_strict && is_integer(number) { rounded.saturating_add(1) } else { rounded }
}

/// The greatest integer that is at most the number; less than it if `is_strict`.
fn greatest_integer(number: &Number, is_strict: bool) -> i128 {
    let rounded = to_integer(number, f64::floor);
    if is_strict && is_integer(number) { rounded.saturating_sub(1) } else { rounded }
}

fn to_integer(number: &Number, round: fn(f64) -> f64) -> i128 {
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // A float that is out of range becomes the nearest `i128`.
    exact.unwrap_or_else(|| number.as_f64().map_or(0, |float| round(float) as i128))
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}
