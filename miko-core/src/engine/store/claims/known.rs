//! Facts about claims that are kept in this process only, not in their table.

use std::collections::HashMap;

use super::waiting::WaitingClaims;
use crate::class::Catalog;
use crate::engine::store::candidate::Candidate;
use crate::query::SelectRequest;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::write_set::RowChange;
use crate::timestamp::Timestamp;

/// Facts about claims that are kept in this process only.
#[derive(Debug)]
pub(crate) struct KnownClaims {
    /// The claims whose connections are open, with their selects.
    pub(super) connected: HashMap<String, SelectRequest>,
    /// The claims that belong to connections and have begun since they were taken last.
    pub(super) begun: Vec<String>,
    /// Until when ends of leases were noticed.
    pub(super) noticed: Timestamp,
    pub(super) waiting: WaitingClaims,
}

impl Default for KnownClaims {
    fn default() -> Self {
        Self {
            connected: HashMap::new(),
            begun: Vec::new(),
            noticed: Timestamp::FIRST,
            waiting: WaitingClaims::default(),
        }
    }
}

impl KnownClaims {
    /// Wakes calls that wait for records such as those that were changed.
    pub(crate) fn wake_claims_for_rows(&mut self, changes: &[RowChange<RowId, Row>], catalog: &Catalog) {
        if self.waiting.is_empty() {
            return;
        }
        for record in changes.iter().filter_map(|change| change.after.as_ref()?.view()) {
            if let Ok(candidate) = Candidate::of(record.into(), catalog) {
                self.waiting.wake_for(&candidate);
            }
        }
    }
}
