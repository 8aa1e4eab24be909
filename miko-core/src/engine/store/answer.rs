//! The size limit of the answer to a call.
//!
//! A server sends no answer beyond its frame size. Code that collects an answer charges its bytes to the
//! budget, so a select of the whole database, or a batch of many selects, stops at the limit. The bytes are
//! also charged to the memory limit of the process, if it has one.

use std::cell::Cell;

use miko_rpc::{Error, ErrorId, Result, memory};
use serde_json::Value;

use crate::json;
use crate::record::Record;
use crate::storage::row::{Row, State};

/// The bytes that are charged for each part of an answer, such as a record, in addition to its texts.
const OVERHEAD: usize = 64;

/// The number of bytes by which the answer of the running call may still grow. Without a limit it is
/// `usize::MAX`, which no answer uses up.
#[derive(Debug)]
pub(in crate::engine) struct AnswerBudget {
    remaining: Cell<usize>,
    is_exceeded: Cell<bool>,
}

impl Default for AnswerBudget {
    fn default() -> Self {
        Self { remaining: Cell::new(usize::MAX), is_exceeded: Cell::new(false) }
    }
}

impl AnswerBudget {
    /// Sets the budget to `bytes` bytes: for the answer of a new call, or to restore a budget that was set
    /// aside.
    pub(in crate::engine) fn begin(&self, bytes: usize) {
        self.remaining.set(bytes);
        self.is_exceeded.set(false);
    }

    pub(in crate::engine) fn remaining(&self) -> usize {
        self.remaining.get()
    }

    /// Whether a charge has exceeded the budget since [`begin`](Self::begin). The error id
    /// `request-too-large` alone does not say so: it is also that of a request that is itself too large.
    pub(in crate::engine) fn is_exceeded(&self) -> bool {
        self.is_exceeded.get()
    }

    /// Charges a record.
    ///
    /// # Errors
    /// As [`charge`](Self::charge).
    pub(in crate::engine) fn charge_record(&self, record: &Record) -> Result<()> {
        self.charge(text_length(record))
    }

    /// Charges a version of a record. A tombstone has no state.
    pub(in crate::engine) fn charge_version(&self, version: &Row) -> Result<()> {
        let state = version.state.as_ref().map_or(0, State::text_length);
        self.charge(version.pk.len() + version.instance_pk.as_ref().map_or(0, String::len) + state)
    }

    /// Charges a value.
    pub(in crate::engine) fn charge_value(&self, value: &Value) -> Result<()> {
        self.charge(json::text_length(value))
    }

    /// Charges the answer to a request that failed.
    pub(in crate::engine) fn charge_error(&self, error: &Error) -> Result<()> {
        // The size of an error depends on the parts of the request that it quotes.
        self.charge(serde_json::to_string(error).map_or(0, |text| text.len()))
    }

    /// Charges a part of the answer with `bytes` bytes of text, to the budget and to the memory limit of the
    /// process.
    ///
    /// # Errors
    /// `request-too-large`, if the budget is exceeded; `storage-full`, if the process has reached its memory
    /// limit.
    pub(in crate::engine) fn charge(&self, bytes: usize) -> Result<()> {
        memory::charge(bytes + OVERHEAD)?;
        match self.remaining.get().checked_sub(bytes + OVERHEAD) {
            Some(remaining) => {
                self.remaining.set(remaining);
                Ok(())
            }
            None => {
                self.is_exceeded.set(true);
                Err(too_large())
            }
        }
    }
}

/// Charges a record that was found for its row id alone, such as by a write to all records of a select, to
/// the memory limit of the process. The answer does not contain the record, so it is not charged to the
/// budget.
///
/// # Errors
/// `storage-full`, if the process has reached its memory limit.
pub(in crate::engine) fn charge_found(record: &Record) -> Result<()> {
    memory::charge(text_length(record) + OVERHEAD)
}

/// The number of bytes of the pk and the texts of a record.
fn text_length(record: &Record) -> usize {
    let extras = record.extras.as_ref().map_or(0, |extras| extras.as_str().len());
    record.pk.len() + record.bucket.as_str().len() + record.stack.as_str().len() + extras
}

fn too_large() -> Error {
    let message = "the answer is larger than the limit `frame_size`: ask for less at once, or iterate";
    Error::new(ErrorId::REQUEST_TOO_LARGE, message)
}
