//! Answers that come later.

use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use miko_rpc::{Discard, Error, ErrorId, Method, OutgoingCall, PendingAnswer, Result};
use miko_shared::client::check_may_wait_for;

use super::exchange::Exchange;
use super::fault::not_in_time;
use super::session::Session;

/// Waits for the answer to a call that was begun. Dropping it cancels the call.
pub(super) struct LaterAnswer {
    session: Arc<Session>,
    /// None once it was answered, or has failed.
    exchange: Option<Exchange>,
    method: &'static Method,
    discard: Discard,
    /// The deadline of the call.
    until: Option<Instant>,
    /// Converts the error of a session that was lost: to `session-gone`, if the call is one on an object.
    lost: fn(Error) -> Error,
}

impl LaterAnswer {
    /// The answer to `call`, which was begun in `session`.
    pub(super) fn new(
        session: &Arc<Session>,
        exchange: Exchange,
        call: &OutgoingCall<'_>,
        until: Option<Instant>,
        lost: fn(Error) -> Error,
    ) -> Self {
        let (method, discard) = (call.method, call.discard);
        Self { session: Arc::clone(session), exchange: Some(exchange), method, discard, until, lost }
    }
}

impl PendingAnswer for LaterAnswer {
    fn wait(&mut self, until: Option<Instant>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        check_may_wait_for(self.session.server().identity())?;
        self.session.check_process()?;
        let Some(mut exchange) = self.exchange.take() else {
            return Err(Error::new(ErrorId::INTERNAL, "the answer was waited for after it had come"));
        };
        let end = [until, self.until].into_iter().flatten().min();
        match self.session.finish(&mut exchange, end) {
            Ok(Poll::Ready(answer)) => {
                self.session.keep(exchange);
                let passed = self.session.pass_on(&answer, read);
                passed.map(|()| true).map_err(|fault| fault.into_error(self.lost))
            }
            Ok(Poll::Pending) => {
                self.exchange = Some(exchange);
                if self.until.is_some_and(|until| Instant::now() >= until) {
                    Err(not_in_time())
                } else {
                    Ok(false)
                }
            }
            Err(fault) => Err(fault.into_error(self.lost)),
        }
    }
}

impl Drop for LaterAnswer {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            self.session.give_up(exchange, self.method, self.discard, false);
        }
    }
}
