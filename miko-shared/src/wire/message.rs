//! Calls and answers: the messages of tarpc's protocol.
//!
//! Answers are tarpc's own type. Calls have a type of the same shape as tarpc's, because decoding tarpc's
//! type panics on a deadline that a hostile peer chose too large. The blocking clients of this package encode
//! a call in an [`Envelope`].

use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tarpc::ServerError;

use super::envelope::{Envelope, enclose_response, open_response};
use super::frame;

/// An answer: the id of the request, and its response or the reason why it was refused.
pub type Answer<Response> = tarpc::Response<Response>;

/// Appends an answer to `out`, as one frame.
///
/// # Errors
/// As [`frame::encode`].
pub fn encode_answer(answer: &Answer<impl Serialize>, limit: usize, out: &mut Vec<u8>) -> Result<()> {
    match &answer.message {
        Ok(response) => enclose_response(answer.request_id, response, limit, out),
        Err(_) => frame::encode(answer, limit, out),
    }
}

/// Decodes the content of a frame that [`encode_answer`] wrote.
///
/// # Errors
/// As [`frame::decode`].
pub fn decode_answer<Response: DeserializeOwned>(frame: &[u8]) -> Result<Answer<Response>> {
    match open_response(frame) {
        Some((request_id, response)) => Ok(Answer { request_id, message: Ok(frame::decode(response)?) }),
        None => frame::decode(frame),
    }
}

/// A message from a client, in the shape of `tarpc::ClientMessage`.
#[derive(Deserialize)]
pub enum Incoming<Request> {
    /// One call.
    Request(IncomingRequest<Request>),
    /// The client no longer waits for an answer. It has no effect: calls run in order, so the call has run
    /// already.
    Cancel(IgnoredAny),
}

impl<Request: DeserializeOwned> Incoming<Request> {
    /// Decodes the content of a frame.
    ///
    /// # Errors
    /// If the content is not such a message.
    pub fn read(frame: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        let Some((Envelope { deadline, id }, call)) = Envelope::open(frame) else {
            return rmp_serde::from_slice(frame);
        };
        let context = IncomingContext { deadline, _trace_context: IgnoredAny };
        Ok(Self::Request(IncomingRequest { context, id, message: rmp_serde::from_slice(call)? }))
    }
}

/// One received call, in the shape of `tarpc::Request`.
#[derive(Deserialize)]
pub struct IncomingRequest<Request> {
    /// The fields that accompany the call.
    pub context: IncomingContext,
    /// The id that the answer must carry.
    pub id: u64,
    /// The call itself.
    pub message: Request,
}

/// The fields that accompany a call.
#[derive(Deserialize)]
pub struct IncomingContext {
    /// How long the client waits, from the time it sent the call.
    pub deadline: Duration,
    /// Unused. The field exists because the compact form, in which fields have no names, is decoded by
    /// position.
    #[serde(rename = "trace_context")]
    _trace_context: IgnoredAny,
}

/// An answer that refuses a call. Its text is the error as JSON, which [`error_of`] decodes.
pub fn refusal<Response>(request_id: u64, error: &Error) -> Answer<Response> {
    let detail = serde_json::to_string(error).unwrap_or_else(|_| error.to_string());
    Answer { request_id, message: Err(ServerError::new(std::io::ErrorKind::Other, detail)) }
}

/// The error in a refusal.
pub fn error_of(refusal: &ServerError) -> Error {
    serde_json::from_str(&refusal.detail).unwrap_or_else(|_| {
        Error::new(ErrorId::INTERNAL, format!("the server did not serve the call: {}", refusal.detail))
    })
}
