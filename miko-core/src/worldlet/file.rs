//! The files of a worldlet: the metadata of each file, and the chunks of all files.

use miko_rpc::from_base64;
use serde_json::{Map, Value};

use super::record::read_time;
use super::{WorldletFaults, entry};
use crate::diagnostics::{Faults, Place};
use crate::json;
use crate::record::COMMENT_KEYS;
use crate::timestamp::Timestamp;

/// The metadata of a file. The form of the metadata is valid; the content of the file is not checked yet.
#[derive(Debug)]
pub(crate) struct IncomingFile {
    pub(crate) pk: String,
    /// The SHA-256 of the content: 64 hexadecimal digits in lower case.
    pub(crate) sha256: String,
    /// The whole `mime` of the entry: an object with a `type`, and possibly an `encoding`.
    pub(crate) mime: Value,
    /// `None` if the entry does not state it.
    pub(crate) created_at: Option<Timestamp>,
}

/// A chunk of a file.
#[derive(Debug)]
pub(crate) struct IncomingChunk {
    /// The pk of the file.
    pub(crate) file: String,
    /// The position of the chunk in the file, from 0.
    pub(crate) index: u64,
    pub(crate) is_last: bool,
    /// Base64 or plain text, according to the file's `mime.encoding`.
    pub(crate) data: String,
    /// The JSON pointer of the chunk in the worldlet, for faults.
    pub(crate) pointer: String,
}

/// Reads the metadata of a file. After a fault, which goes to `faults`, returns the pk as the error, so that
/// the caller can mark the file as refused.
pub(super) fn read_file(pk: String, text: &str, faults: &mut WorldletFaults) -> Result<IncomingFile, String> {
    let file = read("files", &pk, text, faults, |parts, place, faults| {
        let sha256 = take_required(parts, "sha256", place, faults).and_then(|value| match value.as_str() {
            Some(sha256) if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(sha256.to_ascii_lowercase())
            }
            _ => {
                faults.refuse(Place::Key(place, "sha256").wrong_value("64 hexadecimal digits", value));
                None
            }
        });
        let mime =
            take_required(parts, "mime", place, faults).and_then(|value| read_mime(value, place, faults));
        let created_at = parts
            .shift_remove("created_at")
            .and_then(|value| read_time(value, &Place::Key(place, "created_at"), faults));
        // The pk is filled in below.
        Some(IncomingFile { pk: String::new(), sha256: sha256?, mime: mime?, created_at })
    });
    match file {
        Some(file) => Ok(IncomingFile { pk, ..file }),
        None => Err(pk),
    }
}

/// Reads a chunk. After a fault, which goes to `faults`, returns the pk of the file as the error, so that the
/// caller can mark the file as refused; `None` if the chunk names no file.
pub(super) fn read_chunk(
    key: &str,
    text: &str,
    faults: &mut WorldletFaults,
) -> Result<IncomingChunk, Option<String>> {
    let mut named_file = None;
    let chunk = read("file_chunks", key, text, faults, |parts, place, faults| {
        let file = take_required(parts, "file", place, faults).and_then(|value| match value {
            Value::String(pk) => {
                named_file = Some(pk.clone());
                Some(pk)
            }
            other => {
                faults.refuse(Place::Key(place, "file").wrong_type("the pk of a file", &other));
                None
            }
        });
        let index = take_required(parts, "index", place, faults).and_then(|value| {
            let index = value.as_number().and_then(json::non_negative_integer);
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
        let data = take_required(parts, "data", place, faults).and_then(|value| match value {
            Value::String(data) => Some(data),
            _ => {
                faults.refuse(Place::Key(place, "data").fault("expected a string of base64 or text"));
                None
            }
        });
        let pointer = place.to_string();
        Some(IncomingChunk { file: file?, index: index?, is_last, data: data?, pointer })
    });
    chunk.ok_or(named_file)
}

/// How a worldlet encodes the chunks of a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Encoding {
    Base64,
    /// UTF-8 text as a JSON string.
    Text,
}

impl Encoding {
    /// The encoding that the `mime` of a file names; base64 if it names none.
    pub(crate) fn of(mime: &Value) -> Self {
        match mime.get("encoding").and_then(Value::as_str) {
            Some(encoding) if encoding.eq_ignore_ascii_case("utf-8") => Self::Text,
            _ => Self::Base64,
        }
    }

    /// Decodes the `data` of a chunk. The error is a message.
    pub(crate) fn decode(self, data: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64 => from_base64(data),
            Self::Text => Ok(data.as_bytes().to_vec()),
        }
    }
}

/// Reads the `mime` of a file. The whole value is kept, after its type and its encoding are checked. The name
/// `utf-8` may be in capitals, as it often is; `base64` may not.
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

/// Reads an entry of the top-level key `section`. `take_keys` removes the known keys; each remaining key is a
/// fault, except comment keys.
fn read<T>(
    section: &str,
    key: &str,
    text: &str,
    faults: &mut WorldletFaults,
    take_keys: impl FnOnce(&mut Map<String, Value>, &Place<'_>, &mut Faults) -> Option<T>,
) -> Option<T> {
    entry::read((section, key), text, faults, |value, place, faults| {
        let Value::Object(mut parts) = value else {
            faults.refuse(place.wrong_type("an object", &value));
            return None;
        };
        let entry = take_keys(&mut parts, place, faults);
        for unknown in parts.keys().filter(|key| !COMMENT_KEYS.contains(&key.as_str())) {
            faults.refuse(Place::Key(place, unknown).fault(format!("this object has no key `{unknown}`")));
        }
        entry
    })
}

/// Removes a required key and returns its value. Reports the key if it is missing.
fn take_required(
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
