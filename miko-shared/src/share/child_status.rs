//! The action of SIGCHLD while a share runs.
//!
//! If the program that started this process ignored SIGCHLD, the kernel reaps the children and discards their
//! exit status. While a share runs, SIGCHLD therefore has its default action, which does nothing and keeps
//! the status.

use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::linux;

/// Keeps the exit status of children available while it exists.
pub(super) struct SigchldGuard(());

/// The number of guards, and the action before the first one if it was replaced.
static SAVED_ACTION: Mutex<(usize, Option<SigAction>)> = Mutex::new((0, None));

impl SigchldGuard {
    /// Replaces the action of SIGCHLD if the signal is ignored.
    pub(super) fn install() -> Self {
        let mut saved = SAVED_ACTION.lock().unwrap_or_else(PoisonError::into_inner);
        if linux::handler_of(Signal::SIGCHLD) == Some(libc::SIG_IGN) {
            let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            // SAFETY: the default action runs no code of this process.
            saved.1 = unsafe { sigaction(Signal::SIGCHLD, &default) }.ok();
        }
        saved.0 += 1;
        Self(())
    }
}

impl Drop for SigchldGuard {
    fn drop(&mut self) {
        let mut saved = SAVED_ACTION.lock().unwrap_or_else(PoisonError::into_inner);
        saved.0 = saved.0.saturating_sub(1);
        if saved.0 == 0
            && let Some(before) = saved.1.take()
        {
            // SAFETY: `before` was the action of this process, so its handler is valid.
            let _ = unsafe { sigaction(Signal::SIGCHLD, &before) };
        }
    }
}
