//! One blocking connection, which any number of threads use: the handshake, then calls, their answers, and
//! the items of streams.
//!
//! One thread at a time, the reader, has the read half ([`ReadHalf`]) and reads for all threads that wait.
//! While no thread reads, the read half is in the [`Inbox`]. A thread that is about to send a call takes the
//! read half from the inbox, and then reads its own answer directly. If another thread has the read half, the
//! caller waits until the other thread has put the answer into the inbox, or until it gets the read half
//! itself.

use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use miko_rpc::{Discard, Error, ErrorId, Link, Method, OutgoingCall, Result, Surface, receive};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Address;
use super::fault::{ConnectionFault, call_timed_out};
use super::handshake::ClientHandshake;
use super::inbox::{DeliveryOutcome, Inbox, Step, Topic, append_frame, discard_answer, unexpected_answer};
use super::runtime::{check_may_wait_for, park_until};
use super::server_user::check_server_user;
use super::socket::{BLOCKING_READ_TIMEOUT, Event, Socket};
use super::unsent::{SendProgress, Unsent};
use crate::polling::AdaptiveSpin;
use crate::wire::envelope::{Envelope, open_response};
use crate::wire::extension::{self, FromServer};
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::handshake::HandshakeReply;
use crate::wire::message::Answer;

/// How long a thread waits for room to write before it checks again whether another thread reads. If none
/// does, the thread reads while it waits.
const ROOM_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// A connection after its handshake.
pub(super) struct Connection {
    socket: Socket,
    /// The process that opened the connection. A forked process inherits the socket, but must not use it: the
    /// bytes of the two processes would mix.
    pid: u32,
    address: Address,
    next_id: AtomicU64,
    /// The size of the largest call, in bytes: the smaller of the two sides' frame limits.
    frame_limit: usize,
    /// The size of the largest answer or item, in bytes: the server's frame limit. The client's own limit
    /// does not apply: a call whose answer exceeds it has run, and refusing the answer would end the
    /// connection.
    answer_limit: usize,
    /// Bytes that are sent before any new frame.
    unsent: Mutex<Unsent>,
    /// Whether the queue of `unsent` has bytes. Written only under the lock of `unsent`, and read without it.
    has_queued: AtomicBool,
    /// Wakes the reader while it waits for bytes to arrive, so that it sends the queue of `unsent`.
    wake_reader: EventFd,
    inbox: Mutex<Inbox<Box<ReadHalf>, Thread>>,
}

/// The read half: the state that only the reader uses.
struct ReadHalf {
    incoming: FrameBuffer,
    /// The frames that a thread sends before it reads: those of the handshake, or of its call. The buffer is
    /// kept, so that a call allocates nothing.
    outgoing: Vec<u8>,
    spin: AdaptiveSpin,
}

/// The read half while a thread has it. Dropping it returns the read half to the inbox, even if deserializing
/// a result panics in code of the caller.
struct ReadHalfGuard<'c> {
    connection: &'c Connection,
    /// `None` only inside `drop`.
    read_half: Option<Box<ReadHalf>>,
}

impl Drop for ReadHalfGuard<'_> {
    fn drop(&mut self) {
        if let Some(read_half) = self.read_half.take() {
            self.connection.inbox().return_read_half(read_half);
        }
    }
}

/// Decodes the response to a call, and stores the result for the caller.
type ReadAnswer<'r> = &'r mut dyn FnMut(&[u8]) -> Result<()>;

/// What a reader waits for. For items it blocks in the read itself first:
/// [`Socket::receive_blocking`](super::socket::Socket::receive_blocking).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// The answer to a call that was just sent.
    Answer,
    /// Items, which the server sends without a request.
    Items,
}

/// How the wait for an answer ended.
enum WaitOutcome {
    /// The call has ended, with this result: its answer was read, or the connection was lost.
    Ended(Result<(), ConnectionFault>),
    /// The answer did not arrive in time.
    TimedOut,
}

impl Connection {
    /// Checks the user of the server and performs the handshake on `stream`, for the interface of `surface`.
    /// Fails as `deadline-exceeded` after `timeout`: a server that runs a long call of another client reads
    /// the handshake only after that call.
    pub(super) fn open(
        stream: UnixStream,
        address: &Address,
        surface: &Surface,
        timeout: Duration,
    ) -> Result<Arc<Self>> {
        check_server_user(&stream, address)?;
        let until = Instant::now().checked_add(timeout);
        let mut read_half = ReadHalf {
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            spin: AdaptiveSpin::new(address.shared_status.clone(), address.worker),
        };
        let socket = Socket::new(stream)?;
        let wake_reader = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no connection can be opened", fault))?;
        let server_limit = perform_handshake(&socket, &mut read_half, address, surface, until)?;
        Ok(Arc::new(Self {
            socket,
            pid: process::id(),
            address: address.clone(),
            next_id: AtomicU64::new(1),
            frame_limit: address.limits.frame_size.min(server_limit),
            answer_limit: server_limit,
            unsent: Mutex::default(),
            has_queued: AtomicBool::new(false),
            wake_reader,
            inbox: Mutex::new(Inbox::new(Box::new(read_half))),
        }))
    }

    /// Whether this process opened the connection.
    pub(super) fn is_own(&self) -> bool {
        self.pid == process::id()
    }

    /// The address of the server.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Checks that this process may use the objects and streams of the connection.
    ///
    /// # Errors
    /// `session-gone` in a fork.
    pub(super) fn check_process(&self) -> Result<()> {
        if self.is_own() {
            return Ok(());
        }
        let message = "an object or stream belongs to the process that received it, and was used in a fork";
        Err(Error::new(ErrorId::SESSION_GONE, message))
    }

    /// Sends one call, and passes the response to `read`.
    ///
    /// The call goes to the object with the handle `object`, or to the interface if `object` is `None`. This
    /// thread waits for the answer until `until`, or without a limit if that is `None`; `deadline` is the
    /// same limit as a duration, which is sent to the server. A call that is not answered in time is
    /// cancelled, and its answer is discarded when it arrives. After every fault except
    /// [`ConnectionFault::OfCall`] and [`ConnectionFault::NotBegun`] the connection is unusable.
    pub(super) fn call(
        self: &Arc<Self>,
        call: &OutgoingCall<'_>,
        object: Option<u64>,
        deadline: Duration,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        let id = self.next_id();
        let enclose = |out: &mut Vec<u8>| self.enclose(id, call, object, deadline, out);
        self.call_enclosed(id, call, enclose, until, read)
    }

    /// As [`call`](Self::call), for a call on the object that the call `opening` returns. Sends both calls
    /// together.
    ///
    /// Passes the id of `opening` to `on_begin` before the calls are sent. If it does not call `on_begin`,
    /// nothing was sent: the connection was lost before, or a call cannot be encoded. If it does, the caller
    /// takes the answer to `opening` by [`finish`](Self::finish), unless the result is `NotBegun` or
    /// `Unsent`: then no answer will arrive. The answer to `opening` arrives before the answer to `call`,
    /// unless `opening` waits at a gate. `opening_deadline` is sent to the server as the deadline of
    /// `opening`.
    pub(super) fn call_on_opened(
        self: &Arc<Self>,
        (opening, opening_deadline): (&OutgoingCall<'_>, Duration),
        call: &OutgoingCall<'_>,
        deadline: Duration,
        until: Option<Instant>,
        on_begin: impl FnOnce(u64),
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        let (opening_id, id) = (self.next_id(), self.next_id());
        let object = Some(extension::opened_by(opening_id));
        let mut frames = Vec::new();
        let on_interface = None;
        self.enclose(opening_id, opening, on_interface, opening_deadline, &mut frames)?;
        self.enclose(id, call, object, deadline, &mut frames)?;
        self.inbox().check().map_err(ConnectionFault::Unsent)?;
        self.inbox().expect(opening_id);
        on_begin(opening_id);
        let enclose = |out: &mut Vec<u8>| {
            out.append(&mut frames);
            Ok(())
        };
        let called = self.call_enclosed(id, call, enclose, until, read);
        if matches!(called, Err(ConnectionFault::NotBegun(_))) {
            // No answer to `opening` will arrive.
            self.inbox().forget(opening_id);
        }
        called
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends the frames that `enclose` appends, the last of which is `call` with this id, and waits for the
    /// answer to `call`.
    fn call_enclosed(
        self: &Arc<Self>,
        id: u64,
        call: &OutgoingCall<'_>,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        // A fault found here is that of an earlier call. Nothing of this one was sent, so it may be sent over
        // another connection, whatever the fault is.
        let outcome = match self.become_reader().map_err(ConnectionFault::Unsent)? {
            Some(guard) => self.call_as_reader(guard, id, enclose, until, read)?,
            None => {
                self.send(id, enclose, until)?;
                self.wait_for_answer(id, until, read)
            }
        };
        match outcome {
            WaitOutcome::Ended(result) => result,
            WaitOutcome::TimedOut => self.give_up(id, call, read),
        }
    }

    /// Sends one call, and returns its id. The caller takes the answer later, by [`finish`](Self::finish), or
    /// gives it up by [`cancel`](Self::cancel).
    pub(super) fn begin(
        self: &Arc<Self>,
        call: &OutgoingCall<'_>,
        object: Option<u64>,
        deadline: Duration,
        until: Option<Instant>,
    ) -> Result<u64, ConnectionFault> {
        // A call on a lost connection fails here, and not only when its answer is awaited.
        self.inbox().check().map_err(ConnectionFault::Unsent)?;
        let id = self.next_id();
        self.send(id, |out| self.enclose(id, call, object, deadline, out), until)?;
        Ok(id)
    }

    /// Waits for the answer to a call that was begun, and passes the response to `read`. Returns `false` if
    /// the answer has not arrived at `until`.
    pub(super) fn finish(
        self: &Arc<Self>,
        id: u64,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<bool, ConnectionFault> {
        match self.wait_for_answer(id, until, read) {
            WaitOutcome::Ended(result) => result.map(|()| true),
            WaitOutcome::TimedOut => Ok(false),
        }
    }

    /// Cancels a call that was begun. Its answer is discarded, now if it has arrived, or when it arrives.
    /// Does nothing in a fork.
    pub(super) fn cancel(self: &Arc<Self>, id: u64, method: &'static Method, discard: Discard) {
        if !self.is_own() {
            return;
        }
        let arrived = self.inbox().give_up(id, method, discard);
        match arrived {
            Some(answer) => discard_answer(Arc::clone(self) as _, &answer, method, discard),
            None => self.send_control(|out| extension::put_cancel(id, out)),
        }
    }

    /// Sends the frames that `enclose` appends and waits for the answer to the call `id`, in a thread that
    /// has the read half.
    fn call_as_reader(
        self: &Arc<Self>,
        mut guard: ReadHalfGuard<'_>,
        id: u64,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<WaitOutcome, ConnectionFault> {
        // Never `None` here: see the field.
        let Some(read_half) = &mut guard.read_half else { return Ok(WaitOutcome::TimedOut) };
        read_half.outgoing.clear();
        enclose(&mut read_half.outgoing)?;
        let sent = self.try_send(&read_half.outgoing);
        // After an error nothing of the frames was sent.
        let progress = sent.map_err(|error| self.fail(id, error, ConnectionFault::before_sent))?;
        if !matches!(progress, SendProgress::Done) {
            // While this thread waits for room, another thread may become the reader and read the answer. So
            // the call is registered before `guard` is dropped.
            let frames = std::mem::take(&mut read_half.outgoing);
            self.inbox().expect(id);
            drop(guard);
            self.send_expected(id, &frames, progress, until)?;
            return Ok(self.wait_for_answer(id, until, read));
        }
        read_half.outgoing.clear();
        read_half.outgoing.shrink_to(frame::KEPT_BUFFER);
        let outcome = self.read_until_answered(&mut guard, id, until, read);
        if matches!(outcome, WaitOutcome::TimedOut) {
            // The next reader may read the answer. So the call is registered before `guard` is dropped.
            self.inbox().expect(id);
        }
        Ok(outcome)
    }

    /// Appends the frame of a call to `out`. An error is the fault of the call, and leaves the connection
    /// usable.
    fn enclose(
        &self,
        id: u64,
        call: &OutgoingCall<'_>,
        object: Option<u64>,
        deadline: Duration,
        out: &mut Vec<u8>,
    ) -> Result<(), ConnectionFault> {
        match object {
            None => Envelope { deadline, id }.enclose(call.request, self.frame_limit, out),
            Some(object) => extension::put_call(object, id, deadline, call.request, self.frame_limit, out),
        }
        .map_err(ConnectionFault::OfCall)
    }

    /// Ends a call whose deadline has passed. If the answer has arrived by now, passes it to `read`.
    /// Otherwise cancels the call.
    fn give_up(
        self: &Arc<Self>,
        id: u64,
        call: &OutgoingCall<'_>,
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        let answer = self.inbox().give_up(id, call.method, call.discard);
        if let Some(answer) = answer {
            return self.read_answer(&answer, read);
        }
        self.send_control(|out| extension::put_cancel(id, out));
        Err(ConnectionFault::OfCall(call_timed_out()))
    }

    /// Sends the control frames that `put` appends, or queues them if the socket has no room. Never blocks:
    /// it also runs in a reader that decodes an answer, and no thread reads meanwhile.
    pub(super) fn send_control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        self.change_unsent(|unsent| unsent.enqueue(put));
    }

    /// As [`send_control`](Self::send_control), for frames that may wait for the next frame: all are then
    /// sent in one system call.
    pub(super) fn defer_control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        self.change_unsent(|unsent| unsent.defer(put));
    }

    /// Applies `change` to the unsent bytes, sends their queue as far as there is room, and leaves the rest
    /// to the reader. Does nothing in a fork.
    fn change_unsent(&self, change: impl FnOnce(&mut Unsent)) {
        if !self.is_own() {
            return;
        }
        let mut unsent = self.unsent();
        change(&mut unsent);
        // If the connection is lost, the thread that reads next reports it.
        let _ = self.flush(&mut unsent);
        self.wake_reader_if_queued(&unsent);
    }

    // Sends frames.

    /// Sends the frames that `enclose` appends, in a thread that does not have the read half. Any thread may
    /// read the answer to the call `id`.
    fn send(
        self: &Arc<Self>,
        id: u64,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
    ) -> Result<(), ConnectionFault> {
        let mut frames = Vec::new();
        enclose(&mut frames)?;
        self.inbox().expect(id);
        self.send_expected(id, &frames, SendProgress::NotBegun, until)
    }

    /// Sends the queue and the deferred frames of `unsent` and then `frames`, as far as there is room. If
    /// only a part of `frames` was sent, the rest is in the queue.
    fn try_send(&self, frames: &[u8]) -> Result<SendProgress> {
        let mut unsent = self.unsent();
        let progress = unsent.send(frames, &mut |bytes| self.socket.send(bytes));
        self.has_queued.store(!unsent.is_queue_empty(), Ordering::Relaxed);
        progress
    }

    /// Sends the frames of a call whose answer the inbox expects; `progress` is how much of `frames` was sent
    /// before.
    ///
    /// While there is no room and no other thread reads, this thread reads. Otherwise a deadlock is possible:
    /// the server may wait for its answers to be read before it reads more calls.
    fn send_expected(
        self: &Arc<Self>,
        id: u64,
        frames: &[u8],
        mut progress: SendProgress,
        until: Option<Instant>,
    ) -> Result<(), ConnectionFault> {
        loop {
            progress = match progress {
                SendProgress::Done => return Ok(()),
                SendProgress::NotBegun => {
                    let sent = self.try_send(frames);
                    // After an error nothing of the frames was sent.
                    sent.map_err(|error| self.fail(id, error, ConnectionFault::before_sent))?
                }
                SendProgress::Partial { end } => {
                    let mut unsent = self.unsent();
                    let flushed = self.flush(&mut unsent);
                    if unsent.has_sent(end) {
                        // The whole call was sent, even if a later frame could not be sent.
                        return Ok(());
                    }
                    drop(unsent);
                    flushed.map_err(|error| self.fail_while_sending(id, error, frames, progress))?;
                    progress
                }
            };
            if progress == SendProgress::Done {
                return Ok(());
            }
            let waited = self.wait_for_room(until);
            if !waited.map_err(|error| self.fail_while_sending(id, error, frames, progress))? {
                break;
            }
        }
        // The reader sends the rest of these frames, or of a deferred frame of which a part was sent.
        self.wake_reader_if_queued(&self.unsent());
        if progress != SendProgress::NotBegun {
            // A part of the call was sent, so the call counts as sent. `until` has passed, so waiting for the
            // answer will time out.
            return Ok(());
        }
        self.inbox().forget(id);
        let message = "the server did not read the call before its deadline; it was not sent";
        Err(ConnectionFault::NotBegun(Error::new(ErrorId::DEADLINE_EXCEEDED, message)))
    }

    /// Waits until there may be room to send. Reads meanwhile, if no other thread reads. Returns `false` if
    /// `until` has passed.
    fn wait_for_room(self: &Arc<Self>, until: Option<Instant>) -> Result<bool> {
        let next_check = Instant::now() + ROOM_CHECK_INTERVAL;
        let end = Some(until.map_or(next_check, |until| until.min(next_check)));
        match self.become_reader()? {
            Some(mut guard) => {
                self.socket.wait(Event::Any, end)?;
                if let Some(read_half) = &mut guard.read_half {
                    // Even if the connection is lost, the frames that have arrived are delivered.
                    let received = self.socket.receive(&mut read_half.incoming);
                    self.deliver_all(read_half).and(received)?;
                }
            }
            None => {
                self.socket.wait(Event::Writable, end)?;
            }
        }
        Ok(until.is_none_or(|until| Instant::now() < until))
    }

    /// Sends the queue of `unsent`, as far as there is room. Returns whether all of it was sent.
    fn flush(&self, unsent: &mut Unsent) -> Result<bool> {
        let flushed = unsent.flush(&mut |bytes| self.socket.send(bytes));
        self.has_queued.store(!unsent.is_queue_empty(), Ordering::Relaxed);
        flushed
    }

    /// If bytes are queued, wakes the reader so that it sends them: the reader may sleep until bytes arrive.
    fn wake_reader_if_queued(&self, unsent: &Unsent) {
        if !unsent.is_queue_empty() {
            // The counter of an eventfd cannot overflow here, and nothing else can fail.
            let _ = self.wake_reader.write(1);
        }
    }

    /// Ends the connection, which was lost while the frames of the call `id` were sent; `progress` is how
    /// much of them was sent. Returns the fault of the call. The call counts as sent if the first frame was
    /// sent as a whole: of two calls that are sent together, the first may then have run.
    fn fail_while_sending(
        &self,
        id: u64,
        error: Error,
        frames: &[u8],
        progress: SendProgress,
    ) -> ConnectionFault {
        let has_sent_first = match progress {
            SendProgress::NotBegun => false,
            // The last frame ends at the position `end` of the queue, and the first one `size_of_others`
            // bytes before it. If only a part of the first frame was sent at once, its rest is in the queue,
            // and `has_sent` tells whether it was sent since. If the whole first frame was sent at once, its
            // end is before the queued bytes, and `has_sent` is true: the queue was empty before.
            SendProgress::Partial { end } => {
                let size_of_others = frames.len() - frame::size_of_first(frames);
                self.unsent().has_sent(end.saturating_sub(size_of_others as u64))
            }
            SendProgress::Done => true,
        };
        let classify =
            if has_sent_first { ConnectionFault::after_sent } else { ConnectionFault::before_sent };
        self.fail(id, error, classify)
    }

    /// Ends the connection, which was lost. Returns the fault of the call `id`, as `classify` makes it.
    fn fail(&self, id: u64, error: Error, classify: fn(Error) -> ConnectionFault) -> ConnectionFault {
        let mut inbox = self.inbox();
        inbox.forget(id);
        inbox.fail(error.clone());
        classify(error)
    }

    // Waits for answers and for the items of streams.

    /// Waits for the answer to the call `id`, which the inbox expects. After [`WaitOutcome::TimedOut`] the
    /// inbox still expects it.
    fn wait_for_answer(
        self: &Arc<Self>,
        id: u64,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> WaitOutcome {
        loop {
            let step = self.inbox().poll(Topic::Answer(id), thread::current);
            match step {
                Step::Arrived(answer) => return WaitOutcome::Ended(self.read_answer(&answer, read)),
                Step::Fault(error) => return WaitOutcome::Ended(Err(ConnectionFault::after_sent(error))),
                Step::Read(read_half) => {
                    let mut guard = ReadHalfGuard { connection: self, read_half: Some(read_half) };
                    let outcome = self.read_until_answered(&mut guard, id, until, read);
                    if matches!(outcome, WaitOutcome::Ended(_)) {
                        self.inbox().forget(id);
                    }
                    return outcome;
                }
                Step::Sleep => {}
            }
            if !park_until(until) {
                self.inbox().stop_waiting(Topic::Answer(id));
                return WaitOutcome::TimedOut;
            }
        }
    }

    /// Waits for frames of `stream` and stores them, with their headers, in `frames`, which must be empty.
    /// Returns `false` if none has arrived at `until`. A thread that may not block gets the frames that
    /// another thread has put into the inbox, and is refused if there are none.
    ///
    /// # Errors
    /// If the connection was lost, if this process is a fork, or if the thread may not block and the inbox
    /// has no frame of `stream`.
    pub(super) fn wait_for_items(
        self: &Arc<Self>,
        stream: u64,
        until: Option<Instant>,
        frames: &mut Vec<u8>,
    ) -> Result<bool> {
        self.check_process()?;
        let topic = Topic::Items(stream);
        loop {
            let step = self.inbox().poll(topic, thread::current);
            match step {
                Step::Arrived(arrived) => {
                    *frames = arrived;
                    return Ok(true);
                }
                Step::Fault(error) => return Err(error),
                Step::Read(read_half) => {
                    // The guard is made before the check, so that the read half is returned if this thread
                    // is refused.
                    let mut guard = ReadHalfGuard { connection: self, read_half: Some(read_half) };
                    check_may_wait_for(&self.address.path)?;
                    return self.read_items(&mut guard, stream, until, frames).inspect_err(|error| {
                        self.inbox().fail(error.clone());
                    });
                }
                Step::Sleep => {}
            }
            if let Err(error) = check_may_wait_for(&self.address.path) {
                self.inbox().stop_waiting(topic);
                return Err(error);
            }
            if !park_until(until) {
                self.inbox().stop_waiting(topic);
                return Ok(false);
            }
        }
    }

    /// Reads, as the reader, until a frame of `stream` has arrived. Stores in `frames` all frames of `stream`
    /// that have arrived by then. Returns `false` if none has arrived at `until`.
    fn read_items(
        self: &Arc<Self>,
        guard: &mut ReadHalfGuard<'_>,
        stream: u64,
        until: Option<Instant>,
        frames: &mut Vec<u8>,
    ) -> Result<bool> {
        let mut accept = |frame: &[u8]| {
            let is_awaited = FromServer::stream_of(frame) == Some(stream);
            if is_awaited {
                append_frame(frame, frames);
            }
            is_awaited
        };
        if !self.read_until(guard, Awaited::Items, until, &mut accept)? {
            return Ok(false);
        }
        let Some(read_half) = &mut guard.read_half else { return Ok(true) };
        while let Some(frame) = read_half.incoming.next_frame(self.answer_limit)? {
            if !accept(frame) {
                self.deliver(frame)?;
            }
        }
        Ok(true)
    }

    /// Starts to keep the frames of a stream, whose handle an answer carried. No frame was missed: the server
    /// sends none before the first credit, which is given later.
    pub(super) fn open_stream(&self, stream: u64) {
        self.inbox().open(stream);
    }

    /// Drops the frames of a stream, and releases the stream in the server. Does nothing in a fork.
    pub(super) fn close_stream(&self, stream: u64) {
        if self.is_own() {
            self.inbox().close(stream);
            self.send_control(|out| extension::put_release(stream, out));
        }
    }

    /// Reads, as the reader, until the answer to the call `id` has arrived.
    fn read_until_answered(
        self: &Arc<Self>,
        guard: &mut ReadHalfGuard<'_>,
        id: u64,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> WaitOutcome {
        let mut result = None;
        let mut accept = |frame: &[u8]| match open_response(frame) {
            Some((request_id, response)) if request_id == id => {
                result = Some(self.decode_with_link(|| read(response)));
                true
            }
            Some(_) => false,
            None if FromServer::stream_of(frame).is_some() => false,
            // A refusal, or an answer that another implementation of tarpc's protocol has encoded.
            None => match Answer::read(frame) {
                Ok(answer) if answer.request_id == id => {
                    let response = answer.response;
                    result = Some(response.and_then(|response| self.decode_with_link(|| read(&response))));
                    true
                }
                _ => false,
            },
        };
        match self.read_until(guard, Awaited::Answer, until, &mut accept) {
            Ok(false) => WaitOutcome::TimedOut,
            // After `Ok(true)`, `accept` has set `result`.
            Ok(true) => WaitOutcome::Ended(result.unwrap_or(Ok(())).map_err(ConnectionFault::OfCall)),
            Err(error) => {
                self.inbox().fail(error.clone());
                WaitOutcome::Ended(Err(ConnectionFault::after_sent(error)))
            }
        }
    }

    /// Reads frames until `accept` consumes one, for which it returns `true`. Delivers the frames before that
    /// one to the inbox; the frames after it stay in the buffer of the reader. Returns `false` if `until` has
    /// passed.
    fn read_until(
        self: &Arc<Self>,
        guard: &mut ReadHalfGuard<'_>,
        awaited: Awaited,
        until: Option<Instant>,
        accept: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<bool> {
        let Some(read_half) = &mut guard.read_half else { return Ok(false) };
        let mut try_blocking_read = awaited == Awaited::Items;
        loop {
            while let Some(frame) = read_half.incoming.next_frame(self.answer_limit)? {
                if accept(frame) {
                    read_half.incoming.shrink();
                    return Ok(true);
                }
                self.deliver(frame)?;
            }
            read_half.incoming.shrink();
            if self.spin_until_readable(read_half) {
                continue;
            }
            // A blocking read takes one system call instead of two. But another thread that queues bytes for
            // this thread to send cannot interrupt it, so they wait for its short timeout. This thread reads
            // like that at most once, and then waits by `wait_or`, which `wake_reader` interrupts.
            if std::mem::take(&mut try_blocking_read)
                && self.may_block_in_read(until)
                && self.socket.receive_blocking(&mut read_half.incoming)?
            {
                continue;
            }
            let event = if self.has_queued.load(Ordering::Relaxed) { Event::Any } else { Event::Readable };
            if !self.socket.wait_or(event, &self.wake_reader, until)? {
                return Ok(false);
            }
            if self.has_queued.load(Ordering::Relaxed) {
                // An error of sending is ignored: `receive` reports the lost connection, once all answers
                // that have arrived are read.
                let _ = self.flush(&mut self.unsent());
            }
            self.socket.receive(&mut read_half.incoming)?;
        }
    }

    /// Whether the reader may block in a read: it has nothing to send, and the read ends before `until`. The
    /// kernel may let a read last almost twice as long as its timeout.
    fn may_block_in_read(&self, until: Option<Instant>) -> bool {
        !self.has_queued.load(Ordering::Relaxed)
            && until.is_none_or(|until| until > Instant::now() + 2 * BLOCKING_READ_TIMEOUT)
    }

    /// Puts all frames in the buffer of the reader into the inbox.
    fn deliver_all(self: &Arc<Self>, read_half: &mut ReadHalf) -> Result<()> {
        while let Some(frame) = read_half.incoming.next_frame(self.answer_limit)? {
            self.deliver(frame)?;
        }
        Ok(())
    }

    /// Puts a frame for another thread into the inbox. If the frame answers a call that was given up,
    /// discards the answer.
    ///
    /// # Errors
    /// If the frame is of no kind that a server sends, or is an answer that no call expects
    /// ([`unexpected_answer`]). The caller then ends the connection.
    fn deliver(self: &Arc<Self>, frame: &[u8]) -> Result<()> {
        let topic = Topic::of(frame)?;
        // Separate from the `match`, which would keep the inbox locked while the answer is discarded.
        let outcome = self.inbox().deliver(topic, frame);
        match outcome {
            DeliveryOutcome::Done => Ok(()),
            DeliveryOutcome::GivenUp(method, discard) => {
                discard_answer(Arc::clone(self) as _, frame, method, discard);
                Ok(())
            }
            DeliveryOutcome::Unexpected => Err(unexpected_answer(frame)),
        }
    }

    /// Passes the response in `frame`, an answer that another thread has read, to `read`.
    fn read_answer(self: &Arc<Self>, frame: &[u8], read: ReadAnswer<'_>) -> Result<(), ConnectionFault> {
        let response = Answer::read(frame).and_then(|answer| answer.response);
        let result = response.and_then(|response| self.decode_with_link(|| read(&response)));
        result.map_err(ConnectionFault::OfCall)
    }

    /// Runs `decode`. The objects and streams that it creates belong to this connection.
    fn decode_with_link<R>(self: &Arc<Self>, decode: impl FnOnce() -> R) -> R {
        let link: Arc<dyn Link> = Arc::clone(self) as _;
        receive(link, decode)
    }

    /// If bytes are likely to arrive soon, polls the socket until they arrive or the spin window ends, and
    /// reads them. Returns whether bytes were read. An error also ends the spin; the next read of the caller
    /// reports the error.
    fn spin_until_readable(&self, read_half: &mut ReadHalf) -> bool {
        let Some(mut window) = read_half.spin.begin() else { return false };
        let found = loop {
            window.yield_cpu();
            match self.socket.receive(&mut read_half.incoming) {
                Ok(true) => break true,
                // The call is parked until other clients have made their calls, so the result of this spin
                // says nothing about the next one, and is not recorded.
                Ok(false) if read_half.spin.is_parked() => return false,
                Ok(false) if window.is_open() => {}
                _ => break false,
            }
        };
        read_half.spin.record(&window, found);
        found
    }

    /// Takes the read half; `None` if another thread has it.
    ///
    /// # Errors
    /// If the connection was lost.
    fn become_reader(&self) -> Result<Option<ReadHalfGuard<'_>>> {
        let read_half = self.inbox().take_read_half()?;
        Ok(read_half.map(|read_half| ReadHalfGuard { connection: self, read_half: Some(read_half) }))
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<Box<ReadHalf>, Thread>> {
        // Nothing panics while the lock is held.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        // Nothing panics while the lock is held.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the hello, then the surface if the server requests it. Returns the server's frame limit once the
/// server admits the client.
fn perform_handshake(
    socket: &Socket,
    read_half: &mut ReadHalf,
    address: &Address,
    surface: &Surface,
    until: Option<Instant>,
) -> Result<usize> {
    let mut handshake = ClientHandshake::begin(address, surface, &mut read_half.outgoing)?;
    loop {
        // The server may refuse the client before it has read all of the handshake. Writing then fails, but
        // the reply of the server says more than the write error.
        let sent = send_all(socket, &read_half.outgoing, until);
        read_half.outgoing.clear();
        let reply = receive_reply(socket, read_half, address.limits.frame_size, until);
        let reply = reply.or_else(|no_reply| sent.and(Err(no_reply)))?;
        if let Some(server_limit) = handshake.receive(reply, &mut read_half.outgoing)? {
            return Ok(server_limit);
        }
    }
}

/// Sends all of `bytes`. Blocks while there is no room.
fn send_all(socket: &Socket, bytes: &[u8], until: Option<Instant>) -> Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.send(&bytes[sent..])? {
            // There is no room.
            0 if !socket.wait(Event::Writable, until)? => return Err(call_timed_out()),
            count => sent += count,
        }
    }
    Ok(())
}

/// Blocks until the next frame has arrived, and decodes it.
fn receive_reply(
    socket: &Socket,
    read_half: &mut ReadHalf,
    limit: usize,
    until: Option<Instant>,
) -> Result<HandshakeReply> {
    loop {
        if let Some(frame) = read_half.incoming.next_frame(limit)? {
            return frame::decode(frame);
        }
        if !socket.wait(Event::Readable, until)? {
            return Err(call_timed_out());
        }
        socket.receive(&mut read_half.incoming)?;
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::{Read, Write};

    use miko_rpc::codec::{Encoded, Encoder, Message};

    use super::*;
    use crate::limits::Limits;
    use crate::token::Token;
    use crate::wire::handshake::PREAMBLE_SIZE;

    static METHOD: Method = Method {
        name: Cow::Borrowed("open"),
        params: Cow::Borrowed(&[]),
        returns: Cow::Borrowed(""),
        doc: Cow::Borrowed(""),
        read: None,
        idempotent: false,
        deadline_ms: None,
    };

    /// A message of this many bytes.
    struct Zeros(usize);

    impl Message for Zeros {
        fn write(&self, encoder: &mut Encoder) -> Encoded {
            encoder.raw(&vec![0; self.0])
        }
    }

    /// Admits a client, reads this many calls, and closes the connection.
    fn serve(mut stream: UnixStream, calls: usize) {
        let read_frame = |stream: &mut UnixStream| {
            let mut header = [0; frame::HEADER_SIZE];
            stream.read_exact(&mut header).unwrap();
            stream.read_exact(&mut vec![0; frame::size_of_first(&header) - header.len()]).unwrap();
        };
        stream.read_exact(&mut [0; PREAMBLE_SIZE]).unwrap();
        read_frame(&mut stream);
        let (welcome, mut reply) = (HandshakeReply::Welcome { frame_size: 64 << 20 }, Vec::new());
        frame::encode(&welcome, usize::MAX, &mut reply).unwrap();
        stream.write_all(&reply).unwrap();
        (0..calls).for_each(|_| read_frame(&mut stream));
    }

    #[test]
    fn two_calls_that_are_sent_together_count_as_sent_as_soon_as_the_first_one_is() {
        // Larger than the buffer of a socket.
        const LARGE: usize = 4 << 20;
        const LONG: Duration = Duration::from_secs(60);
        for (sizes, received, is_unsent) in [([10, LARGE], 1, false), ([LARGE, 10], 0, true)] {
            let (own, peer) = UnixStream::pair().unwrap();
            let server = thread::spawn(move || serve(peer, received));
            let address = Address {
                path: "test".into(),
                token: Token::random().unwrap(),
                limits: Limits::default(),
                shared_status: None,
                worker: None,
            };
            let connection = Connection::open(own, &address, &Surface::default(), LONG).unwrap();
            let messages = sizes.map(Zeros);
            let [opening, call] = [0, 1].map(|index| OutgoingCall {
                method: &METHOD,
                request: &messages[index],
                discard: |_, _| {},
                settles: false,
            });
            let until = Some(Instant::now() + LONG);
            let called =
                connection.call_on_opened((&opening, LONG), &call, LONG, until, |_| {}, &mut |_| Ok(()));
            match called {
                Err(ConnectionFault::Unsent(_)) => assert!(is_unsent, "{sizes:?}"),
                Err(ConnectionFault::Unanswered(_)) => assert!(!is_unsent, "{sizes:?}"),
                _ => panic!("the connection is lost"),
            }
            server.join().unwrap();
        }
    }
}
