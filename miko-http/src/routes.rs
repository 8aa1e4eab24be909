//! What a path means.

use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{HeaderMap, Method, Request};
use miko_rpc::{DispatchError, Error, ErrorId, Result};
use miko_shared::server::JsonConnection;
use percent_encoding::percent_decode_str;

use crate::call::{self, Target};
use crate::connection::Connection;
#[cfg(feature = "mikobase")]
use crate::mikobase;
use crate::reply::{self, Answer};
use crate::{guard, openapi, request, session, stream};

/// A request whose sender may call.
pub(crate) struct Asked {
    pub(crate) connection: Rc<Connection>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    body: Incoming,
}

/// The value of `Allow` in the details of `method-not-allowed`.
const ALLOWED: &str = "allowed";

/// Answers a request.
pub(crate) async fn answer(connection: &Rc<Connection>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let segments = segments(head.uri.path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if connection.is_tcp {
        guard::check_origin(&head.headers, &connection.http.hosts)?;
    }
    if segments == ["health"] {
        return only(&head.method, &[Method::GET], || Ok(reply::json(r#"{"status":"ok"}"#)));
    }
    connection.http.auth.check(connection.is_own_user, &head.headers)?;
    let asked = Asked { connection: Rc::clone(connection), method: head.method, headers: head.headers, body };
    let answered = route(asked, &segments).await;
    answered.or_else(|error| with_allow(error))
}

async fn route(asked: Asked, segments: &[&str]) -> Answer {
    let surface = asked.connection.calls.surface();
    match *segments {
        ["surface"] => asked.only_get(|_| reply::json_of(surface)),
        ["openapi.json"] => asked.only_get(|_| reply::json_of(&openapi::describe(surface))),
        ["session"] => {
            asked.check_method(&[Method::POST])?;
            session::open(&asked)
        }
        ["call", method] => {
            asked.check_method(&[Method::POST])?;
            call::call(asked, Target { object: None, method }).await
        }
        ["objects", handle] => {
            asked.check_method(&[Method::DELETE])?;
            call::release(&asked, number(handle)?)
        }
        ["objects", handle, method] => {
            asked.check_method(&[Method::POST])?;
            call::call(asked, Target { object: Some(number(handle)?), method }).await
        }
        ["streams", handle] => {
            asked.check_method(&[Method::GET, Method::DELETE])?;
            let handle = number(handle)?;
            if asked.method == Method::DELETE {
                call::release(&asked, handle)
            } else {
                stream::read(&asked, handle)
            }
        }
        _ => {
            #[cfg(feature = "mikobase")]
            if mikobase::is_served(surface) {
                return mikobase::route(asked, segments).await;
            }
            Err(unknown_route().into())
        }
    }
}

impl Asked {
    /// Refuses methods of HTTP other than these.
    ///
    /// # Errors
    /// `method-not-allowed`.
    pub(crate) fn check_method(&self, allowed: &[Method]) -> Result<()> {
        check_method(&self.method, allowed)
    }

    fn only_get(self, answer: impl FnOnce(Self) -> Answer) -> Answer {
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
        self.session()?.ok_or_else(|| session::required("a handle"))
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

fn only(method: &Method, allowed: &[Method], answer: impl FnOnce() -> Answer) -> Answer {
    check_method(method, allowed).map_err(DispatchError::from).and_then(|()| answer()).or_else(with_allow)
}

fn check_method(method: &Method, allowed: &[Method]) -> Result<()> {
    if allowed.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let message = "this path is asked by another method";
    Err(Error::new(ErrorId::METHOD_NOT_ALLOWED, message)
        .with("found", method.as_str())
        .with(ALLOWED, names.join(", ")))
}

/// Adds the header `Allow` to the answer `method-not-allowed`, as HTTP demands.
fn with_allow(error: DispatchError) -> Answer {
    if let DispatchError::Request(refused) = &error
        && refused.is(ErrorId::METHOD_NOT_ALLOWED)
    {
        let allowed = refused.items()[0].details.get(ALLOWED).and_then(serde_json::Value::as_str);
        let mut response = reply::refusal(&error);
        if let Some(Ok(allowed)) = allowed.map(HeaderValue::from_str) {
            response.headers_mut().insert(ALLOW, allowed);
        }
        return Ok(response);
    }
    Err(error)
}

pub(crate) fn unknown_route() -> Error {
    Error::new(ErrorId::ROUTE_NOT_FOUND, "there is nothing at this path")
}

fn number(handle: &str) -> Result<u64> {
    handle.parse().map_err(|_| unknown_route().with("found", handle))
}

/// The decoded segments of a path.
fn segments(path: &str) -> Result<Vec<String>> {
    let decode = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8();
        text.map(|text| text.into_owned()).map_err(|_| unknown_route().with("found", segment))
    };
    path.strip_prefix('/').unwrap_or(path).split('/').map(decode).collect()
}

/// How long a stream may take the thread of the server before others have their turn.
pub(crate) const MAX_TURN: Duration = Duration::from_millis(1);
