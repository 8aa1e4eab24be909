//! Checks that chunks arrive, or are requested, one after another.

use miko_rpc::{Error, ErrorId, Result};

/// Whether a chunk is the next one, or a retry of the last one: a call may be repeated after its connection
/// was lost.
pub(super) enum ChunkOrder {
    Next,
    Retry,
}

impl ChunkOrder {
    /// Classifies the chunk with this index, after `done` chunks.
    ///
    /// # Errors
    /// `invalid_request` with `message`, if it is neither the next chunk nor the last one.
    pub(super) fn of(index: u64, done: u64, message: &str) -> Result<Self> {
        match done.checked_sub(index) {
            Some(0) => Ok(Self::Next),
            Some(1) => Ok(Self::Retry),
            _ => {
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("expected", done).with("found", index))
            }
        }
    }
}
