//! Refusals as text.

use hyper::StatusCode;
use miko_rpc::{DispatchError, Error};
use serde_json::value::RawValue;

/// The JSON form of a failure.
pub(crate) fn json(errors: &RawValue) -> String {
    format!(r#"{{"success":false,"errors":{}}}"#, errors.get())
}

/// The bytes of a refusal after which the connection is closed.
pub(crate) fn last(status: StatusCode, error: &Error) -> Vec<u8> {
    let body = json(&DispatchError::Request(error.clone()).to_json());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
