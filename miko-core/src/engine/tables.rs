//! The tables in which a [`Store`] keeps what it knows.
//!
//! They are those of `schema/sqlite.sql`, which says what each of them is for. What a write or an import does
//! to them is the store's to decide, in one place for all engines; here is what holds them.

use std::sync::Arc;

use serde_json::Value;

use crate::class::{Class, Constraint};
use crate::engine::Explanation;
use crate::engine::store::Store;
use crate::error::Result;
use crate::json::Object;
use crate::memory;
use crate::query::SelectRequest;
use crate::record::{Record, Records};
use crate::timestamp::Timestamp;

/// Tables, and the transaction that is open on them, if one is.
///
/// A row of `record` is known by its number, `seq`, and so is a class and a constraint. What is entered twice
/// is entered once; what is not there is left without a word.
pub(crate) trait Tables: Sized + Send {
    /// The backend URL of the engine that has them, without protocol and parameters.
    fn name(&self) -> &'static str;

    /// Does it pay to commit several calls at once, as it does where a commit waits for a disk?
    fn gain_together(&self) -> bool;

    /// Does it pay to let a transaction stand for creates to come, and may it, as nobody can lose it?
    fn gain_standing(&self) -> bool;

    /// Is every version of a record kept? Only then are there versions.
    fn is_temporal(&self) -> bool;

    /// Begins a transaction. None is open.
    fn begin(&mut self) -> Result<()>;

    /// Commits the transaction that is open. If it fails, that is still open.
    fn commit(&mut self) -> Result<()>;

    /// Undoes the transaction that is open, if it still is.
    fn roll_back(&mut self);

    /// Is a transaction open?
    fn in_transaction(&self) -> bool;

    /// Keeps the data within their share of a memory limit. Tables that report each row to
    /// [`memory`](crate::memory) have nothing to do.
    fn limit_memory(&mut self, limit: usize) -> Result<()> {
        let _ = limit;
        Ok(())
    }

    /// A number that is another whenever something was changed.
    fn changes(&mut self) -> u64;

    /// The row of a pk, which may be a tombstone, and its number.
    fn find(&self, pk: &str) -> Result<Option<(i64, Row)>>;

    /// The row of a number.
    fn row(&self, seq: i64) -> Result<Option<Row>>;

    /// The first row after `seq` that was written after the write `commit`.
    fn next_row(&self, seq: i64, commit: i64) -> Result<Option<(i64, Row)>>;

    /// Enters a row, whose number is larger than all before it.
    fn insert(&mut self, row: &Row) -> Result<i64>;

    /// Writes a row again. Its pk stays.
    fn rewrite(&mut self, seq: i64, row: &Row) -> Result<()>;

    /// Enters what a row says now among the versions of the past: it is about to be written again.
    fn archive(&mut self, seq: i64) -> Result<()>;

    /// When each record was created, in any order, with its number.
    fn creations(&self) -> Result<Vec<(Timestamp, i64)>>;

    /// Enters a version of the past.
    fn insert_version(&mut self, seq: i64, version: &Row) -> Result<()>;

    /// Shows all versions of a record in order of time, and of their pks where they share one. The last is
    /// its row. An error of `show` ends it. `show` does not use the tables.
    fn each_version(&self, seq: i64, show: impl FnMut(Row) -> Result<()>) -> Result<()>;

    /// The versions that [`each_version`](Self::each_version) shows.
    fn versions(&self, seq: i64) -> Result<Vec<Row>> {
        let mut versions = Vec::new();
        self.each_version(seq, |version| {
            memory::charge(version.size())?;
            versions.push(version);
            Ok(())
        })?;
        Ok(versions)
    }

    /// The version of a record that held at a time, which may be a tombstone.
    fn version_at(&self, seq: i64, time: Timestamp) -> Result<Option<Row>>;

    /// Notes that a record is a definition, or was.
    fn enter_definition(&mut self, seq: i64) -> Result<()>;

    /// The records that are definitions, or were, in order of creation.
    fn ever_definitions(&self) -> Result<Vec<i64>>;

    /// The version with a pk of its own, and the number of its record.
    fn find_version(&self, instance: &str) -> Result<Option<(i64, Row)>>;

    /// Takes out a row for good, as if it had never been entered.
    fn remove(&mut self, seq: i64) -> Result<()>;

    /// The number of the row that was entered last, or 0.
    fn last_inserted(&self) -> i64;

    /// The number of the last write, or 0.
    fn last_commit(&self) -> Result<i64>;

    /// The record of a pk, if it is active.
    fn record(&self, pk: &str) -> Result<Option<Record>>;

    /// The records that a select finds.
    fn select(store: &Store<Self>, select: &SelectRequest) -> Result<Records>;

    /// The numbers of the records that a select finds.
    fn select_numbers(store: &Store<Self>, select: &SelectRequest) -> Result<Vec<i64>>;

    /// How a select is run.
    fn explain(store: &Store<Self>, select: &SelectRequest) -> Result<Explanation>;

    /// The number of a class, if any record has used it.
    fn find_class(&self, class: &str) -> Result<Option<i64>>;

    /// The number of a class, which it gets if it has none.
    fn class_id(&mut self, class: &str) -> Result<i64>;

    /// Makes a record a member of a class.
    fn enter(&mut self, class: i64, seq: i64) -> Result<()>;

    /// Makes a record no member of a class.
    fn leave(&mut self, class: i64, seq: i64) -> Result<()>;

    /// The members of a class, in order of creation.
    fn members(&self, class: i64) -> Result<Vec<i64>>;

    /// The classes of a record.
    fn classes_of(&self, seq: i64) -> Result<Vec<String>>;

    /// The numbers of the constraints of a class, in their order. Those that have none get one.
    fn constraint_ids(&mut self, class: &Class) -> Result<Arc<[i64]>>;

    /// The number of a constraint of a class, by its place among them, if it has one.
    fn find_constraint(&self, class: &Class, index: usize) -> Result<Option<i64>>;

    /// Drops the constraints that `class` declares, with their values, except those in `kept`. Classes have
    /// others from now on.
    fn keep_constraints(&mut self, class: &str, kept: &[Constraint]) -> Result<()>;

    /// Enters a unique value, unless a record has it.
    fn enter_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<bool>;

    /// Takes out a unique value, if this record has it.
    fn leave_unique(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()>;

    /// The record that has a unique value.
    fn holder(&self, constraint: i64, value: &str) -> Result<Option<i64>>;

    /// Enters an indexed value.
    fn enter_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()>;

    /// Takes out an indexed value.
    fn leave_indexed(&mut self, constraint: i64, value: &str, seq: i64) -> Result<()>;

    /// Enters that a record points at a pk. Of two entries for one place the stricter counts.
    fn point(&mut self, target: &str, seq: i64, pointer: &str, restricts: bool) -> Result<()>;

    /// Takes out all that a record points at.
    fn unpoint(&mut self, seq: i64) -> Result<()>;

    /// Does a record point at a pk, at this place?
    fn points(&self, target: &str, seq: i64, pointer: &str) -> Result<bool>;

    /// The first records that keep a pk from being deleted, and where they point at it.
    fn restricting(&self, target: &str, limit: usize) -> Result<Vec<(i64, String)>>;

    /// A file, which may not have been written to its end, and its number.
    fn find_file(&self, pk: &str) -> Result<Option<(i64, FileRow)>>;

    /// The first file with this content.
    fn file_with(&self, sha256: &str) -> Result<Option<(i64, FileRow)>>;

    /// The first file after the one with this number.
    fn next_file(&self, file: i64) -> Result<Option<(i64, FileRow)>>;

    /// Shows every file, in the order in which they were entered, with its number.
    fn each_file(&self, mut show: impl FnMut(i64, FileRow)) -> Result<()> {
        let mut last = 0;
        while let Some((file, row)) = self.next_file(last)? {
            last = file;
            show(file, row);
        }
        Ok(())
    }

    /// Enters a file, or writes the one with this pk again: its number.
    fn write_file(&mut self, row: &FileRow) -> Result<i64>;

    /// Takes out a file and its chunks.
    fn remove_file(&mut self, file: i64) -> Result<()>;

    /// Writes a chunk, over one that is there.
    fn write_chunk(&mut self, file: i64, index: u64, data: &[u8]) -> Result<()>;

    /// So many bytes of a chunk at most, from an offset, and how many it has altogether.
    fn chunk(&self, file: i64, index: u64, offset: u64, most: usize) -> Result<Option<(Vec<u8>, u64)>>;

    /// What a worldlet said of itself under a key.
    fn kept(&self, key: &str) -> Result<Option<Value>>;

    /// Keeps what a worldlet says of itself.
    fn keep(&mut self, key: &str, value: &Value) -> Result<()>;
}

/// The number of the one constraint that nobody declares: a class has one definition.
pub(crate) const ONE_DEFINITION: i64 = 1;

/// A row of `record`, or a version of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) pk: String,
    /// What it says; `None` in a tombstone.
    pub(crate) state: Option<State>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    /// The number of the write.
    pub(crate) commit: i64,
    /// The pk of this version, in a temporal database.
    pub(crate) instance: Option<String>,
}

impl Row {
    /// The bytes that storing it takes beside those of its place, 0 for a tombstone: a delete needs no room.
    pub(crate) fn size(&self) -> usize {
        self.state.as_ref().map_or(0, |state| 2 * size_of::<Self>() + self.pk.len() + state.text_length())
    }

    /// The record, unless it is a tombstone.
    pub(crate) fn shown(&self) -> Option<Shown<'_>> {
        self.state.as_ref().map(|State { bucket, stack, extras }| Shown {
            pk: &self.pk,
            bucket,
            stack,
            extras: extras.as_deref(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// What is known of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FileRow {
    pub(crate) pk: String,
    /// The hash of its content; `None` until it was written to its end.
    pub(crate) sha256: Option<String>,
    /// An object: `type` is its media type.
    pub(crate) mime: Value,
    pub(crate) size: u64,
    pub(crate) created_at: Timestamp,
}

/// What a record says, as JSON text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) bucket: String,
    pub(crate) stack: String,
    pub(crate) extras: Option<String>,
}

impl State {
    /// The bytes of its texts.
    pub(crate) fn text_length(&self) -> usize {
        self.bucket.len() + self.stack.len() + self.extras.as_ref().map_or(0, String::len)
    }
}

/// A record as it lies in the memory of its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'r> {
    pub(crate) pk: &'r str,
    pub(crate) bucket: &'r str,
    pub(crate) stack: &'r str,
    pub(crate) extras: Option<&'r str>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl From<Shown<'_>> for Record {
    fn from(shown: Shown<'_>) -> Self {
        let object = |text: &str| Object::from_text_unchecked(text.to_owned());
        Self {
            pk: shown.pk.to_owned(),
            bucket: object(shown.bucket),
            stack: object(shown.stack),
            extras: shown.extras.map(object),
            created_at: shown.created_at,
            updated_at: shown.updated_at,
        }
    }
}
