//! What carries the calls of a blocking proxy.

use std::path::Path;
use std::time::Instant;

use miko_surface::Method;

use crate::codec::Message;
use crate::error::Result;

/// Carries calls to a server.
pub trait CallTransport: Send + Sync {
    /// Sends a call and passes its answer to `read`. On success `read` was called once.
    ///
    /// # Errors
    /// If the call could not be delivered or no response arrived: `server-gone`, `request-too-large`,
    /// `deadline-exceeded` and the like. Also the errors of `read`.
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;

    /// Sends a call whose answer is asked for later.
    ///
    /// The default waits for the answer, and keeps it.
    ///
    /// # Errors
    /// If the call could not be delivered.
    fn begin(&self, call: &OutgoingCall<'_>) -> Result<Box<dyn PendingAnswer>> {
        let mut answer = Vec::new();
        self.call(call, &mut |bytes| {
            answer = bytes.to_vec();
            Ok(())
        })?;
        Ok(Box::new(Arrived(answer)))
    }

    /// The transport to the object that a call returns. The call is sent with the first call on the object,
    /// so both take one round trip; `opened` reads its answer. `None` if this transport has no such object:
    /// the caller then makes the call at once.
    ///
    /// # Errors
    /// If no call could be made now.
    fn open_lazily(
        &self,
        call: &OutgoingCall<'_>,
        opened: ReadOpened,
    ) -> Result<Option<Box<dyn CallTransport>>> {
        let _ = (call, opened);
        Ok(None)
    }

    /// The socket of the server, if there is one.
    fn server(&self) -> Option<&Path> {
        None
    }

    /// Whether it carries calls on an object of a connection.
    fn is_to_object(&self) -> bool {
        false
    }
}

/// A call as a transport sends it.
pub struct OutgoingCall<'c> {
    /// The method that is called.
    pub method: &'static Method,
    /// The method and its arguments.
    pub request: &'c dyn Message,
    /// What is done with an answer that comes after the caller gave up.
    pub discard: Discard,
    /// Whether the object that is called holds nothing once the call was answered, until its next call. The
    /// message that releases it may then wait for the next one.
    pub settles: bool,
}

/// Decodes an answer that no caller waits for, so that the objects and streams in it are released.
pub type Discard = fn(&'static Method, &[u8]);

/// Reads the answer to a call that returns an object. Returns the transport to the object, or the error of
/// the call.
pub type ReadOpened = fn(&'static Method, &[u8]) -> Result<Box<dyn CallTransport>>;

/// Waits for an answer that comes later. Dropping it cancels the call.
pub trait PendingAnswer: Send {
    /// Waits until this time, or the deadline of the call, and passes the answer to `read`. Returns `false`
    /// if it was not there at this time.
    ///
    /// # Errors
    /// As [`CallTransport::call`].
    fn wait(&mut self, until: Option<Instant>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool>;
}

/// An answer that has arrived.
struct Arrived(Vec<u8>);

impl PendingAnswer for Arrived {
    fn wait(&mut self, _: Option<Instant>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        read(&self.0).map(|()| true)
    }
}
