//! Serves an interface with tarpc's own server.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tarpc::ServerError;
use tarpc::context::Context;
use tarpc::server::Serve;

use crate::call::{AnswerScope, Call, LaterAnswer};
use crate::codec::{self, split_variant};
use crate::error::Result;
use crate::interface::Interface;

/// Serves an implementation on any tarpc channel, one call at a time across all channels.
///
/// The server of a share does not use it, because tarpc's channel costs more than the call. It is for
/// programs that serve an interface with tarpc, such as over TCP. The format of the channel must
/// be binary and describe itself, as MessagePack and CBOR do.
///
/// A method blocks the thread of the runtime while it runs, and while it waits for the lock. The size of
/// messages is not limited here, but by the codec of the channel.
///
/// Requests and responses are enums with a variant per method, as `#[tarpc::service]` has them: the variant
/// of a request has a field per parameter, and that of a response holds the `Result`.
pub struct TarpcServer<I: ?Sized> {
    target: Arc<I>,
    call_lock: Arc<Mutex<()>>,
}

impl<I: Interface + ?Sized> TarpcServer<I> {
    /// Serves `target`. Clones share the target and the lock that serializes calls.
    pub fn new(target: Arc<I>) -> Self {
        Self { target, call_lock: Arc::default() }
    }
}

impl<I: ?Sized> Clone for TarpcServer<I> {
    fn clone(&self) -> Self {
        Self { target: Arc::clone(&self.target), call_lock: Arc::clone(&self.call_lock) }
    }
}

impl<I: Interface + ?Sized> Serve for TarpcServer<I> {
    type Req = TarpcRequest;
    type Resp = TarpcResponse;

    async fn serve(self, _: Context, request: TarpcRequest) -> Result<TarpcResponse, ServerError> {
        self.answer(&request)
            .await
            .map_err(|error| ServerError::new(std::io::ErrorKind::Other, error.to_json()))
    }
}

impl<I: Interface + ?Sized> TarpcServer<I> {
    async fn answer(&self, request: &TarpcRequest) -> Result<TarpcResponse> {
        let (mut answer, mut pending) = (Vec::new(), Pending(None));
        {
            let call = Call::message(&request.method, &request.arguments, &mut answer, usize::MAX);
            // The lock protects no data, so poisoning is harmless.
            let _guard = self.call_lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.target.serve(call.within(&mut pending))?;
        }
        if let Some(mut later) = pending.0.take() {
            poll_fn(|context| later.poll(context)).await;
            later.write(&mut answer, usize::MAX, &mut pending)?;
        }
        Ok(TarpcResponse(answer))
    }
}

/// The answer that comes later. An answer on a tarpc channel carries no objects and no streams.
struct Pending(Option<Box<dyn LaterAnswer>>);

impl AnswerScope for Pending {
    fn encode(&mut self, write: &mut dyn FnMut() -> bool) {
        write();
    }

    fn keep(&mut self, answer: Box<dyn LaterAnswer>) {
        self.0 = Some(answer);
    }
}

/// A call that tarpc's server received.
#[derive(Debug)]
pub struct TarpcRequest {
    method: String,
    /// The arguments as MessagePack.
    arguments: Vec<u8>,
}

impl tarpc::RequestName for TarpcRequest {
    fn name(&self) -> &str {
        &self.method
    }
}

impl<'de> Deserialize<'de> for TarpcRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(D::Error::custom("an interface is served in a binary format, such as MessagePack"));
        }
        let message = codec::transcode(deserializer)?;
        match split_variant(&message) {
            Some((method, arguments)) => {
                Ok(Self { method: method.to_owned(), arguments: arguments.to_owned() })
            }
            None => Err(D::Error::custom("a call is an enum with a variant per method")),
        }
    }
}

/// The response that tarpc's server sends.
#[derive(Debug)]
pub struct TarpcResponse(Vec<u8>);

impl Serialize for TarpcResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut response = rmp_serde::Deserializer::from_read_ref(&self.0);
        serde_transcode::transcode(&mut response, serializer).map_err(S::Error::custom)
    }
}
