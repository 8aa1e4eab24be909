//! Forking: the one place that does it.
//!
//! A child begins with the signal mask and the handlers of a fresh program. What the parent's starter ignored stays
//! ignored. All signals are blocked across the fork, so that no handler of the parent ever runs in a child.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};

use miko_core::{Error, ErrorId, Result};
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};
use nix::unistd::{ForkResult, Pid, fork, getppid};

use super::preconditions::ForkPermit;
use crate::linux;

/// The exit code of a child whose code panicked where nothing caught it, as Rust's own.
pub(super) const PANICKED: i32 = 101;

/// Forks a child that runs `body` and leaves with its exit code, or is sent `when_orphaned` as soon as the parent dies.
/// `handle_signals` runs in the child before the first signal can reach it.
///
/// The child leaves through `_exit`: destructors and exit handlers of the parent's program do not run twice.
///
/// # Errors
/// `internal`, if the system makes no more processes.
pub(super) fn fork_child(
    _permit: ForkPermit,
    when_orphaned: Signal,
    handle_signals: impl FnOnce(),
    body: impl FnOnce() -> i32,
) -> Result<Pid> {
    // What is buffered here would be written by parent and child. The locks are held across the fork: a lock that
    // another thread held would never be released in the child.
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    let _ = stdout.flush();
    let _ = stderr.flush();
    let parent = nix::unistd::getpid();
    let mut mask = SigSet::empty();
    let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask));
    // SAFETY: the permit was made just now by `preconditions::check`, which has made sure that this process has one
    // thread, or the caller has vouched for the others with the unsafe `allow_threads`. So no lock can be held by a thread that the child does not have.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        drop((stdout, stderr));
        let _ = linux::die_with_parent(when_orphaned);
        if getppid() != parent {
            exit(0);
        }
        reset_handlers();
        handle_signals();
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
        exit(catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED))
    }
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    match forked {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => exit(PANICKED),
        Err(fault) => Err(Error::new(ErrorId::INTERNAL, format!("no process can be forked: {fault}"))),
    }
}

/// Gives every signal its default action, unless it is ignored.
fn reset_handlers() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in Signal::iterator() {
        if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) || linux::keeps_handler(signal) {
            continue;
        }
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
}

/// How long a child may take to write what is buffered: its output may go to a pipe that nobody reads, or another thread
/// of it may hold the lock.
const FLUSH_SECONDS: u32 = 2;

/// Flushes within a bound, and ends the process without running anything of it.
fn exit(code: i32) -> ! {
    exit_after(code, FLUSH_SECONDS);
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` ends the process without running anything of it.
    unsafe { libc::_exit(code) }
}

/// The exit code of a process that is about to exit.
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

/// Makes this process end in so many seconds, whatever its threads wait for.
fn exit_after(code: i32, seconds: u32) {
    extern "C" fn exit_now(_: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe.
        unsafe { libc::_exit(EXIT_CODE.load(Ordering::Relaxed)) }
    }
    EXIT_CODE.store(code, Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(exit_now), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler calls only what is async-signal-safe and reads only an atomic number.
    let _ = unsafe { sigaction(Signal::SIGALRM, &action) };
    let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(Signal::SIGALRM)), None);
    nix::unistd::alarm::set(seconds);
}
