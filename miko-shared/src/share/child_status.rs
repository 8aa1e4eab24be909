//! SIGCHLD while a share runs.
//!
//! A process whose starter ignored SIGCHLD has its children reaped by the kernel, and never learns how they ended. So
//! the signal has its default action while any share runs, which is to do nothing and keep the status.

use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::linux;

/// Keeps the status of children for their parent, as long as it lives.
pub(super) struct SigchldGuard(());

/// How many of them there are, and what the action was before the first.
static SAVED_ACTION: Mutex<(usize, Option<SigAction>)> = Mutex::new((0, None));

impl SigchldGuard {
    pub(super) fn keep() -> Self {
        let mut saved = SAVED_ACTION.lock().unwrap_or_else(PoisonError::into_inner);
        if linux::handler_of(Signal::SIGCHLD) == Some(libc::SIG_IGN) {
            let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            // SAFETY: the default action runs no code of ours.
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
            // SAFETY: it was the action of this process before.
            let _ = unsafe { sigaction(Signal::SIGCHLD, &before) };
        }
    }
}
