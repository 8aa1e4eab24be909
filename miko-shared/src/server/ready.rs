//! What of a connection may have something to send: each stream and each later answer is named by its waker.
//!
//! One that has nothing is not looked at, so it costs the calls of its connection nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The handles that were named since the list was last taken.
#[derive(Default)]
pub(super) struct ReadyList {
    handles: Mutex<Handles>,
    has_some: AtomicBool,
}

#[derive(Default)]
struct Handles {
    named: Vec<u64>,
    /// The task of the connection, while it waits.
    task: Option<Waker>,
}

/// Names one handle, itself or as a waker.
pub(super) struct NamedWaker {
    handle: Arc<HandleWaker>,
    waker: Waker,
}

struct HandleWaker {
    handle: u64,
    list: Arc<ReadyList>,
    is_named: AtomicBool,
}

impl ReadyList {
    /// Whether no handle is named.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_some.load(Ordering::Acquire)
    }

    /// Takes the handles, in the order in which they were named.
    pub(super) fn take(&self) -> Vec<u64> {
        let mut handles = self.lock();
        self.has_some.store(false, Ordering::Release);
        std::mem::take(&mut handles.named)
    }

    /// Whether a handle is named, or registers the task to be woken.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut handles = self.lock();
        if !handles.named.is_empty() {
            return Poll::Ready(());
        }
        if !handles.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            handles.task = Some(context.waker().clone());
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, Handles> {
        // Nothing panics while the lock is held.
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NamedWaker {
    pub(super) fn new(handle: u64, list: &Arc<ReadyList>) -> Self {
        let handle = HandleWaker { handle, list: Arc::clone(list), is_named: AtomicBool::new(false) };
        let handle = Arc::new(handle);
        Self { waker: Waker::from(Arc::clone(&handle)), handle }
    }

    /// Names the handle, unless it is named already, and wakes the task of the connection.
    pub(super) fn make_ready(&self) {
        self.handle.make_ready();
    }

    /// Records that the handle was taken from the list.
    pub(super) fn mark_taken(&self) {
        self.handle.is_named.store(false, Ordering::Release);
    }

    /// The context in which a source names the handle.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }
}

impl HandleWaker {
    fn make_ready(&self) {
        if self.is_named.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut handles = self.list.lock();
        handles.named.push(self.handle);
        self.list.has_some.store(true, Ordering::Release);
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
