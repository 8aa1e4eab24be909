//! The keys of a request about transactions: it begins or ends one, or runs in one.

use serde_json::Value;

use crate::diagnostics::readers;
use crate::diagnostics::{Faults, Place};
use crate::json::{self, members};
use crate::query::Query;
use crate::query::request_keys::RequestKeys;

/// The actions on transactions.
pub(super) const ACTIONS: [&str; 3] = ["transaction", "commit", "rollback"];

/// The request about transactions, which are named by their ids.
#[derive(Debug, PartialEq)]
pub(crate) enum TransactionRequest {
    /// Begins one, nested in another one if there is one around it.
    Begin {
        around: Option<String>,
    },
    Commit(String),
    RollBack(String),
    /// The rest of the request runs in it.
    Within(String),
}

impl TransactionRequest {
    /// Takes it out of a query: all of a query with such an action, otherwise the key `transaction`. Reports
    /// the faults of what it takes, and unknown keys; the query must not be run then. `None` without a fault
    /// if the query has neither, or nests too deep: it is as it was.
    pub(crate) fn take(query: &mut Query, faults: &mut Faults) -> Option<Self> {
        let Value::Object(map) = query else { return None };
        let action = members::get(map, "action").and_then(Value::as_str).unwrap_or_default();
        let action = ACTIONS.into_iter().find(|known| *known == action);
        if action.is_none() {
            members::get(map, "transaction")?;
        }
        if json::too_deep(query) {
            // Parsing it refuses it as a whole.
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
                None => Some(Self::Begin { around: None }),
                Some(id) => read_id(id, keys.faults).map(|id| Self::Begin { around: Some(id) }),
            }
        } else {
            let id = keys.required("transaction").and_then(|id| read_id(id, keys.faults));
            id.map(if action == "commit" { Self::Commit } else { Self::RollBack })
        };
        keys.finish();
        request
    }
}

fn read_id(id: Value, faults: &mut Faults) -> Option<String> {
    readers::string(id, &Place::Key(&Place::Root, "transaction"), faults)
}
