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
    /// The ids of the claims that belong to open connections, with their selects. Lasting claims are not
    /// among them.
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
    /// Wakes, for each changed record that is active, the first waiting call of each select that finds it. A
    /// record whose stack cannot be read counts as found by all selects.
    pub(crate) fn wake_claims_for_rows(&mut self, changes: &[RowChange<RowId, Row>], catalog: &Catalog) {
        if self.waiting.is_empty() {
            return;
        }
        for record in changes.iter().filter_map(|change| change.after.as_ref()?.view()) {
            match Candidate::of(record.into(), catalog) {
                Ok(candidate) => self.waiting.wake_for(&candidate),
                // A woken call tries again. It claims the record, or reports the error to its caller.
                Err(_) => self.waiting.wake_first_of_each(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use miko_rpc::Gate;

    use super::*;
    use crate::storage::ids::CommitSeq;
    use crate::storage::row::State;

    #[test]
    fn a_record_whose_stack_cannot_be_read_wakes_a_waiting_call() {
        let mut claims = KnownClaims::default();
        let (gate, closing_pass) = Gate::closed(|| None);
        let (read, pass) = (|_: &str| SelectRequest::default(), Some(closing_pass));
        let _call = claims.waiting.add("{}", read, Instant::now(), gate.clone(), pass);
        let row = Row {
            pk: "a".to_owned(),
            state: Some(State { bucket: "{}".to_owned(), stack: "no JSON".to_owned(), extras: None }),
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            commit: CommitSeq::default(),
            instance_pk: None,
        };
        claims.wake_claims_for_rows(&[RowChange::insert(RowId(1), row)], &Catalog::default());
        assert!(gate.is_open());
    }
}
