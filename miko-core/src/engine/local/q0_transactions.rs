//! The transactions that requests of Q0 name by their ids.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miko_rpc::{Error, ErrorId, Remote, Result, connection_local};
use uuid::Uuid;

use crate::mikobase::{Mikobase, Query, Transaction};
use crate::query::TransactionRequest;
use crate::response::{Response, Results};

/// The most transactions that a connection has open by id.
const MAX_OPEN: usize = 256;

/// The open transactions of a connection by their ids, or those of an engine in its own process. Clones have
/// the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Q0Transactions(Arc<Mutex<HashMap<String, Arc<Remote<dyn Transaction>>>>>);

impl Q0Transactions {
    /// Those of the connection whose call runs; outside of a call on a server, these.
    pub(super) fn of_caller(&self) -> Self {
        connection_local().unwrap_or_else(|| self.clone())
    }

    /// Runs a request that begins or ends a transaction of `db`, or runs in one. `rest` is the request without
    /// what it says of that.
    pub(super) fn run(
        &self,
        request: TransactionRequest,
        rest: Query,
        db: &impl Mikobase,
    ) -> Result<Response> {
        let id = match request {
            TransactionRequest::Within(id) => return self.get(&id)?.q0(rest),
            TransactionRequest::Begin { around: None } => self.add(db.begin()?)?,
            TransactionRequest::Begin { around: Some(id) } => self.add(self.get(&id)?.begin()?)?,
            TransactionRequest::Commit(id) => {
                self.get(&id)?.commit()?;
                self.lock().remove(&id);
                id
            }
            TransactionRequest::RollBack(id) => {
                self.get(&id)?.roll_back()?;
                self.lock().remove(&id);
                id
            }
        };
        Ok(Results::Transaction { transaction: id }.into())
    }

    fn add(&self, transaction: Remote<dyn Transaction>) -> Result<String> {
        let mut open = self.lock();
        if open.len() >= MAX_OPEN {
            let message = format!("{MAX_OPEN} transactions of this connection are open: end some of them");
            return Err(Error::new(ErrorId::STORAGE_FULL, message).with("allowed", MAX_OPEN));
        }
        let id = Uuid::now_v7().to_string();
        open.insert(id.clone(), Arc::new(transaction));
        Ok(id)
    }

    /// The transaction, which is used without the lock: its calls may come back here.
    fn get(&self, id: &str) -> Result<Arc<Remote<dyn Transaction>>> {
        self.lock().get(id).cloned().ok_or_else(|| {
            let message = "this connection has no open transaction with the id";
            Error::new(ErrorId::TRANSACTION_NOT_FOUND, message).with("transaction", id)
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Remote<dyn Transaction>>>> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
