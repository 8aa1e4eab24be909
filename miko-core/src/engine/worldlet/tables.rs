//! The tables of `schema/sqlite.sql` as sorted maps.

use std::cell::RefCell;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use crate::class::{Class, Constraint, ConstraintKind};
use crate::engine::Explanation;
use crate::engine::store::{Store, broken, export};
use crate::engine::tables::{FileRow, ONE_DEFINITION, Row, State, Tables};
use crate::engine::worldlet::file::WorldletFile;
use crate::engine::worldlet::undo_table::{UndoLog, UndoTable};
use crate::error::Result;
use crate::json;
use crate::memory;
use crate::query::SelectRequest;
use crate::record::{Record, Records};
use crate::stack;
use crate::timestamp::Timestamp;
use crate::uns;

/// The tables as sorted maps, and the file that each commit writes, if there is one.
#[derive(Debug)]
pub struct MemoryTables {
    /// Key: record, as its row id (`seq`).
    pub(super) record: UndoTable<i64, Row>,
    /// Records by pk.
    pub(super) by_pk: UndoTable<String, i64>,
    /// Class ids by name.
    class: UndoTable<String, i64>,
    /// Key: class, record.
    pub(super) membership: UndoTable<(i64, i64), ()>,
    constraint: UndoTable<ConstraintKey, i64>,
    /// Key: constraint, value. Value: record.
    pub(super) unique_value: UndoTable<(i64, String), i64>,
    /// Key: constraint, value, record.
    pub(super) indexed_value: UndoTable<(i64, String, i64), ()>,
    /// Key: target, record, JSON pointer. Value: whether the reference restricts deletion of the target.
    reference: UndoTable<(String, i64, String), bool>,
    /// The references by their source. Key: record, target, JSON pointer.
    reference_by_record: UndoTable<(i64, String, String), ()>,
    /// Top-level keys of the worldlet, such as `comment`, and the property `executable`.
    metadata: UndoTable<String, Value>,
    last_class: i64,
    last_constraint: i64,
    /// Key: record, time, pk of the version.
    version: UndoTable<(i64, i64, String), Row>,
    /// The record of a version, by the pk of the version.
    by_instance: UndoTable<String, i64>,
    /// The records that are or were class definitions.
    ever_definition: UndoTable<i64, ()>,
    file: UndoTable<i64, FileRow>,
    file_by_pk: UndoTable<String, i64>,
    /// Key: file, chunk index.
    chunk: UndoTable<(i64, u64), Arc<[u8]>>,
    temporal: bool,
    in_transaction: bool,
    /// The file to which commits write the worldlet.
    worldlet_file: Option<RefCell<WorldletFile>>,
    /// Whether the open transaction has changed anything but files that are still being written, which are
    /// not saved.
    needs_save: bool,
}

/// The identity of a constraint: class, kind and fields.
type ConstraintKey = (String, ConstraintKind, Vec<Vec<String>>);

impl Default for MemoryTables {
    fn default() -> Self {
        let mut constraint = UndoTable::default();
        let definition_name = (uns::CLASS.to_owned(), ConstraintKind::Unique, vec![vec!["name".to_owned()]]);
        constraint.insert(definition_name, ONE_DEFINITION);
        constraint.commit();
        Self {
            record: UndoTable::default(),
            by_pk: UndoTable::default(),
            class: UndoTable::default(),
            membership: UndoTable::default(),
            constraint,
            unique_value: UndoTable::default(),
            indexed_value: UndoTable::default(),
            reference: UndoTable::default(),
            reference_by_record: UndoTable::default(),
            metadata: UndoTable::default(),
            last_class: 0,
            last_constraint: ONE_DEFINITION,
            version: UndoTable::default(),
            by_instance: UndoTable::default(),
            ever_definition: UndoTable::default(),
            file: UndoTable::default(),
            file_by_pk: UndoTable::default(),
            chunk: UndoTable::default(),
            temporal: false,
            in_transaction: false,
            worldlet_file: None,
            needs_save: false,
        }
    }
}

impl MemoryTables {
    /// Empty tables that keep every version of a record.
    pub(super) fn temporal() -> Self {
        Self { temporal: true, ..Self::default() }
    }

    /// From now on, writes the worldlet to `file` at each commit.
    pub(super) fn attach_file(&mut self, file: WorldletFile) {
        self.worldlet_file = Some(RefCell::new(file));
    }

    /// Writes the worldlet to its file, if it has one.
    pub(super) fn save(&self) -> Result<()> {
        let Some(worldlet_file) = &self.worldlet_file else { return Ok(()) };
        worldlet_file.borrow_mut().save(|writer| export::write(self, writer))
    }

    fn undo_logs(&mut self) -> [&mut dyn UndoLog; 16] {
        [
            &mut self.record,
            &mut self.by_pk,
            &mut self.class,
            &mut self.membership,
            &mut self.constraint,
            &mut self.unique_value,
            &mut self.indexed_value,
            &mut self.reference,
            &mut self.reference_by_record,
            &mut self.metadata,
            &mut self.version,
            &mut self.by_instance,
            &mut self.ever_definition,
            &mut self.file,
            &mut self.file_by_pk,
            &mut self.chunk,
        ]
    }

    /// The members of a class, in order of creation.
    pub(super) fn members_of(&self, class: i64) -> impl Iterator<Item = i64> {
        self.membership.range((class, 0)..(class + 1, 0)).map(|((_, seq), ())| *seq)
    }

    /// Returns the id of a constraint. Assigns one if it has none.
    fn constraint_id_or_insert(&mut self, declared: &Constraint) -> i64 {
        let key = constraint_key(declared);
        if let Some(id) = self.constraint.get(&key) {
            return *id;
        }
        self.last_constraint += 1;
        self.constraint.insert(key, self.last_constraint);
        self.last_constraint
    }

    fn delete_index_entries(&mut self, constraint: i64) {
        let (from, to) = ((constraint, String::new()), (constraint + 1, String::new()));
        let unique: Vec<_> = self.unique_value.range(from..to).map(|(key, _)| key.clone()).collect();
        unique.iter().for_each(|key| self.unique_value.remove(key));
        let (from, to) = ((constraint, String::new(), 0), (constraint + 1, String::new(), 0));
        let indexed: Vec<_> = self.indexed_value.range(from..to).map(|(key, _)| key.clone()).collect();
        indexed.iter().for_each(|key| self.indexed_value.remove(key));
    }
}

fn constraint_key(declared: &Constraint) -> ConstraintKey {
    (declared.class.clone(), declared.kind, declared.fields.clone())
}

/// The lower bound of the keys of versions of a record at `time` or later.
fn first_version_key(seq: i64, time: i64) -> (i64, i64, String) {
    (seq, time, String::new())
}

/// Sets the creation time of a version, which only the last row of the record has.
fn with_creation_time(last: &Row, version: &Row) -> Row {
    Row { created_at: last.created_at, ..version.clone() }
}

impl Tables for MemoryTables {
    fn name(&self) -> &'static str {
        "mikobase.uno/worldlet"
    }

    fn gain_together(&self) -> bool {
        self.worldlet_file.is_some()
    }

    fn gain_standing(&self) -> bool {
        false
    }

    fn is_temporal(&self) -> bool {
        self.temporal
    }

    fn begin(&mut self) -> Result<()> {
        self.in_transaction = true;
        self.needs_save = false;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let file_changes = [self.file.changes(), self.file_by_pk.changes(), self.chunk.changes()];
        if self.needs_save || self.changes() > file_changes.into_iter().sum::<usize>() as u64 {
            self.save()?;
        }
        self.undo_logs().into_iter().for_each(|table| table.commit());
        self.in_transaction = false;
        Ok(())
    }

    fn roll_back(&mut self) {
        self.undo_logs().into_iter().for_each(|table| table.roll_back());
        self.in_transaction = false;
    }

    fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    fn changes(&mut self) -> u64 {
        self.undo_logs().into_iter().map(|table| table.changes() as u64).sum()
    }

    fn find(&self, pk: &str) -> Result<Option<(i64, Row)>> {
        let Some(&seq) = self.by_pk.get(pk) else { return Ok(None) };
        Ok(self.row(seq)?.map(|row| (seq, row)))
    }

    fn row(&self, seq: i64) -> Result<Option<Row>> {
        Ok(self.record.get(&seq).cloned())
    }

    fn next_row(&self, seq: i64, commit: i64) -> Result<Option<(i64, Row)>> {
        let mut after = self.record.range((Bound::Excluded(seq), Bound::Unbounded));
        let found = after.find(|(_, row)| row.commit > commit);
        Ok(found.map(|(seq, row)| (*seq, row.clone())))
    }

    fn insert(&mut self, row: &Row) -> Result<i64> {
        let seq = self.last_inserted() + 1;
        self.rewrite(seq, row)?;
        self.by_pk.insert(row.pk.clone(), seq);
        Ok(seq)
    }

    fn rewrite(&mut self, seq: i64, row: &Row) -> Result<()> {
        memory::charge_stored(row.size())?;
        self.record.insert(seq, row.clone());
        if let Some(instance) = &row.instance {
            self.by_instance.insert(instance.clone(), seq);
        }
        Ok(())
    }

    fn archive(&mut self, seq: i64) -> Result<()> {
        let Some(row) = self.row(seq)? else { return Ok(()) };
        self.insert_version(seq, &row)
    }

    fn creations(&self) -> Result<Vec<(Timestamp, i64)>> {
        Ok(self.record.range(..).map(|(seq, row)| (row.created_at, *seq)).collect())
    }

    fn insert_version(&mut self, seq: i64, version: &Row) -> Result<()> {
        memory::charge_stored(version.size())?;
        let instance = version.instance.clone().unwrap_or_default();
        self.version.insert((seq, version.updated_at.as_millis(), instance), version.clone());
        if let Some(instance) = &version.instance {
            self.by_instance.insert(instance.clone(), seq);
        }
        Ok(())
    }

    fn each_version(&self, seq: i64, show: impl FnMut(Row) -> Result<()>) -> Result<()> {
        let Some(last) = self.record.get(&seq) else { return Ok(()) };
        let past = self.version.range(first_version_key(seq, i64::MIN)..first_version_key(seq + 1, i64::MIN));
        let past = past.map(|(_, version)| version);
        past.chain([last]).map(|version| with_creation_time(last, version)).try_for_each(show)
    }

    fn version_at(&self, seq: i64, time: Timestamp) -> Result<Option<Row>> {
        let Some(last) = self.record.get(&seq) else { return Ok(None) };
        if last.updated_at <= time {
            return Ok(Some(last.clone()));
        }
        let mut past = self
            .version
            .range(first_version_key(seq, i64::MIN)..first_version_key(seq, time.as_millis() + 1));
        Ok(past.next_back().map(|(_, version)| with_creation_time(last, version)))
    }

    fn enter_definition(&mut self, seq: i64) -> Result<()> {
        self.ever_definition.insert(seq, ());
        Ok(())
    }

    fn ever_definitions(&self) -> Result<Vec<i64>> {
        Ok(self.ever_definition.range(..).map(|(seq, ())| *seq).collect())
    }

    fn find_version(&self, instance: &str) -> Result<Option<(i64, Row)>> {
        let Some(&seq) = self.by_instance.get(instance) else { return Ok(None) };
        let versions = self.versions(seq)?;
        let found = versions.into_iter().find(|version| version.instance.as_deref() == Some(instance));
        Ok(found.map(|version| (seq, version)))
    }

    fn remove(&mut self, seq: i64) -> Result<()> {
        if let Some(row) = self.row(seq)? {
            self.by_pk.remove(&row.pk);
            if let Some(instance) = &row.instance {
                self.by_instance.remove(instance);
            }
            self.record.remove(&seq);
        }
        Ok(())
    }

    fn last_inserted(&self) -> i64 {
        self.record.last().map_or(0, |(seq, _)| *seq)
    }

    fn last_commit(&self) -> Result<i64> {
        let rows = self.record.range(..).map(|(_, row)| row);
        Ok(rows.chain(self.version.range(..).map(|(_, row)| row)).map(|row| row.commit).max().unwrap_or(0))
    }

    fn record(&self, pk: &str) -> Result<Option<Record>> {
        let row = self.by_pk.get(pk).and_then(|seq| self.record.get(seq));
        Ok(row.and_then(|row| row.shown()).map(Record::from))
    }

    fn select(store: &Store<Self>, select: &SelectRequest) -> Result<Records> {
        store.run_select(select)
    }

    fn select_numbers(store: &Store<Self>, select: &SelectRequest) -> Result<Vec<i64>> {
        store.fetch_row_ids(select)
    }

    fn explain(store: &Store<Self>, select: &SelectRequest) -> Result<Explanation> {
        store.explain_select(select)
    }

    fn find_class(&self, class: &str) -> Result<Option<i64>> {
        Ok(self.class.get(class).copied())
    }

    fn class_id(&mut self, class: &str) -> Result<i64> {
        if let Some(id) = self.class.get(class) {
            return Ok(*id);
        }
        self.last_class += 1;
        self.class.insert(class.to_owned(), self.last_class);
        Ok(self.last_class)
    }

    fn enter(&mut self, class: i64, seq: i64) -> Result<()> {
        self.membership.insert((class, seq), ());
        Ok(())
    }

    fn leave(&mut self, class: i64, seq: i64) -> Result<()> {
        self.membership.remove(&(class, seq));
        Ok(())
    }

    fn members(&self, class: i64) -> Result<Vec<i64>> {
        Ok(self.members_of(class).collect())
    }

    fn classes_of(&self, seq: i64) -> Result<Vec<String>> {
        let Some(State { stack, .. }) = self.record.get(&seq).and_then(|row| row.state.as_ref()) else {
            return Ok(Vec::new());
        };
        let stack = json::object_from_text(stack).map_err(broken)?;
        Ok(stack::classes(&stack).into_iter().map(str::to_owned).collect())
    }

    fn constraint_ids(&mut self, class: &Class) -> Result<Arc<[i64]>> {
        Ok(class.constraints.iter().map(|declared| self.constraint_id_or_insert(declared)).collect())
    }

    fn find_constraint(&self, class: &Class, index: usize) -> Result<Option<i64>> {
        Ok(self.constraint.get(&constraint_key(&class.constraints[index])).copied())
    }

    fn keep_constraints(&mut self, class: &str, kept: &[Constraint]) -> Result<()> {
        let kept: Vec<ConstraintKey> = kept.iter().map(constraint_key).collect();
        // `Unique` is the smallest kind.
        let from = (class.to_owned(), ConstraintKind::Unique, Vec::new());
        let of_class = self.constraint.range(from..).take_while(|(key, _)| key.0 == class);
        let dropped: Vec<_> =
            of_class.filter(|(key, _)| !kept.contains(key)).map(|(key, id)| (key.clone(), *id)).collect();
        for (key, id) in dropped {
            self.delete_index_entries(id);
            self.constraint.remove(&key);
        }
        Ok(())
    }

    fn enter_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<bool> {
        let key = (constraint, value.to_owned());
        let is_free = self.unique_value.get(&key).is_none();
        if is_free {
            memory::charge_stored(value.len())?;
            self.unique_value.insert(key, seq);
        }
        Ok(is_free)
    }

    fn leave_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        let key = (constraint, value.to_owned());
        if self.unique_value.get(&key) == Some(&seq) {
            self.unique_value.remove(&key);
        }
        Ok(())
    }

    fn holder(&self, constraint: i64, value: &str) -> Result<Option<i64>> {
        Ok(self.unique_value.get(&(constraint, value.to_owned())).copied())
    }

    fn enter_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        memory::charge_stored(value.len())?;
        self.indexed_value.insert((constraint, value.to_owned(), seq), ());
        Ok(())
    }

    fn leave_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()> {
        self.indexed_value.remove(&(constraint, value.to_owned(), seq));
        Ok(())
    }

    fn point(&mut self, target: &str, seq: i64, pointer: &str, restricts: bool) -> Result<()> {
        memory::charge_stored(2 * (target.len() + pointer.len()))?;
        let key = (target.to_owned(), seq, pointer.to_owned());
        let restricts = restricts || self.reference.get(&key) == Some(&true);
        self.reference.insert(key, restricts);
        self.reference_by_record.insert((seq, target.to_owned(), pointer.to_owned()), ());
        Ok(())
    }

    fn unpoint(&mut self, seq: i64) -> Result<()> {
        let (from, to) = ((seq, String::new(), String::new()), (seq + 1, String::new(), String::new()));
        let entries: Vec<_> = self.reference_by_record.range(from..to).map(|(key, ())| key.clone()).collect();
        for entry in entries {
            self.reference_by_record.remove(&entry);
            let (seq, target, pointer) = entry;
            self.reference.remove(&(target, seq, pointer));
        }
        Ok(())
    }

    fn points(&self, target: &str, seq: i64, pointer: &str) -> Result<bool> {
        Ok(self.reference.get(&(target.to_owned(), seq, pointer.to_owned())).is_some())
    }

    fn restricting(&self, target: &str, limit: usize) -> Result<Vec<(i64, String)>> {
        let of_target = self
            .reference
            .range((target.to_owned(), 0, String::new())..)
            .take_while(|((pointed_at, ..), _)| pointed_at == target);
        let restricting = of_target.filter(|(_, restricts)| **restricts);
        Ok(restricting.take(limit).map(|((_, seq, pointer), _)| (*seq, pointer.clone())).collect())
    }

    fn find_file(&self, pk: &str) -> Result<Option<(i64, FileRow)>> {
        let Some(&file) = self.file_by_pk.get(pk) else { return Ok(None) };
        Ok(self.file.get(&file).map(|row| (file, row.clone())))
    }

    fn file_with(&self, sha256: &str) -> Result<Option<(i64, FileRow)>> {
        let mut files = self.file.range(..);
        let found = files.find(|(_, row)| row.sha256.as_deref() == Some(sha256));
        Ok(found.map(|(file, row)| (*file, row.clone())))
    }

    fn next_file(&self, file: i64) -> Result<Option<(i64, FileRow)>> {
        let mut after = self.file.range((Bound::Excluded(file), Bound::Unbounded));
        Ok(after.next().map(|(file, row)| (*file, row.clone())))
    }

    fn write_file(&mut self, row: &FileRow) -> Result<i64> {
        let known = self.file_by_pk.get(&row.pk).copied();
        let file = known.unwrap_or_else(|| self.file.last().map_or(1, |(last, _)| last + 1));
        self.file.insert(file, row.clone());
        self.file_by_pk.insert(row.pk.clone(), file);
        self.needs_save |= row.sha256.is_some();
        Ok(file)
    }

    fn remove_file(&mut self, file: i64) -> Result<()> {
        if let Some(row) = self.file.get(&file).cloned() {
            self.file_by_pk.remove(&row.pk);
            self.file.remove(&file);
            self.needs_save |= row.sha256.is_some();
        }
        let chunks: Vec<_> = self.chunk.range((file, 0)..=(file, u64::MAX)).map(|(key, _)| *key).collect();
        chunks.iter().for_each(|key| self.chunk.remove(key));
        Ok(())
    }

    fn write_chunk(&mut self, file: i64, index: u64, data: &[u8]) -> Result<()> {
        memory::charge_stored(data.len())?;
        self.chunk.insert((file, index), data.into());
        Ok(())
    }

    fn chunk(&self, file: i64, index: u64, offset: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>> {
        let part = |chunk: &Arc<[u8]>| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(chunk.len());
            (chunk[from..].iter().take(most).copied().collect(), chunk.len() as u64)
        };
        Ok(self.chunk.get(&(file, index)).map(part))
    }

    fn kept(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.metadata.get(key).cloned())
    }

    fn keep(&mut self, key: &str, value: &Value) -> Result<()> {
        self.metadata.insert(key.to_owned(), value.clone());
        Ok(())
    }
}
