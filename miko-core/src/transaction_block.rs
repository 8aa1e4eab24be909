//! The transaction of a block (`db.transaction(|tx| …)`): other writes of its thread are refused.

use std::cell::Cell;
use std::rc::Rc;

use miko_rpc::{CallChecker, CheckedCalls, Error, ErrorId, Method, Remote, Result, codec};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::mikobase::Transaction;

/// The transaction of a block that this thread runs. While the transaction has its turn to write, a write of
/// this thread that is not made through it is refused: it would wait for the end of the block.
pub(crate) struct TransactionBlock {
    pub(crate) transaction: Remote<dyn Transaction>,
    _checked: CheckedCalls,
}

impl TransactionBlock {
    pub(crate) fn of(transaction: Remote<dyn Transaction>) -> Self {
        let checked = Remote::check_calls_beside(&transaction, Rc::<Turn>::default());
        Self { transaction, _checked: checked }
    }
}

/// Whether the transaction of a proxy has its turn to write: from its first call on, until it is committed or
/// rolled back.
#[derive(Default)]
struct Turn(Cell<bool>);

impl CallChecker for Turn {
    /// Refuses a call that may write, with `transaction-open`.
    fn check(&self, method: &Method, arguments: &[u8]) -> Result<()> {
        // A file or an import waits for its turn only when it is finished.
        let begins = matches!(&*method.name, "write_file" | "import");
        let waits = !begins && method.read != Some(true) && !is_select(arguments);
        if waits && self.0.get() { Err(transaction_open()) } else { Ok(()) }
    }

    /// The end of a file or of an import would wait for the turn; the calls of a transaction do not.
    fn check_object_call(&self, method: &Method) -> Result<()> {
        if self.0.get() && &*method.name == "finish" { Err(transaction_open()) } else { Ok(()) }
    }

    fn observe_object_call(&self, method: &Method) {
        match &*method.name {
            "commit" | "roll_back" => self.0.set(false),
            // A piece or the end of a file or an import: it does not give the transaction its turn.
            "put" | "finish" => {}
            _ => self.0.set(true),
        }
    }
}

/// The error of a write that is not made through the transaction that its own thread has open.
pub(crate) fn transaction_open() -> Error {
    let message = "this thread has a transaction open, for whose end the write would wait: write through \
                   that transaction";
    Error::new(ErrorId::TRANSACTION_OPEN, message)
}

/// Whether the arguments of a call have a request of Q0, or several, that all are selects.
fn is_select(arguments: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Arguments {
        query: Option<Request>,
        queries: Option<Vec<Request>>,
    }
    #[derive(Deserialize)]
    struct Request {
        action: Option<Action>,
        transaction: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Action {
        Named(String),
        Other(IgnoredAny),
    }
    let Ok(Arguments { query, queries }) = codec::decode::<Arguments>(arguments) else { return false };
    let is_select = |request: &Request| {
        // A select in another transaction waits for the turn of that one.
        request.transaction.is_none()
            && matches!(&request.action, Some(Action::Named(action)) if action == "select")
    };
    let mut requests = query.iter().chain(queries.iter().flatten()).peekable();
    requests.peek().is_some() && requests.all(is_select)
}
