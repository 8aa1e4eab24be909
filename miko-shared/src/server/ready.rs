//! The ready list of a connection: which of its streams, parked calls and later answers may have something to
//! do. The session keeps each of these entries by a number, its handle. The waker of an entry puts the handle
//! on the list.
//!
//! Only the entries on the list are polled, so an idle stream costs the calls of its connection nothing.
//! Parked calls have a part of the list to themselves, because they are run even while the client does not
//! read its answers: a call whose turn has come is inside its gate, and calls of other connections may wait
//! until it leaves the gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The handles that are on the list, until they are taken.
#[derive(Default)]
pub(super) struct ReadyList {
    handles: Mutex<ListedHandles>,
    /// Whether a handle is on the list. Written under the lock of `handles`, and read without the lock.
    is_nonempty: AtomicBool,
}

#[derive(Default)]
struct ListedHandles {
    /// The handles of parked calls.
    parked: Vec<u64>,
    /// The handles of streams and later answers, which send something.
    senders: Vec<u64>,
    /// Wakes the task of the connection. Set by [`ReadyList::poll`], and taken when the next handle is put on
    /// the list.
    task_waker: Option<Waker>,
}

/// The kind of entry of the session to which a listed handle belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadyKind {
    /// A parked call.
    Parked,
    /// A stream or a later answer. Its handle stays on the list while too many bytes of the connection wait
    /// to be sent.
    Sender,
}

/// Puts one handle on the list: when [`make_ready`](Self::make_ready) is called, or when the waker in its
/// [`context`](Self::context) is woken.
pub(super) struct ReadyWaker {
    state: Arc<WakerState>,
    /// A waker made from `state`.
    waker: Waker,
}

/// The data of a [`ReadyWaker`] and of its waker.
struct WakerState {
    handle: u64,
    kind: ReadyKind,
    list: Arc<ReadyList>,
    /// Whether the handle is on the list.
    is_listed: AtomicBool,
}

impl ReadyList {
    /// Whether no handle is on the list.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_nonempty.load(Ordering::Acquire)
    }

    /// Takes the handles of parked calls, in the order in which they were put on the list.
    pub(super) fn take_parked(&self) -> Vec<u64> {
        let mut handles = self.lock();
        // Only the other part of the list keeps its handles.
        self.is_nonempty.store(!handles.senders.is_empty(), Ordering::Release);
        std::mem::take(&mut handles.parked)
    }

    /// As [`take_parked`](Self::take_parked), for the handles of streams and later answers.
    pub(super) fn take_senders(&self) -> Vec<u64> {
        let mut handles = self.lock();
        self.is_nonempty.store(!handles.parked.is_empty(), Ordering::Release);
        std::mem::take(&mut handles.senders)
    }

    /// Ready if a handle is on the list; otherwise registers the task to be woken. `has_room`: whether
    /// streams and later answers may append bytes for the connection to send. If they may not, only the
    /// handles of parked calls count.
    pub(super) fn poll(&self, has_room: bool, context: &Context<'_>) -> Poll<()> {
        let mut handles = self.lock();
        if !handles.parked.is_empty() || has_room && !handles.senders.is_empty() {
            return Poll::Ready(());
        }
        if !handles.task_waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            handles.task_waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, ListedHandles> {
        // Nothing panics while the lock is held.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadyWaker {
    pub(super) fn new(handle: u64, kind: ReadyKind, list: &Arc<ReadyList>) -> Self {
        let state = WakerState { handle, kind, list: Arc::clone(list), is_listed: AtomicBool::new(false) };
        let state = Arc::new(state);
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }

    /// Puts the handle on the list, unless it is there already, and wakes the task of the connection.
    pub(super) fn make_ready(&self) {
        self.state.make_ready();
    }

    /// Records that the handle was taken from the list. Called before polling, so that a wake-up during the
    /// poll lists the handle again.
    pub(super) fn mark_taken(&self) {
        self.state.is_listed.store(false, Ordering::Release);
    }

    /// The context with which a stream, an answer or a gate is polled.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl WakerState {
    fn make_ready(&self) {
        if self.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut handles = self.list.lock();
        match self.kind {
            ReadyKind::Parked => handles.parked.push(self.handle),
            ReadyKind::Sender => handles.senders.push(self.handle),
        }
        self.list.is_nonempty.store(true, Ordering::Release);
        let task_waker = handles.task_waker.take();
        drop(handles);
        if let Some(task_waker) = task_waker {
            task_waker.wake();
        }
    }
}

impl Wake for WakerState {
    fn wake(self: Arc<Self>) {
        self.make_ready();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.make_ready();
    }
}
