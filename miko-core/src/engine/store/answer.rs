//! How large the answer to a call may become.
//!
//! A server sends no answer beyond its frame size. What collects an answer takes its bytes from the room that
//! is left, so that a select of the whole database, or a batch of many selects, stops there and is never
//! built as a whole.

use std::cell::Cell;

use crate::engine::tables::{Row, Shown, State};
use crate::error::{Error, ErrorId, Result};
use crate::memory;
use crate::record::Record;

/// What a record or a request costs beside its texts, at the least.
const OVERHEAD: usize = 64;

/// The bytes that the answer of the call under way may still grow by. Without a limit it is never used up.
#[derive(Debug)]
pub(in crate::engine) struct AnswerRoom(Cell<usize>);

impl Default for AnswerRoom {
    fn default() -> Self {
        Self(Cell::new(usize::MAX))
    }
}

impl AnswerRoom {
    /// A call begins, whose answer may have so many bytes.
    pub(in crate::engine) fn begin(&self, bytes: usize) {
        self.0.set(bytes);
    }

    pub(in crate::engine) fn left(&self) -> usize {
        self.0.get()
    }

    /// Takes room for a record.
    ///
    /// # Errors
    /// `request-too-large`, if there is not so much left.
    pub(in crate::engine) fn take_record(&self, record: &Record) -> Result<()> {
        let extras = record.extras.as_ref().map_or(0, |extras| extras.as_str().len());
        self.take(record.pk.len() + record.bucket.as_str().len() + record.stack.as_str().len() + extras)
    }

    /// As [`take_record`](Self::take_record), before the record is copied.
    pub(in crate::engine) fn take_shown(&self, record: &Shown<'_>) -> Result<()> {
        let extras = record.extras.map_or(0, str::len);
        self.take(record.pk.len() + record.bucket.len() + record.stack.len() + extras)
    }

    /// Takes room for a version of a record.
    pub(in crate::engine) fn take_version(&self, version: &Row) -> Result<()> {
        let state = version.state.as_ref().map_or(0, State::text_length);
        self.take(version.pk.len() + version.instance.as_ref().map_or(0, String::len) + state)
    }

    /// Takes room for the answer to a request that failed.
    pub(in crate::engine) fn take_error(&self, error: &Error) -> Result<()> {
        // It is as large as what it quotes of the request.
        self.take(serde_json::to_string(error).map_or(0, |text| text.len()))
    }

    /// Takes room for so many bytes of text.
    ///
    /// # Errors
    /// `request-too-large`, if there is not so much left; `storage-full`, if the process has no memory for
    /// it.
    pub(in crate::engine) fn take(&self, bytes: usize) -> Result<()> {
        memory::grow(bytes + OVERHEAD)?;
        match self.0.get().checked_sub(bytes + OVERHEAD) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(too_large()),
        }
    }
}

fn too_large() -> Error {
    let message = "the answer is larger than the limit `frame_size`: ask for less at once, or iterate";
    Error::new(ErrorId::REQUEST_TOO_LARGE, message)
}
