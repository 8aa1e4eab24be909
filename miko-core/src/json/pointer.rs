//! JSON pointers (RFC 6901), which locate values in error details.

use std::fmt;

/// Displays a key as a reference token of a JSON pointer: escaped, and with the slash before it.
pub(crate) struct PointerToken<'k>(pub(crate) &'k str);

impl fmt::Display for PointerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0.replace('~', "~0").replace('/', "~1"))
    }
}
