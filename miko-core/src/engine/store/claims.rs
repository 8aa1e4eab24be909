//! Claims: while a claim of a record is in force, no other claim gets the record.
//!
//! The table of claims has the last claim of each record, with the end of its lease, and how often the record
//! was claimed. Finishing the claim or deleting the record removes the claim from the table. The table is
//! stored, except in a worldlet file, and is restored when a write or a transaction is undone.
//!
//! A claim is in force until it is finished or released, its record is deleted, or its lease ends. A claim
//! that is not *lasting* belongs to the connection that took it (outside of a server: to the engine), and
//! also ends with that connection. A claim is lasting if the key `hold` of its request is `lease`. Which
//! connections are open is not stored.
//!
//! | subject | where |
//! | --- | --- |
//! | the rows of the table of claims, in memory | [`table`] |
//! | the calls that wait for a claim | [`waiting`] |
//! | the claims whose connections are open, and other state that is not stored | [`transient`] |

pub(super) mod table;
pub(super) mod transient;
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
use table::ClaimTable;
use transient::TransientClaims;
use waiting::WaitId;

/// The limit of the select of a claim when it runs for the first time. If all records that it finds are
/// claimed, it runs again with a higher limit.
const FIRST_LIMIT: u64 = 32;

/// The requests that claim records and that end claims.
impl<T: Storage> Store<T> {
    /// Claims the first free record that the select of a request finds; `None` if there is none. If a record
    /// is claimed, its claim keeps the select, which is taken out of the request. A lasting claim keeps the
    /// text of the select instead.
    ///
    /// # Errors
    /// The errors of the select; `session-required`, if the connection that would hold the claim ends with
    /// the call; `action-not-supported`, if the store only appends; `request-too-large`, if the record
    /// exceeds the size limit of the answer; `storage-full`.
    pub(in crate::engine) fn claim(&mut self, request: &mut ClaimRequest) -> Result<Option<Claimed>> {
        self.check_may_change("claim")?;
        if !request.is_lasting {
            check_connection_lasts("a claim that is held by its connection")?;
        }
        let now = Timestamp::now();
        // This also sets `leases_checked_until` to `now`. If the clock was set back, the old value is ahead
        // of the clock. The lease that begins here could then end before that value, and its end would count
        // as checked already.
        self.wake_calls_for_ended_leases(now);
        let Some(id) = self.first_free(&mut request.select, now)? else { return Ok(None) };
        let row = self.existing_row(id)?;
        let record = Record::from(row.view().ok_or_else(|| corruption("a selected record that is deleted"))?);
        self.answer.charge_record(&record)?;
        let attempts = self.claim_rows.of_record(id).map_or(0, |before| before.attempts).saturating_add(1);
        let claim = Uuid::now_v7().to_string();
        let lease_end = end_of_lease(now, request.lease);
        // `finish` needs the select of the claim. For a lasting claim its text is stored in the row of the
        // claim. For any other claim the select is kept in memory (`connected`).
        let select_text = request.is_lasting.then(|| std::mem::take(&mut request.select_text));
        let claim_row = ClaimRow { id: claim.clone(), attempts, lease_end, lasting_select: select_text };
        self.change_claim(id, Some(claim_row))?;
        if !request.is_lasting {
            if let Some(transaction) = self.transaction.user_transaction_mut() {
                // Until the transaction has ended, no cleanup removes the select.
                transaction.add_size(request.select_text.len());
            }
            self.claims.connected.insert(claim.clone(), std::mem::take(&mut request.select));
            self.claims.begun.push(claim.clone());
        }
        Ok(Some(Claimed { claim, record, attempts }))
    }

    /// As [`claim`](Self::claim), for a request that is tried only once. A request with a `wait` above 0
    /// comes here only from a batch or a transaction, and is refused: no request can wait there. Outside of
    /// both, `LocalEngine::claim_or_wait` runs it.
    ///
    /// # Errors
    /// `invalid_request`, if the request has a `wait` above 0; the errors of [`claim`](Self::claim).
    pub(super) fn claim_at_once(&mut self, mut request: ClaimRequest) -> Result<Results> {
        if request.wait.is_zero() {
            return self.claim(&mut request).map(Results::Claimed);
        }
        let message = "a claim in a batch or in a transaction cannot wait: leave out `wait`";
        Err(Place::Key(&Place::Root, "wait").fault(message).into())
    }

    /// Ends a claim, and edits or deletes its record in the same write, if the request says so.
    ///
    /// # Errors
    /// `claim-lost`; `invalid_request`, if the request does not change the record and the select of the claim
    /// still finds it; the errors of an edit and of a delete.
    pub(super) fn finish(&mut self, request: FinishRequest) -> Result<Results> {
        let FinishRequest { claim, effect } = request;
        let id = self.record_of_claim(&claim)?;
        let before = self.existing_row(id)?;
        if before.state.is_none() {
            // The record was deleted, and its claim is still there. Only an import or a merge leaves that
            // state: a delete removes the claim of the record.
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
        // After a delete this does nothing: the delete has removed the claim.
        self.change_claim(id, None)?;
        // Waiting calls whose selects find the changed record can claim it now.
        self.wake_calls_for_record(id);
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
            // The lease ends at the earliest time: with an end of now, the claim would be in force again as
            // soon as the clock is set back.
            let released = ClaimRow { lease_end: Timestamp::FIRST, ..(**before).clone() };
            self.change_claim(id, Some(released))?;
        }
        self.wake_calls_for_record(id);
        Ok(Results::ClaimEnded { claim })
    }

    /// The first record that a select finds and that no claim in force has. Sets the limit of the select
    /// while the select runs; afterwards the limit is `None`.
    fn first_free(&self, select: &mut SelectRequest, now: Timestamp) -> Result<Option<RowId>> {
        let mut limit = FIRST_LIMIT;
        loop {
            select.limit = Some(limit);
            let found = self.select_current_rows(select);
            // The select is used again, without this limit: the claim keeps the select, or a call that waits
            // tries again with it.
            select.limit = None;
            let found = found?;
            if let Some(free) = found.iter().find(|id| !self.is_claimed(**id, now)) {
                return Ok(Some(*free));
            }
            // The select has no further records.
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

    /// Whether a claim in the table is in force: its lease has not ended, and it is lasting or its connection
    /// is open.
    fn is_in_force(&self, claim: &ClaimRow, now: Timestamp) -> bool {
        claim.lease_end > now
            && (claim.lasting_select.is_some() || self.claims.connected.contains_key(&claim.id))
    }

    /// The record of the claim with this id.
    ///
    /// # Errors
    /// `claim-lost`, unless the claim is in force.
    fn record_of_claim(&self, claim_id: &str) -> Result<RowId> {
        match self.claim_rows.find(claim_id) {
            Some((record, row)) if self.is_in_force(row, Timestamp::now()) => Ok(record),
            _ => Err(claim_lost(claim_id)),
        }
    }

    /// The row of a record that is claimed, or about to be claimed.
    fn existing_row(&self, id: RowId) -> Result<Row> {
        self.row(id)?.ok_or_else(|| corruption("a claimed record that is not there"))
    }

    /// Refuses to finish a claim whose select still finds the record: another caller would claim the record
    /// and do the same work. `id` and `row` are those of the record.
    ///
    /// # Errors
    /// `invalid_request`; the errors of an evaluation of the select.
    fn check_is_done(&self, claim_id: &str, id: RowId, row: &Row) -> Result<()> {
        let stored_select;
        let select = match self.claims.connected.get(claim_id) {
            Some(select) => select,
            None => {
                let text = self.claim_rows.of_record(id).and_then(|claim| claim.lasting_select.as_deref());
                let text = text.ok_or_else(|| corruption("a lasting claim without its select"))?;
                stored_select = ClaimRequest::select_of_text(text).map_err(corruption)?;
                &stored_select
            }
        };
        let Some(record) = row.view() else { return Ok(()) };
        if !select.filter.matches(&Candidate::of(record.into(), &self.catalog)?)? {
            return Ok(());
        }
        let message = "the select of the claim still finds the record: change it by `edits`, `delete` it, or \
                       `release` the claim";
        Err(Place::Root.fault(message).with("claim", claim_id).with("pk", row.pk.as_str()).into())
    }

    /// Whether the record of the claim with this id is a class definition. `false` also if there is no such
    /// claim, or if the record cannot be read: a request that finishes the claim fails in both cases.
    pub(super) fn claim_is_of_definition(&self, claim_id: &str) -> bool {
        let Some((record, _)) = self.claim_rows.find(claim_id) else { return false };
        let is_definition = self.with_record_of_row(record, |_, record| self.defines_a_class(record));
        is_definition.is_ok_and(|is_definition| is_definition == Some(true))
    }

    /// Sets the last claim of a record, as a part of the running write. `None` removes the claim.
    fn change_claim(&mut self, record: RowId, after: Option<ClaimRow>) -> Result<()> {
        let mut changes = OtherChanges::default();
        self.stage_claim(record, after, &mut changes);
        match changes.claims.is_empty() {
            true => Ok(()),
            // The set has no unique values, so there is no conflict.
            false => self.apply(changes.into()).map(drop),
        }
    }

    /// Called for a record that `write` deletes. If the record has a claim, adds the removal of the claim to
    /// `write`.
    pub(super) fn stage_claim_removal(&mut self, record: RowId, write: &mut WriteSet) {
        if self.claim_rows.of_record(record).is_some() {
            self.stage_claim(record, None, write.others_mut());
        }
    }

    /// Sets the last claim of a record in the table in memory, or removes it if `after` is `None`, and adds
    /// the change to a write set. If the write is undone, the table in memory is restored as a part of the
    /// [`StoreState`](super::state::StoreState).
    fn stage_claim(&mut self, record: RowId, after: Option<ClaimRow>, changes: &mut OtherChanges) {
        let before = self.claim_rows.of_record(record).map(|claim| (**claim).clone());
        if before.is_some() || after.is_some() {
            self.claim_rows.set(record, after.clone());
            changes.claims.push(RowChange { key: record, before, after });
        }
    }
}

/// The table of claims as storage has it, and the claims of connections.
impl<T: Storage> Store<T> {
    /// Reads the table of claims from storage, and wakes all waiting calls: any record may be free now.
    pub(super) fn load_claims(&mut self) -> Result<()> {
        self.claim_rows = self.storage.claims()?.into_iter().collect();
        self.claims.waiting.wake_all();
        Ok(())
    }

    /// The number of claims that [`take_begun_claims`](Self::take_begun_claims) would return, for
    /// [`forget_begun_claims`](Self::forget_begun_claims).
    pub(super) fn count_begun_claims(&self) -> usize {
        self.claims.begun.len()
    }

    /// Forgets all begun claims after the first `kept`: they have begun in a write that is undone.
    pub(super) fn forget_begun_claims(&mut self, kept: usize) {
        let TransientClaims { begun, connected, .. } = &mut self.claims;
        for claim in begun.drain(kept.min(begun.len())..) {
            connected.remove(&claim);
        }
    }

    /// Takes the ids of the claims that belong to connections and have begun since the last call of this
    /// method. The caller ends each claim by [`end_connected_claim`](Self::end_connected_claim) when the
    /// connection has ended, or no longer has the claim.
    pub(in crate::engine) fn take_begun_claims(&mut self) -> Vec<String> {
        std::mem::take(&mut self.claims.begun)
    }

    /// Notes that no connection has this claim any longer, and so ends the claim, unless it has ended before.
    pub(in crate::engine) fn end_connected_claim(&mut self, claim_id: &str) {
        if self.claims.connected.remove(claim_id).is_none() {
            return;
        }
        if let Some((record, _)) = self.claim_rows.find(claim_id) {
            self.wake_calls_for_record(record);
        }
    }

    /// Returns those of the given ids whose claims have ended. `None` while a transaction is open: a claim
    /// that the transaction has ended is in force again if the transaction is rolled back.
    pub(in crate::engine) fn ended_claims(&self, claim_ids: Vec<String>) -> Option<Vec<String>> {
        let is_over = |claim_id: &String| self.record_of_claim(claim_id).is_err();
        (!self.has_open_transaction()).then(|| claim_ids.into_iter().filter(is_over).collect())
    }

    /// Whether writes of calls that have ended may still be undone. They may be while a transaction or a
    /// group of calls is open.
    pub(in crate::engine) fn may_undo_writes(&self) -> bool {
        self.has_open_transaction() || self.transaction.is_in_group()
    }
}

/// The calls that wait for a record that they can claim.
impl<T: Storage> Store<T> {
    /// The wait of the call that this thread serves, and when the wait times out; `None` if the call has not
    /// waited before.
    pub(in crate::engine) fn wait_of_served_call(&self) -> Option<(WaitId, Instant)> {
        self.claims.waiting.find_served_call()
    }

    /// Adds a call to those that wait, until `until`. `closing_pass` keeps `gate` closed. When a record that
    /// the select of the request finds may be free, the pass is dropped, which wakes the call. If the call is
    /// parked before its first attempt, until it has the turn to write, `closing_pass` is `None`.
    pub(in crate::engine) fn add_waiting_call(
        &mut self,
        request: &ClaimRequest,
        until: Instant,
        gate: Gate,
        closing_pass: Option<Pass>,
    ) -> WaitId {
        // The text was parsed before without an error, so the default is never used.
        let parse = |text: &str| ClaimRequest::select_of_text(text).unwrap_or_default();
        self.claims.waiting.add(&request.select_text, parse, until, gate, closing_pass)
    }

    /// Lets a call wait again, at a new gate, which `closing_pass` keeps closed.
    pub(in crate::engine) fn wait_again(&mut self, id: &WaitId, (gate, closing_pass): (Gate, Pass)) {
        self.claims.waiting.wait_again(id, (gate, closing_pass));
    }

    /// Ends the wait of a call. If the call was woken and has failed, the next waiting call is woken in its
    /// place.
    pub(in crate::engine) fn end_wait(&mut self, id: &WaitId, has_failed: bool) {
        self.claims.waiting.remove(id, has_failed);
    }

    /// Wakes calls for records whose leases have ended, and removes calls whose callers are gone. Returns the
    /// time at which the next lease has ended; `None` if no lease ends later. A call that waits at its gate
    /// runs this method at that time, and at least once a second.
    pub(in crate::engine) fn wake_and_prune_waiting_calls(&mut self) -> Option<Instant> {
        self.claims.waiting.forget_abandoned();
        let now = Timestamp::now();
        self.wake_calls_for_ended_leases(now);
        let next = self.claim_rows.next_lease_end(now)?;
        let millis_left = u64::try_from(next.as_millis().saturating_sub(now.as_millis())).unwrap_or_default();
        // A millisecond more, so that the lease has ended by then.
        Instant::now().checked_add(Duration::from_millis(millis_left.saturating_add(1)))
    }

    /// Wakes calls for the records whose leases have ended since the last call of this method.
    fn wake_calls_for_ended_leases(&mut self, now: Timestamp) {
        let checked_until = std::mem::replace(&mut self.claims.leases_checked_until, now);
        if self.claims.waiting.is_empty() || now == checked_until {
            return;
        }
        if now < checked_until {
            // The clock was set back. A lease that began afterwards may have ended by `now`, and its end
            // would count as checked already. So the first call of each select is woken. This is a
            // precaution: `claim` runs this method before each lease begins.
            return self.claims.waiting.wake_first_of_each();
        }
        let ended = self.claim_rows.records_with_lease_end(checked_until, now);
        ended.into_iter().for_each(|record| self.wake_calls_for_record(record));
    }

    /// Wakes the first waiting call of each select that finds this record. Called when the record may be
    /// free.
    fn wake_calls_for_record(&mut self, record: RowId) {
        if self.claims.waiting.is_empty() {
            return;
        }
        // `None` if it is not certain which state of the record a call will find: an open transaction may
        // have changed the record and may be rolled back, or the row cannot be read. Any select may then find
        // it.
        let row = if self.has_open_transaction() { None } else { self.row(record).ok().flatten() };
        match row {
            Some(row) => self.wake_calls_for_rows(&[RowChange::insert(record, row)]),
            None => self.claims.waiting.wake_first_of_each(),
        }
    }

    /// Wakes waiting calls for records that a write changes: for each record, the first call of each select
    /// that finds the new state of the record.
    pub(super) fn wake_calls_for_rows(&mut self, changes: &[RowChange<RowId, Row>]) {
        self.claims.wake_calls_for_rows(changes, &self.catalog);
    }

    /// Wakes all waiting calls after a change of classes: their selects may find other records.
    pub(super) fn wake_calls_after_redefinition(&mut self) {
        self.claims.waiting.wake_all();
    }

    /// Called after a write or a transaction of a caller was undone. Wakes all waiting calls if it had
    /// changed claims. `undone_claims` is the table as it was before the undo. A record that the write had
    /// claimed is free again. A record whose claim the write had finished is free if the connection of the
    /// claim has ended meanwhile.
    pub(super) fn wake_calls_after_undo(&mut self, undone_claims: &ClaimTable) {
        if !undone_claims.is_same(&self.claim_rows) {
            self.claims.waiting.wake_all();
        }
    }
}

fn claim_lost(claim_id: &str) -> Error {
    let message = "the claim has ended, by its lease for example: claim again";
    Error::new(ErrorId::CLAIM_LOST, message).with("claim", claim_id)
}

/// The end of a lease of this length that begins at `now`. The lease may be up to two milliseconds longer,
/// but not shorter: `now` was rounded down to a millisecond, and the length is rounded up.
fn end_of_lease(now: Timestamp, lease: Duration) -> Timestamp {
    const ROUNDED_OFF: i64 = 1;
    let millis = i64::try_from(lease.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_add(millis).saturating_add(ROUNDED_OFF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::storage::naive::NaiveStorage;

    enum Step {
        /// A record is claimed, with a lease that ends at this time.
        Lease(i64),
        /// The leases are checked at this time. The flag is whether the check wakes a waiting call.
        Clock(i64, bool),
    }

    #[test]
    fn a_lease_is_not_shorter_than_asked_for() {
        for (lease, millis) in [
            (Duration::from_nanos(1), 2),
            (Duration::from_millis(1), 2),
            (Duration::from_micros(1001), 3),
            (Duration::MAX, i64::MAX),
        ] {
            let end = end_of_lease(Timestamp::from_millis(0), lease);
            assert_eq!(end.as_millis(), millis, "{lease:?}");
        }
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
                        let (id, select_text) = ("a claim".to_owned(), "{}".to_owned());
                        let claim =
                            ClaimRow { id, attempts: 1, lease_end, lasting_select: Some(select_text) };
                        store.claim_rows.set(RowId(1), Some(claim));
                    }
                    Clock(now, wakes) => {
                        let (gate, closing_pass) = Gate::closed(|| None);
                        let (until, pass) = (Instant::now(), Some(closing_pass));
                        let wait = store.add_waiting_call(&request, until, gate.clone(), pass);
                        store.wake_calls_for_ended_leases(Timestamp::from_millis(now));
                        assert_eq!(gate.is_open(), wakes, "at {now}");
                        let has_failed = false;
                        store.end_wait(&wait, has_failed);
                    }
                }
            }
        }
    }
}
