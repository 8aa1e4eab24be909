//! Facts about a class that are precomputed for the check of buckets as text.

use std::sync::Arc;

use serde_json::Value;

use super::constraint::Constraint;
use super::field::{Field, FieldType, Fields};
use crate::json;

/// Facts about a class for the check of buckets as text.
#[derive(Debug, Default)]
pub(super) struct TextRules {
    /// Whether buckets of the class can be checked as text. They cannot, if the class has references, or
    /// defaults inside of arrays and objects, or if a key of a bucket that a field or a constraint names
    /// needs escapes.
    pub(super) is_checkable: bool,
    /// The positions in the class of the fields with a default.
    pub(super) defaults: Vec<usize>,
}

impl TextRules {
    pub(super) fn of(
        fields: &Fields,
        constraints: &[Arc<Constraint>],
        is_abstract: bool,
        holds_references: bool,
    ) -> Self {
        let has_default =
            |(position, (_, field)): (usize, (&str, &Field))| field.default.is_some().then_some(position);
        let defaults = fields.iter().enumerate().filter_map(has_default);
        // A constraint may name keys that no field declares.
        let mut constraint_keys =
            constraints.iter().flat_map(|constraint| &constraint.fields).filter_map(|path| path.first());
        let is_checkable = !is_abstract
            && !holds_references
            && fields.iter().all(|(name, field)| !json::needs_escapes(name) && field.is_simple_in_text())
            && !constraint_keys.any(|key| json::needs_escapes(key));
        Self { is_checkable, defaults: defaults.collect() }
    }
}

impl Field {
    /// Whether normalization does nothing but add a scalar default, or collapse white space in a string.
    fn is_simple_in_text(&self) -> bool {
        let default_is_stored_as_it_is = match &self.default {
            None => true,
            Some(Value::Array(_) | Value::Object(_)) => false,
            Some(Value::String(text)) => !self.collapses_whitespace() || is_collapsed(text),
            Some(_) => true,
        };
        let is_scalar =
            !matches!(self.field_type, FieldType::Hash(_) | FieldType::Array(_) | FieldType::Class(_));
        default_is_stored_as_it_is && (is_scalar || !self.normalizes())
    }

    pub(super) fn collapses_whitespace(&self) -> bool {
        matches!(&self.field_type, FieldType::String(rules) if rules.collapse)
    }
}

/// Whether collapsing white space leaves the text unchanged. May be `false` for such a text, too.
pub(super) fn is_collapsed(text: &str) -> bool {
    text.is_ascii()
        && !text.bytes().any(|byte| byte.is_ascii_whitespace() && byte != b' ' || byte == 0x0b)
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ")
}
