//! The transaction of a block (`db.transaction(|tx| …)`). The thread that runs the block may write through
//! this transaction only: its other writes are refused.
//!
//! Only one transaction has the turn to write at a time, and other writes wait for its end. Another write of
//! the thread that runs the block would wait for this thread itself. An engine in this process refuses such a
//! write when it would begin to wait. A server does not know the threads of its clients, so for a transaction
//! of a proxy the calls are checked here, in the client, before they are sent.

use std::any::TypeId;
use std::cell::Cell;
use std::rc::Rc;

use miko_rpc::{
    CallChecker, CheckedCalls, Error, ErrorId, Method, ObjectCall, Relation, Remote, Result, codec,
};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::mikobase::Transaction;
use crate::objects::{Import, Upload};

/// The transaction of a block that this thread runs. While the transaction has its turn to write, a write of
/// this thread that is not made through the transaction is refused.
pub(crate) struct TransactionBlock {
    pub(crate) transaction: Remote<dyn Transaction>,
    /// While this value exists, the calls of this thread to the server of the transaction are checked. No
    /// calls are checked if the transaction is an object of this process.
    _checked: CheckedCalls,
}

impl TransactionBlock {
    pub(crate) fn of(transaction: Remote<dyn Transaction>) -> Self {
        let checked = Remote::check_calls_beside(&transaction, Rc::<WriteTurn>::default());
        Self { transaction, _checked: checked }
    }
}

/// Whether the transaction of a proxy has the turn to write: from its first call that takes the turn, until
/// it is committed or rolled back. A nested transaction shares the turn of the outermost transaction around
/// it.
///
/// This is an estimate, since only the calls of the thread of the block are observed: the methods of
/// [`CallChecker`] run before each call of the thread to the server, and after each call on an object of the
/// server.
#[derive(Default)]
struct WriteTurn(Cell<bool>);

impl CallChecker for WriteTurn {
    /// While the transaction has the turn, refuses calls that may write, with `transaction-open`.
    fn check(&self, method: &Method, arguments: &[u8]) -> Result<()> {
        // These methods return an upload or an import, and do not wait for the turn: only `finish` on the
        // returned object does. `begin` is refused, although only calls on the transaction that it returns
        // would wait.
        let begins_transfer = matches!(&*method.name, "write_file" | "import");
        let waits = !begins_transfer && method.read != Some(true) && !has_only_selects(arguments);
        if waits && self.0.get() { Err(transaction_open()) } else { Ok(()) }
    }

    /// While the transaction has the turn, refuses the calls on objects that would wait for the turn: the
    /// `finish` of an upload or an import, and most calls of a transaction that has another outermost
    /// transaction.
    fn check_object_call(&self, call: &ObjectCall<'_>) -> Result<()> {
        let waits = call.relation == Relation::Unrelated
            && match &*call.method.name {
                "finish" => {
                    [TypeId::of::<dyn Upload>(), TypeId::of::<dyn Import>()].contains(&call.interface)
                }
                // These methods end a transaction, and do not wait.
                "commit" | "roll_back" => false,
                name => call.interface == TypeId::of::<dyn Transaction>() && takes_turn(name),
            };
        if waits && self.0.get() { Err(transaction_open()) } else { Ok(()) }
    }

    /// Records, after a call on an object, whether the transaction now has the turn.
    fn observe_object_call(&self, call: &ObjectCall<'_>, error: Option<&Error>) {
        let is_outermost = call.relation == Relation::Outermost;
        let has_failed = |id| error.is_some_and(|error| error.is(id));
        match &*call.method.name {
            _ if call.relation == Relation::Unrelated => {}
            "commit" | "roll_back" if is_outermost => self.0.set(false),
            // The end of a nested transaction leaves the turn to the outermost one.
            "commit" | "roll_back" => {}
            // After these errors no transaction is open. If `begin` fails with one of them, the first call of
            // the transaction returns it. `storage-full` is not among them: calls in an open transaction
            // return it, too.
            _ if [ErrorId::LOCK_TIMEOUT, ErrorId::SESSION_GONE, ErrorId::READ_ONLY_CONNECTION]
                .into_iter()
                .any(has_failed) =>
            {
                self.0.set(false);
            }
            _ if has_failed(ErrorId::TRANSACTION_INVALIDATED) && is_outermost => self.0.set(false),
            // A nested transaction: the rollback of another nested one may have invalidated it, and the
            // outermost one still has the turn.
            _ if has_failed(ErrorId::TRANSACTION_INVALIDATED) => {}
            // A call that has failed for another reason may have taken the turn before it failed.
            name if takes_turn(name) => self.0.set(true),
            _ => {}
        }
    }
}

/// Whether a method of a transaction, other than `commit` and `roll_back`, takes the turn to write. The
/// methods in the list do not: `validate` and `begin` do not read records, and a transaction refuses the
/// others.
fn takes_turn(method: &str) -> bool {
    !matches!(
        method,
        "validate"
            | "begin"
            | "merge"
            | "write_file"
            | "delete_file"
            | "collect_files"
            | "import"
            | "changes"
            | "watch_select"
    )
}

/// The error of a write that is not made through the transaction that its thread has open. Engines use it as
/// well.
pub(crate) fn transaction_open() -> Error {
    let message = "this thread has a transaction open, for whose end the write would wait: write through \
                   that transaction";
    Error::new(ErrorId::TRANSACTION_OPEN, message)
}

/// Whether the arguments of a call have at least one request of Q0, and all of their requests are selects.
fn has_only_selects(arguments: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Arguments {
        query: Option<RequestParts>,
        queries: Option<Vec<RequestParts>>,
    }
    #[derive(Deserialize)]
    struct RequestParts {
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
    let is_select = |request: &RequestParts| {
        // A select that names a `transaction` waits for the turn of that transaction.
        request.transaction.is_none()
            && matches!(&request.action, Some(Action::Named(action)) if action == "select")
    };
    let mut requests = query.iter().chain(queries.iter().flatten()).peekable();
    requests.peek().is_some() && requests.all(is_select)
}
