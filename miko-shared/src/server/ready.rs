//! The list of the streams, parked calls and later answers of a connection that may have something to do. The
//! session keeps each of these entries by a number, its handle. The waker of an entry puts the handle on the
//! list.
//!
//! Only listed handles are polled, so idle streams cost the calls of their connection nothing. Parked calls
//! have a separate part of the list, because they are run also while the client does not read its answers: a
//! call whose turn has come is inside its gate, and calls of other connections may wait until it leaves the
//! gate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The handles that were put on the list since they were last taken.
#[derive(Default)]
pub(super) struct ReadyList {
    handles: Mutex<ListedHandles>,
    /// Whether a handle is on the list. Written under the lock of `handles`, and read without it.
    is_nonempty: AtomicBool,
}

#[derive(Default)]
struct ListedHandles {
    /// The handles of parked calls.
    parked: Vec<u64>,
    /// The handles of streams and later answers, which send something.
    senders: Vec<u64>,
    /// The task of the connection, while it waits.
    task: Option<Waker>,
}

/// The kind of entry of the session to which a listed handle belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadyKind {
    /// A parked call.
    Parked,
    /// A stream or a later answer. It stays on the list while too many bytes of the connection wait to be
    /// sent.
    Sender,
}

/// Puts one handle on the list: by `make_ready`, or when the waker in its `context` is woken.
pub(super) struct ListedWaker {
    /// The handle, shared with `waker`.
    inner: Arc<HandleWaker>,
    waker: Waker,
}

struct HandleWaker {
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
        self.is_nonempty.store(!handles.senders.is_empty(), Ordering::Release);
        std::mem::take(&mut handles.parked)
    }

    /// As [`take_parked`](Self::take_parked), for streams and later answers.
    pub(super) fn take_senders(&self) -> Vec<u64> {
        let mut handles = self.lock();
        self.is_nonempty.store(!handles.parked.is_empty(), Ordering::Release);
        std::mem::take(&mut handles.senders)
    }

    /// Ready if a handle is on the list; otherwise registers the task to be woken. `has_room`: whether
    /// streams and later answers may append bytes that the connection sends. If not, only parked calls count.
    pub(super) fn poll(&self, has_room: bool, context: &Context<'_>) -> Poll<()> {
        let mut handles = self.lock();
        if !handles.parked.is_empty() || has_room && !handles.senders.is_empty() {
            return Poll::Ready(());
        }
        if !handles.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            handles.task = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, ListedHandles> {
        // Nothing panics while the lock is held.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ListedWaker {
    pub(super) fn new(handle: u64, kind: ReadyKind, list: &Arc<ReadyList>) -> Self {
        let inner = HandleWaker { handle, kind, list: Arc::clone(list), is_listed: AtomicBool::new(false) };
        let inner = Arc::new(inner);
        Self { waker: Waker::from(Arc::clone(&inner)), inner }
    }

    /// Puts the handle on the list, unless it is there already, and wakes the task of the connection.
    pub(super) fn make_ready(&self) {
        self.inner.make_ready();
    }

    /// Records that the handle was taken from the list. Called before polling, so that a wake-up during the
    /// poll lists the handle again.
    pub(super) fn mark_taken(&self) {
        self.inner.is_listed.store(false, Ordering::Release);
    }

    /// The context with which a stream, an answer or a gate is polled.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl HandleWaker {
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
        let task = handles.task.take();
        drop(handles);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for HandleWaker {
    fn wake(self: Arc<Self>) {
        self.make_ready();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.make_ready();
    }
}
