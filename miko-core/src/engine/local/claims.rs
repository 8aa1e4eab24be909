//! Claims through a local engine: which caller has them, and how a call waits for one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Gate, GateMode, Pass, Result};

use super::LocalEngine;
use super::connection_claims::ConnectedClaim;
use super::shared_store::SharedStore;
use super::view::{StoreGuard, View};
use crate::engine::store::Store;
use crate::engine::store::claims::waiting::WaitId;
use crate::engine::store::transaction::CommitSharing;
use crate::query::{ClaimRequest, Request};
use crate::response::{Claimed, Results};
use crate::storage::Storage;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// Runs requests, unlocks the store, and keeps the claims that have begun for the caller. If the requests
    /// fail, those end.
    pub(super) fn run_with_claims<R>(
        &self,
        mut store: StoreGuard<'_, T>,
        run: impl FnOnce(&mut Store<T>) -> Result<R>,
    ) -> Result<R> {
        let done = run(&mut store);
        let begun = store.take_begun_claims();
        drop(store);
        self.keep_claims(begun, done)
    }

    /// Keeps claims for the caller; ends them if the call has failed.
    pub(super) fn keep_claims<R>(&self, begun: Vec<String>, done: Result<R>) -> Result<R> {
        if !begun.is_empty() {
            let connected = |id| ConnectedClaim { store: Arc::clone(&self.store), id };
            let begun: Vec<_> = begun.into_iter().map(connected).collect();
            if done.is_ok() {
                self.claims.of_caller().add(begun, &self.store);
            }
        }
        done
    }

    /// Runs a request that ends a claim, and forgets that. Where the end may still be undone, the caller
    /// keeps the claim.
    pub(super) fn run_end_of_claim(&self, request: Request, id: &str) -> Result<Results> {
        let mut store = self.lock_for(&request)?;
        let results = store.run(request)?;
        let is_final = !store.may_undo_writes();
        drop(store);
        if is_final {
            self.claims.of_caller().end(id);
        }
        Ok(results)
    }

    /// Claims a record. If there is none, waits for one, as long as the request says.
    pub(super) fn claim_or_wait(&self, mut request: ClaimRequest) -> Result<Results> {
        let earlier_wait = self.store.lock()?.wait_of_served_call();
        // A call that was parked and is made again goes on with its earlier wait.
        let (id, until) = match earlier_wait {
            Some((id, until)) => (Some(id), until),
            None => (None, Instant::now().checked_add(request.wait).unwrap_or_else(Instant::now)),
        };
        let mut wait = Wait { store: &self.store, id, gate: None, is_parked: false, has_failed: false };
        loop {
            let gate = match self.try_claim(&mut request, &mut wait, until) {
                Ok(Attempt::Done(claimed)) => return Ok(Results::Claimed(claimed)),
                Ok(Attempt::Waits(gate)) => gate,
                Err(error) => return Err(wait.note_parked(error)),
            };
            match gate.enter(GateMode::Exclusive, until.saturating_duration_since(Instant::now())) {
                // Tries again: for the last time, if the wait has timed out.
                Ok(_) => {}
                Err(error) if error.is(ErrorId::LOCK_TIMEOUT) => {}
                Err(error) => return Err(wait.note_parked(error)),
            }
        }
    }

    /// Claims a record. If there is none and time is left, lets the call wait for one at a gate.
    fn try_claim(
        &self,
        request: &mut ClaimRequest,
        wait: &mut Wait<'_, T>,
        until: Instant,
    ) -> Result<Attempt> {
        // Read before the attempt, so that a record that becomes free after it is not missed.
        let time_left = until.saturating_duration_since(Instant::now());
        let is_last = time_left.is_zero();
        let mut store = match self.store.write_waiting(self.view, time_left) {
            Ok(store) => self.for_answer(store),
            Err(error) => {
                if error.is(ErrorId::PARKED) && wait.id.is_none() {
                    wait.id = Some(self.begin_wait_for_turn(request, until)?);
                }
                return Err(error);
            }
        };
        let done = store.write(CommitSharing::Groupable, |store| store.claim(request));
        if is_last || !matches!(done, Ok(None)) {
            let begun = store.take_begun_claims();
            drop(store);
            return self.keep_claims(begun, done).map(Attempt::Done);
        }
        let (gate, closed) = self.closed_gate();
        match &wait.id {
            Some(id) => store.wait_again(id, (gate.clone(), closed)),
            None => wait.id = Some(store.wait_for_claim(request, until, gate.clone(), Some(closed))),
        }
        // Before the store is unlocked: a waiting call counts as abandoned if it alone holds its gate.
        wait.gate = Some(gate.clone());
        drop(store);
        // Nothing was changed, and transactions must not wait for this call.
        self.store.writers.leave_in_call();
        Ok(Attempt::Waits(gate))
    }

    /// Adds a call that is parked before its first attempt, so that its wait ends in time and it keeps its
    /// position. The call is recognized by a gate that it has entered.
    fn begin_wait_for_turn(&self, request: &ClaimRequest, until: Instant) -> Result<WaitId> {
        let gate = Gate::new();
        drop(gate.enter(GateMode::Exclusive, Duration::ZERO)?);
        Ok(self.store.lock()?.wait_for_claim(request, until, gate, None))
    }

    /// A gate for a call that waits. Meanwhile it looks for leases that end.
    fn closed_gate(&self) -> (Gate, Pass) {
        let store = Arc::downgrade(&self.store);
        Gate::closed(move || store.upgrade()?.lock().ok()?.check_waiting_claims())
    }
}

enum Attempt {
    Done(Option<Claimed>),
    Waits(Gate),
}

/// The position of a call in the queue of waiting calls. Dropping it leaves the queue, unless the call is
/// parked and will be made again.
struct Wait<'s, T: Storage> {
    store: &'s SharedStore<T>,
    id: Option<WaitId>,
    /// The gate at which it waits, or has waited last.
    gate: Option<Gate>,
    is_parked: bool,
    /// Whether the call has ended with an error. Then another call may get the record for which this one was
    /// woken.
    has_failed: bool,
}

impl<T: Storage> Wait<'_, T> {
    fn note_parked(&mut self, error: Error) -> Error {
        self.is_parked = error.is(ErrorId::PARKED);
        self.has_failed = !self.is_parked;
        error
    }
}

impl<T: Storage> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take().filter(|_| !self.is_parked) {
            // Not in a hook: its calls are refused before they wait.
            self.store.lock_outside_of_callbacks().end_wait(&id, self.has_failed);
        }
    }
}
