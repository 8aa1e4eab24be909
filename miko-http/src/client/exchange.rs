//! One request and its response, which can be waited for again and again.

use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::http::response::Parts;
use miko_rpc::{Error, ErrorId};

use super::connection::{Connection, PendingResponse};
use super::fault::{Fault, lost};
use super::socket::{Arrived, has_passed};

/// A request that was sent on a connection, and the part of its response that has arrived.
pub(super) struct Exchange {
    connection: Connection,
    response: Response,
    head: Option<Parts>,
    /// The body, as far as [`answer`](Exchange::answer) has collected it.
    collected: Vec<u8>,
}

enum Response {
    /// The head has not arrived.
    Pending(PendingResponse),
    Receiving(Incoming),
    /// All of it has arrived, or it has failed.
    Ended,
}

/// A whole response.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Vec<u8>,
}

/// What became of a request whose connection was lost.
pub(super) enum SendFault {
    /// It was not taken up, and can be sent on another connection.
    Unsent(Box<Request<String>>, Error),
    Lost(Fault),
}

impl Exchange {
    /// Sends a request on a connection, and waits until all of it was written, or an answer is there. A
    /// request that is not written at `until` is waited for in [`head`](Self::head).
    pub(super) fn begin(
        mut connection: Connection,
        request: Request<String>,
        until: Option<Instant>,
    ) -> Result<Self, SendFault> {
        let mut pending = connection.send(request);
        loop {
            match connection.advance(until, &mut |context| pending.as_mut().poll(context)) {
                Poll::Ready(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    let response = Response::Receiving(body);
                    return Ok(Self { connection, response, head: Some(head), collected: Vec::new() });
                }
                Poll::Ready(Err(mut fault)) => {
                    let unsent = fault.take_message();
                    let error = lost(fault.into_error());
                    return Err(match unsent {
                        Some(request) => SendFault::Unsent(Box::new(request), error),
                        None => SendFault::Lost(Fault::Unanswered(error)),
                    });
                }
                Poll::Pending => {}
            }
            if connection.is_flushed() || has_passed(until) {
                let response = Response::Pending(pending);
                return Ok(Self { connection, response, head: None, collected: Vec::new() });
            }
            let waited = connection.socket().wait(until);
            waited.map_err(|fault| SendFault::Lost(Fault::Unanswered(lost(fault))))?;
        }
    }

    /// Waits for the head of the response; `Pending` if it has not arrived at `until`.
    pub(super) fn head(&mut self, until: Option<Instant>) -> Result<Poll<&Parts>, Fault> {
        if let Response::Pending(pending) = &mut self.response {
            let waited = self.connection.wait(until, &mut |context| pending.as_mut().poll(context));
            match waited.map_err(Fault::Unanswered)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(response)) => {
                    let (head, body) = response.into_parts();
                    self.head = Some(head);
                    self.response = Response::Receiving(body);
                }
                Poll::Ready(Err(fault)) => {
                    self.response = Response::Ended;
                    // It was written, or a part of it.
                    return Err(Fault::Unanswered(lost(fault.into_error())));
                }
            }
        }
        match &self.head {
            Some(head) => Ok(Poll::Ready(head)),
            None => Err(Fault::Unanswered(super::fault::closed())),
        }
    }

    /// Waits for the next piece of the body, after the head; `None` at its end, `Pending` if none has arrived
    /// at `until`.
    pub(super) fn piece(&mut self, until: Option<Instant>) -> Result<Poll<Option<Bytes>>, Fault> {
        loop {
            let Response::Receiving(body) = &mut self.response else { return Ok(Poll::Ready(None)) };
            let waited = self.connection.wait(until, &mut |context| Pin::new(&mut *body).poll_frame(context));
            match waited.map_err(Fault::Unanswered)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(None) => self.response = Response::Ended,
                Poll::Ready(Some(Err(fault))) => {
                    self.response = Response::Ended;
                    return Err(Fault::Unanswered(lost(fault)));
                }
                // Trailers are skipped.
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Poll::Ready(Some(piece)));
                    }
                }
            }
        }
    }

    /// Waits for the whole response, of at most `limit` bytes; `Pending` if it has not arrived at `until`.
    pub(super) fn answer(&mut self, limit: usize, until: Option<Instant>) -> Result<Poll<Answer>, Fault> {
        if self.head(until)?.is_pending() {
            return Ok(Poll::Pending);
        }
        loop {
            match self.piece(until)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Some(piece)) if self.collected.len() + piece.len() > limit => {
                    let message = "the answer of the server is larger than the limit `frame_size`";
                    let error = Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", limit);
                    return Err(error.into());
                }
                Poll::Ready(Some(piece)) => self.collected.extend_from_slice(&piece),
                Poll::Ready(None) => break,
            }
        }
        let body = std::mem::take(&mut self.collected);
        match self.head.take() {
            Some(head) => Ok(Poll::Ready(Answer { head, body })),
            None => Err(Fault::Unanswered(super::fault::closed())),
        }
    }

    /// Tells the server that the answer is not waited for. One that is on its way still arrives.
    pub(super) fn give_up(&self) {
        self.connection.socket().stop_sending();
    }

    /// What has arrived and was not taken.
    pub(super) fn look(&self) -> Arrived {
        self.connection.socket().look()
    }

    /// The connection, if all of the response has arrived: it can be used again.
    pub(super) fn into_connection(self) -> Option<Connection> {
        matches!(self.response, Response::Ended).then_some(self.connection)
    }
}
