//! Applies write sets to the maps.

use miko_rpc::{Result, memory};

use super::{MemoryTables, constraint_key};
use crate::storage::ids::{FileId, RowId};
use crate::storage::row::{FileRow, Row};
use crate::storage::write_set::{Conflict, IndexEntry, OtherChanges, RowChange, WriteSet};
use crate::timestamp::Timestamp;

impl MemoryTables {
    /// See [`Storage::apply`](crate::storage::Storage::apply).
    ///
    /// # Errors
    /// `storage-full`, if the process exceeds the threshold for storing (`memory::store_threshold`). A part
    /// of the write set may then be applied.
    pub(super) fn apply_write_set(&mut self, write: &WriteSet) -> Result<Vec<Conflict>> {
        let conflicts: Vec<_> =
            write.added_entries.iter().filter_map(|entry| self.conflict_of(entry)).collect();
        if !conflicts.is_empty() {
            return Ok(conflicts);
        }
        self.needs_save |= changes_a_worldlet(write);
        // An update moves the old state of a record from `record` to `version`, and the inverse of the update
        // moves it back. The state keeps its instance pk, and `by_instance` has one entry for it, whichever
        // table has the state. So a state must be removed from one table before it is inserted into the
        // other: removing it last would also remove the new entry in `by_instance`. Therefore versions are
        // removed first, then rows change, and versions are inserted last.
        write.versions.iter().for_each(|change| self.remove_version(change));
        write.rows.iter().try_for_each(|change| self.change_row(change))?;
        write.versions.iter().try_for_each(|change| self.insert_version(change))?;
        write.removed_entries.iter().for_each(|entry| self.remove_entry(entry));
        write.added_entries.iter().try_for_each(|entry| self.add_entry(entry))?;
        if let Some(others) = &write.others {
            self.apply_others(others)?;
        }
        Ok(Vec::new())
    }

    /// Applies the changes to tables that few writes change.
    fn apply_others(&mut self, others: &OtherChanges) -> Result<()> {
        others.definitions.iter().for_each(|id| self.definition.insert(*id, ()));
        for change in &others.classes {
            match (&change.before, &change.after) {
                (_, Some(name)) => self.class.insert(name.clone(), change.key),
                (Some(name), None) => self.class.remove(name),
                (None, None) => {}
            }
        }
        for change in &others.constraints {
            match (&change.before, &change.after) {
                (_, Some(constraint)) => self.constraint.insert(constraint_key(constraint), change.key),
                (Some(constraint), None) => self.constraint.remove(&constraint_key(constraint)),
                (None, None) => {}
            }
        }
        for RowChange { key, after, .. } in &others.claims {
            match after {
                Some(claim) => self.claim.insert(*key, claim.clone()),
                None => self.claim.remove(key),
            }
        }
        others.removed_chunks.iter().for_each(|file| self.remove_chunks(*file));
        others.files.iter().for_each(|change| self.change_file(change));
        for RowChange { key, after, .. } in &others.chunks {
            match after {
                Some(data) => {
                    memory::charge_stored(data.len())?;
                    self.chunk.insert(*key, data.as_slice().into());
                }
                None => self.chunk.remove(key),
            }
        }
        for RowChange { key, after, .. } in &others.metadata {
            match after {
                Some(value) => self.metadata.insert(key.clone(), value.clone()),
                None => self.metadata.remove(key),
            }
        }
        Ok(())
    }

    fn conflict_of(&self, entry: &IndexEntry) -> Option<Conflict> {
        let IndexEntry::Unique { constraint, value, row } = entry else { return None };
        let holder = *self.unique_value.get(&(*constraint, value.clone()))?;
        (holder != *row).then(|| Conflict { constraint: *constraint, value: value.clone(), holder })
    }

    fn change_row(&mut self, change: &RowChange<RowId, Row>) -> Result<()> {
        if let Some(Row { instance_pk: Some(instance_pk), .. }) = &change.before {
            self.by_instance.remove(instance_pk);
        }
        match (&change.before, &change.after) {
            (before, Some(row)) => {
                memory::charge_stored(row.stored_size())?;
                // A row keeps its pk, so `by_pk` changes only if the row is new.
                if before.is_none() {
                    self.by_pk.insert(row.pk.clone(), change.key);
                }
                if let Some(instance_pk) = &row.instance_pk {
                    self.by_instance.insert(instance_pk.clone(), change.key);
                }
                self.record.insert(change.key, row.clone());
            }
            (Some(row), None) => {
                self.by_pk.remove(&row.pk);
                self.record.remove(&change.key);
                self.definition.remove(&change.key);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn remove_version(&mut self, change: &RowChange<RowId, Row>) {
        if let Some(version) = &change.before {
            self.version.remove(&version_key(change.key, version));
            if let Some(instance_pk) = &version.instance_pk {
                self.by_instance.remove(instance_pk);
            }
        }
    }

    fn insert_version(&mut self, change: &RowChange<RowId, Row>) -> Result<()> {
        if let Some(version) = &change.after {
            memory::charge_stored(version.stored_size())?;
            self.version.insert(version_key(change.key, version), version.clone());
            if let Some(instance_pk) = &version.instance_pk {
                self.by_instance.insert(instance_pk.clone(), change.key);
            }
        }
        Ok(())
    }

    fn add_entry(&mut self, entry: &IndexEntry) -> Result<()> {
        match entry {
            IndexEntry::Member { class, row } => self.membership.insert((*class, *row), ()),
            IndexEntry::Unique { constraint, value, row } => {
                memory::charge_stored(value.len())?;
                self.unique_value.insert((*constraint, value.clone()), *row);
            }
            IndexEntry::Indexed { constraint, value, row } => {
                memory::charge_stored(value.len())?;
                self.indexed_value.insert((*constraint, value.clone(), *row), ());
            }
            IndexEntry::Reference { target, row, pointer, restricts } => {
                memory::charge_stored(target.len() + pointer.len())?;
                self.reference.insert((target.clone(), *row, pointer.clone()), *restricts);
            }
        }
        Ok(())
    }

    fn remove_entry(&mut self, entry: &IndexEntry) {
        match entry {
            IndexEntry::Member { class, row } => self.membership.remove(&(*class, *row)),
            IndexEntry::Unique { constraint, value, row } => {
                // The key lacks the row. If another record has the value, its entry stays.
                let key = (*constraint, value.clone());
                if self.unique_value.get(&key) == Some(row) {
                    self.unique_value.remove(&key);
                }
            }
            IndexEntry::Indexed { constraint, value, row } => {
                self.indexed_value.remove(&(*constraint, value.clone(), *row));
            }
            IndexEntry::Reference { target, row, pointer, .. } => {
                self.reference.remove(&(target.clone(), *row, pointer.clone()));
            }
        }
    }

    fn change_file(&mut self, change: &RowChange<FileId, FileRow>) {
        match (&change.before, &change.after) {
            (_, Some(file)) => {
                self.file_by_pk.insert(file.pk.clone(), change.key);
                self.file.insert(change.key, file.clone());
            }
            (Some(file), None) => {
                self.file_by_pk.remove(&file.pk);
                self.file.remove(&change.key);
            }
            (None, None) => {}
        }
    }

    fn remove_chunks(&mut self, file: FileId) {
        let chunks: Vec<_> = self.chunk.range((file, 0)..=(file, u64::MAX)).map(|(key, _)| *key).collect();
        chunks.iter().for_each(|key| self.chunk.remove(key));
    }
}

fn version_key(id: RowId, version: &Row) -> (RowId, Timestamp, String) {
    (id, version.updated_at, version.instance_pk.clone().unwrap_or_default())
}

/// Whether a write may change the worldlet in the file. The worldlet does not contain index entries, ids of
/// classes and constraints, claims or incomplete files, so changes of these do not count. Chunks need no
/// test: a file becomes complete, or is removed, by a change of its row.
fn changes_a_worldlet(write: &WriteSet) -> bool {
    let is_complete = |file: &Option<FileRow>| file.as_ref().is_some_and(|file| file.sha256.is_some());
    let changes_file =
        |change: &RowChange<FileId, FileRow>| is_complete(&change.before) || is_complete(&change.after);
    let changes_others =
        |others: &OtherChanges| !others.metadata.is_empty() || others.files.iter().any(changes_file);
    !write.rows.is_empty()
        || !write.versions.is_empty()
        || write.others.as_deref().is_some_and(changes_others)
}
