//! One call: its frame is read, the method is run, and its answer is appended to the bytes that the
//! connection sends.
//!
//! A method may have to wait at a gate (`miko_rpc::Gate`). Then the call is parked: its frame is kept, and
//! the call is run again from the start when its turn at the gate has come, or when its wait has timed out.
//! After a timeout, entering the gate fails. A call keeps a pass of each gate that it has entered. A retry
//! enters these gates by the passes, without waiting.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::codec::split_variant;
use miko_rpc::{
    Call, CallGates, ConnectionLocals, Error, ErrorId, Handles, Interface, Method, ParkedCall, Pass, Served,
    Surface, memory, serve_call as serve_gated, unreadable,
};
use tracing::{Level, enabled, warn};

use super::activity::Activity;
use super::around::{self, Around, CallInfo, Peer};
use super::metrics::Metrics;
use super::parked_calls::ParkedCalls;
use super::service::Service;
use super::session::{Parked, Session, charge_answer_memory, no_object};
use crate::limits::Limits;
use crate::serving;
use crate::wire::envelope::enclose_response;
use crate::wire::extension::{FromClient, is_extension, opening_of};
use crate::wire::message::{self, Incoming, IncomingCall};

/// A call that takes this long is logged, since all other calls wait for it.
const SLOW_CALL: Duration = Duration::from_secs(1);

/// The time until a deadline, in place of a longer one that an `Instant` cannot represent.
pub(super) const FAR_FUTURE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The parts of the server that calls of all connections use.
pub(super) struct CallContext<I: ?Sized> {
    pub(super) service: Rc<dyn Service<I>>,
    pub(super) limits: Limits,
    pub(super) activity: Arc<Activity>,
    pub(super) around: Option<Rc<Around>>,
    /// Accounts for the calls that wait at a gate: their bytes, and the workers that made them.
    pub(super) parked_calls: ParkedCalls,
    /// The counters of the server; `None` if the server speaks no other protocol, since no caller could read
    /// the counters then.
    pub(super) metrics: Option<Rc<Metrics>>,
}

/// The parts of a connection that its calls use, and the state of the call that runs.
pub(super) struct ConnectionContext<'s> {
    pub(super) peer: &'s Peer,
    /// When the call arrived.
    pub(super) arrived: Instant,
    /// When the call started; `None` until then, and if the frame starts no call.
    pub(super) started: Option<Instant>,
    /// The bytes that the connection sends, to which the answer is appended.
    pub(super) outgoing: &'s mut Vec<u8>,
    /// Collects the objects and streams that the answer carries, or the answer itself if it comes later.
    pub(super) handles: &'s mut Handles,
    /// The passes of the gates that the call has entered: before it runs, those of earlier attempts; after it
    /// has run, also those of this attempt. Empty after the call was parked, since its passes are kept with
    /// it.
    pub(super) passes: Vec<Pass>,
    /// The values that implementations keep for the connection, lent to the call while it runs.
    pub(super) locals: ConnectionLocals,
    /// When the deadline of the call passes. Set when the call starts.
    pub(super) expires_at: Instant,
    /// Whether the call was parked at a gate before.
    pub(super) is_retry: bool,
    /// Set when the frame was handled: the id of the call that has returned the object of this call, if the
    /// client has named the object by that id, and if this call was parked. The client has sent both calls
    /// together and waits for the answer to the second, so the connection may hold the first answer back.
    /// `None` in any other case.
    pub(super) opened_by: Option<u64>,
}

/// Handles one frame: runs its call and appends the answer, or handles a control frame (credit, a release or
/// a cancellation). Returns the id of the call that was answered, or will be, so that the answer can be
/// replaced by an error; `None` for a frame that leads to no answer.
///
/// # Errors
/// If the frame is not one that a client may send, or takes too much memory to read. The error ends the
/// connection.
pub(super) fn serve_frame<I: Interface + ?Sized>(
    frame: &[u8],
    context: &CallContext<I>,
    connection: &mut ConnectionContext<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<Option<u64>, Error> {
    if is_extension(frame) {
        return serve_extension(frame, context, connection, session);
    }
    let read = memory::read_frame(frame.len(), context.limits.frame_size, || Incoming::read(frame));
    let call = match read {
        Ok(Incoming::Call(call)) => call,
        Ok(Incoming::Cancel(id)) => return Ok(cancel(id, session, connection)),
        Err(fault) => return Err(unreadable(&fault.to_string())),
    };
    let IncomingCall { id, deadline, .. } = call;
    let call = ReceivedCall { id, deadline, method: call.method(), frame };
    serve_call(&call, I::surface(), context, connection, session, |call| {
        context.service.interface().serve(call)
    });
    Ok(Some(id))
}

/// As [`serve_frame`], for a frame that tarpc's protocol does not have.
fn serve_extension<I: Interface + ?Sized>(
    frame: &[u8],
    context: &CallContext<I>,
    connection: &mut ConnectionContext<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<Option<u64>, Error> {
    match FromClient::read(frame)? {
        // `named` is the handle of the object, or a number made from the id of the call that has returned it.
        FromClient::Call { id, object: named, deadline, call } => {
            match session.as_ref().map_or_else(|| Err(no_object(named)), |session| session.object(named)) {
                Ok(object) => {
                    let call = ReceivedCall { id, deadline, method: split_variant(call), frame };
                    serve_call(&call, object.surface(), context, connection, session, |call| {
                        object.serve(call)
                    });
                    // A call is pending if it is parked, or is answered later. The session learns of a later
                    // answer only after this function has returned, so a call that is pending here is parked.
                    let is_parked = || session.as_ref().is_some_and(|session| session.is_pending(id));
                    connection.opened_by = opening_of(named).filter(|_| is_parked());
                }
                Err(error) => message::encode_refusal(id, &error, connection.outgoing),
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
        FromClient::Cancel { id } => return Ok(cancel(id, session, connection)),
    }
    Ok(None)
}

/// Cancels the call `id` and refuses it as `cancelled`, if it is parked or its answer comes later. Returns
/// the id if the call was cancelled. Any other call has been answered already: calls run in the order in
/// which they arrive, and a parked call that is due runs before the next frame is read.
fn cancel(
    id: u64,
    session: &mut Option<Box<Session>>,
    connection: &mut ConnectionContext<'_>,
) -> Option<u64> {
    let session = session.as_mut()?;
    serving::run(|| session.cancel(id)).then(|| {
        let error = Error::new(ErrorId::CANCELLED, "the caller gave the call up");
        message::encode_refusal(id, &error, connection.outgoing);
        id
    })
}

/// A call whose frame was read.
struct ReceivedCall<'f> {
    id: u64,
    deadline: Duration,
    /// The wire name of the method and its arguments; `None` if they cannot be read. The call is then
    /// refused.
    method: Option<(&'f str, &'f [u8])>,
    /// The whole frame, which is kept if the call is parked.
    frame: &'f [u8],
}

/// Runs a call and appends the answer, or a refusal. A call that waits at a gate is parked. `serve` runs the
/// call on the interface or on an object, whose surface is `surface`.
fn serve_call<I: Interface + ?Sized>(
    call: &ReceivedCall<'_>,
    surface: &'static Surface,
    context: &CallContext<I>,
    connection: &mut ConnectionContext<'_>,
    session: &mut Option<Box<Session>>,
    serve: impl Fn(Call<'_>) -> Result<Served, Error>,
) {
    let served = try_serve_call(call, surface, context, connection, serve);
    let started = connection.started;
    let served_or_parked = served.and_then(|parked| match parked {
        Some(parked) => park(call, parked, context, connection, session).inspect_err(|error| {
            let time = started.map_or(Duration::ZERO, |started| started.elapsed());
            record_refusal(call, surface, context, error, time);
        }),
        None => Ok(()),
    });
    if let Err(error) = served_or_parked {
        message::encode_refusal(call.id, &error, connection.outgoing);
    }
}

/// Records a call that has started and is then refused: after this attempt, or before it if there was an
/// earlier one. `time` is how long the call has run in this attempt.
fn record_refusal<I: ?Sized>(
    call: &ReceivedCall<'_>,
    surface: &'static Surface,
    context: &CallContext<I>,
    error: &Error,
    time: Duration,
) {
    if let (Some(metrics), Some((name, _))) = (&context.metrics, call.method) {
        metrics.record_call(surface, surface.method(name), &Err(error.clone()), time);
    }
}

/// Keeps a call in the session until its turn at the gate has come, or its wait there has timed out. `queued`
/// is the position of the call in the queue of the gate.
///
/// # Errors
/// `storage-full`, if too many calls of the connection are parked or will be answered later, if too many
/// bytes of calls are parked, or at the memory limit.
fn park<I: ?Sized>(
    call: &ReceivedCall<'_>,
    queued: ParkedCall,
    context: &CallContext<I>,
    connection: &mut ConnectionContext<'_>,
    session: &mut Option<Box<Session>>,
) -> Result<(), Error> {
    let session = session.get_or_insert_default();
    let Limits { calls_in_flight, frame_size, .. } = context.limits;
    session.check_in_flight(1, calls_in_flight)?;
    let worker = connection.peer.worker;
    let guard = context.parked_calls.add(call.frame.len(), session.parked_bytes(), worker, frame_size)?;
    let passes = std::mem::take(&mut connection.passes);
    let frame = call.frame.to_vec();
    let parked = Parked { id: call.id, frame, arrived: connection.arrived, passes, queued };
    // Each entry of the session has a handle. The client never learns the handle of this one.
    session.park(connection.handles.reserve(), parked, guard);
    Ok(())
}

/// Runs a call, unless its deadline has passed, and appends its answer, unless the answer comes later.
/// Returns `Some` if the call waits at a gate and is to be parked.
///
/// # Errors
/// The error with which the call is refused.
fn try_serve_call<I: Interface + ?Sized>(
    call: &ReceivedCall<'_>,
    surface: &'static Surface,
    context: &CallContext<I>,
    connection: &mut ConnectionContext<'_>,
    serve: impl Fn(Call<'_>) -> Result<Served, Error>,
) -> Result<Option<ParkedCall>, Error> {
    let now = Instant::now();
    let expires = connection.arrived.checked_add(call.deadline);
    check_deadline(expires, now, connection.is_retry).inspect_err(|error| {
        if connection.is_retry {
            record_refusal(call, surface, context, error, Duration::ZERO);
        }
    })?;
    let (name, arguments) =
        call.method.ok_or_else(|| unreadable("it is not a map from a method to its arguments"))?;
    let method = context.activity.begin(surface, name, now);
    let ConnectionContext {
        peer,
        outgoing,
        handles,
        passes,
        locals,
        arrived: _,
        started,
        expires_at,
        is_retry,
        opened_by: _,
    } = connection;
    *started = Some(now);
    let answer_begin = outgoing.len();
    *expires_at = expires.unwrap_or(now + FAR_FUTURE);
    let mut attempt = Attempt {
        peer,
        deadline: call.deadline,
        expires_at: expires,
        is_retry: *is_retry,
        passes,
        locals,
        recorder: context.metrics.as_deref().map(|metrics| CallRecorder { metrics, surface, began: now }),
        outcome: AttemptOutcome::default(),
    };
    let served = enclose_response(call.id, context.limits.frame_size, outgoing, |answer, limit| {
        let mut run = || serve(Call::message(name, arguments, answer, limit).within(&mut **handles));
        attempt.run(method, context.around.as_deref(), &mut run).map(drop)
    });
    let AttemptOutcome { is_pending, parked } = attempt.outcome;
    context.activity.end();
    report_slow(method, now);
    if is_pending || served.is_err() {
        // There is no answer to send now: the answer comes later, or the call is refused or parked.
        outgoing.truncate(answer_begin);
        // If the answer comes later, it is in `handles`, and the session adopts it from there. If the call is
        // refused or parked, nothing in `handles` is needed.
        if served.is_err() || parked.is_some() {
            serving::run(|| handles.discard());
        }
        served?;
        return Ok(parked);
    }
    charge_answer_memory(outgoing.len() - answer_begin).map_err(|error| {
        outgoing.truncate(answer_begin);
        serving::run(|| handles.discard());
        error.with("method", name)
    })?;
    Ok(None)
}

/// Checks, before an attempt to run a call, that its deadline has not passed. `is_retry`: whether the call
/// was parked before, so that it has waited.
///
/// # Errors
/// `deadline-exceeded`.
pub(super) fn check_deadline(expires_at: Option<Instant>, now: Instant, is_retry: bool) -> Result<(), Error> {
    if expires_at.is_none_or(|expires_at| now < expires_at) {
        return Ok(());
    }
    let message = match is_retry {
        true => "the call waited until its deadline, and changed nothing",
        false => "the call was not taken up before its deadline, and not run",
    };
    Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message))
}

/// One attempt to run a call, for arguments in MessagePack as well as in JSON.
pub(super) struct Attempt<'a> {
    pub(super) peer: &'a Peer,
    /// How long the client waits for the answer.
    pub(super) deadline: Duration,
    /// When the deadline passes, counted from the arrival of the call; `None` if an `Instant` cannot
    /// represent that time.
    pub(super) expires_at: Option<Instant>,
    /// Whether the call was parked at a gate before.
    pub(super) is_retry: bool,
    /// The passes of the gates that the call has entered in earlier attempts. [`run`](Self::run) adds those
    /// of this attempt.
    pub(super) passes: &'a mut Vec<Pass>,
    /// The values that implementations keep for the connection. The call may add some.
    pub(super) locals: &'a mut ConnectionLocals,
    /// Records the call, unless it is to be parked; `None` if the server has no metrics.
    pub(super) recorder: Option<CallRecorder<'a>>,
    /// Set by [`run`](Self::run).
    pub(super) outcome: AttemptOutcome,
}

/// The arguments of [`Metrics::record_call`] for a call that has started. The call is recorded when its
/// method has returned, even if the answer comes later. A call whose method has not run is recorded when it
/// is refused, for example by the hook. A call that cannot be parked, or whose deadline passes while it is
/// parked, is recorded by the caller of [`Attempt::run`].
pub(super) struct CallRecorder<'m> {
    pub(super) metrics: &'m Metrics,
    pub(super) surface: &'static Surface,
    pub(super) began: Instant,
}

/// The outcome of the call itself, as opposed to the result that the hook of `Uds::around` returns.
#[derive(Default)]
pub(super) struct AttemptOutcome {
    /// Whether there is no answer now: it comes later, or the call is parked.
    pub(super) is_pending: bool,
    /// The position of the call in the queue of a gate, if it waits at one.
    pub(super) parked: Option<ParkedCall>,
}

impl Attempt<'_> {
    /// Runs the call by `run`, inside the hook of `Uds::around` if there is one and the call was not parked
    /// before. Records the call in the metrics, unless it is to be parked.
    ///
    /// # Errors
    /// The errors of the call and of the hook.
    pub(super) fn run(
        &mut self,
        method: Option<&'static Method>,
        around: Option<&Around>,
        run: &mut impl FnMut() -> Result<Served, Error>,
    ) -> Result<Served, Error> {
        let Self { peer, deadline, expires_at, is_retry, passes, locals, recorder, outcome } = self;
        let mut serve = || {
            let (passes_before, locals_before) = (std::mem::take(*passes), std::mem::take(*locals));
            let before = CallGates { passes: passes_before, parked: None, locals: locals_before };
            let (served, after) = serve_gated(*expires_at, before, &mut *run);
            (**passes, **locals) = (after.passes, after.locals);
            outcome.parked = after.parked;
            // The method of a parked call has returned the error `parked`. The hook does not get this error:
            // it sees a call whose answer comes later.
            let served = if outcome.parked.is_some() { Ok(Served::Pending) } else { served };
            outcome.is_pending = matches!(served, Ok(Served::Pending));
            served
        };
        let served = serving::run(|| match (around, method) {
            // The hook runs once per call. At a retry it has run already, around the first attempt. A call of
            // an unknown method is refused without the hook.
            (Some(around), Some(method)) if !*is_retry => {
                let info = CallInfo { method, peer, deadline: *deadline };
                around::run(around, &info, &mut serve)
            }
            _ => serve(),
        });
        if let Some(CallRecorder { metrics, surface, began }) = recorder
            // The hook may refuse a call that would have been parked.
            && (outcome.parked.is_none() || served.is_err())
        {
            metrics.record_call(surface, method, &served, began.elapsed());
        }
        served
    }
}

/// Logs a call that has taken [`SLOW_CALL`] or longer. The clock is read only if the event is enabled.
pub(super) fn report_slow(method: Option<&Method>, started: Instant) {
    if enabled!(Level::WARN) && started.elapsed() >= SLOW_CALL {
        let method = method.map(|method| &*method.name);
        warn!(method, elapsed = ?started.elapsed(), "slow call: other calls had to wait");
    }
}
