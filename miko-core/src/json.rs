//! JSON as Mikobase keeps it: exactly.
//!
//! Text that comes from outside enters through [`parse`], which refuses what could not be given back as it
//! was. Objects that are only passed on (buckets and stacks on their way from the store to a reader) stay text,
//! as [`Object`].

mod equality;
mod finite;
mod key;
pub(crate) mod members;
mod numbers;
mod object;
pub(crate) mod plain;
pub(crate) mod pointer;
pub(crate) mod reader;

use std::cell::RefCell;

use serde_json::{Number, Value};

use crate::error::{Error, ErrorId, Result};
use crate::memory;

pub(crate) use equality::compare_numbers;
pub use equality::equal;
pub(crate) use finite::check as check_finite;
pub(crate) use key::{key_of, with_ordered_numbers};
pub(crate) use numbers::is_multiple;
pub use object::Object;
pub(crate) use object::serialize_raw;
pub use reader::from_text;
pub(crate) use reader::object_from_text;

/// What some programs write before UTF-8 text.
pub const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// How deep arrays and objects may nest, in a request as a whole.
///
/// `serde_json` reads text to a depth of 127. A bucket stands deeper in an answer or in a worldlet than in the request
/// that wrote it: what a request may hold leaves room for that, so that whatever is stored can be read back as text.
pub const MAX_DEPTH: usize = 120;

/// The non-negative integer that a number is. `2.0` is the integer `2`, as in JSON Schema.
pub(crate) fn count(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let float = number.as_f64()?;
        // The cast is exact: the float is whole and in range.
        (float.fract() == 0.0 && (0.0..MAX_COUNT).contains(&float)).then_some(float as u64)
    })
}

/// 2^64: no count is as large.
const MAX_COUNT: f64 = 18_446_744_073_709_551_616.0;

/// Reads JSON text from outside, refusing numbers that would lose digits and keys that stand twice in an object.
/// A byte order mark before it is skipped.
///
/// ```
/// assert!(miko_core::json::parse("[18446744073709551615, 0.1, 0.10000000000000001, 1e20]").is_ok());
/// assert!(miko_core::json::parse("[18446744073709551617]").is_err());
/// ```
///
/// # Errors
/// `invalid_request`, with `line` and `column` where the text is no JSON, nests deeper than `serde_json` reads, or
/// holds a number of which digits would be lost; with `duplicate_key` where a key stands twice in an object.
/// `storage-full`, if the value would take more memory than [`memory::limit`] allows.
pub fn parse(text: &str) -> Result<Value> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let duplicate = RefCell::new(None);
    let value = reader::from_outside(text, &duplicate).map_err(|fault| {
        let error = match (memory::reason_of(&fault.to_string()), duplicate.take()) {
            (Some(reason), _) => reason,
            (None, Some(key)) => {
                let message = format!("an object has one value per key: {fault}");
                Error::new(ErrorId::INVALID_REQUEST, message).with("duplicate_key", key)
            }
            (None, None) => Error::new(ErrorId::INVALID_REQUEST, format!("this is not JSON: {fault}")),
        };
        error.with("line", fault.line()).with("column", fault.column())
    })?;
    match numbers::first_inexact(text) {
        None => Ok(value),
        Some(literal) => {
            let kept_as = numbers::kept_as(literal).map_or(Value::Null, Value::Number);
            let message = format!(
                "a number would lose digits: {literal} would be kept as {kept_as}; integers from -2^63 to 2^64-1 and \
                 double-precision floats are kept exactly: send anything else as a string"
            );
            Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", literal).with("kept_as", kept_as))
        }
    }
}

/// Do arrays and objects nest deeper than [`MAX_DEPTH`] in `value`?
///
/// Values that were parsed from text by `serde_json` never do; those that were built by hand, or came in another
/// format, may. It looks at most that deep, so it is safe on any value.
pub fn too_deep(value: &Value) -> bool {
    fn deeper_than(value: &Value, left: usize) -> bool {
        match value {
            Value::Array(items) => left == 0 || items.iter().any(|item| deeper_than(item, left - 1)),
            Value::Object(map) => left == 0 || map.values().any(|item| deeper_than(item, left - 1)),
            _ => false,
        }
    }
    deeper_than(value, MAX_DEPTH)
}

/// Drops a value of any depth. The drop that Rust generates needs stack for every level, and a caller's value may
/// have a million of them.
pub(crate) fn discard(value: Value) {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(items) => pending.extend(items),
            Value::Object(map) => pending.extend(map.into_iter().map(|(_, item)| item)),
            _ => {}
        }
    }
}

/// The JSON type of `value`, as messages name it.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn text_may_be_a_little_deeper_than_a_request_and_no_deeper_than_the_stack_bears() {
        assert!(parse(&nested(MAX_DEPTH + 7)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 8)).is_err());
        assert!(parse(&nested(1_000_000)).is_err());
    }

    #[test]
    fn depth_of_values_built_by_hand_is_noticed() {
        let build = |depth| (1..depth).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]));
        assert!(!too_deep(&build(MAX_DEPTH)));
        assert!(too_deep(&build(MAX_DEPTH + 1)));
    }

    #[test]
    fn a_syntax_error_names_its_place() {
        let error = parse("{\"a\":\n 1,}").unwrap_err();
        assert_eq!(error.items()[0].details["line"], 2);
    }
}
