//! Keeping the server awake between two calls, while that pays.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::polling::{Backoff, SharedStatus};

/// How long to look for the next call: a client that has its answer at once makes its next call sooner.
const POLL_WINDOW: Duration = Duration::from_micros(50);

/// Notes that calls come, and looks for the next one again and again before the runtime blocks.
pub(super) struct BusyPoll {
    shared_status: Option<Arc<SharedStatus>>,
    /// How many times calls have come.
    arrivals: Cell<u64>,
    arrived: Notify,
}

impl BusyPoll {
    pub(super) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        Self { shared_status, arrivals: Cell::new(0), arrived: Notify::new() }
    }

    /// May the server poll? It gives way to nobody, so that it needs a core that nobody else wants.
    pub(super) fn is_enabled(&self) -> bool {
        self.shared_status.as_ref().is_some_and(|shared_status| shared_status.has_cpu_for_server())
    }

    /// Says that calls have come.
    pub(super) fn record_arrival(&self) {
        if let Some(shared_status) = &self.shared_status {
            shared_status.publish_cpu();
        }
        if self.is_enabled() {
            self.arrivals.set(self.arrivals.get() + 1);
            self.arrived.notify_one();
        }
    }

    /// Keeps poll_until for ever.
    pub(super) async fn run(&self) {
        let mut backoff = Backoff::default();
        let mut seen = 0;
        loop {
            while seen == self.arrivals.get() {
                self.arrived.notified().await;
            }
            seen = self.arrivals.get();
            while backoff.should_try() {
                let in_time = self.poll_until(Instant::now() + POLL_WINDOW).await;
                backoff.record(in_time);
                seen = self.arrivals.get();
                if !in_time {
                    break;
                }
            }
        }
    }

    /// Do calls come until then? A task that yields has the runtime ask the kernel, and not wait for an answer.
    async fn poll_until(&self, until: Instant) -> bool {
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
