//! Imports a worldlet, all or nothing.
//!
//! Records are written in the order of the text. Class definitions are among the records, or under the
//! top-level key `classes`. After the whole text was read, the definitions take effect, and then each record
//! is checked against its classes. So whether a worldlet is valid never depends on the order of its text.
//!
//! Parts of an import are in other modules: [`import_text`](super::import_text) stores simple records without
//! parsing them, [`merge`](super::merge) adds versions to the history, [`import_files`](super::import_files)
//! stores files, and [`import_places`](super::import_places) keeps the places of records in the text, for
//! faults that are found after the text was read. A merge is an import that takes only the history and files.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Read;

use miko_rpc::{ErrorId, ErrorItem, Result};
use serde_json::{Map, Value};

use crate::class::{Definition, Markers, WriteKind};
use crate::diagnostics::{FaultList, Place};
use crate::engine::store::examine::misplaced_definition;
use crate::engine::store::import_files::ImportedFiles;
use crate::engine::store::import_places::ImportPlaces;
use crate::engine::store::import_text::TextImport;
use crate::engine::store::index_entries::StackAndBucket;
use crate::engine::store::merge::MergeOutcome;
use crate::engine::store::stored_json::{defined_by, extras_text, parse_object, stored_markers, text};
use crate::engine::store::{Store, schema};
use crate::stack::{self, Stack};
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{Row, State};
use crate::storage::write_set::{OtherChanges, RowChange, WriteSet};
use crate::timestamp::Timestamp;
use crate::uns;
use crate::worldlet::{
    self, Imported, IncomingChunk, IncomingFile, IncomingRecord, IncomingState, IncomingVersion, RecordForm,
    Sink, TextRecord, WorldletFaults,
};

impl<T: Storage> Store<T> {
    /// Imports a worldlet, as a part of the running write.
    ///
    /// With `trust`, these faults become warnings:
    ///
    /// - records that violate the rules of their classes, or refer to missing targets;
    /// - restricting references that are violated;
    /// - undefined classes in a strict database;
    /// - rules that no value can satisfy;
    /// - past definitions of one class that were valid at the same time.
    ///
    /// All other faults remain errors, such as malformed entries, invalid definitions, incomplete files, and
    /// unique values that another record has.
    ///
    /// # Errors
    /// `invalid-worldlet`: all faults of the worldlet together, or only the reason why the text cannot be
    /// read as a JSON object. Any other error, such as one of storage, is returned alone.
    pub(in crate::engine) fn import_worldlet(
        &mut self,
        reader: &mut dyn Read,
        trust: bool,
    ) -> Result<Imported> {
        let mut problems = WorldletFaults::default();
        let mut import = Import::begin(self);
        worldlet::read(reader, &mut import, &mut problems)?;
        let rule_check = if trust { RuleCheck::Warn } else { RuleCheck::Refuse };
        let records = import.finish(rule_check, &mut problems)?;
        Ok(Imported { records, warnings: problems.check()? })
    }
}

/// How an import treats the faults that `trust` turns into warnings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RuleCheck {
    /// Reports them as errors. In an import without `trust`.
    Refuse,
    /// Reports them as warnings. In an import with `trust`.
    Warn,
    /// Does not report them. In a merge: the database that wrote the versions has validated them.
    Skip,
}

/// A definition under the key `classes` of the worldlet. Its class was already defined before the import.
struct Redefinition {
    /// The key under `classes`: the name as the worldlet has it, perhaps with a protocol.
    key: String,
    /// The name of the class.
    name: String,
    /// The bucket that is stored for the definition.
    bucket: Map<String, Value>,
}

/// An import in progress: a part of the running write of its store.
pub(super) struct Import<'s, T> {
    pub(super) store: &'s mut Store<T>,
    /// The last commit number before the import. A row with a larger number was written by the import.
    commit_before: CommitSeq,
    /// The last row id before the import. A row with a larger id was inserted by the import.
    row_before: RowId,
    /// The time of the import, for records and files that state none.
    now: Timestamp,
    /// The number of records written. Each version that an import adds to the history counts as one.
    records: u64,
    /// Where the worldlet has the records.
    pub(super) places: ImportPlaces,
    /// The rows in which the import has stored a definition as the current version of a record. The names of
    /// the definitions are registered at the end. A row may have another version by then: one that was read
    /// later.
    definitions: BTreeSet<RowId>,
    /// Whether any definition was imported. A definition that is a past version of its record counts, too.
    has_definitions: bool,
    /// The definitions under `classes` whose classes were already defined before the import. They are written
    /// at the end: only then it is known which record defines such a class.
    redefinitions: Vec<Redefinition>,
    /// The definitions that existed before the import and that the import has overwritten: the names of their
    /// classes, by the rows of the definitions. The import may have defined the same names again.
    overwritten_definitions: BTreeMap<RowId, String>,
    /// In a temporal database: the rows of the imported definitions whose times
    /// [`raise_definition_times`](Self::raise_definition_times) may raise, by the names of the classes.
    /// Definitions from the history are not among them: their times stay as the worldlet has them.
    raisable_definitions: HashMap<String, RowId>,
    /// The names under `classes` that were read so far, to find a name that is there twice.
    class_names: HashSet<String>,
    /// In a temporal database: the rows of the records of which an entry of `records` was read, by which a pk
    /// that is there twice is found. A row alone does not tell whether it comes from a stub or from a
    /// version.
    rows_of_records: HashSet<RowId>,
    /// The pks of the records that existed before the import, and that the import has deleted or taken out of
    /// a class.
    deleted_or_left_class: BTreeSet<String>,
    /// The new records whose `created_at` no stub has stated yet. Until a stub does, it is the time of the
    /// earliest version that was read.
    pub(super) without_stated_creation: HashSet<RowId>,
    pub(super) files: ImportedFiles,
    /// What the import keeps between the records that it stores as text.
    pub(super) texts: TextImport,
}

/// The errors of [`Store::redefine`] that are faults of the worldlet. Any other error, such as an error of
/// storage, is not.
const DEFINITION_FAULTS: [ErrorId; 3] =
    [ErrorId::CLASS_NOT_FOUND, ErrorId::VALIDATION_FAILED, ErrorId::UNIQUE_VIOLATION];

impl<'s, T: Storage> Import<'s, T> {
    /// Begins an import as a part of the running write.
    pub(super) fn begin(store: &'s mut Store<T>) -> Self {
        let (last_before, now) = (store.last.get(), store.write_time);
        Self {
            places: ImportPlaces::new(store.is_temporal),
            store,
            commit_before: last_before.commit,
            row_before: last_before.row,
            now,
            records: 0,
            definitions: BTreeSet::new(),
            has_definitions: false,
            redefinitions: Vec::new(),
            overwritten_definitions: BTreeMap::new(),
            raisable_definitions: HashMap::new(),
            class_names: HashSet::new(),
            rows_of_records: HashSet::new(),
            deleted_or_left_class: BTreeSet::new(),
            without_stated_creation: HashSet::new(),
            files: ImportedFiles::default(),
            texts: TextImport::default(),
        }
    }

    /// Ends the import after the whole text was read: puts the definitions into force, completes the files,
    /// and checks the written records. Returns the number of records that were written. The faults of the
    /// worldlet go to `problems`: the caller must fail the write if there are any.
    ///
    /// # Errors
    /// Errors that are no faults of the worldlet, such as those of storage.
    pub(super) fn finish(mut self, rule_check: RuleCheck, problems: &mut WorldletFaults) -> Result<u64> {
        let mut added = self.register_definition_names(rule_check, problems)?;
        // This writes further definitions, so their names are registered in a second step.
        self.write_redefinitions(problems)?;
        added.extend(self.register_definition_names(rule_check, problems)?);
        self.raise_definition_times()?;
        let Self {
            store,
            commit_before,
            now,
            records,
            has_definitions,
            overwritten_definitions,
            deleted_or_left_class,
            files,
            places,
            ..
        } = self;
        if has_definitions && store.is_temporal {
            // A fault here is a pair of definitions of one class that were valid at the same time.
            let faults = store.load_name_history()?;
            match rule_check {
                RuleCheck::Refuse => problems.refuse_all(faults, |fault| fault),
                RuleCheck::Warn => problems.warnings.append(faults),
                RuleCheck::Skip => {}
            }
        }
        // The files are completed before `check_imported` checks the references: a reference to a file needs
        // a complete file.
        files.finish(store, now, problems)?;
        // Classes whose definitions were overwritten, and which the import has not defined again.
        let removed: Vec<String> = overwritten_definitions
            .into_values()
            .filter(|name| !added.iter().any(|definition| definition.name == *name))
            .collect();
        if !added.is_empty() || !removed.is_empty() {
            match store.redefine(added, &removed, commit_before) {
                Ok(()) => {}
                // The import will be refused. The records are checked nevertheless, so that all faults are
                // reported.
                Err(error) if error.items().iter().all(|item| DEFINITION_FAULTS.contains(&item.id)) => {
                    error.into_items().into_iter().for_each(|item| problems.refuse(item));
                }
                Err(error) => return Err(error),
            }
        }
        store.check_imported(commit_before, rule_check, &places, problems)?;
        if rule_check != RuleCheck::Skip {
            store.check_deleted_or_left_class(deleted_or_left_class, rule_check, &places, problems)?;
        }
        Ok(records)
    }

    /// Registers the names of those imported definitions that are not registered yet. Returns these
    /// definitions. Called after all versions have been read: only current definitions must have unique
    /// names, and before the end of the text it is not known which version is the current one.
    ///
    /// Also reports rules that no value can satisfy, but only those of current definitions: no record is
    /// checked against a past definition.
    fn register_definition_names(
        &mut self,
        rule_check: RuleCheck,
        problems: &mut WorldletFaults,
    ) -> Result<Vec<Definition>> {
        let mut added = Vec::new();
        for id in std::mem::take(&mut self.definitions) {
            let Some(row) = self.store.storage.row(id)? else { continue };
            // A version that was read later may have deleted the record, or may be no definition.
            let Some(State { bucket, stack, .. }) = &row.state else { continue };
            if !stack::has_class(&parse_object(stack)?, uns::CLASS) {
                continue;
            }
            // The faults are ignored: `report_definition_faults` has reported them.
            let read = Definition::read(&parse_object(bucket)?, Place::Root, &mut FaultList::default());
            let Some(definition) = read else { continue };
            let mut faults = FaultList::default();
            definition.report_contradictions(&Place::Key(&Place::Root, "bucket"), &mut faults);
            for fault in faults.into_items() {
                // In a field inside the elements of an array or a hash, the rules `unique` and `index` have
                // no effect. Earlier releases of Mikobase accepted them there, so older exports may have
                // them: this fault is only a warning.
                let rule = fault.details.get("rule").and_then(Value::as_str);
                let has_no_effect = matches!(rule, Some("unique" | "index"));
                let is_warning = has_no_effect && rule_check == RuleCheck::Refuse;
                let rule_check = if is_warning { RuleCheck::Warn } else { rule_check };
                report_rule_fault(self.places.locate(id, &row, fault), rule_check, problems);
            }
            match self.store.register_class_name(id, &definition.name) {
                Ok(()) => {
                    if self.store.is_temporal && !self.places.is_from_history(id, &row) {
                        self.raisable_definitions.insert(definition.name.clone(), id);
                    }
                    added.push(definition);
                }
                Err(error) if error.is(ErrorId::DUPLICATE_CLASS) => {
                    let items = error.into_items().into_iter();
                    items.for_each(|item| problems.refuse(self.places.locate(id, &row, item)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(added)
    }

    /// Raises the times of imported definitions, so that none begins before the former definition of its name
    /// has ended. If the import has overwritten the former definition, it has ended at the `updated_at` of
    /// its row, which is the time of the new state. Called after all records have been read: the record that
    /// overwrites the former definition may come after the new definition.
    fn raise_definition_times(&mut self) -> Result<()> {
        if self.raisable_definitions.is_empty() {
            return Ok(());
        }
        let mut ends = Vec::new();
        for &id in self.overwritten_definitions.keys() {
            ends.extend(self.store.storage.row(id)?.map(|row| (row.updated_at, id)));
        }
        // The latest end first, so that each row is raised at most once.
        ends.sort_unstable();
        for (end, id) in ends.into_iter().rev() {
            let mut former = id;
            while let Some(&successor) =
                self.overwritten_definitions.get(&former).and_then(|name| self.raisable_definitions.get(name))
            {
                let Some(row) = self.store.storage.row(successor)?.filter(|row| row.updated_at < end) else {
                    break;
                };
                let after = Row { updated_at: end, commit: self.store.next_commit(), ..row.clone() };
                self.store.apply_row(RowChange::replace(successor, row, after))?;
                // Before the import, the row of the successor may have had a definition of another name. That
                // definition now ends later, too, so its own successor may have to be raised.
                former = successor;
            }
        }
        Ok(())
    }
}

impl<T: Storage> Store<T> {
    /// Checks the records that the import has written, and adds the index entries that are derived from their
    /// values. These records have larger commit numbers than `commit_before`.
    fn check_imported(
        &mut self,
        commit_before: CommitSeq,
        rule_check: RuleCheck,
        places: &ImportPlaces,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        /// The most rows that are read at once.
        const MAX_ROWS: usize = 64;
        let mut texts = TextImport::default();
        // The rows that are still to be checked have larger ids than this one, which is at first just below
        // the first row that the import has stored. `None` if the import has stored none, or all are checked.
        let mut checked = self.deferred.first_stored_row.map(|first| RowId(first.0 - 1));
        while let Some(last) = checked {
            let rows = self.storage.next_rows(last, commit_before, MAX_ROWS)?;
            checked = rows.last().map(|(id, _)| *id);
            for (id, row) in rows {
                self.check_imported_row(id, row, (rule_check, &mut texts), places, problems)?;
            }
        }
        self.drain_reference_checks(|store, id, fault| {
            if let Some(row) = store.storage.row(id)? {
                report_rule_fault(places.locate(id, &row, fault), rule_check, problems);
            }
            Ok(())
        })
    }

    /// Checks the records that the import has deleted or taken out of a class. Reports each record for which
    /// a restricting reference forbids that.
    fn check_deleted_or_left_class(
        &mut self,
        pks: BTreeSet<String>,
        rule_check: RuleCheck,
        places: &ImportPlaces,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        for pk in pks {
            if let Some(fault) = self.check_replaced(&pk)?
                && let Some((id, row)) = self.storage.find(&pk)?
            {
                report_rule_fault(places.locate(id, &row, fault), rule_check, problems);
            }
        }
        Ok(())
    }

    /// Checks one row for [`check_imported`](Self::check_imported), and adds the entries that are derived
    /// from its values.
    fn check_imported_row(
        &mut self,
        id: RowId,
        row: Row,
        (rule_check, texts): (RuleCheck, &mut TextImport),
        places: &ImportPlaces,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let is_stub = self.is_temporal && row.instance_pk.is_none();
        if is_stub {
            let fault = Place::Root.fault("no version of this record is in the history");
            problems.refuse(places.locate(id, &row, fault));
        }
        let Some(State { bucket, stack, extras }) = &row.state else { return Ok(()) };
        // Most records are accepted as text. The others are parsed.
        if extras.is_none() && self.accept_imported(id, bucket, stack, texts)? {
            return Ok(());
        }
        let mut stack = Cow::Owned(parse_object(stack)?);
        let extras = extras.as_deref().map_or(Ok(Map::new()), parse_object)?;
        // A record with nothing to examine has no values to index either.
        if !self.needs_examination(&stack, &extras) {
            return Ok(());
        }
        let mut bucket = parse_object(bucket)?;
        if rule_check != RuleCheck::Skip
            && let Err(error) =
                self.examine(&mut stack, &mut bucket, &extras, WriteKind::Import, &Place::Root)
        {
            // Faults of definitions, whose detail `class` is `puck.uno/class`, are left out:
            // `report_definition_faults` has reported them.
            let is_of_record = |fault: &ErrorItem| fault.details.get("class") != Some(&uns::CLASS.into());
            for fault in error.into_items().into_iter().filter(is_of_record) {
                report_rule_fault(places.locate(id, &row, fault), rule_check, problems);
            }
        }
        let markers = Markers::of(&extras);
        if self.derives_from_bucket(&stack, &markers) {
            // A fault here is a unique value that another record has. It is an error also with `trust`.
            let (references, faults) = self.index_values(id, (&stack, &bucket), &markers)?;
            self.defer_reference_checks(id, references);
            problems.refuse_all(faults, |fault| places.locate(id, &row, fault));
        }
        Ok(())
    }
}

/// Reports a fault that `trust` turns into a warning, as `rule_check` specifies.
fn report_rule_fault(fault: ErrorItem, rule_check: RuleCheck, problems: &mut WorldletFaults) {
    match rule_check {
        RuleCheck::Refuse => problems.refuse(fault),
        RuleCheck::Warn => problems.warnings.push(fault),
        RuleCheck::Skip => {}
    }
}

impl<T: Storage> Sink for Import<'_, T> {
    fn record(&mut self, record: IncomingRecord, problems: &mut WorldletFaults) -> Result<()> {
        let records = Place::Key(&Place::Root, "records");
        self.write(&record, &Place::Key(&records, &record.pk), problems)
    }

    fn text_record(&mut self, record: &TextRecord<'_>) -> Result<bool> {
        self.store.pks.skip(record.pk);
        let Some(id) = self.store.insert_imported(record, self.now, &mut self.texts)? else {
            return Ok(false);
        };
        self.records += 1;
        // In a database that is not temporal, this is the usual place, which need not be noted.
        if self.store.is_temporal {
            let records = Place::Key(&Place::Root, "records");
            self.places.note(id, &Place::Key(&records, record.pk), RecordForm::EXPORTED);
            self.rows_of_records.insert(id);
        }
        Ok(true)
    }

    fn is_temporal(&self) -> bool {
        self.store.is_temporal
    }

    fn stub(
        &mut self,
        pk: String,
        created_at: Option<Timestamp>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let id = self.insert_or_date_stub(&pk, created_at)?;
        if !self.rows_of_records.insert(id) {
            let records = Place::Key(&Place::Root, "records");
            problems.refuse(pk_is_there_twice(&Place::Key(&records, &pk)));
        }
        Ok(())
    }

    fn reserve(&mut self, pk: &str) -> Result<()> {
        // If the record has no row, a stub without a time reserves one.
        self.insert_or_date_stub(pk, None).map(drop)
    }

    fn mark_file_refused(&mut self, pk: Option<String>) {
        self.files.refuse(pk);
    }

    fn file(&mut self, file: IncomingFile, problems: &mut WorldletFaults) -> Result<()> {
        self.files.file(self.store, file, problems)
    }

    fn chunk(&mut self, chunk: IncomingChunk, problems: &mut WorldletFaults) -> Result<()> {
        self.files.chunk(self.store, &chunk, problems)
    }

    fn version(&mut self, version: IncomingVersion, problems: &mut WorldletFaults) -> Result<()> {
        let history = Place::Key(&Place::Root, "history");
        let place = Place::Key(&history, &version.instance_pk);
        match self.merge_version(&version, &place, problems)? {
            MergeOutcome::Accepted => self.records += 1,
            MergeOutcome::Skipped => {}
            MergeOutcome::Rejected(reason) => problems.refuse(place.fault(reason)),
        }
        Ok(())
    }

    /// Defines a class. If the class was defined before the import, its definition is only noted: the end of
    /// the import redefines the class if the definitions differ.
    fn class(&mut self, name: &str, definition: Value, problems: &mut WorldletFaults) -> Result<()> {
        let classes = Place::Key(&Place::Root, "classes");
        let place = Place::Key(&classes, name);
        let mut faults = FaultList::default();
        let read = schema::read_one(name, definition, place, &mut faults);
        let has_no_fault = faults.is_empty();
        problems.refuse_all(faults, |fault| fault);
        let Some((definition, bucket)) = read.filter(|_| has_no_fault) else { return Ok(()) };
        if !self.class_names.insert(definition.name.clone()) {
            problems.refuse(schema::defined_twice(&definition.name, &place));
            return Ok(());
        }
        // Until the end of the import, the catalog has the classes that were defined before the import.
        if self.store.catalog.class(&definition.name).is_some() {
            let (key, name) = (name.to_owned(), definition.name);
            self.redefinitions.push(Redefinition { key, name, bucket });
            return Ok(());
        }
        self.write_definition(None, bucket, &place, problems)
    }

    fn set_property(&mut self, key: &str, value: &Value) -> Result<()> {
        let before = self.store.storage.metadata(key)?;
        let change = RowChange { key: key.to_owned(), before, after: Some(value.clone()) };
        self.store.apply(OtherChanges { metadata: vec![change], ..OtherChanges::default() }.into()).map(drop)
    }
}

impl<T: Storage> Import<'_, T> {
    /// Inserts the row of a stub. If the record has a row already, changes its time of creation instead, as
    /// the stub states it; a stub without a time changes nothing. Returns the id of the row.
    fn insert_or_date_stub(&mut self, pk: &str, created_at: Option<Timestamp>) -> Result<RowId> {
        self.store.pks.skip(pk);
        let row = match self.store.storage.find(pk)? {
            Some((id, row)) => {
                let Some(stated) = created_at else { return Ok(id) };
                // The record is new if the import has inserted it and no stub has stated its time yet, or if
                // none of its versions was read yet.
                let is_new = self.without_stated_creation.remove(&id) || row.instance_pk.is_none();
                // If the record existed before, the earlier of the two times counts, so that two databases
                // agree after a merge in either direction.
                let created_at = if is_new { stated } else { stated.min(row.created_at) };
                if created_at == row.created_at {
                    return Ok(id);
                }
                // The row keeps its commit number. With a new number, `insert_or_replace` and
                // `check_imported` would take it for a record that the import has written. A number is given
                // out nevertheless: the commit that contains this change must have a larger number than the
                // commit before.
                self.store.next_commit();
                let after = Row { created_at, ..row.clone() };
                return self.store.apply_row(RowChange::replace(id, row, after)).map(|()| id);
            }
            // The row has no state until a version is read.
            None => Row {
                pk: pk.to_owned(),
                state: None,
                created_at: created_at.map_or_else(|| self.now.within_rfc3339_years(), Ok)?,
                updated_at: Timestamp::FIRST,
                commit: self.store.next_commit(),
                instance_pk: None,
            },
        };
        let id = self.store.next_row_id();
        if created_at.is_none() {
            self.without_stated_creation.insert(id);
        }
        self.store.apply_row(RowChange::insert(id, row)).map(|()| id)
    }

    /// Writes the noted definitions under `classes`, whose classes were already defined before the import.
    /// Called after the names of all other definitions were registered. A definition that is stored already
    /// is not written again.
    fn write_redefinitions(&mut self, problems: &mut WorldletFaults) -> Result<()> {
        let classes = Place::Key(&Place::Root, "classes");
        for Redefinition { key, name, bucket } in std::mem::take(&mut self.redefinitions) {
            let place = Place::Key(&classes, &key);
            let Some((id, pk)) = self.store.definition_record(&name)? else {
                // The import has overwritten the former definition, and no record of the worldlet defines the
                // class.
                self.write_definition(None, bucket, &place, problems)?;
                continue;
            };
            if self.store.stores_definition(id, &text(&bucket))? {
                continue;
            }
            let Some(row) = self.store.storage.row(id)? else { continue };
            if row.commit > self.commit_before {
                // A record of the worldlet defines the class differently: the name is defined twice.
                let fault = self.store.check_name(None, &name)?;
                fault.into_iter().for_each(|fault| problems.refuse(place.with_pointer(fault)));
                continue;
            }
            self.write_definition(Some(pk), bucket, &place, problems)?;
        }
        Ok(())
    }

    /// Writes a definition under `classes`. `pk` is the pk of the record that defines the class so far. If it
    /// is `None`, the definition becomes a new record.
    fn write_definition(
        &mut self,
        pk: Option<String>,
        bucket: Map<String, Value>,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let now = self.now.within_rfc3339_years()?;
        let pk = pk.map_or_else(|| self.store.unused_pk(now), Ok)?;
        let stack = Stack::of_class(uns::CLASS.to_owned()).into_map(None);
        let (extras, created_at) = (Map::new(), None);
        let (updated_at, form) = (Some(now), RecordForm::DEFINITION);
        let record = IncomingRecord { pk, bucket, stack, extras, created_at, updated_at, form };
        self.write(&record, place, problems)
    }

    /// Writes the record at `place`, with its class memberships.
    fn write(
        &mut self,
        record: &IncomingRecord,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        let Some(id) = self.insert_or_replace(record, place)? else {
            problems.refuse(pk_is_there_twice(place));
            return Ok(());
        };
        self.records += 1;
        let markers = Markers::of(&record.extras);
        self.insert_memberships(id, (&record.stack, &record.bucket), &markers, (place, record.form), problems)
    }

    /// Inserts a record into its classes, and notes the place of its entry in the worldlet. `form` says how
    /// the entry spells the record: it translates places in the record to places in the entry. If the record
    /// is a definition, reports the faults of the definition, and notes it for
    /// [`register_definition_names`](Self::register_definition_names).
    pub(super) fn insert_memberships(
        &mut self,
        id: RowId,
        (stack, bucket): StackAndBucket<'_>,
        markers: &Markers,
        (place, form): (&Place<'_>, RecordForm),
        problems: &mut WorldletFaults,
    ) -> Result<()> {
        self.places.note(id, place, form);
        let (mut write, mut memberships) = (WriteSet::default(), Vec::new());
        self.store.derive_memberships(id, (stack, markers), &mut memberships, &mut write)?;
        write.change_entries(Vec::new(), memberships);
        self.store.apply(write)?;
        if stack::has_class(stack, uns::CLASS)
            && report_definition_faults((stack, bucket), (place, form), problems)
        {
            self.has_definitions = true;
            self.definitions.insert(id);
        }
        Ok(())
    }

    /// Checks a definition that is a past version of its record: reports its faults, and notes that the
    /// import has a definition. The name of the definition is not registered.
    pub(super) fn check_past_definition(
        &mut self,
        state: &IncomingState,
        place: &Place<'_>,
        problems: &mut WorldletFaults,
    ) {
        let IncomingState { bucket, stack, form, .. } = state;
        self.has_definitions |= report_definition_faults((stack, bucket), (place, *form), problems);
    }

    /// Inserts a record, or replaces the one with the same pk. Returns `None` if this import has already
    /// written a record with that pk, or has read a stub with it. `place` is that of the record.
    fn insert_or_replace(&mut self, record: &IncomingRecord, place: &Place<'_>) -> Result<Option<RowId>> {
        // Whether the record is an entry of `records` that is noted in `rows_of_records`. In a database that
        // is not temporal none is noted: the commit number of a row tells whether the import has written it.
        let is_noted_entry =
            self.store.is_temporal && matches!(place, Place::Key(Place::Key(Place::Root, "records"), _));
        let updated_at =
            record.updated_at.or(record.created_at).map_or_else(|| self.now.within_rfc3339_years(), Ok)?;
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
        // A definition begins no earlier than the last former definition of its name has ended. If another
        // definition of the name is overwritten later in this import, `raise_definition_times` raises the
        // time again.
        let defined = defined_by(&record.stack, &record.bucket);
        if let Some(end) = defined.and_then(|name| self.store.former_definition_end(&name)) {
            row.updated_at = row.updated_at.max(end);
        }
        let Some((id, found)) = self.store.storage.find(&record.pk)? else {
            self.store.pks.skip(&record.pk);
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            let id = self.store.next_row_id();
            if is_noted_entry {
                self.rows_of_records.insert(id);
            }
            return self.store.apply_row(RowChange::insert(id, row)).map(|()| Some(id));
        };
        let is_written = found.commit > self.commit_before;
        let has_version = found.instance_pk.is_some() || !self.store.is_temporal;
        if (is_noted_entry && !self.rows_of_records.insert(id)) || (is_written && has_version) {
            return Ok(None);
        }
        if is_written {
            // The row is the stub that `reserve` has inserted for this record.
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            return self.store.apply_row(RowChange::replace(id, found, row)).map(|()| Some(id));
        }
        let replaced = found.state.clone();
        // If the worldlet states no time of creation, the record keeps the stored one. Exception: in a
        // database that is not temporal, a deleted record does not keep it. An export of such a database
        // lacks the tombstone, so the record counts as one that never existed.
        if record.created_at.is_none() && (replaced.is_some() || self.store.is_temporal) {
            row.created_at = found.created_at;
        }
        if is_same_version(&found, &row) {
            // Nothing changes. The row is written nevertheless, with a new commit number, by which
            // `check_imported` finds it.
            row.instance_pk.clone_from(&found.instance_pk);
            self.store.apply_row(RowChange::replace(id, found, row))?;
        } else {
            // `updated_at` must grow, so that readers notice the change.
            row.updated_at = row.updated_at.max(found.updated_at.after()).within_rfc3339_years()?;
            row.instance_pk = self.store.next_instance_pk(row.updated_at);
            let mut write = WriteSet::default();
            self.store.stage_replacement(id, found, row, &mut write);
            self.store.apply(write)?;
        }
        // The index entries of the old state are removed. The caller and `check_imported` add those of the
        // new state.
        if let Some(replaced) = &replaced {
            let stack = self.remove_derived_entries(id, replaced)?;
            self.note_if_deleted_or_left_class((id, &record.pk), &stack, Some(&record.stack));
        }
        Ok(Some(id))
    }

    /// Notes a record that existed before the import if it was deleted (`new` is `None`), or if its stack
    /// `new` lacks a class of its stack `old`. The end of the import checks whether a restricting reference
    /// forbids this. Such a reference may be in a record that the import does not write.
    pub(super) fn note_if_deleted_or_left_class(
        &mut self,
        (id, pk): (RowId, &str),
        old: &Map<String, Value>,
        new: Option<&Map<String, Value>>,
    ) {
        if id <= self.row_before && new.is_none_or(|new| stack::leaves_a_class(old, new)) {
            self.deleted_or_left_class.insert(pk.to_owned());
        }
    }

    /// Removes the index entries that were derived from `replaced`, the overwritten state of a record. If the
    /// record defined a class, also unregisters the name of the class. Returns the stack of `replaced`.
    pub(super) fn remove_derived_entries(
        &mut self,
        id: RowId,
        replaced: &State,
    ) -> Result<Map<String, Value>> {
        let (stack, bucket) = (parse_object(&replaced.stack)?, parse_object(&replaced.bucket)?);
        let markers = stored_markers(replaced.extras.as_deref())?;
        let mut write = WriteSet::default();
        let entries = self.store.derive(id, (&stack, &bucket), &markers, &mut write)?.entries;
        write.change_entries(entries, Vec::new());
        self.store.apply(write)?;
        if let Some(name) = defined_by(&stack, &bucket)
            && self.store.definition_record(&name)?.is_some_and(|(holder, _)| holder == id)
        {
            self.store.unregister_class_name(id, &name)?;
            self.overwritten_definitions.insert(id, name);
        }
        Ok(stack)
    }
}

/// The fault of a pk that two entries of `records` have. `place` is that of the second.
fn pk_is_there_twice(place: &Place<'_>) -> ErrorItem {
    place.fault("two records of the worldlet have this pk")
}

/// Reports the faults of a record that is a class definition. Returns whether the name of the definition is
/// to be registered: `false` if it is the name of a built-in class, since registering would report the same
/// fault again.
fn report_definition_faults(
    (stack, bucket): StackAndBucket<'_>,
    (place, form): (&Place<'_>, RecordForm),
    problems: &mut WorldletFaults,
) -> bool {
    let mut faults = FaultList::default();
    let platters = stack.iter().filter(|(_, platter)| platter.get("class") == Some(&uns::CLASS.into()));
    let stack_place = Place::Key(&Place::Root, "stack");
    for (nth, (key, platter)) in platters.enumerate() {
        let place = Place::Key(&stack_place, key);
        faults.extend(misplaced_definition(platter.get("bucket").is_some(), nth > 0, &place));
    }
    let definition = Definition::read(bucket, Place::Key(&Place::Root, "bucket"), &mut faults);
    let built_in = definition.filter(|definition| uns::is_built_in(&definition.name));
    if let Some(Definition { name, .. }) = &built_in {
        let message = format!("`{name}` is built in, and needs no definition");
        faults.push(ErrorItem::new(ErrorId::DUPLICATE_CLASS, message).with("class", name.as_str()));
    }
    problems.refuse_all(faults, |fault| {
        let in_record = fault.details.get("pointer").and_then(Value::as_str).unwrap_or_default();
        let pointer = format!("{place}{}", form.translate(in_record));
        fault.with("pointer", pointer)
    });
    built_in.is_none()
}

/// Whether two rows have the same content and the same times.
fn is_same_version(one: &Row, other: &Row) -> bool {
    (&one.state, one.created_at, one.updated_at) == (&other.state, other.created_at, other.updated_at)
}

#[cfg(test)]
mod tests {
    use miko_rpc::memory;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::engine::store::pks::Pks;
    use crate::engine::store::transaction::CommitSharing;
    use crate::mode::Mode;
    use crate::storage::naive::{InjectedFailure, NaiveStorage};

    fn import(store: &mut Store<NaiveStorage>, worldlet: &str) -> Result<Imported> {
        store.write(CommitSharing::Separate, |store| store.import_worldlet(&mut worldlet.as_bytes(), false))
    }

    const SHA256_OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn empty() -> Store<NaiveStorage> {
        Store::on(NaiveStorage::new(false), Mode::ReadWrite).unwrap()
    }

    #[test]
    fn imported_pks_are_not_given_out_again() {
        const TIME: &str = "2026-05-28T07:30:00Z";
        let mut store = Store::on(NaiveStorage::new(true), Mode::ReadWrite).unwrap();
        // The last pk is of the year 2527, so all further pks are counted up.
        store.pks = Pks::after("10000000-0000-7000-8000-000000000000");
        let next_pk = |store: &mut Store<NaiveStorage>| store.pks.next(Timestamp::FIRST);
        let worldlets: [fn(String) -> Value; 6] = [
            |pk| json!({"records": {pk: {"bucket": {}}}}),
            |pk| json!({"records": {pk: {"bucket": {}, "stack": {"x": {"class": "a.b/c"}}}}}),
            |pk| {
                let version = json!({"identity": pk, "timestamp": TIME, "bucket": {}});
                json!({"properties": {"temporal": true}, "history": {"v1": version}})
            },
            |pk| {
                let version = json!({"identity": "a", "timestamp": TIME, "bucket": {}});
                json!({"properties": {"temporal": true}, "history": {pk: version}})
            },
            |pk| {
                let version = json!({"identity": pk, "timestamp": TIME, "bucket": {}});
                json!({"records": {pk: {}}, "history": {"v2": version}})
            },
            |pk| {
                let file = json!({"sha256": SHA256_OF_NOTHING, "mime": {"type": "text/plain"}});
                let chunk = json!({"file": pk, "index": 0, "last": true, "data": ""});
                json!({"files": {pk: file}, "file_chunks": {"c": chunk}})
            },
        ];
        for worldlet in worldlets {
            let last = Uuid::try_parse(&next_pk(&mut store)).unwrap().as_u128();
            // Far enough from the last pk that the import does not give it out itself.
            let imported = Uuid::from_u128(last + 1000).to_string();
            let worldlet = worldlet(imported.clone()).to_string();
            import(&mut store, &worldlet).unwrap();
            assert!(next_pk(&mut store) > imported, "{worldlet}");
        }
    }

    #[test]
    fn a_failure_of_storage_is_no_fault_of_the_worldlet() {
        let before = json!({
            "classes": {"a.b/c": {"fields": {"n": {}}}},
            "records": {"a": {"class": "a.b/c", "bucket": {"n": 1}}},
        });
        let worldlet = json!({
            "classes": {"a.b/c": {"fields": {"n": {"unique": true}}}},
            "records": {"b": {"class": "a.b/c", "bucket": {"n": 2}}},
        });
        for successful_writes in 0.. {
            let mut store = empty();
            import(&mut store, &before.to_string()).unwrap();
            let successes = std::iter::repeat_n(None, successful_writes);
            store.storage.apply_failures = successes.chain([Some(InjectedFailure::RolledBack)]).collect();
            let imported = import(&mut store, &worldlet.to_string());
            // The failure is still in the list: the import makes fewer writes, and has succeeded.
            if !store.storage.apply_failures.is_empty() {
                assert_eq!(imported.unwrap().records, 2);
                assert!(successful_writes > 5, "the import writes definitions, records and index entries");
                return;
            }
            let error = imported.unwrap_err();
            assert_eq!(error.items().len(), 1, "{error}");
            assert!(error.is(ErrorId::STORAGE_FULL), "after {successful_writes} writes: {error}");
        }
    }

    #[test]
    fn a_merge_in_which_storage_fails_does_not_tell_of_rejected_versions() {
        let version = |n| json!({"identity": "a", "timestamp": "2364-01-01T00:00:00Z", "bucket": {"n": n}});
        let mut store = Store::on(NaiveStorage::new(true), Mode::ReadWrite).unwrap();
        assert_eq!(store.merge(&json!({"history": {"v1": version(1)}})).unwrap().accepted, ["v1"]);
        let worldlet = json!({"history": {"v1": version(2), "v2": version(3)}});
        for (failure, rejected) in [(None, Ok(1)), (Some(InjectedFailure::RolledBack), Err(true))] {
            store.storage.apply_failures = [failure].into();
            let merged = store.merge(&worldlet).map(|merged| merged.rejected.len());
            assert_eq!(merged.map_err(|error| error.is(ErrorId::STORAGE_FULL)), rejected);
        }
    }

    #[test]
    fn a_worldlet_that_takes_too_much_memory_has_no_fault() {
        let large = format!("[0{}]", ", 0".repeat(200_000));
        for worldlet in [
            format!(r#"{{"records": {{"a": {large}}}}}"#),
            format!(r#"{{"classes": {{"a.b/c": {large}}}}}"#),
            format!(r#"{{"meta": {large}}}"#),
            format!(r#"{{"properties": {large}}}"#),
        ] {
            let error = memory::read_within(1 << 20, || import(&mut empty(), &worldlet)).unwrap_err();
            assert_eq!(error.id(), &ErrorId::REQUEST_TOO_LARGE, "{}: {error}", &worldlet[..24]);
        }
    }
}
