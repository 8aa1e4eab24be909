//! Importing a worldlet: all of it, or nothing.
//!
//! Records are written as they come by, in the order of the text; definitions are put into force after the
//! last of them, and only then is each record checked against its classes. So the order in the text never
//! matters.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Map, Value};

use crate::class::{Definition, WriteKind};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::examine::misplaced_definition;
use crate::engine::store::import_files::ImportedFiles;
use crate::engine::store::merge::Placed;
use crate::engine::store::stored_json::{defined_by, extras_text, map, text};
use crate::engine::store::{Store, schema};
use crate::json::pointer::PointerToken;
use crate::stack::{self, Stack};
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{Row, State};
use crate::storage::write_set::{OtherChanges, RowChange, WriteSet};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::{
    self, Imported, IncomingChunk, IncomingFile, IncomingRecord, IncomingVersion, Sink, WorldletFaults,
};

impl<T: Storage> Store<T> {
    /// Imports a worldlet inside the open transaction. With `trust`, what validation finds becomes a warning.
    pub(in crate::engine) fn import_worldlet(
        &mut self,
        reader: &mut dyn Read,
        trust: bool,
    ) -> Result<Imported> {
        let mut problems = WorldletFaults::default();
        let mut import = Import::into(self);
        worldlet::read(reader, &mut import, &mut problems)?;
        let records =
            import.finish(if trust { RuleCheck::Warn } else { RuleCheck::Refuse }, &mut problems)?;
        Ok(Imported { records, warnings: problems.check()? })
    }
}

impl<'s, T: Storage> Import<'s, T> {
    pub(super) fn into(store: &'s mut Store<T>) -> Self {
        let (before, now) = (store.last.get().commit, store.moment);
        Self {
            store,
            before,
            now,
            records: 0,
            definitions: BTreeMap::new(),
            removed: Vec::new(),
            class_keys: HashSet::new(),
            implied: HashSet::new(),
            files: ImportedFiles::default(),
        }
    }

    /// Puts definitions into force and checks what was written: how many records those are.
    pub(super) fn finish(mut self, check: RuleCheck, problems: &mut WorldletFaults) -> Result<u64> {
        let touched = !self.definitions.is_empty();
        let added = self.name_definitions(check, problems)?;
        let Self { store, before, now, records, removed, files, .. } = self;
        if touched && store.is_temporal {
            let faults = store.load_name_history()?;
            match check {
                RuleCheck::Refuse => problems.refuse_all(faults, |fault| fault),
                RuleCheck::Warn => problems.warnings.append(faults),
                RuleCheck::Skip => {}
            }
        }
        files.finish(store, now, problems)?;
        let removed: Vec<String> = removed
            .into_iter()
            .filter(|name| !added.iter().any(|definition| definition.name == *name))
            .collect();
        if !added.is_empty() || !removed.is_empty() {
            match store.redefine(added, &removed, before) {
                Ok(()) => {}
                Err(error) => error.items().iter().for_each(|item| problems.refuse(item.clone())),
            }
        }
        store.check_imported(before, check, problems)?;
        Ok(records)
    }

    /// Enters the names of the definitions that came, as they stand now that all versions have come: names
    /// are unique among definitions that are active at the same time, and in which order the versions came
    /// says nothing.
    ///
    /// Rules that no value can satisfy are noted here as well: those of past versions bind no record any
    /// more.
    fn name_definitions(
        &mut self,
        check: RuleCheck,
        problems: &mut WorldletFaults,
    ) -> Result<Vec<Definition>> {
        let mut added = Vec::new();
        for (id, pointer) in std::mem::take(&mut self.definitions) {
            let Some(State { bucket, stack, .. }) = self.store.storage.row(id)?.and_then(|row| row.state)
            else {
                continue;
            };
            if !stack::classes(&map(&stack)?).contains(&uns::CLASS) {
                continue;
            }
            // Its faults were told when it came by.
            let read = Definition::read(&map(&bucket)?, Place::Root, &mut FaultList::default());
            let Some(definition) = read else { continue };
            let mut faults = FaultList::default();
            definition.report_contradictions(&Place::Root, &mut faults);
            let bucket_pointer =
                if pointer.starts_with("/classes/") { pointer.clone() } else { format!("{pointer}/bucket") };
            for fault in faults.into_items() {
                let within = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
                let located = format!("{bucket_pointer}{within}");
                note(fault.with("pointer", located), check, problems);
            }
            match self.store.enter_name(id, &definition.name) {
                Ok(()) => added.push(definition),
                Err(error) if error.is(ErrorId::DUPLICATE_CLASS) => {
                    let located = |item: &ErrorItem| item.clone().with("pointer", pointer.as_str());
                    error.items().iter().for_each(|item| problems.refuse(located(item)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    }
}

/// What becomes of records and versions that break the rules of their classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RuleCheck {
    /// They are refused.
    Refuse,
    /// They are taken, with a warning.
    Warn,
    /// They are taken: they were valid where they were written.
    Skip,
}

impl<T: Storage> Store<T> {
    /// Checks the records that were written after `before`, and adds what is derived from their values.
    fn check_imported(
        &mut self,
        before: CommitSeq,
        check: RuleCheck,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let mut last = RowId::default();
        while let Some((id, row)) = self.storage.next_row(last, before)? {
            last = id;
            let pk = row.pk;
            let records = Place::Key(&Place::Root, "records");
            let place = Place::Key(&records, &pk);
            if self.is_temporal && row.instance_pk.is_none() {
                problems.refuse(place.fault("no version of this record is in the history"));
            }
            let Some(State { bucket, stack, extras }) = row.state else { continue };
            let mut stack = Cow::Owned(map(&stack)?);
            let extras = extras.as_deref().map_or(Ok(Map::new()), map)?;
            if !self.has_rules(&stack, &extras) {
                continue;
            }
            let mut bucket = map(&bucket)?;
            if check != RuleCheck::Skip
                && let Err(error) = self.examine(&mut stack, &mut bucket, &extras, WriteKind::Import, &place)
            {
                // What is wrong with definitions was told when they came by.
                let of_records = error
                    .items()
                    .iter()
                    .filter(|fault| fault.details.get("class") != Some(&uns::CLASS.into()));
                of_records.for_each(|fault| note(fault.clone(), check, problems));
            }
            if self.is_indexed(&stack) {
                let (references, faults) = self.index_values(id, (&stack, &bucket))?;
                self.require(id, references);
                problems.refuse_all(faults, |fault| place.with_pointer(fault));
            }
        }
        self.pending_faults(|store, id, fault| {
            let pk = store.storage.row(id)?.map(|row| row.pk).unwrap_or_default();
            let pointer = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
            let pointer = format!("/records{}{pointer}", PointerToken(&pk));
            note(fault.with("pointer", pointer), check, problems);
            Ok(())
        })
    }
}

/// What `trust` lets pass is still said.
fn note(fault: ErrorItem, check: RuleCheck, problems: &mut WorldletFaults) {
    match check {
        RuleCheck::Refuse => problems.refuse(fault),
        RuleCheck::Warn => problems.warnings.push(fault),
        RuleCheck::Skip => {}
    }
}

/// An import under way.
pub(super) struct Import<'s, T> {
    pub(super) store: &'s mut Store<T>,
    /// The last write before it.
    before: CommitSeq,
    now: Timestamp,
    records: u64,
    /// The records that it made definitions, and where it says so. Their names are entered at the end.
    definitions: BTreeMap<RowId, String>,
    /// Classes whose definitions it overwrites.
    removed: Vec<String>,
    /// The names under `classes` so far.
    class_keys: HashSet<String>,
    /// The records that are known by their versions alone: no stub has said when they were created.
    pub(super) implied: HashSet<RowId>,
    pub(super) files: ImportedFiles,
}

impl<T: Storage> Sink for Import<'_, T> {
    fn record(&mut self, record: IncomingRecord, problems: &mut WorldletFaults) -> Result<()> {
        let records = Place::Key(&Place::Root, "records");
        self.write(&record, &Place::Key(&records, &record.pk), problems)
    }

    fn is_temporal(&self) -> bool {
        self.store.is_temporal
    }

    fn stub(&mut self, pk: String, created_at: Option<Timestamp>, _: &mut WorldletFaults) -> Result<()> {
        let row = match self.store.storage.find(&pk)? {
            Some((id, row)) => {
                let is_new = row.instance_pk.is_none() || self.implied.remove(&id);
                // Two databases that say different things of one record agree after a merge in either
                // direction.
                let earlier = |created_at: Timestamp| created_at.min(row.created_at);
                let created_at = created_at.map(|said| if is_new { said } else { earlier(said) });
                let created_at = created_at.unwrap_or(row.created_at);
                if created_at == row.created_at {
                    return Ok(());
                }
                // The row keeps its number, by which `put` knows what this import has written.
                self.store.next_commit();
                let after = Row { created_at, ..row.clone() };
                return self.store.apply_row(RowChange::replace(id, row, after));
            }
            // It says nothing until a version comes.
            None => Row {
                pk,
                state: None,
                created_at: created_at.map_or_else(|| self.now.for_write(), Ok)?,
                updated_at: Timestamp::FIRST,
                commit: self.store.next_commit(),
                instance_pk: None,
            },
        };
        let id = self.store.next_row_id();
        self.store.apply_row(RowChange::insert(id, row))
    }

    fn reserve(&mut self, pk: &str) -> Result<()> {
        if self.store.storage.find(pk)?.is_some() {
            return Ok(());
        }
        self.stub(pk.to_owned(), None, &mut WorldletFaults::default())
    }

    fn refused_file(&mut self, pk: Option<String>) {
        self.files.refuse(pk);
    }

    fn file(&mut self, file: IncomingFile) -> Result<()> {
        self.files.file(self.store, file)
    }

    fn chunk(&mut self, chunk: IncomingChunk, problems: &mut WorldletFaults) -> Result<()> {
        self.files.chunk(self.store, &chunk, problems)
    }

    fn version(&mut self, version: IncomingVersion, problems: &mut WorldletFaults) -> Result<()> {
        let history = Place::Key(&Place::Root, "history");
        let place = Place::Key(&history, &version.instance_pk);
        match self.place(&version, &place, problems)? {
            Placed::New => self.records += 1,
            Placed::Known => {}
            Placed::Contradicts(what) => problems.refuse(place.fault(what)),
        }
        Ok(())
    }

    /// A class that is defined already gets this definition, unless it is the one that it has.
    fn class(&mut self, name: &str, definition: Value, problems: &mut WorldletFaults) -> Result<()> {
        let classes = Place::Key(&Place::Root, "classes");
        let place = Place::Key(&classes, name);
        let mut faults = FaultList::default();
        let read = schema::read_one(name, definition, place, &mut faults);
        let is_whole = faults.is_empty();
        problems.refuse_all(faults, |fault| fault);
        let Some((definition, bucket)) = read.filter(|_| is_whole) else { return Ok(()) };
        if !self.class_keys.insert(definition.name.clone()) {
            problems.refuse(schema::defined_twice(&definition.name, &place));
            return Ok(());
        }
        let before = self.store.definition_record(&definition.name)?;
        if let Some((id, _)) = &before
            && self.store.bucket_text(*id)?.as_ref() == Some(&text(&bucket))
        {
            return Ok(());
        }
        let now = self.now.for_write()?;
        let pk = before.map_or_else(|| self.store.pks.next(now), |(_, pk)| pk);
        let created_at = self.store.storage.find(&pk)?.map(|(_, row)| row.created_at);
        let stack = Stack::of_class(uns::CLASS.to_owned()).into_map(None);
        let record =
            IncomingRecord { pk, bucket, stack, extras: Map::new(), created_at, updated_at: Some(now) };
        self.write(&record, &place, problems)
    }

    fn keep(&mut self, key: &str, value: &Value) -> Result<()> {
        let before = self.store.storage.metadata(key)?;
        let change = RowChange { key: key.to_owned(), before, after: Some(value.clone()) };
        self.store.apply(OtherChanges { metadata: vec![change], ..OtherChanges::default() }.into()).map(drop)
    }
}

impl<T: Storage> Import<'_, T> {
    /// Writes a record that stands at `place`, and makes it what it is: a member of its classes, a
    /// definition.
    fn write(
        &mut self,
        record: &IncomingRecord,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let Some(id) = self.put(record)? else {
            problems.refuse(place.fault("two records of the worldlet have this pk"));
            return Ok(());
        };
        self.records += 1;
        self.enter(id, &record.bucket, &record.stack, place, problems)
    }

    /// Makes a record what it says that it is.
    pub(super) fn enter(
        &mut self,
        id: RowId,
        bucket: &Map<String, Value>,
        stack: &Map<String, Value>,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let (mut write, mut members) = (WriteSet::default(), Vec::new());
        self.store.derive_members(id, stack, &mut members, &mut write)?;
        write.change_entries(Vec::new(), members);
        self.store.apply(write)?;
        if stack::classes(stack).contains(&uns::CLASS) {
            self.define(id, bucket, stack, place, problems);
        }
        Ok(())
    }

    /// Writes a record, over one with the same pk if there is one; `None` if that came from this import.
    fn put(&mut self, record: &IncomingRecord) -> Result<Option<RowId>> {
        let updated_at = record.updated_at.or(record.created_at).map_or_else(|| self.now.for_write(), Ok)?;
        let state = State {
            bucket: text(&record.bucket),
            stack: text(&record.stack),
            extras: extras_text(&record.extras),
        };
        let mut row = Row {
            pk: record.pk.clone(),
            state: Some(state),
            created_at: record.created_at.unwrap_or(updated_at),
            updated_at,
            commit: self.store.next_commit(),
            instance_pk: None,
        };
        if let Some(released) =
            defined_by(&record.stack, &record.bucket).and_then(|it| self.store.released(&it))
        {
            row.updated_at = row.updated_at.max(released);
        }
        let Some((id, found)) = self.store.storage.find(&record.pk)? else {
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            let id = self.store.next_row_id();
            return self.store.apply_row(RowChange::insert(id, row)).map(|()| Some(id));
        };
        if found.commit > self.before {
            if found.instance_pk.is_some() || !self.store.is_temporal {
                return Ok(None);
            }
            // Its place was reserved.
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            return self.store.apply_row(RowChange::replace(id, found, row)).map(|()| Some(id));
        }
        let replaced = found.state.clone();
        if is_same(&found, &row) {
            row.instance_pk.clone_from(&found.instance_pk);
            self.store.apply_row(RowChange::replace(id, found, row))?;
        } else {
            // A reader of the record must be able to see that it has changed.
            row.updated_at = row.updated_at.max(found.updated_at.after()).for_write()?;
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            let mut write = WriteSet::default();
            self.store.replace_row(id, found, row, &mut write);
            self.store.apply(write)?;
        }
        if let Some(State { bucket, stack, .. }) = &replaced {
            self.withdraw(id, &map(bucket)?, &map(stack)?)?;
        }
        Ok(Some(id))
    }

    /// Removes all that is derived from a record that is overwritten.
    pub(super) fn withdraw(
        &mut self,
        id: RowId,
        bucket: &Map<String, Value>,
        stack: &Map<String, Value>,
    ) -> Result<()> {
        let mut write = WriteSet::default();
        let entries = self.store.derive(id, (stack, bucket), &mut write)?.entries;
        write.change_entries(entries, Vec::new());
        self.store.apply(write)?;
        if let Some(name) = defined_by(stack, bucket)
            && self.store.definition_record(&name)?.is_some_and(|(holder, _)| holder == id)
        {
            self.store.leave_name(id, &name)?;
            self.removed.push(name);
        }
        Ok(())
    }

    /// Notes that a record is a definition, with what is wrong about it.
    pub(super) fn define(
        &mut self,
        id: RowId,
        bucket: &Map<String, Value>,
        stack: &Map<String, Value>,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) {
        let mut faults = FaultList::default();
        let platters = stack.iter().filter(|(_, platter)| platter.get("class") == Some(&uns::CLASS.into()));
        let stack_place = Place::Key(place, "stack");
        for (nth, (key, platter)) in platters.enumerate() {
            let place = Place::Key(&stack_place, key);
            faults.extend(misplaced_definition(platter.get("bucket").is_some(), nth > 0, &place));
        }
        let definition = Definition::read(bucket, Place::Key(place, "bucket"), &mut faults);
        if let Some(Definition { name, .. }) = definition.as_ref().filter(|it| uns::is_built_in(&it.name)) {
            let message = format!("`{name}` is built in, and needs no definition");
            faults.push(place.with_pointer(
                ErrorItem::new(ErrorId::DUPLICATE_CLASS, message).with("class", name.as_str()),
            ));
        } else {
            self.definitions.insert(id, place.to_string());
        }
        problems.refuse_all(faults, |fault| fault);
    }
}

/// Do two rows say the same, written at the same time?
fn is_same(one: &Row, other: &Row) -> bool {
    (&one.state, one.created_at, one.updated_at) == (&other.state, other.created_at, other.updated_at)
}
