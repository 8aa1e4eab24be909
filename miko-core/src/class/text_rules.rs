//! Facts about a class that are precomputed for checking buckets as [text](super::text).

use std::sync::Arc;

use serde_json::Value;

use super::constraint::Constraint;
use super::field::{Field, FieldType, Fields};
use crate::json;

/// Facts about a class for checking buckets as text.
#[derive(Debug, Default)]
pub(super) struct TextRules {
    /// Whether buckets of the class can be checked as text. `false` in each of these cases:
    /// - The class is abstract, or may hold references.
    /// - A default is an array or an object, or itself needs normalization.
    /// - Normalization may change the inside of arrays or objects.
    /// - A field or a constraint names a top-level key that needs escapes in JSON. Members are found by the
    ///   text of their keys.
    pub(super) is_checkable: bool,
    /// The positions of the fields with a default, in [`Class::fields`](super::catalog::Class).
    pub(super) defaults: Vec<usize>,
}

impl TextRules {
    pub(super) fn of(
        fields: &Fields,
        constraints: &[Arc<Constraint>],
        is_abstract: bool,
        holds_references: bool,
    ) -> Self {
        let default_position =
            |(position, (_, field)): (usize, (&str, &Field))| field.default.is_some().then_some(position);
        let defaults = fields.iter().enumerate().filter_map(default_position);
        // A constraint may name keys that no field declares.
        let mut constraint_keys =
            constraints.iter().flat_map(|constraint| &constraint.fields).filter_map(|path| path.first());
        let is_checkable = !is_abstract
            && !holds_references
            && fields
                .iter()
                .all(|(name, field)| !json::needs_escapes(name) && field.has_simple_normalization())
            && !constraint_keys.any(|key| json::needs_escapes(key));
        Self { is_checkable, defaults: defaults.collect() }
    }
}

impl Field {
    /// Whether normalization can only add a scalar default that is normalized already, or collapse white
    /// space in a string.
    fn has_simple_normalization(&self) -> bool {
        let default_is_normalized = match &self.default {
            None => true,
            Some(Value::Array(_) | Value::Object(_)) => false,
            Some(Value::String(text)) => !self.collapses_whitespace() || is_collapsed(text),
            Some(_) => true,
        };
        let is_scalar =
            !matches!(self.field_type, FieldType::Hash(_) | FieldType::Array(_) | FieldType::Class(_));
        default_is_normalized && (is_scalar || !self.normalizes())
    }

    /// Whether the field is a string with `collapse`.
    pub(super) fn collapses_whitespace(&self) -> bool {
        matches!(&self.field_type, FieldType::String(rules) if rules.collapse)
    }
}

/// Whether collapsing white space surely leaves the text unchanged. `false` for any text with a character
/// beyond ASCII, since the character may be white space.
pub(super) fn is_collapsed(text: &str) -> bool {
    // `is_ascii_whitespace` lacks the vertical tab, which Unicode counts as white space.
    const VERTICAL_TAB: u8 = 0x0b;
    text.is_ascii()
        && !text.bytes().any(|byte| byte.is_ascii_whitespace() && byte != b' ' || byte == VERTICAL_TAB)
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ")
}
