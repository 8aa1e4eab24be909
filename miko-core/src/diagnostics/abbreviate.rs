//! Abbreviates values in error details.

use serde_json::Value;

use crate::json::type_name;

/// A value for error details: short values in full, the beginning of a long string, the type of an array or
/// object.
pub(crate) fn abbreviate(value: &Value) -> Value {
    const SHORT: usize = 200;
    match value {
        Value::String(text) if text.len() > SHORT => {
            let beginning: String = text.chars().take(SHORT / 4).collect();
            format!("{beginning}… ({} bytes)", text.len()).into()
        }
        Value::Array(_) | Value::Object(_) => type_name(value).into(),
        short => short.clone(),
    }
}
