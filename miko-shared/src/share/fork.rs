//! Forks the processes of a share. No other module forks.
//!
//! A child starts with the signal mask and the handlers of a fresh Rust program. Only the signals that the
//! parent ignores stay ignored. All signals are blocked across the fork, so that no handler of the parent
//! ever runs in a child.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};

use miko_rpc::{Error, ErrorId, Result};
use nix::libc;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};
use nix::unistd::{ForkResult, Pid, fork, getppid};

use super::preconditions::ForkPermit;
use crate::linux;

/// The exit code of a child that panicked: the same as that of any Rust program.
pub(super) const PANICKED: i32 = 101;

/// Forks a child that runs `body` and exits with the code that `body` returns, or with [`PANICKED`] if `body`
/// panics. The kernel sends `when_orphaned` to the child when the thread that calls this function ends, as at
/// the death of the parent. `install_handlers` runs in the child before the first signal can reach the child.
///
/// The child exits through `_exit`, so that destructors and exit handlers of the parent's program do not run
/// twice.
///
/// # Errors
/// `internal`, if the system refuses to create the process.
pub(super) fn fork_child(
    _permit: ForkPermit,
    when_orphaned: Signal,
    install_handlers: impl FnOnce(),
    body: impl FnOnce() -> i32,
) -> Result<Pid> {
    // Bytes that stay buffered would be written by both parent and child. This thread holds the locks across
    // the fork, because a lock held by another thread would never be released in the child.
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    let _ = stdout.flush();
    let _ = stderr.flush();
    let parent = nix::unistd::getpid();
    let mut mask = SigSet::empty();
    let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut mask));
    // SAFETY: `preconditions::check` has just issued the permit. It verified that this process has one
    // thread, or the caller vouched for the other threads with the unsafe `allow_threads`. So no lock is held
    // by a thread that the child does not have.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        drop((stdout, stderr));
        // First the request to be signalled, then the comparison. If the parent dies after the request, the
        // kernel signals the child. If the parent died before, the comparison detects it.
        let _ = linux::die_with_parent(when_orphaned);
        if getppid() != parent {
            exit(0);
        }
        reset_handlers();
        install_handlers();
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
        exit(catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED))
    }
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None);
    match forked {
        Ok(ForkResult::Parent { child }) => Ok(child),
        // Unreachable: the child has exited above.
        Ok(ForkResult::Child) => exit(PANICKED),
        Err(fault) => Err(Error::caused_by(ErrorId::INTERNAL, "no process can be forked", fault)),
    }
}

/// Gives every signal its default action. Two kinds of signals keep theirs: ignored signals, and the signals
/// by which Rust's runtime detects stack overflows. The real-time signals that the C library has for itself
/// are left alone: they are below `SIGRTMIN`.
fn reset_handlers() {
    // `Signal` has no real-time signals.
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    for signal in Signal::iterator().map(|signal| signal as libc::c_int).chain(real_time) {
        if !linux::must_keep_action(signal) {
            // This fails only for SIGKILL and SIGSTOP, which always have their default actions.
            //
            // SAFETY: the default action runs no code of this process.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

/// How long a child may take to flush its output when it exits. The limit is needed because the output may be
/// a full pipe that is not read, or another thread of the child may hold the lock of the output.
const FLUSH_SECONDS: u32 = 2;

/// Flushes the output, for [`FLUSH_SECONDS`] at most, and ends the process without running destructors or
/// exit handlers.
fn exit(code: i32) -> ! {
    schedule_exit(code, FLUSH_SECONDS);
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` ends the process without running any of its code.
    unsafe { libc::_exit(code) }
}

/// The exit code that the handler of [`schedule_exit`] uses.
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

/// Sets an alarm that ends this process with `code` after `seconds`, even if all its threads are blocked.
fn schedule_exit(code: i32, seconds: u32) {
    extern "C" fn exit_now(_: libc::c_int) {
        // SAFETY: `_exit` is async-signal-safe.
        unsafe { libc::_exit(EXIT_CODE.load(Ordering::Relaxed)) }
    }
    EXIT_CODE.store(code, Ordering::Relaxed);
    let action = SigAction::new(SigHandler::Handler(exit_now), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler calls only async-signal-safe functions and reads only an atomic integer.
    let _ = unsafe { sigaction(Signal::SIGALRM, &action) };
    let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(Signal::SIGALRM)), None);
    nix::unistd::alarm::set(seconds);
}
