//! Applies write sets: each change with a prepared statement, except for the entries and claims that a
//! database in memory has in maps.

use miko_rpc::{Result, memory};
use rusqlite::params;
use serde_json::Value;

use super::Sqlite;
use super::entry_maps::EntryMaps;
use super::tables::fields_text;
use super::values::content_columns;
use crate::class::Constraint;
use crate::storage::corruption;
use crate::storage::ids::{ClassId, ConstraintId, FileId, RowId};
use crate::storage::row::{ClaimRow, FileRow, Row};
use crate::storage::write_set::{Conflict, IndexEntry, OtherChanges, RowChange, WriteSet};
use crate::timestamp::Timestamp;

impl Sqlite {
    /// See [`Storage::apply`](crate::storage::Storage::apply).
    pub(super) fn apply_write_set(&self, write: &WriteSet) -> Result<Vec<Conflict>> {
        // Comes first, because nothing is applied if there are conflicts.
        let conflicts = match &self.entry_maps {
            Some(maps) => maps.lock().conflicts(&write.added_entries),
            None => self.add_unique_values(&write.added_entries)?,
        };
        if !conflicts.is_empty() {
            return Ok(conflicts);
        }
        for change in &write.rows {
            self.change_row(change)?;
        }
        for change in &write.versions {
            self.change_version(change)?;
        }
        if let Some(maps) = &self.entry_maps {
            maps.lock().apply(&write.removed_entries, &write.added_entries)?;
        }
        let is_in_a_table = |entry: &&IndexEntry| self.entry_maps.is_none() || !EntryMaps::holds(entry);
        for entry in write.removed_entries.iter().filter(is_in_a_table) {
            self.remove_entry(entry)?;
        }
        for entry in write.added_entries.iter().filter(is_in_a_table) {
            self.add_entry(entry)?;
        }
        if let Some(others) = &write.others {
            self.apply_others(others)?;
        }
        Ok(Vec::new())
    }

    fn apply_others(&self, others: &OtherChanges) -> Result<()> {
        others.definitions.iter().try_for_each(|id| self.add_definition(*id))?;
        others.classes.iter().try_for_each(|change| self.change_class(change))?;
        others.constraints.iter().try_for_each(|change| self.change_constraint(change))?;
        others.claims.iter().try_for_each(|change| self.change_claim(change))?;
        others.removed_chunks.iter().try_for_each(|file| self.remove_chunks(*file))?;
        others.files.iter().try_for_each(|change| self.change_file(change))?;
        others.chunks.iter().try_for_each(|change| self.change_chunk(change))?;
        others.metadata.iter().try_for_each(|change| self.change_metadata(change))
    }

    /// Adds the unique values of these entries. If other records have some of the values, adds none and
    /// returns the conflicts.
    fn add_unique_values(&self, entries: &[IndexEntry]) -> Result<Vec<Conflict>> {
        const ADD: &str =
            "INSERT OR IGNORE INTO unique_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        const HOLDER: &str = "SELECT seq FROM unique_value WHERE constraint_id = ?1 AND value = ?2";
        // `not_added` has the values that were stored before, for other records or for the same record. After
        // a conflict, all other values are removed again. Most writes add all of their values, so neither
        // vector allocates.
        let (mut conflicts, mut not_added) = (Vec::new(), Vec::new());
        for entry in entries {
            let IndexEntry::Unique { constraint, value, row } = entry else { continue };
            let added = self.statements.without_flush().execute(ADD, params![*constraint, value, *row]);
            if added.map_err(|error| self.with_path_if_not_writable(error))? == 1 {
                continue;
            }
            not_added.push(entry);
            let holder = self.statements.without_flush().query_optional(
                HOLDER,
                params![*constraint, value],
                |row| row.get(0),
            )?;
            let holder = holder.ok_or_else(|| corruption("a unique value without a record"))?;
            if holder != *row {
                conflicts.push(Conflict { constraint: *constraint, value: value.clone(), holder });
            }
        }
        if !conflicts.is_empty() {
            let was_added = |entry: &&IndexEntry| {
                matches!(entry, IndexEntry::Unique { .. })
                    // Entries are compared by address, since `not_added` borrows from `entries`.
                    && !not_added.iter().any(|other| std::ptr::eq(*other, *entry))
            };
            entries.iter().filter(was_added).try_for_each(|entry| self.remove_entry(entry))?;
        }
        Ok(conflicts)
    }

    fn add_entry(&self, entry: &IndexEntry) -> Result<()> {
        const MEMBER: &str = "INSERT OR IGNORE INTO membership (class_id, seq) VALUES (?1, ?2)";
        const INDEXED: &str =
            "INSERT OR IGNORE INTO indexed_value (constraint_id, value, seq) VALUES (?1, ?2, ?3)";
        const REFERENCE: &str =
            "INSERT OR REPLACE INTO reference (target, seq, pointer, restricts) VALUES (?1, ?2, ?3, ?4)";
        match entry {
            &IndexEntry::Member { class, row } => self.run(MEMBER, params![class, row]),
            // `add_unique_values` has added the value.
            IndexEntry::Unique { .. } => Ok(()),
            IndexEntry::Indexed { constraint, value, row } => {
                self.run(INDEXED, params![*constraint, value, *row])
            }
            IndexEntry::Reference { target, row, pointer, restricts } => {
                self.run(REFERENCE, params![target, *row, pointer, *restricts])
            }
        }
    }

    fn remove_entry(&self, entry: &IndexEntry) -> Result<()> {
        const MEMBER: &str = "DELETE FROM membership WHERE class_id = ?1 AND seq = ?2";
        const UNIQUE: &str = "DELETE FROM unique_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        const INDEXED: &str =
            "DELETE FROM indexed_value WHERE constraint_id = ?1 AND value = ?2 AND seq = ?3";
        const REFERENCE: &str = "DELETE FROM reference WHERE target = ?1 AND seq = ?2 AND pointer = ?3";
        match entry {
            &IndexEntry::Member { class, row } => self.run(MEMBER, params![class, row]),
            IndexEntry::Unique { constraint, value, row } => {
                self.run(UNIQUE, params![*constraint, value, *row])
            }
            IndexEntry::Indexed { constraint, value, row } => {
                self.run(INDEXED, params![*constraint, value, *row])
            }
            IndexEntry::Reference { target, row, pointer, .. } => {
                self.run(REFERENCE, params![target, *row, pointer])
            }
        }
    }

    fn change_row(&self, change: &RowChange<RowId, Row>) -> Result<()> {
        const INSERT: &str = "INSERT INTO record \
             (seq, pk, bucket, stack, extras, created_at, updated_at, commit_seq, instance_pk) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let id = change.key;
        let Some(row) = &change.after else {
            return change.before.as_ref().map_or(Ok(()), |row| self.remove_row(id, &row.pk));
        };
        memory::charge(row.stored_size())?;
        if change.before.is_some() {
            return self.statements.update(id, row).map_err(|error| self.with_path_if_not_writable(error));
        }
        let [bucket, stack, extras] = content_columns(row);
        let [created_at, updated_at] = [row.created_at, row.updated_at].map(Timestamp::as_millis);
        let (commit, instance_pk) = (row.commit, &row.instance_pk);
        let values = params![id, row.pk, bucket, stack, extras, created_at, updated_at, commit, instance_pk];
        self.run(INSERT, values)?;
        match &self.entry_maps {
            Some(maps) => maps.lock().add_row_of_pk(&row.pk, id),
            None => Ok(()),
        }
    }

    /// Removes a row, to undo its insert. It may not be there, since the insert may have failed.
    fn remove_row(&self, id: RowId, pk: &str) -> Result<()> {
        if self.is_temporal {
            self.run("DELETE FROM ever_definition WHERE seq = ?1", [id])?;
        }
        if let Some(maps) = &self.entry_maps {
            maps.lock().remove_row_of_pk(pk, id);
        }
        self.run("DELETE FROM record WHERE seq = ?1", [id])
    }

    fn change_version(&self, change: &RowChange<RowId, Row>) -> Result<()> {
        const INSERT: &str = "INSERT INTO version \
                              (seq, updated_at, instance_pk, bucket, stack, extras, commit_seq) \
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        const REMOVE: &str = "DELETE FROM version WHERE seq = ?1 AND updated_at = ?2 AND instance_pk = ?3";
        let id = change.key;
        if let Some(version) = &change.before {
            self.run(REMOVE, params![id, version.updated_at.as_millis(), version.instance_pk])?;
        }
        let Some(version) = &change.after else { return Ok(()) };
        memory::charge(version.stored_size())?;
        let [bucket, stack, extras] = content_columns(version);
        let time = version.updated_at.as_millis();
        self.run(INSERT, params![id, time, version.instance_pk, bucket, stack, extras, version.commit])
    }

    fn add_definition(&self, id: RowId) -> Result<()> {
        self.run("INSERT OR IGNORE INTO ever_definition (seq) VALUES (?1)", [id])
    }

    fn change_class(&self, change: &RowChange<ClassId, String>) -> Result<()> {
        match &change.after {
            Some(name) => self.run("INSERT INTO class (id, uns) VALUES (?1, ?2)", params![change.key, name]),
            None => self.run("DELETE FROM class WHERE id = ?1", [change.key]),
        }
    }

    fn change_constraint(&self, change: &RowChange<ConstraintId, Constraint>) -> Result<()> {
        const INSERT: &str = "INSERT INTO class_constraint (id, class, kind, fields) VALUES (?1, ?2, ?3, ?4)";
        match &change.after {
            Some(constraint) => {
                let fields = fields_text(constraint);
                self.run(INSERT, params![change.key, constraint.class, constraint.kind.as_str(), fields])
            }
            None => self.run("DELETE FROM class_constraint WHERE id = ?1", [change.key]),
        }
    }

    fn change_claim(&self, change: &RowChange<RowId, ClaimRow>) -> Result<()> {
        const WRITE: &str = "INSERT OR REPLACE INTO claim (seq, id, attempts, lease_end, lasting) \
                             VALUES (?1, ?2, ?3, ?4, ?5)";
        if let Some(maps) = &self.entry_maps {
            return maps.lock().change_claim(change);
        }
        let Some(claim) = &change.after else {
            return self.run("DELETE FROM claim WHERE seq = ?1", [change.key]);
        };
        let (attempts, lease_end) = (claim.attempts as i64, claim.lease_end.as_millis());
        self.run(WRITE, params![change.key, claim.id, attempts, lease_end, claim.lasting_select])
    }

    fn change_file(&self, change: &RowChange<FileId, FileRow>) -> Result<()> {
        const INSERT: &str = "INSERT INTO file (id, pk, sha256, mime, size, created_at) \
                              VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        const UPDATE: &str =
            "UPDATE file SET pk = ?2, sha256 = ?3, mime = ?4, size = ?5, created_at = ?6 WHERE id = ?1";
        let Some(file) = &change.after else {
            return self.run("DELETE FROM file WHERE id = ?1", [change.key]);
        };
        let sql = if change.before.is_some() { UPDATE } else { INSERT };
        let (size, created_at) = (file.size as i64, file.created_at.as_millis());
        self.run(sql, params![change.key, file.pk, file.sha256, file.mime, size, created_at])
    }

    fn change_chunk(&self, change: &RowChange<(FileId, u64), Vec<u8>>) -> Result<()> {
        const WRITE: &str = "INSERT OR REPLACE INTO file_chunk (file_id, number, data) VALUES (?1, ?2, ?3)";
        const REMOVE: &str = "DELETE FROM file_chunk WHERE file_id = ?1 AND number = ?2";
        // The cast stores an index beyond the range of `i64` as the negative number with the same bits.
        let (file, index) = (change.key.0, change.key.1 as i64);
        match &change.after {
            Some(data) => self.run(WRITE, params![file, index, data]),
            None => self.run(REMOVE, params![file, index]),
        }
    }

    fn remove_chunks(&self, file: FileId) -> Result<()> {
        self.run("DELETE FROM file_chunk WHERE file_id = ?1", [file])
    }

    fn change_metadata(&self, change: &RowChange<String, Value>) -> Result<()> {
        const WRITE: &str = "INSERT INTO worldlet_key (key, value) VALUES (?1, ?2) \
                             ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        match &change.after {
            Some(value) => self.run(WRITE, params![change.key, value.to_string()]),
            None => self.run("DELETE FROM worldlet_key WHERE key = ?1", [&change.key]),
        }
    }
}
