//! The claims of records, as they are stored.

use std::sync::Arc;

use rpds::HashTrieMapSync;

use crate::storage::ids::RowId;
use crate::storage::row::ClaimRow;

/// The rows of the table of claims, which go back with a write that is undone. Cloning it is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClaimTable(Arc<Rows>);

#[derive(Debug, Clone, Default)]
struct Rows {
    by_record: HashTrieMapSync<RowId, Arc<ClaimRow>>,
    /// The records by the ids of their claims.
    by_id: HashTrieMapSync<String, RowId>,
}

impl ClaimTable {
    /// The last claim of a record, until it is finished.
    pub(crate) fn of_record(&self, record: RowId) -> Option<&Arc<ClaimRow>> {
        self.0.by_record.get(&record)
    }

    /// The claim with an id, and its record.
    pub(crate) fn find(&self, id: &str) -> Option<(RowId, &Arc<ClaimRow>)> {
        let record = *self.0.by_id.get(id)?;
        Some((record, self.0.by_record.get(&record)?))
    }

    pub(crate) fn set(&mut self, record: RowId, claim: Option<ClaimRow>) {
        let rows = Arc::make_mut(&mut self.0);
        if let Some(before) = rows.by_record.get(&record) {
            rows.by_id.remove_mut(&before.id);
        }
        match claim {
            Some(claim) => {
                rows.by_id.insert_mut(claim.id.clone(), record);
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
