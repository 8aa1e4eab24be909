//! How far the exchanges of a connection are.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a connection may take the thread of the server before others have their turn.
pub(crate) const MAX_TURN: Duration = Duration::from_millis(1);

/// How far the connection is.
#[derive(Default)]
pub(crate) struct Progress {
    /// Since when the connection has been making a body in this turn.
    making_since: Cell<Option<Instant>>,
    phase: Cell<Phase>,
    /// Whether bytes of the next request have arrived.
    has_begun: Cell<bool>,
    /// Whether hyper has last found nothing to read, so that it is told what comes next.
    is_read: Cell<bool>,
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

    /// Whether the body has to let others have their turn before it makes more.
    pub(crate) fn is_turn_over(&self) -> bool {
        let Some(since) = self.0.making_since.get() else {
            self.0.making_since.set(Some(Instant::now()));
            return false;
        };
        since.elapsed() >= MAX_TURN
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.phase.set(Phase::Answered);
    }
}

impl Progress {
    /// Records that the connection has the thread of the server.
    pub(crate) fn begin_turn(&self) {
        self.making_since.set(None);
    }

    /// Whether the next request is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// Records that hyper has read, and whether bytes had arrived.
    pub(crate) fn record_read(&self, has_bytes: bool, is_pending: bool) {
        if has_bytes {
            self.has_begun.set(true);
        }
        self.is_read.set(is_pending);
    }

    /// Whether a request is being answered, and hyper does not see the end of the connection meanwhile.
    pub(crate) fn is_answering_unread(&self) -> bool {
        self.phase.get() == Phase::Answering && !self.is_read.get()
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
