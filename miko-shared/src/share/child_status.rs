//! The action of SIGCHLD while a share runs.
//!
//! A process may ignore SIGCHLD, for example because the program that started it did. The kernel then reaps
//! the children of the process and discards their exit status. So an ignored SIGCHLD has its default action
//! while a share runs. The default action does nothing, and the status is kept.

use std::sync::{Mutex, PoisonError};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::linux;

/// Until this value is dropped, SIGCHLD is not ignored. Several shares of a process may each have a guard.
pub(super) struct SigchldGuard(());

/// The state shared by the guards of this process.
struct Guards {
    count: usize,
    /// The action of SIGCHLD that a guard has replaced; `None` if no guard had to replace the action.
    action_before: Option<SigAction>,
}

static GUARDS: Mutex<Guards> = Mutex::new(Guards { count: 0, action_before: None });

impl SigchldGuard {
    /// Gives SIGCHLD its default action, if the signal is ignored. The replaced action is restored when the
    /// last guard of the process is dropped.
    pub(super) fn install() -> Self {
        let mut guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
        if linux::handler_of(libc::SIGCHLD) == Some(libc::SIG_IGN) {
            let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
            // SAFETY: the default action runs no code of this process.
            guards.action_before = unsafe { sigaction(Signal::SIGCHLD, &default) }.ok();
        }
        guards.count += 1;
        Self(())
    }
}

impl Drop for SigchldGuard {
    fn drop(&mut self) {
        let mut guards = GUARDS.lock().unwrap_or_else(PoisonError::into_inner);
        guards.count = guards.count.saturating_sub(1);
        if guards.count == 0
            && let Some(before) = guards.action_before.take()
        {
            // SAFETY: `before` was the action of this process, so its handler is valid.
            let _ = unsafe { sigaction(Signal::SIGCHLD, &before) };
        }
    }
}
