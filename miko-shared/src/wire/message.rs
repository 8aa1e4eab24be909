//! Calls and answers: the messages of tarpc's protocol.
//!
//! Answers are tarpc's own type. Calls are a type of the same shape as tarpc's, because reading tarpc's panics on a deadline
//! that a hostile peer chose too large. Our own clients put them into an [`Envelope`].

use std::time::Duration;

use miko_core::{Error, ErrorId, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tarpc::ServerError;

use super::envelope::{Envelope, enclose_response, open_response};
use super::frame;

/// An answer: the id of the request, and its response or why it was not served.
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

/// Reads what [`encode_answer`] wrote, without the header of the frame.
///
/// # Errors
/// As [`frame::decode`].
pub fn decode_answer<Response: DeserializeOwned>(frame: &[u8]) -> Result<Answer<Response>> {
    match open_response(frame) {
        Some((request_id, response)) => Ok(Answer { request_id, message: Ok(frame::decode(response)?) }),
        None => frame::decode(frame),
    }
}

/// What a server receives, in the shape of `tarpc::ClientMessage`.
#[derive(Deserialize)]
pub enum Incoming<Request> {
    /// One call.
    Request(IncomingRequest<Request>),
    /// The client no longer waits for an answer. Calls are short and run in order: there is nothing left to cancel.
    Cancel(IgnoredAny),
}

impl<Request: DeserializeOwned> Incoming<Request> {
    /// Reads the content of a frame.
    ///
    /// # Errors
    /// If it is no such message.
    pub fn read(frame: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        let Some((Envelope { deadline, id }, call)) = Envelope::open(frame) else {
            return rmp_serde::from_slice(frame);
        };
        let context = IncomingContext { deadline, _trace_context: IgnoredAny };
        Ok(Self::Request(IncomingRequest { context, id, message: rmp_serde::from_slice(call)? }))
    }
}

/// One call as it arrives, in the shape of `tarpc::Request`.
#[derive(Deserialize)]
pub struct IncomingRequest<Request> {
    /// What tarpc sends beside the call.
    pub context: IncomingContext,
    /// The id that the answer must carry.
    pub id: u64,
    /// The call itself.
    pub message: Request,
}

/// What tarpc sends beside a call.
#[derive(Deserialize)]
pub struct IncomingContext {
    /// How long the client waits from when it sent the call.
    pub deadline: Duration,
    /// Nobody looks at it, but a compact form is only read if it has a place.
    #[serde(rename = "trace_context")]
    _trace_context: IgnoredAny,
}

/// An answer that says why a call was not served. Its text is the error as JSON, which [`error_of`] reads.
pub fn refusal<Response>(request_id: u64, error: &Error) -> Answer<Response> {
    let detail = serde_json::to_string(error).unwrap_or_else(|_| error.to_string());
    Answer { request_id, message: Err(ServerError::new(std::io::ErrorKind::Other, detail)) }
}

/// Why the server did not serve a call.
pub fn error_of(refusal: &ServerError) -> Error {
    serde_json::from_str(&refusal.detail).unwrap_or_else(|_| {
        Error::new(ErrorId::INTERNAL, format!("the server did not serve the call: {}", refusal.detail))
    })
}
