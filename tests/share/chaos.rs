//! Shares that are started and killed at random moments leave nothing behind and do not affect others.
//!
//! `MIKOBASE_LONG=1` selects the larger counts of the long mode. A failed run prints its seed, with which
//! `MIKOBASE_SEED` repeats it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::harness::{self, Case, is_long};
use crate::random::{self, Random};
use crate::support::{create, uds};

pub const CASES: &[Case] = &[
    ("collectors_of_leftover_directories_do_not_affect_shares", shares_beside_collectors),
    ("a_share_killed_at_a_random_moment_leaves_nothing", kills_at_random_moments),
];

pub const PROGRAMS: &[Case] = &[("collector", collect_for_ever), ("sharer", share_once)];

fn count(few: usize, many: usize) -> usize {
    if is_long() { many } else { few }
}

fn shares_beside_collectors() {
    let collectors: Vec<Child> =
        (0..4).map(|_| harness::start("chaos_programs::collector").spawn().unwrap()).collect();
    let kept = uds();
    for round in 0..count(200, 20_000) {
        let new = uds();
        // A `Uds` in its first use, and one in a later use.
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
    // The unfinished directories of the killed collectors are collected too.
    drop(uds());
}

fn collect_for_ever() {
    loop {
        drop(uds());
    }
}

/// Most kills are within this time after the start or before the end of a process.
const EDGE: Duration = Duration::from_millis(15);

#[expect(clippy::zombie_processes, reason = "`waitpid` of any child reaps the sharer and its orphans")]
fn kills_at_random_moments() {
    let mut random = Random::new(random::given_seed().unwrap_or_else(random::fresh_seed));
    // Orphans become children of this process, so that waiting for children includes them.
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
        drop(uds());
        let left: Vec<_> =
            fs::read_dir(env::temp_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [] as [std::path::PathBuf; 0], "round {round}");
    }
}

/// Kills the parent, its server or a worker, at random among those that exist.
fn kill_one_of(parent: Pid, random: &mut Random) {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()));
    let family: Vec<Pid> = std::iter::once(parent).chain(children).collect();
    // The process may have ended. The parent was not reaped, so its pid cannot be reused; the pid of its
    // child is reused only after all other pids.
    let _ = kill(family[random.below(family.len())], Signal::SIGKILL);
}

fn start_sharer() -> Child {
    harness::start("chaos_programs::sharer").stderr(Stdio::null()).spawn().unwrap()
}

fn share_once() {
    let _ = uds().grace_period(Duration::from_millis(200)).mikobase(2, |db, worker| {
        for n in 0..5 {
            create(db, 10 * worker.index() + n)?;
        }
        Ok(())
    });
}
