//! The session of a connection. Its entries are the objects and streams that answers have carried, the calls
//! whose answers come later, and the calls that wait at a gate. The entries end with the connection. Each
//! entry has a handle, a number that is unique on the connection. The client names objects and streams by
//! their handles, and does not know the handles of calls. The session also has the values that
//! implementations keep for the connection.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use miko_rpc::memory::{self, LARGE_FRAME};
use miko_rpc::{
    Carried, ConnectionLocals, Error, ErrorId, Handles, ItemForm, LaterAnswer, ParkedCall, Pass, Result,
    ServedObject, ServedStream, StreamEvent,
};
use tokio::time::{Sleep, sleep_until};

use super::guarded::drop_guarded;
use super::parked_calls::{ParkedBytes, ParkedCallGuard};
use super::ready::{ReadyKind, ReadyList, ReadyWaker};
use crate::serving;
use crate::wire::envelope::enclose_response;
use crate::wire::frame::HEADER_SIZE;
use crate::wire::{extension, message};

/// How long one connection may append items before other connections are served.
const MAX_PUMP_TIME: Duration = Duration::from_millis(1);

/// The most capacity that the buffer for an item keeps while no item is encoded, in bytes.
const KEPT_ITEM_CAPACITY: usize = 64 << 10;

/// The most objects, streams, later answers and parked calls of a connection, all together.
pub(super) const MAX_SESSION_ENTRIES: usize = 1 << 17;

/// The objects, streams and later answers of a connection, and its calls that wait at a gate.
///
/// The client may release objects and streams, and cancel calls. The end of the connection drops the other
/// entries, the newest first: a newer object may use an older one.
#[derive(Default)]
pub(super) struct Session {
    /// The entries by handle. Each new handle is larger than all before it, so the newest entry is the last.
    entries: BTreeMap<u64, Entry>,
    /// The handles of later answers and parked calls, by the ids of the calls. If a client gives several
    /// calls one id, the handle is that of the newest call.
    pending: HashMap<u64, u64>,
    /// The number of later answers and parked calls in `entries`.
    in_flight: usize,
    /// The parked calls that are to be run again now, because their turn has come or their wait has timed
    /// out. They are no longer in `entries`.
    due: VecDeque<Retry>,
    /// The number of bytes of the frames of the parked calls in `entries`.
    parked_bytes: ParkedBytes,
    /// The handles of the streams, later answers and parked calls that were woken.
    ready: Arc<ReadyList>,
    /// The values that implementations keep for the connection ([`ConnectionLocals`]).
    locals: ConnectionLocals,
    /// A buffer for the item that is being encoded. Empty at other times.
    item: Vec<u8>,
}

enum Entry {
    Object(ObjectEntry),
    Stream(StreamEntry),
    /// A call whose answer comes later.
    Answer(AnswerEntry),
    Parked(ParkedEntry),
}

/// A call that waits at a gate.
pub(super) struct Parked {
    pub(super) id: u64,
    /// The whole frame of the call, from which the call is run again.
    pub(super) frame: Vec<u8>,
    /// When the call arrived: its deadline counts from then on.
    pub(super) arrived: Instant,
    /// The passes of the gates that the call has entered.
    pub(super) passes: Vec<Pass>,
    /// The position of the call in the queue of the gate where it waits.
    pub(super) queued: ParkedCall,
}

/// A parked call whose turn has come, or whose wait has timed out, and which is to be run again.
pub(super) struct Retry {
    pub(super) frame: Vec<u8>,
    pub(super) arrived: Instant,
    /// The passes of the gates that the call has entered, followed by the pass of the gate where it has
    /// waited. If the wait has timed out, entering that gate with the last pass fails.
    pub(super) passes: Vec<Pass>,
}

struct ObjectEntry {
    object: Arc<dyn ServedObject>,
    /// The id of the call whose answer has carried the object.
    opened_by: u64,
}

struct ParkedEntry {
    call: Parked,
    /// Fires when [`ParkedCall::check_time`] is to be called again. That method makes calls leave the gate
    /// if their time inside is over, and removes this call from the queue of the gate if its wait has timed
    /// out.
    timer: Pin<Box<Sleep>>,
    waker: ReadyWaker,
    _guard: ParkedCallGuard,
}

struct StreamEntry {
    source: Box<dyn ServedStream>,
    /// How many further bytes of items the client has room for. Negative after an item that was larger than
    /// the room.
    credit: i64,
    waker: ReadyWaker,
}

struct AnswerEntry {
    /// The id of the call.
    id: u64,
    answer: Box<dyn LaterAnswer>,
    /// Fires at the deadline of the call.
    timer: Pin<Box<Sleep>>,
    waker: ReadyWaker,
}

/// Where the items and answers of a connection are appended.
pub(super) struct Outgoing<'s> {
    pub(super) bytes: &'s mut Vec<u8>,
    /// Gives handles to the objects and streams that a later answer carries.
    pub(super) handles: &'s mut Handles,
    /// The size of the largest frame in bytes.
    pub(super) frame_size: usize,
    /// Nothing is appended once `bytes` has this length.
    pub(super) full_at: usize,
}

impl Session {
    /// Adopts the objects and streams that the answer to the call `id` has carried, or the answer itself if
    /// it comes later. `expires_at` is when the deadline of the call passes. It is used only for an answer
    /// that comes later.
    pub(super) fn adopt(
        &mut self,
        id: u64,
        expires_at: Instant,
        carried: impl Iterator<Item = (u64, Carried)>,
    ) {
        for (handle, carried) in carried {
            let entry = match carried {
                Carried::Object(object) => Entry::Object(ObjectEntry { object, opened_by: id }),
                Carried::Stream(source) => Entry::Stream(StreamEntry {
                    source,
                    credit: 0,
                    waker: ReadyWaker::new(handle, ReadyKind::Sender, &self.ready),
                }),
                Carried::Answer(answer) => {
                    let waker = ReadyWaker::new(handle, ReadyKind::Sender, &self.ready);
                    // The answer gets the waker only when it is polled, so it is listed for a first poll.
                    waker.make_ready();
                    self.add_pending(id, handle);
                    let timer = Box::pin(sleep_until(expires_at.into()));
                    Entry::Answer(AnswerEntry { id, answer, timer, waker })
                }
            };
            self.entries.insert(handle, entry);
        }
    }

    /// Takes the values that are kept for the connection, to lend them to a call.
    pub(super) fn take_locals(&mut self) -> ConnectionLocals {
        std::mem::take(&mut self.locals)
    }

    /// Puts back the values that are kept for the connection, after a call.
    pub(super) fn put_locals(&mut self, locals: ConnectionLocals) {
        self.locals = locals;
    }

    /// Keeps a call until it is to be run again. `guard` accounts for the call until then.
    pub(super) fn park(&mut self, handle: u64, call: Parked, guard: ParkedCallGuard) {
        let waker = ReadyWaker::new(handle, ReadyKind::Parked, &self.ready);
        // The gate gets the waker only when it is polled, so the call is listed for a first poll.
        waker.make_ready();
        self.add_pending(call.id, handle);
        // If there is no next check, the wait has timed out already, and the first pump makes the call due.
        let next_check = call.queued.check_time().unwrap_or_else(Instant::now);
        let timer = Box::pin(sleep_until(next_check.into()));
        self.entries.insert(handle, Entry::Parked(ParkedEntry { call, timer, waker, _guard: guard }));
    }

    /// Whether the call `id` is parked, or its answer comes later.
    pub(super) fn is_pending(&self, id: u64) -> bool {
        self.pending.contains_key(&id)
    }

    /// Checks that `further` calls may be parked or be answered later, in addition to those that are.
    ///
    /// # Errors
    /// `storage-full`, if more than `allowed` calls would be parked or be answered later.
    pub(super) fn check_in_flight(&self, further: usize, allowed: usize) -> Result<()> {
        if self.in_flight + further <= allowed {
            return Ok(());
        }
        let message = "too many calls of this connection wait for their turn or for their answer";
        Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed))
    }

    /// The number of bytes of the frames of the parked calls of the connection.
    pub(super) fn parked_bytes(&self) -> &ParkedBytes {
        &self.parked_bytes
    }

    /// Whether parked calls are to be run again now.
    pub(super) fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Takes the next parked call that is to be run again.
    pub(super) fn take_due(&mut self) -> Option<Retry> {
        self.due.pop_front()
    }

    /// The object that `named` names: by its handle, or by [the call](extension::opened_by) whose answer has
    /// carried the object.
    ///
    /// # Errors
    /// `session-gone` if there is no such object.
    pub(super) fn object(&self, named: u64) -> Result<Arc<dyn ServedObject>> {
        let found = match extension::opening_of(named) {
            None => self.entries.get(&named).and_then(Entry::as_object),
            // A client that names an object by its opening call has sent that call just before. So the object
            // is one of the newest entries, and these are searched first.
            Some(id) => {
                self.entries.values().rev().filter_map(Entry::as_object).find(|entry| entry.opened_by == id)
            }
        };
        found.map(|entry| Arc::clone(&entry.object)).ok_or_else(|| no_object(named))
    }

    /// Allows a stream to send this many further bytes of items.
    pub(super) fn add_credit(&mut self, handle: u64, bytes: u64) {
        // The stream may have ended while the credit was on its way.
        if let Some(Entry::Stream(stream)) = self.entries.get_mut(&handle) {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            stream.credit = stream.credit.saturating_add(bytes);
            stream.waker.make_ready();
        }
    }

    /// Drops an object or a stream. Ignores the handles of later answers and parked calls, which the client
    /// does not know.
    pub(super) fn release(&mut self, handle: u64) {
        if matches!(self.entries.get(&handle), Some(Entry::Object(_) | Entry::Stream(_))) {
            self.remove(handle);
        }
    }

    /// Drops the later answer to the call `id`, or the call itself if it is parked. Returns `false` if the
    /// call is neither parked nor to be answered later.
    pub(super) fn cancel(&mut self, id: u64) -> bool {
        let handle = self.pending.get(&id).copied();
        handle.inspect(|handle| self.remove(*handle)).is_some()
    }

    /// Drops all entries with a handle above `last`, the newest first.
    pub(super) fn withdraw_after(&mut self, last: u64) {
        while let Some((&newest, _)) = self.entries.last_key_value().filter(|(newest, _)| **newest > last) {
            self.remove(newest);
        }
    }

    /// Removes the entry with this handle from the session, and drops it. A panic of its `Drop` is logged.
    fn remove(&mut self, handle: u64) {
        if let Some(entry) = self.take(handle) {
            drop_guarded(entry);
        }
    }

    /// Records the handle of a later answer or a parked call by the id of the call, and counts the call. The
    /// caller puts the entry into `entries`.
    fn add_pending(&mut self, id: u64, handle: u64) {
        self.pending.insert(id, handle);
        self.in_flight += 1;
    }

    /// Removes the entry with this handle from the session, and returns it.
    fn take(&mut self, handle: u64) -> Option<Entry> {
        let entry = self.entries.remove(&handle)?;
        if let Entry::Answer(AnswerEntry { id, .. })
        | Entry::Parked(ParkedEntry { call: Parked { id, .. }, .. }) = &entry
        {
            self.in_flight -= 1;
            if self.pending.get(id) == Some(&handle) {
                self.pending.remove(id);
            }
        }
        Some(entry)
    }

    /// Ready if a parked call is ready. With `has_room`, also ready if a stream or a later answer is ready.
    /// Otherwise registers the task to be woken. `has_room`: as in [`ReadyList::poll`].
    pub(super) fn poll_ready(&self, has_room: bool, context: &Context<'_>) -> Poll<()> {
        self.ready.poll(has_room, context)
    }

    /// Whether a stream, a later answer or a parked call is ready.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Checks the number of entries after a call.
    ///
    /// # Errors
    /// `storage-full`, if there are more than [`MAX_SESSION_ENTRIES`], or more than `calls_in_flight` of them
    /// are later answers and parked calls.
    pub(super) fn check_size(&self, calls_in_flight: usize) -> Result<()> {
        self.check_room(0)?;
        self.check_in_flight(0, calls_in_flight)
    }

    /// Checks that there is room for this many `further` entries.
    ///
    /// # Errors
    /// `storage-full`, if there would be more than [`MAX_SESSION_ENTRIES`] entries.
    fn check_room(&self, further: usize) -> Result<()> {
        if self.entries.len() + further <= MAX_SESSION_ENTRIES {
            return Ok(());
        }
        let message = "too many objects, streams and calls are open on this connection";
        Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", MAX_SESSION_ENTRIES))
    }

    /// Moves the parked calls that are to be run again to `due`. Appends the items and answers that are
    /// ready, as far as there is room.
    pub(super) fn pump(&mut self, outgoing: &mut Outgoing<'_>) {
        if self.ready.is_empty() {
            return;
        }
        for handle in self.ready.take_parked() {
            if let Some(Entry::Parked(parked)) = self.entries.get_mut(&handle) {
                parked.waker.mark_taken();
                if parked.poll_due().is_ready() {
                    self.make_due(handle);
                }
            }
        }
        if !outgoing.is_full() {
            self.pump_senders(outgoing);
        }
    }

    /// Appends the items and answers that are ready.
    fn pump_senders(&mut self, outgoing: &mut Outgoing<'_>) {
        let until = Instant::now() + MAX_PUMP_TIME;
        let mut yielded = Vec::new();
        for handle in self.ready.take_senders() {
            match self.entries.get_mut(&handle) {
                Some(Entry::Stream(stream)) => match stream.pump(handle, until, &mut self.item, outgoing) {
                    Pumped::Ended => self.remove(handle),
                    Pumped::Yielded => yielded.push(handle),
                    Pumped::Waits => {}
                },
                Some(Entry::Answer(answer)) => {
                    answer.waker.mark_taken();
                    if outgoing.is_full() {
                        answer.waker.make_ready();
                    } else if let Poll::Ready(outcome) = answer.poll() {
                        self.append_answer(handle, outcome, outgoing);
                    }
                }
                Some(Entry::Parked(_) | Entry::Object(_)) | None => {}
            }
        }
        // A stream that always has items must not starve others. So the streams that have sent items are
        // listed behind those that have sent nothing.
        for handle in yielded {
            if let Some(Entry::Stream(stream)) = self.entries.get(&handle) {
                stream.waker.make_ready();
            }
        }
        // Cleared first, because a vector does not shrink below its length.
        self.item.clear();
        self.item.shrink_to(KEPT_ITEM_CAPACITY);
    }

    /// Moves a parked call to `due`. Its position in the queue of the gate becomes a pass.
    fn make_due(&mut self, handle: u64) {
        let Some(Entry::Parked(ParkedEntry { call, .. })) = self.take(handle) else { return };
        let Parked { frame, arrived, mut passes, queued, .. } = call;
        passes.push(queued.into_pass());
        self.due.push_back(Retry { frame, arrived, passes });
    }

    /// Removes a later answer from the session. Appends the answer, or a refusal if `outcome`, the result of
    /// [`AnswerEntry::poll`], is an error.
    fn append_answer(&mut self, handle: u64, outcome: Result<()>, outgoing: &mut Outgoing<'_>) {
        let Some(Entry::Answer(AnswerEntry { id, answer, .. })) = self.take(handle) else { return };
        let Outgoing { bytes, handles, frame_size, .. } = outgoing;
        let begin = bytes.len();
        let written = match outcome {
            Ok(()) => enclose_response(id, *frame_size, bytes, |out, limit| {
                answer.write(out, limit, &mut **handles).map(drop)
            }),
            Err(error) => {
                drop_guarded(answer);
                Err(error)
            }
        };
        let sent = written
            .and_then(|()| charge_answer_memory(bytes.len() - begin))
            .and_then(|()| self.check_room(handles.carried_count()));
        if let Err(error) = sent {
            bytes.truncate(begin);
            handles.discard();
            message::encode_refusal(id, &error, bytes);
        }
        // Any time will do: `adopt` uses it only for a later answer, and a later answer carries no other one.
        self.adopt(id, Instant::now(), handles.take());
    }
}

impl Entry {
    fn as_object(&self) -> Option<&ObjectEntry> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        serving::run(|| {
            // All handles are above 0.
            self.withdraw_after(0);
            drop_guarded(self.take_locals());
        });
    }
}

/// The outcome of [`StreamEntry::pump`].
enum Pumped {
    /// The stream has no further item at present, or no credit. Or it has sent nothing for lack of room or
    /// time, and is listed as ready again.
    Waits,
    /// The stream has sent items and may have more, but room or time is used up. It is not listed as ready.
    Yielded,
    /// The stream has sent its end.
    Ended,
}

impl Outgoing<'_> {
    fn is_full(&self) -> bool {
        self.bytes.len() >= self.full_at
    }
}

impl StreamEntry {
    /// Appends items until no further item is there, the credit or the room is used up, or `until` has
    /// passed.
    fn pump(
        &mut self,
        handle: u64,
        until: Instant,
        item: &mut Vec<u8>,
        outgoing: &mut Outgoing<'_>,
    ) -> Pumped {
        self.waker.mark_taken();
        let limit = outgoing.frame_size;
        let mut has_sent = false;
        while self.credit > 0 {
            if outgoing.is_full() || Instant::now() >= until {
                if has_sent {
                    // The caller lists the stream as ready again.
                    return Pumped::Yielded;
                }
                self.waker.make_ready();
                return Pumped::Waits;
            }
            let bytes = &mut *outgoing.bytes;
            item.clear();
            has_sent = true;
            match self.source.poll_next(&mut self.waker.context(), ItemForm::Message { limit }, item) {
                Poll::Pending => return Pumped::Waits,
                Poll::Ready(StreamEvent::Item { seq }) => {
                    let begin = bytes.len();
                    let appended = charge_answer_memory(item.len())
                        .and_then(|()| extension::put_item(handle, seq, item, limit, bytes));
                    if let Err(error) = appended {
                        extension::put_end(handle, Some(&error), bytes);
                        return Pumped::Ended;
                    }
                    let size = i64::try_from(bytes.len() - begin - HEADER_SIZE).unwrap_or(i64::MAX);
                    self.credit = self.credit.saturating_sub(size);
                }
                Poll::Ready(StreamEvent::Lagged(count)) => extension::put_lag(handle, count, bytes),
                Poll::Ready(StreamEvent::End(error)) => {
                    extension::put_end(handle, error.as_ref(), bytes);
                    return Pumped::Ended;
                }
            }
        }
        Pumped::Waits
    }
}

impl AnswerEntry {
    /// Ready with `Ok` when the answer can be written; ready with an error after the deadline of the call.
    fn poll(&mut self) -> Poll<Result<()>> {
        let mut context = self.waker.context();
        if self.answer.poll(&mut context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.timer.as_mut().poll(&mut context).map(|()| {
            let message = "the answer did not come before the deadline of the call";
            Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message))
        })
    }
}

impl ParkedEntry {
    /// Ready when the call is to be run again: its turn at the gate has come, or its wait has timed out.
    /// After a timeout, entering the gate fails. While the call has to wait, registers the waker.
    fn poll_due(&mut self) -> Poll<()> {
        let mut context = self.waker.context();
        while self.timer.as_mut().poll(&mut context).is_ready()
            && let Some(next_check) = self.call.queued.check_time()
        {
            self.timer.as_mut().reset(next_check.into());
        }
        self.call.queued.poll(&context)
    }
}

/// Accounts for the memory of a large answer or item. A small one is not counted and never refused: it takes
/// little memory, and its call may have had effects, of which the caller would learn nothing.
///
/// # Errors
/// `storage-full`, at the memory limit.
pub(super) fn charge_answer_memory(bytes: usize) -> Result<()> {
    if bytes > LARGE_FRAME { memory::charge(bytes) } else { Ok(()) }
}

/// The error of a call on an object that the connection does not have. By its detail `handle`, a client knows
/// that the call has not run.
pub(super) fn no_object(handle: u64) -> Error {
    let message = "there is no such object on this connection";
    Error::new(ErrorId::SESSION_GONE, message).with("handle", handle)
}

#[cfg(test)]
mod tests {
    use miko_rpc::{AnswerScope, DispatchError, JsonText, Served, Stream};

    use super::*;

    /// One large item, and nothing after it.
    struct Large(Option<Vec<u8>>);

    impl ServedStream for Large {
        fn poll_next(&mut self, _: &mut Context<'_>, _: ItemForm, out: &mut Vec<u8>) -> Poll<StreamEvent> {
            let Some(item) = self.0.take() else { return Poll::Pending };
            out.extend(item);
            Poll::Ready(StreamEvent::Item { seq: 1 })
        }

        fn wait_next(&mut self, _: Option<Instant>, _: ItemForm, _: &mut Vec<u8>) -> Poll<StreamEvent> {
            unreachable!("a server does not wait")
        }
    }

    #[test]
    fn the_buffer_of_a_large_item_is_freed() {
        const SIZE: usize = 1 << 20;
        let mut session = Session::default();
        let large = Carried::Stream(Box::new(Large(Some(vec![0xc0; SIZE]))));
        session.adopt(1, Instant::now(), [(1, large)].into_iter());
        session.add_credit(1, u64::MAX);
        let (mut bytes, mut handles) = (Vec::new(), Handles::default());
        session.pump(&mut Outgoing {
            bytes: &mut bytes,
            handles: &mut handles,
            frame_size: 2 * SIZE,
            full_at: usize::MAX,
        });
        assert!(bytes.len() > SIZE);
        assert!(session.item.capacity() <= KEPT_ITEM_CAPACITY, "{}", session.item.capacity());
    }

    /// An answer with two streams.
    struct TwoStreams;

    impl LaterAnswer for TwoStreams {
        fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn write(
            self: Box<Self>,
            out: &mut Vec<u8>,
            _: usize,
            scope: &mut dyn AnswerScope,
        ) -> Result<Served> {
            let streams = [(); 2].map(|()| Stream::of([1_u8]));
            scope.encode(&mut || rmp_serde::encode::write(out, &streams).is_ok());
            Ok(Served::Succeeded)
        }

        fn write_json(self: Box<Self>, _: usize, _: &mut dyn AnswerScope) -> Result<JsonText, DispatchError> {
            unreachable!("the answer is binary")
        }
    }

    #[test]
    fn a_later_answer_carries_no_more_than_there_is_room_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        for (room, is_sent) in [(1, false), (2, true)] {
            let mut session = Session::default();
            let mut handles = Handles::default();
            let others = MAX_SESSION_ENTRIES - room;
            let streams =
                (0..others).map(|_| (handles.reserve(), Carried::Stream(Box::new(Large(None)) as _)));
            session.adopt(1, Instant::now(), streams.collect::<Vec<_>>().into_iter());
            let answer = Carried::Answer(Box::new(TwoStreams) as _);
            session.adopt(7, Instant::now(), [(handles.reserve(), answer)].into_iter());
            let mut bytes = Vec::new();
            session.pump(&mut Outgoing {
                bytes: &mut bytes,
                handles: &mut handles,
                frame_size: 1 << 10,
                full_at: usize::MAX,
            });
            assert_eq!(session.entries.len(), if is_sent { MAX_SESSION_ENTRIES } else { others });
            assert!(!handles.has_carried());
            let refusal = b"storage-full";
            assert_eq!(bytes.windows(refusal.len()).any(|part| part == refusal), !is_sent, "{room}");
        }
    }

    /// An answer that never comes.
    struct Never;

    impl LaterAnswer for Never {
        fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn write(self: Box<Self>, _: &mut Vec<u8>, _: usize, _: &mut dyn AnswerScope) -> Result<Served> {
            unreachable!("it never comes")
        }

        fn write_json(self: Box<Self>, _: usize, _: &mut dyn AnswerScope) -> Result<JsonText, DispatchError> {
            unreachable!("it never comes")
        }
    }

    #[test]
    fn calls_in_flight_are_counted_whatever_their_ids() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let mut session = Session::default();
        let answers = (1..=3).map(|handle| (handle, Carried::Answer(Box::new(Never) as _)));
        session.adopt(7, Instant::now(), answers);
        let has_room = |session: &Session, further| session.check_in_flight(further, 3).is_ok();
        assert!(has_room(&session, 0) && !has_room(&session, 1));
        session.remove(1);
        assert!(session.cancel(7), "the newest is still there");
        assert!(!session.cancel(7));
        assert!(has_room(&session, 2) && !has_room(&session, 3));
        session.withdraw_after(0);
        assert!(has_room(&session, 3));
    }
}
