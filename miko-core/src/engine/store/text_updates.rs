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

/// A new bucket of a stored record, which is ready to be stored.
pub(super) struct AcceptedUpdate {
    text: String,
    /// The class of the record; `None` if it is not defined.
    class: Option<Arc<Class>>,
    /// The index keys of the bucket before the update, each with the position of its constraint in
    /// `Class::constraints`.
    old_keys: Vec<(usize, String)>,
    /// The same after the update.
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
        // A fault of the bucket itself precedes all others, as it does in a request.
        updated.map_err(|error| request().err().unwrap_or(error))
    }

    /// Replaces the bucket of a record by a text. `None` if the text has to be parsed: nothing is changed
    /// then.
    fn replace_bucket(&mut self, pk: &str, bucket: &str) -> Result<Option<Timestamp>> {
        let (id, before) = self.find_active(pk)?;
        match self.accept_update(&before, bucket)? {
            Some(accepted) => self.store_update(id, before, accepted).map(Some),
            None => Ok(None),
        }
    }

    /// Applies edits to the text of a bucket. Returns the new bucket and the values of the edits; `None` if
    /// the bucket has to be parsed.
    pub(super) fn accept_edits(
        &mut self,
        before: &Row,
        edits: &[Edit],
    ) -> Result<Option<(AcceptedUpdate, Vec<Value>)>> {
        let Some(old) = self.state_for_text(before) else { return Ok(None) };
        let Some((text, values)) = query::apply_edits_to_text(&old.bucket, edits, &mut self.text_checker)
        else {
            return Ok(None);
        };
        Ok(self.accept_update(before, &text)?.map(|accepted| (accepted, values)))
    }

    /// The state of a record whose new bucket may be stored as text. `None` if it has to be parsed: hooks get
    /// parsed buckets, extras may have class markers, and a unique value that another record has may be
    /// allowed until the end of the write.
    fn state_for_text<'r>(&self, before: &'r Row) -> Option<&'r State> {
        let may_be_text = self.hooks.is_empty() && !self.deferred.allows_taken_values;
        before.state.as_ref().filter(|old| may_be_text && old.extras.is_none())
    }

    /// Checks the text of a new bucket of a record. `None` if it has to be parsed.
    fn accept_update(&mut self, before: &Row, bucket: &str) -> Result<Option<AcceptedUpdate>> {
        let Some(old) = self.state_for_text(before) else { return Ok(None) };
        let stack = self.parsed_stacks.parse(&old.stack)?;
        let Some(name) = stack::sole_class(&stack).filter(|name| *name != uns::CLASS) else {
            return Ok(None);
        };
        let checker = &mut self.text_checker;
        let Some(class) = self.catalog.class(name) else {
            let is_allowed = !self.strict || uns::is_built_in(name);
            let is_accepted = is_allowed && checker.check(bucket).is_some();
            return Ok(is_accepted.then(|| AcceptedUpdate {
                text: bucket.to_owned(),
                class: None,
                old_keys: Vec::new(),
                new_keys: Vec::new(),
            }));
        };
        let Some(AcceptedText { text, keys: new_keys }) =
            class.accept_text(&self.catalog, bucket, WriteKind::Update, checker)
        else {
            return Ok(None);
        };
        let Some(old_keys) = class.keys_of_text(&old.bucket, checker) else { return Ok(None) };
        if old_keys != new_keys && has_constraint(class, ConstraintKind::Join) {
            // An update must not change the values of a join. Whether it does is checked on the parsed
            // bucket.
            return Ok(None);
        }
        Ok(Some(AcceptedUpdate {
            text: text.into_owned(),
            class: Some(Arc::clone(class)),
            old_keys,
            new_keys,
        }))
    }

    /// Stores a bucket that was accepted, as a part of the running write. Returns the new `updated_at`.
    ///
    /// # Errors
    /// `unique-violation`.
    pub(super) fn store_update(
        &mut self,
        id: RowId,
        before: Row,
        accepted: AcceptedUpdate,
    ) -> Result<Timestamp> {
        let AcceptedUpdate { text, class, old_keys, new_keys } = accepted;
        let old = before.state.as_ref().ok_or_else(|| corruption("an active record without a state"))?;
        let state = State { bucket: text, stack: old.stack.clone(), extras: None };
        let changed_keys = class.filter(|_| old_keys != new_keys);
        // The states are kept to describe a `unique-violation`. Only a value of a `Unique` constraint can
        // conflict: an update that changes index keys is accepted only if the class has no join.
        let states = changed_keys
            .as_ref()
            .filter(|class| has_constraint(class, ConstraintKind::Unique))
            .map(|_| (old.clone(), state.clone()));
        let mut write = self.transaction.empty_set();
        let updated_at = self.stage_state(id, before, Some(state), &mut write)?;
        if let Some(class) = &changed_keys {
            let (mut removed, mut added) = (Vec::new(), Vec::new());
            self.derive_from_keys(id, class, old_keys, &mut removed, &mut write)?;
            self.derive_from_keys(id, class, new_keys, &mut added, &mut write)?;
            write.change_entries(removed, added);
        }
        // There are no hooks: a database with hooks accepts no text.
        let conflicts = self.apply_after_hooks(write)?;
        match states {
            Some((old, new)) if !conflicts.is_empty() => Err(self.conflict_of_update(id, &old, &new)?),
            _ => Ok(updated_at),
        }
    }

    /// The error of an update to unique values that other records have.
    fn conflict_of_update(&self, id: RowId, old: &State, new: &State) -> Result<Error> {
        let stack = self.parsed_stacks.parse(&new.stack)?;
        let (old_bucket, bucket) = (parse_object(&old.bucket)?, parse_object(&new.bucket)?);
        let markers = Markers::default();
        self.conflict_error(&RejectedWrite::update(id, (&stack, &old_bucket), (&stack, &bucket), &markers))
    }
}

fn has_constraint(class: &Class, kind: ConstraintKind) -> bool {
    class.constraints.iter().any(|constraint| constraint.kind == kind)
}
