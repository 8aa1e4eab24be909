//! The calls that wait for a record that they can claim.
//!
//! Each waits at a gate of its own, which is closed. When a record may have become free, the gate of the
//! first call of each select that finds it is opened, and that call tries again. If another call
//! took the record, it waits at another gate, and keeps its position in the queue.

use std::time::Instant;

use miko_rpc::{Gate, Pass};

use crate::engine::store::candidate::Candidate;
use crate::query::SelectRequest;

/// The calls that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct WaitingClaims {
    calls: Vec<WaitingClaim>,
    /// The number of the last one.
    last: WaitId,
}

/// The number of a call that waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WaitId(u64);

#[derive(Debug)]
struct WaitingClaim {
    id: WaitId,
    select: SelectRequest,
    /// The select as JSON text. Of several equal selects one is evaluated.
    select_text: String,
    until: Instant,
    gate: Gate,
    /// The pass that closes the gate; `None` if the call was woken, or has not tried yet.
    closed: Option<Pass>,
}

impl WaitingClaim {
    /// Whether the caller is gone, as when its connection has ended. This entry has one reference to the
    /// gate, and a second one while the pass in `closed` keeps it shut. A caller that still exists has at
    /// least one more: its clone of the gate, its place in the queue, or the pass by which it entered.
    fn is_abandoned(&self) -> bool {
        self.gate.references() <= 1 + usize::from(self.closed.is_some())
    }
}

impl WaitingClaims {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call that this thread serves, if it has waited here before, and the time until which it waits.
    pub(super) fn of_served_call(&self) -> Option<(WaitId, Instant)> {
        let call = self.calls.iter().find(|call| call.gate.is_passed_by_call())?;
        Some((call.id, call.until))
    }

    /// Adds a call, which is to wait at the gate until `closed` is dropped. Without `closed` it counts as
    /// woken.
    pub(super) fn add(
        &mut self,
        select: SelectRequest,
        select_text: String,
        until: Instant,
        gate: Gate,
        closed: Option<Pass>,
    ) -> WaitId {
        self.last = WaitId(self.last.0 + 1);
        let id = self.last;
        self.calls.push(WaitingClaim { id, select, select_text, until, gate, closed });
        id
    }

    /// Lets a call wait again, at another gate.
    pub(super) fn wait_again(&mut self, id: WaitId, (gate, closed): (Gate, Pass)) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == id) {
            call.gate.leave_in_call();
            (call.gate, call.closed) = (gate, Some(closed));
        }
    }

    /// Removes a call. With `wakes_next`, a call that was woken and leaves without a record wakes the next
    /// one with its select.
    pub(super) fn remove(&mut self, id: WaitId, wakes_next: bool) {
        if let Some(index) = self.calls.iter().position(|call| call.id == id) {
            let removed = self.calls.remove(index);
            removed.gate.leave_in_call();
            if wakes_next && removed.closed.is_none() {
                self.wake_next(&removed.select_text);
            }
        }
    }

    /// Wakes all calls.
    pub(super) fn wake_all(&mut self) {
        self.calls.iter_mut().for_each(|call| call.closed = None);
    }

    fn wake_next(&mut self, select_text: &str) {
        let mut waiting = self.calls.iter_mut().filter(|call| call.closed.is_some());
        if let Some(next) = waiting.find(|call| call.select_text == select_text) {
            next.closed = None;
        }
    }

    /// Wakes the first call of each select that finds a record.
    pub(super) fn wake_for(&mut self, record: &Candidate<'_>) {
        // A select that cannot be evaluated reports that to its caller.
        self.wake(|select| select.filter.matches(record).unwrap_or(true));
    }

    /// Wakes the first call of each select.
    pub(super) fn wake_each(&mut self) {
        self.wake(|_| true);
    }

    fn wake(&mut self, finds: impl Fn(&SelectRequest) -> bool) {
        self.forget_abandoned();
        let mut decided: Vec<&str> = Vec::new();
        for call in &mut self.calls {
            if call.closed.is_none() || decided.contains(&call.select_text.as_str()) {
                continue;
            }
            if finds(&call.select) {
                call.closed = None;
            }
            decided.push(&call.select_text);
        }
    }

    /// Forgets the calls whose callers are gone. If one was woken and has not tried again, wakes the next.
    pub(super) fn forget_abandoned(&mut self) {
        let is_lost = |call: &WaitingClaim| call.is_abandoned() && call.closed.is_none();
        let lost: Vec<String> =
            self.calls.iter().filter(|call| is_lost(call)).map(|call| call.select_text.clone()).collect();
        self.calls.retain(|call| !call.is_abandoned());
        lost.iter().for_each(|select_text| self.wake_next(select_text));
    }
}
