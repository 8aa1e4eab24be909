//! Ctrl-C, read from a descriptor while the parent waits.
//!
//! SIGINT has a handler while an [`Interrupt`] (a listener) exists. Any thread of the process may receive the
//! signal. The handler writes to an eventfd, so no signal is missed. Several listeners may exist, nested in
//! one another: they share one descriptor, and the first that reads it gets the signal. If SIGINT is ignored
//! when the outermost listener begins, as in background jobs of shells, SIGINT stays ignored.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use miko_rpc::{Error, ErrorId, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};
use nix::unistd::{Pid, getpid};

use crate::linux;

/// A listener for Ctrl-C.
pub(crate) struct Interrupt {
    descriptor: Arc<EventFd>,
    /// The signal mask of the thread before [`listen`](Self::listen).
    mask_before: SigSet,
}

/// The state shared by the listeners of this process.
struct Listeners {
    /// The process that owns this state; `None` before the first listener. A forked process resets the state
    /// when it begins to listen.
    owner: Option<Pid>,
    /// The number of listeners.
    count: usize,
    /// The descriptor of all listeners. The owner never closes it, because the handler may be about to write
    /// to it. A forked process may close its copy: the handler does not write in that process.
    descriptor: Option<Arc<EventFd>>,
    /// The action of SIGINT before the first listener; `None` if the handler is not installed.
    action_before: Option<SigAction>,
}

static LISTENERS: Mutex<Listeners> =
    Mutex::new(Listeners { owner: None, count: 0, descriptor: None, action_before: None });

/// The descriptor that the handler writes to.
static HANDLER_FD: AtomicI32 = AtomicI32::new(-1);

/// The pid of the process that owns the descriptor. The handler writes only in this process.
static HANDLER_PID: AtomicI32 = AtomicI32::new(0);

/// How often this process has got SIGINT from the terminal while a listener existed.
static TERMINAL_INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// The handler of SIGINT.
extern "C" fn handle_sigint(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // `getpid` is async-signal-safe.
    if getpid().as_raw() != HANDLER_PID.load(Ordering::Relaxed) {
        // This process has inherited the handler from a process that forked it, but not as a process of a
        // share: those have their handlers reset. In this process the signal gets its default action.
        //
        // SAFETY: `signal` and `raise` are async-signal-safe, and the default action runs no code.
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::raise(libc::SIGINT);
        }
        return;
    }
    // The kernel itself sends the signal of a terminal. A signal that a process has sent has another code.
    //
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler with `SA_SIGINFO`.
    let is_from_terminal = unsafe { (*info).si_code } == libc::SI_KERNEL;
    TERMINAL_INTERRUPTS.fetch_add(is_from_terminal.into(), Ordering::Relaxed);
    let errno_before = Errno::last_raw();
    let one = 1_u64;
    // SAFETY: `write` is async-signal-safe, the eight bytes are valid, and the descriptor is never closed in
    // this process.
    unsafe { libc::write(HANDLER_FD.load(Ordering::Relaxed), (&raw const one).cast(), size_of::<u64>()) };
    Errno::set_raw(errno_before);
}

/// How often this process has got SIGINT from the terminal while a listener existed. Each time, the terminal
/// has sent the signal to all processes of the foreground group, to which this process belonged.
pub(super) fn terminal_interrupts() -> u64 {
    TERMINAL_INTERRUPTS.load(Ordering::Relaxed)
}

impl Interrupt {
    /// Starts to listen for SIGINT, and unblocks SIGINT for this thread until the listener is dropped.
    ///
    /// # Errors
    /// `internal`, if the system refuses the descriptor or the handler.
    pub(crate) fn listen() -> Result<Self> {
        let failed = |fault| Error::caused_by(ErrorId::INTERNAL, "Ctrl-C cannot be watched", fault);
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.owner != Some(getpid()) {
            *listeners = Listeners { owner: Some(getpid()), count: 0, descriptor: None, action_before: None };
            if linux::handler_of(libc::SIGINT) == Some(handle_sigint as *const () as libc::sighandler_t) {
                // This process was forked while a listener existed, but not as a process of a share. If the
                // inherited handler were restored after the last listener, it would take this process for the
                // one that listens. So the signal gets its default action now, as by the handler.
                let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
                // SAFETY: the default action runs no code of this process.
                unsafe { sigaction(Signal::SIGINT, &default) }.map_err(failed)?;
            }
        }
        let descriptor = match &listeners.descriptor {
            Some(descriptor) => Arc::clone(descriptor),
            None => {
                let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
                let descriptor = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(failed)?);
                listeners.descriptor = Some(Arc::clone(&descriptor));
                descriptor
            }
        };
        if listeners.count == 0 && linux::handler_of(libc::SIGINT) != Some(libc::SIG_IGN) {
            // Discards a signal that arrived for an earlier listener.
            let _ = descriptor.read();
            HANDLER_FD.store(descriptor.as_fd().as_raw_fd(), Ordering::Relaxed);
            HANDLER_PID.store(getpid().as_raw(), Ordering::Relaxed);
            let flags = SaFlags::SA_RESTART | SaFlags::SA_SIGINFO;
            let action = SigAction::new(SigHandler::SigAction(handle_sigint), flags, SigSet::empty());
            // SAFETY: the handler calls only async-signal-safe functions and reads only atomic integers.
            listeners.action_before = Some(unsafe { sigaction(Signal::SIGINT, &action) }.map_err(failed)?);
        }
        listeners.count += 1;
        let mut mask_before = SigSet::empty();
        let interrupt = SigSet::from(Signal::SIGINT);
        // `pthread_sigmask` cannot fail with these arguments.
        let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&interrupt), Some(&mut mask_before));
        Ok(Self { descriptor, mask_before })
    }

    /// How often the process has got SIGINT since the last call, on any listener.
    pub(super) fn take(&self) -> u64 {
        self.descriptor.read().unwrap_or(0)
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.mask_before), None);
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.owner != Some(getpid()) {
            return;
        }
        listeners.count = listeners.count.saturating_sub(1);
        if listeners.count == 0
            && let Some(before) = listeners.action_before.take()
        {
            // SAFETY: `before` was the action of this process, so its handler is valid.
            let _ = unsafe { sigaction(Signal::SIGINT, &before) };
        }
    }
}
