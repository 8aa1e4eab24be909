//! The header `Range`: which part of a file is asked for.

use std::ops::Range;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of the file: there is no header, or one of a form that a server may ignore.
    All,
    /// This part.
    Part(Range<u64>),
    /// Bytes of which the file has none.
    Beyond,
}

/// Reads the header for a file of this size. Several ranges at once are answered with the whole file.
pub(super) fn read(header: Option<&str>, size: u64) -> Asked {
    let spec = header.and_then(|header| header.trim().strip_prefix("bytes="));
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else { return Asked::All };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match last.parse::<u64>() {
            Ok(count) if count == 0 || size == 0 => Asked::Beyond,
            Ok(count) => Asked::Part(size.saturating_sub(count)..size),
            Err(_) => Asked::All,
        };
    }
    let Ok(first) = first.parse::<u64>() else { return Asked::All };
    let end = if last.is_empty() {
        size
    } else {
        match last.parse::<u64>() {
            Ok(last) if last >= first => last.saturating_add(1).min(size),
            _ => return Asked::All,
        }
    };
    if first >= size { Asked::Beyond } else { Asked::Part(first..end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_all_forms_are_read() {
        for (header, expected) in [
            (None, Asked::All),
            (Some("bytes=0-0"), Asked::Part(0..1)),
            (Some("bytes=2-5"), Asked::Part(2..6)),
            (Some("bytes=2-"), Asked::Part(2..10)),
            (Some("bytes=-3"), Asked::Part(7..10)),
            (Some("bytes=-30"), Asked::Part(0..10)),
            (Some("bytes=8-99999999999999999999"), Asked::All),
            (Some("bytes=8-18446744073709551615"), Asked::Part(8..10)),
            (Some("bytes=10-"), Asked::Beyond),
            (Some("bytes=-0"), Asked::Beyond),
            (Some("bytes=5-2"), Asked::All),
            (Some("bytes=0-1,3-4"), Asked::All),
            (Some("bytes=a-b"), Asked::All),
            (Some("lines=1-2"), Asked::All),
            (Some("bytes=-"), Asked::All),
        ] {
            assert_eq!(read(header, 10), expected, "{header:?}");
        }
        assert_eq!(read(Some("bytes=0-"), 0), Asked::Beyond);
        assert_eq!(read(Some("bytes=-1"), 0), Asked::Beyond);
    }
}
