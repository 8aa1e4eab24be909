//! Maps of the index entries of a database in memory (memberships, unique and indexed values), of the rows of
//! its pks, and of its claims.
//!
//! A database in a file has tables instead, and an index of pks. In memory nothing has to be durable, and
//! adding an entry to a map costs a fraction of adding it to a table (`docs/decisions/0027` and `0042`).
//! References are index entries, too, but they are in a table in every database. Selects read the entries by
//! SQL: see [`entry_tables`].
//!
//! A transaction of the maps begins with the first change after a commit or a rollback, and ends with the
//! transaction of SQLite. A transaction that is never rolled back has no undo log.
//!
//! [`entry_tables`]: super::entry_tables

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use miko_rpc::{Result, memory};

use super::row_set::RowSet;
use crate::storage::ids::{ClassId, ConstraintId, RowId};
use crate::storage::row::ClaimRow;
use crate::storage::write_set::{Conflict, IndexEntry, RowChange};

type Map<K, V> = HashMap<K, V, RandomState>;

/// A hash of a pk, by a hasher with a random seed.
type PkHash = u64;

/// The maps, shared by storage and the virtual tables of its connection. Storage never holds the lock while
/// it runs a statement, since the virtual tables lock the maps each time that a cursor copies a block of row
/// numbers.
#[derive(Clone, Default)]
pub(super) struct SharedEntryMaps(Arc<Mutex<EntryMaps>>);

/// Prints no entries, since they contain values of records.
impl fmt::Debug for SharedEntryMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedEntryMaps").finish_non_exhaustive()
    }
}

impl SharedEntryMaps {
    pub(super) fn lock(&self) -> MutexGuard<'_, EntryMaps> {
        // After a panic under the lock, a part of a write set may be applied. The engine undoes it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memberships, unique and indexed values, rows of pks, and claims.
#[derive(Default)]
pub(super) struct EntryMaps {
    /// The rows by the hashes of their pks. Keys are hashes, since pks take four times the memory. Rows whose
    /// pks have the same hash share a set.
    rows_by_pk: Map<PkHash, RowSet>,
    pk_hasher: RandomState,
    /// Whether all pks have the same hash.
    #[cfg(test)]
    pub(super) have_pks_one_hash: bool,
    members: Map<ClassId, RowSet>,
    unique: Map<ConstraintId, Map<Box<str>, RowId>>,
    indexed: Map<ConstraintId, Map<Box<str>, RowSet>>,
    claims: BTreeMap<RowId, ClaimRow>,
    /// The undo log: the changes of the open transaction, the oldest first. Empty if the transaction is never
    /// rolled back.
    undo: Vec<Change>,
    /// Whether the open transaction is never rolled back.
    is_commit_promised: bool,
}

/// A change, in the undo log.
enum Change {
    Added(IndexEntry),
    Removed(IndexEntry),
    AddedRow(PkHash, RowId),
    RemovedRow(PkHash, RowId),
    /// The claim of a record was changed. The second field is the previous claim.
    Claim(RowId, Option<ClaimRow>),
}

impl EntryMaps {
    /// Whether the maps hold entries of this kind. Only references are in a table.
    pub(super) const fn holds(entry: &IndexEntry) -> bool {
        !matches!(entry, IndexEntry::Reference { .. })
    }

    /// The conflicts of entries that are to be added: the unique values that belong to other records.
    pub(super) fn conflicts(&self, added: &[IndexEntry]) -> Vec<Conflict> {
        let conflict = |entry: &IndexEntry| {
            let IndexEntry::Unique { constraint, value, row } = entry else { return None };
            let holder = self.find_unique(*constraint, value).filter(|holder| holder != row)?;
            Some(Conflict { constraint: *constraint, value: value.clone(), holder })
        };
        added.iter().filter_map(conflict).collect()
    }

    /// Removes and adds the entries that the maps [hold](Self::holds), and ignores references. The caller has
    /// checked that there are no [conflicts](Self::conflicts).
    ///
    /// # Errors
    /// `storage-full`, if the process exceeds the threshold for storing (`memory::store_threshold`). Then all
    /// of `removed` is removed, and a part of `added` may be added.
    pub(super) fn apply(&mut self, removed: &[IndexEntry], added: &[IndexEntry]) -> Result<()> {
        for entry in removed.iter().filter(|entry| Self::holds(entry)) {
            if self.remove(entry) {
                self.log(|| Change::Removed(entry.clone()));
            }
        }
        for entry in added.iter().filter(|entry| Self::holds(entry)) {
            memory::charge_stored(approximate_size(entry))?;
            if self.add(entry) {
                self.log(|| Change::Added(entry.clone()));
            }
        }
        Ok(())
    }

    /// Adds the row of a pk.
    ///
    /// # Errors
    /// `storage-full`, as for [`apply`](Self::apply). Nothing is changed then.
    pub(super) fn add_row_of_pk(&mut self, pk: &str, row: RowId) -> Result<()> {
        memory::charge_stored(size_of::<(PkHash, RowSet)>())?;
        let hash = self.hash_of_pk(pk);
        if add_row(&mut self.rows_by_pk, hash, row) {
            self.log(|| Change::AddedRow(hash, row));
        }
        Ok(())
    }

    /// Removes the row of a pk, if it is there.
    pub(super) fn remove_row_of_pk(&mut self, pk: &str, row: RowId) {
        let hash = self.hash_of_pk(pk);
        if remove_row(&mut self.rows_by_pk, &hash, row) {
            self.log(|| Change::RemovedRow(hash, row));
        }
    }

    fn hash_of_pk(&self, pk: &str) -> PkHash {
        #[cfg(test)]
        if self.have_pks_one_hash {
            return 0;
        }
        self.pk_hasher.hash_one(pk)
    }

    /// Appends to `rows` the row of a pk, if there is one, and all rows whose pks have the same hash.
    pub(super) fn push_rows_of_pk(&self, pk: &str, rows: &mut Vec<RowId>) {
        if let Some(set) = self.rows_by_pk.get(&self.hash_of_pk(pk)) {
            let before_first_row = RowId::default();
            set.push_after(before_first_row, usize::MAX, rows);
        }
    }

    /// Sets or removes the claim of a record.
    ///
    /// # Errors
    /// `storage-full`, as for [`apply`](Self::apply). Nothing is changed then.
    pub(super) fn change_claim(&mut self, change: &RowChange<RowId, ClaimRow>) -> Result<()> {
        let before = match &change.after {
            Some(claim) => {
                let text_length = claim.id.len() + claim.lasting_select.as_ref().map_or(0, String::len);
                memory::charge_stored(size_of::<ClaimRow>() + text_length)?;
                self.claims.insert(change.key, claim.clone())
            }
            None => self.claims.remove(&change.key),
        };
        self.log(|| Change::Claim(change.key, before));
        Ok(())
    }

    /// The claims of records, each with the row id of its record, in order of the row ids.
    pub(super) fn claims(&self) -> Vec<(RowId, ClaimRow)> {
        self.claims.iter().map(|(record, claim)| (*record, claim.clone())).collect()
    }

    /// Adds a change to the undo log, if the open transaction may be rolled back.
    fn log(&mut self, change: impl FnOnce() -> Change) {
        if !self.is_commit_promised {
            self.undo.push(change());
        }
    }

    /// Keeps no undo log up to the commit: see
    /// [`Storage::promise_commit`](crate::storage::Storage::promise_commit). A write that fails is undone by
    /// the inverse of its write sets. The transaction must not have changed anything yet.
    pub(super) fn promise_commit(&mut self) {
        self.is_commit_promised = true;
    }

    /// Makes the changes since the last commit permanent.
    pub(super) fn commit(&mut self) {
        self.is_commit_promised = false;
        self.undo.clear();
        self.shrink_undo_log();
    }

    /// Releases the memory of the undo log of a large import.
    fn shrink_undo_log(&mut self) {
        const MAX_CAPACITY: usize = 64;
        self.undo.shrink_to(MAX_CAPACITY);
    }

    /// Undoes the changes since the last commit.
    pub(super) fn roll_back(&mut self) {
        debug_assert!(!self.is_commit_promised, "the transaction is never rolled back");
        while let Some(change) = self.undo.pop() {
            match change {
                Change::Added(entry) => drop(self.remove(&entry)),
                Change::Removed(entry) => drop(self.add(&entry)),
                Change::AddedRow(hash, row) => drop(remove_row(&mut self.rows_by_pk, &hash, row)),
                Change::RemovedRow(hash, row) => drop(add_row(&mut self.rows_by_pk, hash, row)),
                Change::Claim(record, Some(before)) => drop(self.claims.insert(record, before)),
                Change::Claim(record, None) => drop(self.claims.remove(&record)),
            }
        }
        self.shrink_undo_log();
    }

    /// The row that has a unique value.
    pub(super) fn find_unique(&self, constraint: ConstraintId, value: &str) -> Option<RowId> {
        self.unique.get(&constraint)?.get(value).copied()
    }

    pub(super) fn members(&self, class: ClassId) -> Option<&RowSet> {
        self.members.get(&class)
    }

    pub(super) fn indexed(&self, constraint: ConstraintId, value: &str) -> Option<&RowSet> {
        self.indexed.get(&constraint)?.get(value)
    }

    /// Adds an entry; ignores a reference. Returns whether the maps have changed.
    fn add(&mut self, entry: &IndexEntry) -> bool {
        match entry {
            IndexEntry::Member { class, row } => add_row(&mut self.members, *class, *row),
            IndexEntry::Unique { constraint, value, row } => {
                let values = self.unique.entry(*constraint).or_default();
                values.insert(value.as_str().into(), *row) != Some(*row)
            }
            IndexEntry::Indexed { constraint, value, row } => {
                let values = self.indexed.entry(*constraint).or_default();
                // The text of the value is copied only if no row has the value yet.
                match values.get_mut(value.as_str()) {
                    Some(rows) => rows.insert(*row),
                    None => add_row(values, value.as_str().into(), *row),
                }
            }
            IndexEntry::Reference { .. } => false,
        }
    }

    /// Removes an entry; ignores a reference. Returns whether the maps have changed.
    fn remove(&mut self, entry: &IndexEntry) -> bool {
        match entry {
            IndexEntry::Member { class, row } => remove_row(&mut self.members, class, *row),
            IndexEntry::Unique { constraint, value, row } => {
                let Some(values) = self.unique.get_mut(constraint) else { return false };
                values.get(value.as_str()) == Some(row) && values.remove(value.as_str()).is_some()
            }
            IndexEntry::Indexed { constraint, value, row } => {
                let Some(values) = self.indexed.get_mut(constraint) else { return false };
                remove_row(values, value.as_str(), *row)
            }
            IndexEntry::Reference { .. } => false,
        }
    }

    /// The number of rows of pks, and of entries of each kind.
    #[cfg(test)]
    pub(super) fn counts(&self) -> [i64; 4] {
        let rows = |sets: &mut dyn Iterator<Item = &RowSet>| sets.map(RowSet::len).sum::<usize>();
        let pks = rows(&mut self.rows_by_pk.values());
        let members = rows(&mut self.members.values());
        let unique: usize = self.unique.values().map(HashMap::len).sum();
        let indexed = rows(&mut self.indexed.values().flat_map(HashMap::values));
        [pks, members, unique, indexed].map(|count| count as i64)
    }
}

/// Adds a row to the set of a key. Returns whether the row was not in the set.
fn add_row<K: Eq + Hash>(sets: &mut Map<K, RowSet>, key: K, row: RowId) -> bool {
    match sets.get_mut(&key) {
        Some(rows) => rows.insert(row),
        None => sets.insert(key, RowSet::of(row)).is_none(),
    }
}

/// Removes a row from the set of a key, and an empty set from the map. Returns whether the row was in the
/// set.
fn remove_row<K, Q>(sets: &mut Map<K, RowSet>, key: &Q, row: RowId) -> bool
where
    K: Eq + Hash + Borrow<Q>,
    Q: Eq + Hash + ?Sized,
{
    let Some(rows) = sets.get_mut(key) else { return false };
    let was_there = rows.remove(row);
    if rows.len() == 0 {
        sets.remove(key);
    }
    was_there
}

/// The approximate number of bytes that an entry takes in the maps.
const fn approximate_size(entry: &IndexEntry) -> usize {
    match entry {
        IndexEntry::Unique { value, .. } | IndexEntry::Indexed { value, .. } => 32 + value.len(),
        IndexEntry::Member { .. } | IndexEntry::Reference { .. } => 16,
    }
}
