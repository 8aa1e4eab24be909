//! Calls of the methods of a Mikobase by their names.

use std::rc::Rc;

use miko_rpc::{DispatchError, Error, ErrorId, JsonText, Result, json};
use miko_shared::server::{JsonCall, JsonConnection, JsonParams};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An object or a stream of a caller, which is released when this is dropped: the caller may be a session.
pub(super) struct Owned {
    pub(super) caller: Rc<JsonConnection>,
    pub(super) handle: u64,
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.caller.release(self.handle);
    }
}

/// Calls a method of the Mikobase.
pub(super) async fn call(
    caller: &JsonConnection,
    method: &str,
    params: Value,
) -> Result<JsonText, DispatchError> {
    caller.call(JsonCall { object: None, method, params: JsonParams::Value(&params) }).await
}

/// A text of JSON as the only param of a method. It must be one value, or it would become several params. A
/// byte order mark before it is skipped.
pub(super) fn one_param(text: &str) -> Result<String> {
    let text = text.strip_prefix(json::BYTE_ORDER_MARK).unwrap_or(text);
    serde_json::from_str::<&RawValue>(text)
        .map_err(|fault| Error::caused_by(ErrorId::INVALID_REQUEST, "this is not JSON", fault))?;
    Ok(format!("[{text}]"))
}

/// The handle of a result that is a stream.
pub(super) fn stream_handle(result: &JsonText) -> Result<u64, DispatchError> {
    #[derive(Deserialize)]
    struct Handle {
        stream: u64,
    }
    let handle: Handle = serde_json::from_str(result.get()).map_err(|fault| unexpected(&fault))?;
    Ok(handle.stream)
}

/// The error for a result that is not what the method returns.
pub(super) fn unexpected(fault: &serde_json::Error) -> DispatchError {
    let message = format!("the result of the method is not as expected: {fault}");
    Error::new(ErrorId::INTERNAL, message).into()
}
