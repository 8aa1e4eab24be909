//! Is the server busy? It shows that to its workers, of whom many sample again for an answer only if it is.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

use crate::polling::SharedStatus;

/// How long it is watched before it is said. Asking for the time that a thread has had takes a system call.
const PERIOD: Duration = Duration::from_millis(4);

/// A server that works for more of its time than this is busy.
const BECOMES_BUSY: f32 = 0.6;

/// It stays so while it works for more than this: it has less to do as soon as nobody has to be woken.
const STAYS_BUSY: f32 = 0.4;

/// The runtime of a server. Whenever it has nothing to do it looks how much of its time it had, and shows by the shared_status whether it
/// is busy.
///
/// # Errors
/// If the system refuses it.
pub(crate) fn runtime(shared_status: Option<&Arc<SharedStatus>>) -> io::Result<Runtime> {
    let mut builder = Builder::new_current_thread();
    if let Some(shared_status) = shared_status.map(Arc::clone) {
        let load = Mutex::new(LoadMeter { begin: Instant::now(), used: cpu_time(), busy: false });
        builder.on_thread_park(move || {
            // There is one thread, which never waits for this, and never panics under it.
            let mut load = load.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(busy) = load.sample(Instant::now(), cpu_time) {
                shared_status.publish_busy(busy);
            }
        });
    }
    builder.enable_all().build()
}

/// How long this thread has run on some CPU. Where it waits for one it is not the server that everybody waits for.
fn cpu_time() -> Duration {
    // Every Linux has this clock; without it no server is ever busy.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// The beginning of a period.
struct LoadMeter {
    begin: Instant,
    /// The CPU time until then.
    used: Duration,
    /// Was the period before a busy one?
    busy: bool,
}

impl LoadMeter {
    /// Says whether it was a busy period, if one has ended.
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

    /// Works and sleeps in turn, for so many microseconds each, and says what is samples then.
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
    fn whoever_works_most_of_the_time_is_busy() {
        assert_eq!(samples(&[(1300, 700), (1300, 700)]), [true]);
        assert_eq!(samples(&[(1000, 1000), (1000, 1000)]), [false]);
        assert_eq!(samples(&[(50_000, 0)]), [true]);
    }

    #[test]
    fn nothing_is_said_before_a_period_is_over() {
        assert!(samples(&[(100, 0); 39]).is_empty());
        assert_eq!(samples(&[(100, 0); 40]), [true]);
    }

    #[test]
    fn whoever_was_busy_is_so_with_less_work() {
        let (full, half, little) = ((4000, 0), (2000, 2000), (1000, 3000));
        assert_eq!(samples(&[half, full, half, little, half]), [false, true, true, false, false]);
    }

    #[test]
    fn periods_are_told_apart() {
        assert_eq!(samples(&[(4_000, 0), (10, 100_000), (4_000, 0)]), [true, false, true]);
    }

    #[test]
    fn the_clock_runs_while_this_thread_does() {
        let (begin, used) = (Instant::now(), cpu_time());
        while cpu_time() == used {
            assert!(begin.elapsed() < Duration::from_secs(10), "it stands still");
        }
    }
}
