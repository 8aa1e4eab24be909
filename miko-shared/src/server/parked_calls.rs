//! The calls that wait at gates: how many bytes they take, and which workers wait with them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result};

use crate::polling::SharedStatus;

/// All parked calls of a server.
#[derive(Clone, Default)]
pub(super) struct ParkedCalls(Rc<Calls>);

#[derive(Default)]
struct Calls {
    bytes: Cell<usize>,
    /// The number of parked calls of each worker that has some.
    by_worker: RefCell<HashMap<usize, usize>>,
    /// The status in which the server publishes which workers wait.
    shared_status: Option<Arc<SharedStatus>>,
}

/// One parked call, as it is counted. Dropping it ends the count.
pub(super) struct ParkedCount {
    calls: ParkedCalls,
    bytes: usize,
    worker: Option<usize>,
}

impl ParkedCalls {
    /// No parked calls. It publishes in `shared_status` which workers wait with some.
    pub(super) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        Self(Rc::new(Calls { shared_status, ..Calls::default() }))
    }

    /// Accounts for a parked call, of a worker or of another client.
    ///
    /// # Errors
    /// `storage-full`, if there would be more than `limit` bytes.
    pub(super) fn add(&self, bytes: usize, worker: Option<usize>, limit: usize) -> Result<ParkedCount> {
        let total = self.0.bytes.get().saturating_add(bytes);
        if total > limit {
            let message = "the calls that wait for their turn take as many bytes as one frame may have";
            return Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", limit));
        }
        self.0.bytes.set(total);
        if let Some(worker) = worker {
            let mut by_worker = self.0.by_worker.borrow_mut();
            *by_worker.entry(worker).or_default() += 1;
            self.publish(worker, true, by_worker.len());
        }
        Ok(ParkedCount { calls: self.clone(), bytes, worker })
    }

    fn publish(&self, worker: usize, is_parked: bool, parked: usize) {
        if let Some(shared_status) = &self.0.shared_status {
            shared_status.publish_parked(worker, is_parked, parked);
        }
    }
}

impl Drop for ParkedCount {
    fn drop(&mut self) {
        let calls = &self.calls;
        calls.0.bytes.set(calls.0.bytes.get() - self.bytes);
        let Some(worker) = self.worker else { return };
        let mut by_worker = calls.0.by_worker.borrow_mut();
        if let Some(count) = by_worker.get_mut(&worker) {
            *count -= 1;
            if *count == 0 {
                by_worker.remove(&worker);
                calls.publish(worker, false, by_worker.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_waits_while_it_has_a_parked_call() {
        let shared_status = Arc::new(SharedStatus::new(3, 2).unwrap());
        let calls = ParkedCalls::new(Some(Arc::clone(&shared_status)));
        let waiting = |worker: usize| shared_status.is_parked(Some(worker));
        let first = calls.add(10, Some(1), 100).unwrap();
        let second = calls.add(10, Some(1), 100).unwrap();
        let of_a_client = calls.add(10, None, 100).unwrap();
        assert_eq!([0, 1, 2].map(waiting), [false, true, false]);
        assert!(shared_status.has_cpu_per_client(), "two of three run");
        drop(first);
        assert!(waiting(1));
        drop((second, of_a_client));
        assert!(!waiting(1) && !shared_status.has_cpu_per_client());
    }

    #[test]
    fn parked_calls_take_a_bounded_number_of_bytes() {
        let calls = ParkedCalls::default();
        let first = calls.add(60, None, 100).unwrap();
        assert!(calls.add(60, Some(0), 100).is_err_and(|error| error.is(ErrorId::STORAGE_FULL)));
        drop(first);
        assert!(calls.add(60, Some(0), 100).is_ok());
    }
}
