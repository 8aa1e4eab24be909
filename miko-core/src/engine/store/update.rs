//! Changes the content of records inside the running write: by an update, a patch, or edits.
//!
//! Each operation computes the new content of a record. The content is then examined, staged in a
//! [`WriteSet`] and applied, as in a create.

use std::borrow::Cow;

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Map, Value};

use crate::class::{Markers, WriteKind};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::{Derived, StackAndBucket};
use crate::engine::store::refusal::RejectedWrite;
use crate::engine::store::stored_json::{defined_by, extras_text, parse_object, stored_markers, text};
use crate::json;
use crate::query::{self, Edit, EditRequest, PatchRequest, StackInput, UpdateRequest, WriteTarget};
use crate::record::EXTRA_KEYS;
use crate::response::Results;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::WriteSet;
use crate::storage::{Storage, corruption};
use crate::timestamp::Timestamp;

/// The new content of a record. A part that is `None` keeps its stored value.
struct ContentChange {
    bucket: Option<Map<String, Value>>,
    stack: Option<StackInput>,
    /// The extras with new values. Other extras keep their stored values.
    extras: Map<String, Value>,
}

impl ContentChange {
    fn of_bucket(bucket: Map<String, Value>) -> Self {
        Self { bucket: Some(bucket), stack: None, extras: Map::new() }
    }
}

impl<T: Storage> Store<T> {
    /// Updates a record. Parts that the request leaves out keep their stored values.
    ///
    /// # Errors
    /// `record_not_found`, `record_deleted`; `conflict`, if the record has changed since `if_updated_at`; the
    /// errors of [`change_record`](Self::change_record).
    pub(super) fn update(&mut self, update: UpdateRequest) -> Result<Results> {
        let UpdateRequest { pk, bucket, stack, extras, if_updated_at } = update;
        let (id, before) = self.find_unchanged(&pk, if_updated_at)?;
        let updated_at = self.change_record(id, before, ContentChange { bucket, stack, extras })?;
        Ok(Results::Written { pk, updated_at })
    }

    /// Merges an object, a merge patch of RFC 7396, into the bucket of one record, or of all records that a
    /// select finds.
    ///
    /// # Errors
    /// As [`update`](Self::update); with a select, as [`change_selected`](Self::change_selected).
    pub(super) fn patch(&mut self, patch: PatchRequest) -> Result<Results> {
        let PatchRequest { target, bucket: patch } = patch;
        match target {
            WriteTarget::One { pk, if_updated_at } => {
                let (id, before) = self.find_unchanged(&pk, if_updated_at)?;
                let updated_at = self.patch_record(id, before, patch)?;
                Ok(Results::Written { pk, updated_at })
            }
            WriteTarget::Selected(select) => self.change_selected(&select, |store, id, before| {
                store.patch_record(id, before, patch.clone()).map(drop)
            }),
        }
    }

    /// Merges an object into the bucket of an active record. Returns its new `updated_at`.
    pub(super) fn patch_record(
        &mut self,
        id: RowId,
        before: Row,
        patch: Map<String, Value>,
    ) -> Result<Timestamp> {
        let mut bucket = stored_bucket(&before)?;
        json::merge(&mut bucket, patch);
        self.change_record(id, before, ContentChange::of_bucket(bucket))
    }

    /// Edits the bucket of one record, or of all records that a select finds: all edits, or none. The answer
    /// about one record has a value for each edit ([`Results::Edited`]). The answer about a select has none.
    ///
    /// # Errors
    /// As [`patch`](Self::patch); `conflict` and `edit-refused` for an edit; `request-too-large`, if the
    /// values exceed the size limit of the answer, or the edits compare and move too many elements.
    pub(super) fn edit(&mut self, edit: EditRequest) -> Result<Results> {
        let EditRequest { target, edits } = edit;
        match target {
            WriteTarget::One { pk, if_updated_at } => {
                let (id, before) = self.find_unchanged(&pk, if_updated_at)?;
                let (updated_at, values) = self.edit_record(id, before, edits)?;
                Ok(Results::Edited { pk, updated_at, values })
            }
            WriteTarget::Selected(select) => self.change_selected(&select, |store, id, before| {
                // `None`: no value of an edit is kept or charged, since the answer has no values.
                let (bucket, _) = query::apply_edits(stored_bucket(&before)?, edits.clone(), None)?;
                store.change_record(id, before, ContentChange::of_bucket(bucket)).map(drop)
            }),
        }
    }

    /// Edits the bucket of an active record. Returns the new `updated_at` of the record, and a value for each
    /// edit. The size of these values counts towards the size limit of the answer.
    pub(super) fn edit_record(
        &mut self,
        id: RowId,
        before: Row,
        edits: Vec<Edit>,
    ) -> Result<(Timestamp, Vec<Value>)> {
        // Simple edits are applied to the text of the bucket, which is then not parsed.
        if let Some((accepted, values)) = self.accept_edits(&before, &edits)? {
            let charged = values.iter().try_for_each(|value| self.answer.charge_value(value));
            charged.map_err(|error| error.with_all("pk", before.pk.as_str()))?;
            return Ok((self.store_update(id, before, accepted)?, values));
        }
        let bucket = stored_bucket(&before)?;
        let (bucket, values) =
            query::apply_edits(bucket, edits, Some(&|value| self.answer.charge_value(value)))
                .map_err(|error| error.with_all("pk", before.pk.as_str()))?;
        Ok((self.change_record(id, before, ContentChange::of_bucket(bucket))?, values))
    }

    /// Changes the content of an active record, and returns its new `updated_at`.
    ///
    /// # Errors
    /// `save-rejected`; all faults of the new content together; the errors of
    /// [`change_definition`](Self::change_definition).
    fn change_record(&mut self, id: RowId, before: Row, change: ContentChange) -> Result<Timestamp> {
        let ContentChange { mut bucket, stack, extras } = change;
        let old = before.state.as_ref().ok_or_else(|| corruption("an active record without a state"))?;
        let old_stack = self.parsed_stacks.parse(&old.stack)?;
        let mut stack = match stack {
            None => Cow::Borrowed(&*old_stack),
            Some(StackInput::Primary(class)) => {
                Cow::Owned(stack::replace_primary((*old_stack).clone(), class))
            }
            Some(StackInput::Whole(stack)) => {
                // If the new stack has no shadow, the record keeps its own.
                let old_shadow = stack::take_shadow(&mut (*old_stack).clone());
                Cow::Owned(stack.into_map(old_shadow))
            }
        };
        let extras = merge_extras(old.extras.as_deref(), extras)?;
        self.run_hooks_before_update(&before, &mut stack, &mut bucket, &extras)?;
        let pk = before.pk.clone();
        let mut write = self.transaction.empty_set();
        // Fast path: the record needs examination neither before nor after the change. So there is nothing to
        // validate, and its only index entries are its memberships. Both checks use the merged extras: if the
        // record had markers, `extras` has `custom_classes`, since an update cannot remove that key.
        if !self.needs_examination(&old_stack, &extras) && !self.needs_examination(&stack, &extras) {
            let bucket = bucket.as_ref().map_or_else(|| old.bucket.clone(), text);
            let state = State {
                bucket,
                stack: new_stack_text(old, &old_stack, &stack),
                extras: extras_text(&extras),
            };
            let updated_at = self.stage_state(id, before, Some(state), &mut write)?;
            if *old_stack != *stack {
                self.stage_membership_change(id, &pk, &old_stack, &stack, &mut write)?;
            }
            // An empty bucket is enough: `apply_record` uses the bucket only to describe conflicts of unique
            // values, and this record has no unique values.
            self.apply_record(write, id, (&stack, &Map::new()))?;
            return Ok(updated_at);
        }
        // The old bucket is parsed only if it is kept, or if index entries are derived from it.
        let (old_markers, markers) = (stored_markers(old.extras.as_deref())?, Markers::of(&extras));
        let needs_old_bucket = bucket.is_none() || self.derives_from_bucket(&old_stack, &old_markers);
        let old_bucket = if needs_old_bucket { parse_object(&old.bucket)? } else { Map::new() };
        let mut bucket = bucket.unwrap_or_else(|| old_bucket.clone());
        let old_content = (&*old_stack, &old_bucket);
        let definition = self
            .examine(&mut stack, &mut bucket, &extras, WriteKind::Update, &Place::Root)
            .and_then(|definition| {
                let mut faults = FaultList::default();
                self.report_changed_joins(old_content, (&stack, &bucket), &mut faults);
                faults.check().map(|()| definition)
            })
            .map_err(|error| {
                self.with_faults_of_later_phases(
                    error,
                    &RejectedWrite::update(id, old_content, (&stack, &bucket), &markers),
                )
            })?;
        if let Some(definition) = &definition {
            self.advance_time_past_former_definition(&definition.name);
        }
        let stack_text = new_stack_text(old, &old_stack, &stack);
        let state = State { bucket: text(&bucket), stack: stack_text, extras: extras_text(&extras) };
        let updated_at = self.stage_state(id, before, Some(state), &mut write)?;
        let old_record = (old_content, &old_markers);
        self.stage_entry_changes(id, old_record, ((&stack, &bucket), &markers), &mut write)?;
        self.defer_left_class_check_if_needed(&pk, &old_stack, &stack);
        self.apply_record(write, id, (&stack, &bucket))
            .and_then(|()| self.change_definition(id, defined_by(&old_stack, &old_bucket), definition))
            .map_err(|error| {
                self.with_faults_of_later_phases(
                    error,
                    &RejectedWrite::update(id, old_content, (&stack, &bucket), &markers),
                )
            })?;
        Ok(updated_at)
    }

    /// Adds the changes of the index entries of a record to a write set, and defers the check of its
    /// references.
    fn stage_entry_changes(
        &mut self,
        id: RowId,
        (before, old_markers): (StackAndBucket<'_>, &Markers),
        (after, markers): (StackAndBucket<'_>, &Markers),
        write: &mut WriteSet,
    ) -> Result<()> {
        let ((old_stack, _), (new_stack, _)) = (before, after);
        // An unchanged stack is borrowed from the record before the change, so the references are the same.
        let has_same_stack = std::ptr::eq(old_stack, new_stack);
        // With the same stack and no markers, the memberships are unchanged. All other index entries would be
        // derived from the bucket.
        if has_same_stack && markers.is_empty() && !self.derives_from_bucket(old_stack, old_markers) {
            return Ok(());
        }
        let old_entries = self.derive(id, before, old_markers, write)?.entries;
        let Derived { entries, references } = self.derive(id, after, markers, write)?;
        write.change_entries(old_entries, entries);
        self.defer_reference_checks(id, references);
        Ok(())
    }

    /// Adds the membership entries of the new stack to a write set, in place of those of the old stack, for a
    /// record without markers. If the record has left a class, defers the check of the references to the
    /// record.
    fn stage_membership_change(
        &mut self,
        id: RowId,
        pk: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        write: &mut WriteSet,
    ) -> Result<()> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let no_markers = Markers::default();
        self.derive_memberships(id, (old, &no_markers), &mut before, write)?;
        self.derive_memberships(id, (new, &no_markers), &mut after, write)?;
        write.change_entries(before, after);
        self.defer_left_class_check_if_needed(pk, old, new);
        Ok(())
    }

    /// Defers the check of references to the record, if it has left a class: a reference may require that
    /// class.
    fn defer_left_class_check_if_needed(
        &mut self,
        pk: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) {
        if !std::ptr::eq(old, new) && stack::leaves_a_class(old, new) {
            self.defer_left_class_check(pk);
        }
    }

    /// As [`find_active`](Self::find_active), for a write that may have the condition `if_updated_at`.
    ///
    /// # Errors
    /// `conflict`, if the record has another `updated_at`.
    pub(super) fn find_unchanged(&self, pk: &str, if_updated_at: Option<Timestamp>) -> Result<(RowId, Row)> {
        let (id, row) = self.find_active(pk)?;
        match if_updated_at.filter(|expected| *expected != row.updated_at) {
            Some(expected) => Err(stale_write(pk, expected, row.updated_at)),
            None => Ok((id, row)),
        }
    }
}

/// The text of the new stack of a record. An unchanged stack is not serialized again.
fn new_stack_text(old: &State, old_stack: &Map<String, Value>, new: &Map<String, Value>) -> String {
    if std::ptr::eq(old_stack, new) { old.stack.clone() } else { text(new) }
}

/// The stored bucket of an active record.
fn stored_bucket(row: &Row) -> Result<Map<String, Value>> {
    let state = row.state.as_ref().ok_or_else(|| corruption("an active record without a state"))?;
    parse_object(&state.bucket)
}

fn stale_write(pk: &str, expected: Timestamp, found: Timestamp) -> Error {
    Error::new(ErrorId::CONFLICT, "the record has changed since it was read")
        .with("pk", pk)
        .with("expected", expected.to_string())
        .with("found", found.to_string())
        .with("retryable", true)
}

/// The extras of a record after an update: those of the update, and the stored ones that the update leaves
/// out.
fn merge_extras(stored: Option<&str>, mut updated: Map<String, Value>) -> Result<Map<String, Value>> {
    if stored.is_none() && updated.is_empty() {
        return Ok(updated);
    }
    let mut stored = stored.map_or(Ok(Map::new()), parse_object)?;
    let entry = |key: &str| Some((key.to_owned(), updated.remove(key).or_else(|| stored.remove(key))?));
    Ok(EXTRA_KEYS.into_iter().filter_map(entry).collect())
}
