//! Commit batches: the calls that have arrived on several connections are run together, with few commits.
//!
//! A batch is the connections that wait at one time. It is served in groups: the calls of a group share one
//! commit. A group ends after [`MAX_GROUP_TIME`]. After a failed commit each connection is a group of its
//! own.
//!
//! The kernel reports several ready connections at once. The first task that has calls in its buffer yields
//! to the other ready tasks, which read and enqueue their calls; then it runs the calls of all of them,
//! and each connection gets its own answers. If not all changes of a group
//! can be committed, the calls whose changes are lost get the error as answer. No call is run twice.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, GroupFailure, Interface};

use super::Shared;
use super::connection::{ConnectionState, ServedCall};

/// After this time a group takes no further calls, except those of its first connection, so that each group
/// completes at least one. The connections served so far are answered before the batch continues: one long
/// call does not delay answers that are ready.
const MAX_GROUP_TIME: Duration = Duration::from_millis(1);

/// After a commit that failed, this many connections are served alone: such failures tend to recur, and a
/// call that fails in a group fails those after it.
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

    /// Serves as many of these connections as fit into one group, from the front. Returns the number of those
    /// that are served completely.
    fn serve_group<I: Interface + ?Sized>(&self, slots: &[Rc<Slot>], shared: &Shared<I>) -> usize {
        let started = Instant::now();
        let mut count = 0;
        let mut group = PendingGroup { slots, calls: Vec::new() };
        let committed = shared.service.run_group(&mut |_| {
            while let Some(slot) = slots.get(count)
                && (count == 0 || started.elapsed() <= MAX_GROUP_TIME)
            {
                if let Some(call) = slot.with_state(|state| state.serve_next(shared)).flatten() {
                    group.calls.push((count, call));
                    return true;
                }
                count += 1;
            }
            false
        });
        if let Err(GroupFailure { call, error }) = committed {
            self.ungrouped.set(UNGROUPED_AFTER_FAILURE);
            group.refuse_from(call, &error);
        }
        group.calls.clear();
        count
    }
}

/// The calls that have run in a group. Dropping it before the group has ended refuses them: a panic undoes
/// what they have changed.
struct PendingGroup<'s> {
    slots: &'s [Rc<Slot>],
    /// The calls, each with the index of its connection.
    calls: Vec<(usize, ServedCall)>,
}

impl PendingGroup<'_> {
    /// Replaces the answers of the calls from `first` on.
    fn refuse_from(&mut self, first: usize, error: &Error) {
        let lost = self.calls.get(first..).unwrap_or_default();
        for calls in lost.chunk_by(|(one, _), (other, _)| one == other) {
            let (connection, _) = calls[0];
            self.slots[connection].with_state(|state| {
                state.refuse_served(calls.iter().map(|(_, call)| call), error);
            });
        }
    }
}

impl Drop for PendingGroup<'_> {
    fn drop(&mut self) {
        let message = "another call of the same commit panicked: the changes of this call may be lost";
        self.refuse_from(0, &Error::new(ErrorId::INTERNAL, message));
    }
}

impl Slot {
    fn serve<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_state(|state| state.serve(shared));
    }

    /// Runs `work` on the state. If `work` panics, the state is lost, and so is the connection.
    fn with_state<R>(&self, work: impl FnOnce(&mut ConnectionState) -> R) -> Option<R> {
        let mut state = self.state.take()?;
        let done = work(&mut state);
        self.state.set(Some(state));
        Some(done)
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
