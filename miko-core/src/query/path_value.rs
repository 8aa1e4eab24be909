//! Owned values at the end of a path, which are kept without their buckets.

use std::sync::Arc;

use serde_json::{Number, Value};

use crate::query::lookup::with_value_at;
use crate::query::step::PathStep;
use crate::query::value_ref::ValueRef;

/// The value at the end of a path: [`ValueRef`], owned. Clones share texts and composites.
///
/// If two values are equal by `Eq`, all operators and sort keys treat them alike, so a column may store them
/// once. The converse does not hold: operators treat `1` and `1.0` alike, and they differ by `Eq`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PathValue {
    Absent,
    Null,
    Bool(bool),
    Number(Number),
    Text(Arc<str>),
    /// An array or an object.
    Composite(Arc<Value>),
}

impl PathValue {
    /// The value at the end of the steps in a bucket given as JSON text.
    pub(crate) fn at(bucket: &str, steps: &[PathStep]) -> Self {
        with_value_at(bucket, steps, |value| match value {
            ValueRef::Absent => Self::Absent,
            ValueRef::Null => Self::Null,
            ValueRef::Bool(value) => Self::Bool(value),
            ValueRef::Number(number) => Self::Number(number),
            ValueRef::Text(text) => Self::Text(text.into()),
            ValueRef::Composite(value) => Self::Composite(Arc::new(value.clone())),
        })
    }

    /// The value as a [`ValueRef`], for operators and sort keys.
    pub(super) fn view(&self) -> ValueRef<'_> {
        match self {
            Self::Absent => ValueRef::Absent,
            Self::Null => ValueRef::Null,
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Number(number) => ValueRef::Number(number.clone()),
            Self::Text(text) => ValueRef::Text(text),
            Self::Composite(value) => ValueRef::Composite(value),
        }
    }

    /// The approximate size in bytes of the heap allocations of the value.
    pub(crate) fn heap_size(&self) -> usize {
        match self {
            Self::Absent | Self::Null | Self::Bool(_) | Self::Number(_) => 0,
            Self::Text(text) => ALLOCATION_OVERHEAD + text.len(),
            Self::Composite(value) => ALLOCATION_OVERHEAD + composite_size(value),
        }
    }
}

/// The approximate number of bytes that an allocation takes in addition to its content.
const ALLOCATION_OVERHEAD: usize = 32;

/// The approximate size of a value in bytes, heap allocations included. The recursion is bounded, because
/// values nest at most [`MAX_DEPTH`] deep.
///
/// [`MAX_DEPTH`]: crate::json::MAX_DEPTH
fn composite_size(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => ALLOCATION_OVERHEAD + text.len(),
            Value::Array(items) => ALLOCATION_OVERHEAD + items.iter().map(composite_size).sum::<usize>(),
            // One overhead is for the text of the key, and one for the entry of the member in the map.
            Value::Object(members) => members
                .iter()
                .map(|(key, value)| 2 * ALLOCATION_OVERHEAD + key.len() + composite_size(value))
                .sum(),
        }
}
