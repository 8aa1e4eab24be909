//! Lossless JSON.
//!
//! Untrusted text is parsed by [`parse`], which refuses what could not be returned unchanged. Values of other
//! processes are read by [`plain`], so that no key of theirs is taken for one of `serde_json`.

mod numbers;
pub mod plain;
pub mod reader;
mod representable;
mod writer;

use std::cell::RefCell;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, ErrorId, Result};
use crate::memory;

pub use numbers::is_multiple;
pub use reader::{from_text, object_from_text};
pub use writer::serialize_text;
#[cfg(feature = "interface")]
pub(crate) use writer::{TextFault, to_text_within};

/// The name of the newtype as which a handle is serialized. A serializer that only looks at a value stops at
/// it: serializing the inside gives the handle away.
pub(crate) const HANDLE: &str = "mikobase::Handle";

/// The byte order mark that some programs write before UTF-8 text.
pub const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// The maximal nesting depth of arrays and objects in a request.
///
/// `serde_json` parses text to a depth of 127. An answer or a worldlet nests a bucket deeper than the request
/// that wrote it did. This limit leaves room for that, so everything stored can be parsed again.
pub const MAX_DEPTH: usize = 120;

/// Parses untrusted JSON text. Refuses numbers that would lose digits and duplicate keys of an object. Skips
/// a leading byte order mark.
///
/// ```
/// assert!(miko_rpc::json::parse("[18446744073709551615, 0.1, 0.10000000000000001, 1e20]").is_ok());
/// assert!(miko_rpc::json::parse("[18446744073709551617]").is_err());
/// ```
///
/// # Errors
/// `invalid_request`, with `line` and `column`, if the text is not JSON, nests deeper than `serde_json`
/// reads, or has a number that would lose digits; with `duplicate_key`, if a key occurs twice in an object.
/// `storage-full`, if the value would take more memory than [`memory::limit`] allows.
pub fn parse(text: &str) -> Result<Value> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let duplicate = RefCell::new(None);
    let value = reader::from_untrusted_text(text, &duplicate).map_err(|fault| {
        let (line, column) = (fault.line(), fault.column());
        let error = match (memory::take_limit_error(&fault.to_string()), duplicate.take()) {
            (_, Some(key)) => {
                let message = format!("an object has one value per key: {fault}");
                Error::new(ErrorId::INVALID_REQUEST, message).with("duplicate_key", key)
            }
            (Some(reason), None) => reason,
            (None, None) => Error::caused_by(ErrorId::INVALID_REQUEST, "this is not JSON", fault),
        };
        error.with("line", line).with("column", column)
    })?;
    match numbers::first_inexact(text) {
        None => Ok(value),
        Some(literal) => {
            let nearest = numbers::nearest_float(literal).map_or(Value::Null, Value::Number);
            let message = format!(
                "a number would lose digits: {literal} would be kept as {nearest}; \
                 integers from -2^63 to 2^64-1 and double-precision floats are kept exactly: \
                 send anything else as a string"
            );
            Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", literal).with("kept_as", nearest))
        }
    }
}

/// Serializes a value to JSON text that gives it back.
///
/// ```
/// assert_eq!(miko_rpc::json::to_text(&[1.5, 2.0]).unwrap(), "[1.5,2.0]");
/// assert_eq!(miko_rpc::json::to_text(&f64::NAN).unwrap_err().to_string(), "JSON has no number NaN");
/// ```
///
/// # Errors
/// Those of the type; also for NaN, infinity and integers beyond 64 bits, which JSON lacks.
pub fn to_text(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    writer::to_text(value)
}

/// Whether arrays and objects in `value` nest deeper than [`MAX_DEPTH`].
///
/// Values that are built in code or come in a binary format may nest to any depth. The check descends at most
/// [`MAX_DEPTH`] levels, so it is safe on every value.
#[inline]
pub fn too_deep(value: &Value) -> bool {
    nests_deeper_than(value, MAX_DEPTH)
}

/// As [`too_deep`], for another number of levels, which is at least 1.
pub fn nests_deeper_than(value: &Value, levels: usize) -> bool {
    fn deeper_than(value: &Value, left: usize) -> bool {
        // Most values are no containers: they are passed over without a call.
        let is_deeper = |item: &Value| {
            matches!(item, Value::Array(_) | Value::Object(_)) && (left == 0 || deeper_than(item, left - 1))
        };
        match value {
            Value::Array(items) => items.iter().any(is_deeper),
            Value::Object(map) => map.values().any(is_deeper),
            _ => false,
        }
    }
    deeper_than(value, levels - 1)
}

/// A value that nests one level deeper than [`MAX_DEPTH`].
pub fn too_deep_value() -> Value {
    (0..=MAX_DEPTH).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

/// Drops a value of any depth without recursion. The generated drop needs stack for each level, and an
/// untrusted value may have a million levels.
pub fn drop_iteratively(value: Value) {
    let mut pending = vec![value];
    while let Some(value) = pending.pop() {
        match value {
            Value::Array(items) => pending.extend(items),
            Value::Object(map) => pending.extend(map.into_iter().map(|(_, item)| item)),
            _ => {}
        }
    }
}

/// The JSON type of `value` for messages.
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
    fn text_may_nest_slightly_deeper_than_a_request() {
        assert!(parse(&nested(MAX_DEPTH + 7)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 8)).is_err());
        assert!(parse(&nested(1_000_000)).is_err());
    }

    #[test]
    fn the_depth_of_values_built_in_code_is_checked() {
        let build = |depth| (1..depth).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]));
        assert!(!too_deep(&build(MAX_DEPTH)));
        assert!(too_deep(&build(MAX_DEPTH + 1)));
    }

    #[test]
    fn a_syntax_error_reports_its_line() {
        let error = parse("{\"a\":\n 1,}").unwrap_err();
        assert_eq!(error.items()[0].details["line"], 2);
    }

    #[test]
    fn a_duplicate_key_is_told_whatever_its_text_is() {
        for key in ["a", "its values take too much memory", "there is no memory for this"] {
            let error = parse(&format!(r#"{{"{key}": 1, "{key}": 2}}"#)).unwrap_err();
            assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
            assert_eq!(error.items()[0].details["duplicate_key"], key);
        }
    }
}
