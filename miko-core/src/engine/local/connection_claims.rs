//! The claims of a connection, which end with it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miko_rpc::connection_local;

use super::shared_store::SharedStore;
use crate::storage::Storage;

/// The number of claims of a connection at which the first cleanup runs. A cleanup removes claims that have
/// ended without a call of [`remove`](ConnectionClaims::remove): by the end of their lease, by the deletion
/// of the record, by a request of another connection, or in a transaction or a group.
const FIRST_CLEANUP: usize = 128;

/// The claims of a connection; outside of a server, the claims of the engine. All clones share one set, and
/// dropping the last clone ends the claims.
#[derive(Debug)]
pub(super) struct ConnectionClaims<T: Storage>(Arc<Mutex<Claims<T>>>);

#[derive(Debug)]
struct Claims<T: Storage> {
    by_id: HashMap<String, ConnectedClaim<T>>,
    /// The number of claims at which the next cleanup runs.
    cleanup_at: usize,
    /// The ids of claims that had ended at the last cleanup. The next cleanup removes those whose end was not
    /// undone meanwhile.
    ended_before: HashSet<String>,
}

/// A claim that ends when this value is dropped, if it has not ended before.
#[derive(Debug)]
pub(super) struct ConnectedClaim<T: Storage> {
    pub(super) store: Arc<SharedStore<T>>,
    /// The id of the claim.
    pub(super) id: String,
}

impl<T: Storage> Drop for ConnectedClaim<T> {
    fn drop(&mut self) {
        let id = std::mem::take(&mut self.id);
        self.store.do_now_or_after_callback(move |store| store.end_connected_claim(&id));
    }
}

impl<T: Storage> Clone for ConnectionClaims<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Storage> Default for ConnectionClaims<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Claims {
            by_id: HashMap::new(),
            cleanup_at: FIRST_CLEANUP,
            ended_before: HashSet::new(),
        })))
    }
}

impl<T: Storage> ConnectionClaims<T> {
    /// The claims of the connection whose call runs; outside of a call on a server, `self`.
    pub(super) fn of_caller(&self) -> Self {
        connection_local().unwrap_or_else(|| self.clone())
    }

    /// Adds claims. Runs a cleanup if the set then has `cleanup_at` claims or more.
    pub(super) fn add(&self, claims: Vec<ConnectedClaim<T>>, store: &SharedStore<T>) {
        let ids: Vec<String> = {
            let mut set = self.lock();
            set.by_id.extend(claims.into_iter().map(|claim| (claim.id.clone(), claim)));
            if set.by_id.len() < set.cleanup_at {
                return;
            }
            set.by_id.keys().cloned().collect()
        };
        // The store is never locked while this set is locked: another thread that runs a group of calls keeps
        // the store to itself, and may add claims to this set.
        //
        // This thread runs no callback: callbacks cannot claim.
        let ended_ids = store.lock_outside_of_callbacks().ended_claims(ids);
        let removed: Vec<_> = {
            let mut set = self.lock();
            // While a transaction is open, it is unknown which claims have ended. The cleanup is tried again
            // when the connection has `FIRST_CLEANUP` more claims.
            let Some(ended_ids) = ended_ids else {
                set.cleanup_at = set.by_id.len() + FIRST_CLEANUP;
                return;
            };
            // Only claims that had already ended at the last cleanup are removed. This thread may run a group
            // of calls: if the commit of the group fails, the claims that its calls have ended are in force
            // again. By the next cleanup that group has normally ended.
            let (finally_ended, may_be_undone) =
                ended_ids.into_iter().partition::<Vec<_>, _>(|id| set.ended_before.contains(id));
            set.ended_before = may_be_undone.into_iter().collect();
            let removed = finally_ended.iter().filter_map(|id| set.by_id.remove(id)).collect();
            set.cleanup_at = FIRST_CLEANUP.max(2 * set.by_id.len());
            removed
        };
        // This set is unlocked now: dropping a claim locks the store.
        drop(removed);
    }

    fn lock(&self) -> MutexGuard<'_, Claims<T>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a claim that has ended.
    pub(super) fn remove(&self, id: &str) {
        let removed = self.lock().by_id.remove(id);
        // This set is unlocked now: dropping a claim locks the store.
        drop(removed);
    }
}
