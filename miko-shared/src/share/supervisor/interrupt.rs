//! Ctrl-C, read from a descriptor while the parent waits.
//!
//! SIGINT is blocked for as long as this lives and restored after it. A handler would need a pipe, global state and a
//! plan for other handlers; a blocked signal waits in the kernel until somebody reads it, so none is missed. Several may live
//! at once, one inside the other: whoever asks first gets the signal.

use std::os::fd::{AsFd, BorrowedFd};

use miko_core::{Error, ErrorId, Result};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

pub(crate) struct Interrupt {
    descriptor: SignalFd,
    mask_before: SigSet,
}

impl Interrupt {
    pub(crate) fn listen() -> Result<Self> {
        let failed = |fault| Error::new(ErrorId::INTERNAL, format!("Ctrl-C cannot be watched: {fault}"));
        let interrupt = SigSet::from(Signal::SIGINT);
        let descriptor = SignalFd::with_flags(&interrupt, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(failed)?;
        let mut mask_before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&interrupt), Some(&mut mask_before)).map_err(failed)?;
        Ok(Self { descriptor, mask_before })
    }

    /// Has there been a Ctrl-C since this was last asked?
    pub(super) fn came(&self) -> bool {
        matches!(self.descriptor.read_signal(), Ok(Some(_)))
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
    }
}
