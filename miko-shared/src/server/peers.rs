//! The connected processes and their connections. Once the server is told to stop, it accepts no more
//! connections, and shuts down those of processes that have ended.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};
use tokio::sync::Notify;

use crate::linux::has_no_process;

/// How long a server that is told to stop waits for the next connection to close. At first it only stops
/// receiving from processes that have ended. After this time it gives up sending to them, too: the answers
/// may never be read.
const DEAD_PEER_TIMEOUT: Duration = Duration::from_secs(1);

/// The connected processes.
#[derive(Default)]
pub(super) struct Peers {
    /// The descriptors of each process's connections. A descriptor is removed before another connection can
    /// get its number.
    by_pid: RefCell<HashMap<i32, Vec<RawFd>>>,
    /// Notified after a connection is closed.
    pub(super) disconnected: Notify,
}

/// Keeps a connection among the [`Peers`] until this value is dropped, also by a panic.
pub(super) struct Connected<'p> {
    peers: &'p Peers,
    pid: i32,
    descriptor: RawFd,
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.peers.remove(self.pid, self.descriptor);
    }
}

impl Peers {
    /// Adds a connection of the process `pid`.
    pub(super) fn add(&self, pid: i32, descriptor: RawFd) -> Connected<'_> {
        self.by_pid.borrow_mut().entry(pid).or_default().push(descriptor);
        Connected { peers: self, pid, descriptor }
    }

    fn remove(&self, pid: i32, descriptor: RawFd) {
        let mut by_pid = self.by_pid.borrow_mut();
        if let Some(descriptors) = by_pid.get_mut(&pid) {
            descriptors.retain(|candidate| *candidate != descriptor);
            if descriptors.is_empty() {
                by_pid.remove(&pid);
            }
        }
    }

    /// The number of connections.
    pub(super) fn count(&self) -> usize {
        self.by_pid.borrow().values().map(Vec::len).sum()
    }

    /// Waits until the calls sent by processes that have ended were run, and the connections of these
    /// processes are closed. Does not wait for processes that still run. A process that has ended and was not
    /// reaped counts as running. The parent of a share has reaped its workers before it stops the server.
    ///
    /// A process that the peer has forked may hold the connection open, so end of file may never arrive.
    /// Receiving is therefore shut down: bytes that have arrived can still be read, followed by end of file.
    /// The forked process may also leave the answers unread, so sending may never end. Sending is therefore
    /// shut down, too, once no connection was closed for [`DEAD_PEER_TIMEOUT`]. The calls behind these
    /// answers are then run; calls of other protocols may be lost.
    pub(super) async fn read_input_of_dead_peers(&self) {
        let mut how = Shutdown::Read;
        loop {
            let disconnected = self.disconnected.notified();
            if !self.shut_down_dead(how) {
                return;
            }
            if tokio::time::timeout(DEAD_PEER_TIMEOUT, disconnected).await.is_err() {
                how = Shutdown::Both;
            }
        }
    }

    /// Shuts down the connections of processes that have ended. Returns whether there were any.
    fn shut_down_dead(&self, how: Shutdown) -> bool {
        let by_pid = self.by_pid.borrow();
        // The pid 0 stands for an unknown process. `has_no_process(0)` is `false`, so it counts as alive.
        let dead = by_pid.iter().filter(|(pid, _)| has_no_process(**pid));
        let mut any = false;
        for descriptor in dead.flat_map(|(_, descriptors)| descriptors) {
            // An error means that the peer has closed the connection already.
            let _ = shutdown(*descriptor, how);
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, id};
    use std::thread;

    use nix::libc;

    use super::*;

    /// Gives up root, if the test runs as root, for this thread alone. [`has_no_process`] probes a process by
    /// a signal. The case of process 1 tests that a process counts as alive if the probe is refused, and root
    /// is never refused.
    fn drop_privileges() {
        const NOBODY: libc::c_long = 65534;
        // SAFETY: the system call only changes the user ids of the calling thread.
        unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    }

    #[test]
    fn only_connections_of_ended_processes_are_shut_down() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let pids = [(child.id(), true), (id(), false), (1, false)];
        let check = || {
            drop_privileges();
            for (pid, is_dead) in pids {
                let (own, mut other) = UnixStream::pair().unwrap();
                let peers = Peers::default();
                let _connected = peers.add(i32::try_from(pid).unwrap(), own.as_raw_fd());
                assert_eq!(peers.shut_down_dead(Shutdown::Both), is_dead, "{pid}");
                other.set_nonblocking(true).unwrap();
                let read = other.read(&mut [0]).map_err(|fault| fault.kind());
                assert_eq!(read, if is_dead { Ok(0) } else { Err(ErrorKind::WouldBlock) }, "{pid}");
            }
        };
        thread::scope(|scope| scope.spawn(check).join()).unwrap();
    }
}
