//! How far the exchanges of a connection are.

use std::cell::Cell;
use std::rc::Rc;

/// How far the connection is.
#[derive(Default)]
pub(crate) struct Progress {
    phase: Cell<Phase>,
    /// Whether bytes of the next request have arrived.
    has_begun: Cell<bool>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Waits for the next request.
    #[default]
    Idle,
    /// A request is being answered.
    Answering,
    /// The response is complete, and not all of it was written.
    Answered,
}

/// A request that is being answered, until the body of its response is dropped.
pub(crate) struct Exchange(Rc<Progress>);

impl Exchange {
    pub(crate) fn begin(progress: &Rc<Progress>) -> Self {
        progress.phase.set(Phase::Answering);
        Self(Rc::clone(progress))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Answered);
    }
}

impl Progress {
    /// Whether the next request is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// Records that bytes have arrived.
    pub(crate) fn record_read(&self) {
        self.has_begun.set(true);
    }

    /// Records that all was written that there was.
    pub(crate) fn record_flush(&self) {
        if self.phase.get() == Phase::Answered {
            self.phase.set(Phase::Idle);
            self.has_begun.set(false);
        }
    }

    /// Whether a part of a request has arrived, and no more came.
    pub(crate) fn is_inside_head(&self) -> bool {
        self.is_idle() && self.has_begun.get()
    }
}
