//! The value at the end of a path.

use serde_json::{Number, Value};

use crate::json;
use crate::query::folding::Folding;

/// A borrowed value at the end of a path.
#[derive(Debug, Clone)]
pub(crate) enum ValueRef<'v> {
    /// The path leads to no value.
    Absent,
    Null,
    Bool(bool),
    Number(Number),
    Text(&'v str),
    /// An array or an object.
    Composite(&'v Value),
}

impl ValueRef<'_> {
    /// Whether the value equals a literal. Null equals an absent value.
    pub(super) fn equals(&self, literal: &Value) -> bool {
        match (self, literal) {
            (Self::Absent | Self::Null, literal) => literal.is_null(),
            (Self::Bool(value), literal) => literal.as_bool() == Some(*value),
            (Self::Number(number), Value::Number(literal)) => {
                json::compare_numbers(number, literal).is_some_and(std::cmp::Ordering::is_eq)
            }
            (Self::Text(text), Value::String(literal)) => text == literal,
            (Self::Composite(value), literal) => json::equal(value, literal),
            _ => false,
        }
    }

    /// As [`equals`](Self::equals), but a text is folded before it is compared. The literal is folded
    /// already.
    pub(super) fn equals_folded(&self, literal: &Value, folding: Folding) -> bool {
        match (self, literal) {
            (Self::Text(text), Value::String(literal)) => folding.apply(text) == literal.as_str(),
            _ => self.equals(literal),
        }
    }

    pub(super) const fn is_null_or_absent(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }
}

impl<'v> From<&'v Value> for ValueRef<'v> {
    fn from(value: &'v Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(text),
            Value::Array(_) | Value::Object(_) => Self::Composite(value),
        }
    }
}
