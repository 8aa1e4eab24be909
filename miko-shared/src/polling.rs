//! Looking again for some microseconds before blocking, where that makes a call faster.
//!
//! A process that blocks gives its core away, and on an idle machine most of a round trip is the time that a halted core takes to
//! wake up. One that looks again meanwhile keeps the core, which is ruinous if somebody else needs it. So nobody polls in a share
//! that has more processes than there are CPUs. Whoever does looks at what comes of it: polling in vain, and having been pushed off
//! the core meanwhile, both say that the core is shared, and polling is given up.
//!
//! It is tried again now and then, by all processes at the same time: of two that poll at different times each finds the other
//! asleep. And a core may be shared though another is free, since the scheduler likes to put two that wake each other on one, and
//! leaves them there: so a client whose polling is in vain moves to another core.

use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// How long to look again: a wake-up takes less than this, as a rule, and a short call much less.
const WINDOW: Duration = Duration::from_micros(50);

/// Each time it was in vain so often, a client moves to another core.
const MOVE_AFTER: u32 = 12;

/// So many times in vain, and it is given up.
const INSIST: u32 = 32;

/// What one success outweighs.
const FAILURES_PER_SUCCESS: u32 = 4;

/// So many successes in a trial, and it is taken up again.
const CONVINCED_AFTER: u32 = 8;

/// How often it is tried again, and how long: less than two parts in a hundred of the time, should all of it be in vain.
const TRIAL_EVERY: Duration = Duration::from_millis(256);
const TRIAL: Duration = Duration::from_millis(4);

/// After so many successes it is asked whether the core is shared: asking takes a system call.
const ASK_AFTER: u32 = 64;

/// Decides when to poll.
#[derive(Debug)]
pub(crate) struct Polling {
    allowed: bool,
    /// May it move to another core? One of two is enough.
    moves: bool,
    /// Was it given up, but for trials?
    given_up: bool,
    failures: u32,
    successes: u32,
    /// How many times this thread had been pushed off its core when it was asked last.
    pushed_off: i64,
}

/// Is there a CPU for each of so many processes?
pub(crate) fn has_room_for(processes: usize) -> bool {
    std::thread::available_parallelism().is_ok_and(|cpus| processes <= cpus.get())
}

impl Polling {
    /// For the side that stays on its core.
    pub(crate) fn new(allowed: bool) -> Self {
        Self { allowed, moves: false, given_up: false, failures: 0, successes: 0, pushed_off: pushed_off() }
    }

    /// For the side that moves.
    pub(crate) fn moving(allowed: bool) -> Self {
        Self { moves: true, ..Self::new(allowed) }
    }

    /// Until when to poll now, if at all. Tell [`ended`](Self::ended) what came of it.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        let polls = self.allowed && (!self.given_up || is_time_for_trial(since_boot()));
        polls.then(|| Instant::now() + WINDOW)
    }

    /// Something came in time, or nothing did.
    pub(crate) fn ended(&mut self, in_time: bool) {
        if in_time { self.succeeded() } else { self.failed() }
    }

    fn succeeded(&mut self) {
        self.successes += 1;
        self.failures = self.failures.saturating_sub(FAILURES_PER_SUCCESS);
        if self.given_up && self.successes >= CONVINCED_AFTER {
            self.start_over(false);
        }
        if self.successes >= ASK_AFTER {
            let before = std::mem::replace(&mut self.pushed_off, pushed_off());
            self.start_over(self.pushed_off > before + 1);
        }
    }

    fn failed(&mut self) {
        self.failures += 1;
        if self.moves && self.failures.is_multiple_of(MOVE_AFTER) {
            // Where the system forbids it, everything stays as it was.
            let _ = move_to_another_core();
        }
        if self.failures >= INSIST {
            self.start_over(true);
        }
    }

    fn start_over(&mut self, given_up: bool) {
        self.given_up = given_up;
        (self.failures, self.successes) = (0, 0);
    }
}

/// All processes agree on this, since they have the same clock.
fn is_time_for_trial(since_boot: Duration) -> bool {
    since_boot.as_nanos() % TRIAL_EVERY.as_nanos() < TRIAL.as_nanos()
}

fn since_boot() -> Duration {
    // Every Linux has this clock; without it there are no trials.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(TRIAL, Duration::from)
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

/// How many times the scheduler has taken the core away from this thread.
fn pushed_off() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls as often as it may, so many times at most, with this outcome, and says how often that was.
    fn polls(polling: &mut Polling, most: usize, in_time: bool) -> usize {
        (0..most).take_while(|_| polling.begin().map(|_| polling.ended(in_time)).is_some()).count()
    }

    #[test]
    fn polling_in_vain_is_given_up_and_tried_again_in_vain() {
        let mut polling = Polling::new(true);
        for _ in 0..INSIST {
            assert!(!polling.given_up && polling.begin().is_some());
            polling.ended(false);
        }
        // A trial is as good a time to fail as any.
        for _ in 0..3 * INSIST {
            assert!(polling.given_up);
            polling.ended(false);
        }
    }

    #[test]
    fn polling_that_pays_in_a_trial_is_taken_up_again() {
        let mut polling = Polling { given_up: true, ..Polling::new(true) };
        for _ in 0..CONVINCED_AFTER {
            assert!(polling.given_up);
            polling.ended(true);
        }
        assert_eq!(polls(&mut polling, 40, true), 40);
    }

    #[test]
    fn polling_that_pays_once_in_five_calls_goes_on() {
        let mut polling = Polling::new(true);
        for call in 0..ASK_AFTER * 4 {
            assert!(polling.begin().is_some());
            polling.ended(call % 5 == 0);
        }
    }

    #[test]
    fn trials_are_rare_and_short() {
        let millis = |millis| is_time_for_trial(Duration::from_millis(millis));
        assert!(millis(0) && millis(3) && !millis(4) && !millis(255) && millis(256));
        let trials = (0..100_000).filter(|at| millis(*at)).count();
        assert!((1_500..1_600).contains(&trials), "{trials}");
    }

    #[test]
    fn whoever_moves_may_run_everywhere_as_before() {
        let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
        move_to_another_core().unwrap();
        assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
    }

    #[test]
    fn where_it_is_not_allowed_nobody_polls() {
        assert_eq!(polls(&mut Polling::new(false), 100, true), 0);
        assert!(has_room_for(1) && !has_room_for(usize::MAX));
    }
}
