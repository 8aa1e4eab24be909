//! The calls of one connection, after its handshake.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use miko_rpc::codec::split_variant;
use miko_rpc::memory::LARGE_FRAME;
use miko_rpc::{
    Call, Error, ErrorId, Handles, Interface, Method, ParkedCall, Pass, Served, Surface, memory,
    serve_call as serve_gated, unreadable,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::yield_now;
use tracing::{Level, enabled, warn};

use super::Shared;
use super::around::{self, CallInfo, Peer};
use super::peer_process::{Exchanged, PeerProcess};
use super::session::{Outgoing, Parked, Retry, Session, memory_of_answer, no_object};
use crate::serving;
use crate::wire::envelope::{Envelope, enclose_response};
use crate::wire::extension::{FromClient, is_control, is_extension};
use crate::wire::frame::FrameBuffer;
use crate::wire::message::{self, Incoming, IncomingCall};

/// Pending answers are sent when they reach this many bytes.
const FLUSH_AT: usize = 64 << 10;

/// A call that takes this long is logged, since all other calls wait for it.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// The most objects, streams and pending calls of a connection.
const MAX_OPEN: usize = 1 << 17;

/// A deadline beyond it is none.
const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The id of an answer to a message without a readable id.
const NO_ID: u64 = 0;

/// The unserved input and the unsent answers of a connection, and what lives with it.
pub(super) struct ConnectionState {
    peer: Peer,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    /// How many bytes of `outgoing` were sent.
    sent: usize,
    handles: Handles,
    /// There is one once an answer has carried an object or a stream.
    session: Option<Box<Session>>,
    /// When the last bytes arrived.
    arrived: Instant,
    /// The error with which the connection is closed after `outgoing` is sent.
    end: Option<Error>,
}

impl ConnectionState {
    fn new(peer: Peer, incoming: FrameBuffer) -> Self {
        Self {
            peer,
            incoming,
            outgoing: Vec::new(),
            sent: 0,
            handles: Handles::default(),
            session: None,
            arrived: Instant::now(),
            end: None,
        }
    }

    /// Serves the calls that have arrived, until [`FLUSH_AT`] bytes of answers are pending.
    pub(super) fn serve<I: Interface + ?Sized>(&mut self, shared: &Shared<I>) {
        while self.serve_next(shared).is_some() {}
    }

    /// Serves the next call that has arrived. Returns `None` if there is none, [`FLUSH_AT`] bytes of answers
    /// are pending, or the connection is to end.
    pub(super) fn serve_next<I: Interface + ?Sized>(&mut self, shared: &Shared<I>) -> Option<ServedCall> {
        if self.end.is_some() || !self.has_calls(shared.limits.frame_size) {
            return None;
        }
        let answer_begin = self.outgoing.len();
        let last_handle = self.handles.last();
        let due = self.session.as_mut().and_then(|session| session.next_due());
        let mut answering = Answering {
            peer: &self.peer,
            arrived: self.arrived,
            outgoing: &mut self.outgoing,
            handles: &mut self.handles,
            passes: Vec::new(),
            deadline: self.arrived,
            is_retry: false,
        };
        let served = match due {
            Some(Retry { frame, arrived, passes }) => {
                answering = Answering { arrived, passes, is_retry: true, ..answering };
                serve_frame(&frame, shared, &mut answering, &mut self.session)
            }
            None => match self.incoming.next_frame(shared.limits.frame_size) {
                Ok(None) => return None,
                Ok(Some(frame)) => serve_frame(frame, shared, &mut answering, &mut self.session),
                Err(too_large) => Err(too_large),
            },
        };
        let Answering { passes, deadline, .. } = answering;
        if self.handles.has_carried() {
            // Only the answer to a request carries something.
            let id = served.as_ref().ok().copied().flatten().unwrap_or(NO_ID);
            let session = self.session.get_or_insert_default();
            session.adopt(id, deadline, self.handles.take());
            if session.len() > MAX_OPEN {
                serving::run(|| session.withdraw_after(last_handle));
                self.outgoing.truncate(answer_begin);
                let message = "too many objects, streams and calls are open on this connection";
                self.refuse(id, &Error::new(ErrorId::STORAGE_FULL, message).with("allowed", MAX_OPEN));
            }
        }
        match served {
            Ok(id) => Some(ServedCall { id, answer_begin, last_handle, _passes: passes }),
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
            if let Some(session) = &mut self.session {
                serving::run(|| session.withdraw_after(first.last_handle));
            }
        }
        for id in calls.filter_map(|call| call.id) {
            self.refuse(id, error);
        }
    }

    /// Whether there are calls to serve. While [`FLUSH_AT`] bytes of answers are pending, only those whose
    /// turn at a gate has come, which others wait for, and frames without an answer.
    fn has_calls(&self, frame_size: usize) -> bool {
        self.session.as_ref().is_some_and(|session| session.has_due())
            || self.incoming.is_ready(frame_size)
                && (!self.is_full() || self.incoming.peek_frame().is_some_and(is_control))
    }

    /// Whether [`FLUSH_AT`] bytes of answers are pending.
    fn is_full(&self) -> bool {
        self.outgoing.len() - self.sent >= FLUSH_AT
    }

    /// Forgets bytes that were sent.
    fn record_sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.outgoing.shrink_to(FLUSH_AT);
            self.sent = 0;
        } else if self.sent > self.outgoing.len() / 2 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Appends the items and later answers that are ready.
    fn pump(&mut self, frame_size: usize) {
        let Self { session, outgoing: bytes, handles, sent, .. } = self;
        let mut outgoing = Outgoing { bytes, handles, frame_size, full: *sent + FLUSH_AT };
        if let Some(session) = session {
            serving::run(|| session.pump(&mut outgoing));
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
        let partial = self.incoming.partial_frame();
        let of_object = || match FromClient::read(partial) {
            Ok(FromClient::Call { id, .. }) => Some(id),
            _ => None,
        };
        match Envelope::open(partial).map(|(Envelope { id, .. }, _)| id).or_else(of_object) {
            Some(id) => {
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
    /// The last handle that was given before the call.
    last_handle: u64,
    /// The gates that the call has entered. They are left when its changes are committed.
    _passes: Vec<Pass>,
}

/// What a call needs of its connection.
struct Answering<'s> {
    peer: &'s Peer,
    arrived: Instant,
    outgoing: &'s mut Vec<u8>,
    handles: &'s mut Handles,
    /// The gates that the call has entered.
    passes: Vec<Pass>,
    /// The deadline of the call, once it was read.
    deadline: Instant,
    /// Whether the call was parked at a gate before.
    is_retry: bool,
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
    let mut peer_process = PeerProcess::default();
    let frame_size = shared.limits.frame_size;
    loop {
        if state.has_calls(frame_size) {
            shared.busy_poll.record_arrival();
            if shared.groups_commits {
                let Some(served) = shared.commit_batch.enqueue(&slot, state, shared).await else { return };
                state = served;
            } else {
                state.serve(shared);
            }
        }
        if !peer_process.has_ended() {
            state.pump(frame_size);
        }
        if let Some(end) = &state.end {
            // Quoted: it may contain text of the client, with line breaks.
            warn!(error = ?end.to_string(), "closed by the server");
            return send_final_error(stream, end, state.outgoing.split_off(state.sent)).await;
        }
        let goes_on = match state.session {
            None => exchange(stream, &mut state, frame_size).await,
            Some(_) => exchange_with_session(stream, &mut state, &mut peer_process, frame_size).await,
        };
        if !goes_on {
            return;
        }
    }
}

/// Sends the answers and reads what comes next; `false` at the end of the connection.
async fn exchange(stream: &mut UnixStream, state: &mut ConnectionState, frame_size: usize) -> bool {
    if !state.outgoing.is_empty() {
        if stream.write_all(&state.outgoing[state.sent..]).await.is_err() {
            return false;
        }
        state.record_sent(state.outgoing.len() - state.sent);
    }
    // Calls may be left that were not served, as after [`FLUSH_AT`] bytes of answers.
    if state.has_calls(frame_size) {
        return true;
    }
    state.incoming.shrink();
    memory::trim_if_grown();
    match stream.read(state.incoming.room()).await {
        Ok(count) if count > 0 => {
            state.receive(count, frame_size);
            true
        }
        _ => false,
    }
}

/// As [`exchange`], while something is open: also when a client does not read, its credit, releases and
/// cancellations are read, and what is open ends with its process. Waits for one event.
async fn exchange_with_session(
    stream: &mut UnixStream,
    state: &mut ConnectionState,
    peer_process: &mut PeerProcess,
    frame_size: usize,
) -> bool {
    peer_process.watch(stream);
    if state.has_calls(frame_size) {
        // The turn of a call at a gate has come.
        return true;
    }
    // What was read is served first, so that a client that does not read cannot fill the memory.
    let may_read = !state.incoming.is_ready(frame_size);
    if may_read && state.outgoing.is_empty() {
        state.incoming.shrink();
        memory::trim_if_grown();
    }
    let may_pump = !state.is_full() && !peer_process.has_ended();
    let ConnectionState { incoming, outgoing, sent, session, .. } = state;
    let room = if may_read { Some(incoming.room()) } else { None };
    let is_ready = |context: &mut Context<'_>| match session {
        Some(session) if may_pump => session.poll_ready(context),
        _ => Poll::Pending,
    };
    match peer_process.exchange(stream, &outgoing[*sent..], room, is_ready).await {
        Ok(Exchanged::Sent(count)) => {
            state.record_sent(count);
            if state.session.as_ref().is_some_and(|session| session.has_ready()) {
                // Other connections, and calls of this one, have their turn between items.
                yield_now().await;
            }
        }
        Ok(Exchanged::Read(count)) if count > 0 => state.receive(count, frame_size),
        Ok(Exchanged::Ready) => {}
        _ => return false,
    }
    true
}

/// Runs the call in one frame and appends its answer. Returns the id of an answered request. An error ends
/// the connection.
fn serve_frame<I: Interface + ?Sized>(
    frame: &[u8],
    shared: &Shared<I>,
    answering: &mut Answering<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<Option<u64>, Error> {
    if is_extension(frame) {
        return serve_extension(frame, shared, answering, session);
    }
    let read = memory::read_frame(frame.len(), shared.limits.frame_size, || Incoming::read(frame));
    let call = match read {
        Ok(Incoming::Call(call)) => call,
        Ok(Incoming::Cancel(id)) => return Ok(cancel(id, session, answering)),
        Err(fault) => return Err(unreadable(&fault.to_string())),
    };
    let IncomingCall { id, deadline, .. } = call;
    let call = TakenUp { id, deadline, call: call.method(), frame };
    serve_call(&call, I::surface(), shared, answering, session, |call| {
        shared.service.interface().serve(call)
    });
    Ok(Some(id))
}

/// As [`serve_frame`], for a frame that tarpc does not have.
fn serve_extension<I: Interface + ?Sized>(
    frame: &[u8],
    shared: &Shared<I>,
    answering: &mut Answering<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<Option<u64>, Error> {
    match FromClient::read(frame)? {
        FromClient::Call { id, object, deadline, call } => {
            match session.as_ref().map_or_else(|| Err(no_object(object)), |session| session.object(object)) {
                Ok(object) => {
                    let call = TakenUp { id, deadline, call: split_variant(call), frame };
                    serve_call(&call, object.surface(), shared, answering, session, |call| {
                        object.serve(call)
                    });
                }
                Err(error) => message::encode_refusal(id, &error, answering.outgoing),
            }
            return Ok(Some(id));
        }
        FromClient::Credit { stream, bytes } => {
            if let Some(session) = session {
                session.add_credit(stream, bytes);
            }
        }
        FromClient::Release { handle } => {
            if let Some(session) = session {
                serving::run(|| session.release(handle));
            }
        }
        FromClient::Cancel { id } => return Ok(cancel(id, session, answering)),
    }
    Ok(None)
}

/// Drops the later answer to the call `id`, which is answered as cancelled. Any other call has run already,
/// since calls run in order. Returns the id of a call that was answered.
fn cancel(id: u64, session: &mut Option<Box<Session>>, answering: &mut Answering<'_>) -> Option<u64> {
    let session = session.as_mut()?;
    serving::run(|| session.cancel(id)).then(|| {
        let error = Error::new(ErrorId::CANCELLED, "the caller gave the call up");
        message::encode_refusal(id, &error, answering.outgoing);
        id
    })
}

/// A call whose frame was read.
struct TakenUp<'f> {
    id: u64,
    deadline: Duration,
    /// The wire name of the method and its arguments; `None` if it is no call.
    call: Option<(&'f str, &'f [u8])>,
    /// All of it.
    frame: &'f [u8],
}

/// Runs a call and appends its answer, or a refusal. A call that waits at a gate is parked.
fn serve_call<I: Interface + ?Sized>(
    call: &TakenUp<'_>,
    surface: &'static Surface,
    shared: &Shared<I>,
    answering: &mut Answering<'_>,
    session: &mut Option<Box<Session>>,
    target: impl Fn(Call<'_>) -> Result<Served, Error>,
) {
    let served = try_serve_call(call, surface, shared, answering, target);
    let parked = served.and_then(|parked| match parked {
        Some(gate) => park(call, gate, shared, answering, session),
        None => Ok(()),
    });
    if let Err(error) = parked {
        message::encode_refusal(call.id, &error, answering.outgoing);
    }
}

/// Keeps a call until its turn at the gate has come.
fn park<I: ?Sized>(
    call: &TakenUp<'_>,
    gate: ParkedCall,
    shared: &Shared<I>,
    answering: &mut Answering<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<(), Error> {
    let bytes = shared.parked_bytes.add(call.frame.len(), shared.limits.frame_size)?;
    let passes = std::mem::take(&mut answering.passes);
    let frame = call.frame.to_vec();
    let parked = Parked { id: call.id, frame, arrived: answering.arrived, passes, gate };
    session.get_or_insert_default().park(answering.handles.reserve(), parked, bytes);
    Ok(())
}

/// As [`serve_call`], unless the deadline of the call has passed. An error refuses the call. `Some` is the gate
/// at which it waits.
fn try_serve_call<I: Interface + ?Sized>(
    call: &TakenUp<'_>,
    surface: &'static Surface,
    shared: &Shared<I>,
    answering: &mut Answering<'_>,
    target: impl Fn(Call<'_>) -> Result<Served, Error>,
) -> Result<Option<ParkedCall>, Error> {
    let now = Instant::now();
    if now.saturating_duration_since(answering.arrived) >= call.deadline {
        return Err(Error::new(
            ErrorId::DEADLINE_EXCEEDED,
            "the call was not taken up before its deadline, and not run",
        ));
    }
    let (name, arguments) =
        call.call.ok_or_else(|| unreadable("it is not a map from a method to its arguments"))?;
    let method = shared.activity.begin(surface, name, now);
    let Answering { peer, outgoing, handles, passes, arrived, deadline: answers_by, is_retry } = answering;
    let begin = outgoing.len();
    let call_deadline = arrived.checked_add(call.deadline);
    *answers_by = call_deadline.unwrap_or(now + FAR_FUTURE);
    // What the hook returns for a call that has run does not change what has become of it.
    let (mut is_pending, mut parked) = (false, None);
    let served = enclose_response(call.id, shared.limits.frame_size, outgoing, |answer, limit| {
        let mut serve = || {
            let run = || target(Call::message(name, arguments, answer, limit).within(&mut **handles));
            let (served, gates) = serve_gated(call_deadline, std::mem::take(passes), run);
            *passes = gates.passes;
            parked = gates.parked;
            // To the hook, a parked call is one whose answer comes later.
            let served = if parked.is_some() { Ok(Served::Pending) } else { served };
            is_pending = matches!(served, Ok(Served::Pending));
            served
        };
        serving::run(|| match (&shared.around, method) {
            (Some(hook), Some(method)) if !*is_retry => {
                let info = CallInfo { method, peer, deadline: call.deadline };
                around::run(&**hook, &info, &mut serve)
            }
            _ => serve(),
        })
        .map(drop)
    });
    shared.activity.end();
    report_slow(method, now);
    if is_pending || served.is_err() {
        // The answer comes later, or what was written of it is discarded.
        outgoing.truncate(begin);
        if served.is_err() || parked.is_some() {
            handles.discard();
        }
        served?;
        return Ok(parked);
    }
    memory_of_answer(outgoing.len() - begin).map_err(|error| {
        outgoing.truncate(begin);
        handles.discard();
        error.with("method", name)
    })?;
    Ok(None)
}

/// Logs a call that took long. The time is read only if the event is enabled.
fn report_slow(method: Option<&Method>, started: Instant) {
    if enabled!(Level::WARN) && started.elapsed() >= SLOW_CALL {
        let method = method.map(|method| &*method.name);
        warn!(method, elapsed = ?started.elapsed(), "slow call: other calls had to wait");
    }
}

/// Sends the reason why the connection ends. Errors of sending are ignored.
async fn send_final_error(stream: &mut UnixStream, error: &Error, mut outgoing: Vec<u8>) {
    message::encode_refusal(NO_ID, error, &mut outgoing);
    let _ = stream.write_all(&outgoing).await;
}
