//! Why a call or a connection failed, for the blocking and the async client. In the modules of the client,
//! the word fault means this, and not an error in an input.

use std::io;

use miko_rpc::{Error, ErrorId, Method};

/// Why a call failed, other than by an error of its method.
pub(super) enum ConnectionFault {
    /// The call itself failed: it could not be encoded, the server refused it, its answer could not be
    /// decoded, or the answer did not arrive in time. The connection remains usable.
    OfCall(Error),
    /// The call was given up at its deadline, before any of it was sent. The connection remains usable.
    NotBegun(Error),
    /// The connection is unusable, though the server is not known to be gone: the server sent a frame that
    /// cannot be read, or ended the connection with an error. The call is not sent again. `lazy_object` also
    /// uses this variant for a lost connection, if the opening call may not be repeated.
    OfConnection(Error),
    /// The connection was lost before the whole request was sent, so the call did not run. If two calls are
    /// sent together ([`Connection::call_on_opened`](super::connection::Connection::call_on_opened)), not
    /// even the first was sent as a whole, so neither ran.
    Unsent(Error),
    /// The connection was lost after the request was sent, and before the answer arrived: it is unknown
    /// whether the call ran. If two calls are sent together, the first was sent as a whole, and it is unknown
    /// whether either ran.
    Unanswered(Error),
}

impl ConnectionFault {
    /// Classifies the error of a connection that failed before the whole call was sent. If two calls are sent
    /// together: before the whole of the first was sent.
    pub(super) fn before_sent(error: Error) -> Self {
        Self::classify(error, Self::Unsent)
    }

    /// Classifies the error of a connection that failed after the whole call was sent. If two calls are sent
    /// together: after the whole of the first was sent.
    pub(super) fn after_sent(error: Error) -> Self {
        Self::classify(error, Self::Unanswered)
    }

    /// Wraps `error` in `if_gone` if its id is `server-gone`, and in [`OfConnection`](Self::OfConnection)
    /// otherwise.
    fn classify(error: Error, if_gone: fn(Error) -> Self) -> Self {
        if error.is(ErrorId::SERVER_GONE) { if_gone(error) } else { Self::OfConnection(error) }
    }

    /// Whether a call of `method` may be sent again, over another connection.
    pub(super) fn may_repeat(&self, method: &Method) -> bool {
        match self {
            Self::OfCall(_) | Self::NotBegun(_) | Self::OfConnection(_) => false,
            Self::Unsent(_) => true,
            Self::Unanswered(_) => method.is_repeatable(),
        }
    }

    /// The error that the caller of the call gets. If the connection failed, and not only the call, `convert`
    /// is applied to the error.
    pub(super) fn into_error(self, convert: fn(Error) -> Error) -> Error {
        match self {
            Self::OfCall(error) | Self::NotBegun(error) => error,
            Self::OfConnection(error) | Self::Unsent(error) | Self::Unanswered(error) => convert(error),
        }
    }
}

/// The error of a call or a handshake that the server did not answer in time.
pub(super) fn call_timed_out() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not answer in time")
}

/// The error of a connection that the server did not accept in time.
pub(super) fn accept_timed_out() -> Error {
    Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not take up the connection in time")
}

/// The error of a connection whose socket has failed.
pub(super) fn connection_lost(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::SERVER_GONE, "the connection to the server was lost", fault)
}

/// The error of a connection that the server has closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorId::SERVER_GONE, "the server has closed the connection")
}

/// The error of an object or a stream whose connection was lost.
pub(super) fn session_gone(fault: Error) -> Error {
    let message = "the connection was lost, and with it the object or stream that belonged to it";
    Error::caused_by(ErrorId::SESSION_GONE, message, fault)
}
