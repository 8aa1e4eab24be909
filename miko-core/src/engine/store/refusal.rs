//! Collects all faults of a rejected write.
//!
//! A write of a record is checked in phases:
//!
//! 1. The record by itself, and compared with its state before the write.
//! 2. The record compared with other records: its unique values; of a class definition also its name, and the
//!    class hierarchy that results.
//! 3. At the end of the write: the references of the record.
//!
//! The first phase that finds a fault ends the write. This module then runs the later phases without writing,
//! so that one error lists the faults of all phases. Two checks are left out: whether the record leaves a
//! class that a restricting reference to the record requires, and whether stored records violate a changed
//! definition.

use miko_rpc::{Error, ErrorId, Result};

use crate::class::{Definition, Markers};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::{StackAndBucket, references};
use crate::engine::store::stored_json::defined_by;
use crate::storage::Storage;
use crate::storage::ids::RowId;

/// The record of a rejected write.
pub(super) struct RejectedWrite<'r> {
    /// The row id; `None` for a new record that got none yet.
    row: Option<RowId>,
    /// The pk of a new record. `None` for an update, and for a create whose content cannot refer to the pk.
    new_pk: Option<&'r str>,
    /// The record before the write; `None` for a create.
    before: Option<StackAndBucket<'r>>,
    after: StackAndBucket<'r>,
    /// The markers that the record has after the write.
    markers: &'r Markers,
}

impl<'r> RejectedWrite<'r> {
    /// A rejected create. `row` and `pk` are those of the new record, if it got them already. The pk may be
    /// left out if neither the caller nor a hook knows the pk: the content then cannot refer to it.
    pub(super) fn new_record(
        row: Option<RowId>,
        pk: Option<&'r str>,
        after: StackAndBucket<'r>,
        markers: &'r Markers,
    ) -> Self {
        Self { row, new_pk: pk, before: None, after, markers }
    }

    /// A rejected update.
    pub(super) fn update(
        row: RowId,
        before: StackAndBucket<'r>,
        after: StackAndBucket<'r>,
        markers: &'r Markers,
    ) -> Self {
        Self { row: Some(row), new_pk: None, before: Some(before), after, markers }
    }
}

/// The errors of the first two phases that describe a fault of the record. Missing targets of references are
/// not among them: the last phase finds them. `reference-restricted` here means a class that others inherit
/// from. After any other error, such as one of storage, no further phase is run.
const RECORD_FAULTS: [ErrorId; 6] = [
    ErrorId::VALIDATION_FAILED,
    ErrorId::CLASS_NOT_FOUND,
    ErrorId::DUPLICATE_CLASS,
    ErrorId::IMMUTABLE_FIELD,
    ErrorId::UNIQUE_VIOLATION,
    ErrorId::REFERENCE_RESTRICTED,
];

impl<T: Storage> Store<T> {
    /// The error of a write that adds unique values which other records have. It also lists the faults of
    /// later phases.
    pub(super) fn conflict_error(&self, rejected: &RejectedWrite<'_>) -> Result<Error> {
        let error = self.unique_error(rejected.row, rejected.after)?;
        Ok(self.with_faults_of_later_phases(error, rejected))
    }

    /// Adds to `error` the faults of the phases that the write did not reach. An error that is not a fault of
    /// the record is returned unchanged.
    pub(super) fn with_faults_of_later_phases(&self, error: Error, rejected: &RejectedWrite<'_>) -> Error {
        if !error.items().iter().all(|fault| RECORD_FAULTS.contains(&fault.id)) {
            return error;
        }
        let mut faults = FaultList::default();
        let has_unique_violations = error.is(ErrorId::UNIQUE_VIOLATION);
        faults.extend(error.into_items());
        let mut later = FaultList::default();
        // If storage fails in a later phase, the faults that were found until then are reported.
        let _ = self.report_faults_of_later_phases(rejected, has_unique_violations, &mut later);
        // The later phases may find faults of `error` again.
        later.retain(|fault| !faults.listed().contains(fault));
        faults.append(later);
        Error::of(faults.into_items())
    }

    /// Adds the faults of the checks that follow the examination of the record by itself.
    /// `has_unique_violations` says whether the write has failed in the check of unique values.
    fn report_faults_of_later_phases(
        &self,
        rejected: &RejectedWrite<'_>,
        has_unique_violations: bool,
        faults: &mut FaultList,
    ) -> Result<()> {
        let after = rejected.after;
        // The second step of the first phase. The write has not reached it if the examination has failed.
        if let Some(before) = rejected.before {
            self.report_changed_joins(before, after, faults);
        }
        // If the write has failed in the check of unique values, all violations were reported. A write in
        // which unique values may move between records checks unique values only at its end.
        if !has_unique_violations && !self.deferred.allows_taken_values {
            self.report_unique_violations(rejected.row, after, faults)?;
        }
        self.report_definition_faults(rejected, faults)?;
        // In a batch, later requests may create the targets.
        if !self.deferred.is_in_batch() {
            self.report_missing_targets(rejected, faults)?;
        }
        Ok(())
    }

    /// Adds a fault for each reference without an allowed target. References of the record to itself are not
    /// checked: unless the write was applied, storage has the state of the record before it, or lacks the
    /// record.
    fn report_missing_targets(&self, rejected: &RejectedWrite<'_>, faults: &mut FaultList) -> Result<()> {
        let own_pk = match (rejected.new_pk, rejected.row) {
            (Some(pk), _) => Some(pk.to_owned()),
            (None, Some(row)) => self.storage.row(row)?.map(|row| row.pk),
            (None, None) => None,
        };
        for (class, reference) in references(&self.catalog, rejected.after, rejected.markers) {
            if own_pk.as_ref() != Some(&reference.target) {
                faults.extend(self.check_target(&class, &reference)?);
            }
        }
        Ok(())
    }

    /// If the record is or was a class definition, adds the faults of its name and of the class hierarchy
    /// that would result.
    fn report_definition_faults(&self, rejected: &RejectedWrite<'_>, faults: &mut FaultList) -> Result<()> {
        let (stack, bucket) = rejected.after;
        let name = defined_by(stack, bucket);
        if let Some(name) = &name {
            faults.extend(self.check_name(rejected.row, name)?);
        }
        let old = rejected.before.and_then(|(stack, bucket)| defined_by(stack, bucket));
        // The old name, if the record defines another class now, or none; otherwise empty.
        let removed: Vec<String> = old.into_iter().filter(|old| Some(old) != name.as_ref()).collect();
        for class in &removed {
            if let Err(error) = self.refuse_if_inherited(class) {
                faults.extend(error.into_items());
                // The hierarchy is not checked: without the old name the subclasses that were just reported
                // lack a parent, and would be reported again.
                return Ok(());
            }
        }
        if name.is_none() {
            return Ok(());
        }
        // The first phase has reported the faults of the definition by itself.
        let reported_faults = &mut FaultList::default();
        if let Some(definition) = Definition::read(bucket, Place::Root, reported_faults)
            && let Err(error) = self.catalog.with(vec![definition], &removed)
        {
            faults.extend(error.into_items());
        }
        Ok(())
    }
}
