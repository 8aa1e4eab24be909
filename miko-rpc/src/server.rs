//! Serves an interface with tarpc's own server.

use std::sync::{Arc, Mutex, PoisonError};

use tarpc::ServerError;
use tarpc::context::Context;
use tarpc::server::Serve;

use crate::interface::Interface;

/// Serves an implementation on any tarpc channel, one call at a time across all channels.
///
/// The server of a share does not use it, because tarpc's channel costs more than the call. It is for
/// programs that serve an interface by the means of tarpc, such as over TCP.
pub struct TarpcServer<I: Interface + ?Sized> {
    target: Arc<I>,
    call_lock: Arc<Mutex<()>>,
}

impl<I: Interface + ?Sized> TarpcServer<I> {
    /// Serves `target`. Clones share the target and the lock that serializes calls.
    pub fn new(target: Arc<I>) -> Self {
        Self { target, call_lock: Arc::default() }
    }
}

impl<I: Interface + ?Sized> Clone for TarpcServer<I> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target), call_lock: Arc::clone(&self.call_lock) }
    }
}

impl<I: Interface + ?Sized> Serve for TarpcServer<I> {
    type Req = I::Request;
    type Resp = I::Response;

    async fn serve(self, _: Context, request: I::Request) -> Result<I::Response, ServerError> {
        // The lock protects no data, so poisoning is harmless.
        let _guard = self.call_lock.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.target.serve(request))
    }
}
