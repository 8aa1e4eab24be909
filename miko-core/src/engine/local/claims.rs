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
use crate::engine::store::subscribe::check_tested_size;
use crate::engine::store::transaction::CommitSharing;
use crate::query::{ClaimRequest, Request};
use crate::response::{Claimed, Results};
use crate::storage::Storage;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// Runs requests, and unlocks the store. Then [keeps](Self::keep_claims) the claims that have begun and
    /// are not lasting.
    pub(super) fn run_and_keep_claims<R>(
        &self,
        mut store: StoreGuard<'_, T>,
        run: impl FnOnce(&mut Store<T>) -> Result<R>,
    ) -> Result<R> {
        let result = run(&mut store);
        let begun = store.take_begun_claims();
        drop(store);
        self.keep_claims(begun, result)
    }

    /// Keeps the claims that a call has begun: adds them to the claims of the caller, which end with its
    /// connection at the latest. If the call has failed, ends them instead, so that their records are free.
    /// `begun` has their ids, and `result` is the result of the call, which is returned. The store must be
    /// unlocked: the drop of a [`ConnectedClaim`] locks it to end the claim.
    pub(super) fn keep_claims<R>(&self, begun: Vec<String>, result: Result<R>) -> Result<R> {
        if !begun.is_empty() {
            let connected = |id| ConnectedClaim { store: Arc::clone(&self.store), id };
            let claims: Vec<_> = begun.into_iter().map(connected).collect();
            if result.is_ok() {
                self.claims.of_caller().add(claims, &self.store);
            } else {
                // Ends the claims.
                drop(claims);
            }
        }
        result
    }

    /// Runs a request that ends the claim with this id, and removes the claim from the claims of the caller.
    /// In a transaction or a group the end may still be undone. The claim then stays among the claims of the
    /// caller until a [cleanup](super::connection_claims::ConnectionClaims::add) removes it.
    pub(super) fn run_end_of_claim(&self, request: Request, id: &str) -> Result<Results> {
        let mut store = self.lock_for(&request)?;
        let results = store.run(request)?;
        let is_final = !store.may_undo_writes();
        drop(store);
        if is_final {
            self.claims.of_caller().remove(id);
        }
        Ok(results)
    }

    /// Claims a record, for a request with a `wait`. If no record is free, waits for one, at most for the
    /// duration `wait`.
    ///
    /// # Errors
    /// `request-too-large`, if the select is too large to be tested for each change; `parked`, if a server
    /// makes the call again later; the errors of an attempt.
    pub(super) fn claim_or_wait(&self, mut request: ClaimRequest) -> Result<Results> {
        check_tested_size(request.select.approximate_size())?;
        // A call that was parked and is made again continues its earlier wait.
        let earlier_wait = self.store.lock()?.wait_of_served_call();
        let (id, until) = match earlier_wait {
            Some((id, until)) => (Some(id), until),
            // No overflow: a request waits a year at most.
            None => (None, Instant::now() + request.wait),
        };
        let mut wait = Wait { store: &self.store, id, gate: None, is_parked: false, has_failed: false };
        loop {
            let gate = match self.try_claim(&mut request, &mut wait, until) {
                Ok(ClaimOutcome::Done(claimed)) => return Ok(Results::Claimed(claimed)),
                Ok(ClaimOutcome::MustWait(gate)) => gate,
                Err(error) => return Err(wait.note_error(error)),
            };
            match gate.enter(GateMode::Exclusive, until.saturating_duration_since(Instant::now())) {
                // The call was woken, and tries again.
                Ok(_) => {}
                // The wait has timed out. The call tries again for the last time.
                Err(error) if error.is(ErrorId::LOCK_TIMEOUT) => {}
                Err(error) => return Err(wait.note_error(error)),
            }
        }
    }

    /// Makes one attempt to claim a record. If no record is free and time is left, adds the call to the queue
    /// of waiting calls; a call that is in the queue keeps its position, and waits again. `until` is the end
    /// of the wait.
    fn try_claim(
        &self,
        request: &mut ClaimRequest,
        wait: &mut Wait<'_, T>,
        until: Instant,
    ) -> Result<ClaimOutcome> {
        let time_left = until.saturating_duration_since(Instant::now());
        // If the time runs out during this attempt, another one is made, since a record may have become free.
        let is_last_attempt = time_left.is_zero();
        // The call may wait as long for its turn to write as for a record, even if the lock timeout is
        // shorter.
        let min_timeout = time_left;
        let mut store = match self.store.write_within(self.view, min_timeout) {
            Ok(store) => self.begin_answer(store),
            Err(error) => {
                // The call is parked until its turn to write. It gets its position in the queue now.
                if error.is(ErrorId::PARKED) && wait.id.is_none() {
                    wait.id = Some(self.begin_wait_for_turn(request, until)?);
                }
                return Err(error);
            }
        };
        let claimed = store.write(CommitSharing::Groupable, |store| store.claim(request));
        if is_last_attempt || !matches!(claimed, Ok(None)) {
            let begun = store.take_begun_claims();
            drop(store);
            return self.keep_claims(begun, claimed).map(ClaimOutcome::Done);
        }
        let (gate, closing_pass) = self.closed_gate();
        match &wait.id {
            Some(id) => store.wait_again(id, (gate.clone(), closing_pass)),
            None => wait.id = Some(store.add_waiting_call(request, until, gate.clone(), Some(closing_pass))),
        }
        // An entry of the queue counts as abandoned if nothing else refers to its gate. `claim_or_wait` drops
        // the returned gate before the next attempt, so `wait` keeps a reference, too.
        wait.gate = Some(gate.clone());
        drop(store);
        // On a server, a parked call keeps its turn to write although `store` is dropped, and transactions
        // would wait for the turn. So the call gives the turn up. It may, since it has written nothing.
        self.store.writers.leave_in_call();
        Ok(ClaimOutcome::MustWait(gate))
    }

    /// Adds a call to the queue before its first attempt: the call is parked until its turn to write. So the
    /// queue keeps the position of the call, and the end of the wait. When the call is made again, it is
    /// recognized by its pass of the new gate.
    fn begin_wait_for_turn(&self, request: &ClaimRequest, until: Instant) -> Result<WaitId> {
        let gate = Gate::new();
        // The gate is open, so the call enters it at once. Only a call on a server is ever parked, and such a
        // call keeps the pass although the returned one is dropped.
        drop(gate.enter(GateMode::Exclusive, Duration::ZERO)?);
        // The call is awake: no pass keeps its gate closed.
        let closing_pass = None;
        Ok(self.store.lock()?.add_waiting_call(request, until, gate, closing_pass))
    }

    /// A gate for a call that waits, and the pass that keeps the gate closed. The waiting call runs
    /// `wake_and_prune_waiting_calls` each time that a lease ends, and at least once a second. That method
    /// wakes the calls for which a record has become free.
    fn closed_gate(&self) -> (Gate, Pass) {
        let store = Arc::downgrade(&self.store);
        Gate::closed(move || store.upgrade()?.lock().ok()?.wake_and_prune_waiting_calls())
    }
}

/// The outcome of an attempt to claim a record.
enum ClaimOutcome {
    /// The claim; `None` if no record was free, and the wait has ended.
    Done(Option<Claimed>),
    /// No record was free. The call must enter this gate before its next attempt.
    MustWait(Gate),
}

/// The wait of a call for a record. Dropping it removes the call from the queue of waiting calls, unless the
/// call is parked and will be made again.
struct Wait<'s, T: Storage> {
    store: &'s SharedStore<T>,
    /// The position of the call in the queue; `None` until the call is in the queue.
    id: Option<WaitId>,
    /// The gate at which the call waits, or has waited last; `None` before the first such gate. The queue
    /// counts the references to the gate: this one shows that the caller still exists.
    gate: Option<Gate>,
    is_parked: bool,
    /// Whether the call has ended with an error. If it was woken for a record before, another call is then
    /// woken for that record.
    has_failed: bool,
}

impl<T: Storage> Wait<'_, T> {
    /// Notes what the error of an attempt means: the call is parked, or has failed. Returns the error.
    fn note_error(&mut self, error: Error) -> Error {
        self.is_parked = error.is(ErrorId::PARKED);
        self.has_failed = !self.is_parked;
        error
    }
}

impl<T: Storage> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if let Some(id) = self.id.take().filter(|_| !self.is_parked) {
            // This thread runs no callback of the store: the calls of a callback are refused before they
            // wait.
            self.store.lock_outside_of_callbacks().end_wait(&id, self.has_failed);
        }
    }
}
