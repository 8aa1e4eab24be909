//! Keeping the server awake between two calls, while that pays.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::polling::{Backoff, Beacon};

/// How long to look for the next call: a client that has its answer at once makes its next call sooner.
const WINDOW: Duration = Duration::from_micros(50);

/// Notes that calls come, and looks for the next one again and again before the runtime blocks.
pub(super) struct Watch {
    beacon: Option<Arc<Beacon>>,
    /// How many times calls have come.
    arrivals: Cell<u64>,
    arrived: Notify,
}

impl Watch {
    pub(super) fn new(beacon: Option<Arc<Beacon>>) -> Self {
        Self { beacon, arrivals: Cell::new(0), arrived: Notify::new() }
    }

    /// May the server poll? It gives way to nobody, so that it needs a core that nobody else wants.
    pub(super) fn polls(&self) -> bool {
        self.beacon.as_ref().is_some_and(|beacon| beacon.server_has_cpu())
    }

    /// Says that calls have come.
    pub(super) fn note(&self) {
        if let Some(beacon) = &self.beacon {
            beacon.show_place();
        }
        if self.polls() {
            self.arrivals.set(self.arrivals.get() + 1);
            self.arrived.notify_one();
        }
    }

    /// Keeps watch for ever.
    pub(super) async fn keep(&self) {
        let mut backoff = Backoff::default();
        let mut seen = 0;
        loop {
            while seen == self.arrivals.get() {
                self.arrived.notified().await;
            }
            seen = self.arrivals.get();
            while backoff.tries() {
                let in_time = self.watch(Instant::now() + WINDOW).await;
                backoff.ended(in_time);
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
