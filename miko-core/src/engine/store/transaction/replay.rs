//! Applies write sets again, and undoes them.

use miko_rpc::Result;

use crate::storage::write_set::WriteSet;
use crate::storage::{Storage, corruption};

/// Applies write sets again, to the state to which they were applied before. They had no conflicts then, so
/// they have none now.
///
/// # Errors
/// The errors of storage. A part of the sets may be applied then: the caller rolls storage back.
pub(super) fn apply_again(sets: &[WriteSet], storage: &mut impl Storage) -> Result<()> {
    for set in sets {
        if !storage.apply(set)?.is_empty() {
            return Err(corruption("a write that had no conflict now has one"));
        }
    }
    Ok(())
}

/// Undoes write sets, the last one first. The last one may have been applied only in part.
///
/// # Errors
/// The errors of storage; `internal` for a set that has no inverse. A part of the sets may be undone then:
/// the caller rolls storage back.
pub(super) fn revert(sets: Vec<WriteSet>, storage: &mut impl Storage) -> Result<()> {
    for set in sets.into_iter().rev() {
        let inverse = set.inverse().ok_or_else(|| corruption("a shared write without an inverse"))?;
        // An inverse has no conflicts either: it restores a state that storage had.
        apply_again(&[inverse], storage)?;
    }
    Ok(())
}
