//! The owner of a transaction object of a store.

use std::sync::Arc;

use super::shared_store::SharedStore;
use crate::engine::store::transaction::user_transaction::TransactionId;
use crate::storage::Storage;

/// Owns a transaction object that is registered in a store. The engine that `begin` returns holds the owner.
/// Dropping it removes the object from the store, and rolls back the writes that are not committed.
#[derive(Debug)]
pub(super) struct TransactionOwner<T: Storage> {
    pub(super) store: Arc<SharedStore<T>>,
    pub(super) id: TransactionId,
}

impl<T: Storage> Drop for TransactionOwner<T> {
    fn drop(&mut self) {
        let id = self.id;
        self.store.do_now_or_after_callback(move |store| store.remove_transaction(id));
    }
}
