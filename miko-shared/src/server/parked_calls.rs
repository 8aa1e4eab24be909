//! Accounts for parked calls (calls that wait at a gate): how many bytes they take, and which workers made
//! them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, memory};

use crate::polling::SharedStatus;

/// The bytes that a parked call takes besides its frame: its entries in the session and in the queue of the
/// gate, its timer and its wakers. These bytes count towards the memory limit only. The limit on the bytes of
/// parked frames need not include them: on a connection of the server's own protocol, `calls_in_flight` also
/// bounds the number of parked calls, and a connection of HTTP makes one call at a time.
const OVERHEAD: usize = 1 << 10;

/// The counts of all parked calls of a server. Clones share them.
#[derive(Clone, Default)]
pub(super) struct ParkedCalls(Rc<Counts>);

#[derive(Default)]
struct Counts {
    /// The bytes of the parked frames of all connections.
    frame_bytes: ParkedBytes,
    /// The number of parked calls of each worker that has some.
    by_worker: RefCell<HashMap<usize, usize>>,
    /// The status in which the server publishes which workers have parked calls; `None` if it publishes none.
    shared_status: Option<Arc<SharedStatus>>,
}

/// The number of bytes of the parked frames of one connection, or of all connections. Clones share the count.
#[derive(Clone, Default)]
pub(super) struct ParkedBytes(Rc<Cell<usize>>);

/// Counts one parked call until it is dropped.
pub(super) struct ParkedCallGuard {
    calls: ParkedCalls,
    /// The bytes of the parked frames of the connection on which the call was made.
    connection_bytes: ParkedBytes,
    /// The size of the frame of the call, in bytes.
    size: usize,
    /// The worker that made the call, as in [`ParkedCalls::add`].
    worker: Option<usize>,
}

impl ParkedCalls {
    /// Starts with no parked calls. Which workers have parked calls is published in `shared_status`, if there
    /// is one.
    pub(super) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        Self(Rc::new(Counts { shared_status, ..Counts::default() }))
    }

    /// Accounts for a parked call with a frame of `size` bytes, until the returned value is dropped. A call
    /// in JSON has no frame: `size` is then the size of its method name and params. `connection_bytes` counts
    /// the bytes of the parked frames of its connection. `worker` is the worker that made the call; `None`
    /// for another client, and for a call in JSON. `limit` is the limit on the size of one frame.
    ///
    /// # Errors
    /// `storage-full`, if the frames of all parked calls would exceed `limit` bytes, or those of the
    /// connection would exceed half of `limit`. A call that is the only parked call of its connection may
    /// exceed this half, and a call that is the only parked call of the server may have any size. Also
    /// `storage-full`, at the memory limit.
    pub(super) fn add(
        &self,
        size: usize,
        connection_bytes: &ParkedBytes,
        worker: Option<usize>,
        limit: usize,
    ) -> Result<ParkedCallGuard> {
        let refuse = |message, allowed: usize| {
            Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed))
        };
        if connection_bytes.would_exceed(size, limit / 2) {
            let message = "the calls of this connection that wait for their turn would take more than half \
                           of the bytes that one frame may have";
            return refuse(message, limit / 2);
        }
        if self.0.frame_bytes.would_exceed(size, limit) {
            let message = "the calls that wait for their turn would take more bytes than one frame may have";
            return refuse(message, limit);
        }
        memory::charge(size.saturating_add(OVERHEAD))?;
        self.0.frame_bytes.add(size);
        connection_bytes.add(size);
        if let Some(worker) = worker {
            let mut by_worker = self.0.by_worker.borrow_mut();
            *by_worker.entry(worker).or_default() += 1;
            let has_parked_calls = true;
            self.publish(worker, has_parked_calls, by_worker.len());
        }
        Ok(ParkedCallGuard { calls: self.clone(), connection_bytes: connection_bytes.clone(), size, worker })
    }

    /// Publishes whether `worker` has parked calls, and the number of all workers that have some.
    fn publish(&self, worker: usize, has_parked_calls: bool, parked_workers: usize) {
        if let Some(shared_status) = &self.0.shared_status {
            shared_status.publish_parked(worker, has_parked_calls, parked_workers);
        }
    }
}

impl ParkedBytes {
    /// Whether `further` bytes would exceed the limit. Always `false` if no bytes are counted yet: a call may
    /// have any size if no other call is parked.
    fn would_exceed(&self, further: usize, limit: usize) -> bool {
        let counted = self.0.get();
        counted > 0 && counted.saturating_add(further) > limit
    }

    fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    fn remove(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }
}

impl Drop for ParkedCallGuard {
    fn drop(&mut self) {
        let calls = &self.calls;
        calls.0.frame_bytes.remove(self.size);
        self.connection_bytes.remove(self.size);
        let Some(worker) = self.worker else { return };
        let mut by_worker = calls.0.by_worker.borrow_mut();
        if let Some(count) = by_worker.get_mut(&worker) {
            *count -= 1;
            if *count == 0 {
                by_worker.remove(&worker);
                let has_parked_calls = false;
                calls.publish(worker, has_parked_calls, by_worker.len());
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
        let is_parked = |worker: usize| shared_status.is_parked(Some(worker));
        let connection_bytes = ParkedBytes::default();
        let add = |worker| calls.add(10, &connection_bytes, worker, 1 << 20).unwrap();
        let (first, second, of_other_client) = (add(Some(1)), add(Some(1)), add(None));
        assert_eq!([0, 1, 2].map(is_parked), [false, true, false]);
        assert!(shared_status.has_cpu_per_client(), "two of three run");
        drop(first);
        assert!(is_parked(1));
        drop((second, of_other_client));
        assert!(!is_parked(1) && !shared_status.has_cpu_per_client());
    }

    #[test]
    fn the_frames_of_parked_calls_have_a_bounded_number_of_bytes() {
        const LIMIT: usize = 100;
        let calls = ParkedCalls::default();
        let [one, other, third] = [(); 3].map(|()| ParkedBytes::default());
        let no_worker = None;
        let add = |connection_bytes, size: usize| {
            calls.add(size, connection_bytes, no_worker, LIMIT).map_err(|error| {
                assert!(error.is(ErrorId::STORAGE_FULL));
                error.items()[0].details["allowed"].clone()
            })
        };
        let half = add(&one, 50).unwrap();
        assert_eq!(add(&one, 1).err(), Some((LIMIT / 2).into()), "the half of one connection is used up");
        let rest = [add(&other, 25), add(&other, 25)].map(|added| added.unwrap());
        assert_eq!(add(&third, 1).err(), Some(LIMIT.into()));
        drop(half);
        add(&one, 1).unwrap();
        drop(rest);
        let alone = add(&one, 1000).unwrap();
        assert!(add(&one, 1).is_err() && add(&other, 1).is_err());
        drop(alone);
        assert_eq!([&calls.0.frame_bytes, &one, &other].map(|bytes| bytes.0.get()), [0; 3]);
    }
}
