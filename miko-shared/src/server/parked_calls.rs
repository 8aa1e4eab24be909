//! How many bytes of calls wait at gates.

use std::cell::Cell;
use std::rc::Rc;

use miko_rpc::{Error, ErrorId, Result};

/// The bytes of all parked calls of a server.
#[derive(Clone, Default)]
pub(super) struct ParkedTotal(Rc<Cell<usize>>);

/// The bytes of one parked call, until it is dropped.
pub(super) struct ParkedBytes {
    total: ParkedTotal,
    bytes: usize,
}

impl ParkedTotal {
    /// Accounts for a parked call.
    ///
    /// # Errors
    /// `storage-full`, if there would be more than `limit` bytes.
    pub(super) fn add(&self, bytes: usize, limit: usize) -> Result<ParkedBytes> {
        let total = self.0.get().saturating_add(bytes);
        if total > limit {
            let message = "the calls that wait for their turn take as many bytes as one frame may have";
            return Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", limit));
        }
        self.0.set(total);
        Ok(ParkedBytes { total: self.clone(), bytes })
    }
}

impl Drop for ParkedBytes {
    fn drop(&mut self) {
        self.total.0.set(self.total.0.get() - self.bytes);
    }
}
