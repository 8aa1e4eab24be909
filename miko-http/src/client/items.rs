//! The items of a stream that a server sends as events.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Buf, Bytes};
use miko_rpc::{Error, ErrorId, ItemSource, Result, StreamMessage};
use miko_shared::client::check_may_wait_for;

use super::answer;
use super::events::{Event, EventReader};
use super::exchange::Exchange;
use super::fault::{closed, not_in_time, session_gone};
use super::session::{Session, into_error};
use super::socket::has_passed;

/// How long the server may take to answer with the head of a stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(300);

/// How long the end of the response may take to arrive after the last event. The server may have let others
/// have their turn in between.
const END_TIMEOUT: Duration = Duration::from_millis(50);

/// How many pieces may have no event in them before the reader looks at its deadline: comments, or parts of a
/// large item.
const MAX_PIECES: usize = 64;

/// Receives the items of one stream. Dropping it releases the stream.
///
/// The socket sets the pace: the server makes no more items than it takes.
pub(super) struct HttpItems {
    session: Arc<Session>,
    handle: u64,
    body: Body,
    events: EventReader,
    /// The bytes that have arrived, and were not read.
    arrived: Bytes,
    /// The text of the last item.
    item: String,
    /// Whether the server has said that the stream has ended, and so has released it.
    is_released: bool,
}

enum Body {
    /// It was not asked for.
    Unread,
    /// Its head is waited for.
    Asked(Exchange),
    Open(Exchange),
    Ended,
}

/// What an event says.
enum Said {
    Item { seq: u64 },
    Lagged(u64),
    End(Option<Error>),
}

impl HttpItems {
    pub(super) fn new(session: Arc<Session>, handle: u64) -> Self {
        let events = EventReader::new(session.max_answer());
        let (arrived, item) = Default::default();
        Self { session, handle, body: Body::Unread, events, arrived, item, is_released: false }
    }

    /// Waits for the next event until this time.
    fn next_event(&mut self, until: Option<Instant>) -> Result<Poll<Event>> {
        check_may_wait_for(self.session.server().identity())?;
        self.session.check_process()?;
        let mut pieces: usize = 0;
        loop {
            let mut bytes = &*self.arrived;
            let before = bytes.len();
            let event = self.events.next(&mut bytes).map_err(|_| {
                let message = "an item of the stream is larger than the limit `frame_size`";
                Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", self.session.max_answer())
            })?;
            let taken = before - bytes.len();
            self.arrived.advance(taken);
            if let Some(event) = event {
                return Ok(Poll::Ready(event));
            }
            if pieces > 0 && pieces.is_multiple_of(MAX_PIECES) && has_passed(until) {
                return Ok(Poll::Pending);
            }
            pieces += 1;
            match self.next_piece(until)? {
                Poll::Ready(piece) => self.arrived = piece,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    fn next_piece(&mut self, until: Option<Instant>) -> Result<Poll<Bytes>> {
        let lost = |fault| session_gone(into_error(fault));
        if let Body::Unread = self.body {
            let until = Instant::now().checked_add(OPEN_TIMEOUT);
            self.body = Body::Asked(self.session.read_stream(self.handle, until).map_err(lost)?);
        }
        if let Body::Asked(exchange) = &mut self.body {
            match exchange.head(until).map_err(lost)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(head) if head.status.is_success() => {}
                Poll::Ready(_) => return Err(self.refusal()),
            }
            if let Body::Asked(exchange) = std::mem::replace(&mut self.body, Body::Ended) {
                self.body = Body::Open(exchange);
            }
        }
        let Body::Open(exchange) = &mut self.body else { return Err(session_gone(closed())) };
        match exchange.piece(until).map_err(lost)? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Some(piece)) => Ok(Poll::Ready(piece)),
            // The end of a stream is an event.
            Poll::Ready(None) => Err(session_gone(closed())),
        }
    }

    /// Why the server has refused to send the stream.
    fn refusal(&mut self) -> Error {
        let Body::Asked(mut exchange) = std::mem::replace(&mut self.body, Body::Ended) else {
            return session_gone(closed());
        };
        let until = Instant::now().checked_add(OPEN_TIMEOUT);
        match exchange.answer(self.session.max_answer(), until) {
            Ok(Poll::Ready(refused)) => match answer::of_success(&refused) {
                Err(error) if self.session.ends_by(&error) => session_gone(error),
                Err(error) => error,
                Ok(_) => session_gone(closed()),
            },
            Ok(Poll::Pending) => not_in_time(),
            Err(fault) => session_gone(into_error(fault)),
        }
    }

    /// Reads an event; the text of an item is kept.
    fn take(&mut self, event: Event) -> Said {
        self.is_released = matches!(&*event.name, b"end" | b"error");
        let unreadable = || Error::new(ErrorId::INTERNAL, "an event of the stream cannot be read");
        let Ok(text) = String::from_utf8(event.data) else { return Said::End(Some(unreadable())) };
        match &*event.name {
            b"" => {
                self.item = text;
                event.id.map_or_else(|| Said::End(Some(unreadable())), |seq| Said::Item { seq })
            }
            b"lagged" => text.parse().map_or_else(|_| Said::End(Some(unreadable())), Said::Lagged),
            b"end" => Said::End(None),
            b"error" => Said::End(Some(answer::of_failure(&text))),
            _ => Said::End(Some(unreadable())),
        }
    }

    /// Ends the stream. The connection is kept, if all of the response arrives.
    fn end(&mut self) {
        let until = match self.is_released {
            true => Instant::now() + END_TIMEOUT,
            false => Instant::now(),
        };
        if let Body::Open(mut exchange) = std::mem::replace(&mut self.body, Body::Ended)
            && self.session.is_own()
            && let Ok(Poll::Ready(None)) = exchange.piece(Some(until))
        {
            self.session.keep(exchange);
        }
    }
}

impl ItemSource for HttpItems {
    fn wait(&mut self, until: Option<Instant>) -> Poll<StreamMessage<'_>> {
        if let Body::Ended = self.body {
            return Poll::Ready(StreamMessage::End(None));
        }
        let said = match self.next_event(until) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(event)) => self.take(event),
            Err(error) => Said::End(Some(error)),
        };
        Poll::Ready(match said {
            Said::Item { seq } => StreamMessage::JsonItem { seq, item: &self.item },
            Said::Lagged(count) => StreamMessage::Lagged(count),
            Said::End(error) => {
                self.end();
                StreamMessage::End(error)
            }
        })
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<StreamMessage<'_>> {
        let message = "a stream of a blocking proxy was awaited: read it with `recv`";
        Poll::Ready(StreamMessage::End(Some(Error::new(ErrorId::INSIDE_RUNTIME, message))))
    }
}

impl Drop for HttpItems {
    fn drop(&mut self) {
        // The server would also notice the end of the connection, but later. It keeps a stream that was never
        // asked for.
        if !self.is_released {
            self.session.release_stream(self.handle);
        }
    }
}
