//! The state of one connection after its handshake: the bytes that have arrived, the bytes that are to be
//! sent, and its session.

use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use miko_rpc::memory::LARGE_FRAME;
use miko_rpc::{ConnectionLocals, Error, Handles, Interface, Pass, memory};

use super::around::Peer;
use super::calls::{CallContext, ConnectionContext, serve_frame};
use super::metrics::Metrics;
use super::session::{Outgoing, Retry, Session};
use super::time_slice::TimeSlice;
use crate::serving;
use crate::wire::envelope::Envelope;
use crate::wire::extension::{FromClient, is_control};
use crate::wire::frame::FrameBuffer;
use crate::wire::message;

/// When this many bytes of answers are pending, they are sent before further calls are served.
const FLUSH_AT: usize = 64 << 10;

/// The id of an error that belongs to no call, or to a call without a readable id.
pub(super) const NO_ID: u64 = 0;

/// The unserved input and the unsent answers of a connection, and its session.
pub(super) struct ConnectionState {
    peer: Peer,
    /// The bytes that have arrived and were not served yet.
    pub(super) incoming: FrameBuffer,
    /// The frames that are to be sent: answers, and frames of streams.
    pub(super) outgoing: Vec<u8>,
    /// How many bytes of `outgoing` were sent.
    pub(super) sent: usize,
    /// The id of the call that was served last, and where its answer is in `outgoing`. The range is empty if
    /// the call is parked or answered later. `None` if bytes were sent or answers were discarded since, or if
    /// the last frame led to no answer.
    last_answer: Option<(u64, Range<usize>)>,
    /// While `outgoing` has this length, its unsent bytes are held back; `None` if none are. The bytes are
    /// held back if they are exactly the answer to an opening call, and the first call on the opened object
    /// is parked. The client has sent the two calls together and waits for the second answer, so the first
    /// answer alone would only wake it. With any further byte the length differs, and all bytes are sent.
    held_length: Option<usize>,
    /// Gives the entries of the session their handles, and collects the objects and streams that an answer
    /// carries, or the answer itself if it comes later, until the session adopts them.
    handles: Handles,
    /// `None` until something lives with the connection: an answer has carried an object or a stream, an
    /// answer comes later, a call is parked, or the implementation keeps a value for the connection.
    pub(super) session: Option<Box<Session>>,
    /// When the last bytes arrived.
    arrived: Instant,
    pub(super) time_slice: TimeSlice,
    /// The error with which the server closes the connection after `outgoing` is sent; `None` while the
    /// connection stays open.
    pub(super) end: Option<Error>,
    metrics: Option<Rc<Metrics>>,
}

impl ConnectionState {
    pub(super) fn new(peer: Peer, incoming: FrameBuffer, metrics: Option<Rc<Metrics>>) -> Self {
        Self {
            peer,
            incoming,
            outgoing: Vec::new(),
            sent: 0,
            last_answer: None,
            held_length: None,
            handles: Handles::default(),
            session: None,
            arrived: Instant::now(),
            time_slice: TimeSlice::default(),
            end: None,
            metrics,
        }
    }

    /// Serves the calls that have arrived, at least one, until the time slice is over or [`FLUSH_AT`] bytes
    /// of answers are pending.
    pub(super) fn serve<I: Interface + ?Sized>(&mut self, context: &CallContext<I>) {
        while self.serve_next(context).is_some() && !self.time_slice.is_over() {}
    }

    /// Serves the next frame: that of a parked call which is due (its turn has come, or its wait has timed
    /// out), or else one that has arrived. Returns `None` if there is no frame to serve, or the connection is
    /// to end.
    pub(super) fn serve_next<I: Interface + ?Sized>(
        &mut self,
        context: &CallContext<I>,
    ) -> Option<ServedCall> {
        if self.end.is_some() || !self.has_work(context.limits.frame_size) {
            return None;
        }
        let answer_begin = self.outgoing.len();
        let last_handle = self.handles.last();
        let due = self.session.as_mut().and_then(|session| session.take_due());
        let mut connection = ConnectionContext {
            peer: &self.peer,
            arrived: self.arrived,
            started: None,
            outgoing: &mut self.outgoing,
            handles: &mut self.handles,
            passes: Vec::new(),
            locals: ConnectionLocals::default(),
            // An arbitrary time. A call that starts replaces it by its deadline. If no call starts, the
            // time is not used.
            expires_at: self.arrived,
            is_retry: false,
            opened_by: None,
        };
        let is_retry = due.is_some();
        let served = match due {
            Some(Retry { frame, arrived, passes }) => {
                let locals = take_locals(&mut self.session);
                connection = ConnectionContext { arrived, passes, locals, is_retry: true, ..connection };
                serve_frame(&frame, context, &mut connection, &mut self.session)
            }
            None => match self.incoming.next_frame(context.limits.frame_size) {
                Ok(None) => return None,
                Ok(Some(frame)) => {
                    connection.locals = take_locals(&mut self.session);
                    serve_frame(frame, context, &mut connection, &mut self.session)
                }
                Err(too_large) => Err(too_large),
            },
        };
        let ConnectionContext { passes, locals, expires_at, started, opened_by, .. } = connection;
        if let Some(started) = started {
            self.time_slice.record(started);
        }
        if let (true, Ok(Some(id)), Some(session)) = (is_retry, &served, &self.session)
            && session.is_pending(*id)
        {
            // The call was parked again. It does not wait for a later answer: the session adopts that only
            // below. The call may be a long one, such as the end of an upload. Between its steps such a call
            // parks itself, to let other calls run, at a gate that it opens at once. Its wait is over at
            // once, so other connections are served before its next attempt only if the time slice ends here.
            self.time_slice.end();
        }
        if !locals.is_empty() {
            self.session.get_or_insert_default().put_locals(locals);
        }
        if self.handles.has_carried() {
            // Only an answer to a call carries objects and streams, so there is an id.
            let id = served.as_ref().ok().copied().flatten().unwrap_or(NO_ID);
            let session = self.session.get_or_insert_default();
            session.adopt(id, expires_at, self.handles.take());
            if let Err(error) = session.check_size(context.limits.calls_in_flight) {
                serving::run(|| session.withdraw_after(last_handle));
                self.outgoing.truncate(answer_begin);
                self.refuse(id, &error);
            }
        }
        let unsent = self.sent..self.outgoing.len();
        if opened_by.is_some_and(|opening| self.last_answer == Some((opening, unsent))) {
            // The call on the opened object was parked, and the only unsent bytes are the answer to the
            // opening call.
            self.held_length = Some(self.outgoing.len());
        }
        let answered = served.as_ref().ok().copied().flatten();
        self.last_answer = answered.map(|id| (id, answer_begin..self.outgoing.len()));
        match served {
            Ok(id) => Some(ServedCall { id, answer_begin, last_handle, _passes: passes }),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }

    /// Replaces the answers of `calls` by `error`. `calls` must be the calls that were served last: the
    /// answers from the first of them on are discarded.
    pub(super) fn refuse_served<'c>(&mut self, calls: impl Iterator<Item = &'c ServedCall>, error: &Error) {
        let mut calls = calls.peekable();
        if let Some(first) = calls.peek() {
            self.outgoing.truncate(first.answer_begin);
            // Both describe answers that may be discarded here.
            (self.last_answer, self.held_length) = (None, None);
            if let Some(session) = &mut self.session {
                serving::run(|| session.withdraw_after(first.last_handle));
            }
        }
        for id in calls.filter_map(|call| call.id) {
            self.refuse(id, error);
        }
    }

    /// Whether there are frames to serve. While [`FLUSH_AT`] bytes of answers are pending, only two kinds of
    /// frames count: those of parked calls that are due, since calls of other connections may wait for these
    /// calls; and control frames, which have no answers of their own.
    pub(super) fn has_work(&self, frame_size: usize) -> bool {
        self.session.as_ref().is_some_and(|session| session.has_due())
            || self.incoming.is_ready(frame_size)
                && (!self.is_full() || self.incoming.peek_frame().is_some_and(is_control))
    }

    /// Whether a stream or a later answer may have something to send, or a parked call may be due.
    pub(super) fn has_ready(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.has_ready())
    }

    /// Whether [`FLUSH_AT`] bytes of answers are pending.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.len() - self.sent >= FLUSH_AT
    }

    /// The bytes that can be sent now.
    pub(super) fn unsent(&self) -> &[u8] {
        &self.outgoing[self.start_of_unsent()..]
    }

    /// The position in `outgoing` of the bytes that can be sent now.
    pub(super) fn start_of_unsent(&self) -> usize {
        let is_held = self.held_length == Some(self.outgoing.len());
        if is_held { self.outgoing.len() } else { self.sent }
    }

    /// Makes bytes that are held back count as unsent again.
    pub(super) fn release_held_bytes(&mut self) {
        self.held_length = None;
    }

    /// Records that `count` further bytes of `outgoing` were sent. Removes the sent bytes from `outgoing`
    /// once they are more than half of it, so that fewer bytes are moved than were sent.
    pub(super) fn record_sent(&mut self, count: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.wire.record_sent(count);
        }
        self.sent += count;
        (self.last_answer, self.held_length) = (None, None);
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.outgoing.shrink_to(FLUSH_AT);
            self.sent = 0;
        } else if self.sent > self.outgoing.len() / 2 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Appends the items and later answers that are ready. Makes parked calls due: each whose turn has come,
    /// or whose wait has timed out.
    pub(super) fn pump(&mut self, frame_size: usize) {
        let Self { session, outgoing: bytes, handles, sent, .. } = self;
        let mut outgoing = Outgoing { bytes, handles, frame_size, full_at: *sent + FLUSH_AT };
        if let Some(session) = session {
            serving::run(|| session.pump(&mut outgoing));
        }
    }

    /// Appends a refusal to the answers.
    fn refuse(&mut self, id: u64, error: &Error) {
        message::encode_refusal(id, error, &mut self.outgoing);
    }

    /// Records `count` bytes that were read, and accounts for the memory of a large frame. If the memory
    /// limit leaves no room for a frame that has arrived in part, refuses it and does not wait for the rest.
    /// A frame that has arrived completely is served: it takes no further memory.
    pub(super) fn receive(&mut self, count: usize, frame_size: usize) {
        if let Some(metrics) = &self.metrics {
            metrics.wire.record_received(count);
        }
        self.incoming.filled(count);
        self.arrived = Instant::now();
        self.time_slice.record(self.arrived);
        if self.incoming.len() > LARGE_FRAME
            && let Err(full) = memory::charge_incoming(count)
            && !self.incoming.is_ready(frame_size)
        {
            self.refuse_partial_frame(full);
        }
    }

    /// Refuses the call of a frame that has not arrived completely, and skips the rest of the frame. The id
    /// of the call is at the start of the frame: in the envelope of a call on the interface, or among the
    /// numbers of a call on an object. If the part that has arrived begins with neither, the id is unknown,
    /// and the connection ends.
    fn refuse_partial_frame(&mut self, error: Error) {
        let partial = self.incoming.partial_frame();
        let id_of_object_call = || match FromClient::read(partial) {
            Ok(FromClient::Call { id, .. }) => Some(id),
            _ => None,
        };
        match Envelope::open(partial).map(|(Envelope { id, .. }, _)| id).or_else(id_of_object_call) {
            Some(id) => {
                self.incoming.skip_frame();
                self.refuse(id, &error);
            }
            None => self.end = Some(error),
        }
    }
}

/// Takes the values that implementations keep for the connection, to lend them to a call.
fn take_locals(session: &mut Option<Box<Session>>) -> ConnectionLocals {
    session.as_mut().map(|session| session.take_locals()).unwrap_or_default()
}

/// A call or a control frame that was served. Its answer, which is in `outgoing` or comes later, can still be
/// replaced by an error.
pub(super) struct ServedCall {
    /// The id of the call that is answered; `None` for a frame without an answer.
    id: Option<u64>,
    /// The position of the answer in `outgoing`, unless it comes later.
    answer_begin: usize,
    /// The last handle that was given before the call.
    last_handle: u64,
    /// The passes of the gates that the call has entered. They are dropped when the changes of the call are
    /// committed.
    _passes: Vec<Pass>,
}
