//! Signals: a process that is ended by one leaves nothing behind.

use std::cell::Cell;
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

use mikobase::prelude::*;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::deaths::{kill_and_wait_for_all, parent_that_waits, start_program, wait_for_end};
use crate::harness::Case;
use crate::support::{Running, create, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_share_dropped_in_setup_harms_the_outer_one_in_nothing", a_share_dropped_in_setup),
    ("a_parent_that_blocks_all_signals_leaves_nothing_when_killed", a_parent_that_blocks_signals),
    ("processes_of_a_share_have_no_handler_of_the_parent", no_handlers),
    ("a_fork_of_a_waiting_parent_is_interrupted_after_its_own_share", interrupted_fork),
    ("a_closed_terminal_leaves_nothing", || signal_to_all(Signal::SIGHUP)),
    ("a_quit_from_the_terminal_leaves_nothing", || signal_to_all(Signal::SIGQUIT)),
    ("a_termination_of_the_whole_group_leaves_nothing", || signal_to_all(Signal::SIGTERM)),
    ("a_directory_for_temporary_files_may_be_relative", a_relative_tmpdir),
    ("a_runtime_directory_that_cannot_be_used_is_passed_over", an_unusable_runtime_directory),
    ("each_share_has_a_path_of_its_own", each_share_has_a_path_of_its_own),
];

pub const PROGRAMS: &[Case] = &[("parent_that_blocks_signals", blocking_parent)];

fn a_share_dropped_in_setup() {
    let uds = Uds::new().unwrap().setup(|_| {
        let inner = Uds::new()?;
        let share: Running<'_, ()> = inner.spawn(2, |_, _| wait_for_ever())?;
        drop(share);
        Ok(())
    });
    let report = uds.mikobase(2, |db, worker| Ok(create(db, worker.index())?)).unwrap();
    report.all_succeeded().unwrap();
}

fn a_parent_that_blocks_signals() {
    let (mut parent, pids) = start_program("signal_programs::parent_that_blocks_signals");
    kill_and_wait_for_all(&mut parent, &pids);
}

fn blocking_parent() {
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).unwrap();
    parent_that_waits();
}

fn no_handlers() {
    extern "C" fn handle(_: libc::c_int) {}
    let handler = handle as extern "C" fn(libc::c_int) as libc::sighandler_t;
    let handled = [libc::SIGUSR1, libc::SIGRTMIN(), libc::SIGRTMAX()];
    let ignored = [libc::SIGUSR2, libc::SIGRTMIN() + 1];
    // SAFETY: the handler does nothing.
    handled.iter().for_each(|signal| assert_eq!(unsafe { libc::signal(*signal, handler) }, libc::SIG_DFL));
    // SAFETY: ignoring a signal installs no code.
    ignored
        .iter()
        .for_each(|signal| assert_eq!(unsafe { libc::signal(*signal, libc::SIG_IGN) }, libc::SIG_DFL));
    let check = move || {
        for (signals, expected) in [(&handled[..], libc::SIG_DFL), (&ignored, libc::SIG_IGN)] {
            for signal in signals {
                // SAFETY: ignoring a signal installs no code.
                assert_eq!(unsafe { libc::signal(*signal, libc::SIG_IGN) }, expected, "signal {signal}");
            }
        }
    };
    let uds = Uds::new().unwrap().setup(move |_| {
        check();
        Ok(())
    });
    let shared = uds.mikobase(1, |_, _| {
        check();
        Ok(())
    });
    shared.unwrap().all_succeeded().unwrap();
}

fn interrupted_fork() {
    let status = Rc::new(Cell::new(None));
    let ended_with = Rc::clone(&status);
    // `on_exit` runs while the parent listens for Ctrl-C.
    let uds = Uds::new().unwrap().on_exit(move |_| {
        // SAFETY: the process has one thread.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => ended_with.set(Some(waitpid(child, None).unwrap())),
            ForkResult::Child => {
                let shared = Uds::new().unwrap().mikobase(1, |_, _| Ok(()));
                let code = i32::from(shared.is_err());
                raise(Signal::SIGINT).unwrap();
                // SAFETY: `_exit` runs no code of the parent.
                unsafe { libc::_exit(code) }
            }
        }
    });
    uds.mikobase(1, |_, _| Ok(())).unwrap().all_succeeded().unwrap();
    assert!(matches!(status.get(), Some(WaitStatus::Signaled(_, Signal::SIGINT, _))), "{status:?}");
}

/// Sends a signal to a parent, its server and its workers, as a terminal does.
fn signal_to_all(signal: Signal) {
    let (mut parent, pids) = start_program("programs::parent_that_waits");
    let watched: Vec<_> = pids.iter().map(|pid| miko_shared::linux::pidfd(*pid).unwrap()).collect();
    for pid in pids.iter().copied().chain([Pid::from_raw(parent.id() as i32)]) {
        kill(pid, signal).unwrap();
    }
    assert_eq!(parent.wait().unwrap().signal(), Some(signal as i32));
    watched.iter().for_each(wait_for_end);
    // The harness checks that the directory is removed too.
}

fn a_relative_tmpdir() {
    let folder = tempfile::tempdir().unwrap();
    env::set_current_dir(folder.path()).unwrap();
    // SAFETY: this process has one thread.
    unsafe { env::set_var("TMPDIR", ".") };
    let uds = Uds::new().unwrap();
    assert!(uds.path().is_absolute());
    let report = uds.mikobase(1, |_, _| {
        env::set_current_dir("/")?;
        let db = MikobaseClient::connect(uds.path(), uds.token())?;
        Ok(create(&db, 1)?)
    });
    report.unwrap().all_succeeded().unwrap();
}

fn an_unusable_runtime_directory() {
    // Not even root can create a directory there.
    for runtime in ["/proc", "relative", "/nowhere"] {
        // SAFETY: this process has one thread.
        unsafe { env::set_var("XDG_RUNTIME_DIR", runtime) };
        let uds = Uds::new().unwrap();
        assert!(uds.path().starts_with(env::temp_dir()), "{}", uds.path().display());
    }
}

fn each_share_has_a_path_of_its_own() {
    let uds = Uds::new().unwrap();
    let first = uds.path();
    for round in 0..3 {
        uds.mikobase(1, |_, _| Ok(())).unwrap().all_succeeded().unwrap();
        assert_eq!(uds.path() == first, round == 0);
    }
}
