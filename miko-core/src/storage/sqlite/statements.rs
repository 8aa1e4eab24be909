//! The statements of a database, and a postponed update of a record.
//!
//! A counter that many callers increment is one row, which changes with each of their calls. In a database in
//! memory without history, where commits are deferred, only the last state of the row needs to reach SQLite.
//! So if the row that was updated last is updated again, the update is postponed: the new state is kept here,
//! and is written before the next statement that may read or write records, and before a commit. An update of
//! a large row is not postponed, nor is any update if the process has a memory limit.

use std::cell::{Cell, RefCell};

use miko_rpc::{Result, memory};
use rusqlite::params;

use super::statement_cache::StatementCache;
use super::values::content_columns;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::timestamp::Timestamp;

/// The largest row whose update may be postponed, in bytes. Writing a larger row later might fail.
const MAX_POSTPONED: usize = 64 << 10;

/// The prepared statements, and the update that is postponed, if there is one.
#[derive(Debug)]
pub(super) struct Statements {
    cache: StatementCache,
    /// Whether updates may be postponed: see [`new`](Self::new).
    may_postpone: bool,
    /// The row of the last update, postponed or not.
    last_updated: Cell<Option<RowId>>,
    /// The row of the postponed update of the open transaction, with its new state; `None` if no update is
    /// postponed.
    postponed: RefCell<Option<(RowId, Row)>>,
}

impl Statements {
    /// The statements of a database. `may_postpone` is whether updates may be postponed: only if writing an
    /// update later cannot fail, as in a database in memory without history. The error would be returned to
    /// another call.
    pub(super) fn new(cache: StatementCache, may_postpone: bool) -> Self {
        Self { cache, may_postpone, last_updated: Cell::default(), postponed: RefCell::default() }
    }

    /// Writes the postponed update, if there is one, and returns the statements. For statements that may read
    /// or write `record`, or that commit.
    ///
    /// # Errors
    /// The error of the postponed update, which stays postponed.
    pub(super) fn after_flush(&self) -> Result<&StatementCache> {
        let mut postponed = self.postponed.borrow_mut();
        if let Some((id, row)) = &*postponed {
            self.write(*id, row)?;
            *postponed = None;
        }
        Ok(&self.cache)
    }

    /// Returns the statements, and leaves a postponed update unwritten. Only for statements that neither read
    /// nor write `record`, and do not commit.
    pub(super) fn without_flush(&self) -> &StatementCache {
        &self.cache
    }

    /// Updates a row, at once or before the next statement on records.
    pub(super) fn update(&self, id: RowId, row: &Row) -> Result<()> {
        let is_updated_again = self.last_updated.replace(Some(id)) == Some(id);
        // With a memory limit, writing the update later may fail.
        if is_updated_again
            && self.may_postpone
            && row.stored_size() <= MAX_POSTPONED
            && memory::current_limit().is_none()
        {
            // Replaces the postponed update of the same row, if there is one.
            self.postponed.replace(Some((id, row.clone())));
            return Ok(());
        }
        self.after_flush()?;
        self.write(id, row)
    }

    /// Drops the postponed update, because its transaction is rolled back.
    pub(super) fn forget_postponed(&self) {
        self.postponed.take();
    }

    /// Writes an update to SQLite.
    fn write(&self, id: RowId, row: &Row) -> Result<()> {
        const UPDATE: &str = "UPDATE record SET bucket = ?2, stack = ?3, extras = ?4, created_at = ?5, \
                              updated_at = ?6, commit_seq = ?7, instance_pk = ?8 WHERE seq = ?1";
        let [bucket, stack, extras] = content_columns(row);
        let [created_at, updated_at] = [row.created_at, row.updated_at].map(Timestamp::as_millis);
        let (commit, instance_pk) = (row.commit, &row.instance_pk);
        let values = params![id, bucket, stack, extras, created_at, updated_at, commit, instance_pk];
        self.cache.execute(UPDATE, values).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;
    use crate::storage::ids::CommitSeq;
    use crate::storage::row::State;
    use crate::storage::sqlite::Sqlite;
    use crate::storage::write_set::{RowChange, WriteSet};

    fn row(number: i64) -> Row {
        let state = State { bucket: format!("{{\"n\":{number}}}"), stack: "{}".to_owned(), extras: None };
        Row {
            pk: "p".to_owned(),
            state: Some(state),
            created_at: Timestamp::FIRST,
            updated_at: Timestamp::FIRST,
            commit: CommitSeq(number),
            instance_pk: None,
        }
    }

    fn apply(storage: &mut Sqlite, change: RowChange<RowId, Row>) {
        storage.apply(&WriteSet { rows: vec![change], ..WriteSet::default() }).unwrap();
    }

    #[test]
    fn a_postponed_update_is_lost_with_its_transaction_also_if_sqlite_has_rolled_back() {
        for sqlite_has_rolled_back in [false, true] {
            let mut storage = Sqlite::in_memory(false).unwrap();
            storage.begin().unwrap();
            apply(&mut storage, RowChange::insert(RowId(1), row(0)));
            storage.commit().unwrap();
            storage.begin().unwrap();
            (0..3).for_each(|n| apply(&mut storage, RowChange::replace(RowId(1), row(n), row(n + 1))));
            assert!(storage.statements.postponed.borrow().is_some());
            if sqlite_has_rolled_back {
                storage.statements.without_flush().execute_batch("ROLLBACK").unwrap();
            }
            storage.roll_back();
            storage.begin().unwrap();
            storage.commit().unwrap();
            assert_eq!(storage.row(RowId(1)).unwrap(), Some(row(0)));
        }
    }
}
