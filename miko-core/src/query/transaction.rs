//! The keys of a request that begins or ends a transaction, or that runs in one.

use serde_json::Value;

use crate::diagnostics::readers;
use crate::diagnostics::{Faults, Place};
use crate::json::{self, members};
use crate::query::Query;
use crate::query::request_keys::RequestKeys;

/// The actions on transactions.
pub(super) const ACTIONS: [&str; 3] = ["transaction", "commit", "rollback"];

/// The part of a request that is about transactions. Each `String` is the id of a transaction.
#[derive(Debug, PartialEq)]
pub(crate) enum TransactionRequest {
    /// Begins a transaction. If `parent` is given, the new transaction is nested in it.
    Begin {
        parent: Option<String>,
    },
    Commit(String),
    RollBack(String),
    /// Runs the rest of the request in this transaction.
    Within(String),
}

impl TransactionRequest {
    /// Takes the part about transactions out of a query: all keys if the action is one of [`ACTIONS`],
    /// otherwise the key `transaction`. Reports the faults of the keys that it takes; after a fault, the
    /// query must not be run.
    ///
    /// If the query is not about transactions, or nests too deep, returns `None` without a fault, and leaves
    /// the query as it is.
    pub(crate) fn take(query: &mut Query, faults: &mut Faults) -> Option<Self> {
        let Value::Object(map) = query else { return None };
        let action = members::get(map, "action").and_then(Value::as_str).unwrap_or_default();
        let action = ACTIONS.into_iter().find(|known| *known == action);
        if action.is_none() {
            members::get(map, "transaction")?;
        }
        if json::too_deep(query) {
            // The caller parses the query next, and reports the depth.
            return None;
        }
        let Value::Object(map) = query else { return None };
        let Some(action) = action else {
            let id = map.shift_remove("transaction")?;
            return read_id(id, faults).map(Self::Within);
        };
        let mut keys = RequestKeys::new(std::mem::take(map), faults);
        keys.take("action");
        let request = if action == "transaction" {
            match keys.take("transaction") {
                None => Some(Self::Begin { parent: None }),
                Some(id) => read_id(id, keys.faults).map(|id| Self::Begin { parent: Some(id) }),
            }
        } else {
            let id = keys.take_required("transaction").and_then(|id| read_id(id, keys.faults));
            id.map(if action == "commit" { Self::Commit } else { Self::RollBack })
        };
        keys.finish();
        request
    }
}

fn read_id(id: Value, faults: &mut Faults) -> Option<String> {
    readers::string(id, &Place::Key(&Place::Root, "transaction"), faults)
}
