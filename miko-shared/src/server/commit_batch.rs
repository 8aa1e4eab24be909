//! Turns: the calls that have arrived by the time the server looks, taken up together.
//!
//! The kernel tells the runtime of several connections at once. The first of them to have calls in its buffer goes to the
//! end of the runtime's queue, so that the others get theirs read; then it serves all of them. What they change is
//! committed once, and each gets its own answer. If that fails nothing of it is left, and each is served for itself.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use miko_core::rpc::Interface;

use super::Shared;
use super::connection::ConnectionState;

/// Whoever has been served by then is answered before a turn goes on: one long call holds up no answer that is ready.
const MAX_GROUP_TIME: Duration = Duration::from_millis(1);

/// After a turn that had to be served twice, so many connections are served one by one: what failed once often does so again.
const UNGROUPED_AFTER_FAILURE: u32 = 100;

/// The connections that wait for the turn that comes.
#[derive(Default)]
pub(super) struct CommitBatch {
    waiting: RefCell<Vec<Rc<Slot>>>,
    /// How many connections from now on are served one by one.
    ungrouped: Cell<u32>,
}

/// Where a connection leaves its state for a turn, and finds it served.
#[derive(Default)]
pub(super) struct Slot {
    state: Cell<Option<ConnectionState>>,
    served: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl CommitBatch {
    /// Serves the calls that have arrived on a connection, in its turn. `None` if serving them panicked.
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

    /// Serves the first of these connections, and says how many.
    fn serve_group<I: Interface + ?Sized>(&self, slots: &[Rc<Slot>], shared: &Shared<I>) -> usize {
        let begun = Instant::now();
        let mut count = 0;
        let done = shared.target.run_group(&mut || {
            for slot in slots {
                slot.serve(shared);
                count += 1;
                if begun.elapsed() > MAX_GROUP_TIME {
                    break;
                }
            }
        });
        if !done {
            self.ungrouped.set(UNGROUPED_AFTER_FAILURE);
            slots[..count].iter().for_each(|slot| slot.serve_again(shared));
        }
        count
    }
}

impl Slot {
    fn serve<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_exchange(|state| state.serve(shared));
    }

    fn serve_again<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_exchange(|state| {
            state.rewind();
            state.serve(shared);
        });
    }

    fn with_exchange(&self, work: impl FnOnce(&mut ConnectionState)) {
        if let Some(mut state) = self.state.take() {
            work(&mut state);
            self.state.set(Some(state));
        }
    }

    /// Gives the state back.
    fn release(&self) {
        self.served.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Connections that wait to be served. None waits longer than this lives, even if serving one of them panics.
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

/// Lets every task run that is ready to. Unlike tokio's `yield_now` it does not ask the kernel for more of them.
async fn yield_to_ready_tasks() {
    let mut waited = false;
    poll_fn(|context| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
