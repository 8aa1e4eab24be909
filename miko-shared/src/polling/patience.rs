//! How a client waits for an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity, sched_yield};
use nix::unistd::Pid;

use super::{Backoff, Beacon};

/// How long to look again if there is one worker: some calls take longer, most take less, and a wake-up takes 60 µs.
const FOR_ONE: Duration = Duration::from_micros(200);

/// How much longer for each worker more. All of them are answered in turn, and where nobody polls yet a turn takes so long.
const FOR_EACH: Duration = Duration::from_micros(50);

const AT_MOST: Duration = Duration::from_millis(5);

/// A client moves off the server's core one time of so many that it finds itself there, the first one included.
const MOVES_EVERY: u32 = 8;

/// Says whether and how long a client looks again before it blocks.
pub(crate) struct Patience {
    /// Nobody polls without.
    beacon: Option<Arc<Beacon>>,
    window: Duration,
    backoff: Backoff,
    /// How often the server was met on its core, counted up to [`MOVES_EVERY`].
    meetings: u32,
}

impl Patience {
    /// For a client that watches this beacon.
    pub(crate) fn new(beacon: Option<Arc<Beacon>>) -> Self {
        let window = window(beacon.as_ref().map_or(1, |beacon| beacon.watchers()));
        Self { beacon, window, backoff: Backoff::default(), meetings: 0 }
    }

    /// Begins to look again, if that is likely to pay. Tell [`ended`](Self::ended) what came of it.
    pub(crate) fn begin(&mut self) -> Option<Attempt> {
        let beacon = self.beacon.as_ref()?;
        let busy = beacon.is_busy();
        if !(busy || beacon.all_have_cpus()) || !self.backoff.tries() {
            return None;
        }
        // A server that is not busy leaves time on its core, which nobody else might use.
        if (busy || beacon.server_has_cpu()) && beacon.is_here() {
            self.meetings = (self.meetings + 1) % MOVES_EVERY;
            // Where the system forbids to move, nobody moves.
            let moved = self.meetings == 1 && move_to_another_core().is_ok();
            if !moved || beacon.is_here() {
                return None;
            }
        }
        let now = Instant::now();
        Some(Attempt { until: now + self.window, now })
    }

    /// An answer was found, or none. One that is late counts as none: this client gave way to somebody who computes.
    pub(crate) fn ended(&mut self, attempt: &Attempt, found: bool) {
        self.backoff.ended(found && attempt.goes_on());
    }
}

/// How long each of so many clients looks again.
fn window(clients: usize) -> Duration {
    let others = u32::try_from(clients.saturating_sub(1)).unwrap_or(u32::MAX);
    (FOR_ONE + FOR_EACH.saturating_mul(others)).min(AT_MOST)
}

/// Looking again and again, for a while.
pub(crate) struct Attempt {
    until: Instant,
    now: Instant,
}

impl Attempt {
    /// Lets everybody run who is ready to. Then is the time to look.
    pub(crate) fn give_way(&mut self) {
        // It cannot fail on Linux.
        let _ = sched_yield();
        self.now = Instant::now();
    }

    /// Is there time to look once more?
    pub(crate) fn goes_on(&self) -> bool {
        self.now < self.until
    }
}

/// Leaves the core that this thread is on, if it may run on another. It may come back.
fn move_to_another_core() -> nix::Result<()> {
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
    fn beacon() -> Option<Arc<Beacon>> {
        let beacon = Beacon::new(1, 2).unwrap();
        beacon.show_busy(true);
        Some(Arc::new(beacon))
    }

    /// Waits so many times for what comes at once or never, and says how often it looked again.
    fn attempts(patience: &mut Patience, waits: usize, found: bool) -> usize {
        let attempt = |_: &usize| patience.begin().map(|attempt| patience.ended(&attempt, found)).is_some();
        (0..waits).filter(attempt).count()
    }

    #[test]
    fn without_a_beacon_nobody_looks_again() {
        assert_eq!(attempts(&mut Patience::new(None), 100, true), 0);
    }

    #[test]
    fn among_more_processes_than_cpus_nobody_looks_again_at_a_server_that_is_not_busy() {
        let beacon = Arc::new(Beacon::new(20, 2).unwrap());
        let mut patience = Patience::new(Some(Arc::clone(&beacon)));
        assert_eq!(attempts(&mut patience, 100, true), 0);
        beacon.show_busy(true);
        assert_eq!(attempts(&mut patience, 100, true), 100);
    }

    #[test]
    fn looking_again_that_pays_goes_on_and_other_is_left_off() {
        let mut patience = Patience::new(beacon());
        assert_eq!(attempts(&mut patience, 100, true), 100);
        assert_eq!(attempts(&mut patience, 86, false), 4);
    }

    #[test]
    fn the_more_there_are_the_longer_each_looks() {
        assert_eq!(window(0), window(1));
        assert!(window(1) < window(2) && window(2) < window(20));
        assert_eq!(window(usize::MAX), AT_MOST);
    }

    #[test]
    fn an_answer_that_comes_after_the_time_counts_as_none() {
        let mut patience = Patience::new(beacon());
        let mut attempt = patience.begin().unwrap();
        assert!(attempt.goes_on());
        attempt.until = attempt.now;
        attempt.give_way();
        assert!(!attempt.goes_on());
        patience.ended(&attempt, true);
        assert!(patience.begin().is_none());
    }

    #[test]
    fn whoever_moves_may_run_everywhere_as_before() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        move_to_another_core().unwrap();
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }
}
