//! Lets web pages of named origins use the server: the CORS protocol of the [Fetch
//! standard](https://fetch.spec.whatwg.org/#http-cors-protocol). Without a name it is off.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
    ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Response, StatusCode};
use miko_rpc::{Error, ErrorId, Result};

use crate::body::ResponseBody;

/// The methods of the routes.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");

/// What a page may send beside what each page may.
const SENT: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, If-None-Match, Last-Event-ID, Mikobase-Session, Range",
);

/// What a page may read beside what each page may.
const READ: HeaderValue = HeaderValue::from_static(
    "Content-Range, ETag, Location, Mikobase-Failure, Mikobase-Frame-Size, Mikobase-Nil, Mikobase-Surface",
);

/// How long a browser may keep the answer to a request that asks first, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may use the server.
#[derive(Debug, Default)]
pub(crate) struct AllowedOrigins(Vec<HeaderValue>);

impl AllowedOrigins {
    /// Adds an origin such as `https://app.example.com`.
    ///
    /// # Errors
    /// `invalid_request`, if it is none: a scheme, a host, and a port if it is not that of the scheme.
    pub(crate) fn add(&mut self, origin: &str) -> Result<()> {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, authority)| {
            ["http", "https"].contains(&scheme)
                && !authority.is_empty()
                && !authority.contains(['/', '?', '#', '@', '*'])
                && authority == authority.to_ascii_lowercase()
        });
        let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin).ok_or_else(|| {
            let message = "an origin is written as browsers send it: a scheme and a host in small letters, \
                           and a port if it is not that of the scheme, such as `https://app.example.com`";
            Error::new(ErrorId::INVALID_REQUEST, message).with("found", origin)
        })?;
        self.0.push(value);
        Ok(())
    }

    /// Whether an origin is one of them.
    pub(crate) fn contains(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// The origin of the page that sends a request, if it is one of them.
    pub(crate) fn of_page(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|origin| self.contains(origin))?;
        origins.next().is_none().then(|| origin.clone())
    }
}

/// Whether a browser asks, for a page, whether it may send a request.
pub(crate) fn asks_first(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to such a request.
pub(crate) fn consent() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, SENT);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Lets the page of this origin read a response.
pub(crate) fn let_read(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, READ);
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_send_it() {
        let mut allowed = AllowedOrigins::default();
        for origin in ["https://app.example.com", "http://localhost:8080", "http://[::1]:80"] {
            allowed.add(origin).unwrap();
        }
        for origin in ["*", "null", "app.example.com", "https://a.b/", "https://A.b", "ftp://a.b", "https://"]
        {
            assert!(allowed.add(origin).unwrap_err().is(ErrorId::INVALID_REQUEST), "{origin}");
        }
        assert!(allowed.contains(&HeaderValue::from_static("http://localhost:8080")));
        assert!(!allowed.contains(&HeaderValue::from_static("http://localhost:8081")));
    }
}
