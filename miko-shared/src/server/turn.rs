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
use super::connection::Exchange;

/// Whoever has been served by then is answered before a turn goes on: one long call holds up no answer that is ready.
const PATIENCE: Duration = Duration::from_millis(1);

/// After a turn that had to be served twice, so many connections are served one by one: what failed once often does so again.
const ALONE_AFTER_FAILURE: u32 = 100;

/// The connections that wait for the turn that comes.
#[derive(Default)]
pub(super) struct Turn {
    waiting: RefCell<Vec<Rc<Seat>>>,
    /// How many connections from now on are served one by one.
    alone: Cell<u32>,
}

/// Where a connection leaves its exchange for a turn, and finds it served.
#[derive(Default)]
pub(super) struct Seat {
    exchange: Cell<Option<Exchange>>,
    served: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Turn {
    /// Serves the calls that have arrived on a connection, in its turn. `None` if serving them panicked.
    pub(super) async fn take_up<I: Interface + ?Sized>(
        &self,
        seat: &Rc<Seat>,
        exchange: Exchange,
        shared: &Shared<I>,
    ) -> Option<Exchange> {
        seat.exchange.set(Some(exchange));
        seat.served.set(false);
        self.waiting.borrow_mut().push(Rc::clone(seat));
        if self.waiting.borrow().len() == 1 {
            to_the_end_of_the_queue().await;
            self.serve_all(shared);
        }
        poll_fn(|context| {
            if seat.served.get() {
                return Poll::Ready(seat.exchange.take());
            }
            seat.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    fn serve_all<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        let mut seats = Seats(self.waiting.take());
        while !seats.0.is_empty() {
            let count = if seats.0.len() == 1 || self.alone.get() > 0 {
                self.alone.set(self.alone.get().saturating_sub(1));
                seats.0[0].serve(shared);
                1
            } else {
                self.serve_together(&seats.0, shared)
            };
            seats.leave(count);
        }
    }

    /// Serves the first of these connections, and says how many.
    fn serve_together<I: Interface + ?Sized>(&self, seats: &[Rc<Seat>], shared: &Shared<I>) -> usize {
        let begun = Instant::now();
        let mut count = 0;
        let done = shared.target.together(&mut || {
            for seat in seats {
                seat.serve(shared);
                count += 1;
                if begun.elapsed() > PATIENCE {
                    break;
                }
            }
        });
        if !done {
            self.alone.set(ALONE_AFTER_FAILURE);
            seats[..count].iter().for_each(|seat| seat.serve_again(shared));
        }
        count
    }
}

impl Seat {
    fn serve<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_exchange(|exchange| exchange.serve(shared));
    }

    fn serve_again<I: Interface + ?Sized>(&self, shared: &Shared<I>) {
        self.with_exchange(|exchange| {
            exchange.undo();
            exchange.serve(shared);
        });
    }

    fn with_exchange(&self, work: impl FnOnce(&mut Exchange)) {
        if let Some(mut exchange) = self.exchange.take() {
            work(&mut exchange);
            self.exchange.set(Some(exchange));
        }
    }

    /// Gives the exchange back.
    fn leave(&self) {
        self.served.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Connections that wait to be served. None waits longer than this lives, even if serving one of them panics.
struct Seats(Vec<Rc<Seat>>);

impl Seats {
    fn leave(&mut self, count: usize) {
        self.0.drain(..count).for_each(|seat| seat.leave());
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.leave(self.0.len());
    }
}

/// Lets every task run that is ready to. Unlike tokio's `yield_now` it does not ask the kernel for more of them.
async fn to_the_end_of_the_queue() {
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
