//! Writes the compact JSON text of objects, as `serde_json` does. A vectorized scan finds out whether a
//! string needs escapes. A string that needs none is copied.

use serde_json::{Map, Value};

/// The initial capacity for a text, in bytes. The texts of most buckets are shorter.
const CAPACITY: usize = 256;

/// The compact JSON text of an object.
pub(crate) fn text_of(map: &Map<String, Value>) -> String {
    let mut text = Vec::with_capacity(CAPACITY);
    push_object(&mut text, map);
    // Only JSON text is written, which is UTF-8. The fallback is unreachable.
    String::from_utf8(text).unwrap_or_else(|_| "{}".to_owned())
}

fn push_object(text: &mut Vec<u8>, map: &Map<String, Value>) {
    text.push(b'{');
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        push_string(text, key);
        text.push(b':');
        push_value(text, value);
    }
    text.push(b'}');
}

fn push_value(text: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => text.extend_from_slice(b"null"),
        Value::Bool(true) => text.extend_from_slice(b"true"),
        Value::Bool(false) => text.extend_from_slice(b"false"),
        Value::Number(number) => push_scalar(text, number),
        Value::String(string) => push_string(text, string),
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                push_value(text, item);
            }
            text.push(b']');
        }
        Value::Object(map) => push_object(text, map),
    }
}

fn push_string(text: &mut Vec<u8>, string: &str) {
    // Without an early exit the loop is vectorized.
    let must_escape = |byte: &u8| (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    if string.as_bytes().iter().fold(false, |found, byte| found | must_escape(byte)) {
        return push_scalar(text, string);
    }
    text.push(b'"');
    text.extend_from_slice(string.as_bytes());
    text.push(b'"');
}

/// Writes a string or a number as `serde_json` does.
fn push_scalar<T: serde::Serialize + ?Sized>(text: &mut Vec<u8>, scalar: &T) {
    // This cannot fail: a string or a finite number is JSON, and writing to a vector succeeds.
    let _ = serde_json::to_writer(text, scalar);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::json::arbitrary::value;

    proptest! {
        #[test]
        fn the_text_is_that_of_serde_json(value in value()) {
            let object = json!({ "key": value });
            prop_assert_eq!(text_of(object.as_object().unwrap()), object.to_string());
        }
    }
}
