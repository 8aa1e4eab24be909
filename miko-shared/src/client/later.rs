//! Answers that come later, over a blocking connection.

use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{Discard, Error, Method, OutgoingCall, PendingAnswer, Result};

use super::connection::Connection;
use super::fault::call_timed_out;
use super::runtime::refuse_where_it_cannot_wait;

/// Waits for the answer to a call that was begun. Dropping it cancels the call.
pub(super) struct LaterAnswer {
    connection: Arc<Connection>,
    id: u64,
    method: &'static Method,
    discard: Discard,
    /// The deadline of the call.
    until: Option<Instant>,
    /// Converts the error of a connection that was lost: to `session-gone`, if the call is one on an object.
    lost: fn(Error) -> Error,
    is_pending: bool,
}

impl LaterAnswer {
    /// The answer to `call`, which was begun on `connection` with this id.
    pub(super) fn new(
        connection: &Arc<Connection>,
        id: u64,
        call: &OutgoingCall<'_>,
        until: Option<Instant>,
        lost: fn(Error) -> Error,
    ) -> Self {
        let (method, discard) = (call.method, call.discard);
        Self { connection: Arc::clone(connection), id, method, discard, until, lost, is_pending: true }
    }

    /// Drops it without a cancellation: the call was not sent.
    pub(super) fn forget(mut self) {
        self.is_pending = false;
    }
}

impl PendingAnswer for LaterAnswer {
    fn wait(&mut self, until: Option<Instant>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        refuse_where_it_cannot_wait(&self.connection.address().path)?;
        self.connection.check_process()?;
        let end = [until, self.until].into_iter().flatten().min();
        let waited = self.connection.finish(self.id, end, read);
        match waited {
            Ok(true) => {
                self.is_pending = false;
                Ok(true)
            }
            Ok(false) if self.until.is_some_and(|until| Instant::now() >= until) => Err(call_timed_out()),
            Ok(false) => Ok(false),
            Err(fault) => {
                self.is_pending = false;
                Err(fault.into_error(self.lost))
            }
        }
    }
}

impl Drop for LaterAnswer {
    fn drop(&mut self) {
        if self.is_pending {
            self.connection.cancel(self.id, self.method, self.discard);
        }
    }
}
