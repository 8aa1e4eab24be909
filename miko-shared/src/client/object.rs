//! Calls on an object that lives in a server with a connection.

use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{Error, ErrorId, OutgoingCall, Result, Transport};

use super::connection::{Connection, ConnectionFault};
use super::runtime::refuse_where_it_cannot_wait;
use crate::wire::extension;

/// Carries the calls on one object. Dropping it releases the object.
///
/// A call is never repeated on another connection, where the object does not exist.
pub(super) struct ObjectTransport {
    connection: Arc<Connection>,
    handle: u64,
}

impl ObjectTransport {
    pub(super) fn new(connection: Arc<Connection>, handle: u64) -> Self {
        Self { connection, handle }
    }
}

impl Transport for ObjectTransport {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let address = self.connection.address();
        refuse_where_it_cannot_wait(&address.path)?;
        self.connection.check_process()?;
        let deadline = call.method.deadline_or(address.limits.call_deadline);
        let until = Instant::now().checked_add(deadline);
        self.connection.call(call, Some(self.handle), deadline, until, read).map_err(|fault| match fault {
            ConnectionFault::OfCall(error) => error,
            ConnectionFault::OfConnection(error)
            | ConnectionFault::Unsent(error)
            | ConnectionFault::Unanswered(error) => session_gone(error),
        })
    }
}

impl Drop for ObjectTransport {
    fn drop(&mut self) {
        self.connection.control(|out| extension::put_release(self.handle, out));
    }
}

/// The error of an object or a stream whose connection was lost.
pub(super) fn session_gone(fault: Error) -> Error {
    let message = "the connection was lost, and with it the object or stream that belonged to it";
    Error::caused_by(ErrorId::SESSION_GONE, message, fault)
}
