//! Connections whose client has not yet shown that it may call. They share the limit `connections` with all
//! others, workers included, so they may take a part of it only: beyond that, each new one ends the oldest.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use miko_rpc::{Error, ErrorId};
use tokio::sync::Notify;

/// The part of the limit that such connections may take.
const DIVISOR: usize = 4;

/// The connections of a server whose clients have not shown that they may call, the oldest first.
#[derive(Clone, Default)]
pub(crate) struct Unproven(Rc<RefCell<VecDeque<Rc<Slot>>>>);

#[derive(Default)]
struct Slot {
    is_proven: Cell<bool>,
    evicted: Notify,
}

/// Whether the client of a connection has shown that it may call.
pub(crate) struct Proof {
    slot: Rc<Slot>,
    all: Unproven,
}

impl Unproven {
    /// Adds a connection. `limit` is that of all connections of the server.
    pub(crate) fn add(&self, limit: usize) -> Proof {
        let slot = Rc::<Slot>::default();
        let mut all = self.0.borrow_mut();
        if all.len() >= (limit / DIVISOR).max(1)
            && let Some(oldest) = all.pop_front()
        {
            // Kept until it is waited for.
            oldest.evicted.notify_one();
        }
        all.push_back(Rc::clone(&slot));
        Proof { slot, all: self.clone() }
    }

    fn remove(&self, slot: &Rc<Slot>) {
        self.0.borrow_mut().retain(|other| !Rc::ptr_eq(other, slot));
    }
}

impl Proof {
    /// Notes that the client may call.
    pub(crate) fn give(&self) {
        if !self.slot.is_proven.replace(true) {
            self.all.remove(&self.slot);
        }
    }

    /// Does this work of the connection, unless it has to make room; then it returns `None`.
    pub(crate) async fn unless_evicted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut evicted) = (pin!(work), pin!(self.evicted()));
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Pending => evicted.as_mut().poll(context).map(|()| None),
            Poll::Ready(output) => Poll::Ready(Some(output)),
        })
        .await
    }

    /// Completes when the connection is to end.
    async fn evicted(&self) {
        self.slot.evicted.notified().await;
        if self.slot.is_proven.get() {
            // It was evicted when its first request was already on the way.
            std::future::pending().await
        }
    }
}

impl Drop for Proof {
    fn drop(&mut self) {
        self.all.remove(&self.slot);
    }
}

/// The error of a connection that has ended.
pub(crate) fn too_many() -> Error {
    let message = "there are too many connections whose clients have not shown that they may call";
    Error::new(ErrorId::TOO_MANY_CONNECTIONS, message)
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn is_evicted(proof: &Proof) -> bool {
        pin!(proof.evicted()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_without_proof_makes_room() {
        let unproven = Unproven::default();
        let [first, second] = [(); 2].map(|()| unproven.add(8));
        second.give();
        let third = unproven.add(8);
        assert!(!is_evicted(&first));
        let fourth = unproven.add(8);
        assert!(is_evicted(&first));
        assert!(![&second, &third, &fourth].into_iter().any(is_evicted));
        drop((third, fourth));
        assert_eq!(unproven.0.borrow().len(), 0);
    }
}
