//! Answers that come later, over a blocking connection.

use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{Discard, Error, Method, PendingAnswer, Result};

use super::connection::{Connection, ConnectionFault};
use super::runtime::refuse_where_it_cannot_wait;
use super::socket::not_in_time;

/// Waits for the answer to a call that was begun. Dropping it cancels the call.
pub(super) struct LaterAnswer {
    pub(super) connection: Arc<Connection>,
    pub(super) id: u64,
    pub(super) method: &'static Method,
    pub(super) discard: Discard,
    /// The deadline of the call.
    pub(super) until: Option<Instant>,
    /// Makes the error of a connection that was lost.
    pub(super) lost: fn(Error) -> Error,
    pub(super) is_pending: bool,
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
            Ok(false) if self.until.is_some_and(|until| Instant::now() >= until) => Err(not_in_time()),
            Ok(false) => Ok(false),
            Err(fault) => {
                self.is_pending = false;
                Err(match fault {
                    ConnectionFault::OfCall(error) => error,
                    ConnectionFault::OfConnection(error)
                    | ConnectionFault::Unsent(error)
                    | ConnectionFault::Unanswered(error) => (self.lost)(error),
                })
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
