//! Entity tags: a client that has the content with a tag does not get it again.

use data_encoding::HEXLOWER;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, Response, StatusCode};
use sha2::{Digest, Sha256};

use crate::body::ResponseBody;

/// The tag of content that has no time of its own: its SHA-256.
pub(super) fn of_content(content: &[u8]) -> String {
    quoted(&HEXLOWER.encode(&Sha256::digest(content)))
}

pub(super) fn quoted(tag: &str) -> String {
    ["\"", tag, "\""].concat()
}

/// The response with its tag. It is 304 if the client has it, and then its content is left out when all its
/// header fields are known: [`without_known_content`](crate::reply::without_known_content).
pub(super) fn respond(
    headers: &HeaderMap,
    tag: String,
    content: impl FnOnce() -> Response<ResponseBody>,
) -> Response<ResponseBody> {
    let mut response = content();
    if has(headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
        // It may be kept, and is asked for again each time.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// Whether `If-None-Match` has the tag. Weak tags count as equal, as HTTP says.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_tag_is_found_in_any_form() {
        for (value, is_known) in [
            ("\"7\"", true),
            ("\"6\", \"7\"", true),
            ("W/\"7\"", true),
            ("*", true),
            ("\"77\"", false),
            ("7", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            assert_eq!(has(&headers, "\"7\""), is_known, "{value}");
        }
        assert!(!has(&HeaderMap::new(), "\"7\""));
    }
}
