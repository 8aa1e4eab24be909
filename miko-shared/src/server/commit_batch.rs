//! Commit batches: the calls that have arrived on several connections are run together, in one commit.
//!
//! The kernel reports several ready connections at once. The first task that has calls in its buffer yields
//! to the other ready tasks, which read and enqueue their calls; then it runs the calls of all of them. Their
//! changes are committed together, and each connection gets its own answers. If the commit fails, all changes
//! are rolled back and the calls of each connection are run again alone.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use miko_core::rpc::Interface;

use super::Shared;
use super::connection::ConnectionState;

/// A group takes no further connection after this time. The connections served so far are
/// answered before the batch continues, so that one long call does not delay answers that are ready.
const MAX_GROUP_TIME: Duration = Duration::from_millis(1);

/// After a group that was rolled back, this many connections are served alone, because such failures tend to
/// recur.
const UNGROUPED_AFTER_FAILURE: u32 = 100;

/// The connections that wait for the next batch.
#[derive(Default)]
pub(super) struct CommitBatch {
    waiting: RefCell<Vec<Rc<Slot>>>,
    /// How many of the next connections are served alone.
    ungrouped: Cell<u32>,
}

/// Lends the state of one connection to the batch until its calls have been served.
#[derive(Default)]
pub(super) struct Slot {
    state: Cell<Option<ConnectionState>>,
    served: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl CommitBatch {
    /// Serves the calls that have arrived on a connection, as part of the next batch. Returns `None` if
    /// serving them panicked.
    ///
    /// The first connection to enqueue runs the batch; the others wait until it wakes them.
    pub(super) async fn enqueue<I: Interface + ?Sized>(
        &self,
        slot: &Rc<Slot>,
        state: ConnectionState,
        shared: &Shared<I>,
    ) -> Option<ConnectionState> {
        slot.state.set(Some(state));
        slot.served.set(false);
        self.waiting.borrow_mut().push(Rc::clone(slot));
        if self.waiting.borrow().len() == 1 {
            yield_to_ready_tasks().await;
            self.run(shared);
        }
        poll_fn(|context| {
            if slot.served.get() {
                return Poll::Ready(slot.state.take());
            }
            slot.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// Serves all waiting connections.
    fn run<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        let mut slots = Slots(self.waiting.take());
        while !slots.0.is_empty() {
            let count = if slots.0.len() == 1 || self.ungrouped.get() > 0 {
                self.ungrouped.set(self.ungrouped.get().saturating_sub(1));
                slots.0[0].serve(shared);
                1
            } else {
                self.serve_group(&slots.0, shared)
            };
            slots.release(count);
        }
    }

    /// Serves the first of these connections in one commit, and returns how many.
    fn serve_group<I: Interface + ?Sized>(&self, slots: &[Rc<Slot>], shared: &Shared<I>) -> usize {
        let started = Instant::now();
        let mut count = 0;
        let committed = shared.target.run_group(&mut || {
            for slot in slots {
                slot.serve(shared);
                count += 1;
                if started.elapsed() > MAX_GROUP_TIME {
                    break;
                }
            }
        });
        if !committed {
            self.ungrouped.set(UNGROUPED_AFTER_FAILURE);
            slots[..count].iter().for_each(|slot| slot.serve_again(shared));
        }
        count
    }
}

impl Slot {
    fn serve<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_state(|state| state.serve(shared));
    }

    fn serve_again<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_state(|state| {
            state.rewind();
            state.serve(shared);
        });
    }

    fn with_state(&self, work: impl FnOnce(&mut ConnectionState)) {
        if let Some(mut state) = self.state.take() {
            work(&mut state);
            self.state.set(Some(state));
        }
    }

    /// Returns the state to its connection and wakes the connection's task.
    fn release(&self) {
        self.served.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The connections of a batch. Dropping it releases all of them, even if serving one of them panics.
struct Slots(Vec<Rc<Slot>>);

impl Slots {
    fn release(&mut self, count: usize) {
        self.0.drain(..count).for_each(|slot| slot.release());
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.release(self.0.len());
    }
}

/// Yields once to every ready task. Unlike tokio's `yield_now`, it does not make the runtime poll the kernel
/// for new events.
async fn yield_to_ready_tasks() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
