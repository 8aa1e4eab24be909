//! Refuses requests that a web page of others may have sent.
//!
//! A browser sends a request to any address that a page names, and a page can let a name of its own lead to
//! this machine. So, by TCP, `Host` must name this server, and `Origin` what `Host` names: another port of
//! the same machine is another origin, and so is a page without TLS to a server that speaks it. A body of
//! JSON has a type that a page of others cannot send without asking first.

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use miko_rpc::{Error, ErrorId, Result};

use crate::cors::AllowedOrigins;

/// Checks `Host` and `Origin` of a request by TCP. `hosts` are the names of this server, without a port, and
/// `allowed` the origins of others. `has_tls` says that the connection is one by TLS; without it, a proxy may
/// speak TLS to the browser.
///
/// # Errors
/// `foreign-origin`.
pub(crate) fn check_origin(
    headers: &HeaderMap,
    hosts: &[String],
    allowed: &AllowedOrigins,
    has_tls: bool,
) -> Result<()> {
    let host = own_host(headers, hosts)?;
    let is_own =
        |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| is_origin_of(origin, host, has_tls));
    let mut origins = headers.get_all(ORIGIN).iter();
    match origins.find(|origin| !allowed.contains(origin) && !is_own(origin)) {
        None => Ok(()),
        Some(origin) => {
            let message = "the header `Origin` names another server than `Host`: let its pages send requests \
                           by `allow_origin`, if they may";
            Err(foreign(message, Some(origin)))
        }
    }
}

/// The value of `Host`, which names this server.
fn own_host<'h>(headers: &'h HeaderMap, hosts: &[String]) -> Result<&'h str> {
    let is_own = |host: &&str| hosts.iter().any(|own| own.eq_ignore_ascii_case(split_port(host).0));
    let mut named = headers.get_all(HOST).iter();
    let found = named.next();
    let host = found.and_then(|host| host.to_str().ok()).filter(is_own).filter(|_| named.next().is_none());
    host.ok_or_else(|| foreign("the header `Host` does not name this server", found))
}

fn foreign(message: &str, found: Option<&HeaderValue>) -> Error {
    let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    Error::new(ErrorId::FOREIGN_ORIGIN, message).with("found", found)
}

/// Checks that the body of a request is JSON by its header.
///
/// # Errors
/// `unsupported-media-type`.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<()> {
    let value = headers.get(CONTENT_TYPE);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "the body is JSON: send it with `Content-Type: application/json`";
    Err(Error::new(ErrorId::UNSUPPORTED_MEDIA_TYPE, message)
        .with("found", text)
        .with("allowed", "application/json"))
}

/// Checks that the body of a request is not compressed: nothing would bound what it becomes.
///
/// # Errors
/// `unsupported-media-type`.
pub(crate) fn check_coding(headers: &HeaderMap) -> Result<()> {
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    let Some(coding) = headers.get_all(CONTENT_ENCODING).iter().find(|value| !is_plain(value)) else {
        return Ok(());
    };
    let message = "the body of a request is sent as it is: leave out `Content-Encoding`";
    let found = String::from_utf8_lossy(coding.as_bytes()).into_owned();
    Err(Error::new(ErrorId::UNSUPPORTED_MEDIA_TYPE, message).with("found", found).with("allowed", "identity"))
}

/// Whether `origin` is that of the pages of the server that `host` names. A port that is left out is that of
/// the scheme, which is `https` if the server speaks TLS.
fn is_origin_of(origin: &str, host: &str, has_tls: bool) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" if !has_tls => "80",
        "https" => "443",
        _ => return false,
    };
    let ((page, page_port), (own, own_port)) = (split_port(authority), split_port(host));
    page.eq_ignore_ascii_case(own) && page_port.unwrap_or(default_port) == own_port.unwrap_or(default_port)
}

/// A host, and its port if there is one.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, Some(port).filter(|port| !port.is_empty()))
        }
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderName;

    use super::*;

    fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_own_names_are_allowed() {
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        for (host, origin, is_allowed) in [
            (Some("localhost"), None, true),
            (Some("LOCALHOST:8080"), None, true),
            (Some("[::1]:8080"), Some("http://[::1]:8080"), true),
            (Some("[::1]"), None, true),
            (Some("localhost:80"), Some("http://LOCALHOST"), true),
            (Some("localhost"), Some("https://localhost:443"), true),
            (Some("localhost:443"), Some("http://localhost"), false),
            (Some("localhost:1"), Some("http://localhost:2"), false),
            (Some("127.0.0.1:1"), Some("http://localhost:1"), false),
            (Some("localhost"), Some("ftp://localhost"), false),
            (None, None, false),
            (Some("evil.example"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("localhost:80:80"), None, false),
            (Some("localhost"), Some("http://evil.example"), false),
            (Some("localhost"), Some("null"), false),
            (Some("localhost"), Some("http://localhost@evil.example"), false),
        ] {
            let host = host.map(|host| (HOST, host));
            let origin = origin.map(|origin| (ORIGIN, origin));
            let fields: Vec<_> = host.into_iter().chain(origin).collect();
            assert_eq!(
                check_origin(&headers(&fields), &hosts, &AllowedOrigins::default(), false).is_ok(),
                is_allowed,
                "{fields:?}"
            );
        }
        for (host, origin, is_allowed) in [
            ("localhost", "https://localhost:443", true),
            ("localhost:8443", "https://localhost:8443", true),
            ("localhost", "http://localhost", false),
            ("localhost:443", "http://localhost:443", false),
        ] {
            let fields = headers(&[(HOST, host), (ORIGIN, origin)]);
            let checked = check_origin(&fields, &hosts, &AllowedOrigins::default(), true);
            assert_eq!(checked.is_ok(), is_allowed, "by TLS: {fields:?}");
        }
        let mut twice = headers(&[(HOST, "localhost")]);
        twice.append(HOST, HeaderValue::from_static("localhost"));
        assert!(check_origin(&twice, &hosts, &AllowedOrigins::default(), false).is_err());
    }

    #[test]
    fn a_body_has_no_coding() {
        assert!(check_coding(&HeaderMap::new()).is_ok());
        assert!(check_coding(&headers(&[(CONTENT_ENCODING, "Identity")])).is_ok());
        for coding in ["gzip", "br", "identity, gzip", ""] {
            let refused = check_coding(&headers(&[(CONTENT_ENCODING, coding)])).unwrap_err();
            assert!(refused.is(ErrorId::UNSUPPORTED_MEDIA_TYPE), "{coding}");
        }
    }

    #[test]
    fn json_has_its_type() {
        for (value, is_allowed) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            assert_eq!(check_json(&headers(&[(CONTENT_TYPE, value)])).is_ok(), is_allowed, "{value}");
        }
        assert!(check_json(&HeaderMap::new()).is_err());
    }
}
