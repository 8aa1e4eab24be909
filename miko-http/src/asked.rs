//! A request whose sender may call, and what it is asked with.

use std::os::fd::RawFd;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{HeaderMap, Method};
use miko_rpc::{Error, ErrorId, Result};
use miko_shared::Peer;
use miko_shared::server::{JsonCalls, JsonConnection};

use crate::options::Http;
use crate::reply::Answer;
use crate::unproven::Proof;
use crate::{request, sessions};

/// What the requests of a connection need.
pub(crate) struct Connection {
    pub(crate) http: Rc<Http>,
    pub(crate) calls: Rc<JsonCalls>,
    pub(crate) peer: Peer,
    pub(crate) is_own_user: bool,
    pub(crate) is_tcp: bool,
    /// That of the stream, which is open while a request is answered.
    pub(crate) descriptor: RawFd,
    pub(crate) proof: Proof,
}

/// A request whose sender may call.
pub(crate) struct Asked {
    pub(crate) connection: Rc<Connection>,
    pub(crate) method: Method,
    /// What follows the path after `?`.
    #[cfg(feature = "mikobase")]
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

/// The value of `Allow` in the details of `method-not-allowed`.
pub(crate) const ALLOWED: &str = "allowed";

impl Asked {
    /// Refuses methods of HTTP other than these.
    ///
    /// # Errors
    /// `method-not-allowed`.
    pub(crate) fn check_method(&self, allowed: &[Method]) -> Result<()> {
        check_method(&self.method, allowed)
    }

    /// Answers the request if it is a `GET`.
    pub(crate) fn only_get(self, answer: impl FnOnce(Self) -> Answer) -> Answer {
        self.check_method(&[Method::GET])?;
        answer(self)
    }

    /// The session that the request names, if it names one.
    ///
    /// # Errors
    /// `session-gone` if there is none with its id.
    pub(crate) fn session(&self) -> Result<Option<Rc<JsonConnection>>> {
        self.connection.http.sessions.of_request(&self.headers)
    }

    /// As [`session`](Self::session), and there must be one.
    ///
    /// # Errors
    /// `session-required` if the request names none.
    pub(crate) fn required_session(&self) -> Result<Rc<JsonConnection>> {
        self.session()?.ok_or_else(|| sessions::required("a handle"))
    }

    /// The session that the request names, or else the caller of this request alone.
    ///
    /// # Errors
    /// `session-gone` if there is no session with its id.
    #[cfg(feature = "mikobase")]
    pub(crate) fn caller(&self) -> Result<Rc<JsonConnection>> {
        Ok(self.session()?.unwrap_or_else(|| self.single_call()))
    }

    /// The caller of a request without a session.
    pub(crate) fn single_call(&self) -> Rc<JsonConnection> {
        let Connection { calls, peer, .. } = &*self.connection;
        Rc::new(JsonConnection::of_single_call(calls, peer.clone()))
    }

    /// Reads the body as JSON text.
    ///
    /// # Errors
    /// Those of [`request::json_text`].
    pub(crate) async fn json_text(self) -> Result<String> {
        let limit = self.connection.calls.limits().frame_size;
        request::json_text(&self.headers, self.body, limit, self.connection.http.limits.body_timeout).await
    }

    /// The body, to be read in pieces.
    #[cfg(feature = "mikobase")]
    pub(crate) fn into_body(self) -> request::BodyReader {
        request::BodyReader::new(self.body, self.connection.http.limits.body_timeout)
    }
}

/// Refuses methods of HTTP other than these.
///
/// # Errors
/// `method-not-allowed`.
pub(crate) fn check_method(method: &Method, allowed: &[Method]) -> Result<()> {
    if allowed.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let message = "this path is asked by another method";
    Err(Error::new(ErrorId::METHOD_NOT_ALLOWED, message)
        .with("found", method.as_str())
        .with(ALLOWED, names.join(", ")))
}

/// The error of a request for a path at which there is nothing.
pub(crate) fn unknown_route() -> Error {
    Error::new(ErrorId::ROUTE_NOT_FOUND, "there is nothing at this path")
}
