//! Functions for system calls and files of Linux: threads, the death of a parent, pidfds and signal handlers.

use std::fs;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Pid;

/// The number of threads of this process.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn thread_count() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Makes the kernel send `signal` to this process when the thread that forked it ends.
///
/// The parent may have died before this call, so the caller has to compare `getppid` with the pid of its
/// parent afterwards.
///
/// # Errors
/// Never, for a valid signal.
pub fn die_with_parent(signal: Signal) -> nix::Result<()> {
    prctl::set_pdeathsig(signal)
}

/// A descriptor of the process `pid`, which becomes readable when the process ends. Unlike a pid, the
/// descriptor never names another process.
///
/// # Errors
/// If the process does not exist, or the descriptors are exhausted.
pub fn pidfd(pid: Pid) -> io::Result<OwnedFd> {
    let no_flags = 0;
    // SAFETY: the call takes two integers and accesses no memory of this process.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), no_flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just created this descriptor, so it has no other owner.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The process that connected a Unix socket.
#[derive(Debug)]
pub enum PeerPidfd {
    /// A descriptor of the process, which becomes readable when the process ends.
    Open(OwnedFd),
    /// The process has ended, and was reaped.
    Reaped,
    /// The process cannot be watched, for example before Linux 6.5.
    Unknown,
}

/// The process that connected `socket`; never a later process that has got the same pid.
pub fn peer_pidfd(socket: &impl AsFd) -> PeerPidfd {
    let error = match getsockopt(socket, sockopt::PeerPidfd) {
        Ok(process) => return PeerPidfd::Open(process),
        Err(error) => error,
    };
    let peer = getsockopt(socket, sockopt::PeerCredentials);
    match peer.is_ok_and(|peer| was_reaped(error, peer.pid())) {
        true => PeerPidfd::Reaped,
        false => PeerPidfd::Unknown,
    }
}

/// Whether the process `pid` has ended and was reaped, if the kernel gave out no descriptor of it but
/// `error`. Before Linux 6.16 the kernel gives out no descriptor of a reaped process. `ENOPROTOOPT` has
/// another reason: the kernel cannot give out descriptors of peers at all. `pid` is 0 if the process is in
/// another namespace.
fn was_reaped(error: Errno, pid: i32) -> bool {
    error != Errno::ENOPROTOOPT && pid > 0 && has_no_process(pid)
}

/// Whether no process has this pid. Only the error `ESRCH` means this: the kernel refuses a signal to a
/// process of another user with another error.
pub(crate) fn has_no_process(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

/// Whether a forked child must keep the action of this signal. It must, if the signal is ignored (as after an
/// `exec`: under `nohup` the child ignores SIGHUP, too), or if Rust's runtime detects stack overflows by it.
pub(crate) fn must_keep_action(signal: libc::c_int) -> bool {
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) {
        return true;
    }
    handler_of(signal) == Some(libc::SIG_IGN)
}

/// The handler of a signal: an address, `SIG_DFL` or `SIG_IGN`. `None` if the system refuses to return it.
pub(crate) fn handler_of(signal: libc::c_int) -> Option<libc::sighandler_t> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null new action changes nothing, and the current action is written to memory of its type.
    let failed = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } != 0;
    // SAFETY: the call succeeded, so it has initialized the action.
    (!failed).then(|| unsafe { action.assume_init() }.sa_sigaction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_descriptor_was_reaped_or_is_on_an_old_kernel() {
        // No process has a pid beyond four million.
        let (reaped, own) = (i32::MAX, nix::unistd::getpid().as_raw());
        let cases = [
            (Errno::EINVAL, reaped, true),
            (Errno::ESRCH, reaped, true),
            (Errno::EINVAL, own, false),
            (Errno::EINVAL, 0, false),
            (Errno::ENOPROTOOPT, reaped, false),
        ];
        for (error, pid, expected) in cases {
            assert_eq!(was_reaped(error, pid), expected, "{error}, process {pid}");
        }
    }
}
