//! Accounts for parked calls, which wait at gates: how many bytes they take, and which workers made them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result, memory};

use crate::polling::SharedStatus;

/// The bytes that a parked call takes besides its frame: its entries in the session and in the queue of the
/// gate, its timer and its wakers. They count towards the memory limit, not towards the limit on the bytes of
/// parked frames: on a connection of the server's own protocol, `calls_in_flight` bounds the number of calls.
const OVERHEAD: usize = 1 << 10;

/// The counts of all parked calls of a server. Clones share them.
#[derive(Clone, Default)]
pub(super) struct ParkedCalls(Rc<Counts>);

#[derive(Default)]
struct Counts {
    /// The bytes of the parked frames of all connections.
    frames: ParkedBytes,
    /// The number of parked calls of each worker that has some.
    by_worker: RefCell<HashMap<usize, usize>>,
    /// The status in which the server publishes which workers have parked calls; `None` if it publishes none.
    shared_status: Option<Arc<SharedStatus>>,
}

/// The bytes of the frames of parked calls. Clones share the count.
#[derive(Clone, Default)]
pub(super) struct ParkedBytes(Rc<Cell<usize>>);

/// Counts one parked call until it is dropped.
pub(super) struct ParkedCount {
    calls: ParkedCalls,
    /// The bytes of the parked calls of the connection of this call.
    connection: ParkedBytes,
    /// The size of the frame in bytes.
    frame: usize,
    /// The worker that made the call, as in [`ParkedCalls::add`].
    worker: Option<usize>,
}

impl ParkedCalls {
    /// Starts with no parked calls. Publishes in `shared_status` which workers have some.
    pub(super) fn new(shared_status: Option<Arc<SharedStatus>>) -> Self {
        Self(Rc::new(Counts { shared_status, ..Counts::default() }))
    }

    /// Accounts for a parked call with a frame of `frame` bytes, until the returned value is dropped. A call
    /// in JSON has no frame: its method name and params count in its place. `connection` has the bytes of the
    /// parked calls of its connection. `worker` is the worker that made the call; `None` for another client,
    /// and for a call in JSON.
    ///
    /// # Errors
    /// `storage-full`, if the frames of all parked calls would exceed `limit` bytes, or the frames of the
    /// connection would exceed half of `limit`. A call that is the only parked one of its connection may
    /// exceed the half, and the only one of the server may have any size. Also `storage-full` at the memory
    /// limit.
    pub(super) fn add(
        &self,
        frame: usize,
        connection: &ParkedBytes,
        worker: Option<usize>,
        limit: usize,
    ) -> Result<ParkedCount> {
        let refuse = |message, allowed: usize| {
            Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed))
        };
        if connection.would_exceed(frame, limit / 2) {
            let message = "the calls of this connection that wait for their turn would take more than half \
                           of the bytes that one frame may have";
            return refuse(message, limit / 2);
        }
        if self.0.frames.would_exceed(frame, limit) {
            let message = "the calls that wait for their turn would take more bytes than one frame may have";
            return refuse(message, limit);
        }
        memory::charge(frame.saturating_add(OVERHEAD))?;
        self.0.frames.add(frame);
        connection.add(frame);
        if let Some(worker) = worker {
            let mut by_worker = self.0.by_worker.borrow_mut();
            *by_worker.entry(worker).or_default() += 1;
            self.publish(worker, true, by_worker.len());
        }
        Ok(ParkedCount { calls: self.clone(), connection: connection.clone(), frame, worker })
    }

    /// Publishes whether `worker` has parked calls, and how many workers have some.
    fn publish(&self, worker: usize, is_parked: bool, parked_workers: usize) {
        if let Some(shared_status) = &self.0.shared_status {
            shared_status.publish_parked(worker, is_parked, parked_workers);
        }
    }
}

impl ParkedBytes {
    /// Whether this many further bytes would exceed a limit. Always `false` while no other call is counted.
    fn would_exceed(&self, bytes: usize, limit: usize) -> bool {
        let taken = self.0.get();
        taken > 0 && taken.saturating_add(bytes) > limit
    }

    fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    fn remove(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }
}

impl Drop for ParkedCount {
    fn drop(&mut self) {
        let calls = &self.calls;
        calls.0.frames.remove(self.frame);
        self.connection.remove(self.frame);
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
        let connection = ParkedBytes::default();
        let add = |worker| calls.add(10, &connection, worker, 1 << 20).unwrap();
        let (first, second, of_a_client) = (add(Some(1)), add(Some(1)), add(None));
        assert_eq!([0, 1, 2].map(waiting), [false, true, false]);
        assert!(shared_status.has_cpu_per_client(), "two of three run");
        drop(first);
        assert!(waiting(1));
        drop((second, of_a_client));
        assert!(!waiting(1) && !shared_status.has_cpu_per_client());
    }

    #[test]
    fn the_frames_of_parked_calls_have_a_bounded_number_of_bytes() {
        const LIMIT: usize = 100;
        let calls = ParkedCalls::default();
        let [one, other, third] = [(); 3].map(|()| ParkedBytes::default());
        let add = |connection, frame: usize| {
            calls.add(frame, connection, None, LIMIT).map_err(|error| {
                assert!(error.is(ErrorId::STORAGE_FULL));
                error.items()[0].details["allowed"].clone()
            })
        };
        let half = add(&one, 50).unwrap();
        assert_eq!(add(&one, 1).err(), Some((LIMIT / 2).into()), "one connection has half of it");
        let rest = [add(&other, 25), add(&other, 25)].map(|added| added.unwrap());
        assert_eq!(add(&third, 1).err(), Some(LIMIT.into()));
        drop(half);
        add(&one, 1).unwrap();
        drop(rest);
        let alone = add(&one, 1000).unwrap();
        assert!(add(&one, 1).is_err() && add(&other, 1).is_err());
        drop(alone);
        assert_eq!([&calls.0.frames, &one, &other].map(|bytes| bytes.0.get()), [0; 3]);
    }
}
