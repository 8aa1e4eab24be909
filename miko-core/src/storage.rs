//! Storage: the tables in which an engine keeps a Mikobase.
//!
//! `sqlite.sql`, `entries.sql` and `temporal.sql` in `miko-core/schema` document the tables. The engine
//! decides which changes a write makes, and describes them as a [`WriteSet`]; storage applies the write set.
//! So validation, definitions, imports and merges are written once, in the engine, and no storage knows of
//! them.
//!
//! | subject | where |
//! | --- | --- |
//! | ids and commit numbers, rows, the operations of a write | [`ids`], [`row`], [`write_set`] |
//! | how a select finds its records; the result of `explain` | [`plan`], [`explain`] |
//! | tables in SQLite; tables as sorted maps | [`sqlite`]; [`memory`] |
//! | errors of opening a file as a database or as a worldlet | [`opening`] |
//! | the tests of every implementation; the simplest implementation | `conformance`; `naive` |

#[cfg(test)]
mod conformance;
pub(crate) mod explain;
pub(crate) mod ids;
pub(crate) mod memory;
#[cfg(any(test, feature = "naive-storage"))]
pub(crate) mod naive;
pub(crate) mod opening;
pub(crate) mod plan;
pub(crate) mod row;
pub(crate) mod sqlite;
pub(crate) mod write_set;

use std::ops::ControlFlow;

use miko_rpc::memory as process_memory;
use miko_rpc::{Error, ErrorId, ErrorItem, Result};
use serde_json::Value;

use crate::class::Constraint;
use crate::timestamp::Timestamp;
use explain::Explanation;
use ids::{ClassId, CommitSeq, ConstraintId, FileId, LastNumbers, RowId};
use plan::Plan;
use row::{ClaimRow, FileRow, RecordRef, Row, StoredRecord};
use write_set::{Conflict, WriteSet};

/// The tables of a Mikobase, and the transaction that is open on them, if one is.
///
/// The engine assigns the ids of new rows, and a commit number to each state of a record that it writes.
///
/// After an error of [`apply`](Self::apply), a part of the write set may be applied, and the transaction may
/// have ended ([`in_transaction`](Self::in_transaction)). The engine then rolls back, or applies the inverse
/// of the write set in the same transaction. So the inverse must also undo a write set of which only a part
/// was applied.
///
/// After an error of [`commit`](Self::commit), the engine rolls back. But if the commit was deferred
/// ([`may_defer_commit`](Capabilities::may_defer_commit)), the writes of the transaction were answered
/// before. They must not be lost, so the engine aborts the process.
///
/// The engine calls [`each_version`](Self::each_version), [`next_version`](Self::next_version),
/// [`version_at`](Self::version_at), [`find_version`](Self::find_version) and
/// [`definitions`](Self::definitions) only in a [temporal](Capabilities::is_temporal) database.
pub(crate) trait Storage: Sized + Send + 'static {
    fn capabilities(&self) -> Capabilities;

    /// Limits the memory of the tables to a part of `limit`, the memory limit of the process in bytes. The
    /// implementation chooses how large the part is. Storage that reports each allocation to
    /// [`memory`](miko_rpc::memory) does nothing here.
    fn limit_memory(&mut self, limit: usize) -> Result<()> {
        let _ = limit;
        Ok(())
    }

    /// Begins a transaction. No transaction may be open.
    fn begin(&mut self) -> Result<()>;

    /// Commits the open transaction.
    fn commit(&mut self) -> Result<()>;

    /// Whether a transaction is open. After [`begin`](Self::begin), an error may have ended the transaction.
    fn in_transaction(&self) -> bool;

    /// Promises, directly after [`begin`](Self::begin), that the open transaction is never rolled back: it is
    /// committed, or the process ends. So storage need not keep an undo log. After many writes the log would
    /// be long, and dropping it at the commit would hold up other calls.
    fn promise_commit(&mut self) {}

    /// Rolls back the open transaction. If an error has ended the transaction in a part of the storage, such
    /// as SQLite, rolls back the other parts. Without a transaction, does nothing.
    fn roll_back(&mut self);

    /// Applies a write set inside the open transaction. If unique values of the write set belong to other
    /// records, nothing is applied, and the conflicts are returned in the order of the entries.
    fn apply(&mut self, write: &WriteSet) -> Result<Vec<Conflict>>;

    /// The largest id of each kind, and the largest commit number in use.
    fn last_numbers(&self) -> Result<LastNumbers>;

    /// The id and the row of the record with a pk. The row may be a tombstone or a stub.
    fn find(&self, pk: &str) -> Result<Option<(RowId, Row)>>;

    /// The record with a pk, if it is active.
    fn record(&self, pk: &str) -> Result<Option<StoredRecord>> {
        Ok(self.find(pk)?.and_then(|(id, row)| StoredRecord::of(id, &row)))
    }

    /// The row with an id. The row may be a tombstone or a stub.
    fn row(&self, id: RowId) -> Result<Option<Row>>;

    /// The first row with a larger id than `id` and a larger commit number than `commit`. The row may be a
    /// tombstone or a stub.
    fn next_row(&self, id: RowId, commit: CommitSeq) -> Result<Option<(RowId, Row)>>;

    /// The first rows with a larger id than `id` and a larger commit number than `commit`. There are at most
    /// `max` of them, and possibly fewer although more exist. The list is empty only if no such row exists.
    fn next_rows(&self, id: RowId, commit: CommitSeq, max: usize) -> Result<Vec<(RowId, Row)>> {
        let _ = max;
        Ok(self.next_row(id, commit)?.into_iter().collect())
    }

    /// Calls `visit` with each version of a record, in order of time. Versions with equal times are in order
    /// of their instance pks. The last version is the current row of the record. `visit` must not call the
    /// storage.
    fn each_version(&self, id: RowId, visit: &mut dyn FnMut(Row) -> Result<()>) -> Result<()>;

    /// The first version of a record after a [position](Row::position), in the order of
    /// [`each_version`](Self::each_version).
    fn next_version(&self, id: RowId, after: (Timestamp, &str)) -> Result<Option<Row>>;

    /// The version of a record that was current at a time, which may be a tombstone. `None` if the record has
    /// no version of that time or before.
    fn version_at(&self, id: RowId, time: Timestamp) -> Result<Option<Row>>;

    /// The version with this instance pk, and the id of the row of its record.
    fn find_version(&self, instance_pk: &str) -> Result<Option<(RowId, Row)>>;

    /// The row ids of the records that are or were class definitions, in order of creation. The inverse of a
    /// write set removes a row id from the list only if it removes the row. So the list may have a record
    /// that never was a definition.
    fn definitions(&self) -> Result<Vec<RowId>>;

    /// Calls `visit` with the records that a select finds, until `visit` breaks. If the plan has a [residual
    /// filter](Plan::residual_filter_reason), the records are candidates in order of creation: the evaluator
    /// ([`query::evaluate`](crate::query)) then filters, sorts and limits them. `visit` must not call the
    /// storage.
    fn select(&self, plan: &Plan<'_>, visit: Visitor<'_>) -> Result<()> {
        self.select_with_ids(plan, &mut |_, record| visit(record))
    }

    /// As [`select`](Self::select), with the row id of each record.
    fn select_with_ids(&self, plan: &Plan<'_>, visit: IdVisitor<'_>) -> Result<()>;

    /// The row ids of the records that a select without a residual filter finds.
    fn select_row_ids(&self, plan: &Plan<'_>) -> Result<Vec<RowId>>;

    /// How [`select`](Self::select) executes a plan.
    fn explain(&self, plan: &Plan<'_>) -> Result<Explanation>;

    /// The id of a class, if any record has ever used it.
    fn class_id(&self, class: &str) -> Result<Option<ClassId>>;

    /// The row ids of the records that have a membership of this class
    /// ([`IndexEntry::Member`](write_set::IndexEntry::Member)), in order of creation. Records that have only
    /// a subclass of the class are not among them.
    fn members(&self, class: ClassId) -> Result<Vec<RowId>>;

    /// The id of a constraint, if it is in force.
    fn constraint_id(&self, constraint: &Constraint) -> Result<Option<ConstraintId>>;

    /// The row id of the record that has a unique value, which is given by its index key.
    fn find_unique(&self, constraint: ConstraintId, value: &str) -> Result<Option<RowId>>;

    /// Whether a record has a reference to the pk `target` at this JSON pointer.
    fn refers(&self, target: &str, row: RowId, pointer: &str) -> Result<bool>;

    /// The first `limit` restricting references to the pk `target`. Each is the row id of the record that has
    /// the reference, and the JSON pointer of the reference in that record.
    fn restricting_references(&self, target: &str, limit: usize) -> Result<Vec<(RowId, String)>>;

    /// The last claim of each record that has one, with the row id of the record.
    fn claims(&self) -> Result<Vec<(RowId, ClaimRow)>>;

    /// The file with a pk, which may be incomplete.
    fn find_file(&self, pk: &str) -> Result<Option<(FileId, FileRow)>>;

    /// The first file whose content has this SHA-256.
    fn find_file_by_sha256(&self, sha256: &str) -> Result<Option<(FileId, FileRow)>>;

    /// The first file after `id`.
    fn next_file(&self, id: FileId) -> Result<Option<(FileId, FileRow)>>;

    /// At most `max` bytes of a chunk from an offset on, and the size of the whole chunk; `None` if the file
    /// has no such chunk.
    fn chunk(&self, file: FileId, index: u64, offset: u64, max: usize) -> Result<Option<(Vec<u8>, u64)>>;

    /// The value that an imported worldlet has for its property `executable`, or for a top-level key such as
    /// `comment`. `None` if no import has set it.
    fn metadata(&self, key: &str) -> Result<Option<Value>>;
}

/// Receives the records of a select.
pub(crate) type Visitor<'v> = &'v mut dyn FnMut(RecordRef<'_>) -> Result<ControlFlow<()>>;

/// Receives the records of a select, each with the id of its row.
pub(crate) type IdVisitor<'v> = &'v mut dyn FnMut(RowId, RecordRef<'_>) -> Result<ControlFlow<()>>;

/// The properties in which storages differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capabilities {
    /// The kind of backend, such as `mikobase.uno/worldlet`: the backend URL without protocol and parameters.
    pub(crate) backend: &'static str,
    /// Whether past versions of records are kept.
    pub(crate) is_temporal: bool,
    /// Whether a commit waits for a disk. The engine then commits several calls together.
    pub(crate) has_slow_commit: bool,
    /// Whether finding a record is slow. The engine then caches the records that were read or changed last.
    pub(crate) has_slow_reads: bool,
    /// Whether writes may be answered before their transaction is committed. True only where a crash loses
    /// committed writes as well, and a commit is expensive.
    pub(crate) may_defer_commit: bool,
    /// Whether the ids of rows and the commit numbers are still the same when the storage is opened again.
    pub(crate) keeps_numbers: bool,
    /// `None` if storage can filter, sort and limit the records of a select. Otherwise the evaluator does so
    /// for every select, and this is the reason that `explain` gives.
    pub(crate) residual_filter_reason: Option<&'static str>,
}

/// Collects the versions that [`Storage::each_version`] visits.
pub(crate) fn versions(storage: &impl Storage, id: RowId) -> Result<Vec<Row>> {
    let mut versions = Vec::new();
    storage.each_version(id, &mut |version| {
        process_memory::charge(version.stored_size())?;
        versions.push(version);
        Ok(())
    })?;
    Ok(versions)
}

/// The result of [`Storage::chunk`] for a chunk that is in memory.
fn chunk_part(chunk: &[u8], offset: u64, max: usize) -> (Vec<u8>, u64) {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(chunk.len());
    let to = from.saturating_add(max).min(chunk.len());
    (chunk[from..to].to_vec(), chunk.len() as u64)
}

/// Calls `visit` with every file, in the order in which they were inserted.
pub(crate) fn each_file(storage: &impl Storage, mut visit: impl FnMut(FileId, FileRow)) -> Result<()> {
    let mut last = FileId::default();
    while let Some((id, row)) = storage.next_file(last)? {
        last = id;
        visit(id, row);
    }
    Ok(())
}

/// The error of a store whose content violates an invariant: `violation` says how.
///
/// If `violation` is the error of a deserializer that has stopped at a memory limit, the content is not
/// damaged. Then the error of the limit is returned instead.
pub(crate) fn corruption(violation: impl std::fmt::Display) -> Error {
    let violation = violation.to_string();
    if let Some(limit_error) = process_memory::take_limit_error(&violation) {
        return limit_error;
    }
    ErrorItem::new(ErrorId::INTERNAL, format!("the store is damaged: {violation}")).into()
}
