//! The header fields of Mikobase, which its own client sends and reads beside those of HTTP.

use hyper::header::HeaderName;

/// In a request, the session that it belongs to.
pub(crate) const SESSION: HeaderName = HeaderName::from_static("mikobase-session");

/// In a request that opens a session, the index of the worker that opens it.
pub(crate) const WORKER: HeaderName = HeaderName::from_static("mikobase-worker");

/// In the response that opens a session, the fingerprint of the surface of the server.
pub(crate) const SURFACE: HeaderName = HeaderName::from_static("mikobase-surface");

/// In the response that opens a session, the largest body of JSON that the server takes, in bytes.
pub(crate) const FRAME_SIZE: HeaderName = HeaderName::from_static("mikobase-frame-size");

/// In a response whose result is a nil inside options, such as `Some(None)`, the number of the options.
pub(crate) const NIL: HeaderName = HeaderName::from_static("mikobase-nil");

/// In a failure of the method itself, `method`. All other failures are those of the request.
pub(crate) const FAILURE: HeaderName = HeaderName::from_static("mikobase-failure");

/// The value of [`FAILURE`].
pub(crate) const OF_METHOD: &str = "method";
