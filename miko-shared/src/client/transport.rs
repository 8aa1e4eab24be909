//! The transport of a blocking proxy.

use std::convert::identity;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use miko_rpc::{CallTransport, OutgoingCall, PendingAnswer, ReadOpened, Result, Surface};

use super::Address;
use super::calls::CallCounter;
use super::later::BegunCall;
use super::lazy_object::LazyObject;
use super::reconnecting::Reconnecting;
use super::runtime::check_may_wait_for;

/// In place of the handle of an object: the call is one on the interface.
const ON_INTERFACE: Option<u64> = None;

/// Carries the calls of a proxy over a Unix socket, from any number of threads.
pub(crate) struct SocketTransport(Arc<Reconnecting>);

impl SocketTransport {
    /// Creates a transport that connects at its first call.
    pub(crate) fn new(address: Address, surface: &'static Surface) -> Self {
        Self(Arc::new(Reconnecting::new(address, surface)))
    }

    /// Connects at once. Retries for up to `timeout` while the server does not listen yet.
    pub(crate) fn connect(address: Address, surface: &'static Surface, timeout: Duration) -> Result<Self> {
        Ok(Self(Arc::new(Reconnecting::connect(address, surface, timeout)?)))
    }

    /// The counter of the calls, which can be read while calls run.
    pub(crate) fn calls(&self) -> CallCounter {
        self.0.calls()
    }
}

impl CallTransport for SocketTransport {
    fn server(&self) -> Option<&Path> {
        Some(self.0.path())
    }

    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.0.with_connection(call.method, |connection, remaining, until| {
            connection.call(call, ON_INTERFACE, remaining, until, read)
        })
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        self.0.with_connection(call.method, |connection, remaining, until| {
            let id = connection.begin(call, ON_INTERFACE, remaining, until)?;
            Ok(Box::new(BegunCall::new(connection, id, call, until, identity)) as _)
        })
    }

    fn open_lazily(
        &self,
        call: &OutgoingCall<'_>,
        read_opened: ReadOpened,
    ) -> Result<Option<Box<dyn CallTransport>>> {
        // Nothing waits here yet. But a thread that may not wait gets the error from the opening call, and
        // not only from the first call on the object.
        check_may_wait_for(self.0.path())?;
        let object = LazyObject::new(Arc::clone(&self.0), call, read_opened)?;
        Ok(Some(Box::new(object)))
    }
}
