//! The rows of the table of claims, in memory.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeSetSync};

use crate::storage::ids::RowId;
use crate::storage::row::ClaimRow;
use crate::timestamp::Timestamp;

/// No row has a larger id. In `lease_ends`, `(time, MAX_ROW)` comes after all leases that end at `time`, and
/// before all that end later.
const MAX_ROW: RowId = RowId(i64::MAX);

/// The last claim of each record, as storage has it. The store clones the table before each write, and
/// restores the clone to undo the write; cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClaimTable(Arc<Rows>);

#[derive(Debug, Clone, Default)]
struct Rows {
    by_record: HashTrieMapSync<RowId, Arc<ClaimRow>>,
    /// The records by the ids of their claims.
    by_id: HashTrieMapSync<String, RowId>,
    /// The end of the lease of each claim in the table, also if it is in the past, with the record.
    lease_ends: RedBlackTreeSetSync<(Timestamp, RowId)>,
}

impl ClaimTable {
    /// The last claim of a record, also after the claim was released or its lease has ended. `None` if the
    /// record was never claimed, its last claim was finished, or a delete has removed the claim.
    pub(crate) fn of_record(&self, record: RowId) -> Option<&Arc<ClaimRow>> {
        self.0.by_record.get(&record)
    }

    /// The claim with an id, and its record; `None` if no record has it as its last claim.
    pub(crate) fn find(&self, id: &str) -> Option<(RowId, &Arc<ClaimRow>)> {
        let record = *self.0.by_id.get(id)?;
        Some((record, self.0.by_record.get(&record)?))
    }

    /// The records whose leases end later than `after`, and not later than `until`.
    pub(crate) fn records_with_lease_end(&self, after: Timestamp, until: Timestamp) -> Vec<RowId> {
        let range = (Excluded((after, MAX_ROW)), Included((until, MAX_ROW)));
        self.0.lease_ends.range(range).map(|(_, record)| *record).collect()
    }

    /// The next time at which a lease ends, later than `after`.
    pub(crate) fn next_lease_end(&self, after: Timestamp) -> Option<Timestamp> {
        let range = (Excluded((after, MAX_ROW)), Unbounded);
        self.0.lease_ends.range(range).next().map(|(end, _)| *end)
    }

    /// Whether one table is an unchanged clone of the other. Tables that were made separately are not the
    /// same, even if they are equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Sets the last claim of a record. `None` removes the claim.
    pub(crate) fn set(&mut self, record: RowId, claim: Option<ClaimRow>) {
        let rows = Arc::make_mut(&mut self.0);
        if let Some(before) = rows.by_record.get(&record) {
            rows.by_id.remove_mut(&before.id);
            rows.lease_ends.remove_mut(&(before.lease_end, record));
        }
        match claim {
            Some(claim) => {
                rows.by_id.insert_mut(claim.id.clone(), record);
                rows.lease_ends.insert_mut((claim.lease_end, record));
                rows.by_record.insert_mut(record, Arc::new(claim));
            }
            None => {
                rows.by_record.remove_mut(&record);
            }
        }
    }
}

impl FromIterator<(RowId, ClaimRow)> for ClaimTable {
    fn from_iter<I: IntoIterator<Item = (RowId, ClaimRow)>>(rows: I) -> Self {
        let mut table = Self::default();
        rows.into_iter().for_each(|(record, claim)| table.set(record, Some(claim)));
        table
    }
}
