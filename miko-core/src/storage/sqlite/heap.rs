//! Limits the memory that SQLite uses.
//!
//! - A database in memory has a limited number of pages. A write that needs another page fails with
//!   `SQLITE_FULL`.
//! - The heap of SQLite as a whole is limited. This bounds what is not in these pages: copies of pages that a
//!   transaction changes, and sorting. Beyond the limit SQLite fails with `SQLITE_NOMEM`.
//!
//! Both errors become `storage-full`, and both may make SQLite roll back the open transaction.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
        lifts().set_limit(i64::try_from(heap_limit).unwrap_or(0), set_hard_heap_limit);
        Ok(())
    }
}

/// While a value of this type exists, the heap of SQLite has no limit, for all connections of the process.
/// Dropping the last of these values sets the previous limit again. Several threads may lift it at once.
pub(super) struct LiftedHeapLimit(());

impl LiftedHeapLimit {
    pub(super) fn lift() -> Self {
        lifts().add(set_hard_heap_limit);
        Self(())
    }
}

impl Drop for LiftedHeapLimit {
    fn drop(&mut self) {
        lifts().remove(set_hard_heap_limit);
    }
}

/// Counts the values of [`LiftedHeapLimit`].
struct Lifts {
    count: usize,
    /// While `count` is not 0: the limit that applies once it is 0 again.
    limit: i64,
}

static LIFTS: Mutex<Lifts> = Mutex::new(Lifts { count: 0, limit: 0 });

/// Locks the count. No panic can leave it inconsistent.
fn lifts() -> MutexGuard<'static, Lifts> {
    LIFTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Each method gets the function that sets the limit and returns the previous one.
impl Lifts {
    fn add(&mut self, set: impl FnOnce(i64) -> i64) {
        if self.count == 0 {
            self.limit = set(0);
        }
        self.count += 1;
    }

    fn remove(&mut self, set: impl FnOnce(i64) -> i64) {
        self.count -= 1;
        if self.count == 0 {
            set(self.limit);
        }
    }

    /// Changes the limit: at once, or if it is lifted, when it applies again.
    fn set_limit(&mut self, bytes: i64, set: impl FnOnce(i64) -> i64) {
        if self.count == 0 {
            set(bytes);
        } else {
            self.limit = bytes;
        }
    }
}

/// Sets the limit in bytes (0 for none) and returns the previous one.
fn set_hard_heap_limit(bytes: i64) -> i64 {
    // SAFETY: the function takes an integer and may be called from any thread at any time.
    unsafe { ffi::sqlite3_hard_heap_limit64(bytes) }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_limit_applies_again_after_the_last_of_several_lifts() {
        let present = Cell::new(7);
        let set = |bytes| present.replace(bytes);
        let mut lifts = Lifts { count: 0, limit: 0 };
        // As two threads may do.
        lifts.add(set);
        lifts.add(set);
        lifts.remove(set);
        assert_eq!(present.get(), 0, "the second still lifts it");
        lifts.set_limit(8, set);
        assert_eq!(present.get(), 0);
        lifts.remove(set);
        assert_eq!(present.get(), 8);
        lifts.set_limit(9, set);
        lifts.add(set);
        lifts.remove(set);
        assert_eq!(present.get(), 9);
    }
}
