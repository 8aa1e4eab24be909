//! JSON pointers (RFC 6901), which locate values in error details.

use std::fmt;

/// A key as an escaped reference token of a JSON pointer.
pub(crate) struct PointerToken<'k>(pub(crate) &'k str);

impl fmt::Display for PointerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.replace('~', "~0").replace('/', "~1"))
    }
}
