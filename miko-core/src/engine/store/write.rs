//! Creating, updating and deleting records, as a part of the running write.

use std::borrow::Cow;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result};
use serde_json::{Map, Value};

use crate::class::{Class, Definition, WriteKind};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::{Derived, StackAndBucket};
use crate::engine::store::refusal::Refused;
use crate::engine::store::stored_json::{defined_by, extras_text, map, text};
use crate::query::{CreateRequest, DeleteRequest, StackInput, UpdateRequest};
use crate::record::EXTRA_KEYS;
use crate::response::Results;
use crate::stack::{self, Stack};
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::{RowChange, WriteSet};
use crate::storage::{Storage, broken};
use crate::timestamp::Timestamp;

impl<T: Storage> Store<T> {
    pub(super) fn create(&mut self, create: CreateRequest) -> Result<Results> {
        let CreateRequest { mut bucket, stack, extras } = create;
        let class = self.class_alone(&stack);
        let mut stack = new_stack(stack, class.as_deref());
        let mut definition = None;
        if class.is_some() || self.has_rules(&stack, &extras) {
            definition = self
                .examine(&mut stack, &mut bucket, &extras, WriteKind::Create, &Place::Root)
                .map_err(|error| self.with_all_faults(error, &Refused::new_record(None, &stack, &bucket)))?;
        }
        if let Some(definition) = &definition {
            self.wait_for_name(&definition.name);
        }
        let mut write = self.transaction.empty_set();
        let stack_text = stack_text(&stack, class.as_deref());
        let (id, pk, now) = self.insert_record(&bucket, stack_text, &extras, &mut write)?;
        let Derived { entries, references } = self.derive(id, (&stack, &bucket), &mut write)?;
        write.change_entries(Vec::new(), entries);
        self.require(id, references);
        self.apply_record(write, id, (&stack, &bucket))
            .and_then(|()| self.change_definition(id, None, definition))
            .map_err(|error| self.with_all_faults(error, &Refused::new_record(Some(id), &stack, &bucket)))?;
        Ok(Results::Written { pk, updated_at: now })
    }

    /// The class, if a new record is of one defined class alone: the class has the stack ready.
    pub(super) fn class_alone(&self, stack: &StackInput) -> Option<Arc<Class>> {
        match stack {
            StackInput::Primary(class) => self.catalog.class(class).cloned(),
            StackInput::Whole(_) => None,
        }
    }

    /// Adds the row of a new record to a write set. Returns its number, its pk and its time.
    pub(super) fn insert_record(
        &mut self,
        bucket: &Map<String, Value>,
        stack: String,
        extras: &Map<String, Value>,
        write: &mut WriteSet,
    ) -> Result<(RowId, String, Timestamp)> {
        let now = self.moment.for_write()?;
        let pk = self.pks.next(now);
        let row = Row {
            pk: pk.clone(),
            state: Some(State { bucket: text(bucket), stack, extras: extras_text(extras) }),
            created_at: now,
            updated_at: now,
            commit: self.next_commit(),
            instance_pk: self.next_instance_pk(now),
        };
        let id = self.next_row_id();
        write.change_row(RowChange::insert(id, row));
        Ok((id, pk, now))
    }

    /// Applies the change of one row, and nothing else.
    pub(super) fn apply_row(&mut self, change: RowChange<RowId, Row>) -> Result<()> {
        self.apply(WriteSet { rows: vec![change], ..WriteSet::default() }).map(drop)
    }

    /// Applies what a write does to one record.
    ///
    /// # Errors
    /// `unique-violation`, if other records have unique values of it.
    pub(super) fn apply_record(
        &mut self,
        write: WriteSet,
        id: RowId,
        record: StackAndBucket<'_>,
    ) -> Result<()> {
        if self.apply(write)?.is_empty() {
            return Ok(());
        }
        let mut faults = FaultList::default();
        self.note_taken_values(Some(id), record, &mut faults)?;
        faults.check()?;
        Err(broken("a unique value belongs to a record that does not have it"))
    }

    pub(super) fn update(&mut self, update: UpdateRequest) -> Result<Results> {
        let UpdateRequest { pk, bucket, stack, extras, if_updated_at } = update;
        let (id, before) = self.active(&pk)?;
        if let Some(expected) = if_updated_at.filter(|expected| *expected != before.updated_at) {
            return Err(conflict(pk, expected, before.updated_at));
        }
        let old = before.state.as_ref().ok_or_else(|| broken("an active record without a state"))?;
        let old_stack = map(&old.stack)?;
        let mut stack = Cow::Owned(match stack {
            None => old_stack.clone(),
            Some(StackInput::Primary(class)) => stack::replace_primary(old_stack.clone(), class),
            Some(StackInput::Whole(stack)) => stack.into_map(stack::take_shadow(&mut old_stack.clone())),
        });
        let extras = merged(old.extras.as_deref(), extras)?;
        let mut write = self.transaction.empty_set();
        if !self.has_rules(&old_stack, &extras) && !self.has_rules(&stack, &extras) {
            let bucket = bucket.as_ref().map_or_else(|| old.bucket.clone(), text);
            let state = State { bucket, stack: text(&stack), extras: extras_text(&extras) };
            let updated_at = self.write_state(id, before, Some(state), &mut write)?;
            if old_stack != *stack {
                self.move_membership(id, &pk, &old_stack, &stack, &mut write)?;
            }
            self.apply_record(write, id, (&stack, &Map::new()))?;
            return Ok(Results::Written { pk, updated_at });
        }
        let old_bucket = map(&old.bucket)?;
        let mut bucket = bucket.unwrap_or_else(|| old_bucket.clone());
        let before_update = (&old_stack, &old_bucket);
        let definition = self
            .examine(&mut stack, &mut bucket, &extras, WriteKind::Update, &Place::Root)
            .and_then(|definition| {
                let mut faults = FaultList::default();
                self.note_changed_joins(before_update, (&stack, &bucket), &mut faults);
                faults.check().map(|()| definition)
            })
            .map_err(|error| {
                self.with_all_faults(error, &Refused::update(id, before_update, (&stack, &bucket)))
            })?;
        if let Some(definition) = &definition {
            self.wait_for_name(&definition.name);
        }
        let state = State { bucket: text(&bucket), stack: text(&stack), extras: extras_text(&extras) };
        let updated_at = self.write_state(id, before, Some(state), &mut write)?;
        let old_entries = self.derive(id, before_update, &mut write)?.entries;
        let Derived { entries, references } = self.derive(id, (&stack, &bucket), &mut write)?;
        write.change_entries(old_entries, entries);
        self.require(id, references);
        self.note_left_classes(&pk, &old_stack, &stack);
        self.apply_record(write, id, (&stack, &bucket))
            .and_then(|()| self.change_definition(id, defined_by(&old_stack, &old_bucket), definition))
            .map_err(|error| {
                self.with_all_faults(error, &Refused::update(id, before_update, (&stack, &bucket)))
            })?;
        Ok(Results::Written { pk, updated_at })
    }

    pub(super) fn delete(&mut self, delete: &DeleteRequest) -> Result<Results> {
        let pk = delete.pk.clone();
        let (id, before) = match self.active(&pk) {
            Err(error) if delete.if_exists && is_absent(&error) => {
                return Ok(Results::Deleted { pk, deleted: false });
            }
            active => active?,
        };
        let old = before.state.as_ref().ok_or_else(|| broken("an active record without a state"))?;
        let stack = map(&old.stack)?;
        // The bucket matters only if something is derived from it.
        let bucket = if self.is_indexed(&stack) { map(&old.bucket)? } else { Map::new() };
        let mut write = self.transaction.empty_set();
        let entries = self.derive(id, (&stack, &bucket), &mut write)?.entries;
        write.change_entries(entries, Vec::new());
        self.write_state(id, before, None, &mut write)?;
        self.was_deleted(&pk);
        self.apply_record(write, id, (&stack, &bucket))?;
        self.change_definition(id, defined_by(&stack, &bucket), None)?;
        Ok(Results::Deleted { pk, deleted: true })
    }

    /// Adds the new state of a stored record to a write set, or a tombstone. Returns its `updated_at`.
    pub(super) fn write_state(
        &mut self,
        id: RowId,
        before: Row,
        state: Option<State>,
        write: &mut WriteSet,
    ) -> Result<Timestamp> {
        let updated_at = self.moment.max(before.updated_at.after()).for_write()?;
        let (pk, created_at) = (before.pk.clone(), before.created_at);
        let (commit, instance_pk) = (self.next_commit(), self.next_instance_pk(updated_at));
        let after = Row { pk, state, created_at, updated_at, commit, instance_pk };
        self.replace_row(id, before, after, write);
        Ok(updated_at)
    }

    /// Adds the new row of a stored record to a write set. In a temporal database the one before it becomes a
    /// past version.
    pub(super) fn replace_row(&self, id: RowId, before: Row, after: Row, write: &mut WriteSet) {
        if self.is_temporal {
            write.versions.push(RowChange::insert(id, before.clone()));
        }
        write.change_row(RowChange::replace(id, before, after));
    }

    /// The pk of a new version, in a temporal database.
    pub(super) fn next_instance_pk(&mut self, now: Timestamp) -> Option<String> {
        self.is_temporal.then(|| self.pks.next(now))
    }

    /// Redefines classes, if a record that defined `old` now is the definition `new`.
    fn change_definition(&mut self, id: RowId, old: Option<String>, new: Option<Definition>) -> Result<()> {
        if old.is_none() && new.is_none() {
            return Ok(());
        }
        if let Some(name) = &old {
            self.leave_name(id, name)?;
        }
        if let Some(definition) = &new {
            self.enter_name(id, &definition.name)?;
        }
        let name = new.as_ref().map(|definition| definition.name.clone());
        let removed: Vec<String> = old.filter(|old| name.as_ref() != Some(old)).into_iter().collect();
        for class in &removed {
            self.refuse_if_inherited(class)?;
        }
        self.redefine(new.into_iter().collect(), &removed, self.last.get().commit)
    }

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

    /// Adds the changes of the memberships of a record to a write set.
    fn move_membership(
        &mut self,
        id: RowId,
        pk: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
        write: &mut WriteSet,
    ) -> Result<()> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        self.derive_members(id, old, &mut before, write)?;
        self.derive_members(id, new, &mut after, write)?;
        write.change_entries(before, after);
        self.note_left_classes(pk, old, new);
        Ok(())
    }

    fn note_left_classes(&mut self, pk: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        let (old, new) = (stack::classes(old), stack::classes(new));
        if old.iter().any(|class| !new.contains(class)) {
            self.was_reclassed(pk);
        }
    }

    /// An active record: its number and its row.
    fn active(&self, pk: &str) -> Result<(RowId, Row)> {
        match self.storage.find(pk)? {
            None => Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk)),
            Some((_, Row { state: None, .. })) => {
                Err(Error::new(ErrorId::RECORD_DELETED, "the record was deleted").with("pk", pk))
            }
            Some(found) => Ok(found),
        }
    }
}

/// The stack of a new record: that of its class, or the one given.
pub(super) fn new_stack(given: StackInput, class: Option<&Class>) -> Cow<'_, Map<String, Value>> {
    match (class, given) {
        (Some(class), _) => Cow::Borrowed(&class.stack),
        (None, StackInput::Primary(class)) => Cow::Owned(Stack::of_class(class).into_map(None)),
        (None, StackInput::Whole(stack)) => Cow::Owned(stack.into_map(None)),
    }
}

/// The text of a [`new_stack`]. That of a class is ready.
pub(super) fn stack_text(stack: &Map<String, Value>, class: Option<&Class>) -> String {
    match class {
        Some(class) if std::ptr::eq(stack, &class.stack) => class.stack_text.clone(),
        _ => text(stack),
    }
}

fn is_absent(error: &Error) -> bool {
    [ErrorId::RECORD_NOT_FOUND, ErrorId::RECORD_DELETED].contains(error.id())
}

fn conflict(pk: String, expected: Timestamp, found: Timestamp) -> Error {
    Error::new(ErrorId::CONFLICT, "the record has changed since it was read")
        .with("pk", pk)
        .with("expected", expected.to_string())
        .with("found", found.to_string())
        .with("retryable", true)
}

/// The extras of a record, with `extras` in place of those under the same keys.
fn merged(before: Option<&str>, mut extras: Map<String, Value>) -> Result<Map<String, Value>> {
    let mut before = before.map_or(Ok(Map::new()), map)?;
    let value = |key: &str| Some((key.to_owned(), extras.remove(key).or_else(|| before.remove(key))?));
    Ok(EXTRA_KEYS.into_iter().filter_map(value).collect())
}
