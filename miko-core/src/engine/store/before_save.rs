//! Runs the hooks for each record that is saved.
//!
//! A create or a change of one record ([`write`](super::write), [`update`](super::update)) normalizes the
//! record and runs the hooks, which may amend the bucket. Then it [examines](super::examine) the record:
//! normalizes it again, and validates it. A delete of one record runs the hooks before it changes the row.
//! Any other row that a write changes, as in an import, is noted when it is [applied](Store::apply). For the
//! noted rows the hooks run at the end of the write: the class definitions of an import are in force only
//! then. So no kind of write bypasses the hooks.
//!
//! A write whose hooks have run may be applied to storage a second time: SQLite has rolled it back on an
//! error, for example, or its transaction was rolled back so that another caller could read the committed
//! state. The second time, the write sets in memory are applied, and no hooks run
//! ([decision 0032](../../../../docs/decisions/0032-before-save.md)).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::btree_map::Entry;

use miko_rpc::{Error, ErrorId, Result, memory};
use serde_json::{Map, Value};

use crate::class::{Catalog, WriteKind};
use crate::engine::store::Store;
use crate::engine::store::hook_reader::HookReader;
use crate::engine::store::stored_json::{parse_object, text};
use crate::engine::store::transaction::CommitSharing;
use crate::hook::{PendingBucket, PendingSave};
use crate::query::RecordView;
use crate::record::Record;
use crate::stack;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::{Row, State};
use crate::storage::write_set::RowChange;
use crate::timestamp::Timestamp;

/// The record that is being saved, for which the hooks run.
struct SavedRecord<'r> {
    pk: &'r str,
    /// The row before the write; `None` if there was no active record before.
    before: Option<&'r Row>,
    /// The stack after the write. For a delete, the stack before it.
    stack: &'r Map<String, Value>,
    bucket: SavedBucket<'r>,
}

/// The bucket that the hooks see, by whether they may amend it.
enum SavedBucket<'r> {
    /// The bucket after the write, which is not stored yet: hooks may amend it.
    Amendable(&'r mut Map<String, Value>),
    /// The bucket after the write, which is stored already, as by an import.
    Fixed(&'r Map<String, Value>),
    /// The bucket before the delete.
    Deleted(&'r Map<String, Value>),
}

impl SavedBucket<'_> {
    fn content(&self) -> &Map<String, Value> {
        match self {
            Self::Amendable(bucket) => bucket,
            Self::Fixed(bucket) | Self::Deleted(bucket) => bucket,
        }
    }
}

impl<T: Storage> Store<T> {
    /// Normalizes a new record in place, and runs the hooks, which may amend `bucket`. Returns the pk of the
    /// record. If `pk` is `None`, a pk is given out here, since the hooks see it. In a store without hooks,
    /// only returns `pk` as it is: a missing pk is given out later.
    ///
    /// # Errors
    /// `save-rejected`; `validation-failed` for defaults that are too many or nest too deep; `storage-full`,
    /// if storage has lost the transaction while a hook read; `internal`, if a pk is given out here and the
    /// clock is wrong.
    pub(super) fn run_hooks_before_create(
        &mut self,
        pk: Option<String>,
        (stack, bucket): (&mut Cow<'_, Map<String, Value>>, &mut Map<String, Value>),
        extras: &Map<String, Value>,
        kind: WriteKind,
    ) -> Result<Option<String>> {
        if self.hooks.is_empty() {
            return Ok(pk);
        }
        let pk = match pk {
            Some(pk) => pk,
            None => self.unused_pk(self.write_time.within_rfc3339_years()?)?,
        };
        self.normalize_record(stack, bucket, extras, kind)?;
        let bucket = SavedBucket::Amendable(bucket);
        self.run_hooks(SavedRecord { pk: &pk, before: None, stack, bucket })?;
        Ok(Some(pk))
    }

    /// Normalizes a record with new content in place, and runs the hooks, which may amend `bucket`. In a
    /// store without hooks, does nothing. `bucket` is `None` for a write that keeps the stored bucket: with
    /// hooks, it is set to the stored bucket first.
    ///
    /// # Errors
    /// `save-rejected`; `storage-full`, if storage has lost the transaction while a hook read.
    pub(super) fn run_hooks_before_update(
        &mut self,
        before: &Row,
        stack: &mut Cow<'_, Map<String, Value>>,
        bucket: &mut Option<Map<String, Value>>,
        extras: &Map<String, Value>,
    ) -> Result<()> {
        if self.hooks.is_empty() {
            return Ok(());
        }
        let bucket = match bucket {
            Some(bucket) => bucket,
            None => {
                let stored =
                    before.state.as_ref().map_or(Ok(Map::new()), |state| parse_object(&state.bucket))?;
                bucket.insert(stored)
            }
        };
        self.normalize_record(stack, bucket, extras, WriteKind::Update)?;
        let bucket = SavedBucket::Amendable(bucket);
        self.run_hooks(SavedRecord { pk: &before.pk, before: Some(before), stack, bucket })
    }

    /// Runs the hooks for the delete of a record. `before` is the row before the delete; if it is a tombstone
    /// or a stub, no hooks run. Called before the row is changed, but by
    /// [`run_deferred_hooks`](Self::run_deferred_hooks) when the tombstone is stored already.
    ///
    /// # Errors
    /// `save-rejected`; `storage-full`, if storage has lost the transaction while a hook read.
    pub(super) fn run_hooks_before_delete(&mut self, before: &Row) -> Result<()> {
        match &before.state {
            Some(state) if !self.hooks.is_empty() => self.run_hooks_on_delete(before, state),
            _ => Ok(()),
        }
    }

    fn run_hooks_on_delete(&mut self, before: &Row, state: &State) -> Result<()> {
        let (stack, bucket) = (parse_object(&state.stack)?, parse_object(&state.bucket)?);
        let bucket = SavedBucket::Deleted(&bucket);
        self.run_hooks(SavedRecord { pk: &before.pk, before: Some(before), stack: &stack, bucket })
    }

    /// Notes rows that are stored before their hooks run, for
    /// [`run_deferred_hooks`](Self::run_deferred_hooks). Of several changes of a row only the first is noted:
    /// it has the row as it was before the write.
    ///
    /// # Errors
    /// `storage-full`, if the process has reached its memory limit.
    pub(super) fn note_stored_rows(&mut self, changes: &[RowChange<RowId, Row>]) -> Result<()> {
        if self.hooks.is_empty() {
            return Ok(());
        }
        for RowChange { key, before, .. } in changes {
            if let Entry::Vacant(row) = self.deferred.stored_rows.get_or_insert_default().entry(*key) {
                memory::charge(before.as_ref().map_or(0, Row::memory_size))?;
                row.insert(before.clone().map(Box::new));
            }
        }
        Ok(())
    }

    /// Runs the hooks for the rows that [`note_stored_rows`](Self::note_stored_rows) has noted, in order of
    /// the row ids.
    ///
    /// # Errors
    /// `save-rejected`; `storage-full`, if storage has lost the transaction while a hook read; the errors of
    /// storage.
    pub(super) fn run_deferred_hooks(&mut self) -> Result<()> {
        let Some(stored_rows) = self.deferred.stored_rows.take() else { return Ok(()) };
        for (id, before) in *stored_rows {
            // Never `None`: a write removes no rows.
            let Some(after) = self.storage.row(id)? else { continue };
            // A row without a state (a tombstone or a stub) counts as no record.
            let before = before.as_deref().filter(|before| before.state.is_some());
            match (&before, &after.state) {
                (None, None) => {}
                (Some(before), None) => self.run_hooks_before_delete(before)?,
                (Some(before), Some(_)) if is_unchanged(before, &after) => {}
                (_, Some(state)) => {
                    let (stack, bucket) = (parse_object(&state.stack)?, parse_object(&state.bucket)?);
                    let bucket = SavedBucket::Fixed(&bucket);
                    self.run_hooks(SavedRecord { pk: &after.pk, before, stack: &stack, bucket })?;
                }
            }
        }
        Ok(())
    }

    /// Runs the hooks whose targets match, in order of registration. For each hook, the bucket is as the
    /// earlier hooks have amended it: its target is tested on this bucket, and it sees this bucket.
    fn run_hooks(&mut self, mut save: SavedRecord<'_>) -> Result<()> {
        let mut before: Option<Record> = None;
        for hook in &*self.hooks.list() {
            let record = TestedRecord::of(&save, &self.catalog, self.write_time);
            if !hook.filter().matches(&record)? {
                continue;
            }
            if before.is_none() {
                before = save.before.and_then(Row::view).map(Record::from);
            }
            // The size limit of the answer does not apply to the reads of a hook. The limit is restored after
            // the hook.
            let remaining_budget = self.answer.remaining();
            self.answer.begin(usize::MAX);
            let done = {
                let _running_callback = self.hooks.thread().enter();
                let bucket = match &mut save.bucket {
                    SavedBucket::Amendable(bucket) => PendingBucket::Amendable(bucket),
                    SavedBucket::Fixed(bucket) => PendingBucket::Fixed(bucket),
                    SavedBucket::Deleted(_) => PendingBucket::None,
                };
                let db = &HookReader::of(self);
                let (pk, stack, before) = (save.pk, save.stack, before.as_ref());
                hook.run(&mut PendingSave { pk, before, stack, bucket, is_amended: false, db })
            };
            self.answer.begin(remaining_budget);
            done?;
            self.check_transaction_of_write()?;
        }
        Ok(())
    }

    /// Checks, after a hook, that the transaction of the write is still open in storage. On some errors of a
    /// read SQLite rolls the transaction back, and a hook may ignore the error. If the write went on without
    /// a transaction, SQLite would commit each further change at once.
    ///
    /// # Errors
    /// `storage-full`.
    fn check_transaction_of_write(&self) -> Result<()> {
        if self.storage.in_transaction() {
            return Ok(());
        }
        let message = "the transaction was lost by an error of storage while a hook read";
        Err(Error::new(ErrorId::STORAGE_FULL, message))
    }

    /// How a write that may run hooks shares its transaction: as `sharing` says, but not deferrable if there
    /// are hooks and a memory limit. With a memory limit a read of a hook may fail, and SQLite may then roll
    /// back the whole transaction. If its commit is deferred, it also contains earlier writes, which were
    /// answered and must not be lost.
    pub(super) fn sharing_with_hooks(&self, sharing: CommitSharing) -> CommitSharing {
        let may_lose_answered_writes = sharing == CommitSharing::Deferrable
            && !self.hooks.is_empty()
            && memory::current_limit().is_some();
        if may_lose_answered_writes { CommitSharing::Groupable } else { sharing }
    }

    /// Called with the error of a write. If it contains the veto of a hook, and a transaction of a caller is
    /// open, rolls that transaction back: a veto ends the whole transaction.
    pub(super) fn end_rejected_transaction(&mut self, error: &Error) {
        let Some(rejection) = error.items().iter().find(|item| item.id == ErrorId::SAVE_REJECTED) else {
            return;
        };
        if self.transaction.user_transaction().is_some() {
            let message = format!("a hook has refused a save of the transaction: {}", rejection.message());
            let reason = Error::new(ErrorId::TRANSACTION_INVALIDATED, message);
            let hook = rejection.details.get("hook").cloned();
            self.invalidate(reason.with("hook", hook));
        }
    }
}

/// Whether a stored record is unchanged: no hooks run for it. An import also stores unchanged records, with a
/// new commit number.
fn is_unchanged(before: &Row, after: &Row) -> bool {
    (&before.state, before.created_at, before.updated_at)
        == (&after.state, after.created_at, after.updated_at)
}

/// The record on which the target of a hook is tested. A target has no conditions on times, so the times need
/// not be exact: an imported record may have other times in storage.
struct TestedRecord<'r> {
    pk: &'r str,
    stack: &'r Map<String, Value>,
    bucket: &'r Map<String, Value>,
    /// The text of the bucket, made when it is first needed.
    text: OnceCell<String>,
    catalog: &'r Catalog,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'r> TestedRecord<'r> {
    fn of(save: &'r SavedRecord<'_>, catalog: &'r Catalog, now: Timestamp) -> Self {
        Self {
            pk: save.pk,
            stack: save.stack,
            bucket: save.bucket.content(),
            text: OnceCell::new(),
            catalog,
            created_at: save.before.map_or(now, |before| before.created_at),
            updated_at: now,
        }
    }
}

impl RecordView for TestedRecord<'_> {
    fn pk(&self) -> &str {
        self.pk
    }

    fn bucket(&self) -> &str {
        self.text.get_or_init(|| text(self.bucket))
    }

    fn is_instance_of(&self, classes: &[String]) -> bool {
        stack::any_class(self.stack, |class| self.catalog.is_subclass_of_any(class, classes))
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hook::Hook;
    use crate::mode::Mode;
    use crate::query::{CreateRequest, SelectRequest};
    use crate::storage::sqlite::Sqlite;
    use crate::target::Target;

    #[test]
    fn a_write_whose_transaction_is_lost_in_a_hook_stores_nothing() {
        let mut store = Store::on(Sqlite::in_memory(false).unwrap(), Mode::ReadWrite).unwrap();
        store.hooks.add(Hook::new(Target::all(), |_| Ok(())).unwrap());
        let mut create = |is_lost: bool| {
            store.write(CommitSharing::Groupable, |store| {
                if is_lost {
                    // SQLite does this on some errors of a read. The check after the hook notices it.
                    store.storage.roll_back();
                }
                let request = CreateRequest::of_class("a.b/x", Some("a.b/x"), json!({}))?;
                store.create(request).map(drop)
            })
        };
        create(false).unwrap();
        assert!(create(true).unwrap_err().is(ErrorId::STORAGE_FULL));
        create(false).unwrap();
        assert_eq!(store.select_current(&SelectRequest::default()).unwrap().count(), 2);
    }
}
