//! The transport of a blocking proxy: a session that is opened again after it is lost.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use miko_rpc::{CallTransport, Error, ErrorId, Method, OutgoingCall, PendingAnswer, Result, Surface};
use miko_shared::client::{CallCounter, Exclusive, check_may_wait_for};
use tracing::info;

use super::fault::{Fault, not_opened};
use super::later::LaterAnswer;
use super::server::HttpServer;
use super::session::Session;

/// The pause between two attempts to connect.
const CONNECT_RETRY: Duration = Duration::from_millis(10);

/// Carries the calls of a proxy over HTTP, from any number of threads.
///
/// A lost session is opened again. The call in progress is retried once if it cannot have run, because the
/// server did not take it up, or if it is repeatable. Otherwise it fails, because it is unknown whether it
/// ran. A process that inherited the proxy by a fork opens its own session.
pub(crate) struct HttpTransport {
    server: HttpServer,
    /// The surface of the interface, which is compared with that of the server.
    surface: &'static Surface,
    calls: CallCounter,
    /// The session, unless it was lost. After a fork it is that of the parent.
    current: Mutex<Option<Arc<Session>>>,
    /// Held while a session is opened.
    opening: Exclusive<()>,
}

impl HttpTransport {
    /// Opens a session at once. Retries until `timeout` while the server does not listen yet.
    ///
    /// # Errors
    /// Those of [`Session::open`], and where this thread may not wait.
    pub(crate) fn connect(server: HttpServer, surface: &'static Surface, timeout: Duration) -> Result<Self> {
        check_may_wait_for(server.identity())?;
        let started = Instant::now();
        let session = loop {
            let until = started.checked_add(server.limits.call_deadline);
            match Session::open(&server, surface, until) {
                Err(error) if is_not_listening(&error) && started.elapsed() < timeout => {
                    thread::sleep(CONNECT_RETRY);
                }
                opened => break opened?,
            }
        };
        let (calls, opening) = (CallCounter::default(), Exclusive::new(Some(())));
        Ok(Self { server, surface, calls, current: Mutex::new(Some(session)), opening })
    }

    /// Counts the calls with this counter.
    pub(crate) fn counted_by(mut self, calls: CallCounter) -> Self {
        self.calls = calls;
        self
    }

    /// The session. Opens one if there is none of this process, and waits for that until `deadline` after
    /// `started`.
    fn session(&self, started: Instant, deadline: Duration) -> Result<Arc<Session>> {
        let usable = |session: &&Arc<Session>| session.is_own() && session.is_alive();
        if let Some(session) = self.current().as_ref().filter(usable) {
            return Ok(Arc::clone(session));
        }
        let _opening =
            self.opening.wait(deadline.saturating_sub(started.elapsed())).ok_or_else(not_opened)?;
        if let Some(session) = self.current().as_ref().filter(usable) {
            return Ok(Arc::clone(session));
        }
        let session = Session::open(&self.server, self.surface, started.checked_add(deadline))?;
        let lost = self.current().replace(Arc::clone(&session));
        drop(lost);
        Ok(session)
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        // Nothing panics while the lock is held.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `attempt` with a session and the time at which it ends. If the connection is lost and the call
    /// may be repeated, runs it once more.
    fn in_a_session<R>(
        &self,
        method: &'static Method,
        mut attempt: impl FnMut(&Arc<Session>, Option<Instant>) -> Result<R, Fault>,
    ) -> Result<R> {
        check_may_wait_for(self.server.identity())?;
        self.calls.add();
        let deadline = method.deadline_or(self.server.limits.call_deadline);
        let started = Instant::now();
        let until = started.checked_add(deadline);
        let mut retried = false;
        loop {
            let session = self.session(started, deadline)?;
            if until.is_some_and(|until| Instant::now() >= until) {
                let message = "the deadline passed before the call was sent";
                return Err(Error::new(ErrorId::DEADLINE_EXCEEDED, message));
            }
            let fault = match attempt(&session, until) {
                Ok(result) => return Ok(result),
                Err(Fault::OfCall(error)) => return Err(error),
                Err(fault) => fault,
            };
            let retry = !retried && fault.may_repeat(method);
            let error = fault.into_error(as_of_server);
            info!(method = &*method.name, %error, retry, "connection lost");
            if !retry {
                return Err(error);
            }
            retried = true;
        }
    }
}

/// The error of a call of the interface, which is none of the session: the next call has another one.
fn as_of_server(error: Error) -> Error {
    if !error.is(ErrorId::SESSION_GONE) {
        return error;
    }
    let message = "the session was lost while the call was in progress";
    Error::caused_by(ErrorId::SERVER_GONE, message, error)
}

/// Whether connecting failed because the server does not listen yet. One that answers, or ends a connection,
/// does not do better a moment later.
fn is_not_listening(error: &Error) -> bool {
    let fault = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is(ErrorId::SERVER_GONE)
        && fault
            .is_some_and(|fault| matches!(fault.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound))
}

impl CallTransport for HttpTransport {
    fn server(&self) -> Option<&Path> {
        Some(self.server.identity())
    }

    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.in_a_session(call.method, |session, until| session.call(None, call, until, read))
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        self.in_a_session(call.method, |session, until| {
            let exchange = session.begin(None, call, until)?;
            Ok(Box::new(LaterAnswer::new(session, exchange, call, until, as_of_server)) as _)
        })
    }
}
