//! The transport of an async proxy: a connection that is reopened after it is lost.

use std::convert::identity;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miko_rpc::codec::{self, Message};
use miko_rpc::{
    AnswerFuture, AsyncTransport, Error, ErrorId, Method, OutgoingCall, ReceivedAnswer, Result, Surface,
};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout, timeout_at};

use super::Address;
use super::address::{CONNECT_RETRY, CONNECT_TIMEOUT, is_not_listening};
use super::async_connection::{AsyncConnection, EncodedCall};
use super::fault::accept_timed_out;

/// Longer deadlines are cut to this: an `Instant` might not be able to represent their end.
const MAX_DEADLINE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Carries the calls of an async proxy over a Unix socket, many at a time.
///
/// After a connection is lost, the next call opens a new one. A call in progress is retried once if it was
/// not sent, or if its method may be repeated ([`Method::is_repeatable`]). Otherwise it fails, because it is
/// unknown whether it ran.
pub(super) struct AsyncSocketTransport {
    address: Address,
    /// The surface of the interface, for the handshake.
    surface: &'static Surface,
    /// The connection that was opened last, which may have ended.
    current: Mutex<Arc<AsyncConnection>>,
    /// Held while a connection is opened.
    opening: tokio::sync::Mutex<()>,
}

impl AsyncSocketTransport {
    /// Connects at once. Retries for [`CONNECT_TIMEOUT`] while the server does not listen yet. Waits up to
    /// the call deadline while the queue of the server is full.
    pub(super) async fn connect(address: Address, surface: &'static Surface) -> Result<Self> {
        refuse_outside_runtime()?;
        let retry_until = Instant::now() + CONNECT_TIMEOUT;
        let stream = loop {
            let connecting = connect_when_there_is_room(&address.path);
            match timeout(address.limits.call_deadline, connecting).await {
                Ok(Ok(stream)) => break stream,
                Ok(Err(fault)) if is_not_listening(&fault) && Instant::now() < retry_until => {
                    sleep(CONNECT_RETRY).await
                }
                Ok(Err(fault)) => return Err(address.unreachable(fault)),
                Err(_) => return Err(accept_timed_out()),
            }
        };
        let connection = open(stream, &address, surface).await?;
        let (current, opening) = (Mutex::new(connection), tokio::sync::Mutex::default());
        Ok(Self { address, surface, current, opening })
    }

    /// Returns the connection that was opened last. If it has ended, opens another one: one task at a time
    /// does so, and the others wait for this task. Unlike [`connect`](Self::connect), does not retry while
    /// the server does not listen. The caller limits the time.
    async fn get_or_open(&self) -> Result<Arc<AsyncConnection>> {
        if let Some(connection) = self.usable_connection() {
            return Ok(connection);
        }
        let _opening = self.opening.lock().await;
        // Another task may have opened a connection in the meantime.
        if let Some(connection) = self.usable_connection() {
            return Ok(connection);
        }
        let stream = connect_when_there_is_room(&self.address.path).await;
        let stream = stream.map_err(|fault| self.address.unreachable(fault))?;
        let connection = open(stream, &self.address, self.surface).await?;
        *self.current() = Arc::clone(&connection);
        Ok(connection)
    }

    /// The connection that was opened last; `None` if it has ended.
    fn usable_connection(&self) -> Option<Arc<AsyncConnection>> {
        let current = self.current();
        (!current.has_ended()).then(|| Arc::clone(&current))
    }

    fn current(&self) -> MutexGuard<'_, Arc<AsyncConnection>> {
        // Nothing panics while the lock is held.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call and waits for its answer. If the connection is lost and the call may be repeated, sends
    /// it once more on another connection.
    async fn run(&self, call: EncodedCall) -> Result<ReceivedAnswer> {
        refuse_outside_runtime()?;
        let until = Instant::now() + deadline_of(call.method, &self.address);
        let mut is_retry = false;
        loop {
            // Most calls find a usable connection. They need no timer for opening one.
            let connection = match self.usable_connection() {
                Some(connection) => connection,
                None => {
                    let opened = timeout_at(until.into(), self.get_or_open()).await;
                    opened.unwrap_or_else(|_| Err(accept_timed_out()))?
                }
            };
            match connection.call(&call, until).await {
                Ok(answer) => return Ok(answer),
                Err(fault) if !is_retry && fault.may_repeat(call.method) => is_retry = true,
                // The error of a lost connection is returned unchanged.
                Err(fault) => return Err(fault.into_error(identity)),
            }
        }
    }
}

impl AsyncTransport for AsyncSocketTransport {
    fn call(self: Arc<Self>, call: &OutgoingCall<'_>) -> AnswerFuture {
        let on_interface = None;
        let call = encode(call, on_interface, self.address.limits.frame_size);
        Box::pin(async move { self.run(call?).await })
    }
}

/// Encodes a call on the object with the handle `object`, or on the interface if `object` is `None`. The
/// method and its arguments may have at most `limit` bytes.
pub(super) fn encode(call: &OutgoingCall<'_>, object: Option<u64>, limit: usize) -> Result<EncodedCall> {
    let mut message = Vec::new();
    let request: &dyn Message = call.request;
    codec::encode(&mut message, limit, |encoder| request.write(encoder))
        .map_err(|fault| fault.into_error(limit))?;
    Ok(EncodedCall { method: call.method, message, discard: call.discard, object })
}

/// How long a call of `method` may take.
pub(super) fn deadline_of(method: &Method, address: &Address) -> Duration {
    method.deadline_or(address.limits.call_deadline).min(MAX_DEADLINE)
}

/// Connects to the socket at `path`. While the backlog, the queue of connections that the server has not
/// accepted yet, is full, waits for room, as a blocking connect does in the kernel.
async fn connect_when_there_is_room(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => sleep(CONNECT_RETRY).await,
            connected => return connected,
        }
    }
}

/// Opens a connection on `stream`, within the call deadline.
async fn open(stream: UnixStream, address: &Address, surface: &Surface) -> Result<Arc<AsyncConnection>> {
    let opened = timeout(address.limits.call_deadline, AsyncConnection::open(stream, address, surface)).await;
    opened.unwrap_or_else(|_| Err(accept_timed_out()))
}

/// Refuses to run outside a tokio runtime, which sockets and timers need.
pub(super) fn refuse_outside_runtime() -> Result<()> {
    match Handle::try_current() {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(
            ErrorId::OUTSIDE_RUNTIME,
            "an async call was made outside a tokio runtime: await it inside one, or use the blocking client",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream as StdUnixStream};

    use nix::libc;

    use super::*;

    #[test]
    fn a_connect_waits_while_the_queue_of_the_server_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        // SAFETY: the call only sets the length of the queue of an open socket.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        // The queue has room for one connection.
        let _queued = StdUnixStream::connect(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connected = Box::pin(connect_when_there_is_room(&path));
            let is_full = tokio::time::timeout(Duration::ZERO, &mut connected).await.is_err();
            assert!(is_full);
            let _accepted = listener.accept().unwrap();
            connected.await.unwrap();
        });
    }
}
