//! Checks a bucket of a class by its text, without reading it as a value.
//!
//! A bucket is accepted only if it has no fault, and if the check of values would store the same text. Any
//! other bucket, also one that this check cannot judge, is read as a value and checked again. So only the
//! check of values has to describe faults.

use std::borrow::Cow;

use serde_json::Value;

use super::catalog::{Catalog, Class};
use super::check::{Checker, WriteKind};
use super::constraint::{Constraint, ConstraintKind};
use super::field::{Field, FieldType};
use super::markers::Markers;
use super::scalar;
use super::text_rules::is_collapsed;
use super::violations::RuleFaults;
use crate::diagnostics::{FaultList, Place};
use crate::json::{CheckedObject, CheckedValue, IndexKey, TextChecker};

/// A bucket that was accepted.
#[derive(Debug)]
pub(crate) struct AcceptedText<'t> {
    /// The text as it is to be stored.
    pub(crate) text: Cow<'t, str>,
    /// For each constraint that has a value in the bucket: its index in the class, and its key.
    pub(crate) keys: Vec<(usize, String)>,
}

impl Class {
    /// Checks the text of a new or imported bucket. `None` if it is to be read as a value.
    pub(crate) fn accept_text<'t>(
        &self,
        catalog: &Catalog,
        text: &'t str,
        kind: WriteKind,
        checker: &mut TextChecker,
    ) -> Option<AcceptedText<'t>> {
        if !self.text_rules.is_checkable {
            return None;
        }
        let object = checker.check(text)?;
        let positions = self.field_positions(&object);
        let Some(normalized) = self.normalized_text(&object, &positions, kind) else {
            let keys = self.accept(catalog, &object, &positions, kind)?;
            return Some(AcceptedText { text: Cow::Borrowed(text), keys });
        };
        let object = checker.check(&normalized)?;
        let keys = self.accept(catalog, &object, &self.field_positions(&object), kind)?;
        Some(AcceptedText { text: Cow::Owned(normalized), keys })
    }

    /// Where the fields are in an object.
    fn field_positions(&self, object: &CheckedObject<'_>) -> Vec<Option<usize>> {
        let mut expected = 0;
        let position = |(name, _): &(String, Field)| {
            let index =
                if object.key(expected) == Some(name) { Some(expected) } else { object.position(name) };
            expected = index.map_or(expected, |index| index + 1);
            index
        };
        self.fields.iter().map(position).collect()
    }

    /// The text with the defaults of a new record, and with the fields in the order of the class. `None` if
    /// it has them already.
    fn normalized_text(
        &self,
        object: &CheckedObject<'_>,
        positions: &[Option<usize>],
        kind: WriteKind,
    ) -> Option<String> {
        if kind == WriteKind::Import {
            return None;
        }
        let defaults = match kind {
            WriteKind::Create => self.text_rules.defaults.as_slice(),
            _ => &[],
        };
        let lacks_default = defaults.iter().any(|(field, _)| positions[*field].is_none());
        let in_order = positions.iter().flatten().enumerate().all(|(expected, index)| expected == *index);
        if in_order && !lacks_default {
            return None;
        }
        let default_of = |field| {
            let default = defaults.iter().find(|(index, _)| *index == field);
            default.map(|(_, member)| member.as_str())
        };
        let fields = positions.iter().enumerate();
        let declared = fields.filter_map(|(field, index)| {
            index.map_or_else(|| default_of(field), |index| Some(object.member(index)))
        });
        let others = (0..object.len()).filter(|index| !positions.contains(&Some(*index)));
        let members: Vec<&str> = declared.chain(others.map(|index| object.member(index))).collect();
        Some(format!("{{{}}}", members.join(",")))
    }

    /// Checks a normalized bucket. Returns the keys of its constraints; `None` if it is to be read as a
    /// value.
    fn accept(
        &self,
        catalog: &Catalog,
        object: &CheckedObject<'_>,
        positions: &[Option<usize>],
        kind: WriteKind,
    ) -> Option<Vec<(usize, String)>> {
        for ((_, field), index) in self.fields.iter().zip(positions) {
            let is_accepted = match index {
                None => !field.required,
                Some(index) => self.accepts(catalog, field, object, *index, kind)?,
            };
            if !is_accepted {
                return None;
            }
        }
        let mut keys = Vec::with_capacity(self.constraints.len());
        for (index, constraint) in self.constraints.iter().enumerate() {
            match key_in_text(constraint, object)? {
                Some(key) => keys.push((index, key)),
                // Validation reports that the value is missing.
                None if constraint.kind == ConstraintKind::Join => return None,
                None => {}
            }
        }
        Some(keys)
    }

    /// Whether the value at an index has no fault and needs no normalization. `None` if that can only be
    /// judged of a value.
    fn accepts(
        &self,
        catalog: &Catalog,
        field: &Field,
        object: &CheckedObject<'_>,
        index: usize,
        kind: WriteKind,
    ) -> Option<bool> {
        let mut faults = FaultList::default();
        let class = &self.definition.name;
        match object.value(index)? {
            CheckedValue::Null => return Some(!field.required),
            CheckedValue::Text(text) => {
                if field.collapses_whitespace() && kind != WriteKind::Import && !is_collapsed(text) {
                    return Some(false);
                }
                let one_of = field.one_of.as_deref();
                if one_of.is_some_and(|allowed| !allowed.iter().any(|allowed| allowed.as_str() == Some(text)))
                {
                    return Some(false);
                }
                match &field.field_type {
                    FieldType::Any | FieldType::Function => {}
                    FieldType::String(rules) => {
                        let violations = &mut RuleFaults::of(class, &mut faults);
                        scalar::check_string(violations, rules, text, &Place::Root);
                    }
                    _ => Self::check_value(class, catalog, field, &text.into(), &mut faults),
                }
            }
            CheckedValue::Other(value) => {
                if field.collapses_whitespace() && kind != WriteKind::Import && value.is_string() {
                    return Some(false);
                }
                Self::check_value(class, catalog, field, &value, &mut faults);
            }
        }
        Some(faults.is_empty())
    }

    fn check_value(class: &str, catalog: &Catalog, field: &Field, value: &Value, faults: &mut FaultList) {
        let markers = Markers::default();
        Checker::of(catalog, class, &markers, faults).check_element(field, value, &Place::Root);
    }
}

/// The key of a bucket under a constraint, equal to that of [`Class::key`] for the parsed bucket, since only a
/// class without references is checked as text. The outer `None` if the bucket is to be read as a value; the
/// inner one if a value of the key is null or absent.
fn key_in_text(constraint: &Constraint, object: &CheckedObject<'_>) -> Option<Option<String>> {
    let mut key = IndexKey::new();
    for path in &constraint.fields {
        let (first, rest) = path.split_first()?;
        let Some(index) = object.position(first).filter(|index| !object.is_null(*index)) else {
            return Some(None);
        };
        match object.value(index)? {
            CheckedValue::Text(_) if rest.is_empty() => key.push_string_text(object.value_text(index)),
            CheckedValue::Text(_) | CheckedValue::Null => return Some(None),
            CheckedValue::Other(value) => {
                let inner = rest.iter().try_fold(&value, |value, name| value.as_object()?.get(name));
                match inner.filter(|value| !value.is_null()) {
                    Some(value) => key.push(value),
                    None => return Some(None),
                }
            }
        }
    }
    Some(Some(key.into_text()))
}
