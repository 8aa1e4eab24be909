//! Decides which thread reads from a connection, and keeps the frames that this thread reads for other
//! threads. A state machine without I/O and without threads.
//!
//! Several threads wait for answers and items on one connection. One thread at a time has the read half: the
//! right to read, and the state that reading needs. That thread reads frames, and puts the frames for other
//! threads into the inbox. When its own frame has arrived, it returns the read half. The inbox then wakes one
//! of the threads that wait, and this thread reads next.
//!
//! An async connection has no inbox. It uses [`Topic`] and the functions at the end of this module.

use std::collections::HashMap;
use std::sync::Arc;

use miko_rpc::{Discard, Error, ErrorId, Link, Method, Result, receive};

use crate::wire::envelope::open_response;
use crate::wire::extension::FromServer;
use crate::wire::frame::HEADER_SIZE;
use crate::wire::message::Answer;

/// The call that a frame answers, or the stream to which a frame belongs. A thread waits for the frames of
/// one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    /// The answer to the call with this id.
    Answer(u64),
    /// The items of the stream with this handle, and its other frames: lag and end.
    Items(u64),
}

impl Topic {
    /// The topic of a frame.
    ///
    /// # Errors
    /// `internal` if the frame is of no kind that a server sends.
    pub(super) fn of(frame: &[u8]) -> Result<Self> {
        // The answer to a call that was served, in the form that the servers of this package write.
        if let Some((id, _)) = open_response(frame) {
            return Ok(Self::Answer(id));
        }
        if let Some(stream) = FromServer::stream_of(frame) {
            return Ok(Self::Items(stream));
        }
        // A refusal, or an answer that another implementation of tarpc's protocol has encoded. tarpc's own
        // server writes an array, as frames of streams are; but its second element is no handle.
        Ok(Self::Answer(Answer::read(frame)?.request_id))
    }
}

/// Wakes a thread that waits.
pub(super) trait Wake {
    /// Wakes the thread. If it does not sleep yet, its next sleep ends at once.
    fn wake(&self);
}

impl Wake for std::thread::Thread {
    fn wake(&self) {
        self.unpark();
    }
}

/// The frames that a thread has read for other threads, the threads that wait, and the read half while no
/// thread has it. `R` is the read half of the connection; `W` wakes a thread.
pub(super) struct Inbox<R, W> {
    /// The read half; `None` while a thread has it.
    read_half: Option<R>,
    /// The calls whose answers were not taken. A thread that has the read half when it sends a call reads the
    /// answer directly; the call is added only if the thread returns the read half before the answer arrives.
    calls: Vec<ExpectedCall>,
    /// The streams by handle, each with its frames that were not taken. The frames have their headers, as on
    /// the wire.
    streams: HashMap<u64, Vec<u8>>,
    /// The threads that sleep, at most one for each topic: a call has one caller, and a stream one user. When
    /// the read half is returned, the first of these threads is woken to read.
    waiting: Vec<(Topic, W)>,
    /// Why the connection was lost; `None` if it was not.
    fault: Option<Error>,
}

/// A call that was sent or is about to be sent, and whose answer was not taken.
struct ExpectedCall {
    id: u64,
    answer: ExpectedAnswer,
}

/// The state of the answer to an [`ExpectedCall`].
enum ExpectedAnswer {
    /// The answer has not arrived. A thread will ask for it.
    Awaited,
    /// The answer has arrived: its frame.
    Arrived(Vec<u8>),
    /// The answer has not arrived, and no thread will ask for it. The function releases the objects and
    /// streams in the answer.
    GivenUp(&'static Method, Discard),
}

/// The next step of a thread that waits.
#[derive(Debug)]
pub(super) enum Step<R> {
    /// The frame of the answer has arrived, without its header; or frames of the stream have arrived, with
    /// their headers.
    Arrived(Vec<u8>),
    /// The thread gets the read half. It reads, and then calls [`Inbox::return_read_half`].
    Read(R),
    /// The thread sleeps until it is woken.
    Sleep,
    /// The connection was lost.
    Fault(Error),
}

/// The result of [`Inbox::deliver`].
#[derive(Debug)]
pub(super) enum DeliveryOutcome {
    /// The frame was kept, or was dropped because its stream was released.
    Done,
    /// The frame answers a call that was given up. The caller passes it to [`discard_answer`].
    GivenUp(&'static Method, Discard),
    /// The frame is an answer that no call expects.
    Unexpected,
}

impl<R, W: Wake> Inbox<R, W> {
    pub(super) fn new(read_half: R) -> Self {
        Self {
            read_half: Some(read_half),
            calls: Vec::new(),
            streams: HashMap::new(),
            waiting: Vec::new(),
            fault: None,
        }
    }

    /// Takes the read half; `None` if another thread has it. The caller gives it back by
    /// [`return_read_half`](Self::return_read_half).
    ///
    /// # Errors
    /// If the connection was lost.
    pub(super) fn take_read_half(&mut self) -> Result<Option<R>> {
        self.check().map(|()| self.read_half.take())
    }

    /// Checks that the connection was not lost.
    ///
    /// # Errors
    /// The reason, if it was lost.
    pub(super) fn check(&self) -> Result<()> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Stores the read half that a thread has used, and wakes the next thread to read.
    pub(super) fn return_read_half(&mut self, read_half: R) {
        self.read_half = Some(read_half);
        self.wake_next_reader();
    }

    /// Ends the connection. All threads that wait are woken; those for which no frame has arrived get
    /// `fault`, or an earlier fault if there is one.
    pub(super) fn fail(&mut self, fault: Error) {
        self.fault.get_or_insert(fault);
        self.waiting.iter().for_each(|(_, waker)| waker.wake());
    }

    /// Registers the call `id`, so that its answer is kept when it arrives.
    pub(super) fn expect(&mut self, id: u64) {
        self.calls.push(ExpectedCall { id, answer: ExpectedAnswer::Awaited });
    }

    /// Removes a call whose answer will not be taken from the inbox: the call was not sent, its caller has
    /// read the answer itself with the read half, or the connection was lost.
    pub(super) fn forget(&mut self, id: u64) {
        self.calls.retain(|call| call.id != id);
    }

    /// Returns the answer to a call if it has arrived. Otherwise the answer will be discarded when it
    /// arrives. The call need not have been registered by [`expect`](Self::expect) before.
    pub(super) fn give_up(&mut self, id: u64, method: &'static Method, discard: Discard) -> Option<Vec<u8>> {
        let given_up = ExpectedAnswer::GivenUp(method, discard);
        match self.index_of(id) {
            Some(index) => match std::mem::replace(&mut self.calls[index].answer, given_up) {
                ExpectedAnswer::Arrived(answer) => {
                    self.calls.swap_remove(index);
                    Some(answer)
                }
                _ => None,
            },
            None => {
                self.calls.push(ExpectedCall { id, answer: given_up });
                None
            }
        }
    }

    /// Starts to keep the frames of a stream.
    pub(super) fn open(&mut self, stream: u64) {
        self.streams.entry(stream).or_default();
    }

    /// Drops the frames of a stream, including those that arrive later.
    pub(super) fn close(&mut self, stream: u64) {
        self.streams.remove(&stream);
    }

    /// Keeps a frame for another thread, and wakes that thread.
    pub(super) fn deliver(&mut self, topic: Topic, frame: &[u8]) -> DeliveryOutcome {
        match topic {
            Topic::Items(stream) => {
                let Some(frames) = self.streams.get_mut(&stream) else { return DeliveryOutcome::Done };
                append_frame(frame, frames);
            }
            Topic::Answer(id) => {
                let Some(index) = self.index_of(id) else { return DeliveryOutcome::Unexpected };
                match self.calls[index].answer {
                    ExpectedAnswer::GivenUp(method, discard) => {
                        self.calls.swap_remove(index);
                        return DeliveryOutcome::GivenUp(method, discard);
                    }
                    ExpectedAnswer::Arrived(_) => return DeliveryOutcome::Unexpected,
                    ExpectedAnswer::Awaited => {
                        self.calls[index].answer = ExpectedAnswer::Arrived(frame.to_vec());
                    }
                }
            }
        }
        if let Some((_, waker)) = self.waiting.iter().find(|(waiting, _)| *waiting == topic) {
            waker.wake();
        }
        DeliveryOutcome::Done
    }

    /// The index in `calls` of the call `id`.
    fn index_of(&self, id: u64) -> Option<usize> {
        self.calls.iter().position(|call| call.id == id)
    }

    /// Decides the next step of a thread that waits for `topic`. After [`Step::Sleep`] the thread sleeps
    /// until it is woken, or until its time is over. It then polls again, or calls
    /// [`stop_waiting`](Self::stop_waiting). `make_waker` makes the waker of the thread, when the thread is
    /// about to sleep for the first time.
    pub(super) fn poll(&mut self, topic: Topic, make_waker: impl FnOnce() -> W) -> Step<R> {
        let step = match (self.take_arrived(topic), &self.fault) {
            (Some(arrived), _) => Step::Arrived(arrived),
            (None, Some(fault)) => Step::Fault(fault.clone()),
            (None, None) => self.read_half.take().map_or(Step::Sleep, Step::Read),
        };
        let index = self.waiting.iter().position(|(waiting, _)| *waiting == topic);
        match (&step, index) {
            (Step::Sleep, None) => self.waiting.push((topic, make_waker())),
            (Step::Sleep, Some(_)) | (_, None) => {}
            (_, Some(index)) => {
                self.waiting.swap_remove(index);
            }
        }
        // This thread may have been woken to read. If it does not read, because its frame has arrived, the
        // read half is still here, so another thread is woken to read.
        if !matches!(step, Step::Sleep) {
            self.wake_next_reader();
        }
        step
    }

    /// Records that a thread no longer waits for `topic`. Frames of `topic` are still kept.
    pub(super) fn stop_waiting(&mut self, topic: Topic) {
        self.waiting.retain(|(waiting, _)| *waiting != topic);
        // This thread may have been woken to read, and does not read any more. So another thread is woken.
        self.wake_next_reader();
    }

    /// Takes the frames of `topic` that have arrived.
    fn take_arrived(&mut self, topic: Topic) -> Option<Vec<u8>> {
        match topic {
            Topic::Items(stream) => {
                let frames = self.streams.get_mut(&stream)?;
                (!frames.is_empty()).then(|| std::mem::take(frames))
            }
            Topic::Answer(id) => {
                let is_answered =
                    |call: &ExpectedCall| call.id == id && matches!(call.answer, ExpectedAnswer::Arrived(_));
                let index = self.calls.iter().position(is_answered)?;
                match self.calls.swap_remove(index).answer {
                    ExpectedAnswer::Arrived(frame) => Some(frame),
                    _ => None,
                }
            }
        }
    }

    /// Wakes a thread to read, if no thread has the read half.
    fn wake_next_reader(&self) {
        if self.read_half.is_some()
            && let Some((_, waker)) = self.waiting.first()
        {
            waker.wake();
        }
    }
}

/// Decodes and drops the answer to a call that was given up, so that the objects and streams in the answer
/// are released.
pub(super) fn discard_answer(link: Arc<dyn Link>, frame: &[u8], method: &'static Method, discard: Discard) {
    if let Ok(response) = Answer::read(frame).and_then(|answer| answer.response) {
        receive(link, || discard(method, &response));
    }
}

/// The error of a connection on which an answer arrived that no call expects. If the answer is a refusal,
/// returns the error in the refusal: a server that cannot decode the id of a call sends a refusal without a
/// valid id, and closes the connection.
pub(super) fn unexpected_answer(frame: &[u8]) -> Error {
    match Answer::read(frame).map(|answer| answer.response) {
        Ok(Ok(_)) => Error::new(ErrorId::INTERNAL, "the server answered another call"),
        Ok(Err(refusal)) => refusal,
        Err(unreadable) => unreadable,
    }
}

/// Appends `frame` with its header to `frames`.
pub(super) fn append_frame(frame: &[u8], frames: &mut Vec<u8>) {
    // The length of a received frame came from a header of this size, so it fits.
    let header: [u8; HEADER_SIZE] = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
    frames.extend_from_slice(&header);
    frames.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, VecDeque};
    use std::rc::Rc;

    use super::*;
    use crate::wire::extension::put_item;

    /// Whether a thread was woken since its last poll.
    type Woken = Rc<Cell<bool>>;

    impl Wake for Woken {
        fn wake(&self) {
            self.set(true);
        }
    }

    #[test]
    fn an_answer_of_tarpcs_own_server_is_told_from_an_item_of_a_stream() {
        // tarpc's own server writes the fields of an answer, its id and its message, without names.
        let message = Ok::<_, ()>(BTreeMap::from([("ping", ())]));
        let answer = rmp_serde::to_vec(&(7_u64, message)).unwrap();
        assert_eq!(Topic::of(&answer).unwrap(), Topic::Answer(7));
        let mut item = Vec::new();
        put_item(7, 1, &[0xc0], 1000, &mut item).unwrap();
        assert_eq!(Topic::of(&item[HEADER_SIZE..]).unwrap(), Topic::Items(7));
    }

    /// Threads that each wait for one answer. The id of a call is the index of its thread.
    struct Model {
        inbox: Inbox<(), Woken>,
        threads: Vec<(State, Woken)>,
        /// The calls whose answers have not arrived at the socket.
        to_arrive: VecDeque<u64>,
        /// The calls whose answers can be read from the socket.
        readable: VecDeque<u64>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum State {
        Runs,
        Reads,
        Sleeps,
        HasAnswer,
        GaveUp,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Arrive,
        Continue(usize),
        TimeOut(usize),
    }

    fn discard(_: &'static Method, _: &[u8]) {}

    static METHOD: Method = Method {
        name: std::borrow::Cow::Borrowed("m"),
        params: std::borrow::Cow::Borrowed(&[]),
        returns: std::borrow::Cow::Borrowed("Result<()>"),
        doc: std::borrow::Cow::Borrowed(""),
        read: None,
        idempotent: false,
        deadline_ms: None,
    };

    impl Model {
        /// A model in which the `answers` arrive at the socket in this order.
        fn new(threads: usize, answers: &[u64]) -> Self {
            let mut inbox = Inbox::new(());
            (0..threads as u64).for_each(|id| inbox.expect(id));
            Self {
                inbox,
                threads: vec![(); threads].into_iter().map(|()| (State::Runs, Woken::default())).collect(),
                to_arrive: answers.iter().copied().collect(),
                readable: VecDeque::new(),
            }
        }

        /// The possible next actions, other than timeouts.
        fn progress(&self) -> Vec<Action> {
            let can_continue = |(state, woken): &(State, Woken)| match state {
                State::Runs => true,
                State::Reads => !self.readable.is_empty(),
                State::Sleeps => woken.get(),
                State::HasAnswer | State::GaveUp => false,
            };
            let threads = (0..self.threads.len()).filter(|thread| can_continue(&self.threads[*thread]));
            let arrival = (!self.to_arrive.is_empty()).then_some(Action::Arrive);
            threads.map(Action::Continue).chain(arrival).collect()
        }

        /// The possible next actions, if the first `with_timeout` threads may time out.
        fn actions(&self, with_timeout: usize) -> Vec<Action> {
            let waits = |thread: &usize| matches!(self.threads[*thread].0, State::Reads | State::Sleeps);
            let timeouts = (0..with_timeout).filter(waits).map(Action::TimeOut);
            self.progress().into_iter().chain(timeouts).collect()
        }

        fn act(&mut self, action: Action) {
            match action {
                Action::Arrive => self.readable.extend(self.to_arrive.pop_front()),
                Action::Continue(thread) => self.threads[thread].0 = self.resume(thread),
                Action::TimeOut(thread) => {
                    let id = thread as u64;
                    let reads = self.threads[thread].0 == State::Reads;
                    let answer = self.inbox.give_up(id, &METHOD, discard);
                    if reads {
                        self.inbox.return_read_half(());
                    } else {
                        self.inbox.stop_waiting(Topic::Answer(id));
                    }
                    self.threads[thread].0 = if answer.is_some() { State::HasAnswer } else { State::GaveUp };
                }
            }
        }

        /// Runs a thread up to its next state.
        fn resume(&mut self, thread: usize) -> State {
            let (state, woken) = &self.threads[thread];
            let id = thread as u64;
            if *state == State::Reads {
                let answered_id = self.readable.pop_front().unwrap();
                if answered_id == id {
                    self.inbox.forget(id);
                    self.inbox.return_read_half(());
                    return State::HasAnswer;
                }
                let outcome = self.inbox.deliver(Topic::Answer(answered_id), &answered_id.to_be_bytes());
                assert!(!matches!(outcome, DeliveryOutcome::Unexpected), "the answer {answered_id} was lost");
                return State::Reads;
            }
            woken.set(false);
            match self.inbox.poll(Topic::Answer(id), || Rc::clone(woken)) {
                Step::Arrived(frame) => {
                    assert_eq!(frame, id.to_be_bytes());
                    State::HasAnswer
                }
                Step::Read(()) => State::Reads,
                Step::Sleep => State::Sleeps,
                Step::Fault(error) => panic!("{error}"),
            }
        }

        /// Runs the model until no thread can progress. In step `n`, the action with the index `choices[n]`,
        /// modulo the number of possible actions, is taken. In the steps after the last choice, the first
        /// possible action is taken. Returns the number of possible actions of each step.
        fn run(&mut self, with_timeout: usize, choices: &[usize]) -> Vec<usize> {
            let mut counts = Vec::new();
            while !self.progress().is_empty() {
                let actions = self.actions(with_timeout);
                let choice = choices.get(counts.len()).map_or(0, |choice| choice % actions.len());
                counts.push(actions.len());
                self.act(actions[choice]);
            }
            let states: Vec<State> = self.threads.iter().map(|(state, _)| *state).collect();
            let ended = |state: &State| matches!(state, State::HasAnswer | State::GaveUp);
            assert!(states.iter().all(ended), "{states:?} after {choices:?}");
            counts
        }
    }

    #[test]
    fn in_every_order_each_of_two_threads_gets_its_answer_or_gives_up() {
        for answers in [[0, 1], [1, 0]] {
            let (mut choices, mut schedules) = (Vec::new(), 0);
            loop {
                let counts = Model::new(2, &answers).run(2, &choices);
                schedules += 1;
                choices.resize(counts.len(), 0);
                // Depth first: the last choice that has an alternative left takes the next one.
                while choices.last().is_some_and(|last| last + 1 >= counts[choices.len() - 1]) {
                    choices.pop();
                }
                match choices.last_mut() {
                    Some(last) => *last += 1,
                    None => break,
                }
            }
            assert!(schedules > 300, "{schedules}");
        }
    }

    proptest::proptest! {
        #[test]
        fn in_random_orders_each_of_several_threads_gets_its_answer_or_gives_up(
            threads in 3..6_usize,
            with_timeout in 0..3_usize,
            rotation in 0..6_usize,
            choices in proptest::collection::vec(0..60_usize, 0..60),
        ) {
            let mut answers: Vec<u64> = (0..threads as u64).collect();
            answers.rotate_left(rotation % threads);
            Model::new(threads, &answers).run(with_timeout, &choices);
        }
    }

    #[test]
    fn frames_of_a_stream_are_kept_until_it_is_closed() {
        let mut inbox: Inbox<(), Woken> = Inbox::new(());
        let items = Topic::Items(7);
        inbox.deliver(items, b"early");
        inbox.open(7);
        let _reader = inbox.take_read_half();
        assert!(matches!(inbox.poll(items, Woken::default), Step::Sleep));
        inbox.deliver(items, b"a");
        inbox.deliver(items, b"bc");
        let Step::Arrived(frames) = inbox.poll(items, Woken::default) else { panic!() };
        assert_eq!(frames, b"\0\0\0\x01a\0\0\0\x02bc");
        inbox.close(7);
        inbox.deliver(items, b"late");
        assert!(matches!(inbox.poll(items, Woken::default), Step::Sleep));
    }

    #[test]
    fn a_lost_connection_wakes_all_and_keeps_its_first_reason() {
        let mut inbox: Inbox<(), Woken> = Inbox::new(());
        let _reader = inbox.take_read_half();
        let threads = [Woken::default(), Woken::default()];
        for (stream, woken) in threads.iter().enumerate() {
            inbox.poll(Topic::Items(stream as u64), || Rc::clone(woken));
        }
        for message in ["first", "second"] {
            inbox.fail(Error::new(miko_rpc::ErrorId::SERVER_GONE, message));
        }
        assert!(threads.iter().all(|woken| woken.get()));
        let Step::Fault(error) = inbox.poll(Topic::Items(0), Woken::default) else { panic!() };
        assert!(error.to_string().contains("first") && inbox.take_read_half().is_err());
    }
}
