//! How a client waits for an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity, sched_yield};
use nix::unistd::Pid;

use super::{Backoff, SharedStatus};

/// How long to look again if there is one worker: some calls take longer, most take less, and a wake-up takes 60 µs.
const BASE_WINDOW: Duration = Duration::from_micros(200);

/// How much longer for each worker more. All of them are answered in turn, and where nobody polls yet a turn takes so long.
const WINDOW_PER_CLIENT: Duration = Duration::from_micros(50);

const MAX_WINDOW: Duration = Duration::from_millis(5);

/// A client moves off the server's core one time of so many that it finds itself there, the first one included.
const MIGRATE_EVERY: u32 = 8;

/// Says whether and how long a client looks again before it blocks.
pub(crate) struct AdaptiveSpin {
    /// Nobody polls without.
    shared_status: Option<Arc<SharedStatus>>,
    window: Duration,
    backoff: Backoff,
    /// How often the server was met on its core, counted up to [`MIGRATE_EVERY`].
    collisions: u32,
}

impl AdaptiveSpin {
    /// For a client that watches this shared_status.
    pub(crate) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        let window = window(shared_status.as_ref().map_or(1, |shared_status| shared_status.clients()));
        Self { shared_status, window, backoff: Backoff::default(), collisions: 0 }
    }

    /// Begins to look again, if that is likely to pay. Tell [`record`](Self::record) what came of it.
    pub(crate) fn begin(&mut self) -> Option<SpinWindow> {
        let shared_status = self.shared_status.as_ref()?;
        let busy = shared_status.is_busy();
        if !(busy || shared_status.has_cpu_per_client()) || !self.backoff.should_try() {
            return None;
        }
        // A server that is not busy leaves time on its core, which nobody else might use.
        if (busy || shared_status.has_cpu_for_server()) && shared_status.is_on_this_cpu() {
            self.collisions = (self.collisions + 1) % MIGRATE_EVERY;
            // Where the system forbids to move, nobody moves.
            let moved = self.collisions == 1 && migrate().is_ok();
            if !moved || shared_status.is_on_this_cpu() {
                return None;
            }
        }
        let now = Instant::now();
        Some(SpinWindow { until: now + self.window, now })
    }

    /// An answer was found, or none. One that is late counts as none: this client gave way to somebody who computes.
    pub(crate) fn record(&mut self, window: &SpinWindow, found: bool) {
        self.backoff.record(found && window.is_open());
    }
}

/// How long each of so many clients looks again.
fn window(clients: usize) -> Duration {
    let others = u32::try_from(clients.saturating_sub(1)).unwrap_or(u32::MAX);
    (BASE_WINDOW + WINDOW_PER_CLIENT.saturating_mul(others)).min(MAX_WINDOW)
}

/// Looking again and again, for a while.
pub(crate) struct SpinWindow {
    until: Instant,
    now: Instant,
}

impl SpinWindow {
    /// Lets everybody run who is ready to. Then is the time to look.
    pub(crate) fn yield_cpu(&mut self) {
        // It cannot fail on Linux.
        let _ = sched_yield();
        self.now = Instant::now();
    }

    /// Is there time to look once more?
    pub(crate) fn is_open(&self) -> bool {
        self.now < self.until
    }
}

/// Leaves the core that this thread is on, if it may run on another. It may come back.
fn migrate() -> nix::Result<()> {
    let this_thread = Pid::from_raw(0);
    let all = sched_getaffinity(this_thread)?;
    let mut others = all;
    others.unset(sched_getcpu()?)?;
    if (0..CpuSet::count()).any(|cpu| others.is_set(cpu) == Ok(true)) {
        sched_setaffinity(this_thread, &others)?;
        sched_setaffinity(this_thread, &all)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of a busy server, which is nowhere.
    fn shared_status() -> Option<Arc<SharedStatus>> {
        let shared_status = SharedStatus::new(1, 2).unwrap();
        shared_status.publish_busy(true);
        Some(Arc::new(shared_status))
    }

    /// Waits so many times for what comes at once or never, and says how often it looked again.
    fn attempts(adaptive_spin: &mut AdaptiveSpin, waits: usize, found: bool) -> usize {
        let window =
            |_: &usize| adaptive_spin.begin().map(|window| adaptive_spin.record(&window, found)).is_some();
        (0..waits).filter(window).count()
    }

    #[test]
    fn without_a_beacon_nobody_looks_again() {
        assert_eq!(attempts(&mut AdaptiveSpin::new(None), 100, true), 0);
    }

    #[test]
    fn among_more_processes_than_cpus_nobody_looks_again_at_a_server_that_is_not_busy() {
        let shared_status = Arc::new(SharedStatus::new(20, 2).unwrap());
        let mut adaptive_spin = AdaptiveSpin::new(Some(Arc::clone(&shared_status)));
        assert_eq!(attempts(&mut adaptive_spin, 100, true), 0);
        shared_status.publish_busy(true);
        assert_eq!(attempts(&mut adaptive_spin, 100, true), 100);
    }

    #[test]
    fn looking_again_that_pays_goes_on_and_other_is_left_off() {
        let mut adaptive_spin = AdaptiveSpin::new(shared_status());
        assert_eq!(attempts(&mut adaptive_spin, 100, true), 100);
        assert_eq!(attempts(&mut adaptive_spin, 86, false), 4);
    }

    #[test]
    fn the_more_there_are_the_longer_each_looks() {
        assert_eq!(window(0), window(1));
        assert!(window(1) < window(2) && window(2) < window(20));
        assert_eq!(window(usize::MAX), MAX_WINDOW);
    }

    #[test]
    fn an_answer_that_comes_after_the_time_counts_as_none() {
        let mut adaptive_spin = AdaptiveSpin::new(shared_status());
        let mut window = adaptive_spin.begin().unwrap();
        assert!(window.is_open());
        window.until = window.now;
        window.yield_cpu();
        assert!(!window.is_open());
        adaptive_spin.record(&window, true);
        assert!(adaptive_spin.begin().is_none());
    }

    #[test]
    fn whoever_moves_may_run_everywhere_as_before() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        migrate().unwrap();
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }
}
