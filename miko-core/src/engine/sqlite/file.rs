//! Opening a database file: whose it is, who maintains it, and which version of the tables it has.
//!
//! The race: between looking at a file and locking it somebody else may come. So everything that decides is asked again of
//! SQLite, under its lock; what is read from the header before that only keeps us from touching a file that is not ours.
//!
//! The lock is SQLite's own, taken at open and held until the end (`locking_mode = EXCLUSIVE`), so that it dies with its
//! process. It belongs to a process, and the system drops it when *any* descriptor of the file is closed in it: therefore a file
//! that is open in this process is refused before it is read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use crate::engine::opening::{check_folder, in_file, in_use, invalid, not_made, unusable};
use crate::engine::sqlite::{SCHEMA, TEMPORAL};
use crate::error::{Error, ErrorId, Result};
use crate::json;
use crate::mode::Mode;

/// The version of the tables, which SQLite keeps as `user_version`.
const VERSION: u32 = 1 + MIGRATIONS.len() as u32;

/// SQL that brings tables from one version to the next; the first is from version 1 to 2.
const MIGRATIONS: &[Migration] = &[
    Migration::Always(
        // What a record has in the index is known from the record; and keys of numbers are in the order of the numbers.
        "DROP INDEX unique_value_by_record; DROP INDEX indexed_value_by_record;
     UPDATE unique_value SET value = with_ordered_numbers(value);
     UPDATE indexed_value SET value = with_ordered_numbers(value);",
    ),
    // Versions have a pk in temporal databases, which the older ones are not; and there are files.
    Migration::Always(
        "ALTER TABLE record ADD COLUMN instance_pk TEXT;
     CREATE TABLE file (id INTEGER PRIMARY KEY, pk TEXT NOT NULL UNIQUE, sha256 TEXT, mime TEXT NOT NULL,
                        size INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;
     CREATE INDEX file_by_sha256 ON file (sha256);
     CREATE TABLE file_chunk (file_id INTEGER NOT NULL REFERENCES file, number INTEGER NOT NULL,
                              data BLOB NOT NULL, PRIMARY KEY (file_id, number)) STRICT;",
    ),
    // Two versions of a record may be of one time.
    Migration::Temporal(
        "ALTER TABLE version RENAME TO old_version;
     CREATE TABLE version (seq INTEGER NOT NULL REFERENCES record, updated_at INTEGER NOT NULL,
                           instance_pk TEXT NOT NULL UNIQUE, bucket TEXT, stack TEXT, extras TEXT,
                           commit_seq INTEGER NOT NULL, UNIQUE (seq, updated_at, instance_pk),
                           CHECK ((bucket IS NULL) = (stack IS NULL)),
                           CHECK (extras IS NULL OR bucket IS NOT NULL)) STRICT;
     INSERT INTO version SELECT * FROM old_version;
     DROP TABLE old_version;",
    ),
];

/// SQL of a migration.
enum Migration {
    Always(&'static str),
    /// For temporal databases only; the others have nothing to migrate.
    Temporal(&'static str),
}

/// `Miko`, which SQLite keeps as `application_id`, so that anybody can tell whose file it is.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"Miko");

/// Where SQLite's header ends: <https://www.sqlite.org/fileformat.html#the_database_header>.
const HEADER: usize = 100;

/// Files that are open in this process, by device and inode.
static OPEN_FILES: LazyLock<Mutex<HashMap<Inode, Holders>>> = LazyLock::new(Mutex::default);

type Inode = (u64, u64);

/// Who has a file open.
#[derive(Debug, PartialEq)]
enum Holders {
    Maintainer,
    Readers(usize),
}

/// A file that is open in this process, as long as this value lives.
#[derive(Debug)]
pub(super) struct FileLease(Inode);

impl Drop for FileLease {
    fn drop(&mut self) {
        let mut open = open_files();
        match open.get_mut(&self.0) {
            Some(Holders::Readers(count)) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.0)),
        }
    }
}

fn open_files() -> MutexGuard<'static, HashMap<Inode, Holders>> {
    // The map is whole after every operation on it.
    OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a database file, or creates it where the mode allows that, temporal or not.
///
/// # Errors
/// `backend-in-use`, if somebody maintains it; `invalid-backend`, if it is no Mikobase, or of a newer version, or missing
/// and to be read only. The file is then as it was.
pub(super) fn open(path: &Path, mode: Mode, temporal: bool) -> Result<(Connection, FileLease)> {
    let flags = match mode {
        Mode::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    if mode == Mode::ReadWrite && !path.exists() {
        // Made by hand, so that it has an inode to be known by.
        File::options().append(true).create(true).open(path).map_err(|fault| not_made(path, &fault))?;
    }
    let lease = acquire(path, mode)?;
    check_header(path, mode)?;
    if mode == Mode::ReadWrite {
        // SQLite would create a file that it could not write, and says of its log beside it no more than `disk I/O error`.
        File::options().append(true).open(path).map_err(|fault| unusable(path, &fault))?;
        check_folder(path)?;
    }
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|fault| cannot_open(path, &fault))?;
    set_up(&connection, mode, temporal).map_err(|error| {
        // Whichever statement came first to the lock.
        if error.is(ErrorId::BACKEND_IN_USE) {
            in_use(path)
        } else if error.is(ErrorId::NOT_WRITABLE) {
            invalid(path, &format!("the file cannot be opened: {}", error.items()[0].message()))
        } else {
            in_file(error, path)
        }
    })?;
    Ok((connection, lease))
}

/// Refuses a file that this process has open already, unless both only read.
fn acquire(path: &Path, mode: Mode) -> Result<FileLease> {
    let metadata = fs::metadata(path).map_err(|fault| unusable(path, &fault))?;
    let inode = (metadata.dev(), metadata.ino());
    let mut open = open_files();
    match (open.get_mut(&inode), mode) {
        (None, Mode::ReadWrite) => drop(open.insert(inode, Holders::Maintainer)),
        (None, Mode::Read) => drop(open.insert(inode, Holders::Readers(1))),
        (Some(Holders::Readers(count)), Mode::Read) => *count += 1,
        (Some(_), _) => return Err(in_use(path)),
    }
    Ok(FileLease(inode))
}

/// Looks at the first bytes, before SQLite does.
fn check_header(path: &Path, mode: Mode) -> Result<()> {
    let mut header = Vec::with_capacity(HEADER);
    let file = File::open(path).map_err(|fault| unusable(path, &fault))?;
    file.take(HEADER as u64).read_to_end(&mut header).map_err(|fault| unusable(path, &fault))?;
    let number = |at: usize| -> u32 {
        header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    let is_sqlite = header.starts_with(b"SQLite format 3\0");
    // SQLite makes a page before there are tables. A process that was killed then has left nothing else.
    let has_one_page = is_sqlite && number(28) <= 1 && (number(60), number(68)) == (0, 0);
    if header.is_empty() || has_one_page {
        return match mode {
            Mode::ReadWrite => Ok(()),
            Mode::Read => Err(invalid(path, "the file is empty: there is nothing to read")),
        };
    }
    if !is_sqlite || number(68) != APPLICATION_ID {
        return Err(invalid(path, "the file is no Mikobase"));
    }
    check_version(number(60)).map_err(|error| in_file(error, path))
}

fn check_version(version: u32) -> Result<()> {
    if version <= VERSION {
        return Ok(());
    }
    let message = "the file was written by a newer version of Mikobase: use that one";
    Err(Error::new(ErrorId::INVALID_BACKEND, message).with("found", version).with("known", VERSION))
}

/// Locks the file and makes sure that its tables are those of this version, and of the right kind.
fn set_up(connection: &Connection, mode: Mode, temporal: bool) -> Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    lock_and_bring_up_to_date(connection, mode, temporal)?;
    if temporal && !connection.table_exists(None, "version")? {
        let message = "the database is not temporal: that is chosen when one is created";
        return Err(Error::new(ErrorId::INVALID_BACKEND, message));
    }
    Ok(())
}

fn lock_and_bring_up_to_date(connection: &Connection, mode: Mode, temporal: bool) -> Result<()> {
    if mode == Mode::Read {
        return match version_of(connection)? {
            version if version < VERSION => {
                let message =
                    "the file was written by an older version of Mikobase: open it once in mode `rw`";
                Err(Error::new(ErrorId::INVALID_BACKEND, message)
                    .with("found", version)
                    .with("known", VERSION))
            }
            version => check_version(version),
        };
    }
    connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;")?;
    // Nothing is locked before the first transaction; from then on the lock is kept.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;")?;
    match version_of(connection)? {
        0 if is_empty(connection)? => create(connection, temporal)?,
        version => {
            check_application(connection)?;
            check_version(version)?;
            migrate(connection, version, MIGRATIONS)?;
        }
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    Ok(())
}

fn version_of(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// The header said so before the lock was ours; now it cannot change any more.
fn check_application(connection: &Connection) -> Result<()> {
    let application: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if application == APPLICATION_ID {
        return Ok(());
    }
    Err(Error::new(ErrorId::INVALID_BACKEND, "the file is no Mikobase"))
}

/// Makes the tables, and makes the file ours, in one transaction.
fn create(connection: &Connection, temporal: bool) -> Result<()> {
    let temporal = if temporal { TEMPORAL } else { "" };
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {SCHEMA} {temporal} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
    ))?;
    Ok(())
}

/// Runs the steps that lead from `version` to the last, in one transaction.
fn migrate(connection: &Connection, version: u32, steps: &[Migration]) -> Result<()> {
    let done = (version as usize).saturating_sub(1);
    let Some(left) = steps.get(done..).filter(|left| !left.is_empty()) else { return Ok(()) };
    connection.create_scalar_function(
        "with_ordered_numbers",
        1,
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
        |context| Ok(json::with_ordered_numbers(&context.get::<String>(0)?)),
    )?;
    let transaction = connection.unchecked_transaction()?;
    let temporal = connection.table_exists(None, "version")?;
    for step in left {
        match step {
            Migration::Always(sql) => transaction.execute_batch(sql)?,
            Migration::Temporal(sql) if temporal => transaction.execute_batch(sql)?,
            Migration::Temporal(_) => {}
        }
    }
    transaction.pragma_update(None, "user_version", 1 + steps.len() as u32)?;
    transaction.commit()?;
    Ok(())
}

fn cannot_open(path: &Path, fault: &rusqlite::Error) -> Error {
    invalid(path, &format!("SQLite cannot open the file: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> [Migration; 3] {
        [
            Migration::Always("ALTER TABLE t ADD COLUMN b"),
            Migration::Always("UPDATE t SET b = a * 2"),
            Migration::Temporal("DROP TABLE t"),
        ]
    }

    fn of_version(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (21)").unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    #[test]
    fn an_older_version_is_brought_up_step_by_step() {
        let connection = of_version(1);
        migrate(&connection, 1, &steps()).unwrap();
        let b: i64 = connection.query_row("SELECT b FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!((b, version_of(&connection).unwrap()), (42, 4));
        migrate(&connection, 4, &steps()).unwrap();
    }

    #[test]
    fn a_migration_that_fails_leaves_the_old_version() {
        let connection = of_version(1);
        assert!(
            migrate(
                &connection,
                1,
                &[
                    Migration::Always("ALTER TABLE t ADD COLUMN b"),
                    Migration::Always("UPDATE nothing SET b = 1")
                ]
            )
            .is_err()
        );
        assert_eq!(version_of(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT b FROM t").is_err());
    }
}
