//! Serving an interface with tarpc's own server.

use std::sync::{Arc, Mutex, PoisonError};

use tarpc::ServerError;
use tarpc::context::Context;
use tarpc::server::Serve;

use super::Interface;

/// Serves an implementation on any tarpc channel, one call at a time whatever the number of channels.
///
/// The server of a share does not go through it, since tarpc's channel costs more than the call; it is for those
/// who serve an interface with the means of tarpc, over TCP for instance.
pub struct TarpcServer<I: Interface + ?Sized> {
    target: Arc<I>,
    turn: Arc<Mutex<()>>,
}

impl<I: Interface + ?Sized> TarpcServer<I> {
    /// Serves `target`. Clones serve the same target and share its turn.
    pub fn new(target: Arc<I>) -> Self {
        Self { target, turn: Arc::default() }
    }
}

impl<I: Interface + ?Sized> Clone for TarpcServer<I> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target), turn: Arc::clone(&self.turn) }
    }
}

impl<I: Interface + ?Sized> Serve for TarpcServer<I> {
    type Req = I::Request;
    type Resp = I::Response;

    async fn serve(self, _: Context, request: I::Request) -> Result<I::Response, ServerError> {
        // The lock guards no data, so a panic while it was held has spoilt nothing.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.target.serve(request))
    }
}
