//! The calls that wait for a record that they can claim.
//!
//! Each call waits at a separate gate, which is closed. When a record may have become free, one call per
//! select is woken: for each select that finds the record, the gate of its first call is opened, and that
//! call tries again. If another call has taken the record, the woken call waits again, at a new gate, and
//! keeps its position in the queue.
//!
//! Any number of calls may wait, and each write looks for the calls that it has to wake. To keep that fast, a
//! select is kept and evaluated once for all calls that have it, a map finds a call by its gate, and a search
//! for calls whose callers are gone runs only once a second.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Gate, GateId, Pass};

use crate::engine::store::candidate::Candidate;
use crate::query::SelectRequest;

/// The shortest time between two cleanups, which remove the calls whose callers are gone.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(1);

/// The calls that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingCalls {
    /// The calls by the JSON text of their selects. Each select has at least one call.
    selects: HashMap<Arc<str>, WaitingSelect>,
    /// The calls by their gates: where each waits, or, if it was woken, where it has waited last.
    by_gate: HashMap<GateId, WaitId>,
    /// The number of the call that was added last.
    last_number: u64,
    /// The time of the last search for calls whose callers are gone; `None` before the first one.
    last_cleanup: Option<Instant>,
}

/// Identifies a call that waits.
#[derive(Debug, Clone)]
pub(crate) struct WaitId {
    /// The JSON text of the select.
    select: Arc<str>,
    /// Calls that came later have larger numbers.
    number: u64,
}

/// The calls that wait with one select, by their numbers.
#[derive(Debug)]
struct WaitingSelect {
    select: SelectRequest,
    /// The calls whose gates are closed.
    asleep: BTreeMap<u64, WaitingCall>,
    /// The calls that were woken and have not tried again yet. Also calls that were parked before their first
    /// attempt: they are not asleep, since they wait for their turn to write and not for a record.
    awake: BTreeMap<u64, WaitingCall>,
}

/// A call that waits.
#[derive(Debug)]
struct WaitingCall {
    /// When its wait times out.
    until: Instant,
    gate: Gate,
    /// The pass that keeps the gate closed. Dropping it wakes the call. `None` if the call is awake.
    closing_pass: Option<Pass>,
}

impl WaitingCall {
    /// Whether the caller is gone: its connection has ended, for example. This value has one reference to the
    /// gate, and a second one by `closing_pass` while that is `Some`. A caller that still exists has at least
    /// one more reference: its clone of the gate, its place in the queue of the gate, or the pass by which it
    /// entered.
    fn is_abandoned(&self) -> bool {
        self.gate.references() <= 1 + usize::from(self.closing_pass.is_some())
    }
}

impl WaitingSelect {
    fn is_empty(&self) -> bool {
        self.asleep.is_empty() && self.awake.is_empty()
    }

    /// Takes a call out, whether it is asleep or awake.
    fn take(&mut self, number: u64) -> Option<WaitingCall> {
        self.asleep.remove(&number).or_else(|| self.awake.remove(&number))
    }

    /// The number of the first call that is asleep and whose caller is not gone.
    fn first_asleep(&self) -> Option<u64> {
        self.asleep.iter().find(|(_, call)| !call.is_abandoned()).map(|(number, _)| *number)
    }

    fn wake(&mut self, number: u64) {
        if let Some(mut call) = self.asleep.remove(&number) {
            call.closing_pass = None;
            self.awake.insert(number, call);
        }
    }

    fn wake_first(&mut self) {
        if let Some(first) = self.first_asleep() {
            self.wake(first);
        }
    }

    fn wake_all(&mut self) {
        for (number, mut call) in std::mem::take(&mut self.asleep) {
            call.closing_pass = None;
            self.awake.insert(number, call);
        }
    }

    /// Removes the calls whose callers are gone. For each removed call that was awake, wakes another one: the
    /// removed call may have been woken for a record that it has not taken.
    fn forget_abandoned(&mut self, by_gate: &mut HashMap<GateId, WaitId>) {
        let mut is_kept = |call: &WaitingCall| {
            let is_abandoned = call.is_abandoned();
            if is_abandoned {
                by_gate.remove(&call.gate.id());
            }
            !is_abandoned
        };
        self.asleep.retain(|_, call| is_kept(call));
        let awake_before = self.awake.len();
        self.awake.retain(|_, call| is_kept(call));
        let removed = awake_before - self.awake.len();
        (0..removed).for_each(|_| self.wake_first());
    }
}

impl WaitingCalls {
    pub(super) fn is_empty(&self) -> bool {
        self.selects.is_empty()
    }

    /// Finds the call that this thread serves, and when its wait times out; `None` if the call has not waited
    /// here. The call is found by its gate: a call that runs again has a pass of each gate that it has
    /// entered.
    pub(super) fn find_served_call(&self) -> Option<(WaitId, Instant)> {
        let id = Gate::passed_by_call().iter().find_map(|gate| self.by_gate.get(gate))?;
        let WaitingSelect { asleep, awake, .. } = self.selects.get(&id.select)?;
        let call = asleep.get(&id.number).or_else(|| awake.get(&id.number))?;
        Some((id.clone(), call.until))
    }

    /// Adds a call, which is asleep until `closing_pass`, the pass that keeps `gate` closed, is dropped. If
    /// `closing_pass` is `None`, the call is awake. `parse` parses `select_text`, unless another call waits
    /// with the same text.
    pub(super) fn add(
        &mut self,
        select_text: &str,
        parse: impl FnOnce(&str) -> SelectRequest,
        until: Instant,
        gate: Gate,
        closing_pass: Option<Pass>,
    ) -> WaitId {
        // The text of a call that waits with the same select is shared.
        let select: Arc<str> = self
            .selects
            .get_key_value(select_text)
            .map_or_else(|| select_text.into(), |(text, _)| Arc::clone(text));
        self.last_number += 1;
        let id = WaitId { select, number: self.last_number };
        self.by_gate.insert(gate.id(), id.clone());
        let waiting = self.selects.entry(Arc::clone(&id.select)).or_insert_with(|| WaitingSelect {
            select: parse(select_text),
            asleep: BTreeMap::new(),
            awake: BTreeMap::new(),
        });
        let calls = if closing_pass.is_some() { &mut waiting.asleep } else { &mut waiting.awake };
        calls.insert(id.number, WaitingCall { until, gate, closing_pass });
        id
    }

    /// Lets a call wait again, with its old number, at a new gate, which `closing_pass` keeps closed.
    pub(super) fn wait_again(&mut self, id: &WaitId, (gate, closing_pass): (Gate, Pass)) {
        let Some(waiting) = self.selects.get_mut(&id.select) else { return };
        let Some(mut call) = waiting.take(id.number) else { return };
        self.by_gate.remove(&call.gate.id());
        self.by_gate.insert(gate.id(), id.clone());
        // The served call has a pass of the old gate, and would keep it until it ends. The old gate is not
        // used any more.
        call.gate.leave_in_call();
        (call.gate, call.closing_pass) = (gate, Some(closing_pass));
        waiting.asleep.insert(id.number, call);
    }

    /// Removes a call. If `wakes_next` is set and the call was awake, wakes the next call with the same
    /// select: the removed call may have been woken for a record that it has not taken.
    pub(super) fn remove(&mut self, id: &WaitId, wakes_next: bool) {
        let Some(waiting) = self.selects.get_mut(&id.select) else { return };
        let Some(removed) = waiting.take(id.number) else { return };
        self.by_gate.remove(&removed.gate.id());
        // The gate is not used any more, as in `wait_again`.
        removed.gate.leave_in_call();
        if wakes_next && removed.closing_pass.is_none() {
            waiting.wake_first();
        }
        if waiting.is_empty() {
            self.selects.remove(&id.select);
        }
    }

    /// Wakes all calls.
    pub(super) fn wake_all(&mut self) {
        self.selects.values_mut().for_each(WaitingSelect::wake_all);
    }

    /// Wakes the first call of each select that finds this record.
    pub(super) fn wake_for(&mut self, record: &Candidate<'_>) {
        // A select that cannot be evaluated counts as finding the record: its call is woken, fails, and
        // reports the error to its caller.
        self.wake(|select| select.filter.matches(record).unwrap_or(true));
    }

    /// Wakes the first call of each select.
    pub(super) fn wake_first_of_each(&mut self) {
        self.wake(|_| true);
    }

    /// Wakes the first call of each select for which `finds` is true.
    fn wake(&mut self, finds: impl Fn(&SelectRequest) -> bool) {
        self.forget_abandoned();
        let finding =
            self.selects.values_mut().filter(|waiting| !waiting.asleep.is_empty() && finds(&waiting.select));
        let mut first_calls: Vec<_> =
            finding.filter_map(|waiting| Some((waiting.first_asleep()?, waiting))).collect();
        // Calls of different selects are woken in order of arrival: the one that came first tries first.
        first_calls.sort_unstable_by_key(|(number, _)| *number);
        first_calls.into_iter().for_each(|(number, waiting)| waiting.wake(number));
    }

    /// Removes the calls whose callers are gone, unless that was done within the last second.
    pub(super) fn forget_abandoned(&mut self) {
        let now = Instant::now();
        if self.last_cleanup.is_some_and(|last| now.saturating_duration_since(last) < CLEANUP_INTERVAL) {
            return;
        }
        self.last_cleanup = Some(now);
        let Self { selects, by_gate, .. } = self;
        selects.retain(|_, waiting| {
            waiting.forget_abandoned(by_gate);
            !waiting.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Adds a call that is asleep. Returns its gate: the caller is gone when the returned gate is dropped.
    fn add(waiting: &mut WaitingCalls, select: &str) -> (Gate, WaitId) {
        let (gate, closing_pass) = Gate::closed(|| None);
        let parse = |_: &str| SelectRequest::default();
        let id = waiting.add(select, parse, Instant::now(), gate.clone(), Some(closing_pass));
        (gate, id)
    }

    #[test]
    fn a_select_is_evaluated_once_and_its_first_call_is_woken() {
        let mut waiting = WaitingCalls::default();
        let calls: Vec<_> = (0..30).map(|number| add(&mut waiting, ["a", "b", "c"][number % 3])).collect();
        let open_gates = |calls: &[(Gate, WaitId)]| -> Vec<usize> {
            (0..calls.len()).filter(|number| calls[*number].0.is_open()).collect()
        };
        let evaluated = Cell::new(0);
        waiting.wake(|_| {
            evaluated.set(evaluated.get() + 1);
            true
        });
        assert_eq!((evaluated.get(), open_gates(&calls)), (3, vec![0, 1, 2]));
        // A call that fails wakes the next one; a call that got a record does not.
        let wakes_next = true;
        waiting.remove(&calls[0].1, wakes_next);
        waiting.remove(&calls[1].1, !wakes_next);
        assert_eq!(open_gates(&calls), [0, 1, 2, 3]);
        waiting.wake_all();
        assert_eq!(open_gates(&calls).len(), calls.len());
        calls.iter().for_each(|(_, id)| waiting.remove(id, !wakes_next));
        assert!(waiting.is_empty() && waiting.by_gate.is_empty());
    }

    #[test]
    fn a_call_whose_caller_is_gone_is_not_woken_and_is_forgotten() {
        let mut waiting = WaitingCalls::default();
        let mut calls: Vec<_> = (0..4).map(|_| add(&mut waiting, "a").0).collect();
        drop(calls.remove(0));
        waiting.wake_first_of_each();
        assert!(calls[0].is_open() && !calls[1].is_open());
        // A woken call whose caller is gone is removed, and another is woken in its place.
        drop(calls.remove(0));
        // The last cleanup was less than a second ago. Without this line, this call would not clean up.
        waiting.last_cleanup = None;
        waiting.forget_abandoned();
        assert!(calls[0].is_open() && !calls[1].is_open());
        assert_eq!(waiting.by_gate.len(), 2);
    }
}
