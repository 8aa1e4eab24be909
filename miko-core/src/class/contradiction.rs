//! Detects rules of a definition that no value satisfies together, defaults that violate their own field, and
//! `unique` and `index` where they have no effect.
//!
//! A definition is checked when it is written, not when it is loaded. So a database with a definition that an
//! earlier version accepted can still be opened.

use std::cmp::Ordering;

use miko_rpc::ErrorItem;
use serde_json::{Number, Value};

use super::catalog::Catalog;
use super::check::{Checker, WriteKind};
use super::definition::Definition;
use super::field::{ElementRules, Field, FieldType, Fields, HashRules};
use super::markers::Markers;
use super::normalize::Normalizer;
use super::scalar_rules::{NumberRules, StringRules};
use super::settings::fault;
use crate::diagnostics::{FaultList, Place};
use crate::json::compare_numbers;

impl Definition {
    /// Reports the faults that this module detects. Each names the rule and has a JSON pointer under `place`.
    pub(crate) fn report_contradictions(&self, place: &Place<'_>, faults: &mut FaultList) {
        let place = FieldPlace { place: *place, is_inherited: false, is_in_elements: false };
        report_in_fields(&self.fields, &place.below(Some("fields")), faults);
    }
}

/// The place of a field in a definition.
///
/// A hash with `fields` gives the settings in its `default` and in its `of` to each of its sub-fields. So a
/// sub-field may have `fields`, an element type or a default that its own definition does not contain. A
/// fault in such an inherited part has the place of the sub-field.
#[derive(Clone, Copy)]
struct FieldPlace<'p> {
    /// The place of the definition of the field. If a sub-field inherits the definition from a hash, the
    /// place of the sub-field.
    place: Place<'p>,
    /// Whether the sub-field at `place` inherits the definition from a hash.
    is_inherited: bool,
    /// Whether the definition is that of the elements of an array or a hash, or of a field inside elements.
    /// The elements of a hash with `fields` do not count: see `Field::report_contradictions`.
    is_in_elements: bool,
}

impl FieldPlace<'_> {
    /// The place of a part of the definition. `own_key` is the key under which the definition itself has the
    /// part; `None` if the definition inherits the part, which then has the place of the definition.
    fn below<'p>(&'p self, own_key: Option<&'p str>) -> FieldPlace<'p> {
        let is_inherited = self.is_inherited || own_key.is_none();
        let place = match own_key {
            Some(key) if !is_inherited => Place::Key(&self.place, key),
            _ => self.place,
        };
        FieldPlace { place, is_inherited, is_in_elements: self.is_in_elements }
    }
}

fn report_in_fields(fields: &Fields, place: &FieldPlace<'_>, faults: &mut FaultList) {
    for (name, field) in fields.iter() {
        field.report_contradictions(&place.below(Some(name)), faults);
    }
}

impl Field {
    fn report_contradictions(&self, place: &FieldPlace<'_>, faults: &mut FaultList) {
        let faults_before = faults.len();
        let mut refuse =
            |rule: &str, message: String| faults.push(fault(&place.place, message).with("rule", rule));
        let contradiction = match &self.field_type {
            FieldType::String(rules) => rules.contradiction(),
            FieldType::Number(bounds) => bounds.contradiction(),
            FieldType::Hash(HashRules { elements, .. }) | FieldType::Array(elements) => {
                elements.contradiction()
            }
            _ => None,
        };
        if let Some((rule, message)) = contradiction {
            refuse(rule, message);
        }
        match &self.field_type {
            FieldType::Hash(hash) => {
                let required_count = hash.fields.iter().filter(|(_, field)| field.required).count() as u64;
                if let Some(max) = hash.elements.max.filter(|max| *max < required_count) {
                    refuse(
                        "max_elements",
                        format!("{required_count} fields are required, and at most {max} may be there"),
                    );
                }
                let own_key = hash.has_own_fields.then_some("fields");
                report_in_fields(&hash.fields, &place.below(own_key), faults);
                // If a hash has `fields`, its sub-fields inherit the settings of the elements, and `unique`
                // and `index` have an effect in a sub-field. So the two settings are reported in the elements
                // only if the hash has no `fields`.
                let is_in_elements = place.is_in_elements || hash.fields.is_empty();
                report_in_elements(&hash.elements, &FieldPlace { is_in_elements, ..*place }, faults);
            }
            FieldType::Array(elements) => {
                report_in_elements(elements, &FieldPlace { is_in_elements: true, ..*place }, faults);
            }
            _ => {}
        }
        // After a fault here, in a sub-field or in the elements, the allowed values and the default are not
        // examined: they may violate the same rules, which would report the fault twice.
        if faults.len() == faults_before {
            self.report_unsatisfiable_values(place, faults);
        }
        if place.is_in_elements {
            self.report_constraints_in_elements(&place.place, faults);
        }
    }

    /// Reports `unique` and `index` of a field in elements. These settings have no effect there: a constraint
    /// names a field by a path of keys, and no such path leads into elements.
    fn report_constraints_in_elements(&self, place: &Place<'_>, faults: &mut FaultList) {
        for (rule, is_set) in [("unique", self.unique), ("index", self.index)] {
            if is_set {
                let message = format!("`{rule}` has no effect in the elements of an array or a hash");
                faults.push(fault(place, message).with("rule", rule));
            }
        }
    }

    /// Reports allowed values that all violate the other rules, or else a default that violates a rule.
    fn report_unsatisfiable_values(&self, place: &FieldPlace<'_>, faults: &mut FaultList) {
        if let Some(one_of) = &self.one_of
            && !self.allows_one_of(&one_of.values)
        {
            let key = one_of.key;
            let message = if one_of.values.is_empty() {
                format!("`{key}` is empty: no value is allowed")
            } else {
                format!("no value of `{key}` satisfies the other rules of the field")
            };
            return faults.push(fault(&place.place, message).with("rule", "one_of"));
        }
        let Some(default) = &self.default else { return };
        if let Some(violation) = self.first_violation(&self.normalized(default)) {
            let rule = violation.details.get("rule").and_then(Value::as_str).unwrap_or_default();
            let message =
                format!("`default` breaks a rule of its own field, `{rule}`: {}", violation.message());
            let own_key = self.has_own_default.then_some("default");
            let item = fault(&place.below(own_key).place, message);
            faults.push(item.with("rule", "default").with("broken", rule));
        }
    }

    /// Whether one of `values`, the values of `one_of`, satisfies the other rules of the field. No value is
    /// looked up in `one_of` itself, so the time is linear in the number of values.
    fn allows_one_of(&self, values: &[Value]) -> bool {
        let without_one_of = Self { one_of: None, ..self.clone() };
        values.iter().any(|value| {
            // A value that normalization changes is never stored, so it does not count. The value that it
            // becomes is allowed only if it is one of `values` too, and is then examined on its own.
            let normalized = without_one_of.normalized(value);
            normalized == *value && without_one_of.first_violation(&normalized).is_none()
        })
    }

    /// The value as a create stores it. Objects of other classes are not normalized, because the definitions
    /// of these classes may change.
    fn normalized(&self, value: &Value) -> Value {
        let (catalog, markers) = (Catalog::default(), Markers::default());
        let mut value = value.clone();
        let mut normalizer = Normalizer::new(&catalog, WriteKind::Create, &markers);
        normalizer.normalize_value(self, &mut value, &Place::Root);
        value
    }

    /// The first violation of a rule by a normalized value. The rules of other classes are ignored, because
    /// their definitions may change.
    fn first_violation(&self, value: &Value) -> Option<ErrorItem> {
        let (catalog, markers, mut faults) = (Catalog::default(), Markers::default(), FaultList::default());
        // The caller does not use the detail `class` of a violation.
        let class = "";
        Checker::of(&catalog, class, &markers, &mut faults).check_value(self, value, &Place::Root);
        faults.into_items().into_iter().next()
    }
}

fn report_in_elements(elements: &ElementRules, place: &FieldPlace<'_>, faults: &mut FaultList) {
    if let Some(element_field) = &elements.element_field {
        element_field.report_contradictions(&place.below(elements.own_element_key), faults);
    }
}

/// A rule that contradicts another one, with a message.
type Contradiction = (&'static str, String);

impl StringRules {
    fn contradiction(&self) -> Option<Contradiction> {
        let message = || "`min_length` is more than `max_length`: no string satisfies both".to_owned();
        (self.min_length? > self.max_length?).then(|| ("min_length", message()))
    }
}

impl ElementRules {
    fn contradiction(&self) -> Option<Contradiction> {
        let message = || "`min_elements` is more than `max_elements`: no value satisfies both".to_owned();
        (self.min? > self.max?).then(|| ("min_elements", message()))
    }
}

impl NumberRules {
    /// The first contradiction of two bounds, or of the bounds with `integer_only` or with a `multiple_of`
    /// that is an integer. A `multiple_of` with a fraction is not examined.
    fn contradiction(&self) -> Option<Contradiction> {
        // The last part of each tuple says whether the bound is strict: a number equal to a strict bound is
        // not allowed.
        let lower_bounds = [("min", &self.min, false), ("gt", &self.gt, true)];
        let upper_bounds = [(&self.max, false), (&self.lt, true)];
        for (rule, lower, lower_is_strict) in lower_bounds {
            for (upper, upper_is_strict) in upper_bounds {
                let (Some(lower), Some(upper)) = (lower, upper) else { continue };
                let excludes_all = match compare_numbers(&lower.number, &upper.number) {
                    Some(Ordering::Greater) => true,
                    Some(Ordering::Equal) => lower_is_strict || upper_is_strict,
                    _ => false,
                };
                if excludes_all {
                    let message = format!("no number satisfies both `{}` and `{}`", lower.key, upper.key);
                    return Some((rule, message));
                }
            }
        }
        let lower_integers = lower_bounds.into_iter().filter_map(|(_, bound, is_strict)| {
            let bound = bound.as_ref()?;
            Some(least_integer(&bound.number, is_strict))
        });
        let upper_integers = upper_bounds.into_iter().filter_map(|(bound, is_strict)| {
            let bound = bound.as_ref()?;
            Some(greatest_integer(&bound.number, is_strict))
        });
        // If there are only lower bounds, or only upper bounds, a whole number and a multiple that satisfy
        // them always exist.
        let (least, greatest) = (lower_integers.max()?, upper_integers.min()?);
        if self.integer_only && least > greatest {
            return Some(("integer_only", "there is no whole number between the bounds".to_owned()));
        }
        // Validation decides by the decimal digits of a float whether it is a multiple. Beyond 2^53 these
        // digits may differ from the exact value of the float, from which `least` and `greatest` are
        // computed. So nothing is reported beyond 2^53.
        let is_exact = |bound: i128| bound.unsigned_abs() <= 1 << f64::MANTISSA_DIGITS;
        if !(is_exact(least) && is_exact(greatest)) {
            return None;
        }
        // The step is positive: `NumberRules::read` refuses any other, and leaves it out.
        let step = self.multiple_of.as_ref().filter(|step| is_integer(step))?;
        let remainder = greatest.checked_rem_euclid(to_integer(step, f64::floor))?;
        let greatest_multiple = greatest.checked_sub(remainder)?;
        (greatest_multiple < least)
            .then(|| ("multiple_of", format!("there is no multiple of {step} between the bounds")))
    }
}

/// The least integer that is at least the number; greater than it if `is_strict`.
fn least_integer(number: &Number, is_strict: bool) -> i128 {
    let rounded = to_integer(number, f64::ceil);
    if is_strict && is_integer(number) && !is_out_of_range(rounded) { rounded + 1 } else { rounded }
}

/// The greatest integer that is at most the number; less than it if `is_strict`.
fn greatest_integer(number: &Number, is_strict: bool) -> i128 {
    let rounded = to_integer(number, f64::floor);
    if is_strict && is_integer(number) && !is_out_of_range(rounded) { rounded - 1 } else { rounded }
}

/// Whether an integer of [`to_integer`] stands for a float that is out of range: for one of many numbers, so
/// that strict bounds cannot be told from others.
fn is_out_of_range(integer: i128) -> bool {
    integer == i128::MIN || integer == i128::MAX
}

/// The number as an integer; a float is rounded by `round`.
fn to_integer(number: &Number, round: fn(f64) -> f64) -> i128 {
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // A float that is out of range becomes the nearest `i128`.
    exact.unwrap_or_else(|| number.as_f64().map_or(0, |float| round(float) as i128))
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}
