//! The transactions that requests of Q0 name by their ids.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miko_rpc::{Error, ErrorId, Remote, Result, check_connection_lasts, connection_local};
use uuid::Uuid;

use crate::mikobase::{Mikobase, Query, Transaction};
use crate::query::TransactionRequest;
use crate::response::{Response, Results};

/// The maximal number of transactions whose ids a connection knows, including invalidated ones.
const MAX_IDS: usize = 256;

/// The transactions that Q0 has begun on one connection; outside of a server, on one engine or transaction.
/// All clones share one set.
#[derive(Debug, Clone, Default)]
pub(super) struct Q0Transactions(Arc<Mutex<TransactionsById>>);

/// The ids are UUIDs of version 7, so they are in the order in which the transactions began.
type TransactionsById = BTreeMap<String, NamedTransaction>;

#[derive(Debug)]
struct NamedTransaction {
    /// The id of the transaction in which this one is nested.
    parent: Option<String>,
    /// `None` after the transaction was rolled back by something else than a request for it: by a limit, for
    /// example, or together with its parent.
    transaction: Option<Arc<Remote<dyn Transaction>>>,
}

impl Q0Transactions {
    /// The transactions of the connection whose call runs; outside of a call on a server, `self`.
    pub(super) fn of_caller(&self) -> Self {
        connection_local().unwrap_or_else(|| self.clone())
    }

    /// Begins or ends a transaction of `db`, or runs a request in one. `rest` is the request without the keys
    /// about transactions.
    pub(super) fn run(
        &self,
        request: TransactionRequest,
        rest: Query,
        db: &impl Mikobase,
    ) -> Result<Response> {
        // A call over HTTP without a session is refused: its transaction would end with the call.
        check_connection_lasts("a transaction")?;
        let id = match request {
            TransactionRequest::Within(id) => return self.call_transaction(&id, |tx| tx.q0(rest)),
            TransactionRequest::Begin { parent: None } => self.add(db.begin()?, None)?,
            TransactionRequest::Begin { parent: Some(id) } => {
                self.add(self.call_transaction(&id, Mikobase::begin)?, Some(id))?
            }
            TransactionRequest::Commit(id) => {
                let committed = self.call_transaction(&id, Transaction::commit);
                if !committed.as_ref().is_err_and(leaves_id) {
                    self.remove(&id, committed.is_ok());
                }
                committed?;
                id
            }
            TransactionRequest::RollBack(id) => {
                self.call_transaction(&id, Transaction::roll_back)?;
                let is_committed = false;
                self.remove(&id, is_committed);
                id
            }
        };
        Ok(Results::Transaction { transaction: id }.into())
    }

    /// Runs `call` on the transaction with this id. This set is not locked meanwhile, since `call` may lock
    /// it.
    ///
    /// # Errors
    /// `transaction-not-found`; `transaction-invalidated`, if the transaction was rolled back before; the
    /// errors of `call`.
    fn call_transaction<R>(
        &self,
        id: &str,
        call: impl FnOnce(&(dyn Transaction + 'static)) -> Result<R>,
    ) -> Result<R> {
        let transaction = match self.lock().get(id) {
            None => {
                let message = "this connection has no open transaction with this id";
                return Err(Error::new(ErrorId::TRANSACTION_NOT_FOUND, message).with("transaction", id));
            }
            Some(NamedTransaction { transaction: None, .. }) => {
                let message = "the transaction was rolled back from outside";
                return Err(Error::new(ErrorId::TRANSACTION_INVALIDATED, message).with("transaction", id));
            }
            Some(NamedTransaction { transaction: Some(transaction), .. }) => Arc::clone(transaction),
        };
        let result = call(&**transaction);
        if result.as_ref().is_err_and(|error| error.is(ErrorId::TRANSACTION_INVALIDATED)) {
            let invalidated = self.lock().get_mut(id).and_then(|named| named.transaction.take());
            // This set is unlocked now: dropping a transaction locks the store.
            drop(invalidated);
        }
        result
    }

    /// Adds a transaction that has begun. Returns the id that it gets.
    ///
    /// # Errors
    /// `storage-full`, if too many transactions of the connection are open.
    fn add(&self, transaction: Remote<dyn Transaction>, parent: Option<String>) -> Result<String> {
        let mut by_id = self.lock();
        if by_id.len() >= MAX_IDS {
            // Makes room: forgets the id of the oldest transaction that was invalidated.
            let oldest = by_id.iter().find(|(_, named)| named.transaction.is_none());
            let Some(oldest) = oldest.map(|(id, _)| id.clone()) else {
                let message = format!("{MAX_IDS} transactions of this connection are open: end some of them");
                return Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", MAX_IDS));
            };
            by_id.remove(&oldest);
        }
        let id = Uuid::now_v7().to_string();
        by_id.insert(id.clone(), NamedTransaction { parent, transaction: Some(Arc::new(transaction)) });
        Ok(id)
    }

    /// Removes a transaction that was committed or rolled back. After a commit, the transactions nested in it
    /// are removed as well; after a rollback, or a commit that has failed, they are invalidated.
    fn remove(&self, id: &str, is_committed: bool) {
        let mut ended = Vec::new();
        {
            let mut by_id = self.lock();
            ended.extend(by_id.remove(id));
            let mut parents = vec![id.to_owned()];
            while let Some(parent) = parents.pop() {
                let is_inside = |named: &NamedTransaction| named.parent.as_ref() == Some(&parent);
                let inside: Vec<String> =
                    by_id.iter().filter(|(_, named)| is_inside(named)).map(|(id, _)| id.clone()).collect();
                for id in &inside {
                    if is_committed {
                        ended.extend(by_id.remove(id));
                    } else if let Some(named) = by_id.get_mut(id) {
                        ended.push(NamedTransaction { parent: None, transaction: named.transaction.take() });
                    }
                }
                parents.extend(inside);
            }
        }
        // This set is unlocked now: dropping a transaction locks the store.
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, TransactionsById> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the id of a transaction remains after this error of its commit: nothing was committed or rolled
/// back, or the transaction was rolled back before, which further requests are told. Any other error is one
/// of storage: the transaction was rolled back.
fn leaves_id(error: &Error) -> bool {
    error.is(ErrorId::SELF_CALL) || error.is(ErrorId::TRANSACTION_INVALIDATED)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::NaiveEngine;
    use crate::extension::MikobaseExt;

    fn begin(db: &NaiveEngine, parent: Option<&str>) -> String {
        let mut request = json!({"action": "transaction"});
        if let Some(parent) = parent {
            request["transaction"] = parent.into();
        }
        match db.q0(request).unwrap().results {
            Results::Transaction { transaction } => transaction,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_id_ends_with_a_commit_that_fails() {
        let db = NaiveEngine::in_memory(false).unwrap();
        let outer = begin(&db, None);
        let inner = begin(&db, Some(&outer));
        let create =
            |id: &str| db.q0(json!({"action": "create", "class": "a.b/c", "bucket": {}, "transaction": id}));
        create(&inner).unwrap();
        db.store().storage.commit_failures = [true].into();
        let commit = json!({"action": "commit", "transaction": outer});
        assert!(db.q0(commit.clone()).unwrap_err().is(ErrorId::STORAGE_FULL));
        assert!(db.q0(commit).unwrap_err().is(ErrorId::TRANSACTION_NOT_FOUND));
        assert!(create(&outer).unwrap_err().is(ErrorId::TRANSACTION_NOT_FOUND));
        assert!(create(&inner).unwrap_err().is(ErrorId::TRANSACTION_INVALIDATED));
        assert!(!db.store().has_open_transaction());
        assert_eq!(db.count(json!({"class": "a.b/c"})).unwrap(), 0);
    }
}
