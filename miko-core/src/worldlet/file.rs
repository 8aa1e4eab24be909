//! The files of a worldlet: what is known of each, and their chunks.

use serde_json::{Map, Value};

use super::record::read_time;
use super::{COMMENTS, Problems, entry};
use crate::bytes::from_base64;
use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::timestamp::Timestamp;

/// What is known of a file, well-formed by itself.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    pub(crate) pk: String,
    pub(crate) sha256: String,
    pub(crate) mime: Value,
    pub(crate) created_at: Option<Timestamp>,
}

/// A chunk of a file.
#[derive(Debug)]
pub(crate) struct IncomingChunk {
    pub(crate) file: String,
    pub(crate) index: u64,
    pub(crate) is_last: bool,
    /// As the file's `mime.encoding` says: base64, or the text itself.
    pub(crate) data: String,
    /// Where it stands, as a JSON pointer.
    pub(crate) pointer: String,
}

/// Reads what is known of a file. What is wrong with it is noted, and then there is its pk.
pub(super) fn read_file(pk: String, text: &str, problems: &mut Problems) -> Result<IncomingFile, String> {
    let file = read("files", &pk, text, problems, |parts, place, faults| {
        let sha256 = take(parts, "sha256", place, faults).and_then(|value| match value.as_str() {
            Some(sha256) if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(sha256.to_ascii_lowercase())
            }
            _ => {
                faults.refuse(Place::Key(place, "sha256").wrong_value("64 hexadecimal digits", value));
                None
            }
        });
        let mime = take(parts, "mime", place, faults).and_then(|value| read_mime(value, place, faults));
        let created_at = parts
            .shift_remove("created_at")
            .and_then(|value| read_time(value, &Place::Key(place, "created_at"), faults));
        Some(IncomingFile { pk: String::new(), sha256: sha256?, mime: mime?, created_at })
    });
    match file {
        Some(file) => Ok(IncomingFile { pk, ..file }),
        None => Err(pk),
    }
}

/// Reads a chunk. What is wrong with it is noted, and then there is the pk of its file, if that can be told.
pub(super) fn read_chunk(
    key: &str,
    text: &str,
    problems: &mut Problems,
) -> Result<IncomingChunk, Option<String>> {
    let mut of_file = None;
    let chunk = read("file_chunks", key, text, problems, |parts, place, faults| {
        let file = take(parts, "file", place, faults).and_then(|value| match value {
            Value::String(pk) => {
                of_file = Some(pk.clone());
                Some(pk)
            }
            other => {
                faults.refuse(Place::Key(place, "file").wrong_type("the pk of a file", &other));
                None
            }
        });
        let index = take(parts, "index", place, faults).and_then(|value| {
            let index = value.as_number().and_then(json::count);
            if index.is_none() {
                faults.refuse(Place::Key(place, "index").wrong_value("a non-negative integer", value));
            }
            index
        });
        let is_last = match parts.shift_remove("last") {
            None => false,
            Some(Value::Bool(last)) => last,
            Some(other) => {
                faults.refuse(Place::Key(place, "last").wrong_type("a boolean", &other));
                false
            }
        };
        let data = take(parts, "data", place, faults).and_then(|value| match value {
            Value::String(data) => Some(data),
            _ => {
                faults.refuse(Place::Key(place, "data").fault("expected a string of base64"));
                None
            }
        });
        let pointer = place.to_string();
        Some(IncomingChunk { file: file?, index: index?, is_last, data: data?, pointer })
    });
    chunk.ok_or(of_file)
}

/// How the chunks of a file stand in a worldlet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Encoding {
    Base64,
    /// As text, which a string of JSON holds as it is.
    Text,
}

impl Encoding {
    /// What the `mime` of a file says.
    pub(crate) fn of(mime: &Value) -> Self {
        match mime.get("encoding").and_then(Value::as_str) {
            Some(encoding) if encoding.eq_ignore_ascii_case("utf-8") => Self::Text,
            _ => Self::Base64,
        }
    }

    /// The bytes that a chunk stands for.
    pub(crate) fn decode(self, data: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64 => from_base64(data),
            Self::Text => Ok(data.as_bytes().to_vec()),
        }
    }
}

fn read_mime(value: Value, place: &Place<'_>, faults: &mut Faults) -> Option<Value> {
    let place = Place::Key(place, "mime");
    if value.get("type").is_none_or(|kind| !kind.is_string()) {
        faults.refuse(place.fault("`mime` is an object with a string `type`, such as image/png"));
        return None;
    }
    match value.get("encoding") {
        None => {}
        Some(encoding) if encoding == "base64" => {}
        Some(_) if Encoding::of(&value) == Encoding::Text => {}
        Some(other) => {
            faults.refuse(Place::Key(&place, "encoding").wrong_value("base64 or utf-8", other.clone()));
            return None;
        }
    }
    Some(value)
}

/// Reads an entry of `of` by taking its keys: what is left is unknown.
fn read<T>(
    of: &str,
    key: &str,
    text: &str,
    problems: &mut Problems,
    take_keys: impl FnOnce(&mut Map<String, Value>, &Place<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    entry::read((of, key), text, problems, |value, place, faults| {
        let Value::Object(mut parts) = value else {
            faults.refuse(place.wrong_type("an object", &value));
            return None;
        };
        let entry = take_keys(&mut parts, place, faults);
        for unknown in parts.keys().filter(|key| !COMMENTS.contains(&key.as_str())) {
            faults.refuse(Place::Key(place, unknown).fault(format!("this knows no `{unknown}`")));
        }
        entry
    })
}

fn take(
    parts: &mut Map<String, Value>,
    key: &'static str,
    place: &Place<'_>,
    faults: &mut Faults,
) -> Option<Value> {
    let value = parts.shift_remove(key);
    if value.is_none() {
        faults.refuse(place.fault(format!("`{key}` is missing")).with("missing_fields", vec![key]));
    }
    value
}
