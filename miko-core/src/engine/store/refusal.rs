//! Everything that is wrong with a write that is refused.
//!
//! A write is checked in phases: the record by itself, what other records say about it, and at the commit its
//! references. The first phase that finds a fault ends the write. The later ones are run here for their
//! faults alone, so that one answer lists them all. Two are not: whether a restricting reference requires a
//! class that the record leaves, and whether stored records break a changed definition.

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Map, Value};

use crate::class::Definition;
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::{StackAndBucket, facets};
use crate::engine::store::stored_json::defined_by;
use crate::storage::Storage;
use crate::storage::ids::RowId;

/// A write that is refused.
pub(super) struct Refused<'r> {
    /// The row that was written, or was to be written.
    row: Option<RowId>,
    /// The record as it is stored, if there is one.
    before: Option<StackAndBucket<'r>>,
    after: StackAndBucket<'r>,
}

impl<'r> Refused<'r> {
    /// A record that was to be created; `row` is its row, if that was written.
    pub(super) fn new_record(
        row: Option<RowId>,
        stack: &'r Map<String, Value>,
        bucket: &'r Map<String, Value>,
    ) -> Self {
        Self { row, before: None, after: (stack, bucket) }
    }

    /// A stored record that was to be changed.
    pub(super) fn update(row: RowId, before: StackAndBucket<'r>, after: StackAndBucket<'r>) -> Self {
        Self { row: Some(row), before: Some(before), after }
    }
}

/// The errors that say what is wrong with a record. Others say that the tables cannot be used.
const FAULTS: [ErrorId; 6] = [
    ErrorId::VALIDATION_FAILED,
    ErrorId::CLASS_NOT_FOUND,
    ErrorId::DUPLICATE_CLASS,
    ErrorId::IMMUTABLE_FIELD,
    ErrorId::UNIQUE_VIOLATION,
    ErrorId::REFERENCE_RESTRICTED,
];

impl<T: Storage> Store<T> {
    /// `error`, and with it what the phases that were not reached have to say.
    pub(super) fn with_all_faults(&self, error: Error, refused: &Refused<'_>) -> Error {
        if !error.items().iter().all(|fault| FAULTS.contains(&fault.id)) {
            return error;
        }
        let mut faults = FaultList::default();
        let has_taken_values = error.is(ErrorId::UNIQUE_VIOLATION);
        faults.extend(error.into_items());
        let mut later = FaultList::default();
        // Where the tables cannot be read, the faults found so far are reported.
        let _ = self.note_later_faults(refused, has_taken_values, &mut later);
        later.retain(|fault| !faults.listed().contains(fault));
        faults.append(later);
        Error::of(faults.into_items())
    }

    fn note_later_faults(
        &self,
        refused: &Refused<'_>,
        has_taken_values: bool,
        faults: &mut FaultList,
    ) -> Result<()> {
        let after = refused.after;
        if let Some(before) = refused.before {
            self.note_changed_joins(before, after, faults);
        }
        if !has_taken_values {
            self.note_taken_values(refused.row, after, faults)?;
        }
        self.note_faults_of_definition(refused, faults)?;
        if !self.pending.is_in_batch() {
            self.note_missing_targets(refused, faults)?;
        }
        Ok(())
    }

    /// Notes the references without a target. One to the record itself is left out: the record is stored as
    /// it was before.
    fn note_missing_targets(&self, refused: &Refused<'_>, faults: &mut FaultList) -> Result<()> {
        let own_pk = match refused.row {
            Some(row) => self.storage.row(row)?.map(|row| row.pk),
            None => None,
        };
        for facet in facets(refused.after.0, refused.after.1) {
            for reference in self.catalog.references(facet.class, facet.bucket, &facet.pointer()) {
                if own_pk.as_ref() != Some(&reference.target) {
                    faults.extend(self.check_target(facet.class, &reference)?);
                }
            }
        }
        Ok(())
    }

    /// Notes that another definition has the name, and what is wrong with the hierarchy of the class.
    fn note_faults_of_definition(&self, refused: &Refused<'_>, faults: &mut FaultList) -> Result<()> {
        let (stack, bucket) = refused.after;
        let Some(name) = defined_by(stack, bucket) else { return Ok(()) };
        faults.extend(self.check_name(refused.row, &name)?);
        let old = refused.before.and_then(|(stack, bucket)| defined_by(stack, bucket));
        let renamed: Vec<String> = old.into_iter().filter(|old| *old != name).collect();
        for class in &renamed {
            if let Err(error) = self.refuse_if_inherited(class) {
                faults.extend(error.into_items());
                return Ok(());
            }
        }
        if let Some(definition) = Definition::read(bucket, Place::Root, &mut FaultList::default())
            && let Err(error) = self.catalog.with(vec![definition], &renamed)
        {
            faults.extend(error.into_items());
        }
        Ok(())
    }
}
