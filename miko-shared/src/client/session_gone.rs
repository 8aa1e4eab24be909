//! The error of what lived with a connection that was lost.

use miko_rpc::{Error, ErrorId};

/// The error of an object or a stream whose connection was lost.
pub(super) fn session_gone(fault: Error) -> Error {
    let message = "the connection was lost, and with it the object or stream that belonged to it";
    Error::caused_by(ErrorId::SESSION_GONE, message, fault)
}
