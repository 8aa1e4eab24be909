//! The state of claims that is not stored in the table of claims. It ends with the process.

use std::collections::HashMap;

use super::waiting::WaitingCalls;
use crate::class::Catalog;
use crate::engine::store::candidate::Candidate;
use crate::query::SelectRequest;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::write_set::RowChange;
use crate::timestamp::Timestamp;

/// The state of claims that is not stored. After a restart no connection has a claim, and no call waits.
#[derive(Debug)]
pub(crate) struct TransientClaims {
    /// The selects of the claims that belong to open connections, by the ids of the claims. Lasting claims
    /// are not among them.
    pub(super) connected: HashMap<String, SelectRequest>,
    /// The ids of the claims that belong to connections and have begun since `Store::take_begun_claims` was
    /// last called.
    pub(super) begun: Vec<String>,
    /// For each lease that ended up to this time, the calls that wait for its record were woken.
    pub(super) leases_checked_until: Timestamp,
    /// The calls that wait for a record.
    pub(super) waiting: WaitingCalls,
}

impl Default for TransientClaims {
    fn default() -> Self {
        Self {
            connected: HashMap::new(),
            begun: Vec::new(),
            leases_checked_until: Timestamp::FIRST,
            waiting: WaitingCalls::default(),
        }
    }
}

impl TransientClaims {
    /// Wakes waiting calls for records that a write changes: for each record that is active after the write,
    /// the first call of each select that finds the record. If the stack of a record cannot be read, all
    /// selects count as finding it.
    pub(crate) fn wake_calls_for_rows(&mut self, changes: &[RowChange<RowId, Row>], catalog: &Catalog) {
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
        let mut claims = TransientClaims::default();
        let (gate, closing_pass) = Gate::closed(|| None);
        let parse = |_: &str| SelectRequest::default();
        let _call = claims.waiting.add("{}", parse, Instant::now(), gate.clone(), Some(closing_pass));
        let row = Row {
            pk: "a".to_owned(),
            state: Some(State { bucket: "{}".to_owned(), stack: "no JSON".to_owned(), extras: None }),
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            commit: CommitSeq::default(),
            instance_pk: None,
        };
        claims.wake_calls_for_rows(&[RowChange::insert(RowId(1), row)], &Catalog::default());
        assert!(gate.is_open());
    }
}
