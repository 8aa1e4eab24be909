//! Changes the buckets of records as JSON text: replaces them, or applies edits to them.
//!
//! As in [`text_creates`](super::text_creates), text that surely has no fault is stored without being parsed.
//! Any other text is parsed, and the record is changed as by the action `update` or `edit`
//! ([`update`](super::update)).

use std::sync::Arc;

use miko_rpc::{Error, Result};
use serde_json::Value;

use crate::bucket::Bucket;
use crate::class::{AcceptedText, Class, ConstraintKind, Markers, WriteKind};
use crate::engine::store::Store;
use crate::engine::store::refusal::RejectedWrite;
use crate::engine::store::stored_json::parse_object;
use crate::query::{self, Edit, UpdateRequest};
use crate::response::Results;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::{Storage, corruption};
use crate::timestamp::Timestamp;
use crate::uns;

/// A stored record whose new bucket can be checked, and then stored, as text.
struct CheckableRecord<'r> {
    state: &'r State,
    /// The class of the record; `None` if it is not defined.
    class: Option<Arc<Class>>,
}

/// A new bucket of a stored record, which is ready to be stored.
pub(super) struct AcceptedUpdate {
    text: String,
    /// The class of the record; `None` if it is not defined.
    class: Option<Arc<Class>>,
    /// The index keys of the bucket before the update, each with the position of its constraint in
    /// `Class::constraints`.
    old_keys: Vec<(usize, String)>,
    /// The index keys of the bucket after the update.
    new_keys: Vec<(usize, String)>,
}

impl<T: Storage> Store<T> {
    /// Replaces the bucket of a record. Returns the new `updated_at`.
    ///
    /// # Errors
    /// `action-not-supported`, if the store only appends; the errors of [`update`](Self::update).
    pub(in crate::engine) fn update_one(&mut self, pk: &str, bucket: Bucket) -> Result<Timestamp> {
        let request = || UpdateRequest::of_bucket(pk, bucket.to_value()?);
        let updated = self.write(self.sharing_of_update(pk), |store| {
            store.check_may_change("update")?;
            if let Some(updated_at) = store.replace_bucket(pk, bucket.as_str())? {
                return Ok(updated_at);
            }
            match store.update(request()?)? {
                Results::Written { updated_at, .. } => Ok(updated_at),
                _ => Err(corruption("the results of an update are those of another action")),
            }
        });
        // If the bucket itself has a fault, that fault is the error, whatever else has failed: a request is
        // parsed before it runs.
        updated.map_err(|error| request().err().unwrap_or(error))
    }

    /// Replaces the bucket of a record by a text. Returns the new `updated_at`; `None` if the text has to be
    /// parsed: nothing is changed then.
    fn replace_bucket(&mut self, pk: &str, bucket: &str) -> Result<Option<Timestamp>> {
        let (id, before) = self.find_active(pk)?;
        let Some(record) = self.checkable_record(&before)? else { return Ok(None) };
        match self.accept_update(record, bucket) {
            Some(accepted) => self.store_update(id, before, accepted).map(Some),
            None => Ok(None),
        }
    }

    /// Applies edits to the text of a bucket. Returns the new bucket, and for each edit the value that the
    /// answer has for it; `None` if the bucket has to be parsed.
    pub(super) fn accept_edits(
        &mut self,
        before: &Row,
        edits: &[Edit],
    ) -> Result<Option<(AcceptedUpdate, Vec<Value>)>> {
        let Some(record) = self.checkable_record(before)? else { return Ok(None) };
        let edited = query::apply_edits_to_text(&record.state.bucket, edits, &mut self.text_checker);
        Ok(edited.and_then(|(text, values)| Some((self.accept_update(record, &text)?, values))))
    }

    /// A record, if its new bucket can be checked as text. `None` if the bucket has to be parsed: there are
    /// hooks, which get parsed buckets; the write allows taken unique values until its end; the record has
    /// extras, which may have markers; it has several platters, or an own bucket; it is a class definition;
    /// its class has rules that are not checked as text; or a strict database refuses its class.
    fn checkable_record<'r>(&self, before: &'r Row) -> Result<Option<CheckableRecord<'r>>> {
        let may_be_text = self.hooks.is_empty() && !self.deferred.allows_taken_values;
        let Some(state) = before.state.as_ref().filter(|old| may_be_text && old.extras.is_none()) else {
            return Ok(None);
        };
        let stack = self.parsed_stacks.parse(&state.stack)?;
        let Some(name) = stack::sole_class(&stack).filter(|name| *name != uns::CLASS) else {
            return Ok(None);
        };
        let class = self.catalog.class(name).cloned();
        let is_checkable = match &class {
            Some(class) => class.is_checkable_as_text(),
            None => !self.strict || uns::is_built_in(name),
        };
        Ok(is_checkable.then_some(CheckableRecord { state, class }))
    }

    /// Checks the text of a new bucket of a record. `None` if it has to be parsed.
    fn accept_update(&mut self, record: CheckableRecord<'_>, bucket: &str) -> Option<AcceptedUpdate> {
        let CheckableRecord { state, class } = record;
        let checker = &mut self.text_checker;
        let Some(class) = class else {
            checker.check(bucket)?;
            let text = bucket.to_owned();
            return Some(AcceptedUpdate { text, class: None, old_keys: Vec::new(), new_keys: Vec::new() });
        };
        let AcceptedText { text, keys: new_keys } =
            class.accept_text(&self.catalog, bucket, WriteKind::Update, checker)?;
        let old_keys = class.keys_of_text(&state.bucket, checker)?;
        let is_join = |kind: ConstraintKind| kind == ConstraintKind::Join;
        if old_keys != new_keys && class.constraints.iter().any(|constraint| is_join(constraint.kind)) {
            // An update must not change the values of a join. Whether this one does is checked on the parsed
            // bucket.
            return None;
        }
        Some(AcceptedUpdate { text: text.into_owned(), class: Some(class), old_keys, new_keys })
    }

    /// Stores a bucket that was accepted, as a part of the running write. Returns the new `updated_at`.
    ///
    /// # Errors
    /// `unique-violation`, with the faults of the later phases ([`refusal`](super::refusal)); the errors of
    /// storage.
    pub(super) fn store_update(
        &mut self,
        id: RowId,
        before: Row,
        accepted: AcceptedUpdate,
    ) -> Result<Timestamp> {
        let AcceptedUpdate { text, class, old_keys, new_keys } = accepted;
        let old = before.state.as_ref().ok_or_else(|| corruption("an active record without a state"))?;
        let state = State { bucket: text, stack: old.stack.clone(), extras: None };
        // The class, if index entries have to change.
        let class_to_index = class.filter(|_| old_keys != new_keys);
        // After a conflict both states are needed to describe the `unique-violation`.
        let may_conflict = class_to_index.as_ref().is_some_and(|class| class.has_unique_values());
        let states = may_conflict.then(|| (old.clone(), state.clone()));
        let mut write = self.transaction.empty_set();
        let updated_at = self.stage_state(id, before, Some(state), &mut write)?;
        if let Some(class) = &class_to_index {
            let (mut removed, mut added) = (Vec::new(), Vec::new());
            self.derive_from_keys(id, class, old_keys, &mut removed, &mut write)?;
            self.derive_from_keys(id, class, new_keys, &mut added, &mut write)?;
            write.change_entries(removed, added);
        }
        // There are no hooks to run: a database with hooks accepts no text.
        let conflicts = self.apply_after_hooks(write)?;
        match states {
            _ if conflicts.is_empty() => Ok(updated_at),
            Some((old, new)) => Err(self.update_conflict_error(id, &old, &new)?),
            None => Err(corruption("a write without unique values conflicts with another record")),
        }
    }

    /// The error of an update to unique values that other records have.
    fn update_conflict_error(&self, id: RowId, old: &State, new: &State) -> Result<Error> {
        let stack = self.parsed_stacks.parse(&new.stack)?;
        let (old_bucket, bucket) = (parse_object(&old.bucket)?, parse_object(&new.bucket)?);
        let markers = Markers::default();
        self.conflict_error(&RejectedWrite::update(id, (&stack, &old_bucket), (&stack, &bucket), &markers))
    }
}
