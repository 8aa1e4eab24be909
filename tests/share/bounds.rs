//! Every wait of the parent is bounded: processes that block or stop are ended in time, and the report says
//! so.

use std::io::Write;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{io, thread};

use mikobase::prelude::*;
use mikobase::{ExitStatus, Limits, Outcome, Remote, Result};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, raise, signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use serde::{Deserialize, Serialize};

use crate::deaths::server_of;
use crate::harness::Case;
use crate::support::{Event, Running, create, proxy, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_method_that_blocks_ends_with_the_server_and_is_named", a_blocked_method),
    ("a_method_of_an_object_that_blocks_is_named", a_blocked_object),
    ("a_blocked_method_of_a_call_from_outside_ends_the_share", a_blocked_method_without_workers),
    ("a_server_that_is_stopped_is_ended", a_stopped_server),
    ("a_set_up_that_never_ends_is_ended", an_endless_setup),
    ("a_worker_that_is_stopped_is_killed_after_its_timeout", a_stopped_worker),
    ("a_worker_that_has_ended_in_time_is_not_late_if_that_is_noticed_late", an_end_that_is_noticed_late),
    ("a_connection_that_a_grandchild_holds_is_not_waited_for", a_daemonized_grandchild),
    ("a_held_lock_of_standard_output_holds_up_no_worker", a_held_stdout_lock),
    ("no_time_that_is_given_overflows", endless_times),
    ("a_panic_in_on_exit_leaves_no_process", a_panic_in_on_exit),
    ("a_late_fork_looks_for_threads_again", a_late_fork_looks_again),
    ("captured_output_has_a_bound", captured_output_has_a_bound),
    ("a_large_error_of_the_set_up_arrives", a_large_setup_error),
    ("a_value_that_does_not_read_back_is_called_that", a_value_that_does_not_read_back),
    ("a_returned_value_keeps_the_options_around_a_nil", returned_nils),
    ("a_returned_value_has_the_keys_that_serde_json_reserves", returned_reserved_keys),
    ("an_ignored_sigchld_loses_no_exit_status", an_ignored_sigchld),
    ("an_ignored_ctrl_c_stays_ignored", an_ignored_ctrl_c),
    ("ctrl_c_in_a_program_with_threads_ends_the_share_in_order", ctrl_c_with_threads),
    ("a_low_soft_limit_on_descriptors_is_raised", a_low_soft_limit),
    ("a_share_has_descriptors_for_its_connections", connections_of_a_low_soft_limit),
    ("more_workers_than_descriptors_are_refused_before_the_first", too_few_descriptors),
];

/// Longer than all time limits of these cases, and shorter than the default limits.
const BOUND: Duration = Duration::from_secs(20);

const SHORT: Duration = Duration::from_millis(300);

fn with_short_timeouts() -> Uds {
    let mut limits = Limits::default();
    limits.call_deadline = SHORT;
    Uds::new().unwrap().limits(limits).grace_period(SHORT)
}

/// Runs it and checks that it ends within [`BOUND`].
fn within_bound<T>(run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    assert!(begun.elapsed() < BOUND, "it took {:?}", begun.elapsed());
    result
}

/// An interface with a method that never returns.
#[mikobase_interface]
trait Stuck {
    /// Blocks for ever.
    fn block(&self) -> Result<()>;

    /// An object that blocks, too.
    fn object(&self) -> Result<Remote<dyn StuckObject>>;
}

/// An object with a method that never returns.
#[mikobase_interface]
trait StuckObject: Send + Sync {
    fn block_object(&self) -> Result<()>;
}

struct Blocking;

impl StuckObject for Blocking {
    fn block_object(&self) -> Result<()> {
        self.block()
    }
}

impl Stuck for Blocking {
    fn block(&self) -> Result<()> {
        let never = Mutex::new(false);
        let guard = never.lock().unwrap();
        drop(Condvar::new().wait_while(guard, |happened| !*happened).unwrap());
        Ok(())
    }

    fn object(&self) -> Result<Remote<dyn StuckObject>> {
        Ok(Remote::local(Box::new(Self)))
    }
}

fn a_blocked_method() {
    let shared = within_bound(|| {
        with_short_timeouts().share::<dyn Stuck, String>(
            2,
            || Ok(Box::new(Blocking)),
            |db, _| Ok(db.block().unwrap_err().items()[0].id.to_string()),
        )
    });
    let failed = shared.unwrap_err();
    assert!(failed.error().is(ErrorId::SERVER_GONE), "{failed}");
    assert_eq!(failed.error().items()[0].details["method"], "block", "{failed}");
    assert_eq!(failed.report().unwrap().workers().len(), 2, "and how the workers ended is told");
}

fn a_blocked_method_without_workers() {
    let uds = with_short_timeouts();
    let share = uds.spawn_share::<dyn Stuck, ()>(0, || Ok(Box::new(Blocking)), |_, _| Ok(())).unwrap();
    share.db().unwrap().block().unwrap_err();
    let failed = within_bound(|| share.join().unwrap_err());
    assert!(failed.to_string().contains("`block`"), "{failed}");
}

fn a_blocked_object() {
    let uds = with_short_timeouts();
    let share = uds.spawn_share::<dyn Stuck, ()>(0, || Ok(Box::new(Blocking)), |_, _| Ok(())).unwrap();
    share.db().unwrap().object().unwrap().block_object().unwrap_err();
    let failed = within_bound(|| share.join().unwrap_err());
    assert!(failed.to_string().contains("`block_object`"), "{failed}");
}

fn a_stopped_server() {
    let uds = with_short_timeouts();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    kill(server_of(share.path()), Signal::SIGSTOP).unwrap();
    let failed = within_bound(|| share.join().unwrap_err());
    assert!(failed.error().is(ErrorId::SERVER_GONE), "{failed}");
    assert!(failed.to_string().contains("it ran no method"), "{failed}");
}

fn an_endless_setup() {
    let uds = with_short_timeouts().setup(|_| wait_for_ever());
    let failed = within_bound(|| uds.mikobase(1, |_, _| Ok(())).unwrap_err());
    assert!(failed.error().is(ErrorId::SERVER_GONE), "{failed}");
}

fn a_stopped_worker() {
    let uds = Uds::new().unwrap().worker_timeout(SHORT).grace_period(SHORT);
    let report = within_bound(|| uds.mikobase::<()>(1, |_, _| Ok(raise(Signal::SIGSTOP)?)).unwrap());
    assert!(matches!(report.workers()[0].outcome, Outcome::TimedOut));
    assert_eq!(report.workers()[0].status, ExitStatus::Signal(libc::SIGKILL));
}

fn an_end_that_is_noticed_late() {
    let uds = Uds::new().unwrap().worker_timeout(SHORT);
    let share: Running<'_, ()> = uds.spawn(1, |_, _| std::process::exit(3)).unwrap();
    let timeout = Instant::now() + SHORT;
    // The worker stays to be reaped by the share.
    let worker = Id::Pid(Pid::from_raw(share.workers()[0].1 as i32));
    waitid(worker, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).unwrap();
    thread::sleep(timeout.saturating_duration_since(Instant::now()));
    let report = within_bound(|| share.join().unwrap());
    let [worker] = report.workers() else { panic!("{report:?}") };
    assert!(matches!((worker.status, &worker.outcome), (ExitStatus::Code(3), Outcome::Silent)), "{worker:?}");
}

fn a_daemonized_grandchild() {
    let done = Event::new();
    let uds = Uds::new().unwrap();
    let report = within_bound(|| {
        uds.mikobase(1, |db, _| {
            create(db, 1)?;
            // SAFETY: a worker has one thread.
            if let ForkResult::Child = unsafe { fork() }? {
                setsid()?;
                done.wait();
                std::process::exit(0);
            }
            Ok(())
        })
    });
    done.notify();
    report.unwrap().all_succeeded().unwrap();
}

fn a_held_stdout_lock() {
    let report = within_bound(|| {
        Uds::new().unwrap().mikobase(1, |_, _| {
            let held = std::sync::Arc::new(Event::new());
            let holder = std::sync::Arc::clone(&held);
            thread::spawn(move || {
                let _lock = io::stdout().lock();
                holder.notify();
                wait_for_ever();
            });
            held.wait();
            Ok("done".to_owned())
        })
    });
    assert_eq!(report.unwrap().into_returned().unwrap(), ["done"]);
}

fn endless_times() {
    let mut limits = Limits::default();
    limits.call_deadline = Duration::MAX;
    limits.handshake = Duration::MAX;
    let uds = Uds::new().unwrap().limits(limits).worker_timeout(Duration::MAX).grace_period(Duration::MAX);
    uds.mikobase(2, |db, worker| Ok(create(db, worker.index())?)).unwrap().all_succeeded().unwrap();
}

fn a_panic_in_on_exit() {
    let uds = Uds::new().unwrap().grace_period(SHORT).on_exit(|_| panic!("it does not like this worker"));
    let shared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        uds.mikobase::<()>(3, |_, worker| if worker.index() == 0 { Ok(()) } else { wait_for_ever() })
    }));
    assert!(shared.is_err());
    assert!(!uds.path().exists());
    // The harness checks that no process is left.
}

fn a_late_fork_looks_again() {
    let stop = std::sync::Arc::new(Event::new());
    let stopped = std::sync::Arc::clone(&stop);
    let mut started = false;
    let uds = Uds::new().unwrap().max_concurrent(1).on_exit(move |_| {
        if !std::mem::replace(&mut started, true) {
            let stopped = std::sync::Arc::clone(&stopped);
            thread::spawn(move || stopped.wait());
        }
    });
    let failed = uds.mikobase(3, |_, worker| Ok(worker.index())).unwrap_err();
    stop.notify();
    assert!(failed.error().is(ErrorId::THREADS_RUNNING), "{failed}");
    assert_eq!(failed.report().unwrap().workers().len(), 1, "what ran is reported");
}

fn captured_output_has_a_bound() {
    let uds = Uds::new().unwrap().capture_output(true).capture_limit(10);
    let report = uds.mikobase(1, |_, _| {
        io::stdout().write_all(b"0123456789abcdefghijklmnopqrstuvwxyz\n")?;
        Ok(())
    });
    let report = report.unwrap();
    let worker = &report.workers()[0];
    assert_eq!((worker.stdout.as_slice(), worker.stdout_cut), (b"01234wxyz\n".as_slice(), 27));
    assert_eq!((worker.stderr.len(), worker.stderr_cut), (0, 0));
}

fn a_large_setup_error() {
    let uds = Uds::new().unwrap().setup(|_| Err("no ".repeat(1 << 20).into()));
    let failed = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
    assert!(failed.error().is(ErrorId::INTERNAL));
    assert!(failed.to_string().contains("`setup` failed: no no no"));
}

/// A type that serializes as a string and deserializes from a number.
#[derive(Debug)]
struct OneWay;

impl Serialize for OneWay {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str("text")
    }
}

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|_| Self)
    }
}

fn a_value_that_does_not_read_back() {
    let report = Uds::new().unwrap().mikobase(1, |_, _| Ok(OneWay)).unwrap();
    let fault = report.workers()[0].outcome.fault().unwrap();
    assert!(fault.starts_with("failed: the returned value cannot be read back: "), "{fault}");
}

/// What a worker returns is what its proxy has answered, also nils inside options.
fn returned_nils() {
    let returned = |i: usize| [Some(Some(json!(null))), Some(None), None][i].clone();
    let report = Uds::new().unwrap().mikobase(3, |_, worker| Ok(returned(worker.index()))).unwrap();
    assert_eq!(report.into_returned().unwrap(), [0, 1, 2].map(returned));
}

fn returned_reserved_keys() {
    let reserved = |key: &str, value: &str| json!({format!("$serde_json::private::{key}"): value});
    let value = || json!({"a": [reserved("RawValue", "12")], "b": reserved("Number", "x")});
    let report = Uds::new().unwrap().mikobase(1, |_, _| Ok(value())).unwrap();
    assert_eq!(report.into_returned().unwrap(), [value()]);
}

fn an_ignored_sigchld() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
    let report = Uds::new().unwrap().mikobase(2, |_, _| Ok(())).unwrap();
    assert!(report.workers().iter().all(|worker| worker.status == ExitStatus::Code(0)));
    // SAFETY: as above.
    let after = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }.unwrap();
    assert!(matches!(after, SigHandler::SigIgn), "it is as it was");
}

fn an_ignored_ctrl_c() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }.unwrap();
    let report = Uds::new().unwrap().mikobase(2, |db, worker| {
        kill(Pid::parent(), Signal::SIGINT)?;
        raise(Signal::SIGINT)?;
        Ok(create(db, worker.index())?)
    });
    report.unwrap().all_succeeded().unwrap();
}

fn ctrl_c_with_threads() {
    let stop = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| stop.wait());
        // SAFETY: the other thread holds no lock.
        let uds = unsafe { Uds::new().unwrap().allow_threads(true) };
        // The thread that shares blocks the signal, so that the other thread receives it.
        let failed = uds.mikobase::<()>(1, |db, _| {
            create(db, 1)?;
            kill(Pid::parent(), Signal::SIGINT)?;
            wait_for_ever()
        });
        stop.notify();
        let failed = failed.unwrap_err();
        assert!(failed.error().is(ErrorId::INTERRUPTED), "{failed}");
        assert_eq!(failed.report().unwrap().workers().len(), 1);
    });
}

fn a_low_soft_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 40, hard).unwrap();
    let uds = Uds::new().unwrap();
    let report = uds.mikobase(60, |_, _| Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)).unwrap();
    assert_eq!(report.into_returned().unwrap(), [40; 60], "workers have the limit of the program");
    assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, 40);
}

fn connections_of_a_low_soft_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 60, hard).unwrap();
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(4096), hard).unwrap();
    let clients: Vec<_> = (0..150).map(|_| proxy(&share)).collect();
    for db in &clients {
        create(db, 1).unwrap();
    }
    drop(clients);
    share.join().unwrap();
}

fn too_few_descriptors() {
    setrlimit(Resource::RLIMIT_NOFILE, 100, 100).unwrap();
    let uds = Uds::new().unwrap();
    let failed = uds.mikobase(100, |_, _| Ok(())).unwrap_err();
    assert!(failed.to_string().contains("100 workers at once need"), "{failed}");
    assert_eq!(failed.error().items()[0].details["allowed"], 100);
    uds.max_concurrent(10).mikobase(100, |_, _| Ok(())).unwrap().all_succeeded().unwrap();
}
