//! Forking: the one place that does it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use miko_core::{Error, ErrorId, Result};
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getppid};

use crate::linux;

/// The exit code of a child whose code panicked where nothing caught it, as Rust's own.
pub(super) const PANICKED: i32 = 101;

/// Forks a child that runs `body` and leaves with its exit code, or is killed by `when_orphaned` as soon as the parent dies.
///
/// The child leaves through `_exit`: destructors and exit handlers of the parent's program do not run twice.
///
/// # Errors
/// `internal`, if the system makes no more processes.
pub(super) fn fork_child(when_orphaned: Signal, body: impl FnOnce() -> i32) -> Result<Pid> {
    // What is buffered here would be written by parent and child.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    let parent = nix::unistd::getpid();
    // SAFETY: `preconditions::check` has made sure that this process has one thread, or the caller has vouched for the
    // others with `allow_threads`. So no lock can be held by a thread that the child does not have.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => {
            let _ = linux::die_with_parent(when_orphaned);
            if getppid() != parent {
                leave(0);
            }
            unblock_interrupt();
            leave(catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED))
        }
        Err(fault) => Err(Error::new(ErrorId::INTERNAL, format!("no process can be forked: {fault}"))),
    }
}

/// The parent blocks SIGINT while it waits, to read it from a descriptor. Children get it the usual way.
fn unblock_interrupt() {
    let interrupt = SigSet::from(Signal::SIGINT);
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&interrupt), None);
}

fn leave(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // SAFETY: `_exit` ends the process without running anything of it.
    unsafe { libc::_exit(code) }
}
