//! Publishes the server's load; oversubscribed clients spin only while it is high.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::polling::SharedStatus;

/// The sampling period of the load. A sample takes a system call, which reads the CPU time of the thread.
const PERIOD: Duration = Duration::from_millis(4);

/// An idle server becomes busy if it uses more than this fraction of a period.
const BECOMES_BUSY: f32 = 0.6;

/// A busy server stays busy above this fraction. It is lower, since the load drops once clients need no
/// wake-ups.
const STAYS_BUSY: f32 = 0.4;

/// Builds the runtime of a server. Before it blocks, the runtime samples its load and publishes in
/// `shared_status` whether it is busy.
///
/// # Errors
/// If the system refuses the resources of a runtime.
pub(crate) fn runtime(shared_status: Option<&Arc<SharedStatus>>) -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    if let Some(shared_status) = shared_status.map(Arc::clone) {
        let load = Mutex::new(LoadMeter { begin: Instant::now(), used: cpu_time(), busy: false });
        builder.on_thread_park(move || {
            // The only thread of the runtime takes this lock, so it is never contended, and never poisoned.
            let mut load = load.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(busy) = load.sample(Instant::now(), cpu_time) {
                shared_status.publish_busy(busy);
            }
        });
    }
    builder.enable_all().build()
}

/// The CPU time of this thread. Time spent waiting for a CPU does not count: the server is not the bottleneck
/// then.
fn cpu_time() -> Duration {
    // All versions of Linux have this clock; without it the server never counts as busy.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Measures the load in periods of [`PERIOD`]; holds the start of the current one.
struct LoadMeter {
    begin: Instant,
    /// The CPU time at `begin`.
    used: Duration,
    /// Whether the last period was busy.
    busy: bool,
}

impl LoadMeter {
    /// Returns whether the period was busy, if it has ended, and starts the next one.
    fn sample(&mut self, now: Instant, cpu_time: impl FnOnce() -> Duration) -> Option<bool> {
        let period = now - self.begin;
        if period < PERIOD {
            return None;
        }
        let used = cpu_time();
        let share = used.saturating_sub(self.used).div_duration_f32(period);
        let busy = share > if self.busy { STAYS_BUSY } else { BECOMES_BUSY };
        *self = Self { begin: now, used, busy };
        Some(busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works and sleeps for the given numbers of microseconds in turn, and returns the samples.
    fn samples(turns: &[(u64, u64)]) -> Vec<bool> {
        let mut now = Instant::now();
        let mut used = Duration::from_secs(1);
        let mut load = LoadMeter { begin: now, used, busy: false };
        let mut samples = Vec::new();
        for &(works, sleeps) in turns {
            now += Duration::from_micros(works + sleeps);
            used += Duration::from_micros(works);
            samples.extend(load.sample(now, || used));
        }
        samples
    }

    #[test]
    fn a_server_that_works_most_of_the_time_is_busy() {
        assert_eq!(samples(&[(1300, 700), (1300, 700)]), [true]);
        assert_eq!(samples(&[(1000, 1000), (1000, 1000)]), [false]);
        assert_eq!(samples(&[(50_000, 0)]), [true]);
    }

    #[test]
    fn there_is_no_sample_before_a_period_ends() {
        assert!(samples(&[(100, 0); 39]).is_empty());
        assert_eq!(samples(&[(100, 0); 40]), [true]);
    }

    #[test]
    fn a_busy_server_stays_busy_at_a_lower_load() {
        let (full, half, little) = ((4000, 0), (2000, 2000), (1000, 3000));
        assert_eq!(samples(&[half, full, half, little, half]), [false, true, true, false, false]);
    }

    #[test]
    fn each_period_is_measured_alone() {
        assert_eq!(samples(&[(4_000, 0), (10, 100_000), (4_000, 0)]), [true, false, true]);
    }

    #[test]
    fn the_cpu_time_increases_while_the_thread_runs() {
        let (begin, used) = (Instant::now(), cpu_time());
        while cpu_time() == used {
            assert!(begin.elapsed() < Duration::from_secs(10), "the CPU time does not increase");
        }
    }
}
