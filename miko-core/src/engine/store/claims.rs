//! Claims: while a claim of a record is in force, no other claim gets the record.
//!
//! The table of claims has the last claim of each record, with the end of its lease, and how often the record
//! was claimed. The table is stored, and restored when a write is undone. A claim is in force until it is
//! finished or released, or its lease ends. A claim that belongs to a connection also ends with the
//! connection. Which connections are open is not stored: [`KnownClaims`] has that.

pub(super) mod known;
pub(super) mod table;
pub(in crate::engine) mod waiting;

use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Gate, Pass, Result, check_connection_lasts};
use uuid::Uuid;

use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::candidate::Candidate;
use crate::query::{ClaimRequest, FinishEffect, FinishRequest, ReleaseRequest, SelectRequest};
use crate::record::Record;
use crate::response::{Claimed, Results};
use crate::storage::ids::RowId;
use crate::storage::row::{ClaimRow, Row};
use crate::storage::write_set::{OtherChanges, RowChange, WriteSet};
use crate::storage::{Storage, corruption};
use crate::timestamp::Timestamp;
use known::KnownClaims;
use table::ClaimTable;
use waiting::WaitId;

/// How many records the select of a claim finds at first. If all of them are claimed, it is run again for
/// more.
const FIRST_CANDIDATES: u64 = 32;

/// The requests that claim records and that end claims.
impl<T: Storage> Store<T> {
    /// Claims the first free record that the select of a request finds; `None` if there is none.
    ///
    /// # Errors
    /// The errors of the select; `session-required`, if the connection that would hold the claim ends with
    /// the call.
    pub(in crate::engine) fn claim(&mut self, request: &mut ClaimRequest) -> Result<Option<Claimed>> {
        self.check_may_change("claim")?;
        if !request.is_lasting {
            check_connection_lasts("a claim that is held by its connection")?;
        }
        let now = Timestamp::now();
        self.end_leases(now);
        let Some(id) = self.first_free(&mut request.select, now)? else { return Ok(None) };
        let row = self.claimed_record(id)?;
        let record = Record::from(row.view().ok_or_else(|| corruption("a selected record that is deleted"))?);
        self.answer.charge_record(&record)?;
        let attempts = self.claim_rows.of_record(id).map_or(0, |before| before.attempts).saturating_add(1);
        let claim = Uuid::now_v7().to_string();
        let lease_end = end_of_lease(now, request.lease);
        // `finish` needs the select. For a lasting claim its text is stored.
        let lasting = request.is_lasting.then(|| std::mem::take(&mut request.select_text));
        self.change_claim(id, Some(ClaimRow { id: claim.clone(), attempts, lease_end, lasting }))?;
        if !request.is_lasting {
            self.claims.connected.insert(claim.clone(), std::mem::take(&mut request.select));
            self.claims.begun.push(claim.clone());
        }
        Ok(Some(Claimed { claim, record, attempts }))
    }

    /// As [`claim`](Self::claim), as a request of a batch or of a transaction.
    ///
    /// # Errors
    /// `invalid_request`, if the request would wait.
    pub(super) fn claim_at_once(&mut self, mut request: ClaimRequest) -> Result<Results> {
        if request.wait.is_zero() {
            return self.claim(&mut request).map(Results::Claimed);
        }
        let message = "a claim in a batch or in a transaction cannot wait: leave out `wait`";
        Err(Place::Key(&Place::Root, "wait").fault(message).into())
    }

    /// Ends a claim, and changes its record in the same write.
    ///
    /// # Errors
    /// `claim-lost`; `invalid_request`, if the record does not change and its claim would find it again;
    /// the errors of an edit and of a delete.
    pub(super) fn finish(&mut self, request: FinishRequest) -> Result<Results> {
        let FinishRequest { claim, effect } = request;
        let id = self.record_of_claim(&claim)?;
        let before = self.claimed_record(id)?;
        if before.state.is_none() {
            // An import or a merge has replaced it with a tombstone.
            return Err(claim_lost(&claim));
        }
        let pk = before.pk.clone();
        let results = match effect {
            FinishEffect::Edit(edits) => {
                let (updated_at, values) = self.edit_record(id, before, edits)?;
                Results::Edited { pk, updated_at, values }
            }
            FinishEffect::Delete => {
                self.delete_record(id, before)?;
                Results::Deleted { pk, deleted: true }
            }
            FinishEffect::None => {
                self.check_is_done(&claim, id, &before)?;
                Results::ClaimEnded { claim }
            }
        };
        self.change_claim(id, None)?;
        // Waiting calls whose selects find the changed record can claim it now.
        self.wake_claims_for_record(id);
        Ok(results)
    }

    /// Ends a claim, so that its record is free. The row of the claim stays, since it counts the attempts.
    ///
    /// # Errors
    /// `claim-lost`.
    pub(super) fn release(&mut self, request: ReleaseRequest) -> Result<Results> {
        let ReleaseRequest { claim } = request;
        let id = self.record_of_claim(&claim)?;
        if let Some(before) = self.claim_rows.of_record(id) {
            // With the current time the claim would be in force again after the clock was set back.
            let released = ClaimRow { lease_end: Timestamp::FIRST, ..(**before).clone() };
            self.change_claim(id, Some(released))?;
        }
        self.wake_claims_for_record(id);
        Ok(Results::ClaimEnded { claim })
    }

    /// The first free record that a select finds.
    fn first_free(&self, select: &mut SelectRequest, now: Timestamp) -> Result<Option<RowId>> {
        let mut limit = FIRST_CANDIDATES;
        loop {
            select.limit = Some(limit);
            let found = self.select_current_rows(select);
            // The limit is that of one run: the claim keeps the select, and the request may be tried again.
            select.limit = None;
            let found = found?;
            if let Some(free) = found.iter().find(|id| !self.is_claimed(**id, now)) {
                return Ok(Some(*free));
            }
            if (found.len() as u64) < limit {
                return Ok(None);
            }
            limit = limit.saturating_mul(4);
        }
    }

    /// Whether a record has a claim that is in force.
    fn is_claimed(&self, record: RowId, now: Timestamp) -> bool {
        self.claim_rows.of_record(record).is_some_and(|claim| self.is_in_force(claim, now))
    }

    fn is_in_force(&self, claim: &ClaimRow, now: Timestamp) -> bool {
        claim.lease_end > now && (claim.lasting.is_some() || self.claims.connected.contains_key(&claim.id))
    }

    /// The record of a claim that is in force.
    ///
    /// # Errors
    /// `claim-lost`.
    fn record_of_claim(&self, claim: &str) -> Result<RowId> {
        match self.claim_rows.find(claim) {
            Some((record, row)) if self.is_in_force(row, Timestamp::now()) => Ok(record),
            _ => Err(claim_lost(claim)),
        }
    }

    fn claimed_record(&self, id: RowId) -> Result<Row> {
        self.row(id)?.ok_or_else(|| corruption("a claimed record that is not there"))
    }

    /// Refuses to finish a claim whose select still finds the record: another caller would claim the record
    /// and do the same work.
    fn check_is_done(&self, claim: &str, id: RowId, row: &Row) -> Result<()> {
        let stored_select;
        let select = match self.claims.connected.get(claim) {
            Some(select) => select,
            None => {
                let text = self.claim_rows.of_record(id).and_then(|claim| claim.lasting.as_deref());
                stored_select = text.and_then(ClaimRequest::select_of_text).unwrap_or_default();
                &stored_select
            }
        };
        let Some(record) = row.view() else { return Ok(()) };
        if !select.filter.matches(&Candidate::of(record.into(), &self.catalog)?)? {
            return Ok(());
        }
        let message = "the select of the claim still finds the record: change it by `edits`, `delete` it, or \
                       `release` the claim";
        Err(Place::Root.fault(message).with("claim", claim).with("pk", row.pk.as_str()).into())
    }

    /// Whether the record of a claim is a class definition.
    pub(super) fn claims_definition(&self, claim: &str) -> bool {
        let Some((record, _)) = self.claim_rows.find(claim) else { return false };
        let found = self.with_record_of_row(record, |_, record| self.defines_a_class(record));
        found.is_ok_and(|found| found == Some(true))
    }

    /// Sets or removes the last claim of a record, as a part of the running write.
    fn change_claim(&mut self, record: RowId, after: Option<ClaimRow>) -> Result<()> {
        let mut changes = OtherChanges::default();
        self.stage_claim(record, after, &mut changes);
        match changes.claims.is_empty() {
            true => Ok(()),
            false => self.apply(changes.into()).map(drop),
        }
    }

    /// Adds the end of the last claim of a record to a write set that deletes it.
    pub(super) fn stage_end_of_claims(&mut self, record: RowId, write: &mut WriteSet) {
        if self.claim_rows.of_record(record).is_some() {
            self.stage_claim(record, None, write.others_mut());
        }
    }

    /// Sets or removes the last claim of a record in memory, and adds that change to a write set.
    fn stage_claim(&mut self, record: RowId, after: Option<ClaimRow>, changes: &mut OtherChanges) {
        let before = self.claim_rows.of_record(record).map(|claim| (**claim).clone());
        if before.is_some() || after.is_some() {
            self.claim_rows.set(record, after.clone());
            changes.claims.push(RowChange { key: record, before, after });
        }
    }
}

/// The claims of connections.
impl<T: Storage> Store<T> {
    /// Reads the table of claims, and wakes all waiting calls: any record may be free now.
    pub(super) fn load_claims(&mut self) -> Result<()> {
        self.claim_rows = self.storage.claims()?.into_iter().collect();
        self.claims.waiting.wake_all();
        Ok(())
    }

    /// The length of the list of begun claims, for [`forget_begun_claims`](Self::forget_begun_claims).
    pub(super) fn begun_claims(&self) -> usize {
        self.claims.begun.len()
    }

    /// Forgets all begun claims but the first `kept`: the write in which they began is undone.
    pub(super) fn forget_begun_claims(&mut self, kept: usize) {
        let KnownClaims { begun, connected, .. } = &mut self.claims;
        for claim in begun.drain(kept.min(begun.len())..) {
            connected.remove(&claim);
        }
    }

    /// Takes the ids of the claims of connections that have begun since the last call. The caller ends each
    /// by [`end_connected_claim`](Self::end_connected_claim).
    pub(in crate::engine) fn take_begun_claims(&mut self) -> Vec<String> {
        std::mem::take(&mut self.claims.begun)
    }

    /// Ends a claim of a connection that has ended. It may have been ended before.
    pub(in crate::engine) fn end_connected_claim(&mut self, claim: &str) {
        if self.claims.connected.remove(claim).is_none() {
            return;
        }
        if let Some((record, _)) = self.claim_rows.find(claim) {
            self.wake_claims_for_record(record);
        }
    }

    /// Which of these claims are not in force. `None` while a transaction is open: it may have ended some of
    /// them, and may be rolled back.
    pub(in crate::engine) fn claims_that_are_over(&self, claims: Vec<String>) -> Option<Vec<String>> {
        let is_over = |claim: &String| self.record_of_claim(claim).is_err();
        (!self.has_open_transaction()).then(|| claims.into_iter().filter(is_over).collect())
    }

    /// Whether writes of calls that have ended may still be undone: in a transaction and in a group of calls.
    pub(in crate::engine) fn may_undo_writes(&self) -> bool {
        self.has_open_transaction() || self.transaction.is_in_group()
    }
}

/// The calls that wait for a claim to end.
impl<T: Storage> Store<T> {
    /// The wait of the call that this thread serves, and when the wait times out; `None` if the call has not
    /// waited before.
    pub(in crate::engine) fn wait_of_served_call(&self) -> Option<(WaitId, Instant)> {
        self.claims.waiting.of_served_call()
    }

    /// Adds a waiting call. `closed` is the pass that keeps `gate` closed. It is dropped when a record that
    /// the select of the request finds may be free. Without `closed`, the call is parked before its first
    /// attempt, until it has the turn to write.
    pub(in crate::engine) fn wait_for_claim(
        &mut self,
        request: &ClaimRequest,
        until: Instant,
        gate: Gate,
        closed: Option<Pass>,
    ) -> WaitId {
        let read = |text: &str| ClaimRequest::select_of_text(text).unwrap_or_default();
        self.claims.waiting.add(&request.select_text, read, until, gate, closed)
    }

    /// Lets a call wait again, at another gate, which its pass keeps closed.
    pub(in crate::engine) fn wait_again(&mut self, id: &WaitId, gate: (Gate, Pass)) {
        self.claims.waiting.wait_again(id, gate);
    }

    /// Ends the wait of a call. If the call has failed, the next waiting call is woken in its place.
    pub(in crate::engine) fn end_wait(&mut self, id: &WaitId, has_failed: bool) {
        self.claims.waiting.remove(id, has_failed);
    }

    /// Wakes calls for records whose leases have ended. Returns when the next lease ends.
    pub(in crate::engine) fn check_waiting_claims(&mut self) -> Option<Instant> {
        self.claims.waiting.forget_abandoned();
        let now = Timestamp::now();
        self.end_leases(now);
        let next = self.claim_rows.next_lease_end(now)?;
        let left = u64::try_from(next.as_millis().saturating_sub(now.as_millis())).unwrap_or_default();
        // A millisecond more, so that the lease has ended by then.
        Instant::now().checked_add(Duration::from_millis(left.saturating_add(1)))
    }

    /// Wakes calls for the records whose leases have ended since the last call of this method.
    fn end_leases(&mut self, now: Timestamp) {
        let checked_until = std::mem::replace(&mut self.claims.leases_checked_until, now);
        if self.claims.waiting.is_empty() || now == checked_until {
            return;
        }
        if now < checked_until {
            // The clock was set back. A lease that has begun since may have ended already.
            return self.claims.waiting.wake_first_of_each();
        }
        let ended = self.claim_rows.leases_that_end(checked_until, now);
        ended.into_iter().for_each(|record| self.wake_claims_for_record(record));
    }

    /// Wakes the first waiting call of each select that finds this record.
    fn wake_claims_for_record(&mut self, record: RowId) {
        if self.claims.waiting.is_empty() {
            return;
        }
        // An open transaction may have changed the record, and may be rolled back. Any select may find the
        // record then.
        let row = if self.has_open_transaction() { None } else { self.row(record).ok().flatten() };
        match row {
            Some(row) => self.wake_claims_for_rows(&[RowChange::insert(record, row)]),
            None => self.claims.waiting.wake_first_of_each(),
        }
    }

    /// Wakes, for each record that a write has changed, the first waiting call of each select that finds it.
    pub(super) fn wake_claims_for_rows(&mut self, changes: &[RowChange<RowId, Row>]) {
        self.claims.wake_claims_for_rows(changes, &self.catalog);
    }

    /// Wakes all waiting calls after a change of classes: their selects may find other records.
    pub(super) fn wake_claims_after_redefinition(&mut self) {
        self.claims.waiting.wake_all();
    }

    /// Wakes all waiting calls if an undone write had changed claims. `undone_claims` is the table as the
    /// write left it. A record that the write claimed is free again. A record whose claim the write finished
    /// is free if the connection of that claim has ended since.
    pub(super) fn wake_claims_after_undo(&mut self, undone_claims: &ClaimTable) {
        if !undone_claims.is_same(&self.claim_rows) {
            self.claims.waiting.wake_all();
        }
    }
}

fn claim_lost(claim: &str) -> Error {
    let message = "the claim has ended, by its lease for example: claim again";
    Error::new(ErrorId::CLAIM_LOST, message).with("claim", claim)
}

/// The end of a lease that begins now. Rounded up, so that it lasts at least as long as `lease`.
fn end_of_lease(now: Timestamp, lease: Duration) -> Timestamp {
    let millis = i64::try_from(lease.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::storage::naive::NaiveStorage;

    enum Step {
        /// A record is claimed, with a lease that ends at this time.
        Lease(i64),
        /// The leases are checked at this time. The flag: whether that wakes a waiting call.
        Clock(i64, bool),
    }

    #[test]
    fn a_waiting_call_is_woken_when_a_lease_ends_also_after_the_clock_was_set_back() {
        use Step::{Clock, Lease};
        let cases = [
            vec![Lease(20), Clock(10, false), Clock(19, false), Clock(20, true), Clock(21, false)],
            vec![Lease(20), Clock(10, false), Lease(40), Clock(30, false), Clock(50, true)],
            vec![Clock(1000, false), Clock(100, true), Lease(130), Clock(129, false), Clock(130, true)],
            vec![Clock(1000, false), Lease(130), Clock(131, true), Clock(132, false)],
        ];
        for steps in cases {
            let mut store = Store::on(NaiveStorage::new(false), Mode::ReadWrite).unwrap();
            let request = ClaimRequest {
                select: SelectRequest::default(),
                select_text: "{}".to_owned(),
                lease: Duration::ZERO,
                wait: Duration::ZERO,
                is_lasting: true,
            };
            for step in steps {
                match step {
                    Lease(end) => {
                        let lease_end = Timestamp::from_millis(end);
                        let (id, lasting) = ("a claim".to_owned(), Some("{}".to_owned()));
                        let claim = ClaimRow { id, attempts: 1, lease_end, lasting };
                        store.claim_rows.set(RowId(1), Some(claim));
                    }
                    Clock(now, wakes) => {
                        let (gate, closed) = Gate::closed(|| None);
                        let wait = store.wait_for_claim(&request, Instant::now(), gate.clone(), Some(closed));
                        store.end_leases(Timestamp::from_millis(now));
                        assert_eq!(gate.is_open(), wakes, "at {now}");
                        store.end_wait(&wait, false);
                    }
                }
            }
        }
    }
}
