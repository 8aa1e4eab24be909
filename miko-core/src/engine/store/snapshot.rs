//! The state of a moment, while writes go on.
//!
//! What was written later is told by its number. What was overwritten later has been kept.

use std::collections::HashMap;
use std::sync::Arc;

use miko_rpc::Result;

use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::{Storage, versions};
use crate::timestamp::Timestamp;

/// Rows that were overwritten since a moment, as they were then.
pub(super) type Kept = HashMap<RowId, Arc<Row>>;

/// The rows as they were after the write `since`.
pub(in crate::engine) struct Snapshot<'t, T> {
    pub(in crate::engine) storage: &'t T,
    since: CommitSeq,
    kept: Option<&'t Kept>,
}

impl<'t, T: Storage> Snapshot<'t, T> {
    /// The state that there is, as long as nobody writes.
    pub(in crate::engine) fn now(storage: &'t T) -> Self {
        Self { storage, since: CommitSeq(i64::MAX), kept: None }
    }

    pub(super) fn since(storage: &'t T, since: CommitSeq, kept: &'t Kept) -> Self {
        Self { storage, since, kept: Some(kept) }
    }

    pub(super) fn row(&self, id: RowId) -> Result<Option<Row>> {
        if let Some(row) = self.kept.and_then(|kept| kept.get(&id)) {
            return Ok(Some(Row::clone(row)));
        }
        Ok(self.storage.row(id)?.filter(|row| row.commit <= self.since))
    }

    /// The first row after `id`, and its number.
    pub(super) fn row_after(&self, mut id: RowId) -> Result<Option<(RowId, Row)>> {
        while let Some((number, row)) = self.storage.next_row(id, CommitSeq::default())? {
            if let Some(row) = self.kept.and_then(|kept| kept.get(&number)) {
                return Ok(Some((number, Row::clone(row))));
            }
            if row.commit <= self.since {
                return Ok(Some((number, row)));
            }
            id = number;
        }
        Ok(None)
    }

    pub(super) fn versions(&self, id: RowId) -> Result<Vec<Row>> {
        let mut versions = versions(self.storage, id)?;
        versions.retain(|version| version.commit <= self.since);
        Ok(versions)
    }

    pub(super) fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>> {
        match self.storage.version_at(id, time)? {
            // Written later: one before it was current then.
            Some(later) if later.commit > self.since => {
                Ok(self.versions(id)?.into_iter().rfind(|version| version.updated_at <= time))
            }
            version => Ok(version),
        }
    }
}
