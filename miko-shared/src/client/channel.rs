//! One async connection: the handshake, then tarpc's client, which multiplexes calls.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use miko_rpc::{Error, ErrorId, Interface, Method, Result};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use tarpc::client::{NewClient, RpcError};
use tarpc::tokio_serde;
use tarpc::tokio_util::bytes::{Bytes, BytesMut};
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{RequestName, client, serde_transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::Address;
use super::handshake::ClientHandshake;
use crate::wire::frame::{self, FrameBuffer, HEADER_SIZE};
use crate::wire::message::error_of;

/// A connection shared by many tasks.
pub(super) struct Channel<I: Interface + ?Sized> {
    pub(super) client: client::Channel<SharedRequest<I::Request>, I::Response>,
    dispatch: JoinHandle<()>,
}

impl<I: Interface + ?Sized> Channel<I> {
    /// Performs the handshake on `stream` and spawns the task that reads from and writes to it.
    pub(super) async fn open(mut stream: UnixStream, address: &Address) -> Result<Self> {
        let limits = shake_hands::<I>(&mut stream, address).await?;
        let lengths = LengthDelimitedCodec::builder().max_frame_length(limits.incoming).new_codec();
        let codec = NamedMessagePack { limit: limits.outgoing };
        let transport = serde_transport::new(Framed::new(stream, lengths), codec);
        let NewClient { client, dispatch } = client::new(client::Config::default(), transport);
        let dispatch = tokio::spawn(async {
            // Each call in progress returns the error that ended the connection.
            let _ = dispatch.await;
        });
        Ok(Self { client, dispatch })
    }

    /// Whether the connection has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.dispatch.is_finished()
    }
}

/// The largest frame in each direction, in bytes.
struct FrameLimits {
    outgoing: usize,
    incoming: usize,
}

/// Performs the handshake and returns the agreed limits.
async fn shake_hands<I: Interface + ?Sized>(
    stream: &mut UnixStream,
    address: &Address,
) -> Result<FrameLimits> {
    let (mut incoming, mut outgoing) = (FrameBuffer::default(), Vec::new());
    let mut handshake = ClientHandshake::begin(address, I::surface(), &mut outgoing)?;
    loop {
        // The server may refuse before it has read everything. Its reply then takes precedence over the write
        // error.
        let sent = stream.write_all(&outgoing).await;
        outgoing.clear();
        let reply = match receive(stream, &mut incoming).await {
            Ok(reply) => reply,
            Err(no_reply) => return Err(sent.map_or_else(lost, |()| no_reply)),
        };
        if let Some(server_limit) = handshake.receive(reply, &mut outgoing)? {
            let outgoing = address.limits.frame_size.min(server_limit);
            return Ok(FrameLimits { outgoing, incoming: server_limit });
        }
    }
}

/// Reads the next frame and decodes it.
async fn receive<T: DeserializeOwned>(stream: &mut UnixStream, incoming: &mut FrameBuffer) -> Result<T> {
    loop {
        if let Some(frame) = incoming.next_frame(frame::MAX_FRAME_SIZE)? {
            return frame::decode(frame);
        }
        match stream.read(incoming.room()).await.map_err(lost)? {
            0 => return Err(Error::new(ErrorId::SERVER_GONE, "the server has closed the connection")),
            count => incoming.filled(count),
        }
    }
}

fn lost(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::SERVER_GONE, "the connection to the server was lost", fault)
}

/// Why a call returned no response.
pub(super) enum AsyncCallError {
    /// The connection was lost; it is unknown whether the call ran.
    Lost(Error),
    /// The call could not be sent, was refused, or timed out.
    CallFailed(Error),
}

impl From<RpcError> for AsyncCallError {
    fn from(fault: RpcError) -> Self {
        match fault {
            RpcError::Shutdown | RpcError::Channel(_) => Self::Lost(Error::caused_by(
                ErrorId::SERVER_GONE,
                "the connection to the server was lost",
                fault,
            )),
            RpcError::DeadlineExceeded => {
                Self::CallFailed(Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not answer in time"))
            }
            RpcError::Server(refusal) => Self::CallFailed(error_of(&refusal)),
            RpcError::Send(fault) => {
                Self::CallFailed(own_error(&*fault).unwrap_or_else(|| {
                    Error::caused_by(ErrorId::INTERNAL, "the call could not be sent", fault)
                }))
            }
        }
    }
}

/// The [`Error`] of this package, if the codec has wrapped one in `fault`.
fn own_error(fault: &(dyn StdError + 'static)) -> Option<Error> {
    if let Some(error) = fault.downcast_ref::<Error>() {
        return Some(error.clone());
    }
    own_error(fault.downcast_ref::<io::Error>()?.get_ref()?)
}

/// A request that can be sent twice: its clones share one value, which need not be `Clone`.
pub(super) struct SharedRequest<Request> {
    method: &'static str,
    /// Locked because a request is `Send` but need not be `Sync`. The lock is never contended.
    request: Arc<Mutex<Request>>,
}

impl<Request> SharedRequest<Request> {
    pub(super) fn new(method: &'static Method, request: Request) -> Self {
        Self { method: &method.name, request: Arc::new(Mutex::new(request)) }
    }
}

impl<Request> Clone for SharedRequest<Request> {
    fn clone(&self) -> Self {
        Self { method: self.method, request: Arc::clone(&self.request) }
    }
}

impl<Request: Serialize> Serialize for SharedRequest<Request> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.request.lock().unwrap_or_else(PoisonError::into_inner).serialize(serializer)
    }
}

impl<Request> RequestName for SharedRequest<Request> {
    fn name(&self) -> &str {
        self.method
    }
}

/// The codec of messages, in the encoding of [`frame`]. The length codec adds and removes the frame header.
struct NamedMessagePack {
    /// The largest message that may be sent, in bytes.
    limit: usize,
}

impl<T: Serialize> tokio_serde::Serializer<T> for NamedMessagePack {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, message: &T) -> io::Result<Bytes> {
        let mut framed = Vec::new();
        frame::encode(message, self.limit, &mut framed).map_err(io::Error::other)?;
        Ok(Bytes::from(framed).slice(HEADER_SIZE..))
    }
}

impl<T: DeserializeOwned> tokio_serde::Deserializer<T> for NamedMessagePack {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, message: &BytesMut) -> io::Result<T> {
        frame::decode(message).map_err(io::Error::other)
    }
}
