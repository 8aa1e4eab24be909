//! Calls on an object in a server. They use the blocking connection on which the answer with the object came.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miko_rpc::{CallTransport, Method, OutgoingCall, PendingAnswer, Result};

use super::connection::Connection;
use super::fault::session_gone;
use super::later::BegunCall;
use super::runtime::check_may_wait_for;
use crate::wire::extension;

/// Carries the calls on one object. Dropping this value releases the object.
///
/// A call is never repeated on another connection: the object does not exist there.
pub(super) struct ObjectTransport {
    connection: Arc<Connection>,
    handle: u64,
    calls: Mutex<CallHistory>,
}

/// The history of the calls on an object, as far as it decides whether the release of the object may wait for
/// the next message.
#[derive(Default)]
struct CallHistory {
    /// The number of calls in progress.
    running: usize,
    /// Whether calls have overlapped since the last time when no call was in progress. Of overlapping calls
    /// it is unknown which one the server runs last.
    have_overlapped: bool,
    /// Whether the last call was answered and settles the object: the object holds nothing in the server
    /// until its next call ([`OutgoingCall::settles`]). `false` before the first call, during calls, and
    /// after calls that have overlapped.
    is_settled: bool,
}

impl CallHistory {
    fn begin(&mut self) {
        self.have_overlapped |= self.running > 0;
        self.running += 1;
        self.is_settled = false;
    }

    /// Records the end of a call. `settles`: whether the call was answered and settles the object.
    fn end(&mut self, settles: bool) {
        self.running -= 1;
        self.is_settled = settles && !self.have_overlapped;
        if self.running == 0 {
            self.have_overlapped = false;
        }
    }
}

impl ObjectTransport {
    pub(super) fn new(connection: Arc<Connection>, handle: u64) -> Self {
        Self { connection, handle, calls: Mutex::default() }
    }
}

impl CallTransport for ObjectTransport {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let (deadline, until) = self.prepare_call(call.method)?;
        self.calls().begin();
        let called = self.connection.call(call, Some(self.handle), deadline, until, read);
        self.calls().end(call.settles && called.is_ok());
        called.map_err(|fault| fault.into_error(session_gone))
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        let (deadline, until) = self.prepare_call(call.method)?;
        // The arrival of the answer is not observed here, so there is no matching `end`. The call counts as
        // running as long as the object lives, and the object never counts as settled again.
        self.calls().begin();
        let begun = self.connection.begin(call, Some(self.handle), deadline, until);
        let id = begun.map_err(|fault| fault.into_error(session_gone))?;
        Ok(Box::new(BegunCall::new(&self.connection, id, call, until, session_gone)))
    }

    fn server(&self) -> Option<&Path> {
        Some(&self.connection.address().path)
    }

    fn is_to_object(&self) -> bool {
        true
    }
}

impl ObjectTransport {
    fn calls(&self) -> MutexGuard<'_, CallHistory> {
        // Nothing panics while the lock is held.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that this thread may call the object. Returns the deadline of a call of `method`, as a duration
    /// and as a time; the time is `None` if an `Instant` cannot represent it.
    ///
    /// # Errors
    /// `inside-runtime` in an async task; `self-call` in a method of the same server, because the method
    /// would wait for itself; `session-gone` in a fork of the process that opened the connection.
    fn prepare_call(&self, method: &Method) -> Result<(Duration, Option<Instant>)> {
        let address = self.connection.address();
        check_may_wait_for(&address.path)?;
        self.connection.check_process()?;
        let deadline = method.deadline_or(address.limits.call_deadline);
        Ok((deadline, Instant::now().checked_add(deadline)))
    }
}

impl Drop for ObjectTransport {
    fn drop(&mut self) {
        let put_release = |out: &mut Vec<u8>| extension::put_release(self.handle, out);
        // A settled object holds nothing that another client could wait for, so its release may wait for the
        // next message.
        if self.calls().is_settled {
            self.connection.defer_control(put_release);
        } else {
            self.connection.send_control(put_release);
        }
    }
}
