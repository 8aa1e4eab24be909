//! One async connection: the handshake, then tarpc's client, which multiplexes calls.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::time::Instant;

use miko_rpc::{Error, ErrorId, Method, Result, Surface};
use serde::de::DeserializeOwned;
use tarpc::client::{NewClient, RpcError};
use tarpc::tokio_serde;
use tarpc::tokio_util::bytes::{Bytes, BytesMut};
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};
use tarpc::{ClientMessage, Request, RequestName, Response, ServerError, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::Address;
use super::handshake::ClientHandshake;
use crate::wire::envelope::Envelope;
use crate::wire::frame::{self, FrameBuffer, too_large};
use crate::wire::message::{Answer, error_in};

/// A connection shared by many tasks.
pub(super) struct Channel {
    pub(super) client: client::Channel<EncodedCall, EncodedResponse>,
    dispatch: JoinHandle<()>,
}

impl Channel {
    /// Performs the handshake on `stream` and spawns the task that reads from and writes to it.
    pub(super) async fn open(mut stream: UnixStream, address: &Address, surface: &Surface) -> Result<Self> {
        let limits = shake_hands(&mut stream, address, surface).await?;
        let lengths = LengthDelimitedCodec::builder().max_frame_length(limits.incoming).new_codec();
        let codec = EncodedMessages { limit: limits.outgoing };
        let transport: tokio_serde::Framed<_, Response<EncodedResponse>, ClientMessage<EncodedCall>, _> =
            tokio_serde::Framed::new(Framed::new(stream, lengths), codec);
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
async fn shake_hands(stream: &mut UnixStream, address: &Address, surface: &Surface) -> Result<FrameLimits> {
    let (mut incoming, mut outgoing) = (FrameBuffer::default(), Vec::new());
    let mut handshake = ClientHandshake::begin(address, surface, &mut outgoing)?;
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
            RpcError::Server(refusal) => Self::CallFailed(error_in(&refusal.detail)),
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

/// A call that was encoded before it is sent. Its clones share the bytes.
#[derive(Clone)]
pub(super) struct EncodedCall {
    method: &'static str,
    message: Bytes,
}

impl EncodedCall {
    pub(super) fn new(method: &'static Method, message: Vec<u8>) -> Self {
        Self { method: &method.name, message: message.into() }
    }
}

impl RequestName for EncodedCall {
    fn name(&self) -> &str {
        self.method
    }
}

/// A response that has not been decoded.
pub(super) struct EncodedResponse(pub(super) Vec<u8>);

/// The codec of messages that are encoded already: it adds and removes the envelopes. The length codec adds
/// and removes the frame header.
struct EncodedMessages {
    /// The largest message that may be sent, in bytes.
    limit: usize,
}

impl tokio_serde::Serializer<ClientMessage<EncodedCall>> for EncodedMessages {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, message: &ClientMessage<EncodedCall>) -> io::Result<Bytes> {
        let mut content = Vec::new();
        match message {
            ClientMessage::Request(Request { context, id, message }) => {
                let deadline = context.deadline.saturating_duration_since(Instant::now());
                Envelope { deadline, id: *id }.write(&mut content);
                content.extend_from_slice(&message.message);
            }
            ClientMessage::Cancel { trace_context, request_id } => {
                let cancel =
                    ClientMessage::<()>::Cancel { trace_context: *trace_context, request_id: *request_id };
                content = rmp_serde::to_vec_named(&cancel).map_err(io::Error::other)?;
            }
            _ => return Err(io::Error::other("tarpc has a message that this client does not know")),
        }
        if content.len() > self.limit {
            return Err(io::Error::other(too_large(self.limit)));
        }
        Ok(content.into())
    }
}

impl tokio_serde::Deserializer<Response<EncodedResponse>> for EncodedMessages {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, frame: &BytesMut) -> io::Result<Response<EncodedResponse>> {
        let Answer { request_id, response } = Answer::read(frame).map_err(io::Error::other)?;
        let message = match response {
            Ok(response) => Ok(EncodedResponse(response.into_owned())),
            Err(error) => Err(ServerError::new(io::ErrorKind::Other, error.to_json())),
        };
        Ok(Response { request_id, message })
    }
}
