//! The write path: creates and deletes records inside the running write; [`update`](super::update) changes
//! them. Also has the steps that other kinds of writes, such as imports, take in the same way.
//!
//! A create first examines the record, as an update does. Each operation then stages the changes of the
//! record in a [`WriteSet`], applies the set to storage, and defers the checks that need the end state of the
//! whole write ([`pending_checks`](crate::engine::store::pending_checks)). The `stage_*` functions only add
//! to a write set; the `apply_*` functions write to storage.
//!
//! So a write is checked in phases. If one phase refuses the write, the error also lists the faults that the
//! later phases would find ([`refusal`](crate::engine::store::refusal)).

use std::borrow::Cow;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Map, Value};

use crate::class::{Class, Definition, Markers, WriteKind};
use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::index_entries::{Derived, StackAndBucket};
use crate::engine::store::refusal::RejectedWrite;
use crate::engine::store::stored_json::{defined_by, extras_text, parse_object, stored_markers, text};
use crate::query::{CreateRequest, DeleteRequest, StackInput, WriteTarget};
use crate::response::Results;
use crate::stack::Stack;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::{RowChange, WriteSet};
use crate::storage::{Storage, corruption};
use crate::timestamp::Timestamp;

impl<T: Storage> Store<T> {
    /// Creates a record.
    ///
    /// # Errors
    /// `pk-in-use`, if a record has or has had the chosen pk; `invalid_request`, if this database chooses the
    /// pks itself; `save-rejected`; all faults of the record together, see
    /// [`refusal`](crate::engine::store::refusal).
    pub(super) fn create(&mut self, create: CreateRequest) -> Result<Results> {
        let (pk, updated_at) = self.create_record(create, WriteKind::Create)?;
        Ok(Results::Written { pk, updated_at })
    }

    /// As [`create`](Self::create). Returns the pk and the creation time. The record gets the defaults of its
    /// classes only with [`WriteKind::Create`].
    pub(super) fn create_record(
        &mut self,
        create: CreateRequest,
        kind: WriteKind,
    ) -> Result<(String, Timestamp)> {
        let CreateRequest { pk, mut bucket, stack, extras } = create;
        if let Some(pk) = &pk {
            self.check_chosen_pk(pk)?;
        }
        let class = self.sole_defined_class(&stack);
        let mut stack = new_stack(stack, class.as_deref());
        let pk = self.run_hooks_before_create(pk, (&mut stack, &mut bucket), &extras, kind)?;
        let markers = Markers::of(&extras);
        let mut definition = None;
        if class.is_some() || self.needs_examination(&stack, &extras) {
            definition =
                self.examine(&mut stack, &mut bucket, &extras, kind, &Place::Root).map_err(|error| {
                    let record = (&*stack, &bucket);
                    let rejected = RejectedWrite::new_record(None, pk.as_deref(), record, &markers);
                    self.with_faults_of_later_phases(error, &rejected)
                })?;
        }
        if let Some(definition) = &definition {
            self.advance_time_past_former_definition(&definition.name);
        }
        let mut write = self.transaction.empty_set();
        let stack_text = stack_text(&stack, class.as_deref());
        let state = State { bucket: text(&bucket), stack: stack_text, extras: extras_text(&extras) };
        let (id, pk, now) = self.stage_insert(pk, state, &mut write)?;
        let Derived { entries, references } = self.derive(id, (&stack, &bucket), &markers, &mut write)?;
        write.change_entries(Vec::new(), entries);
        self.defer_reference_checks(id, references);
        self.apply_record(write, id, (&stack, &bucket))
            .and_then(|()| self.change_definition(id, None, definition))
            .map_err(|error| {
                let rejected = RejectedWrite::new_record(Some(id), Some(&pk), (&stack, &bucket), &markers);
                self.with_faults_of_later_phases(error, &rejected)
            })?;
        Ok((pk, now))
    }

    /// The class of a new record, if the request gives only the primary class and that class is defined.
    /// `None` if the class is not defined, or the request gives a whole stack. A defined class caches the
    /// stack of a record that has only this class ([`Class::stack`]).
    pub(super) fn sole_defined_class(&self, stack: &StackInput) -> Option<Arc<Class>> {
        match stack {
            StackInput::Primary(class) => self.catalog.class(class).cloned(),
            StackInput::Whole(_) => None,
        }
    }

    /// Checks that a new record may have this pk.
    ///
    /// # Errors
    /// `pk-in-use`, if a record has the pk, or a deleted record has had it; `invalid_request`, if this
    /// database chooses the pks itself.
    fn check_chosen_pk(&self, pk: &str) -> Result<()> {
        if !self.client_pks {
            let message = "this database chooses the pks of its records itself: leave out `pk`";
            return Err(Place::Key(&Place::Root, "pk").fault(message).into());
        }
        let message = match self.find(pk)? {
            None => return Ok(()),
            Some((_, Row { state: Some(_), .. })) => "a record has this pk: choose another, or update it",
            Some(_) => "a deleted record has had this pk: choose another",
        };
        Err(Error::new(ErrorId::PK_IN_USE, message).with("pk", pk))
    }

    /// Adds the row of a new record to a write set. Returns the row id, the pk and the creation time. Without
    /// `pk`, the store chooses a pk.
    pub(super) fn stage_insert(
        &mut self,
        pk: Option<String>,
        state: State,
        write: &mut WriteSet,
    ) -> Result<(RowId, String, Timestamp)> {
        let now = self.write_time.within_rfc3339_years()?;
        let pk = match pk {
            Some(pk) => {
                // From now on the store does not choose this pk for another record.
                self.pks.skip(&pk);
                pk
            }
            None => self.unused_pk(now)?,
        };
        let row = Row {
            pk: pk.clone(),
            state: Some(state),
            created_at: now,
            updated_at: now,
            commit: self.next_commit(),
            instance_pk: self.next_instance_pk(now),
        };
        let id = self.next_row_id();
        write.change_row(RowChange::insert(id, row));
        Ok((id, pk, now))
    }

    /// A new pk, which no record has. It is looked up only if it may be one that a caller has chosen.
    ///
    /// # Errors
    /// Those of storage.
    pub(super) fn unused_pk(&mut self, now: Timestamp) -> Result<String> {
        loop {
            let pk = self.pks.next(now);
            if !self.pks.may_be_taken() || self.storage.find(&pk)?.is_none() {
                return Ok(pk);
            }
        }
    }

    /// Applies the change of a single row, without index entries.
    pub(super) fn apply_row(&mut self, change: RowChange<RowId, Row>) -> Result<()> {
        self.apply(WriteSet { rows: vec![change], ..WriteSet::default() }).map(drop)
    }

    /// Applies the write set of one record. The hooks have run for the record already. `record` is its stack
    /// and its bucket, by which conflicts of unique values are described.
    ///
    /// # Errors
    /// `unique-violation`, if other records already have unique values of the record. Nothing is applied
    /// then. In an atomic batch that may free unique values, and in a write with `where`, a record may wait
    /// for such a value instead, until the end of the write
    /// ([`taken_values`](crate::engine::store::taken_values)).
    pub(super) fn apply_record(
        &mut self,
        write: WriteSet,
        id: RowId,
        record: StackAndBucket<'_>,
    ) -> Result<()> {
        if self.deferred.allows_taken_values {
            return self.apply_with_taken_values(write, id, record);
        }
        self.apply_refusing_taken_values(write, id, record)
    }

    /// As [`apply_record`](Self::apply_record), but always refuses unique values that other records have.
    pub(super) fn apply_refusing_taken_values(
        &mut self,
        write: WriteSet,
        id: RowId,
        record: StackAndBucket<'_>,
    ) -> Result<()> {
        let conflicts = self.apply_after_hooks(write)?;
        if conflicts.is_empty() {
            return Ok(());
        }
        Err(self.unique_error(Some(id), record)?)
    }

    /// Deletes one record, or all records that a select finds.
    ///
    /// # Errors
    /// `record_not_found`, `record_deleted`, unless the request has `if_exists`; `conflict`, if the record
    /// has changed since `if_updated_at`; the errors of [`delete_record`](Self::delete_record); with a
    /// select, those of [`change_selected`](Self::change_selected).
    pub(super) fn delete(&mut self, delete: DeleteRequest) -> Result<Results> {
        let DeleteRequest { target, if_exists } = delete;
        let (pk, if_updated_at) = match target {
            WriteTarget::One { pk, if_updated_at } => (pk, if_updated_at),
            WriteTarget::Selected(select) => return self.change_selected(&select, Self::delete_record),
        };
        match self.find_unchanged(&pk, if_updated_at) {
            Err(error) if if_exists && is_absent(&error) => Ok(Results::Deleted { pk, deleted: false }),
            active => {
                let (id, before) = active?;
                self.delete_record(id, before)?;
                Ok(Results::Deleted { pk, deleted: true })
            }
        }
    }

    /// Deletes an active record: replaces its row with a tombstone and removes its index entries.
    ///
    /// # Errors
    /// `save-rejected`; if the record is a class definition, the errors of
    /// [`change_definition`](Self::change_definition). References to the record are checked at the end of the
    /// write.
    pub(super) fn delete_record(&mut self, id: RowId, before: Row) -> Result<()> {
        self.run_hooks_before_delete(&before)?;
        let old = before.state.as_ref().ok_or_else(|| corruption("an active record without a state"))?;
        let stack = self.parsed_stacks.parse(&old.stack)?;
        // The bucket is parsed only if index entries are derived from it.
        let markers = stored_markers(old.extras.as_deref())?;
        let bucket =
            if self.derives_from_bucket(&stack, &markers) { parse_object(&old.bucket)? } else { Map::new() };
        let mut write = self.transaction.empty_set();
        let entries = self.derive(id, (&stack, &bucket), &markers, &mut write)?.entries;
        write.change_entries(entries, Vec::new());
        self.stage_claim_removal(id, &mut write);
        self.defer_delete_check(&before.pk);
        self.stage_state(id, before, None, &mut write)?;
        self.apply_record(write, id, (&stack, &bucket))?;
        self.change_definition(id, defined_by(&stack, &bucket), None)
    }

    /// Adds the new state of a stored record to a write set; `None` is a tombstone. Returns the new
    /// `updated_at`, which is always later than the one before.
    pub(super) fn stage_state(
        &mut self,
        id: RowId,
        before: Row,
        state: Option<State>,
        write: &mut WriteSet,
    ) -> Result<Timestamp> {
        let updated_at = self.write_time.max(before.updated_at.after()).within_rfc3339_years()?;
        let (pk, created_at) = (before.pk.clone(), before.created_at);
        let (commit, instance_pk) = (self.next_commit(), self.next_instance_pk(updated_at));
        let after = Row { pk, state, created_at, updated_at, commit, instance_pk };
        self.stage_replacement(id, before, after, write);
        Ok(updated_at)
    }

    /// Adds the new row of a stored record to a write set. In a temporal database, also adds the old row to
    /// the history.
    pub(super) fn stage_replacement(&self, id: RowId, before: Row, after: Row, write: &mut WriteSet) {
        if self.is_temporal {
            write.versions.push(RowChange::insert(id, before.clone()));
        }
        write.change_row(RowChange::replace(id, before, after));
    }

    /// A pk for a version of a record that begins at `time`; `None` unless the database is temporal.
    pub(super) fn next_instance_pk(&mut self, time: Timestamp) -> Option<String> {
        self.is_temporal.then(|| self.pks.next(time))
    }

    /// Updates the catalog after a write to the record at `id`. `old` is the name of the class that the
    /// record defined before the write; `None` if it was no class definition. `new` is the definition that
    /// the record has now; `None` if it is no class definition.
    ///
    /// # Errors
    /// `duplicate-class`, if the new name is taken or built in; `reference-restricted`, if the old name
    /// disappears and has subclasses; `unique-violation`, if a record still waits for a unique value; the
    /// errors of [`redefine`](Self::redefine).
    pub(super) fn change_definition(
        &mut self,
        id: RowId,
        old: Option<String>,
        new: Option<Definition>,
    ) -> Result<()> {
        if old.is_none() && new.is_none() {
            return Ok(());
        }
        // `redefine` indexes stored records anew, which needs complete unique indexes.
        self.check_taken_values()?;
        if let Some(name) = &old {
            self.unregister_class_name(id, name)?;
        }
        if let Some(definition) = &new {
            self.register_class_name(id, &definition.name)?;
        }
        let new_name = new.as_ref().map(|definition| definition.name.clone());
        // The old name, if the new definition does not keep it.
        let removed_names: Vec<String> =
            old.filter(|old| new_name.as_ref() != Some(old)).into_iter().collect();
        for name in &removed_names {
            self.refuse_if_inherited(name)?;
        }
        // The commit number of this record. `redefine` indexes affected records up to this number, this
        // record included.
        let this_commit = self.last.get().commit;
        self.redefine(new.into_iter().collect(), &removed_names, this_commit)
    }

    /// Checks that no class inherits from `class`.
    ///
    /// # Errors
    /// `reference-restricted`, if another class inherits from it.
    pub(super) fn refuse_if_inherited(&self, class: &str) -> Result<()> {
        let subclasses: Vec<&str> = self.catalog.subclasses(class).collect();
        if subclasses.is_empty() {
            return Ok(());
        }
        let message = format!("other classes inherit from `{class}`: change or delete those first");
        Err(Error::new(ErrorId::REFERENCE_RESTRICTED, message)
            .with("class", class)
            .with("inherited_by", subclasses))
    }

    /// The row id and the row of an active record.
    ///
    /// # Errors
    /// `record_not_found`, or `record_deleted` for a tombstone or a stub.
    pub(super) fn find_active(&self, pk: &str) -> Result<(RowId, Row)> {
        match self.find(pk)? {
            None => Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk)),
            Some((_, Row { state: None, .. })) => {
                Err(Error::new(ErrorId::RECORD_DELETED, "the record was deleted").with("pk", pk))
            }
            Some(found) => Ok(found),
        }
    }
}

/// The stack of a new record: borrowed from its sole defined class, or built from the request.
pub(super) fn new_stack(given: StackInput, class: Option<&Class>) -> Cow<'_, Map<String, Value>> {
    match (class, given) {
        (Some(class), _) => Cow::Borrowed(&class.stack),
        (None, StackInput::Primary(class)) => Cow::Owned(Stack::of_class(class).into_map(None)),
        (None, StackInput::Whole(stack)) => Cow::Owned(stack.into_map(None)),
    }
}

/// The JSON text of a [`new_stack`]. An unchanged stack of a class is not serialized again.
pub(super) fn stack_text(stack: &Map<String, Value>, class: Option<&Class>) -> String {
    match class {
        Some(class) if std::ptr::eq(stack, &class.stack) => class.stack_text.clone(),
        _ => text(stack),
    }
}

/// Whether an error says that there is no active record with the pk.
fn is_absent(error: &Error) -> bool {
    [ErrorId::RECORD_NOT_FOUND, ErrorId::RECORD_DELETED].contains(error.id())
}
