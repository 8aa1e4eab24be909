//! One blocking connection, which any number of threads use: the handshake, then calls, their answers, and
//! the items of streams.
//!
//! One thread at a time has the read half ([`Reader`]) and reads for all that wait. While no thread reads,
//! the read half is in the [`Inbox`]. A thread that finds it there before it sends a call takes it, and reads
//! its own answer directly; otherwise another thread puts the answer into the inbox.

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
use super::inbox::{Delivery, Inbox, Step, Topic, append_frame, discard_answer, unexpected};
use super::runtime::{park_until, refuse_where_it_cannot_wait};
use super::server_user::check_server_user;
use super::socket::{BLOCKING_READ, Event, Socket};
use super::unsent::{Sending, Unsent};
use crate::polling::AdaptiveSpin;
use crate::wire::envelope::{Envelope, open_response};
use crate::wire::extension::{self, FromServer, is_extension};
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::handshake::HandshakeReply;
use crate::wire::message::Answer;

/// How long a thread waits for room to write before it checks again whether another thread still reads. If
/// not, it reads itself.
const ROOM_CHECK: Duration = Duration::from_millis(10);

/// A connection after its handshake.
pub(super) struct Connection {
    socket: Socket,
    /// The process that opened it. A fork has inherited the socket, and must not use it: the bytes of both
    /// would mix.
    pid: u32,
    address: Address,
    next_id: AtomicU64,
    /// The size of the largest call, in bytes: the smaller of the two sides' frame limits.
    frame_limit: usize,
    /// The size of the largest answer or item, in bytes: the server's frame limit.
    answer_limit: usize,
    /// Bytes that are sent before all others.
    unsent: Mutex<Unsent>,
    /// Whether there was no room for bytes of `unsent`. Read without its lock, and changed only under it.
    has_unsent: AtomicBool,
    /// Wakes the thread that waits for bytes to arrive, so that it sends, too.
    wake_reader: EventFd,
    inbox: Mutex<Inbox<Box<Reader>, Thread>>,
}

/// The read half: the state that only the reading thread uses.
struct Reader {
    incoming: FrameBuffer,
    /// A buffer for the call that the thread sends before it reads. It is kept, so a call allocates nothing.
    outgoing: Vec<u8>,
    spin: AdaptiveSpin,
}

/// The right to read, which one thread has at a time. Dropping it returns the read half to the inbox, also
/// when a result type of the caller panics while it is deserialized.
struct ReaderGuard<'c> {
    connection: &'c Connection,
    /// `None` only inside `drop`.
    reader: Option<Box<Reader>>,
}

impl Drop for ReaderGuard<'_> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            self.connection.inbox().return_reader(reader);
        }
    }
}

/// Decodes the response to a call, and keeps the result for the caller.
type ReadAnswer<'r> = &'r mut dyn FnMut(&[u8]) -> Result<()>;

/// What a reader waits for, which decides how it blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaits {
    /// The answer to a call that was just sent.
    Answer,
    /// Items, which the server sends unasked.
    Items,
}

/// How the wait for an answer ended.
enum Waited {
    /// The answer was read, or the connection was lost.
    Arrived(Result<(), ConnectionFault>),
    /// The answer did not arrive in time.
    TimedOut,
}

impl Connection {
    /// Checks the user of the server and performs the handshake on `stream`, for the interface of `surface`.
    /// A server that runs a long call of another client reads the handshake only after that call.
    pub(super) fn open(
        stream: UnixStream,
        address: &Address,
        surface: &Surface,
        timeout: Duration,
    ) -> Result<Arc<Self>> {
        check_server_user(&stream, address)?;
        let until = Instant::now().checked_add(timeout);
        let mut reader = Reader {
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            spin: AdaptiveSpin::new(address.shared_status.clone(), address.worker),
        };
        let socket = Socket::new(stream)?;
        let wake_reader = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let server_limit = perform_handshake(&socket, &mut reader, address, surface, until)?;
        Ok(Arc::new(Self {
            socket,
            pid: process::id(),
            address: address.clone(),
            next_id: AtomicU64::new(1),
            frame_limit: address.limits.frame_size.min(server_limit),
            answer_limit: server_limit,
            unsent: Mutex::default(),
            has_unsent: AtomicBool::new(false),
            wake_reader: wake_reader
                .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no connection can be opened", fault))?,
            inbox: Mutex::new(Inbox::new(Box::new(reader))),
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

    /// Sends one call, to an object or to the interface, and passes the response to `read`.
    ///
    /// The call with this `object` goes to the object with that handle. The client waits for the answer until
    /// `until`; `deadline` is the same limit as a duration, which is sent to the server. A call that is not
    /// answered in time is cancelled, and its answer is discarded when it arrives. Every fault except
    /// [`ConnectionFault::OfCall`] and [`ConnectionFault::NotBegun`] leaves the connection unusable.
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

    /// As [`call`](Self::call), for a call on the object that `opening` returns: sends both calls at once.
    /// `opening` has a deadline of its own. `began` is passed its id, by which [`finish`](Self::finish)
    /// awaits its answer, before both are sent. When the call has been answered, that answer has arrived,
    /// too, unless `opening` waits at a gate.
    pub(super) fn call_on_opened(
        self: &Arc<Self>,
        (opening, opening_deadline): (&OutgoingCall<'_>, Duration),
        call: &OutgoingCall<'_>,
        deadline: Duration,
        until: Option<Instant>,
        began: impl FnOnce(u64),
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        let (opening_id, id) = (self.next_id(), self.next_id());
        let object = Some(extension::opened_by(opening_id));
        let mut frames = Vec::new();
        self.enclose(opening_id, opening, None, opening_deadline, &mut frames)?;
        self.enclose(id, call, object, deadline, &mut frames)?;
        self.inbox().check().map_err(ConnectionFault::Unsent)?;
        self.inbox().expect(opening_id);
        began(opening_id);
        let enclose = |out: &mut Vec<u8>| {
            out.append(&mut frames);
            Ok(())
        };
        let called = self.call_enclosed(id, call, enclose, until, read);
        if matches!(called, Err(ConnectionFault::NotBegun(_))) {
            self.inbox().forget(opening_id);
        }
        called
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends what `enclose` appends, which ends with the call `id`, and waits for the answer to that.
    fn call_enclosed(
        self: &Arc<Self>,
        id: u64,
        call: &OutgoingCall<'_>,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<(), ConnectionFault> {
        let waited = match self.become_reader().map_err(ConnectionFault::Unsent)? {
            Some(guard) => self.call_as_reader(guard, id, enclose, until, read)?,
            None => {
                self.send(id, enclose, until)?;
                self.wait_for_answer(id, until, read)
            }
        };
        match waited {
            Waited::Arrived(answered) => answered,
            Waited::TimedOut => self.give_up(id, call, read),
        }
    }

    /// Sends one call whose answer is asked for later, by the id that is returned.
    pub(super) fn begin(
        self: &Arc<Self>,
        call: &OutgoingCall<'_>,
        object: Option<u64>,
        deadline: Duration,
        until: Option<Instant>,
    ) -> Result<u64, ConnectionFault> {
        // Checked first, so that a call on a lost connection fails now and not when its answer is awaited.
        self.inbox().check().map_err(ConnectionFault::Unsent)?;
        let id = self.next_id();
        self.send(id, |out| self.enclose(id, call, object, deadline, out), until)?;
        Ok(id)
    }

    /// Waits for the answer to a call that was begun, and passes its response to `read`; `false` if it has
    /// not arrived at `until`.
    pub(super) fn finish(
        self: &Arc<Self>,
        id: u64,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<bool, ConnectionFault> {
        match self.wait_for_answer(id, until, read) {
            Waited::Arrived(answered) => answered.map(|()| true),
            Waited::TimedOut => Ok(false),
        }
    }

    /// Cancels a call that was begun; its answer is discarded when it arrives.
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

    /// Does the work of [`call`](Self::call) in a thread that has the read half.
    fn call_as_reader(
        self: &Arc<Self>,
        mut guard: ReaderGuard<'_>,
        id: u64,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Result<Waited, ConnectionFault> {
        // It is always there: see the field.
        let Some(reader) = &mut guard.reader else { return Ok(Waited::TimedOut) };
        reader.outgoing.clear();
        enclose(&mut reader.outgoing)?;
        let sending = self.try_send(&reader.outgoing).map_err(|error| self.lost_unsent(id, error))?;
        if !matches!(sending, Sending::Done) {
            // While this thread waits for room, another may become the reader and read the answer.
            let frame = std::mem::take(&mut reader.outgoing);
            self.inbox().expect(id);
            drop(guard);
            self.send_expected(id, &frame, sending, until)?;
            return Ok(self.wait_for_answer(id, until, read));
        }
        reader.outgoing.shrink_to(frame::KEPT_BUFFER);
        let waited = self.read_until_answered(&mut guard, id, until, read);
        if matches!(waited, Waited::TimedOut) {
            // The next reader may read the answer, and must then find it expected. `guard` is dropped
            // later.
            self.inbox().expect(id);
        }
        Ok(waited)
    }

    /// Appends the frame of a call.
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

    /// Cancels the call `id`, unless its answer has arrived by now.
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

    /// Appends control frames, and sends them if the buffer of the socket has room. Never blocks: it runs
    /// also while a frame is decoded, when no thread reads.
    pub(super) fn send_control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        self.change_unsent(|unsent| unsent.add(put));
    }

    /// As [`send_control`](Self::send_control), for frames that may wait for the next one: they are sent with
    /// it, in one system call.
    pub(super) fn defer_control(&self, put: impl FnOnce(&mut Vec<u8>)) {
        self.change_unsent(|unsent| unsent.defer(put));
    }

    fn change_unsent(&self, change: impl FnOnce(&mut Unsent)) {
        if !self.is_own() {
            return;
        }
        let mut unsent = self.unsent();
        change(&mut unsent);
        // If the connection is lost, the thread that reads next reports it.
        let _ = self.flush(&mut unsent);
        self.leave_to_reader(&unsent);
    }

    // Sends frames.

    /// Sends a call whose answer any thread may read: this thread does not have the read half.
    fn send(
        self: &Arc<Self>,
        id: u64,
        enclose: impl FnOnce(&mut Vec<u8>) -> Result<(), ConnectionFault>,
        until: Option<Instant>,
    ) -> Result<(), ConnectionFault> {
        let mut frame = Vec::new();
        enclose(&mut frame)?;
        self.inbox().expect(id);
        self.send_expected(id, &frame, Sending::NotBegun, until)
    }

    /// Sends `frame`, as far as there is room. If a part was sent, keeps the rest in [`Unsent`].
    fn try_send(&self, frame: &[u8]) -> Result<Sending> {
        let mut unsent = self.unsent();
        let sending = unsent.send(frame, &mut |bytes| self.socket.send(bytes));
        self.has_unsent.store(!unsent.is_empty(), Ordering::Relaxed);
        sending
    }

    /// Sends the frame of a call whose answer is expected. Reads while there is no room and no other thread
    /// reads: otherwise this thread and a server that waits for its answers to be read would wait for each
    /// other.
    fn send_expected(
        self: &Arc<Self>,
        id: u64,
        frame: &[u8],
        mut sending: Sending,
        until: Option<Instant>,
    ) -> Result<(), ConnectionFault> {
        loop {
            sending = match sending {
                Sending::Done => return Ok(()),
                Sending::NotBegun => self.try_send(frame).map_err(|error| self.lost_unsent(id, error))?,
                Sending::Until(end) => {
                    let mut unsent = self.unsent();
                    let flushed = self.flush(&mut unsent);
                    if unsent.has_sent(end) {
                        // The whole call was sent, even if a later frame could not be sent.
                        return Ok(());
                    }
                    drop(unsent);
                    flushed.map_err(|error| self.lost_unsent(id, error))?;
                    sending
                }
            };
            if matches!(sending, Sending::Done) {
                return Ok(());
            }
            match (self.wait_for_room(until), &sending) {
                (Ok(true), _) => {}
                (Ok(false), Sending::NotBegun) => {
                    // A part of a deferred frame may have been sent.
                    self.leave_to_reader(&self.unsent());
                    self.inbox().forget(id);
                    let message = "the server did not read the call before its deadline; it was not sent";
                    return Err(ConnectionFault::NotBegun(Error::new(ErrorId::DEADLINE_EXCEEDED, message)));
                }
                (Ok(false), _) => {
                    // A part was sent, so the rest must be, too. The caller times out when it waits.
                    self.leave_to_reader(&self.unsent());
                    return Ok(());
                }
                (Err(error), _) => return Err(self.lost_unsent(id, error)),
            }
        }
    }

    /// Waits until there may be room to send, and reads meanwhile, if no other thread does. Returns `false`
    /// if `until` has passed.
    fn wait_for_room(self: &Arc<Self>, until: Option<Instant>) -> Result<bool> {
        let soon = Instant::now() + ROOM_CHECK;
        let check = Some(until.map_or(soon, |until| until.min(soon)));
        match self.become_reader()? {
            Some(mut guard) => {
                self.socket.wait(Event::Any, check)?;
                if let Some(reader) = &mut guard.reader {
                    let received = self.socket.receive(&mut reader.incoming);
                    self.deliver_all(reader).and(received)?;
                }
            }
            None => {
                self.socket.wait(Event::Writable, check)?;
            }
        }
        Ok(until.is_none_or(|until| Instant::now() < until))
    }

    /// Sends the bytes that did not fit into the buffer of the socket before. Returns whether all were sent.
    fn flush(&self, unsent: &mut Unsent) -> Result<bool> {
        let flushed = unsent.flush(&mut |bytes| self.socket.send(bytes));
        self.has_unsent.store(!unsent.is_empty(), Ordering::Relaxed);
        flushed
    }

    /// If bytes are left, wakes the thread that reads, so that it sends them: it may sleep until bytes
    /// arrive.
    fn leave_to_reader(&self, unsent: &Unsent) {
        if !unsent.is_empty() {
            // The counter of an eventfd cannot overflow here, and nothing else can fail.
            let _ = self.wake_reader.write(1);
        }
    }

    /// Ends the connection, which was lost before the call `id` was sent. Returns the fault of the call.
    fn lost_unsent(&self, id: u64, error: Error) -> ConnectionFault {
        let mut inbox = self.inbox();
        inbox.forget(id);
        inbox.fail(error.clone());
        ConnectionFault::before_sent(error)
    }

    // Waits for answers and for the items of streams.

    /// Waits for the answer to the call `id`, which is expected.
    fn wait_for_answer(self: &Arc<Self>, id: u64, until: Option<Instant>, read: ReadAnswer<'_>) -> Waited {
        loop {
            let step = self.inbox().poll(Topic::Answer(id), thread::current);
            match step {
                Step::Arrived(answer) => return Waited::Arrived(self.read_answer(&answer, read)),
                Step::Fault(error) => return Waited::Arrived(Err(ConnectionFault::after_sent(error))),
                Step::Read(reader) => {
                    let mut guard = ReaderGuard { connection: self, reader: Some(reader) };
                    let waited = self.read_until_answered(&mut guard, id, until, read);
                    if matches!(waited, Waited::Arrived(_)) {
                        self.inbox().forget(id);
                    }
                    return waited;
                }
                Step::Sleep => {}
            }
            if !park_until(until) {
                self.inbox().leave(Topic::Answer(id));
                return Waited::TimedOut;
            }
        }
    }

    /// Waits for frames of `stream` and stores them, with their headers, in `frames`, which is empty. Returns
    /// `false` if none has arrived at `until`.
    ///
    /// # Errors
    /// If the connection was lost, or this thread may not wait.
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
                Step::Read(reader) => {
                    let mut guard = ReaderGuard { connection: self, reader: Some(reader) };
                    refuse_where_it_cannot_wait(&self.address.path)?;
                    return self.read_items(&mut guard, stream, until, frames).inspect_err(|error| {
                        self.inbox().fail(error.clone());
                    });
                }
                Step::Sleep => {}
            }
            if let Err(error) = refuse_where_it_cannot_wait(&self.address.path) {
                self.inbox().leave(topic);
                return Err(error);
            }
            if !park_until(until) {
                self.inbox().leave(topic);
                return Ok(false);
            }
        }
    }

    /// Reads, as the reader, until a frame of `stream` has arrived; stores it and all others of `stream` that
    /// have arrived by then in `frames`.
    fn read_items(
        self: &Arc<Self>,
        guard: &mut ReaderGuard<'_>,
        stream: u64,
        until: Option<Instant>,
        frames: &mut Vec<u8>,
    ) -> Result<bool> {
        let mut accept = |frame: &[u8]| {
            let is_own = is_extension(frame) && FromServer::stream_of(frame) == Some(stream);
            if is_own {
                append_frame(frame, frames);
            }
            is_own
        };
        if !self.read_until(guard, Awaits::Items, until, &mut accept)? {
            return Ok(false);
        }
        let Some(reader) = &mut guard.reader else { return Ok(true) };
        while let Some(frame) = reader.incoming.next_frame(self.answer_limit)? {
            if !accept(frame) {
                self.deliver(frame)?;
            }
        }
        Ok(true)
    }

    /// Keeps the frames of a stream that was received.
    pub(super) fn open_stream(&self, stream: u64) {
        self.inbox().open(stream);
    }

    /// Drops the frames of a stream, and tells the server that it is no longer read.
    pub(super) fn close_stream(&self, stream: u64) {
        if self.is_own() {
            self.inbox().close(stream);
            self.send_control(|out| extension::put_release(stream, out));
        }
    }

    /// Reads, as the reader, until the answer to the call `id` has arrived.
    fn read_until_answered(
        self: &Arc<Self>,
        guard: &mut ReaderGuard<'_>,
        id: u64,
        until: Option<Instant>,
        read: ReadAnswer<'_>,
    ) -> Waited {
        let mut answered = None;
        let mut accept = |frame: &[u8]| match open_response(frame) {
            Some((answers, response)) if answers == id => {
                answered = Some(self.receive(|| read(response)));
                true
            }
            Some(_) => false,
            None if is_extension(frame) => false,
            None => match Answer::read(frame) {
                Ok(answer) if answer.request_id == id => {
                    answered = Some(answer.response.and_then(|response| self.receive(|| read(&response))));
                    true
                }
                _ => false,
            },
        };
        match self.read_until(guard, Awaits::Answer, until, &mut accept) {
            Ok(false) => Waited::TimedOut,
            Ok(true) => Waited::Arrived(answered.unwrap_or(Ok(())).map_err(ConnectionFault::OfCall)),
            Err(error) => {
                self.inbox().fail(error.clone());
                Waited::Arrived(Err(ConnectionFault::after_sent(error)))
            }
        }
    }

    /// Reads frames until `accept` returns `true` for one, which it has then used. Delivers the frames before
    /// it to their threads; those after it stay in the buffer of the reader. Returns `false` if `until` has
    /// passed.
    fn read_until(
        self: &Arc<Self>,
        guard: &mut ReaderGuard<'_>,
        awaits: Awaits,
        until: Option<Instant>,
        accept: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<bool> {
        let Some(reader) = &mut guard.reader else { return Ok(false) };
        let mut may_block_in_read = awaits == Awaits::Items;
        loop {
            while let Some(frame) = reader.incoming.next_frame(self.answer_limit)? {
                if accept(frame) {
                    reader.incoming.shrink();
                    return Ok(true);
                }
                self.deliver(frame)?;
            }
            reader.incoming.shrink();
            if self.spin_until_readable(reader) {
                continue;
            }
            // Once: a read that blocks is not woken by bytes that another thread leaves to this one.
            if std::mem::take(&mut may_block_in_read)
                && self.may_block_in_read(until)
                && self.socket.receive_blocking(&mut reader.incoming)?
            {
                continue;
            }
            let event = if self.has_unsent.load(Ordering::Relaxed) { Event::Any } else { Event::Readable };
            if !self.socket.wait_or(event, &self.wake_reader, until)? {
                return Ok(false);
            }
            if self.has_unsent.load(Ordering::Relaxed) {
                // Receiving reports a lost connection, after the answers that arrived before.
                let _ = self.flush(&mut self.unsent());
            }
            self.socket.receive(&mut reader.incoming)?;
        }
    }

    /// Whether the reader may block in a read: it has nothing to send, and `until` is later than the read
    /// would end. The kernel may let it last almost twice as long.
    fn may_block_in_read(&self, until: Option<Instant>) -> bool {
        !self.has_unsent.load(Ordering::Relaxed)
            && until.is_none_or(|until| until > Instant::now() + 2 * BLOCKING_READ)
    }

    /// Puts all frames that have arrived into the inbox.
    fn deliver_all(self: &Arc<Self>, reader: &mut Reader) -> Result<()> {
        while let Some(frame) = reader.incoming.next_frame(self.answer_limit)? {
            self.deliver(frame)?;
        }
        Ok(())
    }

    /// Puts the frame of another thread into the inbox.
    ///
    /// # Errors
    /// If the frame is an answer that no call expects. See [`unexpected`].
    fn deliver(self: &Arc<Self>, frame: &[u8]) -> Result<()> {
        let topic = Topic::of(frame)?;
        let delivery = self.inbox().deliver(topic, frame);
        match delivery {
            Delivery::Done => Ok(()),
            Delivery::Discarded(method, discard) => {
                discard_answer(Arc::clone(self) as _, frame, method, discard);
                Ok(())
            }
            Delivery::Unexpected => Err(unexpected(frame)),
        }
    }

    /// Reads an answer that another thread has received.
    fn read_answer(self: &Arc<Self>, frame: &[u8], read: ReadAnswer<'_>) -> Result<(), ConnectionFault> {
        let response = Answer::read(frame).and_then(|answer| answer.response);
        response.and_then(|response| self.receive(|| read(&response))).map_err(ConnectionFault::OfCall)
    }

    /// Runs `decode`, which may create objects and streams that belong to this connection.
    fn receive<R>(self: &Arc<Self>, decode: impl FnOnce() -> R) -> R {
        let link: Arc<dyn Link> = Arc::clone(self) as _;
        receive(link, decode)
    }

    /// Spins for bytes, if that is likely to succeed; returns whether some have arrived. An error ends the
    /// spin with `false`: the caller then polls and reads again, which reports it.
    fn spin_until_readable(&self, reader: &mut Reader) -> bool {
        let Some(mut window) = reader.spin.begin() else { return false };
        let found = loop {
            window.yield_cpu();
            match self.socket.receive(&mut reader.incoming) {
                Ok(true) => break true,
                // The call is parked until other clients have made theirs, so its wait tells nothing about
                // the next one.
                Ok(false) if reader.spin.is_parked() => return false,
                Ok(false) if window.is_open() => {}
                _ => break false,
            }
        };
        reader.spin.record(&window, found);
        found
    }

    /// Becomes the reader; `None` if another thread is.
    ///
    /// # Errors
    /// If the connection was lost.
    fn become_reader(&self) -> Result<Option<ReaderGuard<'_>>> {
        let reader = self.inbox().take_reader()?;
        Ok(reader.map(|reader| ReaderGuard { connection: self, reader: Some(reader) }))
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox<Box<Reader>, Thread>> {
        // Nothing panics while the lock is held.
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsent(&self) -> MutexGuard<'_, Unsent> {
        // Nothing panics while the lock is held.
        self.unsent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the hello, and the surface if the server asks for it, until the server admits the client. Returns
/// the server's frame limit.
fn perform_handshake(
    socket: &Socket,
    reader: &mut Reader,
    address: &Address,
    surface: &Surface,
    until: Option<Instant>,
) -> Result<usize> {
    let mut handshake = ClientHandshake::begin(address, surface, &mut reader.outgoing)?;
    loop {
        // The server may refuse before it has read everything. Its reply then takes precedence over the
        // write error.
        let sent = send_all(socket, &reader.outgoing, until);
        reader.outgoing.clear();
        let reply = receive_reply(socket, reader, address.limits.frame_size, until);
        let reply = reply.or_else(|no_reply| sent.and(Err(no_reply)))?;
        if let Some(server_limit) = handshake.receive(reply, &mut reader.outgoing)? {
            return Ok(server_limit);
        }
    }
}

fn send_all(socket: &Socket, bytes: &[u8], until: Option<Instant>) -> Result<()> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.send(&bytes[sent..])? {
            0 if !socket.wait(Event::Writable, until)? => return Err(call_timed_out()),
            count => sent += count,
        }
    }
    Ok(())
}

fn receive_reply(
    socket: &Socket,
    reader: &mut Reader,
    limit: usize,
    until: Option<Instant>,
) -> Result<HandshakeReply> {
    loop {
        if let Some(frame) = reader.incoming.next_frame(limit)? {
            return frame::decode(frame);
        }
        if !socket.wait(Event::Readable, until)? {
            return Err(call_timed_out());
        }
        socket.receive(&mut reader.incoming)?;
    }
}
