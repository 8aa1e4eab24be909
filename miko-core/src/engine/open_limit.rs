//! The error of too many open streams, subscriptions, transactions, or uploads and imports.

use miko_rpc::{Error, ErrorId};

/// The error `storage-full`: `allowed` objects of a kind are open, and a database may not have more. `what`
/// is the plural of the kind, such as `streams`.
pub(super) fn too_many_open(what: &str, allowed: usize) -> Error {
    let message = format!("{allowed} {what} of this database are open: drop some of them");
    Error::new(ErrorId::STORAGE_FULL, message).with("allowed", allowed)
}
