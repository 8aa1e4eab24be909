//! What a path means.

use std::borrow::Cow;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request};
use miko_rpc::{DispatchError, ErrorId, Result};
use percent_encoding::percent_decode_str;

use crate::asked::{ALLOWED, Asked, Connection, check_method, unknown_route};
use crate::call::{self, Target};
#[cfg(feature = "mikobase")]
use crate::mikobase;
use crate::reply::{self, Answer};
use crate::{cors, guard, metrics, openapi, session, stream};

/// Answers a request. `is_of_page` says whether a page of an allowed origin sends it.
pub(crate) async fn answer(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
    is_of_page: bool,
) -> Answer {
    let (head, body) = request.into_parts();
    let segments = segments(head.uri.path())?;
    let segments: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
    let method = as_get(head.method, &segments);
    if connection.is_tcp {
        let http = &connection.http;
        guard::check_origin(&head.headers, &http.hosts, &http.allowed_origins, http.has_tls())?;
    }
    // A browser that asks first sends no token.
    if is_of_page && cors::asks_first(&method, &head.headers) {
        return Ok(cors::consent());
    }
    if segments == ["health"] {
        return only(&method, &[Method::GET], || Ok(reply::json(r#"{"status":"ok"}"#)));
    }
    connection.http.auth.check(connection.is_own_user, &head.headers)?;
    connection.proof.give();
    guard::check_coding(&head.headers)?;
    let asked = Asked {
        connection: Rc::clone(connection),
        method,
        #[cfg(feature = "mikobase")]
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body,
    };
    let answered = route(asked, &segments).await;
    answered.or_else(with_allow)
}

async fn route(asked: Asked, segments: &[&str]) -> Answer {
    let surface = asked.connection.calls.surface();
    match *segments {
        ["surface"] => asked.only_get(|_| reply::json_of(surface)),
        ["openapi.json"] => asked.only_get(|_| reply::json_of(&openapi::describe(surface))),
        ["metrics"] => asked.only_get(|asked| metrics::answer(&asked)),
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

/// `HEAD` is answered as `GET`, and hyper leaves out the body. Of a stream it would take what can be read
/// once.
fn as_get(method: Method, segments: &[&str]) -> Method {
    if method == Method::HEAD && segments.first() != Some(&"streams") { Method::GET } else { method }
}

fn only(method: &Method, allowed: &[Method], answer: impl FnOnce() -> Answer) -> Answer {
    check_method(method, allowed).map_err(DispatchError::from).and_then(|()| answer()).or_else(with_allow)
}

/// Adds the header `Allow` to the answer `method-not-allowed`, as HTTP demands.
fn with_allow(error: DispatchError) -> Answer {
    if let DispatchError::Request(refused) = &error
        && refused.is(ErrorId::METHOD_NOT_ALLOWED)
    {
        let allowed = refused.items()[0].details.get(ALLOWED).and_then(serde_json::Value::as_str);
        let mut response = reply::refused(&error);
        if let Some(Ok(allowed)) = allowed.map(HeaderValue::from_str) {
            response.headers_mut().insert(ALLOW, allowed);
        }
        return Ok(response);
    }
    Err(error)
}

fn number(handle: &str) -> Result<u64> {
    handle.parse().map_err(|_| unknown_route().with("found", handle))
}

/// The decoded segments of a path.
fn segments(path: &str) -> Result<Vec<Cow<'_, str>>> {
    fn decode(segment: &str) -> Result<Cow<'_, str>> {
        let text = percent_decode_str(segment).decode_utf8();
        text.map_err(|_| unknown_route().with("found", segment))
    }
    path.strip_prefix('/').unwrap_or(path).split('/').map(decode).collect()
}
