//! Abbreviates values in error details.

use serde_json::Value;

use crate::json::type_name;

/// Abbreviates a value for error details: a long string to its beginning and its length, an array or an
/// object to the name of its type. Any other value is returned in full.
pub(crate) fn abbreviate(value: &Value) -> Value {
    /// The maximal length of a string that is returned in full, in bytes.
    const MAX_LENGTH: usize = 200;
    match value {
        Value::String(text) if text.len() > MAX_LENGTH => {
            // A character has at most 4 bytes, so the beginning has at most `MAX_LENGTH` bytes.
            let beginning: String = text.chars().take(MAX_LENGTH / 4).collect();
            format!("{beginning}… ({} bytes)", text.len()).into()
        }
        Value::Array(_) | Value::Object(_) => type_name(value).into(),
        short => short.clone(),
    }
}
