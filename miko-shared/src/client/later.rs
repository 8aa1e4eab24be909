//! Calls on a blocking connection that are sent first, and whose answers are waited for later.

use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{Discard, Error, Method, OutgoingCall, PendingAnswer, Result};

use super::connection::Connection;
use super::fault::{ConnectionFault, call_timed_out};
use super::runtime::check_may_wait_for;

/// A call that was sent, and whose answer is waited for later. Dropping this value cancels the call.
pub(super) struct BegunCall {
    connection: Arc<Connection>,
    id: u64,
    method: &'static Method,
    discard: Discard,
    /// The deadline of the call; `None` if an `Instant` cannot represent it.
    until: Option<Instant>,
    /// Converts the error of a lost connection: to `session-gone` for a call on an object.
    convert_lost: fn(Error) -> Error,
    /// Whether dropping this value cancels the call. `false` after the answer was taken, after the connection
    /// was lost, and if the call was not sent.
    is_pending: bool,
    /// Whether the connection was lost while the call waited.
    is_connection_lost: bool,
}

impl BegunCall {
    /// Creates the value for `call`, which was sent on `connection` with this id, or is about to be sent.
    /// `convert_lost` converts the error of a lost connection.
    pub(super) fn new(
        connection: &Arc<Connection>,
        id: u64,
        call: &OutgoingCall<'_>,
        until: Option<Instant>,
        convert_lost: fn(Error) -> Error,
    ) -> Self {
        let (method, discard) = (call.method, call.discard);
        Self {
            connection: Arc::clone(connection),
            id,
            method,
            discard,
            until,
            convert_lost,
            is_pending: true,
            is_connection_lost: false,
        }
    }

    /// The id of the call.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the answer has not arrived, and can still arrive.
    pub(super) fn is_unanswered(&self) -> bool {
        self.is_pending
    }

    /// Whether the connection was lost while this call waited.
    pub(super) fn is_connection_lost(&self) -> bool {
        self.is_connection_lost
    }

    /// Drops this value without cancelling the call: the call was not sent.
    pub(super) fn forget(mut self) {
        self.is_pending = false;
    }
}

impl PendingAnswer for BegunCall {
    fn wait(&mut self, until: Option<Instant>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        check_may_wait_for(&self.connection.address().path)?;
        self.connection.check_process()?;
        let end = [until, self.until].into_iter().flatten().min();
        let waited = self.connection.finish(self.id, end, read);
        match waited {
            Ok(true) => {
                self.is_pending = false;
                Ok(true)
            }
            // The call stays pending, so that dropping this value cancels it.
            Ok(false) if self.until.is_some_and(|until| Instant::now() >= until) => Err(call_timed_out()),
            Ok(false) => Ok(false),
            // There is nothing to cancel: the answer has arrived, or the connection was lost.
            Err(fault) => {
                self.is_pending = false;
                self.is_connection_lost =
                    !matches!(fault, ConnectionFault::OfCall(_) | ConnectionFault::NotBegun(_));
                Err(fault.into_error(self.convert_lost))
            }
        }
    }
}

impl Drop for BegunCall {
    fn drop(&mut self) {
        if self.is_pending {
            self.connection.cancel(self.id, self.method, self.discard);
        }
    }
}
