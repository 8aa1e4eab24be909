//! The state after a given commit, which stays readable during later writes.
//!
//! If a row of the snapshot was overwritten, the snapshot has its pre-image, which is looked up first. A row
//! without a pre-image is in the snapshot if its commit number is not larger than that of the snapshot.
//!
//! In a temporal database, an overwritten row does not always become a past version:
//!
//! - An import that finds the same version of a record replaces the row by an equal one with a new commit
//!   number. Storage then has no version with the old number: the last version of the snapshot is only in the
//!   pre-image.
//! - An imported stub or a merged version may change the creation time of a row and keep its commit number.
//!   Storage has one creation time for all versions of a record, and returns the new one. The versions of the
//!   snapshot get the creation time of the pre-image instead.

use std::collections::HashMap;
use std::sync::Arc;

use miko_rpc::Result;

use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::{Storage, versions};
use crate::timestamp::Timestamp;

/// The rows that were overwritten after a snapshot, as they were in the snapshot.
pub(super) type PreImages = HashMap<RowId, Arc<Row>>;

/// The rows as they were after a commit.
pub(in crate::engine) struct Snapshot<'t, T> {
    pub(in crate::engine) storage: &'t T,
    /// The commit. Of the stored rows, those with a larger number are not in the snapshot.
    commit: CommitSeq,
    /// `None` for a snapshot of the current state.
    pre_images: Option<&'t PreImages>,
}

impl<'t, T: Storage> Snapshot<'t, T> {
    /// A snapshot of the current state. Valid only until the next write, since it has no pre-images.
    pub(in crate::engine) fn current(storage: &'t T) -> Self {
        Self { storage, commit: CommitSeq(i64::MAX), pre_images: None }
    }

    /// A snapshot of the state after `commit`. `pre_images` has all rows of that state that were overwritten
    /// after `commit`, as they were.
    pub(super) fn at(storage: &'t T, commit: CommitSeq, pre_images: &'t PreImages) -> Self {
        Self { storage, commit, pre_images: Some(pre_images) }
    }

    /// The row with this id, if the snapshot has it.
    pub(super) fn row(&self, id: RowId) -> Result<Option<Row>> {
        if let Some(row) = self.pre_image(id) {
            return Ok(Some(row));
        }
        Ok(self.storage.row(id)?.filter(|row| row.commit <= self.commit))
    }

    /// The first row of the snapshot whose id is larger than `id`, with its id. `last` is the largest id in
    /// the snapshot: rows with larger ids are not read.
    pub(super) fn row_after(&self, mut id: RowId, last: RowId) -> Result<Option<(RowId, Row)>> {
        // All commit numbers are larger than the default.
        let after_any_commit = CommitSeq::default();
        while id < last
            && let Some((next, row)) = self.storage.next_row(id, after_any_commit)?
        {
            if let Some(row) = self.pre_image(next) {
                return Ok(Some((next, row)));
            }
            if row.commit <= self.commit {
                return Ok(Some((next, row)));
            }
            id = next;
        }
        Ok(None)
    }

    fn pre_image(&self, id: RowId) -> Option<Row> {
        self.pre_images.and_then(|pre_images| pre_images.get(&id)).map(|row| Row::clone(row))
    }

    /// The versions of a record that the snapshot has, in order of time.
    pub(super) fn versions(&self, id: RowId) -> Result<Vec<Row>> {
        let mut versions = versions(self.storage, id)?;
        versions.retain(|version| version.commit <= self.commit);
        if let Some(row) = self.pre_image(id) {
            versions.iter_mut().for_each(|version| version.created_at = row.created_at);
            // The pre-image is the last version of the snapshot. `versions` lacks it if an import has
            // replaced it by an equal version with a new commit number.
            if versions.last().is_none_or(|last| last.instance_pk != row.instance_pk) {
                versions.push(row);
            }
        }
        Ok(versions)
    }

    /// The first version of a record after a [position](Row::position), among those that the snapshot has, in
    /// the order of [`versions`](Self::versions).
    pub(super) fn next_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>> {
        let Some(last) = self.pre_image(id) else { return self.next_stored_version(id, after) };
        if last.position() <= after {
            return Ok(None);
        }
        let created_at = last.created_at;
        let stored = self.next_stored_version(id, after)?;
        // Storage may lack the last version: see `versions`.
        Ok(Some(stored.map_or(last, |version| Row { created_at, ..version })))
    }

    /// As [`next_version`](Self::next_version), without the pre-image.
    fn next_stored_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>> {
        let mut next = self.storage.next_version(id, after)?;
        while let Some(version) = next.as_ref().filter(|version| version.commit > self.commit) {
            next = self.storage.next_version(id, version.position())?;
        }
        Ok(next)
    }

    /// The version of a record that was valid at `time`, among those that the snapshot has.
    pub(super) fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>> {
        let pre_image = self.pre_image(id);
        if pre_image.as_ref().is_some_and(|row| row.updated_at <= time) {
            return Ok(pre_image);
        }
        match self.storage.version_at(id, time)? {
            // This version was written after the snapshot. In the snapshot, an earlier version was valid, or
            // none.
            Some(later) if later.commit > self.commit => {
                Ok(self.versions(id)?.into_iter().rfind(|version| version.updated_at <= time))
            }
            version => Ok(version.map(|version| match pre_image {
                Some(Row { created_at, .. }) => Row { created_at, ..version },
                None => version,
            })),
        }
    }
}
