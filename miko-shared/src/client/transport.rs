//! The transport of a blocking proxy: a connection that is reopened after it is lost.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{process, thread};

use miko_rpc::codec::Message;
use miko_rpc::{Error, ErrorId, Method, Result, Surface, Transport};
use tracing::info;

use super::Address;
use super::address::{CONNECT_RETRY, is_not_listening};
use super::connection::{Connection, ConnectionFault};
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
    connection: Mutex<Option<OwnedConnection>>,
}

/// A connection and the process that opened it.
struct OwnedConnection {
    pid: u32,
    connection: Connection,
}

impl SocketTransport {
    /// Creates a transport that connects at its first call.
    pub(crate) fn new(address: Address, surface: &'static Surface) -> Self {
        Self { address, surface, calls: CallCounter::default(), connection: Mutex::new(None) }
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
        let connection = Connection::open(stream, &address, surface)?;
        let transport = Self::new(address, surface);
        *transport.lock() = Some(OwnedConnection { pid: process::id(), connection });
        Ok(transport)
    }

    /// The counter of its calls, which can be read while calls run.
    pub(crate) fn calls(&self) -> CallCounter {
        self.calls.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<OwnedConnection>> {
        // A panic during a call leaves the connection in an unknown state, so it is dropped.
        self.connection.lock().unwrap_or_else(|poisoned| {
            self.connection.clear_poison();
            let mut slot = poisoned.into_inner();
            *slot = None;
            slot
        })
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
        let mut slot = self.lock();
        self.calls.0.fetch_add(1, Ordering::Relaxed);
        let deadline = method.deadline_or(self.address.limits.call_deadline);
        let started = Instant::now();
        let mut retried = false;
        loop {
            let connection = connected(&mut slot, &self.address, self.surface)?;
            let remaining = if retried { deadline.saturating_sub(started.elapsed()) } else { deadline };
            let (error, may_retry) = match connection.call(request, remaining, read) {
                Ok(()) => return Ok(()),
                Err(ConnectionFault::OfCall(error)) => return Err(error),
                Err(ConnectionFault::OfConnection(error)) => (error, false),
                Err(ConnectionFault::Unsent(error)) => (error, true),
                Err(ConnectionFault::Unanswered(error)) => (error, method.is_repeatable()),
            };
            *slot = None;
            info!(method = &*method.name, %error, retry = !retried && may_retry, "connection lost");
            if retried || !may_retry {
                return Err(error);
            }
            retried = true;
        }
    }
}

/// The connection in `slot`. Opens a new one if there is none or if another process opened it.
fn connected<'s>(
    slot: &'s mut Option<OwnedConnection>,
    address: &Address,
    surface: &Surface,
) -> Result<&'s mut Connection> {
    let pid = process::id();
    let owned = match slot.take_if(|owned| owned.pid == pid) {
        Some(owned) => owned,
        None => {
            let stream = UnixStream::connect(&address.path).map_err(|fault| address.unreachable(fault))?;
            OwnedConnection { pid, connection: Connection::open(stream, address, surface)? }
        }
    };
    Ok(&mut slot.insert(owned).connection)
}

/// Refuses a call to the server at `path` where it would wait for itself, or stop a runtime. A method of a
/// server may wait for another server.
fn refuse_where_it_cannot_wait(path: &Path) -> Result<()> {
    if !serving::runs_a_call() {
        return refuse_in_runtime();
    }
    if !serving::listens_at(path) {
        return Ok(());
    }
    let message = "a method calls the server that is running it, which would wait for itself: \
                   call the implementation directly";
    Err(Error::new(ErrorId::SELF_CALL, message).with("path", path.display().to_string()))
}

/// Refuses blocking calls inside an async runtime, where they would block all tasks of the thread.
pub(crate) fn refuse_in_runtime() -> Result<()> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorId::INSIDE_RUNTIME,
            "a blocking call would stop the async runtime it was made in: use the async client, or call \
             from a plain thread (`std::thread::spawn`), or before the runtime starts",
        )),
    }
}
