//! Why a call returned no response.

use std::io;

use miko_rpc::{Error, ErrorId, Method};

/// Why a call returned no response.
#[derive(Debug)]
pub(super) enum Fault {
    /// The call was refused, or given up.
    OfCall(Error),
    /// The connection was lost before the request was taken up, so the call did not run.
    Unsent(Error),
    /// The connection was lost before the answer arrived; it is unknown whether the call ran.
    Unanswered(Error),
}

impl Fault {
    /// Whether the call may be sent again.
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        match self {
            Self::OfCall(_) => false,
            Self::Unsent(_) => true,
            Self::Unanswered(_) => method.is_repeatable(),
        }
    }

    /// The error of the call. `convert` is applied to that of a connection that was lost.
    pub(super) fn into_error(self, convert: fn(Error) -> Error) -> Error {
        match self {
            Self::OfCall(error) => error,
            Self::Unsent(error) | Self::Unanswered(error) => convert(error),
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::OfCall(error)
    }
}

/// The error for a failed connect.
pub(super) fn unreachable(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::SERVER_GONE, "no server can be reached", fault)
}

/// The error of a connection that has failed.
pub(super) fn lost(fault: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::caused_by(ErrorId::SERVER_GONE, "the connection to the server was lost", fault)
}

/// The error of a connection that the server has closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorId::SERVER_GONE, "the server has closed the connection")
}

/// The error of a call that the server did not answer in time.
pub(super) fn not_in_time() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not answer in time")
}

/// The error of a session that was not opened in time.
pub(super) fn not_opened() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not open a session in time")
}

/// The error of an object or a stream whose session was lost.
pub(super) fn session_gone(fault: Error) -> Error {
    let message = "the session was lost, and with it the object or stream that belonged to it";
    Error::caused_by(ErrorId::SESSION_GONE, message, fault)
}

/// The error of an object or a stream in a fork.
pub(super) fn of_another_process() -> Error {
    let message = "an object or stream belongs to the process that received it, and was used in a fork";
    Error::new(ErrorId::SESSION_GONE, message)
}
