//! Ctrl-C, read from a descriptor while the parent waits.
//!
//! SIGINT has a handler for as long as one of these lives. It writes to an eventfd, so that it does not matter which
//! thread of the process gets the signal, and none is missed. Several may live at once, one inside the other: they have one
//! descriptor, and the first that asks gets the signal. Where the starter of the program has ignored SIGINT, as `nohup` and
//! shells do for what runs in the background, it stays ignored.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use miko_core::{Error, ErrorId, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, sigaction,
};
use nix::unistd::{Pid, getpid};

use crate::linux;

pub(crate) struct Interrupt {
    descriptor: Arc<EventFd>,
    mask_before: SigSet,
}

/// What the listeners of this process have in common.
struct Listeners {
    /// The process that all of this belongs to: a fork begins anew.
    owner: Option<Pid>,
    count: usize,
    /// It stays open until the process ends, since a handler may be about to write to it.
    descriptor: Option<Arc<EventFd>>,
    action_before: Option<SigAction>,
}

static LISTENERS: Mutex<Listeners> =
    Mutex::new(Listeners { owner: None, count: 0, descriptor: None, action_before: None });

/// The descriptor that the handler writes to, and the process that it belongs to.
static WRITE_TO: AtomicI32 = AtomicI32::new(-1);
static WRITER: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(_: libc::c_int) {
    // `getpid` is async-signal-safe.
    if getpid().as_raw() != WRITER.load(Ordering::Relaxed) {
        // A fork that was not made by us has inherited the handler. It gets the signal as if there were none.
        // SAFETY: `signal` and `raise` are async-signal-safe, and the default action runs no code.
        unsafe {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            libc::raise(libc::SIGINT);
        }
        return;
    }
    let before = Errno::last_raw();
    let one = 1_u64;
    // SAFETY: `write` is async-signal-safe, the eight bytes are there, and the descriptor is never closed in this process.
    unsafe { libc::write(WRITE_TO.load(Ordering::Relaxed), (&raw const one).cast(), size_of::<u64>()) };
    Errno::set_raw(before);
}

impl Interrupt {
    pub(crate) fn listen() -> Result<Self> {
        let failed = |fault| Error::new(ErrorId::INTERNAL, format!("Ctrl-C cannot be watched: {fault}"));
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.owner != Some(getpid()) {
            *listeners = Listeners { owner: Some(getpid()), count: 0, descriptor: None, action_before: None };
        }
        let descriptor = match &listeners.descriptor {
            Some(descriptor) => Arc::clone(descriptor),
            None => {
                let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
                let made = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(failed)?);
                listeners.descriptor = Some(Arc::clone(&made));
                made
            }
        };
        if listeners.count == 0 && linux::handler_of(Signal::SIGINT) != Some(libc::SIG_IGN) {
            // What was said to a listener that is gone concerns nobody.
            let _ = descriptor.read();
            WRITE_TO.store(descriptor.as_fd().as_raw_fd(), Ordering::Relaxed);
            WRITER.store(getpid().as_raw(), Ordering::Relaxed);
            let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: the handler calls only what is async-signal-safe and reads only atomic numbers.
            listeners.action_before = Some(unsafe { sigaction(Signal::SIGINT, &action) }.map_err(failed)?);
        }
        listeners.count += 1;
        let mut mask_before = SigSet::empty();
        let interrupt = SigSet::from(Signal::SIGINT);
        // It cannot fail with these arguments.
        let _ = pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&interrupt), Some(&mut mask_before));
        Ok(Self { descriptor, mask_before })
    }

    /// Has there been a Ctrl-C since this was last asked?
    pub(super) fn came(&self) -> bool {
        self.descriptor.read().is_ok()
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
            // SAFETY: it was the action of this process before.
            let _ = unsafe { sigaction(Signal::SIGINT, &before) };
        }
    }
}
