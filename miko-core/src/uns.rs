//! UNS names: class names in the form of URLs without a protocol.

use std::net::IpAddr;

use miko_rpc::{ErrorId, ErrorItem};

/// The default class of a record.
pub const RECORD: &str = "puck.uno/record";

/// The class of class definitions.
pub const CLASS: &str = "puck.uno/class";

/// The type of a field that references a record.
pub(crate) const REFERENCE: &str = "puck.uno/reference";

/// As a class: its records count as files (see [`FILE`]). As the type of a field: only another name of
/// [`REFERENCE`], which does not demand a file.
pub(crate) const FILE_REFERENCE: &str = "puck.uno/reference/file";

/// As a class: its records count as files, by their class alone, as those of [`FILE_REFERENCE`] do. As the
/// type of a field: the value is the pk of a stored file, or of a record that counts as a file.
pub(crate) const FILE: &str = "puck.uno/dbfile";

/// The type of a field that holds an object.
pub(crate) const HASH: &str = "puck.uno/hash";

/// The class of a record whose content is a single value. It may be defined, but a strict database also
/// accepts it undefined.
pub(crate) const VALUE: &str = "puck.uno/value";

/// Whether the class is predefined, so that no record can define it.
pub(crate) fn is_built_in(name: &str) -> bool {
    [RECORD, CLASS, REFERENCE, FILE_REFERENCE, FILE, HASH].contains(&name)
}

/// Checks a class name and returns it without its protocol, as it is stored: `https://foo.com/x` becomes
/// `foo.com/x`.
///
/// # Errors
/// An `invalid_request` item that names the violated rule.
///
/// ```
/// use miko_core::uns;
///
/// assert_eq!(uns::parse("https://starfleet.com/officer").unwrap(), "starfleet.com/officer");
/// assert!(uns::parse("officer").is_err());
/// ```
pub fn parse(name: &str) -> Result<&str, ErrorItem> {
    let stored = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    match violated_rule(stored) {
        None => Ok(stored),
        Some(rule) => Err(ErrorItem::new(
            ErrorId::INVALID_REQUEST,
            format!("a class name is a UNS such as starfleet.com/officer: {rule}"),
        )
        .with("rule", "uns")
        .with("found", name)),
    }
}

/// The rule that a class name without its protocol violates; `None` for a valid name.
fn violated_rule(name: &str) -> Option<&'static str> {
    // Characters outside ASCII are not allowed, and scanning bytes is faster than scanning characters.
    let name = name.as_bytes();
    let allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'?');
    let segments = || name.split(|byte| *byte == b'/');
    let domain = name.split(|byte| matches!(byte, b'/' | b'?')).next().unwrap_or_default();
    if !name.iter().all(allowed) {
        Some("it may contain only letters, digits and _ - . / ?")
    } else if name.windows(2).any(|pair| pair == b"..") {
        Some("two dots may not follow each other")
    } else if segments().any(<[u8]>::is_empty) {
        Some("no segment may be empty")
    } else if segments().any(|segment| segment.starts_with(b".") || segment.ends_with(b".")) {
        Some("no segment may begin or end with a dot")
    } else if !domain.contains(&b'.') {
        Some("it begins with a domain that has a dot")
    } else if std::str::from_utf8(domain).is_ok_and(|domain| domain.parse::<IpAddr>().is_ok()) {
        Some("its domain may not be an IP address")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_names_are_distinguished() {
        for good in
            ["foo.com/x", "foo.com", "a-b.co.uk/x_y/z?v", "puck.uno/reference/file", "http://foo.com/x"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "foo",
            "foo/x.y",
            "foo.com/",
            "/foo.com",
            "foo.com//x",
            "foo..com",
            ".foo.com",
            "foo.com/.x",
            "foo.com/x.",
            "127.0.0.1/x",
            "foo.com/x y",
            "foo.com/é",
            "ftp://foo.com/x",
            "foo.com/a\0",
        ];
        for name in bad {
            assert!(parse(name).is_err(), "{name:?}");
        }
    }
}
