//! Shares that are made and killed at random moments leave nothing and disturb no other.
//!
//! The counts are small. With `MIKOBASE_LONG=1` they are those of the long mode. A failed run names its seed, which
//! `MIKOBASE_SEED` gives back to it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use mikobase::prelude::*;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal as Number, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::harness::{self, Case, is_long};
use crate::random::{self, Random};
use crate::support::create;

pub const CASES: &[Case] = &[
    ("shares_are_not_disturbed_by_those_who_look_for_leftovers", shares_beside_collectors),
    ("what_is_killed_at_any_moment_leaves_nothing", kills_at_random_moments),
];

pub const PROGRAMS: &[Case] = &[("collector", collect_for_ever), ("sharer", share_once)];

fn count(few: usize, many: usize) -> usize {
    if is_long() { many } else { few }
}

fn shares_beside_collectors() {
    let collectors: Vec<Child> =
        (0..4).map(|_| harness::start("chaos_programs::collector").spawn().unwrap()).collect();
    let kept = Uds::new().unwrap();
    for round in 0..count(200, 20_000) {
        let new = Uds::new().unwrap();
        // A `Uds` that is used for the first time, and one that is used again.
        let uds = if round % 2 == 0 { &new } else { &kept };
        let report = uds.mikobase(1, |db, worker| Ok(create(db, worker.index())?));
        report
            .and_then(|report| Ok(report.all_succeeded()?))
            .unwrap_or_else(|fault| panic!("round {round}: {fault}"));
    }
    for mut collector in collectors {
        assert!(collector.try_wait().unwrap().is_none(), "a collector has failed");
        collector.kill().unwrap();
        collector.wait().unwrap();
    }
    // What the collectors were about to make when they were killed is collected, too.
    drop(Uds::new().unwrap());
}

fn collect_for_ever() {
    loop {
        drop(Uds::new().unwrap());
    }
}

/// How long before the end and after the beginning most processes are killed.
const EDGE: Duration = Duration::from_millis(15);

#[expect(clippy::zombie_processes, reason = "`waitpid` of any child reaps the sharer and its orphans")]
fn kills_at_random_moments() {
    let mut random = Random::new(random::given_seed().unwrap_or_else(random::fresh_seed));
    // Orphans become children of this process, so that waiting for children is waiting for all of them.
    set_child_subreaper(true).unwrap();
    let begun = Instant::now();
    start_sharer().wait().unwrap();
    let whole = begun.elapsed();
    for round in 0..count(40, 1_000) {
        let sharer = start_sharer();
        let begin = if random.below(2) == 0 { Duration::ZERO } else { whole.saturating_sub(EDGE) };
        thread::sleep(begin + EDGE.mul_f64(random.below(1000) as f64 / 1000.0));
        kill_one_of(Pid::from_raw(sharer.id() as i32), &mut random);
        while waitpid(None, None) != Err(Errno::ECHILD) {}
        drop(Uds::new().unwrap());
        let left: Vec<_> =
            fs::read_dir(env::temp_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [] as [std::path::PathBuf; 0], "round {round}");
    }
}

/// Kills the parent, its server or a worker, whichever of them there is.
fn kill_one_of(parent: Pid, random: &mut Random) {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()));
    let family: Vec<Pid> = std::iter::once(parent).chain(children).collect();
    // It may have ended by itself meanwhile. It was not reaped, so that its pid is its own; that of a child of it may be
    // used again only after all other pids.
    let _ = kill(family[random.below(family.len())], Number::SIGKILL);
}

fn start_sharer() -> Child {
    harness::start("chaos_programs::sharer").stderr(Stdio::null()).spawn().unwrap()
}

fn share_once() {
    let _ = Uds::new().unwrap().grace_period(Duration::from_millis(200)).mikobase(2, |db, worker| {
        for n in 0..5 {
            create(db, 10 * worker.index() + n)?;
        }
        Ok(())
    });
}
