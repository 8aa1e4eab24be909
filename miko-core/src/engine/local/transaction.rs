//! Transactions of a local engine.

use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Remote, Result};

use super::LocalEngine;
use super::transaction_owner::TransactionOwner;
use super::view::{OfTransaction, View};
use crate::mikobase::Transaction;
use crate::storage::Storage;

#[expect(private_bounds, reason = "storage backends are private to the crate")]
impl<T: Storage, V: View> LocalEngine<T, V> {
    /// Makes a transaction object, whose first call begins a transaction. In the view of a transaction, the
    /// transactions of the new object are nested in that transaction.
    pub(super) fn begin_transaction(&self) -> Result<Remote<dyn Transaction>> {
        let id = self.store.lock()?.add_transaction(self.view.transaction())?;
        let owner = TransactionOwner { store: Arc::clone(&self.store), id };
        Ok(Remote::local(Box::new(self.with_view(OfTransaction(id), Some(owner)))))
    }

    /// Refuses the running call if it is made in a transaction, with `invalid_request`. `what` names the
    /// call.
    pub(super) fn refuse_in_transaction(&self, what: &str) -> Result<()> {
        if self.view.transaction().is_none() {
            return Ok(());
        }
        let message = format!("{what} is no part of a transaction: call it outside of one");
        Err(Error::new(ErrorId::INVALID_REQUEST, message))
    }
}

impl<T: Storage> Transaction for LocalEngine<T, OfTransaction> {
    fn commit(&self) -> Result<()> {
        let mut store = self.store.lock()?;
        store.expire_transaction();
        // Called for its error: it fails if the transaction was invalidated. It returns whether a call would
        // wait for the turn to write, which is so if the root object has no open transaction. A commit does
        // not wait: it then has nothing to commit.
        store.needs_turn(self.view.0)?;
        store.commit_transaction(self.view.0)
    }

    fn roll_back(&self) -> Result<()> {
        self.store.lock()?.roll_back_transaction(self.view.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::engine::{Engine, SqliteEngine};
    use crate::extension::MikobaseExt;
    use crate::mikobase::Mikobase;
    use crate::transaction_limits::TransactionLimits;

    #[test]
    fn the_end_of_a_nested_transaction_restarts_the_idle_time() {
        let db = SqliteEngine::in_memory().unwrap();
        let tx = db.begin().unwrap();
        let ends: [fn(&dyn Transaction) -> Result<()>; 2] =
            [|inner| inner.commit(), |inner| inner.roll_back()];
        for end in ends {
            let inner = tx.begin().unwrap();
            inner.create("a.b/c", &json!({})).unwrap();
            // No limit is exceeded: this returns when the transaction will exceed one.
            let idle_end = db.store().expire_transaction();
            end(&*inner).unwrap();
            assert!(db.store().expire_transaction() > idle_end);
        }
    }

    #[test]
    fn the_rollback_of_a_nested_transaction_does_not_revive_one_that_was_idle_for_too_long() {
        let limits = TransactionLimits::default();
        let ends: [fn(Remote<dyn Transaction>); 2] = [|inner| inner.roll_back().unwrap(), drop];
        for end in ends {
            let db = SqliteEngine::in_memory().unwrap();
            let tx = db.begin().unwrap();
            let inner = tx.begin().unwrap();
            inner.create("a.b/c", &json!({})).unwrap();
            db.limit_transactions(TransactionLimits { idle: Duration::ZERO, ..limits });
            end(inner);
            db.limit_transactions(limits);
            assert!(tx.commit().unwrap_err().is(ErrorId::TRANSACTION_INVALIDATED));
        }
    }
}
