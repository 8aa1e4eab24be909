//! The number of calls of a proxy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the calls of a transport, including those that failed. A call that is sent again counts once. The
/// call that opens an object counts; the calls on the object do not. The clones of a counter share the count.
#[derive(Debug, Clone, Default)]
pub struct CallCounter(Arc<AtomicU64>);

impl CallCounter {
    /// The number of calls so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts a call.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
