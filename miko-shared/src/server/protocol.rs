//! Protocols in addition to the server's own wire protocol, each on a separate socket.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::TcpListener as StdTcpListener;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;

use miko_rpc::{CallTransport, Error, ErrorId, Result, Surface};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::around::Peer;
use super::json_calls::JsonCalls;
use crate::client::CallCounter;
use crate::limits::Limits;

/// Stands for an unknown process in [`Peer::pid`].
const UNKNOWN_PID: i32 = 0;

/// A protocol, such as HTTP, by which other programs call the interface that a server serves. Its connections
/// run in the thread and runtime of the server, one task each.
pub trait Protocol {
    /// Serves one connection until it is closed. When the server ends, the future is dropped, also if the
    /// connection is still open.
    ///
    /// The future must keep the stream of `accepted` open until the future completes: the server identifies
    /// the connection by the descriptor of the stream.
    fn serve(self: Rc<Self>, accepted: Accepted, calls: Rc<JsonCalls>) -> Pin<Box<dyn Future<Output = ()>>>;

    /// Connects a worker whose proxy speaks this protocol: see
    /// [`Uds::workers_use_second_protocol`](crate::Uds::workers_use_second_protocol). Runs in the process of
    /// the worker.
    ///
    /// # Errors
    /// `invalid_request`, if the protocol has no client, which is the default; otherwise the errors of
    /// connecting.
    fn connect(&self, worker: WorkerAddress) -> Result<Box<dyn CallTransport>> {
        let _ = worker;
        let message = "the protocol on the second socket of the share has no client for workers";
        Err(Error::new(ErrorId::INVALID_REQUEST, message))
    }
}

/// Where and how a worker connects by a [`Protocol`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerAddress {
    /// The path of the socket on which the server speaks the protocol.
    pub path: PathBuf,
    /// The surface of the interface of the proxy.
    pub surface: &'static Surface,
    /// The index of the worker.
    pub worker: usize,
    /// The limits of the share.
    pub limits: Limits,
    /// Counts the calls of the worker, for its report.
    pub calls: CallCounter,
}

/// A connection that was accepted for a [`Protocol`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Accepted {
    /// The connection.
    pub stream: AcceptedStream,
    /// The process that connected. Its id is 0 if the process is unknown, as for TCP.
    pub peer: Peer,
    /// Whether the process runs as the user of the server, as the kernel reports it. `false` if the user
    /// is unknown, as for TCP.
    pub is_own_user: bool,
    /// The error with which the protocol must refuse the connection, if there are too many connections.
    pub refusal: Option<Error>,
}

/// The stream of a connection.
#[derive(Debug)]
pub enum AcceptedStream {
    /// A connection of a Unix socket.
    Unix(UnixStream),
    /// A connection of a TCP socket.
    Tcp(TcpStream),
}

impl AcceptedStream {
    pub(super) fn descriptor(&self) -> RawFd {
        match self {
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tcp(stream) => stream.as_raw_fd(),
        }
    }
}

/// A listening socket, and the protocol that is spoken on it.
pub struct ProtocolSocket {
    pub(super) listener: BoundSocket,
    pub(super) protocol: Rc<dyn Protocol>,
}

/// A listening socket that is not registered with a runtime yet.
#[derive(Debug)]
pub(super) enum BoundSocket {
    Unix(StdUnixListener),
    Tcp(StdTcpListener),
}

impl ProtocolSocket {
    /// Speaks `protocol` on a Unix socket.
    pub fn unix(listener: StdUnixListener, protocol: Rc<dyn Protocol>) -> Self {
        Self { listener: BoundSocket::Unix(listener), protocol }
    }

    /// Speaks `protocol` on a TCP socket.
    pub fn tcp(listener: StdTcpListener, protocol: Rc<dyn Protocol>) -> Self {
        Self { listener: BoundSocket::Tcp(listener), protocol }
    }
}

impl fmt::Debug for ProtocolSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtocolSocket").field(&self.listener).finish()
    }
}

/// A listening socket that is registered with the runtime of the server.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl BoundSocket {
    /// The path of the socket; `None` for a Unix socket without a path, and for a TCP socket.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(listener) => listener.local_addr().ok()?.as_pathname().map(Path::to_owned),
            Self::Tcp(_) => None,
        }
    }

    /// Registers the socket with the runtime of the current task.
    pub(super) fn listen(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Unix(listener) => {
                listener.set_nonblocking(true)?;
                Listener::Unix(UnixListener::from_std(listener)?)
            }
            Self::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                Listener::Tcp(TcpListener::from_std(listener)?)
            }
        })
    }
}

impl Listener {
    /// Waits for the next connection.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        // Only the handshake of the server's own protocol names a worker.
        let no_worker = None;
        Ok(match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred().ok();
                let pid = credentials.and_then(|peer| peer.pid()).unwrap_or(UNKNOWN_PID);
                let own_uid = nix::unistd::Uid::effective().as_raw();
                Accepted {
                    is_own_user: credentials.is_some_and(|peer| peer.uid() == own_uid),
                    stream: AcceptedStream::Unix(stream),
                    peer: Peer::new(pid, no_worker),
                    refusal: None,
                }
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Without a delay, small answers are sent at once. If this fails, answers only take longer.
                let _ = stream.set_nodelay(true);
                // With keep-alive the kernel detects that the machine of a client is gone, after the time for
                // which the system is configured.
                let _ = setsockopt(&stream, sockopt::KeepAlive, &true);
                let stream = AcceptedStream::Tcp(stream);
                let peer = Peer::new(UNKNOWN_PID, no_worker);
                Accepted { stream, peer, is_own_user: false, refusal: None }
            }
        })
    }
}
