//! Writes values as compact JSON text.
//!
//! A value is written in one pass. `serde_json` writes NaN and infinity as `null`, and integers of 128 bits
//! with all their digits: only where one of these was written, the value is traversed again, to tell a number
//! without a JSON form from a real `null`.

use std::cell::Cell;
use std::io::{self, Write};

use serde::{Serialize, Serializer};
use serde_json::ser::{CompactFormatter, Formatter};

use super::representable::{self, RepresentableCheck};
use crate::bounded::BoundedVec;

/// More than most answers have, in bytes.
const CAPACITY: usize = 512;

/// The serializer that writes the text. [`serialize_text`] recognizes it by its type.
type TextSerializer<'t> = serde_json::Serializer<&'t mut BoundedVec, TextFormatter<'t>>;

thread_local! {
    /// Whether the next byte array of this thread's [`TextSerializer`] is JSON text.
    static IS_TEXT: Cell<bool> = const { Cell::new(false) };
}

/// Why there is no text of a value.
#[cfg(feature = "interface")]
pub(crate) enum TextFault {
    /// The text is longer than the limit.
    TooLong,
    /// JSON has no form of the value.
    Unserializable(serde_json::Error),
}

/// The JSON text of a value.
///
/// # Errors
/// Those of the type, and of [`representable::check`].
pub(super) fn to_text(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    write(value, &mut BoundedVec::new(Vec::with_capacity(CAPACITY), usize::MAX))
}

/// As [`to_text`], of at most `limit` bytes.
///
/// # Errors
/// As [`to_text`], and a text that is too long.
#[cfg(feature = "interface")]
pub(crate) fn to_text_within(value: &(impl Serialize + ?Sized), limit: usize) -> Result<String, TextFault> {
    let mut text = BoundedVec::new(Vec::with_capacity(CAPACITY.min(limit)), limit);
    let written = write(value, &mut text);
    if text.is_full() { Err(TextFault::TooLong) } else { written.map_err(TextFault::Unserializable) }
}

fn write(value: &(impl Serialize + ?Sized), text: &mut BoundedVec) -> serde_json::Result<String> {
    let has_doubtful = Cell::new(false);
    let formatter = TextFormatter { has_doubtful: &has_doubtful };
    value.serialize(&mut TextSerializer::with_formatter(text, formatter))?;
    if has_doubtful.get() {
        representable::check(value)?;
    }
    String::from_utf8(text.take()).map_err(serde::ser::Error::custom)
}

/// Serializes JSON text that was checked before. [`to_text`](super::to_text) copies it; for any other
/// serializer, `otherwise` serializes it.
///
/// # Errors
/// Those of the serializer and of `otherwise`.
pub fn serialize_text<S: Serializer>(
    text: &str,
    serializer: S,
    otherwise: impl FnOnce(S) -> Result<S::Ok, S::Error>,
) -> Result<S::Ok, S::Error> {
    // The ids are equal for types that differ only in lifetimes.
    let id = typeid::of::<S>();
    if id == typeid::of::<&mut TextSerializer<'_>>() {
        // That serializer hands the bytes to its formatter, which takes the mark away.
        IS_TEXT.set(true);
        serializer.serialize_bytes(text.as_bytes())
    } else if id == typeid::of::<RepresentableCheck>() {
        // Text has no number that JSON lacks.
        serializer.serialize_unit()
    } else {
        otherwise(serializer)
    }
}

/// Writes as [`CompactFormatter`] does, and text as it is.
struct TextFormatter<'t> {
    /// Whether something was written that may stand for a number without a JSON form.
    has_doubtful: &'t Cell<bool>,
}

impl Formatter for TextFormatter<'_> {
    fn write_null<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.has_doubtful.set(true);
        writer.write_all(b"null")
    }

    fn write_i128<W: Write + ?Sized>(&mut self, writer: &mut W, value: i128) -> io::Result<()> {
        self.has_doubtful.set(true);
        CompactFormatter.write_i128(writer, value)
    }

    fn write_u128<W: Write + ?Sized>(&mut self, writer: &mut W, value: u128) -> io::Result<()> {
        self.has_doubtful.set(true);
        CompactFormatter.write_u128(writer, value)
    }

    fn write_byte_array<W: Write + ?Sized>(&mut self, writer: &mut W, bytes: &[u8]) -> io::Result<()> {
        if IS_TEXT.replace(false) {
            writer.write_all(bytes)
        } else {
            CompactFormatter.write_byte_array(writer, bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    /// Text that was checked.
    struct Text(&'static str);

    impl Serialize for Text {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize_text(self.0, serializer, |serializer| {
                serde_json::from_str::<Value>(self.0).unwrap().serialize(serializer)
            })
        }
    }

    /// Bytes that a type serializes as such.
    struct Bytes;

    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(b"[]")
        }
    }

    /// Serializes itself by a serializer of its own.
    struct Nested;

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde_json::to_string(&(Text("{}"), Bytes)).unwrap().serialize(serializer)
        }
    }

    #[test]
    fn text_is_copied_and_other_bytes_are_numbers() {
        let text = to_text(&(Text(r#"{"a": [1]}"#), Bytes, Some(Text("{}")))).unwrap();
        assert_eq!(text, r#"[{"a": [1]},[91,93],{}]"#);
        assert_eq!(to_text(&(Nested, Bytes)).unwrap(), r#"["[{},[91,93]]",[91,93]]"#);
        assert_eq!(to_text(&(Text("{}"), None::<u8>)).unwrap(), "[{},null]");
    }

    #[cfg(feature = "interface")]
    #[test]
    fn a_text_is_written_up_to_its_limit() {
        let value = json!({"a": [1, "é"], "b": null});
        let text = to_text(&value).unwrap();
        for limit in 0..=text.len() + 1 {
            let written = to_text_within(&value, limit);
            match written {
                Ok(written) => assert!(written == text && limit >= text.len(), "{limit}"),
                Err(fault) => assert!(matches!(fault, TextFault::TooLong) && limit < text.len(), "{limit}"),
            }
        }
        assert!(matches!(to_text_within(&f64::NAN, 100), Err(TextFault::Unserializable(_))));
    }

    #[test]
    fn another_serializer_gets_the_value_of_a_text() {
        assert_eq!(serde_json::to_value(Text("[1, 2]")).unwrap(), json!([1, 2]));
        assert_eq!(serde_json::to_string(&Text("[1, 2]")).unwrap(), "[1,2]");
    }

    #[test]
    fn a_null_is_told_from_a_number_without_a_json_form() {
        assert_eq!(to_text(&json!({"a": null, "b": [1.5, "é\n"]})).unwrap(), r#"{"a":null,"b":[1.5,"é\n"]}"#);
        assert_eq!(to_text(&(None::<f64>, ())).unwrap(), "[null,null]");
        assert_eq!(to_text(&[5_i128]).unwrap(), "[5]");
        for value in [f64::NAN, f64::INFINITY] {
            assert!(to_text(&(None::<u8>, Some(value))).is_err());
        }
        assert!(to_text(&[u128::MAX]).is_err() && to_text(&[i128::MIN]).is_err());
        assert!(to_text(&BTreeMap::from([(i128::MIN, 1)])).is_err());
    }
}
