//! Tables as sorted maps: the storage of the worldlet engine.

mod apply;
mod undo_table;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use miko_rpc::Result;
use serde_json::Value;

use crate::class::{Constraint, ConstraintKind};
use crate::storage::explain::Explanation;
use crate::storage::ids::{ClassId, CommitSeq, ConstraintId, FileId, LastNumbers, RowId};
use crate::storage::plan::{AccessPath, IndexLookup, Plan};
use crate::storage::row::{ClaimRow, FileRow, Row};
use crate::storage::write_set::{Conflict, WriteSet};
use crate::storage::{Capabilities, IdVisitor, Storage, chunk_part, corruption};
use crate::timestamp::Timestamp;
use crate::uns;
use undo_table::{UndoLog, UndoTable};

/// Why the evaluator filters, sorts and limits every select.
const NO_SQL: &str = "this engine has no SQL";

/// Writes the tables to a file, as a worldlet. Each commit that changes the worldlet calls it before the
/// changes become permanent: if it fails, they can still be rolled back.
pub(crate) type Save = Box<dyn FnMut(&MemoryTables) -> Result<()> + Send>;

/// The tables of the SQL files in `miko-core/schema`, as sorted maps.
#[derive(Default)]
pub struct MemoryTables {
    record: UndoTable<RowId, Row>,
    /// Records by pk.
    by_pk: UndoTable<String, RowId>,
    /// Class ids by name.
    class: UndoTable<String, ClassId>,
    /// Key: class, record.
    membership: UndoTable<(ClassId, RowId), ()>,
    constraint: UndoTable<ConstraintKey, ConstraintId>,
    /// Key: constraint, value. Value: record.
    unique_value: UndoTable<(ConstraintId, String), RowId>,
    /// Key: constraint, value, record.
    indexed_value: UndoTable<(ConstraintId, String, RowId), ()>,
    /// Key: target, record, JSON pointer. Value: whether this is a restricting reference.
    reference: UndoTable<(String, RowId, String), bool>,
    /// Top-level keys of an imported worldlet, such as `comment`, and its property `executable`.
    metadata: UndoTable<String, Value>,
    /// Past versions; the current version of a record is its row in `record`. Key: record, time, instance pk.
    version: UndoTable<(RowId, Timestamp, String), Row>,
    /// Records by the instance pks of all their versions, the current one included.
    by_instance: UndoTable<String, RowId>,
    /// The records that are or were class definitions; empty unless `is_temporal`.
    definition: UndoTable<RowId, ()>,
    /// The last claim of each record that has had one, by record. It may have been released, or its lease may
    /// have ended.
    claim: UndoTable<RowId, ClaimRow>,
    file: UndoTable<FileId, FileRow>,
    file_by_pk: UndoTable<String, FileId>,
    /// Key: file, chunk index.
    chunk: UndoTable<(FileId, u64), Arc<[u8]>>,
    is_temporal: bool,
    in_transaction: bool,
    /// Writes the tables to their file; `None` if they have no file. In a `RefCell`, because the function is
    /// called with the tables, of which it is a part.
    save: Option<RefCell<Save>>,
    /// Whether the open transaction has changed anything that the worldlet in the file contains.
    needs_save: bool,
}

impl fmt::Debug for MemoryTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTables").field("is_temporal", &self.is_temporal).finish_non_exhaustive()
    }
}

/// The identity of a constraint: class, kind and fields.
type ConstraintKey = (String, ConstraintKind, Vec<Vec<String>>);

fn constraint_key(declared: &Constraint) -> ConstraintKey {
    (declared.class.clone(), declared.kind, declared.fields.clone())
}

impl MemoryTables {
    /// Creates empty tables. Temporal ones keep every version of a record.
    pub(crate) fn new(is_temporal: bool) -> Self {
        let mut tables = Self { is_temporal, ..Self::default() };
        // The constraint that the names of class definitions are unique. No class declares it.
        let key = (uns::CLASS.to_owned(), ConstraintKind::Unique, vec![vec!["name".to_owned()]]);
        tables.constraint.insert(key, ConstraintId::DEFINITION_NAME);
        // It is there from the start, so no rollback may remove it.
        tables.constraint.commit();
        tables
    }

    /// Sets the function that writes the tables to their file. Each later commit that changes the worldlet
    /// calls the function.
    pub(crate) fn set_save(&mut self, save: Save) {
        self.save = Some(RefCell::new(save));
    }

    /// Writes the tables to their file, if they have one, whether or not they have changed.
    ///
    /// # Errors
    /// The errors of the [`Save`] function.
    pub(crate) fn save(&self) -> Result<()> {
        match &self.save {
            Some(save) => (save.borrow_mut())(self),
            None => Ok(()),
        }
    }

    /// The undo logs of all tables, which are committed and rolled back together.
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
            &mut self.metadata,
            &mut self.version,
            &mut self.by_instance,
            &mut self.definition,
            &mut self.claim,
            &mut self.file,
            &mut self.file_by_pk,
            &mut self.chunk,
        ]
    }

    /// The members of a class, in the order of their row ids.
    fn members_of(&self, class: ClassId) -> impl Iterator<Item = RowId> {
        let first = (class, RowId::default());
        self.membership.range(first..(class.next(), RowId::default())).map(|((_, row), ())| *row)
    }

    /// The rows of an access path, in the order of their ids, without duplicates.
    fn rows_of<'s>(&'s self, access_path: &AccessPath<'_>) -> Box<dyn Iterator<Item = RowId> + 's> {
        match access_path {
            AccessPath::Everything => Box::new(self.record.range(..).map(|(id, _)| *id)),
            AccessPath::Pks(pks) => {
                let found: BTreeSet<RowId> =
                    pks.iter().filter_map(|pk| self.by_pk.get(pk).copied()).collect();
                Box::new(found.into_iter())
            }
            AccessPath::Members(classes) => match classes.ids[..] {
                [class] => Box::new(self.members_of(class)),
                _ => {
                    let members: BTreeSet<RowId> =
                        classes.ids.iter().flat_map(|class| self.members_of(*class)).collect();
                    Box::new(members.into_iter())
                }
            },
            AccessPath::Index(lookup) => Box::new(self.rows_of_index(lookup).into_iter()),
        }
    }

    /// The rows that an index has for the keys of a lookup.
    ///
    /// A unique index has its entries in two tables. If a platter has an own bucket, `unique_value` has the
    /// value of the own bucket, and `indexed_value` the value of the shared bucket. A select compares the
    /// shared bucket, so both tables are read. A row that has the value only in an own bucket is then found
    /// as well; the evaluator drops it.
    fn rows_of_index(&self, lookup: &IndexLookup) -> BTreeSet<RowId> {
        let mut found = BTreeSet::new();
        for value in &lookup.keys {
            let key = |row| (lookup.constraint, value.clone(), row);
            found.extend(self.unique_value.get(&(lookup.constraint, value.clone())));
            let entries = self.indexed_value.range(key(RowId(0))..=key(RowId(i64::MAX)));
            found.extend(entries.map(|((.., row), ())| *row));
        }
        found
    }
}

/// The smallest key that a version of a record can have in `MemoryTables::version`.
fn first_version_key(id: RowId) -> (RowId, Timestamp, String) {
    (id, Timestamp::from_millis(i64::MIN), String::new())
}

/// A version of a record, with the creation time that the current row has. A merge may change the creation
/// time of a record, and does not change it in the past versions.
fn with_creation_time(current: &Row, version: &Row) -> Row {
    Row { created_at: current.created_at, ..version.clone() }
}

impl Storage for MemoryTables {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            backend: "mikobase.uno/worldlet",
            is_temporal: self.is_temporal,
            has_slow_commit: self.save.is_some(),
            has_slow_reads: false,
            may_defer_commit: false,
            keeps_numbers: false,
            residual_filter_reason: Some(NO_SQL),
        }
    }

    fn begin(&mut self) -> Result<()> {
        self.in_transaction = true;
        self.needs_save = false;
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if self.needs_save {
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

    fn apply(&mut self, write: &WriteSet) -> Result<Vec<Conflict>> {
        self.apply_write_set(write)
    }

    fn last_numbers(&self) -> Result<LastNumbers> {
        let current = self.record.range(..).map(|(_, row)| row);
        let past = self.version.range(..).map(|(_, version)| version);
        Ok(LastNumbers {
            row: self.record.last().map_or(RowId::default(), |(id, _)| *id),
            commit: current.chain(past).map(|row| row.commit).max().unwrap_or_default(),
            class: self.class.range(..).map(|(_, id)| *id).max().unwrap_or_default(),
            constraint: self.constraint.range(..).map(|(_, id)| *id).max().unwrap_or_default(),
            file: self.file.last().map_or(FileId::default(), |(id, _)| *id),
        })
    }

    fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        let Some(&id) = self.by_pk.get(pk) else { return Ok(None) };
        Ok(self.row(id)?.map(|row| (id, row)))
    }

    fn row(&self, id: RowId) -> Result<Option<Row>> {
        Ok(self.record.get(&id).cloned())
    }

    fn next_row(&self, id: RowId, commit: CommitSeq) -> Result<Option<(RowId, Row)>> {
        let mut after = self.record.range((Bound::Excluded(id), Bound::Unbounded));
        let found = after.find(|(_, row)| row.commit > commit);
        Ok(found.map(|(id, row)| (*id, row.clone())))
    }

    fn each_version(&self, id: RowId, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        let Some(current) = self.record.get(&id) else { return Ok(()) };
        let past = self.version.range(first_version_key(id)..first_version_key(id.next()));
        let past = past.map(|(_, version)| version);
        past.chain([current]).map(|version| with_creation_time(current, version)).try_for_each(visit)
    }

    fn next_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>> {
        let Some(current) = self.record.get(&id) else { return Ok(None) };
        let (time, instance_pk) = after;
        let begin = Bound::Excluded((id, time, instance_pk.to_owned()));
        let end = Bound::Excluded(first_version_key(id.next()));
        let past = self.version.range((begin, end)).map(|(_, version)| version).next();
        let next = past.or(Some(current).filter(|current| current.position() > after));
        Ok(next.map(|version| with_creation_time(current, version)))
    }

    fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>> {
        let Some(current) = self.record.get(&id) else { return Ok(None) };
        if current.updated_at <= time {
            return Ok(Some(current.clone()));
        }
        let end = (id, Timestamp::from_millis(time.as_millis().saturating_add(1)), String::new());
        let mut past = self.version.range(first_version_key(id)..end);
        Ok(past.next_back().map(|(_, version)| with_creation_time(current, version)))
    }

    fn find_version(&self, instance_pk: &str) -> Result<Option<(RowId, Row)>> {
        let Some(&id) = self.by_instance.get(instance_pk) else { return Ok(None) };
        let mut found = None;
        self.each_version(id, &mut |version| {
            if version.instance_pk.as_deref() == Some(instance_pk) {
                found = Some((id, version));
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn definitions(&self) -> Result<Vec<RowId>> {
        Ok(self.definition.range(..).map(|(id, ())| *id).collect())
    }

    fn select_with_ids(&self, plan: &Plan<'_>, visit: IdVisitor<'_>) -> Result<()> {
        for id in self.rows_of(&plan.access_path) {
            if let Some(record) = self.record.get(&id).and_then(Row::view)
                && let ControlFlow::Break(()) = visit(id, record)?
            {
                break;
            }
        }
        Ok(())
    }

    fn select_row_ids(&self, _: &Plan<'_>) -> Result<Vec<RowId>> {
        // Unreachable: every plan of this storage has a residual filter. For such a plan the engine calls
        // `select_with_ids`.
        Err(corruption("rows were selected by a plan that has a residual filter"))
    }

    fn explain(&self, plan: &Plan<'_>) -> Result<Explanation> {
        let scanned = match &plan.access_path {
            AccessPath::Everything => "every record",
            AccessPath::Pks(_) => "the records of some pks",
            AccessPath::Members(_) => "the records of some classes",
            AccessPath::Index(_) => "the records of an index",
        };
        Ok(Explanation {
            sql: None,
            values: Vec::new(),
            plan: vec![format!("SCAN {scanned}")],
            columns: Vec::new(),
            index: plan.access_path.index_name(),
            residual_filter_reason: plan.residual_filter_reason.map(str::to_owned),
        })
    }

    fn class_id(&self, class: &str) -> Result<Option<ClassId>> {
        Ok(self.class.get(class).copied())
    }

    fn members(&self, class: ClassId) -> Result<Vec<RowId>> {
        Ok(self.members_of(class).collect())
    }

    fn constraint_id(&self, constraint: &Constraint) -> Result<Option<ConstraintId>> {
        Ok(self.constraint.get(&constraint_key(constraint)).copied())
    }

    fn find_unique(&self, constraint: ConstraintId, value: &str) -> Result<Option<RowId>> {
        Ok(self.unique_value.get(&(constraint, value.to_owned())).copied())
    }

    fn refers(&self, target: &str, row: RowId, pointer: &str) -> Result<bool> {
        Ok(self.reference.get(&(target.to_owned(), row, pointer.to_owned())).is_some())
    }

    fn restricting_references(&self, target: &str, limit: usize) -> Result<Vec<(RowId, String)>> {
        let of_target = self
            .reference
            .range((target.to_owned(), RowId::default(), String::new())..)
            .take_while(|((referred_to, ..), _)| referred_to == target);
        let restricting = of_target.filter(|(_, restricts)| **restricts);
        Ok(restricting.take(limit).map(|((_, row, pointer), _)| (*row, pointer.clone())).collect())
    }

    fn claims(&self) -> Result<Vec<(RowId, ClaimRow)>> {
        Ok(self.claim.range(..).map(|(id, claim)| (*id, claim.clone())).collect())
    }

    fn find_file(&self, pk: &str) -> Result<Option<(FileId, FileRow)>> {
        let Some(&id) = self.file_by_pk.get(pk) else { return Ok(None) };
        Ok(self.file.get(&id).map(|row| (id, row.clone())))
    }

    fn find_file_by_sha256(&self, sha256: &str) -> Result<Option<(FileId, FileRow)>> {
        let mut files = self.file.range(..);
        let found = files.find(|(_, row)| row.sha256.as_deref() == Some(sha256));
        Ok(found.map(|(id, row)| (*id, row.clone())))
    }

    fn next_file(&self, id: FileId) -> Result<Option<(FileId, FileRow)>> {
        let mut after = self.file.range((Bound::Excluded(id), Bound::Unbounded));
        Ok(after.next().map(|(id, row)| (*id, row.clone())))
    }

    fn chunk(&self, file: FileId, index: u64, offset: u64, max: usize) -> Result<Option<(Vec<u8>, u64)>> {
        Ok(self.chunk.get(&(file, index)).map(|chunk| chunk_part(chunk, offset, max)))
    }

    fn metadata(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.metadata.get(key).cloned())
    }
}
