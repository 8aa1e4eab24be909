//! What a response says: the result of a method, its error, or why the request was refused.

use hyper::HeaderMap;
use hyper::http::response::Parts;
use miko_rpc::{Error, ErrorId, JsonAnswer, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::exchange::Answer;
use crate::headers;

/// How many bytes a failure may have beyond the largest result.
pub(super) const ROOM_FOR_FAILURE: usize = 64 << 10;

/// The bytes of an answer, for a proxy.
///
/// # Errors
/// The reason why the request was refused, or `internal` if the response is none of a Mikobase.
pub(super) fn of_method(answer: &Answer) -> Result<Vec<u8>> {
    let text = text(answer)?;
    if answer.head.status.is_success() {
        let nil =
            header_number(&answer.head.headers, headers::NIL).and_then(|level| u32::try_from(level).ok());
        return Ok(match nil {
            Some(level) => JsonAnswer::Nil(level),
            None if text == "null" => JsonAnswer::Nil(0),
            None => JsonAnswer::Value(text),
        }
        .to_bytes());
    }
    let failure = Failure::read(&answer.head, text)?;
    match answer.head.headers.get(headers::FAILURE) {
        Some(of) if of == headers::OF_METHOD => Ok(JsonAnswer::Failure(failure.errors.get()).to_bytes()),
        _ => Err(failure.into_error()),
    }
}

/// The text of a response that must be a success.
///
/// # Errors
/// As [`of_method`].
pub(super) fn of_success(answer: &Answer) -> Result<&str> {
    let text = text(answer)?;
    if answer.head.status.is_success() {
        return Ok(text);
    }
    Err(Failure::read(&answer.head, text)?.into_error())
}

/// The error of a failure that a stream has sent.
pub(super) fn of_failure(text: &str) -> Error {
    match serde_json::from_str::<Failure<'_>>(text) {
        Ok(failure) => failure.into_error(),
        Err(fault) => Error::caused_by(ErrorId::INTERNAL, "the failure of a stream cannot be read", fault),
    }
}

/// The number in a header field.
pub(super) fn header_number(headers: &HeaderMap, name: impl hyper::header::AsHeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn text(answer: &Answer) -> Result<&str> {
    str::from_utf8(&answer.body).map_err(|_| other_server(&answer.head))
}

/// `{"success": false, "errors": […]}`.
#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    errors: &'a RawValue,
}

impl<'a> Failure<'a> {
    fn read(head: &Parts, text: &'a str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| other_server(head))
    }

    fn into_error(self) -> Error {
        serde_json::from_str(self.errors.get()).unwrap_or_else(|fault| {
            Error::caused_by(ErrorId::INTERNAL, "the errors of the server cannot be read", fault)
        })
    }
}

/// The error of a response that is none of a Mikobase, but of a program in front of it.
fn other_server(head: &Parts) -> Error {
    let message = "something other than a Mikobase has answered";
    Error::new(ErrorId::INTERNAL, message).with("status", head.status.as_u16())
}
