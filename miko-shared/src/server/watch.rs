//! Keeping the server awake between two calls, while that pays.

use std::cell::Cell;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::polling::Polling;

/// Looks for the next call again and again before the runtime blocks.
pub(super) struct Watch {
    allowed: bool,
    /// How many times calls have come.
    arrivals: Cell<u64>,
    arrived: Notify,
}

impl Watch {
    pub(super) fn new(allowed: bool) -> Self {
        Self { allowed, arrivals: Cell::new(0), arrived: Notify::new() }
    }

    /// Says that calls have come.
    pub(super) fn note(&self) {
        if self.allowed {
            self.arrivals.set(self.arrivals.get() + 1);
            self.arrived.notify_one();
        }
    }

    /// Keeps watch for ever.
    pub(super) async fn keep(&self) {
        let mut polling = Polling::new(self.allowed);
        let mut seen = 0;
        loop {
            while seen == self.arrivals.get() {
                self.arrived.notified().await;
            }
            seen = self.arrivals.get();
            while let Some(until) = polling.begin() {
                let in_time = self.watch(until).await;
                polling.ended(in_time);
                seen = self.arrivals.get();
                if !in_time {
                    break;
                }
            }
        }
    }

    /// Do calls come until then? A task that yields has the runtime ask the kernel, and not wait for an answer.
    async fn watch(&self, until: Instant) -> bool {
        let before = self.arrivals.get();
        loop {
            yield_now().await;
            if self.arrivals.get() != before {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }
}
