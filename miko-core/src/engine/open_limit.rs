//! The error of too many open streams, transfers or subscriptions.

use miko_rpc::{Error, ErrorId};

/// The error of opening one more of `what`, such as `streams`, than a database may have open.
pub(super) fn too_many_open(what: &str, allowed: usize) -> Error {
    let message = format!("{allowed} {what} of this database are open: drop some of them");
    Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed)
}
