//! Measures the load of the server, and publishes two facts for its clients, which may spin while they wait
//! (see `polling.rs`):
//!
//! - Whether the server is busy. If there are more clients than CPUs, clients spin only while it is busy.
//! - Whether clients must not spin, because they have crowded the server out: spinning clients have kept it
//!   from running on a core. After a period in which this happened, no client spins for a while.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::polling::{Backoff, SharedStatus};

/// The sampling period of the load. A sample takes two system calls, which read the CPU time of the thread
/// and the time for which it has waited for a core.
const PERIOD: Duration = Duration::from_millis(4);

/// A server becomes busy if it runs on a core for more than this fraction of a period.
const BECOMES_BUSY: f32 = 0.6;

/// A busy server stays busy above this fraction. It is lower than [`BECOMES_BUSY`]: the clients of a busy
/// server spin, so the server need not wake them, and its load drops.
const STAYS_BUSY: f32 = 0.4;

/// A server that waits for a core for more than this fraction of a period, while clients spin, is crowded
/// out. Measured while clients spin: if no other processes use the cores, the server waits for 3% of the
/// time, since clients yield; if other processes compete for the cores, for more than half of the time.
const MAX_WAITING: f32 = 0.35;

/// After this many calm periods in a row, in which the server waited for at most [`MAX_WAITING`], the backoff
/// is reset. The scheduler gives a core to another process for about a period, so single periods say little.
const CALM_PERIODS: u32 = 16;

/// Builds the runtime of a server. If there is a `shared_status`, the runtime samples the load of its thread
/// each time before it blocks. It then publishes in `shared_status` whether the server is busy, and whether
/// clients must not spin.
///
/// # Errors
/// If the system refuses the resources of a runtime.
pub(crate) fn runtime(shared_status: Option<&Arc<SharedStatus>>) -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    if let Some(shared_status) = shared_status.map(Arc::clone) {
        let wait_clock = WaitClock::open();
        let read_times = move || Times { used: cpu_time(), waited: wait_clock.read() };
        let meter = Mutex::new(LoadMeter::new(Instant::now(), read_times()));
        builder.on_thread_park(move || {
            // The only thread of the runtime takes this lock, so it is never contended, and never poisoned.
            let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Load { busy, crowded }) = meter.sample(Instant::now(), &read_times) {
                shared_status.publish_busy(busy);
                shared_status.publish_crowded(crowded);
            }
        });
    }
    builder.enable_all().build()
}

/// The CPU time of this thread. Time spent waiting for a CPU does not count: during that time the server is
/// not the bottleneck.
fn cpu_time() -> Duration {
    // All versions of Linux have this clock; without it the server never counts as busy.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Reads how long this thread has waited for a core while it could run.
struct WaitClock(Option<File>);

impl WaitClock {
    fn open() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// The time so far; zero on a kernel that does not report it.
    fn read(&self) -> Duration {
        let mut buffer = [0; 64];
        let length = self.0.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        waiting_time(str::from_utf8(&buffer[..length]).unwrap_or_default())
    }
}

/// The second number of `schedstat`: the time of waiting, in nanoseconds. The first is the time on a core,
/// the third the number of time slices.
fn waiting_time(schedstat: &str) -> Duration {
    let waited = schedstat.split_ascii_whitespace().nth(1).and_then(|number| number.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// The times of the thread since its start.
#[derive(Clone, Copy)]
struct Times {
    /// How long it has run on a core.
    used: Duration,
    /// How long it has waited for a core while it could run.
    waited: Duration,
}

/// Measures the load in periods of [`PERIOD`] or longer: a period ends with the first sample after this time.
struct LoadMeter {
    /// The start of the current period.
    begin: Instant,
    /// The times of the thread at `begin`.
    at_begin: Times,
    /// Whether the server was busy in the last period.
    busy: bool,
    /// Whether clients must not spin in the current period.
    crowded: bool,
    /// The number of calm periods in a row: periods in which clients could spin, and did not crowd the server
    /// out.
    calm: u32,
    /// Decides in which periods clients must not spin. Each period is an attempt to let them spin, or is
    /// skipped. An attempt fails if the clients crowd the server out.
    backoff: Backoff,
}

/// The load, as [`SharedStatus`] publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    busy: bool,
    crowded: bool,
}

impl LoadMeter {
    fn new(begin: Instant, at_begin: Times) -> Self {
        Self { begin, at_begin, busy: false, crowded: false, calm: 0, backoff: Backoff::default() }
    }

    /// If the current period has ended, starts the next one. Returns whether the server was busy in the ended
    /// period, and whether clients must not spin in the next.
    fn sample(&mut self, now: Instant, read_times: impl FnOnce() -> Times) -> Option<Load> {
        let period = now - self.begin;
        if period < PERIOD {
            return None;
        }
        let times = read_times();
        let fraction = |time: fn(&Times) -> Duration| {
            time(&times).saturating_sub(time(&self.at_begin)).div_duration_f32(period)
        };
        let (used, waited) = (fraction(|times| times.used), fraction(|times| times.waited));
        if !self.crowded {
            self.record_spinning_period(waited <= MAX_WAITING);
        }
        let threshold = if self.busy { STAYS_BUSY } else { BECOMES_BUSY };
        self.busy = used > threshold;
        // In a period that the backoff skips, clients must not spin.
        self.crowded = !self.backoff.should_try();
        (self.begin, self.at_begin) = (now, times);
        Some(Load { busy: self.busy, crowded: self.crowded })
    }

    /// Records whether a period in which clients could spin was calm.
    fn record_spinning_period(&mut self, is_calm: bool) {
        self.calm = if is_calm { self.calm.saturating_add(1) } else { 0 };
        if !is_calm {
            self.backoff.record(false);
        } else if self.calm >= CALM_PERIODS {
            self.backoff.record(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a server. For each element of `work_and_sleep`, it works and then sleeps for these numbers
    /// of microseconds. Returns whether the server was busy, for each period that has ended.
    fn samples(work_and_sleep: &[(u64, u64)]) -> Vec<bool> {
        let mut now = Instant::now();
        let mut times = Times { used: Duration::from_secs(1), waited: Duration::ZERO };
        let mut meter = LoadMeter::new(now, times);
        let mut samples = Vec::new();
        for &(works, sleeps) in work_and_sleep {
            now += Duration::from_micros(works + sleeps);
            times.used += Duration::from_micros(works);
            samples.extend(meter.sample(now, || times).map(|load| load.busy));
        }
        samples
    }

    /// Simulates a server that is never idle: it works or waits for a core. In a period in which clients may
    /// spin, it waits for the next fraction of `waits`, which is repeated without end. In any other period it
    /// waits for a tenth of the period. Returns the numbers of the periods after which clients may spin.
    fn spinning_periods(periods: u32, waits: &[f32]) -> Vec<u32> {
        let mut waits = waits.iter().cycle();
        let mut now = Instant::now();
        let mut times = Times { used: Duration::ZERO, waited: Duration::ZERO };
        let mut meter = LoadMeter::new(now, times);
        let mut may_spin = false;
        let spins = |period: &u32| {
            let waited = PERIOD.mul_f32(if may_spin { *waits.next().unwrap() } else { 0.1 });
            now += PERIOD;
            times.waited += waited;
            times.used += PERIOD.saturating_sub(waited);
            let load = meter.sample(now, || times).unwrap_or_else(|| panic!("period {period} has ended"));
            may_spin = !load.crowded;
            may_spin
        };
        (0..periods).filter(spins).collect()
    }

    #[test]
    fn a_server_that_works_most_of_the_time_is_busy() {
        assert_eq!(samples(&[(1300, 700), (1300, 700)]), [true]);
        assert_eq!(samples(&[(1000, 1000), (1000, 1000)]), [false]);
        assert_eq!(samples(&[(50_000, 0)]), [true]);
    }

    #[test]
    fn there_is_no_sample_before_a_period_ends() {
        // A period has 4 ms.
        assert!(samples(&[(100, 0); 39]).is_empty());
        assert_eq!(samples(&[(100, 0); 40]), [true]);
    }

    #[test]
    fn a_busy_server_stays_busy_at_a_lower_load() {
        let (full, half, little) = ((4000, 0), (2000, 2000), (1000, 3000));
        assert_eq!(samples(&[half, full, half, little, half]), [false, true, true, false, false]);
    }

    #[test]
    fn each_period_is_measured_independently() {
        assert_eq!(samples(&[(4_000, 0), (10, 100_000), (4_000, 0)]), [true, false, true]);
    }

    #[test]
    fn clients_that_crowd_the_server_out_stop_spinning_and_try_again_ever_less_often() {
        assert_eq!(spinning_periods(100, &[0.05]), (0..100).collect::<Vec<_>>());
        // Between two periods the clients pause for 1, 4, 16 and then 64 periods.
        assert_eq!(spinning_periods(250, &[0.5]), [0, 2, 7, 24, 89, 154, 219]);
        // Single calm periods in between change little.
        assert_eq!(spinning_periods(100, &[0.0, 0.9]), [0, 1, 3, 4, 9, 10, 27, 28, 93, 94]);
    }

    #[test]
    fn the_second_number_of_schedstat_is_the_time_of_waiting() {
        assert_eq!(waiting_time("421000000 17000000 8848\n"), Duration::from_millis(17));
        assert_eq!(waiting_time(""), Duration::ZERO);
    }

    #[test]
    fn the_cpu_time_increases_while_the_thread_runs() {
        let (begin, used) = (Instant::now(), cpu_time());
        while cpu_time() == used {
            assert!(begin.elapsed() < Duration::from_secs(10), "the CPU time does not increase");
        }
    }
}
