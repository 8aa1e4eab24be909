//! Busy polling: after a call, the server polls for the next one before it blocks, while such polls succeed.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::polling::{Backoff, SharedStatus};

/// How long the server polls for the next call. A client that calls again directly after its answer takes
/// less time than this.
const POLL_WINDOW: Duration = Duration::from_micros(50);

/// Records the arrival of calls, and polls for the next one before the runtime blocks.
pub(super) struct BusyPoll {
    shared_status: Option<Arc<SharedStatus>>,
    /// How often calls have arrived while the server was allowed to poll.
    arrivals: Cell<u64>,
    /// Notified when calls arrive.
    arrived: Notify,
}

impl BusyPoll {
    pub(super) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        Self { shared_status, arrivals: Cell::new(0), arrived: Notify::new() }
    }

    /// Whether the server ever polls. It polls only if it publishes a status, which has the numbers of CPUs
    /// and clients by which [`is_enabled`](Self::is_enabled) decides.
    pub(super) fn may_be_enabled(&self) -> bool {
        self.shared_status.is_some()
    }

    /// Whether the server may poll now. It does not yield its core while it polls, so there must be a core
    /// that no client needs.
    fn is_enabled(&self) -> bool {
        self.shared_status.as_ref().is_some_and(|shared_status| shared_status.has_cpu_for_server())
    }

    /// Publishes the CPU on which the server runs, since calls have arrived. Records the arrival, if the
    /// server may poll now.
    pub(super) fn record_arrival(&self) {
        if let Some(shared_status) = &self.shared_status {
            shared_status.publish_cpu();
        }
        if self.is_enabled() {
            self.arrivals.set(self.arrivals.get() + 1);
            self.arrived.notify_one();
        }
    }

    /// After each arrival, polls for the next calls. Repeats this until none arrive in time, until the
    /// backoff skips a poll, or until the server may no longer poll. Then waits for the next arrival. Never
    /// returns.
    pub(super) async fn run(&self) {
        let mut backoff = Backoff::default();
        // The value of `arrivals` when this task last read it.
        let mut seen = 0;
        loop {
            while seen == self.arrivals.get() {
                self.arrived.notified().await;
            }
            seen = self.arrivals.get();
            while self.is_enabled() && backoff.should_try() {
                let in_time = self.poll_until(Instant::now() + POLL_WINDOW).await;
                backoff.record(in_time);
                seen = self.arrivals.get();
                if !in_time {
                    break;
                }
            }
        }
    }

    /// Polls until calls arrive (`true`) or `until` has passed (`false`). Each `yield_now` makes the runtime
    /// poll the kernel for events without blocking.
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
