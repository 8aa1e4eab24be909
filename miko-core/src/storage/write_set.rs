//! Write sets: the changes of a write to the tables, as data.

use serde_json::Value;

use super::ids::{ClassId, ConstraintId, FileId, RowId};
use super::row::{ClaimRow, FileRow, Row};
use crate::class::Constraint;

/// Changes of the tables, which storage applies together: one write of the engine has one or several write
/// sets. If a write set adds a unique value that another record has, nothing is applied, and storage returns
/// the [`Conflict`]s. This holds even if the write set also removes the value from the other record. After an
/// error a part of the write set may be applied.
///
/// A write set also has the replaced values, so that its [`inverse`](Self::inverse) undoes it, or the part of
/// it that was applied.
///
/// A write set changes each row, version, file and so on at most once. It adds each unique value at most
/// once: storage compares the added values with the stored ones, and not with each other. Adding an entry
/// that exists, and removing one that does not, changes nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WriteSet {
    /// Rows of records: inserted, rewritten, or made tombstones. Only an [`inverse`](Self::inverse) removes
    /// rows. A row that is removed also leaves the table of [definitions](OtherChanges::definitions).
    pub(crate) rows: Vec<RowChange<RowId, Row>>,
    /// Past versions of records, in a temporal database. The key is the row of the record; the instance pk
    /// identifies the version.
    pub(crate) versions: Vec<RowChange<RowId, Row>>,
    pub(crate) removed_entries: Vec<IndexEntry>,
    /// Has no entry that `removed_entries` has.
    pub(crate) added_entries: Vec<IndexEntry>,
    /// Boxed, because most writes have none.
    pub(crate) others: Option<Box<OtherChanges>>,
}

/// The changes to tables that few writes change.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OtherChanges {
    /// Only in a temporal database: records to add to the table of those that are or were class definitions.
    /// A record leaves this table only together with its row in the table of records.
    pub(crate) definitions: Vec<RowId>,
    pub(crate) classes: Vec<RowChange<ClassId, String>>,
    pub(crate) constraints: Vec<RowChange<ConstraintId, Constraint>>,
    pub(crate) claims: Vec<RowChange<RowId, ClaimRow>>,
    pub(crate) files: Vec<RowChange<FileId, FileRow>>,
    pub(crate) chunks: Vec<RowChange<(FileId, u64), Vec<u8>>>,
    /// Files of which all chunks are removed. The write set does not have the content of these chunks, so it
    /// has no inverse.
    pub(crate) removed_chunks: Vec<FileId>,
    /// Top-level keys of an imported worldlet, such as `comment`.
    pub(crate) metadata: Vec<RowChange<String, Value>>,
}

/// The state of a row before and after a write; `None` where the row does not exist.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowChange<K, V> {
    pub(crate) key: K,
    pub(crate) before: Option<V>,
    pub(crate) after: Option<V>,
}

impl<K, V> RowChange<K, V> {
    pub(crate) fn insert(key: K, after: V) -> Self {
        Self { key, before: None, after: Some(after) }
    }

    pub(crate) fn replace(key: K, before: V, after: V) -> Self {
        Self { key, before: Some(before), after: Some(after) }
    }

    pub(crate) fn remove(key: K, before: V) -> Self {
        Self { key, before: Some(before), after: None }
    }

    fn invert(&mut self) {
        std::mem::swap(&mut self.before, &mut self.after);
    }
}

/// A row of the tables of memberships, unique values, indexed values or references. It belongs to one record,
/// and can be derived from the record and its classes. Each `value` is an index key: equal values have equal
/// text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum IndexEntry {
    /// The record is a member of a class.
    Member { class: ClassId, row: RowId },
    /// No other record may have this value.
    Unique { constraint: ConstraintId, value: String, row: RowId },
    /// Selects find the record by this value.
    Indexed { constraint: ConstraintId, value: String, row: RowId },
    /// The record refers to the record or file with the pk `target`, at a JSON pointer. `restricts` is
    /// whether this is a restricting reference.
    Reference { target: String, row: RowId, pointer: String, restricts: bool },
}

/// A unique value that another record has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) constraint: ConstraintId,
    pub(crate) value: String,
    /// The record that has the value.
    pub(crate) holder: RowId,
}

impl WriteSet {
    /// The write set that undoes this one; `None` if it removes chunks.
    pub(crate) fn inverse(mut self) -> Option<Self> {
        self.rows.iter_mut().for_each(RowChange::invert);
        self.versions.iter_mut().for_each(RowChange::invert);
        std::mem::swap(&mut self.removed_entries, &mut self.added_entries);
        if let Some(others) = &mut self.others {
            if !others.removed_chunks.is_empty() {
                return None;
            }
            others.invert();
        }
        Some(self)
    }

    /// Whether the vectors that [`clear`](Self::clear) keeps take so little memory that they may be reused.
    pub(crate) fn is_small(&self) -> bool {
        // The capacity of each vector, in elements.
        const MAX_CAPACITY: usize = 64;
        let Self { rows, versions, removed_entries, added_entries, .. } = self;
        let capacities =
            [rows.capacity(), versions.capacity(), removed_entries.capacity(), added_entries.capacity()];
        capacities.iter().all(|capacity| *capacity <= MAX_CAPACITY)
    }

    /// Removes everything. All vectors except those of `others` keep their capacity.
    pub(crate) fn clear(&mut self) {
        let Self { rows, versions, removed_entries, added_entries, others } = self;
        rows.clear();
        versions.clear();
        removed_entries.clear();
        added_entries.clear();
        *others = None;
    }

    /// Adds the change of a row.
    pub(crate) fn change_row(&mut self, change: RowChange<RowId, Row>) {
        // `push` alone would allocate room for several rows, and most write sets change one.
        self.rows.reserve_exact(1);
        self.rows.push(change);
    }

    /// The changes to tables that few writes change, created empty if there are none yet.
    pub(crate) fn others_mut(&mut self) -> &mut OtherChanges {
        self.others.get_or_insert_default()
    }

    /// Adds the difference between the entries that a record has before the write and those that it has after
    /// it. Both vectors may have duplicates.
    pub(crate) fn change_entries(&mut self, mut before: Vec<IndexEntry>, mut after: Vec<IndexEntry>) {
        normalize(&mut before);
        normalize(&mut after);
        // There is nothing to compare with and nothing to append to, as in a create of one record. So the
        // vector itself is used.
        if before.is_empty() && self.added_entries.is_empty() {
            self.added_entries = after;
            return;
        }
        let is_in = |entries: &[IndexEntry], entry: &IndexEntry| entries.binary_search(entry).is_ok();
        self.removed_entries.extend(before.iter().filter(|entry| !is_in(&after, entry)).cloned());
        self.added_entries.extend(after.into_iter().filter(|entry| !is_in(&before, entry)));
    }
}

impl OtherChanges {
    fn invert(&mut self) {
        self.classes.iter_mut().for_each(RowChange::invert);
        self.constraints.iter_mut().for_each(RowChange::invert);
        self.claims.iter_mut().for_each(RowChange::invert);
        self.files.iter_mut().for_each(RowChange::invert);
        self.chunks.iter_mut().for_each(RowChange::invert);
        self.metadata.iter_mut().for_each(RowChange::invert);
        // The table of definitions keeps the records whose rows stay, since some may have been in it before
        // this write set. So it may list a record that never was a definition. Readers of the table look for
        // definitions among the versions of each record, and pass over it.
        self.definitions.clear();
    }
}

impl From<OtherChanges> for WriteSet {
    fn from(others: OtherChanges) -> Self {
        Self { others: Some(Box::new(others)), ..Self::default() }
    }
}

/// Sorts the entries of one record and removes duplicates. Two references to one target at one pointer, which
/// differ in `restricts`, become one restricting reference.
fn normalize(entries: &mut Vec<IndexEntry>) {
    entries.sort_unstable();
    entries.dedup_by(|next, entry| match (next, entry) {
        (
            IndexEntry::Reference {
                target: next_target,
                pointer: next_pointer,
                restricts: next_restricts,
                ..
            },
            IndexEntry::Reference { target, pointer, restricts, .. },
        ) if next_target == target && next_pointer == pointer => {
            *restricts |= *next_restricts;
            true
        }
        (next, entry) => next == entry,
    });
}
