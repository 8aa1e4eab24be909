//! Calls, cancellations and answers: the messages of tarpc's protocol.
//!
//! The types here have the shape of tarpc's types. tarpc's own types are not used: decoding a call into them
//! panics if its deadline is too large for an `Instant`, and a hostile peer may send such a deadline. The
//! clients of this package encode a call in an [`Envelope`], which is decoded without serde.

use std::borrow::Cow;
use std::time::Duration;

use miko_rpc::codec::{split_variant, transcode};
use miko_rpc::{Error, ErrorId, Result};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::envelope::{Envelope, open_response};
use super::frame;

/// A message from a client.
pub enum Incoming<'f> {
    /// One call.
    Call(IncomingCall<'f>),
    /// The client no longer waits for the answer to the call with this id.
    Cancel(u64),
}

/// One received call.
pub struct IncomingCall<'f> {
    /// How long the client waits, from the time it sent the call.
    pub deadline: Duration,
    /// The id that the answer must carry.
    pub id: u64,
    /// A map of one entry, from the name of the method to its arguments. Not checked yet: a client may send
    /// anything else.
    message: Cow<'f, [u8]>,
}

impl IncomingCall<'_> {
    /// The wire name of the method, and the arguments as MessagePack. `None` if the message is not a map of
    /// one entry.
    pub fn method(&self) -> Option<(&str, &[u8])> {
        split_variant(&self.message)
    }
}

impl<'f> Incoming<'f> {
    /// Decodes the content of a frame.
    ///
    /// # Errors
    /// If the content is no message of a client.
    pub fn read(frame: &'f [u8]) -> Result<Self, rmp_serde::decode::Error> {
        if let Some((Envelope { deadline, id }, message)) = Envelope::open(frame) {
            return Ok(Self::Call(IncomingCall { deadline, id, message: message.into() }));
        }
        Ok(match rmp_serde::from_slice(frame)? {
            ClientMessage::Request(Request { context, id, message: Transcoded(message) }) => {
                Self::Call(IncomingCall { deadline: context.deadline, id, message: message.into() })
            }
            ClientMessage::Cancel(Cancel { request_id, .. }) => Self::Cancel(request_id),
        })
    }
}

/// A message in the shape of `tarpc::ClientMessage`.
#[derive(Deserialize)]
enum ClientMessage {
    Request(Request),
    Cancel(Cancel),
}

/// The content of `tarpc::ClientMessage::Cancel`.
#[derive(Deserialize)]
struct Cancel {
    /// Unused, as in [`Context`].
    #[serde(rename = "trace_context")]
    _trace_context: IgnoredAny,
    request_id: u64,
}

/// A call in the shape of `tarpc::Request`.
#[derive(Deserialize)]
struct Request {
    context: Context,
    id: u64,
    message: Transcoded,
}

/// The fields around a call, in the shape of `tarpc::context::Context`.
#[derive(Deserialize)]
struct Context {
    deadline: Duration,
    /// Unused. The field is declared because a client may omit the names of fields. All fields are then
    /// decoded by their position, and this one has a position, too.
    #[serde(rename = "trace_context")]
    _trace_context: IgnoredAny,
}

/// Any value, as MessagePack. Deserializing a `Transcoded` encodes the value again, since this module does
/// not know the types of arguments and results.
struct Transcoded(Vec<u8>);

impl<'de> Deserialize<'de> for Transcoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        transcode(deserializer).map(Self)
    }
}

/// The answer to a call.
pub struct Answer<'f> {
    /// The id of the call.
    pub request_id: u64,
    /// The response as MessagePack: a map of one entry, from the name of the method to its result. `Err` with
    /// the reason if the call was refused.
    pub response: Result<Cow<'f, [u8]>>,
}

impl<'f> Answer<'f> {
    /// Decodes the content of a frame.
    ///
    /// # Errors
    /// `internal` if the content is no answer.
    pub fn read(frame: &'f [u8]) -> Result<Self> {
        if let Some((request_id, response)) = open_response(frame) {
            return Ok(Self { request_id, response: Ok(response.into()) });
        }
        let Response { request_id, message } = frame::decode(frame)?;
        let response = message.map(|Transcoded(response)| response.into());
        Ok(Self { request_id, response: response.map_err(|refusal| refusal_error(&refusal.detail)) })
    }
}

/// An answer in the shape of `tarpc::Response`.
#[derive(Serialize, Deserialize)]
struct Response<R> {
    request_id: u64,
    message: Result<R, ServerError>,
}

/// Why a server did not serve a call, in the shape of `tarpc::ServerError`.
#[derive(Debug, Serialize, Deserialize)]
struct ServerError {
    /// tarpc's number for an [`std::io::ErrorKind`].
    kind: u32,
    /// The error as JSON.
    detail: String,
}

/// tarpc's number for [`std::io::ErrorKind::Other`].
const KIND_OTHER: u32 = 16;

/// Appends an answer that refuses the call `request_id` to `out`, as one frame.
pub fn encode_refusal(request_id: u64, error: &Error, out: &mut Vec<u8>) {
    let refusal = ServerError { kind: KIND_OTHER, detail: error.to_json() };
    let refusal = Response::<()> { request_id, message: Err(refusal) };
    // Cannot fail: a refusal consists of numbers and a text, and no error comes near the largest frame, 4
    // GiB.
    let _ = frame::encode(&refusal, usize::MAX, out);
}

/// The error that the `detail` of a refusal contains as JSON. If it contains none, an error with `detail` as
/// its text.
fn refusal_error(detail: &str) -> Error {
    serde_json::from_str(detail).unwrap_or_else(|_| {
        Error::new(ErrorId::INTERNAL, format!("the server did not serve the call: {detail}"))
    })
}
