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
    /// Runs requests, and unlocks the store. The claims that have begun and are not lasting become claims of
    /// the caller; if the requests fail, these claims end.
    pub(super) fn run_and_keep_claims<R>(
        &self,
        mut store: StoreGuard<'_, T>,
        run: impl FnOnce(&mut Store<T>) -> Result<R>,
    ) -> Result<R> {
        let done = run(&mut store);
        let begun = store.take_begun_claims();
        drop(store);
        self.keep_claims(begun, done)
    }

    /// Adds the claims that a call has begun to those of the caller; ends them if the call has failed.
    /// `begun` has their ids. The store must be unlocked: dropping a [`ConnectedClaim`] locks it to end the
    /// claim.
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

    /// Runs a request that ends the claim with this id, and removes the claim from the claims of the caller.
    /// If the end may still be undone, in a transaction or a group, the claim stays among them until a
    /// [cleanup](super::connection_claims::ConnectionClaims::add) removes it.
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

    /// Claims a record, for a request with a `wait`. If no record is free, waits for one, at most for that
    /// time.
    ///
    /// # Errors
    /// `request-too-large`, if the select is too large to be tested for each change; `parked`, if a server
    /// makes the call again later; the errors of an attempt.
    pub(super) fn claim_or_wait(&self, mut request: ClaimRequest) -> Result<Results> {
        check_tested_size(request.select.text_size())?;
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
                Ok(Attempt::Done(claimed)) => return Ok(Results::Claimed(claimed)),
                Ok(Attempt::Waits(gate)) => gate,
                Err(error) => return Err(wait.note_error(error)),
            };
            match gate.enter(GateMode::Exclusive, until.saturating_duration_since(Instant::now())) {
                // Either way the call tries again; after the end of the wait, for the last time.
                Ok(_) => {}
                Err(error) if error.is(ErrorId::LOCK_TIMEOUT) => {}
                Err(error) => return Err(wait.note_error(error)),
            }
        }
    }

    /// Makes one attempt to claim a record. If none is free and time is left, adds the call to the queue of
    /// waiting calls. `until` is the end of the wait.
    fn try_claim(
        &self,
        request: &mut ClaimRequest,
        wait: &mut Wait<'_, T>,
        until: Instant,
    ) -> Result<Attempt> {
        // Decided before the attempt: if the time runs out meanwhile, another attempt is made, since a record
        // may have become free.
        let time_left = until.saturating_duration_since(Instant::now());
        let is_last = time_left.is_zero();
        let mut store = match self.store.write_waiting(self.view, time_left) {
            Ok(store) => self.for_answer(store),
            Err(error) => {
                // The call waits for its turn to write.
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
        let (gate, closing_pass) = self.closed_gate();
        match &wait.id {
            Some(id) => store.wait_again(id, (gate.clone(), closing_pass)),
            None => wait.id = Some(store.wait_for_claim(request, until, gate.clone(), Some(closing_pass))),
        }
        // Before the store is unlocked: an entry of the queue counts as abandoned while it has the only
        // reference to its gate.
        wait.gate = Some(gate.clone());
        drop(store);
        // Gives up the turn to write, which a call on a server keeps also after `store` is dropped:
        // transactions would wait for the turn as long as the call is parked. This is allowed, since the call
        // has written nothing.
        self.store.writers.leave_in_call();
        Ok(Attempt::Waits(gate))
    }

    /// Adds a call to the queue before its first attempt, because it is parked until its turn to write. The
    /// queue keeps its position and the end of its wait. The call keeps a pass of the new gate, by which it
    /// is recognized when it is made again.
    fn begin_wait_for_turn(&self, request: &ClaimRequest, until: Instant) -> Result<WaitId> {
        let gate = Gate::new();
        // On a server, the call keeps the pass also after this value is dropped.
        drop(gate.enter(GateMode::Exclusive, Duration::ZERO)?);
        Ok(self.store.lock()?.wait_for_claim(request, until, gate, None))
    }

    /// A gate for a call that waits, and the pass that keeps the gate closed. While the call waits, it calls
    /// `check_waiting_claims` each time that a lease ends, and at least once a second. That method wakes
    /// calls for the records that are free now.
    fn closed_gate(&self) -> (Gate, Pass) {
        let store = Arc::downgrade(&self.store);
        Gate::closed(move || store.upgrade()?.lock().ok()?.check_waiting_claims())
    }
}

/// The outcome of an attempt to claim a record.
enum Attempt {
    /// The claim; `None` if no record was free, and the wait has ended.
    Done(Option<Claimed>),
    /// The call is to enter this gate before its next attempt.
    Waits(Gate),
}

/// The position of a call in the queue of waiting calls. Dropping it removes the call from the queue, unless
/// the call is parked and will be made again.
struct Wait<'s, T: Storage> {
    store: &'s SharedStore<T>,
    /// `None` until the call is in the queue.
    id: Option<WaitId>,
    /// The gate at which the call waits, or has waited last. The queue counts the references to the gate:
    /// this one shows that the caller still exists.
    gate: Option<Gate>,
    is_parked: bool,
    /// Whether the call has ended with an error. Then another call is woken for the record for which this one
    /// was woken.
    has_failed: bool,
}

impl<T: Storage> Wait<'_, T> {
    /// Notes how the attempt ended: the call is parked, and will be made again, or has failed.
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
