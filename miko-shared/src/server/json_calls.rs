//! Calls with JSON params, as other protocols make them. They are served like the calls of the server's own
//! wire protocol: they have gates, deadlines and the hook of `Uds::around`, and the running method is
//! published to the parent process. But they take no part in group commit: each call has its own commit.
//!
//! A call that waits, at a gate or for a later answer, is a pending future: other calls run meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use miko_rpc::{
    Call, ConnectionLocals, DispatchError, Error, ErrorId, JsonHandles, JsonItem, JsonResult, JsonText,
    LaterAnswer, ParkedCall, Pass, Result, Served, ServedObject, Surface, json, memory, written,
};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout_at};

use super::activity::Activity;
use super::around::{Around, Peer};
use super::calls::{
    Attempt, AttemptOutcome, CallContext, CallRecorder, FAR_FUTURE, check_deadline, report_slow,
};
use super::guarded::{Guarded, drop_guarded};
use super::metrics::Metrics;
use super::parked_calls::{ParkedBytes, ParkedCalls};
use super::session::{MAX_SESSION_ENTRIES, charge_answer_memory};
use crate::limits::Limits;
use crate::serving;

/// What a server keeps for calls with JSON params. A [`JsonConnection`] makes such calls.
pub struct JsonCalls {
    serve: Box<dyn Fn(Call<'_>) -> Result<Served>>,
    surface: &'static Surface,
    limits: Limits,
    activity: Arc<Activity>,
    around: Option<Rc<Around>>,
    parked_calls: ParkedCalls,
    metrics: Rc<Metrics>,
}

/// The session of one caller, or the connection of a single call: the objects and streams that results have
/// carried, and the values that the implementation keeps for the connection.
///
/// Dropping it drops the objects and streams, the newest first, and then the values.
pub struct JsonConnection {
    calls: Rc<JsonCalls>,
    peer: Peer,
    state: RefCell<SessionState>,
    /// The bytes of the calls of this connection that wait at gates.
    parked_bytes: ParkedBytes,
    /// The handles of the streams that are being read.
    being_read: RefCell<HashSet<u64>>,
    has_ended: Cell<bool>,
    /// Notified when the session ends, so that the calls that wait fail.
    on_end: Notify,
}

/// The parts of a session that a call borrows while it runs.
#[derive(Default)]
struct SessionState {
    handles: JsonHandles,
    locals: ConnectionLocals,
}

/// A call that is about to run.
#[derive(Debug, Clone, Copy)]
pub struct JsonCall<'c> {
    /// The handle of the object that is called; `None` for the interface itself.
    pub object: Option<u64>,
    /// The wire name of the method.
    pub method: &'c str,
    /// The params: an object by name, or an array by position.
    pub params: JsonParams<'c>,
}

/// The params of a call.
#[derive(Debug, Clone, Copy)]
pub enum JsonParams<'c> {
    /// JSON text of a client. Empty text means that there are no params.
    Text(&'c str),
    /// A value that the server has made. The limits on text of clients do not apply to it.
    Value(&'c Value),
}

/// The result of a call.
#[derive(Debug)]
#[non_exhaustive]
pub struct JsonReply {
    /// The result as JSON text.
    pub result: JsonText,
    /// For a result that is nil: the number of `Some` around it, such as 1 for `Some(None)`. JSON writes both
    /// `None` and `Some(None)` as `null`. 0 for any other result.
    pub nil_level: u32,
}

impl JsonCalls {
    pub(super) fn new<I: miko_rpc::Interface + ?Sized>(context: &CallContext<I>) -> Self {
        let service = Rc::clone(&context.service);
        Self {
            serve: Box::new(move |call| service.interface().serve(call)),
            surface: I::surface(),
            limits: context.limits.clone(),
            activity: Arc::clone(&context.activity),
            around: context.around.clone(),
            parked_calls: context.parked_calls.clone(),
            // Never `None` here: a server that speaks another protocol has counters.
            metrics: context.metrics.clone().unwrap_or_default(),
        }
    }

    /// The surface of the interface.
    pub fn surface(&self) -> &'static Surface {
        self.surface
    }

    /// The counters of the server.
    pub fn metrics(&self) -> &Rc<Metrics> {
        &self.metrics
    }

    /// The limits of the server.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl JsonConnection {
    /// A session: the objects and streams that results carry live until they are released, or the session
    /// ends or is dropped.
    pub fn new(calls: &Rc<JsonCalls>, peer: Peer) -> Self {
        let (state, parked_bytes, being_read, has_ended, on_end) = Default::default();
        Self { calls: Rc::clone(calls), peer, state, parked_bytes, being_read, has_ended, on_end }
    }

    /// A connection for one call only. If the method would begin something that lives with a session and is
    /// named by an id, such as a transaction, the call fails as `session-required`. The objects and streams
    /// in the result live until the connection is dropped, so the caller of this function keeps the
    /// connection as long as they are used.
    pub fn of_single_call(calls: &Rc<JsonCalls>, peer: Peer) -> Self {
        let connection = Self::new(calls, peer);
        connection.state.borrow_mut().locals = ConnectionLocals::of_single_call();
        connection
    }

    /// Makes a call, and waits for its turn at a gate and for its answer.
    ///
    /// # Errors
    /// As `Interface::dispatch`; the error of the hook of `Uds::around`; `session-gone` if there is no such
    /// object, or the session ends before the answer; `deadline-exceeded`; `request-too-large` if the result
    /// exceeds the limit `frame_size`; `storage-full` if too many objects and streams are open, too many
    /// bytes of calls wait at gates, or the memory limit is reached.
    pub async fn call(&self, call: JsonCall<'_>) -> Result<JsonText, DispatchError> {
        self.call_for_reply(call).await.map(|reply| reply.result)
    }

    /// As [`call`](Self::call), with the parts of the result that JSON cannot express.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_for_reply(&self, call: JsonCall<'_>) -> Result<JsonReply, DispatchError> {
        let mut ended = pin!(self.on_end.notified());
        // Registered before the call runs, so that an end during the call is not missed.
        ended.as_mut().enable();
        self.check_open()?;
        let mut running = pin!(self.run(call));
        poll_fn(|context| match running.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => ended.as_mut().poll(context).map(|()| Err(session_ended().into())),
        })
        .await
    }

    /// Returns the next item of a stream, or registers the waker in `context` for it.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream; `internal` if the item was not encoded as valid JSON.
    pub fn poll_item(&self, stream: u64, context: &mut Context<'_>) -> Poll<Result<JsonItem>> {
        let limit = self.calls.limits.frame_size;
        let mut state = self.state.borrow_mut();
        match serving::run(|| state.handles.poll_item(stream, context, limit)) {
            Ok(item) => item.map(Ok),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Marks a stream as being read. The mark stays until the stream is released: only one caller may read a
    /// stream, and only once.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream; `conflict` if it is marked already.
    pub fn begin_read(&self, stream: u64) -> Result<()> {
        if !self.has_stream(stream) {
            let message = "there is no such stream in this session";
            return Err(Error::new(ErrorId::SESSION_GONE, message).with("handle", stream));
        }
        if self.being_read.borrow_mut().insert(stream) {
            return Ok(());
        }
        let message = "another request reads this stream, and each item is sent once";
        Err(Error::new(ErrorId::CONFLICT, message).with("handle", stream))
    }

    /// Whether a stream with this handle is open.
    pub fn has_stream(&self, handle: u64) -> bool {
        self.state.borrow().handles.streams().any(|stream| stream == handle)
    }

    /// Whether any object or stream is open.
    pub fn has_open(&self) -> bool {
        !self.state.borrow().handles.is_empty()
    }

    /// Drops an object or a stream. Returns whether it was open.
    pub fn release(&self, handle: u64) -> bool {
        self.being_read.borrow_mut().remove(&handle);
        let taken = self.state.borrow_mut().handles.take(handle);
        let was_open = taken.is_some();
        drop_guarded(taken);
        was_open
    }

    /// Ends the session: drops its objects and streams, the newest first, and then the values that the
    /// implementation keeps for the session. Calls that wait fail as `session-gone`.
    pub fn end(&self) {
        self.has_ended.set(true);
        self.on_end.notify_waiters();
        loop {
            let newest = self.state.borrow_mut().handles.take_newest();
            if newest.is_none() {
                break;
            }
            drop_guarded(newest);
        }
        let locals = std::mem::take(&mut self.state.borrow_mut().locals);
        drop_guarded(locals);
    }

    fn check_open(&self) -> Result<()> {
        if self.has_ended.get() { Err(session_ended()) } else { Ok(()) }
    }

    /// Runs the call, runs it again after each wait at a gate, and waits for its answer if that comes later.
    async fn run(&self, call: JsonCall<'_>) -> Result<JsonReply, DispatchError> {
        let calls = &*self.calls;
        let object = call.object.map(|handle| self.state.borrow().handles.object(handle)).transpose()?;
        // If the object is released while the call waits, this reference is the last one and drops the
        // object.
        let object = object.map(Guarded::new);
        let surface = object.as_ref().map_or(calls.surface, |object| object.surface());
        let deadline = surface
            .method(call.method)
            .map_or(calls.limits.call_deadline, |method| method.deadline_or(calls.limits.call_deadline));
        let expires_at = Instant::now().checked_add(deadline).unwrap_or_else(|| Instant::now() + FAR_FUTURE);
        let mut passes = Vec::new();
        let mut is_retry = false;
        let result = loop {
            let input = AttemptInput {
                object: object.as_ref().map(|object| &***object),
                surface,
                deadline,
                expires_at,
                is_retry,
            };
            match self.attempt(&call, &input, &mut passes)? {
                CallProgress::Answered(result) => break result,
                CallProgress::Later(answer) => break self.wait_for_answer(answer, expires_at).await,
                CallProgress::Parked { queued, began } => {
                    let bytes = call.method.len() + call.params.text_length();
                    let limit = calls.limits.frame_size;
                    // No worker is named. The server publishes which workers have parked calls, but only
                    // clients of its own wire protocol read this: only they may spin while they wait.
                    let worker = None;
                    // Counts the call as parked until the end of this block.
                    let counted = calls.parked_calls.add(bytes, &self.parked_bytes, worker, limit);
                    let _guard = counted.inspect_err(|error| {
                        self.record_refusal(call.method, surface, error, began.elapsed());
                    })?;
                    wait_at_gate(&queued).await;
                    if is_retry {
                        // A call that is parked more than once may be a long one, such as the end of an
                        // upload: between its steps it parks itself, to let other calls run, at a gate that
                        // it opens at once. So its wait is over at once, and it yields here instead.
                        tokio::task::yield_now().await;
                    }
                    passes.push(queued.into_pass());
                    is_retry = true;
                }
            }
        };
        // The call leaves its gates only now, after its changes were committed.
        drop(passes);
        let reply = result?;
        charge_answer_memory(reply.result.get().len()).map_err(|error| error.with("method", call.method))?;
        Ok(reply)
    }

    /// Runs the call once. `passes` has the passes of the gates that the call has entered in earlier
    /// attempts. Those of this attempt are added.
    fn attempt(
        &self,
        call: &JsonCall<'_>,
        input: &AttemptInput<'_>,
        passes: &mut Vec<Pass>,
    ) -> Result<CallProgress, DispatchError> {
        let calls = &*self.calls;
        self.check_open()?;
        let now = Instant::now();
        check_deadline(Some(input.expires_at), now, input.is_retry).inspect_err(|error| {
            if input.is_retry {
                self.record_refusal(call.method, input.surface, error, Duration::ZERO);
            }
        })?;
        let mut params = Some(call.params.read(calls.limits.frame_size)?);
        let mut state = self.state.borrow_mut();
        let SessionState { handles, locals } = &mut *state;
        let method = calls.activity.begin(input.surface, call.method, now);
        let mut result: JsonResult = None;
        let mut attempt = Attempt {
            peer: &self.peer,
            deadline: input.deadline,
            expires_at: Some(input.expires_at),
            is_retry: input.is_retry,
            passes,
            locals,
            recorder: Some(CallRecorder { metrics: &calls.metrics, surface: input.surface, began: now }),
            outcome: AttemptOutcome::default(),
        };
        let mut run = || {
            let params = params.take().unwrap_or_default();
            let limit = calls.limits.frame_size;
            let call = Call::json_within(call.method, params, &mut result, limit, handles.scope());
            match input.object {
                Some(object) => object.serve(call),
                None => (calls.serve)(call),
            }
        };
        let served = attempt.run(method, calls.around.as_deref(), &mut run);
        let AttemptOutcome { is_pending, parked } = attempt.outcome;
        calls.activity.end();
        report_slow(method, now);
        if served.is_err() || parked.is_some() {
            serving::run(|| handles.scope().discard());
        }
        served?;
        if let Some(queued) = parked {
            return Ok(CallProgress::Parked { queued, began: now });
        }
        let later = self.adopt(handles)?;
        match later {
            Some(answer) if is_pending => Ok(CallProgress::Later(answer)),
            _ => {
                let nil_level = handles.scope().nil_level();
                let result = written(result, call.method);
                Ok(CallProgress::Answered(result.map(|result| JsonReply { result, nil_level })))
            }
        }
    }

    /// Records a call that has started and is then refused: after this attempt, or before it if there was an
    /// earlier one. `time` is how long the call has run in this attempt.
    fn record_refusal(&self, method: &str, surface: &'static Surface, error: &Error, time: Duration) {
        self.calls.metrics.record_call(surface, surface.method(method), &Err(error.clone()), time);
    }

    /// Adopts the objects and streams that an answer has carried. If the answer itself comes later, returns
    /// it.
    ///
    /// # Errors
    /// `storage-full`, if the answer has carried something or comes later, and with it more than
    /// [`MAX_SESSION_ENTRIES`] objects and streams would be open. What the answer has carried, or the later
    /// answer, is then dropped.
    fn adopt(&self, handles: &mut JsonHandles) -> Result<Option<Box<dyn LaterAnswer>>> {
        let carried = handles.scope().carried_count();
        if carried > 0 && handles.len() + carried > MAX_SESSION_ENTRIES {
            serving::run(|| handles.scope().discard());
            let message = "too many objects and streams are open in this session";
            return Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", MAX_SESSION_ENTRIES));
        }
        Ok(handles.adopt())
    }

    /// Waits for a later answer until the deadline of its call.
    async fn wait_for_answer(
        &self,
        answer: Box<dyn LaterAnswer>,
        expires_at: Instant,
    ) -> Result<JsonReply, DispatchError> {
        let mut answer = Guarded::new(answer);
        let arrival = poll_fn(|context| serving::run(|| answer.poll(context)));
        if timeout_at(expires_at.into(), arrival).await.is_err() {
            let message = "the answer did not come before the deadline of the call";
            return Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message).into());
        }
        self.check_open()?;
        let mut state = self.state.borrow_mut();
        let limit = self.calls.limits.frame_size;
        let written = serving::run(|| answer.into_inner().write_json(limit, state.handles.scope()));
        if written.is_err() {
            serving::run(|| state.handles.scope().discard());
        }
        let nil_level = state.handles.scope().nil_level();
        self.adopt(&mut state.handles)?;
        written.map(|result| JsonReply { result, nil_level })
    }
}

impl Drop for JsonConnection {
    fn drop(&mut self) {
        self.end();
    }
}

/// What an attempt to run a call gets, besides the call itself.
struct AttemptInput<'a> {
    /// The object on which the call is made; `None` for the interface itself.
    object: Option<&'a dyn ServedObject>,
    /// The surface of the object or the interface.
    surface: &'static Surface,
    /// How long the caller waits for the answer.
    deadline: Duration,
    /// When the deadline passes.
    expires_at: Instant,
    /// Whether the call was parked at a gate before.
    is_retry: bool,
}

/// How far a call has come after an attempt, if the server has not refused it.
enum CallProgress {
    /// The method has returned: its result as JSON, or its error.
    Answered(Result<JsonReply, DispatchError>),
    /// The answer comes later.
    Later(Box<dyn LaterAnswer>),
    /// The call waits at a gate.
    Parked {
        /// The position of the call in the queue of the gate.
        queued: ParkedCall,
        /// When the attempt began.
        began: Instant,
    },
}

/// Waits until the turn of a parked call has come, or until its wait has timed out. After a timeout, the
/// pass of the call does not let it in: the next attempt fails when it enters the gate.
async fn wait_at_gate(parked: &ParkedCall) {
    // `check_time` makes calls leave the gate if their time inside is over, and returns when it is to be
    // called again. If the wait of `parked` has timed out, it takes `parked` out of the queue, and returns
    // `None`.
    let mut timer = pin!(sleep_until(parked.check_time().unwrap_or_else(Instant::now).into()));
    poll_fn(|context| {
        while timer.as_mut().poll(context).is_ready()
            && let Some(next_check) = parked.check_time()
        {
            timer.as_mut().reset(next_check.into());
        }
        parked.poll(context)
    })
    .await;
}

impl JsonParams<'_> {
    /// Parses the params; `null` if there are none.
    fn read(self, frame_size: usize) -> Result<Value> {
        match self {
            Self::Text(text) if text.trim().is_empty() => Ok(Value::Null),
            Self::Text(text) => memory::read_frame(text.len(), frame_size, || json::parse(text)),
            Self::Value(value) => Ok(value.clone()),
        }
    }

    /// The number of bytes of the params as JSON text.
    fn text_length(self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Value(value) => value.to_string().len(),
        }
    }
}

fn session_ended() -> Error {
    Error::new(ErrorId::SESSION_GONE, "the session has ended")
}
