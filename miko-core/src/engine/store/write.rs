//! Creating, updating and deleting records, inside the transaction that the caller has opened.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::class::{Class, Definition, Purpose};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::refusal::Refused;
use crate::engine::store::{Store, broken};
use crate::engine::tables::{Row, State, Tables};
use crate::error::{Error, ErrorId, Result};
use crate::json::{self, Object};
use crate::query::{CreateRequest, DeleteRequest, StackInput, UpdateRequest};
use crate::record::PASS_THROUGH;
use crate::response::Results;
use crate::stack::{self, Stack};
use crate::timestamp::Timestamp;
use crate::uns;

impl<T: Tables> Store<T> {
    pub(super) fn create(&mut self, create: CreateRequest) -> Result<Results> {
        let CreateRequest { mut bucket, stack, extras } = create;
        let class = self.class_alone(&stack);
        let mut stack = new_stack(stack, class.as_deref());
        let mut definition = None;
        if self.has_rules(&stack, &extras) {
            definition = self
                .examine(&mut stack, &mut bucket, &extras, Purpose::Create, &Place::Root)
                .map_err(|error| self.with_all_faults(error, &Refused::new_record(None, &stack, &bucket)))?;
        }
        if let Some(definition) = &definition {
            self.wait_for_name(&definition.name);
        }
        let (seq, pk, now) = self.insert_record(&bucket, stack_text(&stack, class.as_deref()), &extras)?;
        self.enter_classes(seq, &stack)?;
        self.enter_values(seq, &stack, &bucket)
            .and_then(|()| self.change_definition(seq, None, definition))
            .map_err(|error| self.with_all_faults(error, &Refused::new_record(Some(seq), &stack, &bucket)))?;
        Ok(Results::Written { pk, updated_at: now })
    }

    /// The class, if a new record is of one class that is defined and nothing else: it has the stack at hand.
    pub(super) fn class_alone(&self, stack: &StackInput) -> Option<Arc<Class>> {
        match stack {
            StackInput::Primary(class) => self.catalog.class(class).cloned(),
            StackInput::Whole(_) => None,
        }
    }

    /// Writes the row of a new record.
    pub(super) fn insert_record(
        &mut self,
        bucket: &Map<String, Value>,
        stack: String,
        extras: &Map<String, Value>,
    ) -> Result<(i64, String, Timestamp)> {
        let now = self.moment.for_write()?;
        let row = Row {
            pk: self.pks.next(now),
            state: Some(State { bucket: text(bucket), stack, extras: extras_text(extras) }),
            created_at: now,
            updated_at: now,
            commit: self.next_commit(),
            instance: self.next_instance(now),
        };
        Ok((self.tables.insert(&row)?, row.pk, now))
    }

    /// Makes a new record a member of its classes.
    pub(super) fn enter_classes(&mut self, seq: i64, stack: &Map<String, Value>) -> Result<()> {
        stack::classes(stack).into_iter().try_for_each(|class| self.enter(class, seq))
    }

    pub(super) fn update(&mut self, update: UpdateRequest) -> Result<Results> {
        let UpdateRequest { pk, bucket, stack, extras, if_updated_at } = update;
        let (seq, before, old) = self.active(&pk)?;
        if let Some(expected) = if_updated_at.filter(|expected| *expected != before.updated_at) {
            return Err(conflict(pk, expected, before.updated_at));
        }
        let old_stack = map(&old.stack)?;
        let mut stack = Cow::Owned(match stack {
            None => old_stack.clone(),
            Some(StackInput::Primary(class)) => stack::replace_primary(old_stack.clone(), class),
            Some(StackInput::Whole(stack)) => stack.into_map(stack::take_shadow(&mut old_stack.clone())),
        });
        let extras = merged(old.extras.as_deref(), extras)?;
        let extras_text = extras_text(&extras);
        let state = |bucket: String, stack: &Map<String, Value>| State {
            bucket,
            stack: text(stack),
            extras: extras_text,
        };
        if !self.has_rules(&old_stack, &extras) && !self.has_rules(&stack, &extras) {
            let bucket = bucket.as_ref().map_or(old.bucket, text);
            let updated_at = self.overwrite(seq, before, state(bucket, &stack))?;
            self.move_membership(seq, &pk, &old_stack, &stack)?;
            return Ok(Results::Written { pk, updated_at });
        }
        let old_bucket = map(&old.bucket)?;
        let mut bucket = bucket.unwrap_or_else(|| old_bucket.clone());
        let before_update = (&old_stack, &old_bucket);
        let definition = self
            .examine(&mut stack, &mut bucket, &extras, Purpose::Update, &Place::Root)
            .and_then(|definition| {
                let mut faults = FaultList::default();
                self.note_changed_joins(before_update, (&stack, &bucket), &mut faults);
                faults.check().map(|()| definition)
            })
            .map_err(|error| {
                self.with_all_faults(error, &Refused::update(seq, before_update, (&stack, &bucket)))
            })?;
        if let Some(definition) = &definition {
            self.wait_for_name(&definition.name);
        }
        let updated_at = self.overwrite(seq, before, state(text(&bucket), &stack))?;
        self.move_membership(seq, &pk, &old_stack, &stack)?;
        self.unindex_values(seq, &old_stack, &old_bucket, &self.catalog.clone())?;
        self.enter_values(seq, &stack, &bucket)
            .and_then(|()| self.change_definition(seq, defined_by(&old_stack, &old_bucket), definition))
            .map_err(|error| {
                self.with_all_faults(error, &Refused::update(seq, before_update, (&stack, &bucket)))
            })?;
        Ok(Results::Written { pk, updated_at })
    }

    pub(super) fn delete(&mut self, delete: &DeleteRequest) -> Result<Results> {
        let pk = delete.pk.clone();
        let (seq, before, old) = match self.active(&pk) {
            Err(error) if delete.if_exists && is_absent(&error) => {
                return Ok(Results::Deleted { pk, deleted: false });
            }
            active => active?,
        };
        let stack = map(&old.stack)?;
        for class in stack::classes(&stack) {
            self.leave(class, seq)?;
        }
        self.write_state(seq, before, None)?;
        self.was_deleted(&pk);
        if self.is_indexed(&stack) {
            let bucket = map(&old.bucket)?;
            self.unindex_values(seq, &stack, &bucket, &self.catalog.clone())?;
            self.change_definition(seq, defined_by(&stack, &bucket), None)?;
        }
        Ok(Results::Deleted { pk, deleted: true })
    }

    /// Writes a stored record again: its new `updated_at`.
    fn overwrite(&mut self, seq: i64, before: Row, state: State) -> Result<Timestamp> {
        self.write_state(seq, before, Some(state))
    }

    /// Writes what a record says from now on, or a tombstone.
    pub(super) fn write_state(&mut self, seq: i64, before: Row, state: Option<State>) -> Result<Timestamp> {
        let updated_at = self.moment.max(before.updated_at.after()).for_write()?;
        let commit = self.next_commit();
        self.rewrite(seq, Row { state, updated_at, commit, ..before })?;
        Ok(updated_at)
    }

    /// Writes a row again. In a temporal database what it said becomes a version of the past.
    pub(super) fn rewrite(&mut self, seq: i64, row: Row) -> Result<()> {
        self.keep_for_streams(seq)?;
        if self.tables.is_temporal() {
            self.tables.archive(seq)?;
        }
        let instance = self.next_instance(row.updated_at);
        self.tables.rewrite(seq, &Row { instance, ..row })
    }

    /// The pk of a new version, if versions have any.
    pub(super) fn next_instance(&mut self, now: Timestamp) -> Option<String> {
        self.tables.is_temporal().then(|| self.pks.next(now))
    }

    /// Enters what other records and queries have to know of a record's values.
    pub(super) fn enter_values(
        &mut self,
        seq: i64,
        stack: &Map<String, Value>,
        bucket: &Map<String, Value>,
    ) -> Result<()> {
        if !self.is_indexed(stack) {
            return Ok(());
        }
        let mut faults = FaultList::default();
        self.index_values(seq, stack, bucket, &mut faults)?;
        faults.check()
    }

    /// A record that defined `old`, or nothing, now is the definition `new`, or none.
    fn change_definition(&mut self, seq: i64, old: Option<String>, new: Option<Definition>) -> Result<()> {
        if old.is_none() && new.is_none() {
            return Ok(());
        }
        if let Some(name) = &old {
            self.leave_name(seq, name)?;
        }
        if let Some(definition) = &new {
            self.enter_name(seq, &definition.name)?;
        }
        let name = new.as_ref().map(|definition| definition.name.clone());
        let removed: Vec<String> = old.filter(|old| name.as_ref() != Some(old)).into_iter().collect();
        for class in &removed {
            self.refuse_if_inherited(class)?;
        }
        self.redefine(new.into_iter().collect(), &removed)
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

    /// Brings membership up to date with a new stack.
    fn move_membership(
        &mut self,
        seq: i64,
        pk: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result<()> {
        let (old, new) = (stack::classes(old), stack::classes(new));
        let left: Vec<_> = old.iter().filter(|class| !new.contains(class)).collect();
        for class in &left {
            self.leave(class, seq)?;
        }
        if !left.is_empty() {
            self.was_reclassed(pk);
        }
        for class in new.iter().filter(|class| !old.contains(class)) {
            self.enter(class, seq)?;
        }
        Ok(())
    }

    /// Makes a record a member of a class that it is not a member of.
    pub(super) fn enter(&mut self, class: &str, seq: i64) -> Result<()> {
        if class == uns::CLASS && self.tables.is_temporal() {
            self.tables.enter_definition(seq)?;
        }
        let class = self.tables.class_id(class)?;
        self.tables.enter(class, seq)
    }

    pub(super) fn leave(&mut self, class: &str, seq: i64) -> Result<()> {
        let class = self.tables.class_id(class)?;
        self.tables.leave(class, seq)
    }

    /// A record that is active: its number, its row and what it says, which is taken out of the row.
    fn active(&self, pk: &str) -> Result<(i64, Row, State)> {
        let Some((seq, mut row)) = self.tables.find(pk)? else {
            return Err(Error::new(ErrorId::RECORD_NOT_FOUND, "no record has this pk").with("pk", pk));
        };
        match row.state.take() {
            Some(state) => Ok((seq, row, state)),
            None => Err(Error::new(ErrorId::RECORD_DELETED, "the record was deleted").with("pk", pk)),
        }
    }
}

/// The stack of a new record, as its class has it at hand or as it is given.
pub(super) fn new_stack(given: StackInput, class: Option<&Class>) -> Cow<'_, Map<String, Value>> {
    match (class, given) {
        (Some(class), _) => Cow::Borrowed(&class.stack),
        (None, StackInput::Primary(class)) => Cow::Owned(Stack::of_class(class).into_map(None)),
        (None, StackInput::Whole(stack)) => Cow::Owned(stack.into_map(None)),
    }
}

/// The text of a [`new_stack`], which is written here only if it is not its class's.
pub(super) fn stack_text(stack: &Map<String, Value>, class: Option<&Class>) -> String {
    match class {
        Some(class) if std::ptr::eq(stack, &class.stack) => class.stack_text.clone(),
        _ => text(stack),
    }
}

/// The class that a record defines, if it is a definition.
pub(super) fn defined_by(stack: &Map<String, Value>, bucket: &Map<String, Value>) -> Option<String> {
    if !stack::classes(stack).contains(&uns::CLASS) {
        return None;
    }
    // An imported definition is stored as it came, with a protocol if it had one.
    uns::parse(bucket.get("name")?.as_str()?).ok().map(str::to_owned)
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

pub(super) fn text(map: &Map<String, Value>) -> String {
    Object::from(map).into_string()
}

pub(super) fn extras_text(extras: &Map<String, Value>) -> Option<String> {
    (!extras.is_empty()).then(|| text(extras))
}

/// What the record carries, with `extras` in place of what it carries under the same keys.
fn merged(before: Option<&str>, mut extras: Map<String, Value>) -> Result<Map<String, Value>> {
    let mut before = before.map_or(Ok(Map::new()), map)?;
    let value = |key: &str| Some((key.to_owned(), extras.remove(key).or_else(|| before.remove(key))?));
    Ok(PASS_THROUGH.into_iter().filter_map(value).collect())
}

pub(super) fn map(stored: &str) -> Result<Map<String, Value>> {
    json::object_from_text(stored).map_err(broken)
}
