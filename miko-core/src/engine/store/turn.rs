//! Whose turn it is among pieces that come or go one after another.

use miko_rpc::{Error, ErrorId, Result};

/// A piece that may be taken up now: the next, or the last one again, as a call may be made again.
pub(super) enum Turn {
    Next,
    Again,
}

impl Turn {
    /// The turn of the piece `index` when so many are `done`; `message` says what is wrong with any other.
    pub(super) fn of(index: u64, done: u64, message: &str) -> Result<Self> {
        match done.checked_sub(index) {
            Some(0) => Ok(Self::Next),
            Some(1) => Ok(Self::Again),
            _ => {
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("expected", done).with("found", index))
            }
        }
    }
}
