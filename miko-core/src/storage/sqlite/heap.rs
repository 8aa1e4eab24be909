//! Limits the memory that SQLite uses.
//!
//! - A database in memory has a limited number of pages. A write that needs another page fails with
//!   `SQLITE_FULL`.
//! - The heap as a whole is limited, for everything else (copies of pages that a transaction changes,
//!   sorting). Beyond the limit SQLite fails with `SQLITE_NOMEM`.
//!
//! Both errors become `storage-full`, and both may make SQLite roll back the open transaction.

use miko_rpc::{Result, memory};
use rusqlite::ffi;

use super::Sqlite;
use super::faults::sqlite_error;

impl Sqlite {
    /// Limits the pages of a database in memory, and the heap of SQLite, to their parts of `process_limit`,
    /// the memory limit of the process in bytes.
    ///
    /// # Errors
    /// For a database in memory, the errors of SQLite.
    pub(super) fn limit_heap(&self, process_limit: usize) -> Result<()> {
        // Only a database in a file has a lease.
        let is_in_memory = self.lease.is_none();
        if is_in_memory {
            let connection = self.statements.after_flush()?;
            let page_size: u32 =
                connection.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(sqlite_error)?;
            let pages = u32::try_from(memory::store_threshold(process_limit) / page_size as usize)
                .unwrap_or(u32::MAX);
            connection.pragma_update(None, "max_page_count", pages).map_err(sqlite_error)?;
        }
        // Three quarters: five eighths for the pages of a database in memory, and an eighth for everything
        // else.
        let heap_limit = process_limit / 4 * 3;
        // A limit beyond the range of `i64` becomes 0, which is no limit.
        set_hard_heap_limit(i64::try_from(heap_limit).unwrap_or(0));
        Ok(())
    }
}

/// Lifts the heap limit, which applies to all connections of the process, until this value is dropped.
pub(super) struct LiftedHeapLimit {
    previous: i64,
}

impl LiftedHeapLimit {
    pub(super) fn lift() -> Self {
        Self { previous: set_hard_heap_limit(0) }
    }
}

impl Drop for LiftedHeapLimit {
    fn drop(&mut self) {
        set_hard_heap_limit(self.previous);
    }
}

/// Sets the limit in bytes (0 for none) and returns the previous one.
fn set_hard_heap_limit(bytes: i64) -> i64 {
    // SAFETY: the function takes an integer and may be called from any thread at any time.
    unsafe { ffi::sqlite3_hard_heap_limit64(bytes) }
}
