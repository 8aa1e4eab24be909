//! Calls on an object that lives in a server with a session.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use miko_rpc::{CallTransport, ItemSource, Link, Method, ObjectLink, OutgoingCall, PendingAnswer, Result};
use miko_shared::client::check_may_wait_for;

use super::fault::session_gone;
use super::items::HttpItems;
use super::later::LaterAnswer;
use super::session::Session;

impl Link for Session {
    fn object(self: Arc<Self>, handle: u64) -> ObjectLink {
        ObjectLink { blocking: Box::new(ObjectTransport { session: self, handle }), asynchronous: None }
    }

    fn stream(self: Arc<Self>, handle: u64) -> Box<dyn ItemSource> {
        Box::new(HttpItems::new(self, handle))
    }
}

/// Carries the calls on one object. Dropping it releases the object.
///
/// A call is never repeated: in another session the object does not exist.
struct ObjectTransport {
    session: Arc<Session>,
    handle: u64,
}

impl CallTransport for ObjectTransport {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let until = self.until(call.method)?;
        let called = self.session.call(Some(self.handle), call, until, read);
        called.map_err(|fault| fault.into_error(session_gone))
    }

    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        let until = self.until(call.method)?;
        let begun = self.session.begin(Some(self.handle), call, until);
        let exchange = begun.map_err(|fault| fault.into_error(session_gone))?;
        Ok(Box::new(LaterAnswer::new(&self.session, exchange, call, until, session_gone)))
    }

    fn server(&self) -> Option<&Path> {
        Some(self.session.server().identity())
    }

    fn is_to_object(&self) -> bool {
        true
    }
}

impl ObjectTransport {
    /// When a call of `method` ends.
    ///
    /// # Errors
    /// Inside an async task or a method of the same server, where the call would wait for itself, and in a
    /// fork.
    fn until(&self, method: &Method) -> Result<Option<Instant>> {
        let server = self.session.server();
        check_may_wait_for(server.identity())?;
        self.session.check_process()?;
        Ok(Instant::now().checked_add(method.deadline_or(server.limits.call_deadline)))
    }
}

impl Drop for ObjectTransport {
    fn drop(&mut self) {
        self.session.release_object(self.handle);
    }
}
