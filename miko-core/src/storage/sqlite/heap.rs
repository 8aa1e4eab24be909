//! Limits the memory that SQLite uses.
//!
//! For a database in memory the number of pages is limited: a write that needs one more fails with
//! `SQLITE_FULL`. The heap as a whole is limited for everything else (copies of pages that a transaction
//! changes, sorting): beyond the limit SQLite fails with `SQLITE_NOMEM`. Both become `storage-full`, and both
//! may make SQLite roll back the open transaction.

use miko_rpc::{Result, memory};
use rusqlite::ffi;

use super::Sqlite;
use super::faults::sqlite_error;

impl Sqlite {
    /// Limits the pages of a database in memory, and the heap of SQLite, to their parts of the memory limit
    /// of the process, in bytes.
    ///
    /// # Errors
    /// `internal`, if SQLite refuses the setting.
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
        // The pages, five eighths of the limit, and an eighth for everything else.
        HeapLimit::set(process_limit / 4 * 3);
        Ok(())
    }
}

/// The heap limit that was in force before it was lifted; restored on drop. The limit applies to the whole
/// process.
pub(super) struct HeapLimit(i64);

impl HeapLimit {
    fn set(bytes: usize) {
        // 0, no limit, for more bytes than the function takes.
        hard_heap_limit(i64::try_from(bytes).unwrap_or(0));
    }

    /// Lifts the limit until the returned value is dropped.
    pub(super) fn lift() -> Self {
        Self(hard_heap_limit(0))
    }
}

impl Drop for HeapLimit {
    fn drop(&mut self) {
        hard_heap_limit(self.0);
    }
}

/// Sets the limit (0 for none) and returns the previous one.
fn hard_heap_limit(bytes: i64) -> i64 {
    // SAFETY: the function takes an integer and may be called from any thread at any time.
    unsafe { ffi::sqlite3_hard_heap_limit64(bytes) }
}
