//! One async connection, which any number of tasks use: the handshake, then calls, their answers, and the
//! items of streams.
//!
//! A task that makes a call writes the call to the socket itself. Each connection has another task, the
//! driver: it reads, writes the bytes that did not fit into the buffer of the socket, and ends calls at their
//! deadlines.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use std::{io, process};

use miko_rpc::{Discard, Error, ErrorId, Method, ReceivedAnswer, Result, Surface};
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;
use tokio::time::{Sleep, sleep_until};

use super::Address;
use super::fault::{ConnectionFault, call_timed_out, closed, connection_lost};
use super::handshake::ClientHandshake;
use super::inbox::{Topic, append_frame, discard_answer, unexpected_answer};
use super::server_user::check_server_user;
use crate::async_socket;
use crate::wire::envelope::Envelope;
use crate::wire::extension;
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::message::Answer;

/// How far ahead the timer of deadlines is set at first. The driver resets the timer to the first deadline
/// before it polls the timer.
const INITIAL_TIMER: Duration = Duration::from_secs(3600);

/// A connection after its handshake.
pub(super) struct AsyncConnection {
    stream: Arc<UnixStream>,
    address: Address,
    /// The process that opened the connection. A forked process inherits the socket, but must not use it: the
    /// bytes of the two processes would mix.
    pid: u32,
    /// The size of the largest call, in bytes: the smaller of the two sides' frame limits.
    frame_limit: usize,
    /// The size of the largest answer or item, in bytes: the server's frame limit. The client's own limit
    /// does not apply: a call whose answer exceeds it has run, and refusing the answer would end the
    /// connection.
    answer_limit: usize,
    state: Mutex<State>,
    /// Ends the driver when the connection is dropped. `None` only until the driver is spawned.
    driver: Mutex<Option<AbortHandle>>,
}

/// What the driver and the tasks that make calls share.
#[derive(Default)]
struct State {
    /// The id of the last call.
    last_id: u64,
    /// Bytes to send: new ones, and those that did not fit into the buffer of the socket.
    unsent: Vec<u8>,
    /// How many of the bytes of `unsent` were sent.
    sent: usize,
    /// The calls whose answers were not taken, by id.
    calls: HashMap<u64, CallState>,
    /// The streams by handle.
    streams: HashMap<u64, ReceivedItems>,
    /// When the driver next looks for calls whose deadline has passed: at the first deadline of a call, or at
    /// an earlier deadline of a call that has ended. `None` while it need not look.
    next_check: Option<Instant>,
    /// Wakes the driver; `None` after the driver was woken, until it runs again.
    driver_waker: Option<Waker>,
    /// Why the connection has ended; `None` before.
    fault: Option<Error>,
}

/// The state of a call that was sent and whose answer was not taken.
enum CallState {
    /// A task waits for the answer, until the deadline `until`.
    Awaited { until: Instant, waker: Option<Waker> },
    /// The answer has arrived: its frame.
    Arrived(Vec<u8>),
    /// The deadline has passed, and the task that waits for the answer was woken. Unless the answer arrives
    /// before that task runs, the task gives the call up.
    TimedOut,
    /// No task waits for the answer. When it arrives, the function releases the objects and streams in it.
    GivenUp(&'static Method, Discard),
}

/// The frames of a stream that have arrived, with their headers.
#[derive(Default)]
struct ReceivedItems {
    frames: Vec<u8>,
    waker: Option<Waker>,
}

/// A call as it is sent.
pub(super) struct EncodedCall {
    pub(super) method: &'static Method,
    /// The method and its arguments.
    pub(super) message: Vec<u8>,
    /// Releases the objects and streams in an answer that no task waits for.
    pub(super) discard: Discard,
    /// The handle of the object that is called; `None` for the interface itself.
    pub(super) object: Option<u64>,
}

impl AsyncConnection {
    /// Checks the user of the server, performs the handshake on `stream`, and spawns the driver.
    pub(super) async fn open(
        mut stream: UnixStream,
        address: &Address,
        surface: &Surface,
    ) -> Result<Arc<Self>> {
        check_server_user(&stream, address)?;
        let server_limit = perform_handshake(&mut stream, address, surface).await?;
        let stream = Arc::new(stream);
        let connection = Arc::new(Self {
            stream: Arc::clone(&stream),
            address: address.clone(),
            pid: process::id(),
            frame_limit: address.limits.frame_size.min(server_limit),
            answer_limit: server_limit,
            state: Mutex::default(),
            driver: Mutex::default(),
        });
        let mut driver = Driver {
            stream,
            connection: Arc::downgrade(&connection),
            incoming: FrameBuffer::default(),
            timer: Box::pin(sleep_until((Instant::now() + INITIAL_TIMER).into())),
        };
        let task = tokio::spawn(async move {
            let fault = poll_fn(|context| driver.poll(context)).await;
            driver.end(fault);
        });
        *connection.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
        Ok(connection)
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Whether this process opened the connection.
    pub(super) fn is_own(&self) -> bool {
        self.pid == process::id()
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.state().fault.is_some()
    }

    /// Sends one call and waits for its answer until `until`. Dropping the future cancels the call.
    pub(super) async fn call(
        self: &Arc<Self>,
        call: &EncodedCall,
        until: Instant,
    ) -> Result<ReceivedAnswer, ConnectionFault> {
        let id = self.send(call, until)?;
        let mut sent = SentCall { connection: self, id, call, is_pending: true };
        let answered = poll_fn(|context| self.poll_answer(id, context)).await;
        // `poll_answer` returns `OfCall` only for a call that has timed out. Its answer may still arrive, so
        // the call is given up.
        if let Err(ConnectionFault::OfCall(_)) = &answered {
            return Err(sent.time_out());
        }
        sent.is_pending = false;
        let response = Answer::read(&answered?).and_then(|answer| answer.response.map(Into::into));
        let bytes = response.map_err(ConnectionFault::OfCall)?;
        Ok(ReceivedAnswer { bytes, link: Arc::clone(self) as _ })
    }

    /// Registers a call as awaited, and sends it as far as the buffer of the socket has room. The driver
    /// sends the rest. Returns the id of the call.
    fn send(&self, call: &EncodedCall, until: Instant) -> Result<u64, ConnectionFault> {
        let deadline = until.saturating_duration_since(Instant::now());
        if !self.is_own() {
            let message = "an async connection was used in a fork of the process that opened it";
            return Err(ConnectionFault::Unsent(Error::new(ErrorId::SERVER_GONE, message)));
        }
        let mut state = self.state();
        if let Some(fault) = &state.fault {
            return Err(ConnectionFault::Unsent(fault.clone()));
        }
        let id = state.last_id + 1;
        let message = RawMessage(&call.message);
        let out = &mut state.unsent;
        match call.object {
            None => Envelope { deadline, id }.enclose(&message, self.frame_limit, out),
            Some(object) => extension::put_call(object, id, deadline, &message, self.frame_limit, out),
        }
        .map_err(ConnectionFault::OfCall)?;
        state.last_id = id;
        state.calls.insert(id, CallState::Awaited { until, waker: None });
        if state.next_check.is_none_or(|check| until < check) {
            // The driver has to set its timer to an earlier time.
            state.next_check = Some(until);
            state.wake_driver();
        }
        state.flush(&self.stream);
        Ok(id)
    }

    /// Takes the frame of the answer to a call if it has arrived, or registers the waker for it. An error if
    /// the call has timed out or the connection has ended.
    fn poll_answer(&self, id: u64, context: &Context<'_>) -> Poll<Result<Vec<u8>, ConnectionFault>> {
        let mut state = self.state();
        if let Some(CallState::Awaited { waker, .. }) = state.calls.get_mut(&id) {
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            return match &state.fault {
                None => Poll::Pending,
                Some(fault) => Poll::Ready(Err(ConnectionFault::after_sent(fault.clone()))),
            };
        }
        if !matches!(state.calls.get(&id), Some(CallState::Arrived(_))) {
            // The call has timed out. Its entry stays until the call is given up, since the answer may still
            // arrive.
            return Poll::Ready(Err(ConnectionFault::OfCall(call_timed_out())));
        }
        match state.calls.remove(&id) {
            Some(CallState::Arrived(answer)) => Poll::Ready(Ok(answer)),
            // Unreachable: the answer has arrived.
            _ => Poll::Ready(Err(ConnectionFault::OfCall(call_timed_out()))),
        }
    }

    /// Sends the control frames that `put` appends, such as cancellations. Does nothing in a fork.
    pub(super) fn send_control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_own() {
            return;
        }
        let mut state = self.state();
        put(&mut state.unsent);
        state.flush(&self.stream);
    }

    /// Starts to keep the frames of a stream, whose handle an answer carried. No frame was missed: the server
    /// sends none before the first credit, which is given later.
    pub(super) fn open_stream(&self, stream: u64) {
        self.state().streams.entry(stream).or_default();
    }

    /// Drops the frames of a stream, and releases the stream in the server. Does nothing in a fork.
    pub(super) fn close_stream(&self, stream: u64) {
        if !self.is_own() {
            return;
        }
        self.state().streams.remove(&stream);
        self.send_control(|out| extension::put_release(stream, out));
    }

    /// Takes the frames of a stream if any have arrived, or registers the waker for them. An error if the
    /// connection has ended and no frames are left.
    pub(super) fn poll_items(&self, stream: u64, context: &Context<'_>) -> Poll<Result<Vec<u8>>> {
        let mut state = self.state();
        let fault = state.fault.clone();
        let Some(items) = state.streams.get_mut(&stream) else {
            return Poll::Ready(Err(Error::new(ErrorId::INTERNAL, "the stream was closed")));
        };
        if !items.frames.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut items.frames)));
        }
        if let Some(fault) = fault {
            return Poll::Ready(Err(fault));
        }
        items.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Stores one frame for the task that waits for it, and wakes that task. Discards the answer to a call
    /// that was given up, and the frame of a stream that was released.
    ///
    /// # Errors
    /// If the frame is of no kind that a server sends, or is an answer that no call expects. The caller then
    /// ends the connection.
    fn deliver(self: &Arc<Self>, frame: &[u8]) -> Result<()> {
        let topic = Topic::of(frame)?;
        let mut state = self.state();
        let id = match topic {
            Topic::Answer(id) => id,
            Topic::Items(stream) => {
                if let Some(items) = state.streams.get_mut(&stream) {
                    append_frame(frame, &mut items.frames);
                    wake(&mut items.waker);
                }
                return Ok(());
            }
        };
        match state.calls.get_mut(&id) {
            Some(CallState::GivenUp(method, discard)) => {
                let (method, discard) = (*method, *discard);
                state.calls.remove(&id);
                // Discarding the answer may send frames, which locks the state again.
                drop(state);
                discard_answer(Arc::clone(self) as _, frame, method, discard);
            }
            Some(CallState::Arrived(_)) | None => return Err(unexpected_answer(frame)),
            Some(call) => {
                let previous = std::mem::replace(call, CallState::Arrived(frame.to_vec()));
                if let CallState::Awaited { mut waker, .. } = previous {
                    wake(&mut waker);
                }
            }
        }
        Ok(())
    }

    /// Ends the connection. All tasks that wait get `fault`, or an earlier fault if there is one.
    fn fail(&self, fault: Error) {
        let mut state = self.state();
        state.fault.get_or_insert(fault);
        let State { calls, streams, .. } = &mut *state;
        for call in calls.values_mut() {
            if let CallState::Awaited { waker, .. } = call {
                wake(waker);
            }
        }
        streams.values_mut().for_each(|items| wake(&mut items.waker));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic of a waker leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AsyncConnection {
    fn drop(&mut self) {
        let driver = self.driver.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = driver.take() {
            driver.abort();
        }
    }
}

/// A call that was sent. Dropping it cancels the call if it is pending.
struct SentCall<'c> {
    connection: &'c Arc<AsyncConnection>,
    id: u64,
    call: &'c EncodedCall,
    /// Whether the call was neither answered nor given up, and the connection was not lost.
    is_pending: bool,
}

impl SentCall<'_> {
    /// Gives up the call, and returns its fault.
    fn time_out(mut self) -> ConnectionFault {
        self.give_up();
        ConnectionFault::OfCall(call_timed_out())
    }

    /// Discards the answer if it has arrived. Otherwise cancels the call; the answer is discarded when it
    /// arrives.
    fn give_up(&mut self) {
        self.is_pending = false;
        let (method, discard) = (self.call.method, self.call.discard);
        let given_up = CallState::GivenUp(method, discard);
        let mut state = self.connection.state();
        match state.calls.insert(self.id, given_up) {
            Some(CallState::Arrived(answer)) => {
                state.calls.remove(&self.id);
                // Discarding the answer may send frames, which locks the state again.
                drop(state);
                discard_answer(Arc::clone(self.connection) as _, &answer, method, discard);
            }
            _ => {
                drop(state);
                self.connection.send_control(|out| extension::put_cancel(self.id, out));
            }
        }
    }
}

impl Drop for SentCall<'_> {
    fn drop(&mut self) {
        if self.is_pending {
            self.give_up();
        }
    }
}

impl State {
    /// Sends as many unsent bytes as the buffer of the socket has room for, and wakes the driver to send the
    /// rest.
    fn flush(&mut self, stream: &UnixStream) {
        while self.sent < self.unsent.len() {
            match stream.try_write(&self.unsent[self.sent..]) {
                Ok(count) if count > 0 => self.sent += count,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if fault.kind() != io::ErrorKind::WouldBlock => {
                    // The connection was lost: the driver will report that when it reads. The bytes are not
                    // needed any more, so they count as sent.
                    self.sent = self.unsent.len();
                }
                // There is no room.
                _ => {
                    self.remove_sent();
                    return self.wake_driver();
                }
            }
        }
        self.unsent.clear();
        self.unsent.shrink_to(frame::KEPT_BUFFER);
        self.sent = 0;
    }

    /// Removes from `unsent` the bytes that were sent, if they are more than half of it. Under steady load
    /// the buffer of the socket may never take all bytes, and `unsent` would grow. Since fewer bytes are
    /// moved than were sent, the cost per byte is bounded.
    fn remove_sent(&mut self) {
        if self.sent > self.unsent.len() / 2 {
            self.unsent.drain(..self.sent);
            self.sent = 0;
        }
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len()
    }

    fn wake_driver(&mut self) {
        wake(&mut self.driver_waker);
    }

    /// Ends the calls whose deadline has passed, and sets the time of the next check.
    fn expire(&mut self, now: Instant) {
        let mut next_check = None;
        for call in self.calls.values_mut() {
            let CallState::Awaited { until, waker } = call else { continue };
            if *until <= now {
                wake(waker);
                *call = CallState::TimedOut;
            } else {
                next_check = Some(next_check.map_or(*until, |next: Instant| next.min(*until)));
            }
        }
        self.next_check = next_check;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The state of the driver, the task of a connection.
struct Driver {
    stream: Arc<UnixStream>,
    connection: Weak<AsyncConnection>,
    incoming: FrameBuffer,
    /// Fires at the time of [`State::next_check`].
    timer: Pin<Box<Sleep>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The driver is dropped when it has completed, when the connection was dropped, or when the runtime
        // ends. Only the last case has an effect here: a connection keeps its first fault.
        self.end(Error::new(
            ErrorId::SERVER_GONE,
            "the runtime in which the connection was opened has ended",
        ));
    }
}

impl Driver {
    /// Ends the connection, unless it has ended or was dropped.
    fn end(&self, fault: Error) {
        if let Some(connection) = self.connection.upgrade() {
            connection.fail(fault);
        }
    }

    /// Reads, writes and checks deadlines as far as possible. Resolves to the reason why the connection
    /// ended.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        // A dropped connection aborts this task.
        let Some(connection) = self.connection.upgrade() else { return Poll::Pending };
        if let Poll::Ready(fault) = self.read(&connection, context) {
            return Poll::Ready(fault);
        }
        {
            // The waker is registered before the checks below: bytes and deadlines that are added after a
            // check wake this task again.
            let mut state = connection.state();
            if !state.driver_waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                state.driver_waker = Some(context.waker().clone());
            }
        }
        while connection.state().has_unsent() {
            match self.stream.poll_write_ready(context) {
                Poll::Pending => break,
                Poll::Ready(Err(fault)) => return Poll::Ready(connection_lost(fault)),
                Poll::Ready(Ok(())) => {
                    let mut state = connection.state();
                    // `flush` wakes the driver if bytes are left. This loop checks for them anyway, so the
                    // waker is taken out meanwhile.
                    let driver_waker = state.driver_waker.take();
                    state.flush(&self.stream);
                    state.driver_waker = driver_waker;
                }
            }
        }
        self.check_deadlines(&connection, context);
        Poll::Pending
    }

    /// Reads and delivers all frames that have arrived. Resolves to the reason why the connection ended.
    fn read(&mut self, connection: &Arc<AsyncConnection>, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            if let Err(fault) = ready!(self.stream.poll_read_ready(context)) {
                return Poll::Ready(connection_lost(fault));
            }
            match self.stream.try_read(self.incoming.room()) {
                Ok(0) => return Poll::Ready(closed()),
                Ok(count) => self.incoming.filled(count),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => continue,
                Err(fault) => return Poll::Ready(connection_lost(fault)),
            }
            loop {
                match self.incoming.next_frame(connection.answer_limit) {
                    Ok(Some(frame)) => {
                        if let Err(fault) = connection.deliver(frame) {
                            return Poll::Ready(fault);
                        }
                    }
                    Ok(None) => break,
                    Err(fault) => return Poll::Ready(fault),
                }
            }
            self.incoming.shrink();
        }
    }

    /// Ends the calls whose deadline has passed, and sets the timer to the next deadline.
    fn check_deadlines(&mut self, connection: &AsyncConnection, context: &mut Context<'_>) {
        loop {
            let next = connection.state().next_check;
            let Some(next) = next else { return };
            if self.timer.deadline() != next.into() {
                self.timer.as_mut().reset(next.into());
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return;
            }
            connection.state().expire(Instant::now());
        }
    }
}

/// A message that is already encoded.
struct RawMessage<'m>(&'m [u8]);

impl miko_rpc::codec::Message for RawMessage<'_> {
    fn write(&self, encoder: &mut miko_rpc::codec::Encoder) -> miko_rpc::codec::Encoded {
        encoder.raw(self.0)
    }
}

/// Performs the handshake and returns the frame limit of the server.
async fn perform_handshake(stream: &mut UnixStream, address: &Address, surface: &Surface) -> Result<usize> {
    let (mut incoming, mut outgoing) = (FrameBuffer::default(), Vec::new());
    let mut handshake = ClientHandshake::begin(address, surface, &mut outgoing)?;
    loop {
        // The server may refuse the client before it has read all of the handshake. Writing then fails, but
        // the reply of the server says more than the write error.
        let sent = async_socket::write_all(stream, &outgoing).await;
        outgoing.clear();
        let reply = match receive_reply(stream, &mut incoming, address.limits.frame_size).await {
            Ok(reply) => reply,
            Err(no_reply) => return Err(sent.map_or_else(connection_lost, |()| no_reply)),
        };
        if let Some(server_limit) = handshake.receive(reply, &mut outgoing)? {
            return Ok(server_limit);
        }
    }
}

/// Reads the next frame, of at most `limit` bytes, and decodes it.
async fn receive_reply<T: DeserializeOwned>(
    stream: &mut UnixStream,
    incoming: &mut FrameBuffer,
    limit: usize,
) -> Result<T> {
    loop {
        if let Some(frame) = incoming.next_frame(limit)? {
            return frame::decode(frame);
        }
        match async_socket::read(stream, incoming.room()).await.map_err(connection_lost)? {
            0 => return Err(closed()),
            count => incoming.filled(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::Read;

    use super::*;
    use crate::limits::Limits;
    use crate::token::Token;
    use crate::wire::envelope::enclose_response;
    use crate::wire::handshake::HandshakeReply;

    #[test]
    fn sent_bytes_are_freed_also_if_some_are_always_left() {
        const PIECE: usize = 1 << 20;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let (own, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let own = UnixStream::from_std(own).unwrap();
        let mut state = State::default();
        let (mut received, mut read) = (vec![0; PIECE], 0);
        for number in 0..100 {
            state.unsent.resize(state.unsent.len() + PIECE, number);
            // Sends all but about half a piece before the next piece is added.
            while state.unsent.len() - state.sent > PIECE / 2 {
                runtime.block_on(own.writable()).unwrap();
                state.flush(&own);
                peer.set_nonblocking(true).unwrap();
                read += peer.read(&mut received).unwrap_or(0);
            }
            assert!(state.has_unsent(), "after {read} bytes");
            assert!(state.unsent.len() <= 3 * PIECE, "{} bytes after {number} MiB", state.unsent.len());
        }
    }

    #[test]
    fn a_second_answer_to_a_call_ends_the_connection() {
        static METHOD: Method = Method {
            name: Cow::Borrowed("m"),
            params: Cow::Borrowed(&[]),
            returns: Cow::Borrowed(""),
            doc: Cow::Borrowed(""),
            read: None,
            idempotent: false,
            deadline_ms: None,
        };
        let address = Address {
            path: "test".into(),
            token: Token::random().unwrap(),
            limits: Limits::default(),
            shared_status: None,
            worker: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (own, mut peer) = UnixStream::pair().unwrap();
            let mut welcome = Vec::new();
            frame::encode(&HandshakeReply::Welcome { frame_size: 1000 }, 1000, &mut welcome).unwrap();
            async_socket::write_all(&mut peer, &welcome).await.unwrap();
            let connection = AsyncConnection::open(own, &address, &Surface::default()).await.unwrap();
            let mut answers = Vec::new();
            for answer in [1, 2] {
                enclose_response(1, 1000, &mut answers, |out, _| {
                    out.push(answer);
                    Ok(())
                })
                .unwrap();
            }
            let until = Instant::now() + INITIAL_TIMER;
            let call =
                || EncodedCall { method: &METHOD, message: vec![0xc0], discard: |_, _| {}, object: None };
            // The call is sent before the answers, and the driver reads both answers at once.
            let first = call();
            let calling = connection.call(&first, until);
            let answering = async_socket::write_all(&mut peer, &answers);
            let (called, answered) = tokio::join!(calling, answering);
            answered.unwrap();
            assert_eq!(called.ok().unwrap().bytes, [1]);
            let Err(ConnectionFault::Unsent(error)) = connection.call(&call(), until).await else { panic!() };
            assert!(error.is(ErrorId::INTERNAL), "{error}");
        });
    }

    #[test]
    fn a_handshake_takes_no_reply_beyond_the_frame_limit() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let error = runtime.block_on(async {
            let (mut own, mut peer) = UnixStream::pair().unwrap();
            // The header of a reply of 101 bytes.
            async_socket::write_all(&mut peer, &101_u32.to_be_bytes()).await.unwrap();
            drop(peer);
            receive_reply::<String>(&mut own, &mut FrameBuffer::default(), 100).await.unwrap_err()
        });
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    }
}
