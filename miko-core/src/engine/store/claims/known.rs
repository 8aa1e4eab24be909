//! The state of claims that is not stored in their table: it ends with the process.

use std::collections::HashMap;

use super::waiting::WaitingClaims;
use crate::class::Catalog;
use crate::engine::store::candidate::Candidate;
use crate::query::SelectRequest;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::write_set::RowChange;
use crate::timestamp::Timestamp;

/// What is known about claims and not stored. After a restart no connection has a claim, and no call waits.
#[derive(Debug)]
pub(crate) struct KnownClaims {
    /// The ids of the claims that an open connection has, with their selects.
    pub(super) connected: HashMap<String, SelectRequest>,
    /// The ids of the claims that belong to connections and have begun since the list was taken last.
    pub(super) begun: Vec<String>,
    /// Calls were woken for all leases that ended up to this time.
    pub(super) leases_checked_until: Timestamp,
    pub(super) waiting: WaitingClaims,
}

impl Default for KnownClaims {
    fn default() -> Self {
        Self {
            connected: HashMap::new(),
            begun: Vec::new(),
            leases_checked_until: Timestamp::FIRST,
            waiting: WaitingClaims::default(),
        }
    }
}

impl KnownClaims {
    /// Wakes, for each changed record that is active, the first waiting call of each select that finds it.
    pub(crate) fn wake_claims_for_rows(&mut self, changes: &[RowChange<RowId, Row>], catalog: &Catalog) {
        if self.waiting.is_empty() {
            return;
        }
        // A record whose stack cannot be read wakes no call.
        for record in changes.iter().filter_map(|change| change.after.as_ref()?.view()) {
            if let Ok(candidate) = Candidate::of(record.into(), catalog) {
                self.waiting.wake_for(&candidate);
            }
        }
    }
}
