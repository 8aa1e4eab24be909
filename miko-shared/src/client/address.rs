//! A server's address and the credentials for it, the blocking connect, and how long a client retries to
//! connect.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::fault::accept_timed_out;
use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::token::Token;

/// How long a client retries to connect while the server does not listen yet.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to connect.
pub(super) const CONNECT_RETRY: Duration = Duration::from_millis(10);

/// The shortest timeout of a connect: a socket without a timeout waits without a limit.
const MIN_TIMEOUT: Duration = Duration::from_micros(1);

/// Everything needed to connect to a server.
#[derive(Clone)]
pub(crate) struct Address {
    /// The path of the socket.
    pub(crate) path: PathBuf,
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    /// The status that the server publishes to its workers. Other clients have none, and never spin.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
    /// The index of the worker that connects. Other clients have none.
    pub(crate) worker: Option<usize>,
}

impl Address {
    /// The address of a server, for a process that is not a worker of its share, with the default limits. The
    /// status that the server publishes is not accessible: only the processes of the share have that memory.
    pub(super) fn new(path: impl AsRef<Path>, token: &Token) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            token: token.clone(),
            limits: Limits::default(),
            shared_status: None,
            worker: None,
        }
    }

    /// Connects to the socket. While the backlog, the queue of connections that the server has not accepted
    /// yet, is full, blocks until there is room, for `timeout` at most.
    ///
    /// # Errors
    /// `WouldBlock` after the timeout; the other errors of the system.
    pub(super) fn connect(&self, timeout: Duration) -> io::Result<UnixStream> {
        let until = Instant::now().checked_add(timeout);
        let address = UnixAddr::new(&self.path)?;
        let stream: UnixStream =
            socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?.into();
        loop {
            // A connect waits as long as a write does. Nothing blocks in a write to the socket later.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()).max(MIN_TIMEOUT));
            stream.set_write_timeout(left)?;
            match connect(stream.as_raw_fd(), &address) {
                Ok(()) => return Ok(stream),
                // A signal was handled. With a timeout, the kernel does not go on with the connect.
                Err(Errno::EINTR) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// The error for a failed connect: `deadline-exceeded` after a timeout of [`connect`](Self::connect).
    pub(super) fn unreachable(&self, fault: io::Error) -> Error {
        if fault.kind() == io::ErrorKind::WouldBlock {
            return accept_timed_out();
        }
        Error::caused_by(ErrorId::SERVER_GONE, "no server can be reached", fault)
            .with("path", self.path.display().to_string())
    }
}

/// Whether a connect failed because no server listens. The server may not listen yet.
pub(super) fn is_not_listening(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
