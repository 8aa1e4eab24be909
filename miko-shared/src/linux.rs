//! What only Linux has, kept in one place.

use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How many threads this process has.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Asks the kernel to send `signal` to this process when the thread that forked it ends.
///
/// The parent may have died before this was asked for: compare `getppid` afterwards.
///
/// # Errors
/// Never, for a valid signal.
pub fn die_with_parent(signal: Signal) -> nix::Result<()> {
    prctl::set_pdeathsig(signal)
}

/// A descriptor that becomes readable when the process ends. Unlike a pid it never means another process.
///
/// # Errors
/// If the process does not exist, or there are no descriptors left.
pub fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Must a forked child leave this signal as it is? That holds for signals that are ignored, and for those by which
/// Rust's runtime recognizes a stack overflow.
pub(crate) fn keeps_handler(signal: Signal) -> bool {
    if matches!(signal, Signal::SIGSEGV | Signal::SIGBUS) {
        return true;
    }
    handler_of(signal) == Some(libc::SIG_IGN)
}

/// The address of the handler of a signal, `SIG_DFL` or `SIG_IGN`.
pub(crate) fn handler_of(signal: Signal) -> Option<libc::sighandler_t> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action the call changes nothing, and it writes the present one to memory made for it.
    let failed = unsafe { libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: the call succeeded, so that it has written the action.
    (!failed).then(|| unsafe { action.assume_init() }.sa_sigaction)
}
