//! The state of a moment, while writes go on.
//!
//! What was written later is told by its number. What was overwritten later has been kept.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::tables::{Row, Tables};
use crate::error::Result;
use crate::timestamp::Timestamp;

/// Rows that were overwritten since a moment, as they were then.
pub(super) type Kept = HashMap<i64, Arc<Row>>;

/// The rows as they were after the write `since`.
pub(in crate::engine) struct Snapshot<'t, T> {
    pub(in crate::engine) tables: &'t T,
    since: i64,
    kept: Option<&'t Kept>,
}

impl<'t, T: Tables> Snapshot<'t, T> {
    /// The state that there is, as long as nobody writes.
    pub(in crate::engine) fn now(tables: &'t T) -> Self {
        Self { tables, since: i64::MAX, kept: None }
    }

    pub(super) fn since(tables: &'t T, since: i64, kept: &'t Kept) -> Self {
        Self { tables, since, kept: Some(kept) }
    }

    pub(super) fn row(&self, seq: i64) -> Result<Option<Row>> {
        if let Some(row) = self.kept.and_then(|kept| kept.get(&seq)) {
            return Ok(Some(Row::clone(row)));
        }
        Ok(self.tables.row(seq)?.filter(|row| row.commit <= self.since))
    }

    /// The first row after `seq`, and its number.
    pub(super) fn row_after(&self, mut seq: i64) -> Result<Option<(i64, Row)>> {
        while let Some((number, row)) = self.tables.next_row(seq, 0)? {
            if let Some(row) = self.kept.and_then(|kept| kept.get(&number)) {
                return Ok(Some((number, Row::clone(row))));
            }
            if row.commit <= self.since {
                return Ok(Some((number, row)));
            }
            seq = number;
        }
        Ok(None)
    }

    pub(super) fn versions(&self, seq: i64) -> Result<Vec<Row>> {
        let mut versions = self.tables.versions(seq)?;
        versions.retain(|version| version.commit <= self.since);
        Ok(versions)
    }

    pub(super) fn version_at(&self, seq: i64, time: Timestamp) -> Result<Option<Row>> {
        let version = self.tables.version_at(seq, time)?;
        Ok(version.filter(|version| version.commit <= self.since))
    }
}
