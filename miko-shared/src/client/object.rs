//! Calls on an object that lives in a server with a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, Method, OutgoingCall, PendingAnswer, Result, Transport};

use super::connection::{Connection, ConnectionFault};
use super::later::LaterAnswer;
use super::runtime::refuse_where_it_cannot_wait;
use super::session_gone::session_gone;
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
        let (deadline, until) = self.deadline(call.method)?;
        self.connection.call(call, Some(self.handle), deadline, until, read).map_err(error_of)
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        let (deadline, until) = self.deadline(call.method)?;
        let begun = self.connection.begin(call, Some(self.handle), deadline, until);
        Ok(Box::new(LaterAnswer {
            connection: Arc::clone(&self.connection),
            id: begun.map_err(error_of)?,
            method: call.method,
            discard: call.discard,
            until,
            lost: session_gone,
            is_pending: true,
        }))
    }
}

impl ObjectTransport {
    /// How long a call of `method` may take, and until when.
    ///
    /// # Errors
    /// Where the call would wait for itself, and in a fork.
    fn deadline(&self, method: &Method) -> Result<(Duration, Option<Instant>)> {
        let address = self.connection.address();
        refuse_where_it_cannot_wait(&address.path)?;
        self.connection.check_process()?;
        let deadline = method.deadline_or(address.limits.call_deadline);
        Ok((deadline, Instant::now().checked_add(deadline)))
    }
}

fn error_of(fault: ConnectionFault) -> Error {
    match fault {
        ConnectionFault::OfCall(error) => error,
        ConnectionFault::OfConnection(error)
        | ConnectionFault::Unsent(error)
        | ConnectionFault::Unanswered(error) => session_gone(error),
    }
}

impl Drop for ObjectTransport {
    fn drop(&mut self) {
        self.connection.control(|out| extension::put_release(self.handle, out));
    }
}
