//! Claims through a local engine: how they end with their connections, and how a call waits for one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use miko_rpc::{Error, ErrorId, Gate, GateMode, Pass, Result, connection_local};

use super::LocalEngine;
use super::shared_store::SharedStore;
use super::view::{StoreGuard, View};
use crate::engine::store::transaction::CommitSharing;
use crate::engine::store::{Store, WaitId};
use crate::query::ClaimRequest;
use crate::response::{Claimed, Results};
use crate::storage::Storage;

/// The number of claims of a connection at which those that have ended elsewhere are forgotten.
const FIRST_CLEANUP: usize = 1024;

/// The claims of a connection by their ids, or those of an engine in its own process. Clones have the same
/// ones. They end with the last clone.
#[derive(Debug)]
pub(super) struct ConnectionClaims<T: Storage>(Arc<Mutex<Claims<T>>>);

#[derive(Debug)]
struct Claims<T: Storage> {
    by_id: HashMap<String, ConnectedClaim<T>>,
    cleanup_at: usize,
}

/// A claim that is in force until it is dropped.
#[derive(Debug)]
struct ConnectedClaim<T: Storage> {
    store: Arc<SharedStore<T>>,
    id: String,
}

impl<T: Storage> Drop for ConnectedClaim<T> {
    fn drop(&mut self) {
        self.store.lock().end_connected_claim(&self.id);
    }
}

impl<T: Storage> Clone for ConnectionClaims<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Storage> Default for ConnectionClaims<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Claims { by_id: HashMap::new(), cleanup_at: FIRST_CLEANUP })))
    }
}

impl<T: Storage> ConnectionClaims<T> {
    /// Those of the connection whose call runs; outside of a call on a server, these.
    fn of_caller(&self) -> Self {
        connection_local().unwrap_or_else(|| self.clone())
    }

    fn add(&self, claims: Vec<ConnectedClaim<T>>, store: &SharedStore<T>) {
        let mut ended = Vec::new();
        {
            // Nothing panics while the lock is held.
            let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            own.by_id.extend(claims.into_iter().map(|claim| (claim.id.clone(), claim)));
            if own.by_id.len() >= own.cleanup_at {
                let store = store.lock();
                ended.extend(own.by_id.extract_if(|id, _| !store.has_claim(id)));
                own.cleanup_at = FIRST_CLEANUP.max(2 * own.by_id.len());
            }
        }
        // Without the locks: they lock the store.
        drop(ended);
    }

    fn end(&self, id: &str) {
        let ended = self.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(id);
        drop(ended);
    }
}

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

    /// Forgets a claim that was finished or released. In a transaction that may still be undone.
    pub(super) fn forget_claim(&self, id: &str) {
        if self.view.transaction().is_none() {
            self.claims.of_caller().end(id);
        }
    }

    /// Claims a record. If there is none, waits for one, as long as the request says.
    pub(super) fn claim_or_wait(&self, mut request: ClaimRequest) -> Result<Results> {
        let waits_since_before = self.store.lock().wait_of_served_call();
        let until = match waits_since_before {
            Some((_, until)) => until,
            None => Instant::now().checked_add(request.wait).unwrap_or_else(Instant::now),
        };
        let mut wait = Wait { store: &self.store, id: waits_since_before.map(|(id, _)| id), is_parked: false };
        loop {
            let gate = match self.try_claim(&mut request, &mut wait, until) {
                Ok(Attempt::Done(claimed)) => return Ok(Results::Claimed(claimed)),
                Ok(Attempt::Waits(gate)) => gate,
                Err(error) => return Err(wait.note_parked(error)),
            };
            match gate.enter(GateMode::Exclusive, until.saturating_duration_since(Instant::now())) {
                // Tries again; for the last time, if the time is over.
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
        // Looked at before the attempt: what comes free after it is not missed.
        let is_last = Instant::now() >= until;
        let mut store = self.write()?;
        let done = store.write(CommitSharing::Groupable, |store| store.claim(request));
        if is_last || !matches!(done, Ok(None)) {
            let begun = store.take_begun_claims();
            drop(store);
            return self.keep_claims(begun, done).map(Attempt::Done);
        }
        let (gate, closed) = self.closed_gate();
        match wait.id {
            Some(id) => store.wait_again(id, (gate.clone(), closed)),
            None => wait.id = Some(store.wait_for_claim(request, until, (gate.clone(), closed))),
        }
        drop(store);
        // Nothing was changed, and transactions must not wait for this call.
        self.store.writers.leave_in_call();
        Ok(Attempt::Waits(gate))
    }

    /// A gate for a call that waits. Meanwhile it looks for leases that end.
    fn closed_gate(&self) -> (Gate, Pass) {
        let store = Arc::downgrade(&self.store);
        Gate::closed(move || store.upgrade()?.lock().check_waiting_claims())
    }
}

enum Attempt {
    Done(Option<Claimed>),
    Waits(Gate),
}

/// The place of a call among those that wait. Dropping it gives the place up, unless the call is parked and
/// will be made again.
struct Wait<'s, T: Storage> {
    store: &'s SharedStore<T>,
    id: Option<WaitId>,
    is_parked: bool,
}

impl<T: Storage> Wait<'_, T> {
    fn note_parked(&mut self, error: Error) -> Error {
        self.is_parked = error.is(ErrorId::PARKED);
        error
    }
}

impl<T: Storage> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        if let Some(id) = self.id.filter(|_| !self.is_parked) {
            self.store.lock().end_wait(id);
        }
    }
}
