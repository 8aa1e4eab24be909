//! The calls of one connection, after its handshake.

use std::rc::Rc;
use std::time::{Duration, Instant};

use miko_rpc::memory::LARGE_FRAME;
use miko_rpc::{Call, Error, ErrorId, Interface, Method, memory, unreadable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tracing::{Level, enabled, warn};

use super::Shared;
use super::around::{self, CallInfo, Peer};
use crate::serving;
use crate::wire::envelope::{Envelope, enclose_response};
use crate::wire::extension::{FromClient, is_extension};
use crate::wire::frame::FrameBuffer;
use crate::wire::message::{self, Incoming, IncomingCall};

/// Pending answers are sent when they reach this many bytes.
const FLUSH_AT: usize = 64 << 10;

/// A call that takes this long is logged, since all other calls wait for it.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// The id of an answer to a message without a readable id.
const NO_ID: u64 = 0;

/// The unserved input and the unsent answers of a connection.
pub(super) struct ConnectionState {
    peer: Peer,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    /// When the last bytes arrived.
    arrived: Instant,
    /// The error with which the connection is closed after `outgoing` is sent.
    end: Option<Error>,
}

impl ConnectionState {
    fn new(peer: Peer, incoming: FrameBuffer) -> Self {
        Self { peer, incoming, outgoing: Vec::new(), arrived: Instant::now(), end: None }
    }

    /// Serves the calls that have arrived, until [`FLUSH_AT`] bytes of answers are pending.
    pub(super) fn serve<I: Interface + ?Sized>(&mut self, shared: &Shared<I>) {
        while self.serve_next(shared).is_some() {}
    }

    /// Serves the next call that has arrived. Returns `None` if there is none, [`FLUSH_AT`] bytes of answers
    /// are pending, or the connection is to end.
    pub(super) fn serve_next<I: Interface + ?Sized>(&mut self, shared: &Shared<I>) -> Option<ServedCall> {
        if self.end.is_some() || self.outgoing.len() >= FLUSH_AT {
            return None;
        }
        let answer_begin = self.outgoing.len();
        let served = match self.incoming.next_frame(shared.limits.frame_size) {
            Ok(None) => return None,
            Ok(Some(frame)) => serve_frame(frame, &self.peer, self.arrived, shared, &mut self.outgoing),
            Err(too_large) => Err(too_large),
        };
        match served {
            Ok(id) => Some(ServedCall { id, answer_begin }),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }

    /// Replaces the answers of the calls that were served last.
    pub(super) fn refuse_served<'c>(&mut self, calls: impl Iterator<Item = &'c ServedCall>, error: &Error) {
        let mut calls = calls.peekable();
        if let Some(first) = calls.peek() {
            self.outgoing.truncate(first.answer_begin);
        }
        for id in calls.filter_map(|call| call.id) {
            self.refuse(id, error);
        }
    }

    /// Appends a refusal to the answers.
    fn refuse(&mut self, id: u64, error: &Error) {
        message::encode_refusal(id, error, &mut self.outgoing);
    }

    /// Records `count` bytes that were read, and accounts for the memory of a large frame. If memory is full,
    /// refuses the frame before all of it has arrived.
    fn receive(&mut self, count: usize, frame_size: usize) {
        self.incoming.filled(count);
        self.arrived = Instant::now();
        if self.incoming.len() > LARGE_FRAME
            && let Err(full) = memory::charge_incoming(count)
            && !self.incoming.is_ready(frame_size)
        {
            self.refuse_partial_frame(full);
        }
    }

    /// Refuses the call of a frame that has not arrived completely, and skips the rest of the frame. The id
    /// of the call comes from the envelope that blocking clients put first; without it the id is unknown and
    /// the connection ends.
    fn refuse_partial_frame(&mut self, error: Error) {
        match Envelope::open(self.incoming.partial_frame()) {
            Some((Envelope { id, .. }, _)) => {
                self.incoming.skip_frame();
                self.refuse(id, &error);
            }
            None => self.end = Some(error),
        }
    }
}

/// A call that was served, while its answer is pending.
pub(super) struct ServedCall {
    /// The id of its request. A message without an answer has none.
    id: Option<u64>,
    /// The position of the answer in `outgoing`.
    answer_begin: usize,
}

/// Serves calls until the peer disconnects or sends an invalid message. While a peer does not read its
/// answers, nothing is read from it; other connections are not affected.
pub(super) async fn serve_calls<I: Interface + ?Sized>(
    stream: &mut UnixStream,
    peer: Peer,
    incoming: FrameBuffer,
    shared: &Shared<I>,
) {
    let slot = Rc::default();
    let mut state = ConnectionState::new(peer, incoming);
    loop {
        if state.incoming.is_ready(shared.limits.frame_size) {
            shared.busy_poll.record_arrival();
            if shared.groups_commits {
                let Some(served) = shared.commit_batch.enqueue(&slot, state, shared).await else { return };
                state = served;
            } else {
                state.serve(shared);
            }
        }
        if let Some(end) = &state.end {
            // Quoted: it may contain text of the client, with line breaks.
            warn!(error = ?end.to_string(), "closed by the server");
            return send_final_error(stream, end, state.outgoing).await;
        }
        if !state.outgoing.is_empty() {
            if stream.write_all(&state.outgoing).await.is_err() {
                return;
            }
            state.outgoing.clear();
            state.outgoing.shrink_to(FLUSH_AT);
        }
        // Calls may be left that were not served, as after [`FLUSH_AT`] bytes of answers.
        if state.incoming.is_ready(shared.limits.frame_size) {
            continue;
        }
        state.incoming.shrink();
        memory::trim_if_grown();
        match stream.read(state.incoming.room()).await {
            Ok(count) if count > 0 => state.receive(count, shared.limits.frame_size),
            _ => return,
        }
    }
}

/// Runs the call in one frame and appends its answer to `outgoing`. Returns the id of an answered request. An
/// error ends the connection.
fn serve_frame<I: Interface + ?Sized>(
    frame: &[u8],
    peer: &Peer,
    arrived: Instant,
    shared: &Shared<I>,
    outgoing: &mut Vec<u8>,
) -> Result<Option<u64>, Error> {
    if is_extension(frame) {
        FromClient::read(frame)?;
        return Ok(None);
    }
    let read = memory::read_frame(frame.len(), shared.limits.frame_size, || Incoming::read(frame));
    let call = match read {
        Ok(Incoming::Call(call)) => call,
        Ok(Incoming::Cancel) => return Ok(None),
        Err(fault) => return Err(unreadable(&fault.to_string())),
    };
    if let Err(error) = serve_call(&call, peer, arrived, shared, outgoing) {
        message::encode_refusal(call.id, &error, outgoing);
    }
    Ok(Some(call.id))
}

/// Runs a call, unless its deadline has passed, and appends its answer to `outgoing`. An error refuses the
/// call.
fn serve_call<I: Interface + ?Sized>(
    call: &IncomingCall<'_>,
    peer: &Peer,
    arrived: Instant,
    shared: &Shared<I>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Error> {
    let now = Instant::now();
    if now.saturating_duration_since(arrived) >= call.deadline {
        return Err(Error::new(
            ErrorId::DEADLINE_EXCEEDED,
            "the call was not taken up before its deadline, and not run",
        ));
    }
    let (name, arguments) =
        call.method().ok_or_else(|| unreadable("it is not a map from a method to its arguments"))?;
    let method = shared.activity.begin(name, now);
    let begin = outgoing.len();
    let served = enclose_response(call.id, shared.limits.frame_size, outgoing, |answer, limit| {
        let mut serve = || shared.service.interface().serve(Call::message(name, arguments, answer, limit));
        serving::run(|| match (&shared.around, method) {
            (Some(hook), Some(method)) => {
                let info = CallInfo { method, peer, deadline: call.deadline };
                around::run(&**hook, &info, &mut serve).map(drop)
            }
            _ => serve().map(drop),
        })
    });
    shared.activity.end();
    report_slow(method, now);
    served?;
    memory_of_answer(outgoing.len() - begin).map_err(|error| {
        outgoing.truncate(begin);
        error.with("method", name)
    })
}

/// Logs a call that took long. The time is read only if the event is enabled.
fn report_slow(method: Option<&Method>, started: Instant) {
    if enabled!(Level::WARN) && started.elapsed() >= SLOW_CALL {
        let method = method.map(|method| &*method.name);
        warn!(method, elapsed = ?started.elapsed(), "slow call: other calls had to wait");
    }
}

/// Accounts for the memory of a large answer. A small answer is always sent, because its call may have had
/// effects.
fn memory_of_answer(bytes: usize) -> Result<(), Error> {
    if bytes > LARGE_FRAME { memory::charge(bytes) } else { Ok(()) }
}

/// Sends the reason why the connection ends. Errors of sending are ignored.
async fn send_final_error(stream: &mut UnixStream, error: &Error, mut outgoing: Vec<u8>) {
    message::encode_refusal(NO_ID, error, &mut outgoing);
    let _ = stream.write_all(&outgoing).await;
}
