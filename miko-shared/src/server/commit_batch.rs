//! Commit batches: the calls that have arrived on several connections are run together, with few commits.
//!
//! A batch consists of the connections that wait at the same time. It is served in groups: the calls of a
//! group share one commit. A group takes no further calls after [`MAX_GROUP_TIME`]. A connection can also be
//! served alone: each of its calls then has its own commit. If only one connection is left of a batch, it is
//! served alone. For a while after a failed commit, all connections are served alone.
//!
//! A batch forms as follows. The kernel reports several ready connections at once. The first task that has
//! calls in its buffer yields to the other ready tasks, which read and enqueue their calls. Then the first
//! task runs the calls of all connections, and each connection gets its own answers.
//!
//! If not all changes of a group can be committed, the calls whose changes are lost get the error as answer.
//! No call is run again after a failed commit.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, GroupFailure, Interface};

use super::calls::CallContext;
use super::connection_state::{ConnectionState, ServedCall};

/// After this time a group takes no further calls. The connections whose calls have all run are answered
/// before the batch continues, so that one long call does not delay answers that are ready. If not all calls
/// of the first connection have run in this time, those that have run are answered nevertheless, and the
/// others join a later batch. The time is long in tests, so that their groups do not depend on the speed of
/// the machine.
const MAX_GROUP_TIME: Duration = Duration::from_millis(if cfg!(test) { 60_000 } else { 1 });

/// After a failed commit, connections are served alone this many times, counted over all connections. Failed
/// commits tend to recur, and in a group a call whose changes cannot be committed fails all calls after it.
const UNGROUPED_AFTER_FAILURE: u32 = 100;

/// The connections that wait for the next batch.
#[derive(Default)]
pub(super) struct CommitBatch {
    waiting: RefCell<Vec<Rc<Slot>>>,
    /// How many times a connection is still to be served alone, after a failed commit.
    ungrouped_left: Cell<u32>,
}

/// Lends the state of one connection to the batch until the calls of the connection have been served.
#[derive(Default)]
pub(super) struct Slot {
    /// `None` while the state is used, after the connection has taken it back, and if serving panicked.
    state: Cell<Option<ConnectionState>>,
    /// Whether the connection may take its state back.
    is_released: Cell<bool>,
    /// Wakes the task of the connection.
    waker: Cell<Option<Waker>>,
}

impl CommitBatch {
    /// Serves the calls that have arrived on a connection, as part of the next batch. Returns `None` if
    /// serving them panicked.
    ///
    /// The task of the first connection that is enqueued runs the batch. The tasks of the others wait until
    /// the first task wakes them.
    pub(super) async fn enqueue<I: Interface + ?Sized>(
        &self,
        slot: &Rc<Slot>,
        state: ConnectionState,
        context: &CallContext<I>,
    ) -> Option<ConnectionState> {
        slot.state.set(Some(state));
        slot.is_released.set(false);
        self.waiting.borrow_mut().push(Rc::clone(slot));
        if self.waiting.borrow().len() == 1 {
            yield_to_ready_tasks().await;
            self.run(context);
        }
        poll_fn(|task| {
            if slot.is_released.get() {
                return Poll::Ready(slot.state.take());
            }
            slot.waker.set(Some(task.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Serves all waiting connections, and returns their states to them.
    fn run<I: Interface + ?Sized>(&self, context: &CallContext<I>) {
        let mut slots = Slots(self.waiting.take());
        while !slots.0.is_empty() {
            let served_count = if slots.0.len() == 1 || self.ungrouped_left.get() > 0 {
                self.ungrouped_left.set(self.ungrouped_left.get().saturating_sub(1));
                slots.0[0].serve(context);
                1
            } else {
                self.serve_group(&slots.0, context)
            };
            slots.release(served_count);
        }
    }

    /// Serves as many of these connections as fit into one group, from the front. Returns how many of them
    /// are answered now: those whose calls have all run, and in any case the first.
    fn serve_group<I: Interface + ?Sized>(&self, slots: &[Rc<Slot>], context: &CallContext<I>) -> usize {
        let started = Instant::now();
        // The index of the connection that is being served. All calls of the connections before it have run.
        let mut current = 0;
        let mut group = PendingGroup { slots, calls: Vec::new() };
        let committed = context.service.run_group(&mut |_index| {
            while let Some(slot) = slots.get(current)
                // Even if the time is over, the group gets one call.
                && (group.calls.is_empty() || started.elapsed() <= MAX_GROUP_TIME)
            {
                if let Some(call) = slot.with_state(|state| state.serve_next(context)).flatten() {
                    group.calls.push((current, call));
                    return true;
                }
                current += 1;
            }
            false
        });
        if let Err(GroupFailure { call, error }) = committed {
            self.ungrouped_left.set(UNGROUPED_AFTER_FAILURE);
            group.refuse_from(call, &error);
        }
        // The group has ended, so dropping it must not refuse its calls.
        group.calls.clear();
        current.max(1)
    }
}

/// The calls that have run in a group. If a call of the group panics, the changes of the group that are not
/// committed yet are undone, and this value is dropped with its calls in it: dropping it refuses the calls.
struct PendingGroup<'s> {
    slots: &'s [Rc<Slot>],
    /// The calls, each with the index of its connection.
    calls: Vec<(usize, ServedCall)>,
}

impl PendingGroup<'_> {
    /// Replaces the answers of the calls from the index `first` on by `error`.
    fn refuse_from(&mut self, first: usize, error: &Error) {
        let lost = self.calls.get(first..).unwrap_or_default();
        for calls in lost.chunk_by(|(one, _), (other, _)| one == other) {
            let (connection, _) = calls[0];
            self.slots[connection].with_state(|state| {
                state.refuse_served(calls.iter().map(|(_, call)| call), error);
            });
        }
    }
}

impl Drop for PendingGroup<'_> {
    fn drop(&mut self) {
        let message = "another call of the same commit panicked: the changes of this call may be lost";
        self.refuse_from(0, &Error::new(ErrorId::INTERNAL, message));
    }
}

impl Slot {
    /// Serves the calls of the connection, each with its own commit.
    fn serve<I: Interface + ?Sized>(&self, context: &CallContext<I>) {
        self.with_state(|state| state.serve(context));
    }

    /// Runs `work` on the state. If `work` panics, the state is lost, and the connection ends. Returns `None`
    /// if the state was lost before.
    fn with_state<R>(&self, work: impl FnOnce(&mut ConnectionState) -> R) -> Option<R> {
        let mut state = self.state.take()?;
        let done = work(&mut state);
        self.state.set(Some(state));
        Some(done)
    }

    /// Lets the connection take its state back, and wakes its task.
    fn release(&self) {
        self.is_released.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The connections of a batch. Dropping it releases all of them, even if serving one of them panics.
struct Slots(Vec<Rc<Slot>>);

impl Slots {
    /// Releases the first `count` connections.
    fn release(&mut self, count: usize) {
        self.0.drain(..count).for_each(|slot| slot.release());
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.release(self.0.len());
    }
}

/// Yields once to every ready task. Unlike tokio's `yield_now`, it does not make the runtime poll the kernel
/// for new events.
async fn yield_to_ready_tasks() {
    let mut yielded = false;
    poll_fn(|task| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::mpsc;
    use std::sync::{Arc, Mutex};
    use std::thread;

    use miko_rpc::codec::SerdeMessage;
    use miko_rpc::{Call, Client, Gate, GateMode, Method, MethodNames, Pass, Result, Served, Surface};

    use super::*;
    use crate::limits::Limits;
    use crate::server::{Activity, ServeOptions, Service, runtime, serve};
    use crate::token::Token;
    use crate::wire::envelope::Envelope;
    use crate::wire::frame::{self, FrameBuffer};
    use crate::wire::handshake::{Hello, preamble};
    use crate::wire::message::Answer;

    const LONG: Duration = Duration::from_secs(60);

    /// An interface with three methods. Calls of `one` enter the outer gate together with others. Calls of
    /// `both` enter the outer gate, too, and then the inner gate, each alone. Calls of `open` enter no gate.
    #[derive(Clone, Default)]
    struct TwoGates {
        /// A test closes this gate by entering it alone.
        outer: Gate,
        inner: Gate,
        state: Arc<Mutex<State>>,
    }

    #[derive(Default)]
    struct State {
        /// How many attempts to run calls of `one` and `both` there were, including those that were parked.
        attempts: usize,
        /// How many calls have written. A failed group resets it to the calls whose changes are committed.
        written: usize,
        /// The index of the call with which the next group fails. A group of one call ignores and resets it.
        fails_at: Option<usize>,
        /// The pass that closes the outer gate, until it is dropped.
        closed: Option<Pass>,
    }

    impl Interface for TwoGates {
        const NAMES: &'static MethodNames =
            &MethodNames { interface: "TwoGates", own: &[], supertraits: &[] };

        fn own_surface() -> &'static Surface {
            const METHOD: Method = Method {
                name: Cow::Borrowed("one"),
                params: Cow::Borrowed(&[]),
                returns: Cow::Borrowed("Result<()>"),
                doc: Cow::Borrowed(""),
                read: None,
                idempotent: false,
                deadline_ms: None,
            };
            static SURFACE: Surface = Surface {
                interface: Cow::Borrowed("TwoGates"),
                version: Cow::Borrowed(""),
                methods: Cow::Borrowed(&[
                    METHOD,
                    Method { name: Cow::Borrowed("both"), ..METHOD },
                    Method { name: Cow::Borrowed("open"), ..METHOD },
                ]),
                errors: Cow::Borrowed(&[]),
                schemas: None,
                objects: Cow::Borrowed(&[]),
            };
            &SURFACE
        }

        fn serve(&self, call: Call<'_>) -> Result<Served> {
            let [one, both, open] = &*Self::own_surface().methods else { panic!() };
            match call.method() {
                "one" => call.run(one, |()| self.write(None)),
                "both" => call.run(both, |()| self.write(Some(&self.inner))),
                _ => call.run(open, |()| {
                    // The outer gate is opened in the thread of the server, so that all waiting calls are
                    // woken before one of them runs.
                    let closed = self.state.lock().unwrap().closed.take();
                    drop(closed);
                    Ok::<(), Error>(())
                }),
            }
        }

        fn of_client(_: &Client<Self>) -> &Self {
            unreachable!("no proxy is used")
        }
    }

    impl TwoGates {
        /// Enters the outer gate, and then the gate `inner`, if it is given.
        fn write(&self, inner: Option<&Gate>) -> Result<()> {
            self.state.lock().unwrap().attempts += 1;
            let _pass = self.outer.enter(GateMode::Shared, LONG)?;
            let _alone = inner.map(|inner| inner.enter(GateMode::Exclusive, LONG)).transpose()?;
            self.state.lock().unwrap().written += 1;
            Ok(())
        }
    }

    impl Service<TwoGates> for TwoGates {
        fn interface(&self) -> &TwoGates {
            self
        }

        fn deliver(&self, _: &mut dyn Write) -> Result<()> {
            Ok(())
        }

        fn prefers_group_commit(&self) -> bool {
            true
        }

        fn run_group(&self, run_next: &mut dyn FnMut(usize) -> bool) -> Result<(), GroupFailure> {
            let before = self.state.lock().unwrap().written;
            let count = (0..).take_while(|index| run_next(*index)).count();
            let mut state = self.state.lock().unwrap();
            match state.fails_at.take().filter(|_| count > 1) {
                Some(call) => {
                    state.written = before + call;
                    Err(GroupFailure { call, error: Error::new(ErrorId::STORAGE_FULL, "the disk is full") })
                }
                None => Ok(()),
            }
        }
    }

    /// A connection that sends a call without waiting for the answer.
    struct Caller(UnixStream, FrameBuffer);

    impl Caller {
        fn connect(path: &std::path::Path, token: &Token) -> Self {
            let surface = TwoGates::surface();
            let hello = Hello {
                interface: "TwoGates".to_owned(),
                fingerprint: surface.fingerprint(),
                token: token.clone(),
                worker: None,
            };
            let mut bytes = preamble().to_vec();
            frame::encode(&hello, usize::MAX, &mut bytes).unwrap();
            let mut caller = Self(UnixStream::connect(path).unwrap(), FrameBuffer::default());
            caller.0.write_all(&bytes).unwrap();
            caller.frame();
            caller
        }

        fn call(&mut self, method: &str) {
            let mut bytes = Vec::new();
            let call =
                std::collections::BTreeMap::from([(method, std::collections::BTreeMap::<&str, ()>::new())]);
            let envelope = Envelope { deadline: LONG, id: 1 };
            envelope.enclose(&SerdeMessage(&call), usize::MAX, &mut bytes).unwrap();
            self.0.write_all(&bytes).unwrap();
        }

        /// Waits for the next frame of the server.
        fn frame(&mut self) -> Vec<u8> {
            loop {
                if let Some(frame) = self.1.next_frame(usize::MAX).unwrap() {
                    return frame.to_vec();
                }
                let count = self.0.read(self.1.room()).unwrap();
                assert!(count > 0, "the server has closed the connection");
                self.1.filled(count);
            }
        }

        /// Waits for the next answer. Returns whether the call was served.
        fn succeeds(&mut self) -> bool {
            let frame = self.frame();
            Answer::read(&frame).unwrap().response.is_ok()
        }
    }

    /// All `callers` but the last call `method` while the outer gate is closed, so that their calls are
    /// parked. The last one opens the gate. Returns which of the calls of `method` succeeded.
    fn call_as_group(gates: &TwoGates, callers: &mut [Caller], method: &str) -> Vec<bool> {
        let (opener, callers) = callers.split_last_mut().unwrap();
        let closed = gates.outer.enter(GateMode::Exclusive, LONG).unwrap();
        gates.state.lock().unwrap().closed = Some(closed);
        for (number, caller) in callers.iter_mut().enumerate() {
            caller.call(method);
            while gates.outer.waiting() <= number {
                thread::yield_now();
            }
        }
        opener.call("open");
        assert!(opener.succeeds());
        callers.iter_mut().map(Caller::succeeds).collect()
    }

    #[test]
    fn a_failed_group_runs_nothing_twice_and_leaves_all_gates() {
        let gates = TwoGates::default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let token = Token::random().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (ended, has_ended) = mpsc::channel();
        let (served, server_token) = (gates.clone(), token.clone());
        thread::spawn(move || {
            let options = ServeOptions {
                tokens: vec![server_token],
                limits: Limits::default(),
                shared_status: None,
                activity: Arc::new(Activity::new(TwoGates::surface(), LONG).unwrap()),
                around: None,
                protocols: Vec::new(),
            };
            let stop = async { drop(stopped.await) };
            runtime(None).unwrap().block_on(serve(Some(listener), Rc::new(served), options, stop)).unwrap();
            ended.send(()).unwrap();
        });
        let mut callers: Vec<Caller> = (0..6).map(|_| Caller::connect(&path, &token)).collect();
        let fail_next_group_at = |call| gates.state.lock().unwrap().fails_at = call;
        let state = || {
            let state = gates.state.lock().unwrap();
            (state.attempts, state.written, gates.outer.waiting() + gates.inner.waiting())
        };

        assert_eq!(call_as_group(&gates, &mut callers, "one"), [true; 5]);
        assert_eq!(state(), (10, 5, 0), "each call was parked once, and then ran again");

        fail_next_group_at(Some(2));
        assert_eq!(call_as_group(&gates, &mut callers, "one"), [true, true, false, false, false]);
        assert_eq!(state(), (20, 7, 0));

        // The calls are served alone for a while after a failure.
        for _ in 0..UNGROUPED_AFTER_FAILURE {
            callers[0].call("one");
            assert!(callers[0].succeeds());
        }
        let (attempts, written, _) = state();
        // In the group that fails, the second and the third call wait at the inner gate: the first call is
        // inside, and keeps its pass until the changes of the group are committed.
        fail_next_group_at(Some(0));
        assert_eq!(call_as_group(&gates, &mut callers[2..], "both"), [false; 3]);
        assert_eq!(state(), (attempts + 6, written, 0), "the calls at the inner gate have left it");
        assert!(gates.outer.enter(GateMode::Exclusive, Duration::ZERO).is_ok());
        assert!(gates.inner.enter(GateMode::Exclusive, Duration::ZERO).is_ok());
        // Each call was answered once: the next answer is that of the next call.
        for caller in &mut callers {
            caller.call("one");
            assert!(caller.succeeds());
        }
        drop((callers, stop));
        has_ended.recv_timeout(LONG).unwrap();
    }
}
