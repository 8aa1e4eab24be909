//! The connection of a blocking proxy. After the connection is lost, another one is opened, and a call that
//! may be repeated is sent again.

use std::convert::identity;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Method, Result, Surface};
use tracing::info;

use super::Address;
use super::address::{CONNECT_RETRY, is_not_listening};
use super::calls::CallCounter;
use super::connection::Connection;
use super::exclusive::Exclusive;
use super::fault::{ConnectionFault, accept_timed_out};
use super::runtime::check_may_wait_for;

/// The connection of a proxy, and what is needed to open another one.
///
/// A lost connection is replaced. A call in progress is retried once in two cases: it was not sent
/// completely, so it cannot have run; or its method may be repeated ([`Method::is_repeatable`]). In any other
/// case the call fails, because it is unknown whether it ran. A process that inherited the proxy by a fork
/// opens its own connection: two processes on one socket would read each other's answers.
pub(super) struct Reconnecting {
    address: Address,
    /// The surface of the interface, for the handshake.
    surface: &'static Surface,
    calls: CallCounter,
    /// The connection, unless it was lost or is not opened yet. After a fork it is the connection of the
    /// parent.
    current: Mutex<Option<Arc<Connection>>>,
    /// The right to open a connection: one thread at a time has it.
    opening: Exclusive<()>,
}

/// A connection that this process may use.
struct UsableConnection {
    connection: Arc<Connection>,
    /// Whether the thread has spent time to open the connection or to wait for it.
    has_waited: bool,
}

impl Reconnecting {
    /// Creates a value without a connection. The first call opens one.
    pub(super) fn new(address: Address, surface: &'static Surface) -> Self {
        let (calls, current) = Default::default();
        Self { address, surface, calls, current, opening: Exclusive::new(Some(())) }
    }

    /// Connects at once. Retries for up to `timeout` while the server does not listen yet. Waits up to the
    /// call deadline while the queue of the server is full.
    pub(super) fn connect(address: Address, surface: &'static Surface, timeout: Duration) -> Result<Self> {
        check_may_wait_for(&address.path)?;
        let retry_until = Instant::now() + timeout;
        let stream = loop {
            match address.connect(address.limits.call_deadline) {
                Ok(stream) => break stream,
                Err(fault) if is_not_listening(&fault) && Instant::now() < retry_until => {
                    thread::sleep(CONNECT_RETRY)
                }
                Err(fault) => return Err(address.unreachable(fault)),
            }
        };
        let connection = Connection::open(stream, &address, surface, address.limits.call_deadline)?;
        let reconnecting = Self::new(address, surface);
        *reconnecting.current() = Some(connection);
        Ok(reconnecting)
    }

    /// The counter of the calls, which can be read while calls run.
    pub(super) fn calls(&self) -> CallCounter {
        self.calls.clone()
    }

    /// The socket of the server.
    pub(super) fn path(&self) -> &Path {
        &self.address.path
    }

    /// The frame limit of this side, in bytes. On a connection, the frame limit of the server applies, too.
    pub(super) fn frame_limit(&self) -> usize {
        self.address.limits.frame_size
    }

    /// The deadline of a call of `method`.
    pub(super) fn deadline(&self, method: &Method) -> Duration {
        method.deadline_or(self.address.limits.call_deadline)
    }

    /// Returns the connection. If this process has none, opens one, or waits while another thread opens one.
    /// Waits at most until `deadline` after `started`.
    ///
    /// # Errors
    /// `server-gone` if no server can be reached, `deadline-exceeded`, and the errors of
    /// [`Connection::open`].
    fn get_or_open(&self, started: Instant, deadline: Duration) -> Result<UsableConnection> {
        let is_usable = |connection: &&Arc<Connection>| connection.is_own();
        if let Some(connection) = self.current().as_ref().filter(is_usable) {
            return Ok(UsableConnection { connection: Arc::clone(connection), has_waited: false });
        }
        let _opening =
            self.opening.wait(deadline.saturating_sub(started.elapsed())).ok_or_else(accept_timed_out)?;
        // Another thread may have opened a connection in the meantime.
        if let Some(connection) = self.current().as_ref().filter(is_usable) {
            return Ok(UsableConnection { connection: Arc::clone(connection), has_waited: true });
        }
        let remaining = || deadline.saturating_sub(started.elapsed());
        let stream = self.address.connect(remaining()).map_err(|fault| self.address.unreachable(fault))?;
        let connection = Connection::open(stream, &self.address, self.surface, remaining())?;
        *self.current() = Some(Arc::clone(&connection));
        Ok(UsableConnection { connection, has_waited: true })
    }

    /// Forgets a connection that was lost.
    fn forget(&self, lost: &Arc<Connection>) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, lost)) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        // Nothing panics while the lock is held.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `attempt`, which makes a call of `method`. The parameters of `attempt` are a connection, the time
    /// that is left until the deadline of the call, and the deadline itself, which is `None` if an `Instant`
    /// cannot represent it. If the connection is lost and the call may be repeated, runs `attempt` once more
    /// with another connection.
    pub(super) fn with_connection<R>(
        &self,
        method: &'static Method,
        mut attempt: impl FnMut(&Arc<Connection>, Duration, Option<Instant>) -> Result<R, ConnectionFault>,
    ) -> Result<R> {
        check_may_wait_for(&self.address.path)?;
        self.calls.add();
        let deadline = self.deadline(method);
        let started = Instant::now();
        let until = started.checked_add(deadline);
        let mut is_retry = false;
        loop {
            let UsableConnection { connection, has_waited } = self.get_or_open(started, deadline)?;
            // Most calls have not waited. They have the full time left, and the clock is not read again.
            let remaining =
                if has_waited || is_retry { deadline.saturating_sub(started.elapsed()) } else { deadline };
            if remaining.is_zero() {
                let message = "the deadline passed before the call was sent";
                return Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message));
            }
            let fault = match attempt(&connection, remaining, until) {
                Ok(result) => return Ok(result),
                Err(ConnectionFault::OfCall(error) | ConnectionFault::NotBegun(error)) => return Err(error),
                Err(fault) => fault,
            };
            self.forget(&connection);
            let may_retry = !is_retry && fault.may_repeat(method);
            let error = fault.into_error(identity);
            info!(method = &*method.name, %error, retry = may_retry, "connection lost");
            if !may_retry {
                return Err(error);
            }
            is_retry = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use nix::libc;

    use super::*;
    use crate::limits::Limits;
    use crate::token::Token;

    #[test]
    fn connecting_to_a_server_whose_queue_stays_full_fails_at_the_deadline() {
        const SHORT: Duration = Duration::from_millis(1);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        // SAFETY: the call only sets the length of the queue of an open socket.
        assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
        // The queue has room for one connection.
        let _queued = UnixStream::connect(&path).unwrap();
        let limits = Limits { call_deadline: SHORT, ..Limits::default() };
        let token = Token::random().unwrap();
        let address = Address { path, token, limits, shared_status: None, worker: None };
        static SURFACE: Surface = Surface {
            interface: Cow::Borrowed(""),
            version: Cow::Borrowed(""),
            methods: Cow::Borrowed(&[]),
            errors: Cow::Borrowed(&[]),
            schemas: None,
            objects: Cow::Borrowed(&[]),
        };
        let connected = Reconnecting::connect(address.clone(), &SURFACE, Duration::ZERO).map(drop);
        let lazy = Reconnecting::new(address, &SURFACE);
        for timeout in [SHORT, Duration::ZERO] {
            let opened = lazy.get_or_open(Instant::now(), timeout).map(drop);
            for error in [connected.clone().unwrap_err(), opened.unwrap_err()] {
                assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
            }
        }
    }
}
