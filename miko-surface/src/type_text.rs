//! Types as text, compared by what they are on the wire.

/// The type as it travels: `&str` and `std::string::String` as `String`, `&[T]` as `Vec<T>`, and each path by
/// its last part, so that `Result` and `mikobase::Result` are the same.
pub(crate) fn as_sent(ty: &str) -> String {
    let ty = without_paths(ty.trim());
    let owned = ty.strip_prefix('&').unwrap_or(&ty);
    let slice = owned.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match (owned, slice) {
        ("str", _) => "String".to_owned(),
        ("Path", _) => "PathBuf".to_owned(),
        ("OsStr", _) => "OsString".to_owned(),
        ("CStr", _) => "CString".to_owned(),
        (_, Some(element)) if !has_length(element) => format!("Vec<{element}>"),
        _ => owned.to_owned(),
    }
}

/// Whether this is the inside of an array, `u8; 4`, and not that of a slice.
fn has_length(element: &str) -> bool {
    let mut depth = 0_usize;
    element.chars().any(|c| {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ';' && depth == 0
    })
}

/// Whether the type is an option, by its name.
pub(crate) fn is_option(ty: &str) -> bool {
    as_sent(ty).starts_with("Option<")
}

/// Replaces each path by its last part: `std::vec::Vec<a::B>` by `Vec<B>`.
fn without_paths(ty: &str) -> String {
    let mut text = String::with_capacity(ty.len());
    let mut rest = ty;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("::") {
            let before = text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
            text.truncate(before);
            rest = after;
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_are_the_same_on_the_wire_are_the_same_text() {
        for (one, other) in [
            ("&str", "String"),
            ("String", "std::string::String"),
            ("&[u8]", "std::vec::Vec<u8>"),
            ("&[(u8, a::B)]", "Vec<(u8, B)>"),
            ("&std::path::Path", "PathBuf"),
            ("&Query", "crate::query::Query"),
            ("mikobase::Result<Option<a::Record>>", "Result<Option<Record>>"),
            ("::std::vec::Vec<u8>", "Vec<u8>"),
            ("&[[u8; 4]]", "Vec<[u8; 4]>"),
        ] {
            assert_eq!(as_sent(one), as_sent(other));
        }
        for (one, other) in
            [("u8", "u16"), ("[u8; 4]", "Vec<u8>"), ("[u8; 4]", "[u8; 5]"), ("Option<u8>", "u8")]
        {
            assert_ne!(as_sent(one), as_sent(other));
        }
    }

    #[test]
    fn options_are_found_by_their_name() {
        assert!(is_option("Option<u8>") && is_option("&std::option::Option<u8>"));
        assert!(!is_option("Vec<Option<u8>>"));
    }
}
