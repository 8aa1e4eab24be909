//! The action `upsert`: changes the record that has a key, or creates it.

use std::sync::Arc;

use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use serde_json::{Map, Value};

use crate::class::{Class, Constraint, Markers, Normalizer, WriteKind};
use crate::diagnostics::Place;
use crate::engine::store::Store;
use crate::engine::store::index_entries::{facets, unique_violation, unique_violation_with};
use crate::engine::store::stored_json::parse_object;
use crate::engine::store::taken_values::ambiguous_key_error;
use crate::json;
use crate::query::{self, CreateRequest, Edit, StackInput, UpsertRequest};
use crate::response::Results;
use crate::stack;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::storage::{Storage, corruption};
use crate::timestamp::Timestamp;

/// The key of an upsert: the values of the fields of one unique constraint of the class.
struct Key {
    class: Arc<Class>,
    /// The position of the constraint in `Class::constraints`.
    constraint: usize,
    /// The key as an object, normalized.
    object: Map<String, Value>,
    /// The index key of the values.
    text: String,
}

impl Key {
    fn constraint(&self) -> &Constraint {
        &self.class.constraints[self.constraint]
    }

    /// Whether a bucket has the key.
    fn is_in(&self, bucket: &Map<String, Value>) -> bool {
        self.class.key(self.constraint(), bucket).as_ref() == Some(&self.text)
    }
}

impl<T: Storage> Store<T> {
    /// Changes the record that has the key: by the edits, or if there are none, by a patch with the bucket.
    /// If no record has the key, creates one from the key, the bucket and the edits.
    ///
    /// # Errors
    /// `class-not-found`; `invalid_request` for a key that fits no constraint, or a bucket that contradicts
    /// the key; `unique-violation`, if a record of another class has the key, or a record has it in the own
    /// bucket of a platter; `conflict` in a batch, if one record has the key, and an earlier request gave the
    /// key to a second record, which waits until the first one gives it up (see
    /// [`taken_values`](super::taken_values)); the errors of a create, of a patch and of an edit.
    pub(super) fn upsert(&mut self, upsert: UpsertRequest) -> Result<Results> {
        let UpsertRequest { class, key, bucket, edits } = upsert;
        let key = self.read_key(&class, key)?;
        let new_bucket = self.new_bucket(&key, bucket.clone())?;
        let found = self.find_by_key(&key)?;
        let created = found.is_none();
        let (pk, updated_at, values) = match (found, edits) {
            (Some((id, before)), Some(edits)) => {
                let pk = before.pk.clone();
                let (updated_at, values) = self.edit_record(id, before, edits)?;
                (pk, updated_at, values)
            }
            (Some((id, before)), None) => {
                (before.pk.clone(), self.patch_record(id, before, bucket)?, Vec::new())
            }
            (None, edits) => self.create_by_key(&key, new_bucket, edits)?,
        };
        Ok(Results::Upserted { pk, updated_at, created, values })
    }

    /// Whether an upsert would change a record that is also a class definition: its stack has
    /// `puck.uno/class` beside the class of the upsert. `false` on an error: the request itself then reports
    /// the error.
    pub(super) fn upserts_definition(&self, upsert: &UpsertRequest) -> bool {
        let key = self.read_key(&upsert.class, upsert.key.clone());
        let found = key.and_then(|key| self.find_by_key(&key));
        found.is_ok_and(|found| found.is_some_and(|(_, row)| self.is_definition(&row.pk)))
    }

    /// Reads the key of a request: finds the unique constraint that has the fields of the key, and normalizes
    /// the key.
    fn read_key(&self, class: &str, object: Map<String, Value>) -> Result<Key> {
        let class = self.catalog.class(class).ok_or_else(|| class_not_defined(class))?;
        let constraint = class.constraint_of_key(&object).ok_or_else(|| key_fits_no_constraint(class))?;
        let object = self.normalized(class, object, WriteKind::Update)?;
        let text = class.key(&class.constraints[constraint], &object).ok_or_else(|| {
            let message = "a null in the key: records with a null there are not told apart by it";
            Place::Key(&Place::Root, "key").fault(message)
        })?;
        Ok(Key { class: Arc::clone(class), constraint, object, text })
    }

    /// The bucket of a new record: the key, merged with `patch`, the bucket of the request. Defaults and
    /// edits are missing: [`create_by_key`](Self::create_by_key) applies them. The bucket is also computed if
    /// a record has the key already, since a `patch` that contradicts the key is refused in either case.
    fn new_bucket(&self, key: &Key, patch: Map<String, Value>) -> Result<Map<String, Value>> {
        let mut bucket = key.object.clone();
        json::merge(&mut bucket, patch);
        let bucket = self.normalized(&key.class, bucket, WriteKind::Update)?;
        if key.is_in(&bucket) {
            return Ok(bucket);
        }
        let message =
            "the bucket has another value in a field of the key: leave it out, or change it by `edits`";
        Err(Place::Key(&Place::Root, "bucket").fault(message).into())
    }

    /// Normalizes a bucket, or a key, by the class, as a write of this kind does. Only [`WriteKind::Create`]
    /// adds defaults.
    ///
    /// # Errors
    /// `validation-failed`, if defaults are too many or nest too deep. The place of the fault is always in
    /// `bucket`: a key gets no defaults, so it cannot have this fault.
    fn normalized(
        &self,
        class: &Class,
        mut bucket: Map<String, Value>,
        kind: WriteKind,
    ) -> Result<Map<String, Value>> {
        let markers = Markers::default();
        let mut normalizer = Normalizer::new(&self.catalog, kind, &markers);
        let place = Place::Key(&Place::Root, "bucket");
        normalizer.normalize(class, &mut bucket, &place);
        normalizer.check_nesting(&bucket, json::MAX_BUCKET_DEPTH, &place);
        match normalizer.into_fault() {
            None => Ok(bucket),
            Some(fault) => Err(fault.into()),
        }
    }

    /// Finds the record that has the key in its shared bucket and is of the class of the key.
    ///
    /// # Errors
    /// `unique-violation`, if a record has the key in the own bucket of a platter, or as a record of another
    /// class; `conflict`, if in a batch one record has the key while another one waits for it, as in
    /// [`upsert`](Self::upsert).
    fn find_by_key(&self, key: &Key) -> Result<Option<(RowId, Row)>> {
        // The constraints of a class have ids at the latest since its first record was written. So without
        // an id there is no record of the class. If a record of another class has the key, the create
        // reports it.
        let Some(ids) = self.find_constraint_ids(&key.class)? else { return Ok(None) };
        if self.is_awaited(ids[key.constraint], &key.text) {
            return Err(ambiguous_key_error());
        }
        let found = self.storage.find_unique(ids[key.constraint], &key.text)?;
        let Some(id) = found else { return Ok(None) };
        let row = self.storage.row(id)?.ok_or_else(|| corruption("a unique value of no record"))?;
        let state = row.state.as_ref().ok_or_else(|| corruption("a unique value of a deleted record"))?;
        let stack = parse_object(&state.stack)?;
        let key_class = std::slice::from_ref(&key.class.definition.name);
        let is_of_class = |name: &str| self.catalog.is_subclass_of_any(name, key_class);
        if !stack::has_own_buckets(&stack) {
            if stack::any_class(&stack, is_of_class) {
                return Ok(Some((id, row)));
            }
            // The constraint is declared by an ancestor of the class of the key. The record is of the
            // ancestor, or of another subclass of the ancestor.
            return Err(unique_violation(key.constraint(), &row.pk).into());
        }
        let bucket = parse_object(&state.bucket)?;
        let mut facets_with_key = facets(&stack, &bucket);
        facets_with_key.retain(|facet| is_of_class(facet.class) && key.is_in(facet.bucket));
        // Without a `platter`, the bucket of a facet is the shared one.
        if facets_with_key.iter().any(|facet| facet.platter.is_none()) {
            return Ok(Some((id, row)));
        }
        Err(match facets_with_key.iter().find_map(|facet| facet.platter) {
            Some(platter) => key_in_own_bucket(key.constraint(), &row.pk, platter).into(),
            None => unique_violation(key.constraint(), &row.pk).into(),
        })
    }

    /// Adds the defaults to `bucket`, applies the edits to it, and creates a record with the result. Returns
    /// the pk and the creation time of the record, and a value for each edit.
    fn create_by_key(
        &mut self,
        key: &Key,
        bucket: Map<String, Value>,
        edits: Option<Vec<Edit>>,
    ) -> Result<(String, Timestamp, Vec<Value>)> {
        let stack = StackInput::Primary(key.class.definition.name.clone());
        let create_request = |bucket| CreateRequest { pk: None, bucket, stack, extras: Map::new() };
        let Some(edits) = edits else {
            let (pk, created_at) = self.create_record(create_request(bucket), WriteKind::Create)?;
            return Ok((pk, created_at, Vec::new()));
        };
        // The defaults are added before the edits, since an edit may change or remove a default. The record
        // is then created with `WriteKind::Update`, which does not add a removed default again.
        let bucket = self.normalized(&key.class, bucket, WriteKind::Create)?;
        let (bucket, values) =
            query::apply_edits(bucket, edits, Some(&|value| self.answer.charge_value(value)))?;
        let (pk, created_at) = self.create_record(create_request(bucket), WriteKind::Update)?;
        Ok((pk, created_at, values))
    }
}

/// The fault of a key that a record has in the own bucket of a platter.
fn key_in_own_bucket(constraint: &Constraint, pk: &str, platter: &str) -> ErrorItem {
    let message = "a record has the key in the own bucket of a platter, and an upsert changes only the \
                   shared bucket: update the `stack` of that record";
    unique_violation_with(message, constraint, pk).with("platter", platter)
}

fn class_not_defined(class: &str) -> Error {
    let message =
        format!("`{class}` is not defined: an upsert finds its record by a unique field of the class");
    let item = ErrorItem::new(ErrorId::CLASS_NOT_FOUND, message).with("class", class);
    Place::Key(&Place::Root, "class").with_pointer(item).into()
}

fn key_fits_no_constraint(class: &Class) -> ErrorItem {
    let message =
        format!("the key has not exactly the fields of a unique constraint of `{}`", class.definition.name);
    Place::Key(&Place::Root, "key").fault(message).with("allowed", class.unique_keys())
}
