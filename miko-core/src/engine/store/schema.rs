//! Exports and imports all class definitions at once, as a schema: `{"classes": {name: definition}}`. An
//! import of a worldlet reads the key `classes` of the worldlet by functions of this module, too.

use std::borrow::Cow;
use std::collections::HashSet;

use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use serde_json::{Map, Value, json};

use crate::class::{Definition, Markers, WriteKind};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::Store;
use crate::engine::store::index_entries::Derived;
use crate::engine::store::stored_json::{parse_object, stored_markers};
use crate::json;
use crate::json::pointer::PointerToken;
use crate::mikobase::SchemaChanges;
use crate::stack::Stack;
use crate::storage::Storage;
use crate::storage::corruption;
use crate::storage::ids::RowId;
use crate::storage::row::State;
use crate::storage::write_set::WriteSet;
use crate::uns;

/// The key of a schema that holds the definitions.
const CLASSES: &str = "classes";

impl<T: Storage> Store<T> {
    /// The schema of all definitions, in order of creation.
    pub(in crate::engine) fn export_schema(&self) -> Result<Value> {
        let buckets = self.definition_records()?.into_iter().map(|(_, bucket)| bucket);
        Ok(json!({ CLASSES: Definition::classes(buckets) }))
    }

    /// Creates the classes of a schema that are missing and updates those that differ, as a part of the
    /// running write. Classes that the schema does not name keep their definitions.
    ///
    /// # Errors
    /// All faults of the schema; `duplicate-class`, if a name is that of a built-in class; the errors of
    /// [`redefine`](Self::redefine) and [`check_rewritten`](Self::check_rewritten). The caller must undo the
    /// write then.
    pub(in crate::engine) fn import_schema(&mut self, schema: Value) -> Result<SchemaChanges> {
        let definitions = read_schema(schema)?;
        let commit_before = self.last.get().commit;
        let mut changes = SchemaChanges::default();
        let (mut changed, mut rewritten) = (Vec::new(), Vec::new());
        // A class may come before its parents. So all records are written first, and then the definitions
        // take effect together.
        for ReadDefinition { key, definition, bucket } in definitions {
            let (name, text) = (definition.name.clone(), json::text_of(&bucket));
            match self.definition_record(&name)? {
                None => {
                    let stack = Stack::of_class(uns::CLASS.to_owned()).into_map(None);
                    self.advance_time_past_former_definition(&name);
                    let (mut write, mut memberships) = (WriteSet::default(), Vec::new());
                    let state = State { bucket: text, stack: json::text_of(&stack), extras: None };
                    let chosen_pk = None;
                    let (id, ..) = self.stage_insert(chosen_pk, state, &mut write)?;
                    let markers = Markers::default();
                    self.derive_memberships(id, (&stack, &markers), &mut memberships, &mut write)?;
                    write.change_entries(Vec::new(), memberships);
                    self.apply(write)?;
                    self.register_class_name(id, &name)?;
                    changes.created.push(name);
                }
                Some((id, _)) if self.stores_definition(id, &text)? => {
                    changes.unchanged.push(name);
                    continue;
                }
                Some((id, _)) => {
                    let bucket_before = self.rewrite_bucket(id, text)?;
                    rewritten.push(RewrittenDefinition { key, id, bucket_before });
                    changes.updated.push(name);
                }
            }
            changed.push(definition);
        }
        if !changed.is_empty() {
            // `redefine` leaves out the records that were written after this commit: `check_rewritten` adds
            // their entries.
            let removed_classes = [];
            self.redefine(changed, &removed_classes, commit_before)?;
        }
        self.check_rewritten(rewritten)?;
        Ok(changes)
    }

    /// Whether the record at `id` has the definition with this text, which is normalized. The stored
    /// definition is normalized before it is compared: if it was imported as a record, it may have class
    /// names with a protocol.
    pub(super) fn stores_definition(&self, id: RowId, text: &str) -> Result<bool> {
        let Some(State { bucket, .. }) = self.storage.row(id)?.and_then(|row| row.state) else {
            return Ok(false);
        };
        if bucket == text {
            return Ok(true);
        }
        let mut bucket = parse_object(&bucket)?;
        Definition::normalize(&mut bucket);
        Ok(json::text_of(&bucket) == text)
    }

    /// Replaces the bucket of the definition at `id` by one with the same name, and returns the bucket before.
    /// Removes the index entries that come from the values of the record: a definition may be of further
    /// classes. The membership of the record and the entry of the name stay as they are.
    fn rewrite_bucket(&mut self, id: RowId, bucket: String) -> Result<Map<String, Value>> {
        let gone = || corruption("a definition is gone");
        let row = self.storage.row(id)?.ok_or_else(gone)?;
        let before = row.state.clone().ok_or_else(gone)?;
        let (stack, bucket_before) = (parse_object(&before.stack)?, parse_object(&before.bucket)?);
        let markers = stored_markers(before.extras.as_deref())?;
        let (mut derived, mut write) = (Derived::default(), WriteSet::default());
        let record = ((&stack, &bucket_before), &markers);
        self.derive_values(id, record, &self.catalog, &mut derived, &mut write)?;
        write.change_entries(derived.entries, Vec::new());
        self.stage_state(id, row, Some(State { bucket, ..before }), &mut write)?;
        self.apply(write)?;
        Ok(bucket_before)
    }

    /// Validates the records of definitions that have a new bucket against all their classes, and adds the
    /// index entries that come from their values. To be called when the definitions of the schema are in
    /// force. As in an import of a worldlet, the buckets are not normalized.
    ///
    /// # Errors
    /// All faults of these records, each with the place of its definition in the schema. The references are
    /// checked at the end of the write.
    fn check_rewritten(&mut self, rewritten: Vec<RewrittenDefinition>) -> Result<()> {
        let mut faults = FaultList::default();
        for RewrittenDefinition { key, id, bucket_before } in rewritten {
            let Some(State { bucket, stack, extras }) = self.storage.row(id)?.and_then(|row| row.state)
            else {
                continue;
            };
            let (stack, mut bucket) = (parse_object(&stack)?, parse_object(&bucket)?);
            let extras = extras.as_deref().map_or(Ok(Map::new()), parse_object)?;
            let mut faults_of_record = FaultList::default();
            let examined = self.examine(
                &mut Cow::Borrowed(&stack),
                &mut bucket,
                &extras,
                WriteKind::Import,
                &Place::Root,
            );
            if let Err(error) = examined {
                faults_of_record.extend(error.into_items());
            }
            let record = (&stack, &bucket);
            self.report_changed_joins((&stack, &bucket_before), record, &mut faults_of_record);
            let (references, taken) = self.index_values(id, record, &Markers::of(&extras))?;
            self.defer_reference_checks(id, references);
            faults_of_record.append(taken);
            faults.append_with(faults_of_record, |fault| locate(&key, fault));
        }
        faults.check()
    }
}

/// A definition of a schema.
struct ReadDefinition {
    /// The key under `classes`: the name as the schema has it.
    key: String,
    definition: Definition,
    /// The bucket that is stored for the definition.
    bucket: Map<String, Value>,
}

/// A stored definition whose bucket an import of a schema has replaced.
struct RewrittenDefinition {
    /// The key of the new definition under `classes`.
    key: String,
    id: RowId,
    bucket_before: Map<String, Value>,
}

/// The fault of the record of a definition, with its pointer into the record replaced by one into the schema.
/// A place outside of the bucket becomes that of the definition.
fn locate(key: &str, fault: ErrorItem) -> ErrorItem {
    let in_record = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
    let in_bucket = in_record.strip_prefix("/bucket").unwrap_or_default();
    let pointer = format!("/{CLASSES}{}{in_bucket}", PointerToken(key));
    fault.with("pointer", pointer)
}

/// Reads a schema.
///
/// # Errors
/// All faults of the schema.
fn read_schema(schema: Value) -> Result<Vec<ReadDefinition>> {
    let refused = |message: &str| Error::new(ErrorId::INVALID_REQUEST, message);
    let Value::Object(mut schema) = schema else {
        return Err(refused("a schema is an object: {\"classes\": {name: definition}}"));
    };
    let Some(Value::Object(classes)) = schema.shift_remove(CLASSES) else {
        return Err(refused("a schema has an object `classes`, which holds a definition per class name"));
    };
    if let Some(unknown) = schema.keys().next() {
        let message = "a schema holds `classes` and nothing else; import a worldlet by `import_worldlet`";
        return Err(refused(message).with("unknown_fields", vec![unknown.as_str()]));
    }
    let (mut faults, mut definitions) = (FaultList::default(), Vec::new());
    let (place, mut names) = (Place::Key(&Place::Root, CLASSES), HashSet::new());
    for (key, definition) in classes {
        let place = Place::Key(&place, &key);
        if let Ok(name) = uns::parse(&key)
            && !names.insert(name.to_owned())
        {
            faults.push(defined_twice(name, &place));
        }
        if let Some((definition, bucket)) = read_one(&key, definition, place, &mut faults) {
            definition.report_contradictions(&place, &mut faults);
            definitions.push(ReadDefinition { key, definition, bucket });
        }
    }
    faults.check()?;
    Ok(definitions)
}

/// The fault of two keys of `classes` that are the same name, one with a protocol and one without.
pub(super) fn defined_twice(name: &str, place: &Place<'_>) -> ErrorItem {
    place.fault(format!("`{name}` is defined twice under `classes`")).with("class", name)
}

/// Reads one definition under `classes`. `key` is its name. Returns the definition with the bucket that is
/// stored for it; `None` if `key` is no valid name, or the definition no object. Adds all faults to `faults`.
pub(super) fn read_one(
    key: &str,
    definition: Value,
    place: Place<'_>,
    faults: &mut FaultList,
) -> Option<(Definition, Map<String, Value>)> {
    let name = match uns::parse(key) {
        Ok(name) => name,
        Err(fault) => {
            faults.push(place.with_pointer(fault));
            return None;
        }
    };
    let Value::Object(given) = definition else {
        faults.push(place.wrong_type("an object", &definition));
        return None;
    };
    // The name is that of the key. It replaces the value of the member `name`, whose position stays. A
    // definition without this member gets it as the first one.
    let mut bucket = Map::new();
    if !given.contains_key("name") {
        bucket.insert("name".to_owned(), Value::from(name));
    }
    bucket.extend(given);
    bucket["name"] = name.into();
    Definition::normalize(&mut bucket);
    let definition = Definition::read(&bucket, place, faults)?;
    Some((definition, bucket))
}
