//! The simplest correct storage, for tests. It has no indexes, so most reads scan a table. To roll back, it
//! restores a copy of all tables, which `begin` has made. Tests can make `apply` and `commit` fail.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Bound, ControlFlow};

use miko_rpc::{Error, ErrorId, Result};
use serde_json::Value;

use super::explain::Explanation;
use super::ids::{ClassId, CommitSeq, ConstraintId, FileId, LastNumbers, RowId};
use super::plan::{AccessPath, IndexLookup, Plan};
use super::row::{ClaimRow, FileRow, Row};
use super::write_set::{Conflict, IndexEntry, RowChange, WriteSet};
use super::{Capabilities, IdVisitor, Storage, chunk_part, corruption};
use crate::class::Constraint;
use crate::timestamp::Timestamp;

/// The tables, their state before the open transaction, and the failures that a test has injected.
#[derive(Debug, Default)]
pub struct NaiveStorage {
    tables: Tables,
    /// The tables before the open transaction; `None` if none is open.
    before: Option<Tables>,
    /// Whether the engine has promised not to roll back the open transaction.
    is_commit_promised: bool,
    is_temporal: bool,
    /// The number of rows that [`next_row`](Storage::next_row) has returned, for tests.
    pub(crate) rows_read: Cell<usize>,
    /// The capability of the same name, which tests can set.
    pub(crate) may_defer_commit: bool,
    /// For each of the next calls of `apply`: how it fails; `None` if it succeeds. All calls after these
    /// succeed.
    pub(crate) apply_failures: VecDeque<Option<InjectedFailure>>,
    /// For each of the next calls of `commit`: whether it fails, and so leaves the transaction open. All
    /// calls after these succeed.
    pub(crate) commit_failures: VecDeque<bool>,
}

/// How storage fails to apply a write set, in a test.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "unit tests inject faults, the behavioural tests do not"))]
pub(crate) enum InjectedFailure {
    /// Only the rows of the write set are applied.
    Incomplete,
    /// Nothing is applied, and the transaction is rolled back.
    RolledBack,
}

#[derive(Debug, Clone, Default)]
struct Tables {
    rows: BTreeMap<RowId, Row>,
    /// Key: record, time, instance pk.
    versions: BTreeMap<(RowId, Timestamp, Option<String>), Row>,
    definitions: BTreeSet<RowId>,
    classes: BTreeMap<ClassId, String>,
    constraints: BTreeMap<ConstraintId, Constraint>,
    entries: BTreeSet<IndexEntry>,
    claims: BTreeMap<RowId, ClaimRow>,
    files: BTreeMap<FileId, FileRow>,
    chunks: BTreeMap<(FileId, u64), Vec<u8>>,
    metadata: BTreeMap<String, Value>,
}

impl NaiveStorage {
    /// Creates empty tables. Temporal ones keep every version of a record.
    pub(crate) fn new(is_temporal: bool) -> Self {
        Self { is_temporal, ..Self::default() }
    }

    /// Restores the tables as they were before the open transaction, if one is open.
    fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            self.tables = before;
        }
    }
}

fn injected_error() -> Error {
    Error::new(ErrorId::STORAGE_FULL, "this fault is injected by a test")
}

/// Applies the changes of one table.
fn apply_changes<K: Ord + Clone, V: Clone>(table: &mut BTreeMap<K, V>, changes: &[RowChange<K, V>]) {
    for RowChange { key, after, .. } in changes {
        match after {
            Some(value) => table.insert(key.clone(), value.clone()),
            None => table.remove(key),
        };
    }
}

impl Tables {
    fn apply(&mut self, write: &WriteSet) {
        apply_changes(&mut self.rows, &write.rows);
        for RowChange { key, .. } in write.rows.iter().filter(|change| change.after.is_none()) {
            self.definitions.remove(key);
        }
        for RowChange { key, before, after } in &write.versions {
            let version_key = |version: &Row| (*key, version.updated_at, version.instance_pk.clone());
            if let Some(version) = before {
                self.versions.remove(&version_key(version));
            }
            if let Some(version) = after {
                self.versions.insert(version_key(version), version.clone());
            }
        }
        for entry in &write.removed_entries {
            self.entries.remove(entry);
        }
        self.entries.extend(write.added_entries.iter().cloned());
        let Some(others) = &write.others else { return };
        self.definitions.extend(&others.definitions);
        apply_changes(&mut self.classes, &others.classes);
        apply_changes(&mut self.constraints, &others.constraints);
        apply_changes(&mut self.claims, &others.claims);
        for file in &others.removed_chunks {
            self.chunks.retain(|(chunk_file, _), _| chunk_file != file);
        }
        apply_changes(&mut self.files, &others.files);
        apply_changes(&mut self.chunks, &others.chunks);
        apply_changes(&mut self.metadata, &others.metadata);
    }

    fn find_unique(&self, constraint: ConstraintId, value: &str) -> Option<RowId> {
        self.entries.iter().find_map(|entry| match entry {
            IndexEntry::Unique { constraint: entry_constraint, value: entry_value, row } => {
                (*entry_constraint == constraint && entry_value == value).then_some(*row)
            }
            _ => None,
        })
    }

    fn conflict_of(&self, entry: &IndexEntry) -> Option<Conflict> {
        let IndexEntry::Unique { constraint, value, row } = entry else { return None };
        let holder = self.find_unique(*constraint, value).filter(|holder| holder != row)?;
        Some(Conflict { constraint: *constraint, value: value.clone(), holder })
    }

    fn members(&self, class: ClassId) -> impl Iterator<Item = RowId> {
        self.entries.iter().filter_map(move |entry| match entry {
            IndexEntry::Member { class: entry_class, row } if *entry_class == class => Some(*row),
            _ => None,
        })
    }

    /// The rows of an access path, in order of creation.
    fn rows_of(&self, access_path: &AccessPath<'_>) -> BTreeSet<RowId> {
        match access_path {
            AccessPath::Everything => self.rows.keys().copied().collect(),
            AccessPath::Pks(pks) => {
                let named = self.rows.iter().filter(|(_, row)| pks.contains(&row.pk));
                named.map(|(id, _)| *id).collect()
            }
            AccessPath::Members(classes) => {
                classes.ids.iter().flat_map(|class| self.members(*class)).collect()
            }
            AccessPath::Index(lookup) => self.rows_of_index(lookup),
        }
    }

    fn rows_of_index(&self, lookup: &IndexLookup) -> BTreeSet<RowId> {
        let found = self.entries.iter().filter_map(|entry| match entry {
            IndexEntry::Unique { constraint, value, row }
            | IndexEntry::Indexed { constraint, value, row } => {
                (*constraint == lookup.constraint && lookup.keys.contains(value)).then_some(*row)
            }
            _ => None,
        });
        found.collect()
    }

    /// The versions of a record in order of time, the current row last. Past versions get the creation time
    /// that the current row has.
    fn versions(&self, id: RowId) -> Vec<Row> {
        let Some(current) = self.rows.get(&id) else { return Vec::new() };
        let first_key = |id| (id, Timestamp::from_millis(i64::MIN), None);
        let past = self.versions.range(first_key(id)..first_key(id.next())).map(|(_, version)| version);
        let with_creation_time = |version: &Row| Row { created_at: current.created_at, ..version.clone() };
        past.map(with_creation_time).chain([current.clone()]).collect()
    }
}

impl Storage for NaiveStorage {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            backend: "mikobase.uno/naive",
            is_temporal: self.is_temporal,
            has_slow_commit: false,
            has_slow_reads: true,
            may_defer_commit: self.may_defer_commit,
            keeps_numbers: false,
            residual_filter_reason: Some("this storage is for tests"),
        }
    }

    fn begin(&mut self) -> Result<()> {
        self.is_commit_promised = false;
        self.before = Some(self.tables.clone());
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let must_fail = self.commit_failures.pop_front() == Some(true);
        // If an injected failure of `apply` has rolled back the transaction, none is open any more.
        if must_fail || self.before.is_none() {
            return Err(injected_error());
        }
        (self.before, self.is_commit_promised) = (None, false);
        Ok(())
    }

    fn in_transaction(&self) -> bool {
        self.before.is_some()
    }

    fn promise_commit(&mut self) {
        self.is_commit_promised = true;
    }

    fn roll_back(&mut self) {
        assert!(!self.is_commit_promised, "the engine rolls back what it has promised to commit");
        self.restore();
    }

    fn apply(&mut self, write: &WriteSet) -> Result<Vec<Conflict>> {
        match self.apply_failures.pop_front().flatten() {
            None => {}
            Some(InjectedFailure::Incomplete) => {
                apply_changes(&mut self.tables.rows, &write.rows);
                return Err(injected_error());
            }
            Some(InjectedFailure::RolledBack) => {
                self.restore();
                return Err(injected_error());
            }
        }
        let conflicts: Vec<_> =
            write.added_entries.iter().filter_map(|entry| self.tables.conflict_of(entry)).collect();
        if conflicts.is_empty() {
            self.tables.apply(write);
        }
        Ok(conflicts)
    }

    fn last_numbers(&self) -> Result<LastNumbers> {
        fn last<K: Copy + Default + Ord, V>(table: &BTreeMap<K, V>) -> K {
            table.last_key_value().map_or(K::default(), |(key, _)| *key)
        }
        let rows = self.tables.rows.values().chain(self.tables.versions.values());
        Ok(LastNumbers {
            row: last(&self.tables.rows),
            commit: rows.map(|row| row.commit).max().unwrap_or_default(),
            class: last(&self.tables.classes),
            // This storage does not keep the constraint that no class declares in the table.
            constraint: last(&self.tables.constraints).max(ConstraintId::DEFINITION_NAME),
            file: last(&self.tables.files),
        })
    }

    fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>> {
        let found = self.tables.rows.iter().find(|(_, row)| row.pk == pk);
        Ok(found.map(|(id, row)| (*id, row.clone())))
    }

    fn row(&self, id: RowId) -> Result<Option<Row>> {
        Ok(self.tables.rows.get(&id).cloned())
    }

    fn next_row(&self, id: RowId, commit: CommitSeq) -> Result<Option<(RowId, Row)>> {
        let mut after = self.tables.rows.range((Bound::Excluded(id), Bound::Unbounded));
        let found = after.find(|(_, row)| row.commit > commit);
        self.rows_read.set(self.rows_read.get() + usize::from(found.is_some()));
        Ok(found.map(|(id, row)| (*id, row.clone())))
    }

    fn each_version(&self, id: RowId, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
        self.tables.versions(id).into_iter().try_for_each(visit)
    }

    fn next_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>> {
        Ok(self.tables.versions(id).into_iter().find(|version| version.position() > after))
    }

    fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>> {
        Ok(self.tables.versions(id).into_iter().rfind(|version| version.updated_at <= time))
    }

    fn find_version(&self, instance_pk: &str) -> Result<Option<(RowId, Row)>> {
        let with_id = |&id: &RowId| self.tables.versions(id).into_iter().map(move |version| (id, version));
        let mut all = self.tables.rows.keys().flat_map(with_id);
        Ok(all.find(|(_, version)| version.instance_pk.as_deref() == Some(instance_pk)))
    }

    fn definitions(&self) -> Result<Vec<RowId>> {
        Ok(self.tables.definitions.iter().copied().collect())
    }

    fn select_with_ids(&self, plan: &Plan<'_>, visit: IdVisitor<'_>) -> Result<()> {
        for id in self.tables.rows_of(&plan.access_path) {
            if let Some(record) = self.tables.rows.get(&id).and_then(Row::view)
                && let ControlFlow::Break(()) = visit(id, record)?
            {
                break;
            }
        }
        Ok(())
    }

    fn select_row_ids(&self, _: &Plan<'_>) -> Result<Vec<RowId>> {
        Err(corruption("a select on naive storage without a residual filter"))
    }

    fn explain(&self, plan: &Plan<'_>) -> Result<Explanation> {
        Ok(Explanation {
            sql: None,
            values: Vec::new(),
            plan: vec!["SCAN everything".to_owned()],
            columns: Vec::new(),
            index: plan.access_path.index_name(),
            residual_filter_reason: plan.residual_filter_reason.map(str::to_owned),
        })
    }

    fn class_id(&self, class: &str) -> Result<Option<ClassId>> {
        Ok(self.tables.classes.iter().find(|(_, name)| *name == class).map(|(id, _)| *id))
    }

    fn members(&self, class: ClassId) -> Result<Vec<RowId>> {
        Ok(self.tables.members(class).collect())
    }

    fn constraint_id(&self, constraint: &Constraint) -> Result<Option<ConstraintId>> {
        Ok(self.tables.constraints.iter().find(|(_, declared)| *declared == constraint).map(|(id, _)| *id))
    }

    fn find_unique(&self, constraint: ConstraintId, value: &str) -> Result<Option<RowId>> {
        Ok(self.tables.find_unique(constraint, value))
    }

    fn refers(&self, target: &str, row: RowId, pointer: &str) -> Result<bool> {
        let entry = |restricts| IndexEntry::Reference {
            target: target.to_owned(),
            row,
            pointer: pointer.to_owned(),
            restricts,
        };
        Ok([true, false].map(entry).iter().any(|entry| self.tables.entries.contains(entry)))
    }

    fn restricting_references(&self, target: &str, limit: usize) -> Result<Vec<(RowId, String)>> {
        let restricting = self.tables.entries.iter().filter_map(|entry| match entry {
            IndexEntry::Reference { target: entry_target, row, pointer, restricts: true }
                if entry_target == target =>
            {
                Some((*row, pointer.clone()))
            }
            _ => None,
        });
        Ok(restricting.take(limit).collect())
    }

    fn claims(&self) -> Result<Vec<(RowId, ClaimRow)>> {
        Ok(self.tables.claims.iter().map(|(id, claim)| (*id, claim.clone())).collect())
    }

    fn find_file(&self, pk: &str) -> Result<Option<(FileId, FileRow)>> {
        let found = self.tables.files.iter().find(|(_, file)| file.pk == pk);
        Ok(found.map(|(id, file)| (*id, file.clone())))
    }

    fn find_file_by_sha256(&self, sha256: &str) -> Result<Option<(FileId, FileRow)>> {
        let found = self.tables.files.iter().find(|(_, file)| file.sha256.as_deref() == Some(sha256));
        Ok(found.map(|(id, file)| (*id, file.clone())))
    }

    fn next_file(&self, id: FileId) -> Result<Option<(FileId, FileRow)>> {
        let mut after = self.tables.files.range((Bound::Excluded(id), Bound::Unbounded));
        Ok(after.next().map(|(id, file)| (*id, file.clone())))
    }

    fn chunk(&self, file: FileId, index: u64, offset: u64, max: usize) -> Result<Option<(Vec<u8>, u64)>> {
        Ok(self.tables.chunks.get(&(file, index)).map(|chunk| chunk_part(chunk, offset, max)))
    }

    fn metadata(&self, key: &str) -> Result<Option<Value>> {
        Ok(self.tables.metadata.get(key).cloned())
    }
}
