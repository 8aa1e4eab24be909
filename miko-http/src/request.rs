//! Bodies of requests: read within bounds of size and time.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::body::{Body, Bytes, Incoming};
use miko_rpc::memory::{self, LARGE_FRAME};
use miko_rpc::{Error, ErrorId, Result};
use tokio::time::timeout_at;

use crate::guard::check_json;

/// How many bytes of a body have to arrive in a second, after the first seconds.
const MIN_RATE: u64 = 64 << 10;

/// Reads the body of a request, piece by piece.
pub(crate) struct BodyReader {
    body: Incoming,
    began: Instant,
    timeout: Duration,
    received: u64,
}

impl BodyReader {
    /// `timeout` is how long the body may take beyond a second for each [`MIN_RATE`] bytes.
    pub(crate) fn new(body: Incoming, timeout: Duration) -> Self {
        Self { body, began: Instant::now(), timeout, received: 0 }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// `client-too-slow`; `invalid_request`, if the body ends early or is not well-formed.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let until = self.began + self.timeout + Duration::from_secs(self.received / MIN_RATE);
            let next = poll_fn(|context| Pin::new(&mut self.body).poll_frame(context));
            let Ok(next) = timeout_at(until.into(), next).await else {
                let message = "the body of the request did not arrive in time";
                return Err(Error::new(ErrorId::CLIENT_TOO_SLOW, message));
            };
            let frame = match next {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(fault)) => {
                    let what = "the body of the request cannot be read";
                    return Err(Error::caused_by(ErrorId::INVALID_REQUEST, what, fault));
                }
            };
            // Trailers are skipped.
            if let Ok(piece) = frame.into_data() {
                self.received += piece.len() as u64;
                return Ok(Some(piece));
            }
        }
    }
}

/// Reads a body of JSON of at most `limit` bytes. An empty one needs no type.
///
/// # Errors
/// `unsupported-media-type`; `request-too-large`; `invalid_request`, if it is not UTF-8; those of
/// [`BodyReader::next`].
pub(crate) async fn json_text(
    headers: &HeaderMap,
    body: Incoming,
    limit: usize,
    timeout: Duration,
) -> Result<String> {
    let too_large = || {
        let message = "the body is larger than the limit `frame_size`";
        Error::new(ErrorId::REQUEST_TOO_LARGE, message).with("allowed", limit)
    };
    if !body.is_end_stream() {
        check_json(headers)?;
    }
    // Refused before it is read.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut reader = BodyReader::new(body, timeout);
    let mut bytes = Vec::new();
    while let Some(piece) = reader.next().await? {
        if bytes.len() + piece.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&piece);
        if bytes.len() > LARGE_FRAME {
            memory::charge_incoming(piece.len())?;
        }
    }
    String::from_utf8(bytes)
        .map_err(|fault| Error::caused_by(ErrorId::INVALID_REQUEST, "the body is not UTF-8", fault))
}
