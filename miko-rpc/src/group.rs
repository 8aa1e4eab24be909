//! Calls whose changes are committed together.

use crate::error::Error;

/// The first failed call of a group, and the error of it and of all calls after it. The calls before it are
/// durable.
#[derive(Debug, Clone)]
pub struct GroupFailure {
    /// The index of the call.
    pub call: usize,
    /// The error.
    pub error: Error,
}
