//! The transport of a blocking proxy: a connection that is reopened after it is lost.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use miko_rpc::codec::Message;
use miko_rpc::{Error, ErrorId, Method, Result, Surface, Transport};
use tracing::info;

use super::Address;
use super::address::{CONNECT_RETRY, is_not_listening};
use super::connection::{Connection, ConnectionFault};
use super::exclusive::Exclusive;
use super::runtime::refuse_in_task;
use crate::serving;

/// Counts the calls of a transport, including those that failed.
#[derive(Clone, Default)]
pub(crate) struct CallCounter(Arc<AtomicU64>);

impl CallCounter {
    /// The number of calls so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Carries the calls of a proxy over a Unix socket, one at a time.
///
/// A lost connection is reopened. The call in progress is retried once if it cannot have run, because it was
/// not sent completely, or if it is repeatable. Otherwise it fails, because it is unknown whether it ran. A
/// process that inherited the proxy by a fork opens its own connection: two processes on one stream would
/// read each other's answers.
pub(crate) struct SocketTransport {
    address: Address,
    /// The surface of the interface, for the handshake.
    surface: &'static Surface,
    calls: CallCounter,
    connection: Exclusive<Connection>,
}

impl SocketTransport {
    /// Creates a transport that connects at its first call.
    pub(crate) fn new(address: Address, surface: &'static Surface) -> Self {
        Self { address, surface, calls: CallCounter::default(), connection: Exclusive::new(None) }
    }

    /// Connects at once. Retries until `timeout` while the server does not listen yet.
    pub(crate) fn connect(address: Address, surface: &'static Surface, timeout: Duration) -> Result<Self> {
        refuse_where_it_cannot_wait(&address.path)?;
        let deadline = Instant::now() + timeout;
        let stream = loop {
            match UnixStream::connect(&address.path) {
                Ok(stream) => break stream,
                Err(fault) if is_not_listening(&fault) && Instant::now() < deadline => {
                    thread::sleep(CONNECT_RETRY)
                }
                Err(fault) => return Err(address.unreachable(fault)),
            }
        };
        let connection = Connection::open(stream, &address, surface, address.limits.call_deadline)?;
        Ok(Self { connection: Exclusive::new(Some(connection)), ..Self::new(address, surface) })
    }

    /// Opens a connection, with a timeout for each wait.
    ///
    /// # Errors
    /// `server-gone` if it cannot connect, and the errors of the handshake.
    fn open(&self, timeout: Duration) -> Result<Connection> {
        let stream =
            UnixStream::connect(&self.address.path).map_err(|fault| self.address.unreachable(fault))?;
        Connection::open(stream, &self.address, self.surface, timeout)
    }

    /// The counter of its calls, which can be read while calls run.
    pub(crate) fn calls(&self) -> CallCounter {
        self.calls.clone()
    }
}

impl Transport for SocketTransport {
    fn call(
        &self,
        method: &'static Method,
        request: &dyn Message,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        refuse_where_it_cannot_wait(&self.address.path)?;
        self.calls.0.fetch_add(1, Ordering::Relaxed);
        let deadline = method.deadline_or(self.address.limits.call_deadline);
        let started = Instant::now();
        let mut used = self.connection.wait(deadline).ok_or_else(in_use)?;
        let mut retried = false;
        loop {
            // The full deadline, if nothing was waited for: then it is that of the last call, and no system
            // call sets the timeout of the socket.
            let mut has_full_deadline = !retried && !used.has_waited;
            let connection = match &mut used.value {
                Some(connection) => connection,
                none => {
                    has_full_deadline = false;
                    none.insert(self.open(deadline.saturating_sub(started.elapsed()))?)
                }
            };
            let remaining =
                if has_full_deadline { deadline } else { deadline.saturating_sub(started.elapsed()) };
            if remaining.is_zero() {
                return Err(Error::new(
                    ErrorId::DEADLINE_EXCEEDED,
                    "the deadline passed before the call was sent",
                ));
            }
            let (error, may_retry) =
                match connection.call(request, remaining, started.checked_add(deadline), read) {
                    Ok(()) => return Ok(()),
                    Err(ConnectionFault::OfCall(error)) => return Err(error),
                    Err(ConnectionFault::OfConnection(error)) => (error, false),
                    Err(ConnectionFault::Unsent(error)) => (error, true),
                    Err(ConnectionFault::Unanswered(error)) => (error, method.is_repeatable()),
                };
            used.value = None;
            info!(method = &*method.name, %error, retry = !retried && may_retry, "connection lost");
            if retried || !may_retry {
                return Err(error);
            }
            retried = true;
        }
    }
}

/// The error of a call that waited until its deadline for calls of other threads.
fn in_use() -> Error {
    Error::new(
        ErrorId::DEADLINE_EXCEEDED,
        "calls that other threads make on the same proxy lasted until the deadline; this call was not sent",
    )
}

/// Refuses a call to the server at `path` where it would wait for itself, or stop a runtime. A method of a
/// server may wait for another server.
fn refuse_where_it_cannot_wait(path: &Path) -> Result<()> {
    if !serving::runs_a_call() {
        return refuse_in_task();
    }
    if !serving::listens_at(path) {
        return Ok(());
    }
    let message = "a method calls the server that is running it, which would wait for itself: \
                   call the implementation directly";
    Err(Error::new(ErrorId::SELF_CALL, message).with("path", path.display().to_string()))
}
