//! Checks a bucket of a class by its text, without parsing all of it.
//!
//! A bucket is accepted only if validation ([`check`](mod@super::check)) finds no fault in it, and if
//! normalization ([`normalize`](mod@super::normalize)) only adds defaults and reorders fields. This module
//! then adds the defaults and reorders the fields in the text. Any other bucket, also one whose text does not
//! show whether it has a fault, is parsed, normalized and validated by the caller. So this module need not
//! describe faults.

use std::borrow::Cow;

use serde_json::Value;

use super::catalog::{Catalog, Class};
use super::check::{Checker, WriteKind};
use super::constraint::{Constraint, ConstraintKind};
use super::field::{Field, FieldType};
use super::markers::Markers;
use super::scalar;
use super::text_rules::is_collapsed;
use super::violations::Violations;
use crate::diagnostics::{FaultList, Place};
use crate::json::{CheckedObject, CheckedValue, IndexKey, TextChecker};

/// A bucket that was accepted.
#[derive(Debug)]
pub(crate) struct AcceptedText<'t> {
    /// The normalized text, which is stored.
    pub(crate) text: Cow<'t, str>,
    /// The index keys of the bucket, each with the position of its constraint in `Class::constraints`. A
    /// constraint has no key here if the value of one of its fields is null or absent.
    pub(crate) keys: Vec<(usize, String)>,
}

impl Class {
    /// Whether the text of a bucket of the class may be accepted by [`accept_text`](Self::accept_text).
    pub(crate) fn is_checkable_as_text(&self) -> bool {
        self.text_rules.is_checkable
    }

    /// Whether records of the class may have unique values.
    pub(crate) fn has_unique_values(&self) -> bool {
        self.constraints.iter().any(|constraint| constraint.kind != ConstraintKind::Index)
    }

    /// Checks the text of the bucket of a record that has only this class and no markers. Returns `None` if
    /// the bucket must be parsed instead.
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
        let members = self.members_of_fields(&object);
        let Some(normalized) = self.normalized_text(&object, &members, kind) else {
            let keys = self.accept(catalog, &object, &members, kind)?;
            return Some(AcceptedText { text: Cow::Borrowed(text), keys });
        };
        // The members of the new text have other positions.
        let object = checker.check(&normalized)?;
        let keys = self.accept(catalog, &object, &self.members_of_fields(&object), kind)?;
        Some(AcceptedText { text: Cow::Owned(normalized), keys })
    }

    /// The index keys of a stored bucket, as [`AcceptedText::keys`]. Returns `None` if the bucket must be
    /// parsed instead.
    pub(crate) fn keys_of_text(&self, text: &str, checker: &mut TextChecker) -> Option<Vec<(usize, String)>> {
        if self.constraints.is_empty() {
            return Some(Vec::new());
        }
        if !self.text_rules.is_checkable {
            return None;
        }
        self.keys(&checker.check(text)?)
    }

    /// For each field of the class, the position of its member in the object; `None` if the object lacks the
    /// field.
    fn members_of_fields(&self, object: &CheckedObject<'_>) -> Vec<Option<usize>> {
        // Most objects have their members in the order of the class, so the next member is tried first.
        let mut expected = 0;
        let member_of = |(name, _): (&str, &Field)| {
            let member =
                if object.key(expected) == Some(name) { Some(expected) } else { object.position(name) };
            expected = member.map_or(expected, |member| member + 1);
            member
        };
        self.fields.iter().map(member_of).collect()
    }

    /// The text with the fields in the order of the class and, for a new record, with the defaults. `None` if
    /// the text stays unchanged, as in every import. `members` is the result of `members_of_fields`.
    fn normalized_text(
        &self,
        object: &CheckedObject<'_>,
        members: &[Option<usize>],
        kind: WriteKind,
    ) -> Option<String> {
        if kind == WriteKind::Import {
            return None;
        }
        let adds_defaults = kind == WriteKind::Create;
        let mut defaults = self.text_rules.defaults.iter();
        let lacks_default = adds_defaults && defaults.any(|position| members[*position].is_none());
        let in_order = members.iter().flatten().enumerate().all(|(expected, member)| expected == *member);
        if in_order && !lacks_default {
            return None;
        }
        let default_of = |position| if adds_defaults { self.fields.default_member(position) } else { None };
        let declared = members.iter().enumerate().filter_map(|(position, member)| {
            member.map_or_else(|| default_of(position), |member| Some(object.member(member)))
        });
        let others = (0..object.len()).filter(|member| !members.contains(&Some(*member)));
        let texts: Vec<&str> = declared.chain(others.map(|member| object.member(member))).collect();
        Some(format!("{{{}}}", texts.join(",")))
    }

    /// Validates a bucket that is normalized or imported. Returns [`AcceptedText::keys`]; `None` if the
    /// bucket must be parsed.
    fn accept(
        &self,
        catalog: &Catalog,
        object: &CheckedObject<'_>,
        members: &[Option<usize>],
        kind: WriteKind,
    ) -> Option<Vec<(usize, String)>> {
        for ((_, field), member) in self.fields.iter().zip(members) {
            let is_valid = match member {
                None => !field.required,
                Some(member) => self.is_surely_valid(catalog, field, object, *member, kind),
            };
            if !is_valid {
                return None;
            }
        }
        self.keys(object)
    }

    /// The index keys of a bucket: [`AcceptedText::keys`]. `None` if the bucket must be parsed.
    fn keys(&self, object: &CheckedObject<'_>) -> Option<Vec<(usize, String)>> {
        let mut keys = Vec::with_capacity(self.constraints.len());
        for (position, constraint) in self.constraints.iter().enumerate() {
            match key_in_text(constraint, object)? {
                Some(key) => keys.push((position, key)),
                // The fields of a join are required, so a value is missing. If the bucket is to be written,
                // the validation of the parsed bucket reports this.
                None if constraint.kind == ConstraintKind::Join => return None,
                None => {}
            }
        }
        Some(keys)
    }

    /// Whether the value of a member surely has no fault, and surely needs no normalization. `false` if the
    /// text does not show this.
    fn is_surely_valid(
        &self,
        catalog: &Catalog,
        field: &Field,
        object: &CheckedObject<'_>,
        member: usize,
        kind: WriteKind,
    ) -> bool {
        let mut faults = FaultList::default();
        let class = &self.definition.name;
        let Some(value) = object.value(member) else { return false };
        match value {
            CheckedValue::Null => return !field.required,
            // A string without escapes.
            CheckedValue::Text(text) => {
                if field.collapses_whitespace() && kind != WriteKind::Import && !is_collapsed(text) {
                    return false;
                }
                if field.one_of.as_ref().is_some_and(|one_of| !one_of.contains_text(text)) {
                    return false;
                }
                match &field.field_type {
                    FieldType::Any | FieldType::Function => {}
                    FieldType::String(rules) => {
                        let violations = &mut Violations::of(class, &mut faults);
                        scalar::check_string(violations, rules, text, &Place::Root);
                    }
                    _ => Self::check_value(class, catalog, field, &text.into(), &mut faults),
                }
            }
            CheckedValue::Other(value) => {
                // If the value is a string, it has escapes, and these may stand for white space that must be
                // collapsed.
                if field.collapses_whitespace() && kind != WriteKind::Import && value.is_string() {
                    return false;
                }
                Self::check_value(class, catalog, field, &value, &mut faults);
            }
        }
        faults.is_empty()
    }

    fn check_value(class: &str, catalog: &Catalog, field: &Field, value: &Value, faults: &mut FaultList) {
        let markers = Markers::default();
        Checker::of(catalog, class, &markers, faults).check_value(field, value, &Place::Root);
    }
}

/// The index key of a bucket under a constraint. `None` if the bucket must be parsed, `Some(None)` if a value
/// of the key is null or absent.
///
/// The key equals that of [`Class::key`] for the parsed bucket. The two functions differ only for references,
/// and a bucket of a class with references is not checked as text.
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
