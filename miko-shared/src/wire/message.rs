//! Calls and answers: the messages of tarpc's protocol.
//!
//! Answers are tarpc's own type. Calls are types of the same shape as tarpc's, because tarpc's cannot be made
//! without asking `tracing` for a span, and reading one panics on a deadline that a hostile peer chose too large.

use std::time::Duration;

use miko_core::{Error, ErrorId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tarpc::ServerError;

/// An answer: the id of the request, and its response or why it was not served.
pub type Answer<Response> = tarpc::Response<Response>;

/// What a client sends, in the shape of `tarpc::ClientMessage`.
#[derive(Serialize)]
pub enum Outgoing<'a, Request> {
    /// One call.
    Request {
        /// How long the client will wait, and a trace nobody asked for.
        context: OutgoingContext,
        /// The id that the answer will carry.
        id: u64,
        /// The call itself.
        message: &'a Request,
    },
}

/// The context of a call, in the shape of `tarpc::context::Context`.
#[derive(Serialize)]
pub struct OutgoingContext {
    deadline: Duration,
    trace_context: NoTrace,
}

/// The trace of a call that is not traced, in the shape of `tarpc::trace::Context`.
#[derive(Serialize)]
struct NoTrace {
    trace_id: [u8; 16],
    span_id: u64,
    sampling_decision: &'static str,
}

impl OutgoingContext {
    /// The context of a call whose client waits this long.
    pub fn with_deadline(deadline: Duration) -> Self {
        Self {
            deadline,
            trace_context: NoTrace { trace_id: [0; 16], span_id: 0, sampling_decision: "Unsampled" },
        }
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
