//! Opens a database file: registers it in this process, checks its header, locks it and migrates its schema.
//!
//! The header is read before SQLite opens the file, only to avoid touching a file that is not a Mikobase.
//! Another process may change the file between the two steps. A writer (mode `rw`) therefore repeats every
//! check through SQLite under its lock. A reader (mode `r`) repeats only the check of the version.
//!
//! SQLite takes the locks. A writer holds an exclusive lock from open to close (`locking_mode = EXCLUSIVE`);
//! if its process is killed, the lock ends with the process. A reader never takes an exclusive lock; in WAL
//! mode SQLite holds a shared lock for it, which keeps writers out. These are POSIX locks: they belong to the
//! process, and the system releases them when *any* descriptor of the file is closed in that process. A file
//! that is already open in this process is therefore refused before it is read. The exception is a reader of
//! a file that only readers have open: it skips the check of the header and leaves all reading to SQLite,
//! which keeps its descriptors open.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result};
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};
use tracing::{debug, info};

use super::faults::sqlite_error;
use super::schema;
use crate::json;
use crate::mode::Mode;
use crate::storage::opening::{
    backend_in_use, cannot_create, cannot_open, check_folder, invalid_backend, with_path,
};

/// The version of the schema, which SQLite stores as `user_version`.
const SCHEMA_VERSION: u32 = 1 + MIGRATIONS.len() as u32;

/// SQL that migrates the schema from one version to the next; the first entry migrates from version 1 to 2.
const MIGRATIONS: &[Migration] = &[
    // Drops the two indexes that found the entries of a record: the engine derives the entries from the
    // record. Values get length prefixes, so that numbers sort in numeric order.
    Migration::Always(
        "DROP INDEX unique_value_by_record; DROP INDEX indexed_value_by_record;
     UPDATE unique_value SET value = with_length_prefixes(value);
     UPDATE indexed_value SET value = with_length_prefixes(value);",
    ),
    // Adds the instance pk and the tables of files. Only temporal databases have instance pks, and no
    // temporal database existed before this version, so no row needs one.
    Migration::Always(
        "ALTER TABLE record ADD COLUMN instance_pk TEXT;
     CREATE TABLE file (id INTEGER PRIMARY KEY, pk TEXT NOT NULL UNIQUE, sha256 TEXT, mime TEXT NOT NULL,
                        size INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;
     CREATE INDEX file_by_sha256 ON file (sha256);
     CREATE TABLE file_chunk (file_id INTEGER NOT NULL REFERENCES file, number INTEGER NOT NULL,
                              data BLOB NOT NULL, PRIMARY KEY (file_id, number)) STRICT;",
    ),
    // Allows two versions of a record with the same time: the instance pk becomes a part of their unique key.
    // SQLite cannot change a key, so the table is created anew.
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
    // Drops the index that found the references of a record: the engine derives references from the record,
    // too.
    Migration::Always("DROP INDEX reference_by_record;"),
    // Adds the table of claims.
    Migration::Always(
        "CREATE TABLE claim (seq INTEGER PRIMARY KEY REFERENCES record, id TEXT NOT NULL,
                             attempts INTEGER NOT NULL, lease_end INTEGER NOT NULL, lasting TEXT) STRICT;",
    ),
];

/// The SQL of one migration.
enum Migration {
    Always(&'static str),
    /// For temporal databases only; the others have nothing to migrate.
    Temporal(&'static str),
}

/// `Miko` in ASCII, which SQLite stores as `application_id`. It identifies the file type.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"Miko");

/// The size of SQLite's header: <https://www.sqlite.org/fileformat.html#the_database_header>.
const HEADER_SIZE: usize = 100;

/// The files that are open in this process, by device and inode.
static OPEN_FILES: LazyLock<Mutex<HashMap<DeviceAndInode, Holders>>> = LazyLock::new(Mutex::default);

type DeviceAndInode = (u64, u64);

/// How a file is open in this process.
#[derive(Debug, PartialEq)]
enum Holders {
    Writer,
    /// The number of readers, which is at least 1.
    Readers(usize),
}

/// The registration of a file that this process has open. Dropping it ends the registration.
#[derive(Debug)]
pub(super) struct FileLease(DeviceAndInode);

impl Drop for FileLease {
    fn drop(&mut self) {
        let mut open = open_files();
        match open.get_mut(&self.0) {
            Some(Holders::Readers(count)) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&self.0)),
        }
    }
}

fn open_files() -> MutexGuard<'static, HashMap<DeviceAndInode, Holders>> {
    // No operation leaves the map in an inconsistent state.
    OPEN_FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a database file, or creates it if the mode permits writing. A new file is temporal if
/// `wants_temporal` is set. The returned lease must outlive the connection.
///
/// # Errors
/// The file is unchanged after these errors:
///
/// - `backend-in-use`, if the file is open already, in this process or another one, unless both sides only
///   read;
/// - `invalid-backend`, if the file is not a Mikobase, cannot be opened, or was written by a newer version;
///   in mode `r` also if it is missing, empty, or was written by an older version; if `wants_temporal` is
///   set, also if it is not temporal.
///
/// After these errors the file may have been created or migrated; it can be opened again:
///
/// - `invalid-backend`, if the file system fails;
/// - `storage-full`, if the disk or the memory is full; `internal` for other errors of SQLite, such as those
///   of a damaged file.
pub(super) fn open(path: &Path, mode: Mode, wants_temporal: bool) -> Result<(Connection, FileLease)> {
    let flags = match mode {
        Mode::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let lease = acquire(path, mode)?;
    if mode == Mode::ReadWrite {
        // SQLite silently opens a write-protected file read-only, and reports an unwritable folder only as
        // `disk I/O error`. Closing this descriptor releases no lock: with the lease of a writer, no other
        // part of this process has the file open.
        File::options().append(true).open(path).map_err(|error| cannot_open(path, error))?;
        check_folder(path)?;
    }
    // Only for the log message below. Checked before SQLite opens the file: a migration writes to the
    // write-ahead log.
    let has_log = fs::metadata(write_ahead_log_path(path)).is_ok_and(|log| log.len() > 0);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| sqlite_cannot_open(path, error))?;
    configure(&connection, mode, wants_temporal).map_err(|error| {
        // Any statement of `configure` may be the first that needs a lock, so the errors of all are
        // translated here.
        if error.is(ErrorId::BACKEND_IN_USE) {
            backend_in_use(path)
        } else if error.is(ErrorId::NOT_WRITABLE) {
            invalid_backend(path, &format!("the file cannot be opened: {}", error.items()[0].message()))
        } else {
            with_path(error, path)
        }
    })?;
    if has_log {
        info!(path = %path.display(), "read the write-ahead log that a killed process has left");
    }
    debug!(path = %path.display(), ?mode, "database opened");
    Ok((connection, lease))
}

/// The path of the file in which SQLite keeps commits until it copies them to the database file.
fn write_ahead_log_path(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Registers the file as open. A writer creates the file if it is missing. Refuses a file that is already
/// open in this process, unless all sides only read. Checks the header, unless readers have the file open:
/// the first of them has checked it, and another check would close a descriptor, which releases the locks of
/// all readers.
fn acquire(path: &Path, mode: Mode) -> Result<FileLease> {
    // Creating the file and checking its header each open and close a descriptor. If another thread opened
    // the file meanwhile, closing the descriptor would release the locks that SQLite holds for that thread.
    // So `OPEN_FILES` is locked first.
    let mut open = open_files();
    if mode == Mode::ReadWrite && !path.exists() {
        // SQLite would create the file later, but its inode, which identifies it, is needed now.
        File::options().append(true).create(true).open(path).map_err(|error| cannot_create(path, error))?;
    }
    let metadata = fs::metadata(path).map_err(|error| cannot_open(path, error))?;
    let device_and_inode = (metadata.dev(), metadata.ino());
    match (open.get_mut(&device_and_inode), mode) {
        (None, mode) => {
            check_header(path, mode)?;
            let holders = if mode == Mode::Read { Holders::Readers(1) } else { Holders::Writer };
            open.insert(device_and_inode, holders);
        }
        (Some(Holders::Readers(count)), Mode::Read) => *count += 1,
        (Some(_), _) => return Err(backend_in_use(path)),
    }
    Ok(FileLease(device_and_inode))
}

/// Checks the header without SQLite: the file type and the schema version.
fn check_header(path: &Path, mode: Mode) -> Result<()> {
    let mut header = Vec::with_capacity(HEADER_SIZE);
    let file = File::open(path).map_err(|error| cannot_open(path, error))?;
    file.take(HEADER_SIZE as u64).read_to_end(&mut header).map_err(|error| cannot_open(path, error))?;
    // 0 if the header is too short.
    let u32_at = |offset: usize| -> u32 {
        header.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
    };
    let is_sqlite = header.starts_with(b"SQLite format 3\0");
    let (page_count, version, application_id) = (u32_at(28), u32_at(60), u32_at(68));
    // SQLite writes the first page before the tables exist. A process that is killed at that point leaves a
    // file with only this page, which counts as empty.
    let has_one_page = is_sqlite && page_count <= 1 && (version, application_id) == (0, 0);
    if header.is_empty() || has_one_page {
        return match mode {
            Mode::ReadWrite => Ok(()),
            Mode::Read => Err(invalid_backend(path, "the file is empty: there is nothing to read")),
        };
    }
    if !is_sqlite || application_id != APPLICATION_ID {
        return Err(invalid_backend(path, "the file is not a Mikobase"));
    }
    check_version(version).map_err(|error| with_path(error, path))
}

fn check_version(version: u32) -> Result<()> {
    if version <= SCHEMA_VERSION {
        return Ok(());
    }
    let message = "the file was written by a newer version of Mikobase: use that one";
    Err(Error::new(ErrorId::INVALID_BACKEND, message).with("found", version).with("known", SCHEMA_VERSION))
}

/// Refuses a database that is not temporal, if `wants_temporal` is set. Temporal databases have the table
/// `version`, whatever the version of their schema; other databases do not.
fn check_temporal(connection: &Connection, wants_temporal: bool) -> Result<()> {
    if !wants_temporal || connection.table_exists(None, "version").map_err(sqlite_error)? {
        return Ok(());
    }
    let message = "the database is not temporal: that is chosen when one is created";
    Err(Error::new(ErrorId::INVALID_BACKEND, message))
}

/// Prepares a connection. As a writer, locks the file, then creates the schema, or checks and migrates it. As
/// a reader, only checks that the schema has the current version and, if `wants_temporal` is set, that the
/// database is temporal. All checks precede the first change of the file.
fn configure(connection: &Connection, mode: Mode, wants_temporal: bool) -> Result<()> {
    // Without a timeout, a file that another process has locked is refused at once.
    connection.busy_timeout(Duration::ZERO).map_err(sqlite_error)?;
    if mode == Mode::Read {
        return match user_version(connection).map_err(sqlite_error)? {
            version if version < SCHEMA_VERSION => {
                let message =
                    "the file was written by an older version of Mikobase: open it once in mode `rw`";
                Err(Error::new(ErrorId::INVALID_BACKEND, message)
                    .with("found", version)
                    .with("known", SCHEMA_VERSION))
            }
            version => check_version(version).and_then(|()| check_temporal(connection, wants_temporal)),
        };
    }
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;")
        .map_err(sqlite_error)?;
    // SQLite takes the exclusive lock with the first transaction and then keeps it.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT;").map_err(sqlite_error)?;
    match user_version(connection).map_err(sqlite_error)? {
        0 if is_empty(connection).map_err(sqlite_error)? => create_schema(connection, wants_temporal)?,
        version => {
            check_application_id(connection)?;
            check_version(version)?;
            check_temporal(connection, wants_temporal)?;
            migrate(connection, version, MIGRATIONS)?;
        }
    }
    // Follows the checks, because it changes the file.
    connection.pragma_update(None, "journal_mode", "wal").map_err(sqlite_error)?;
    Ok(())
}

fn user_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

/// Checks the application id once more, through SQLite under its lock.
fn check_application_id(connection: &Connection) -> Result<()> {
    let application: u32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite_error)?;
    if application == APPLICATION_ID {
        return Ok(());
    }
    Err(Error::new(ErrorId::INVALID_BACKEND, "the file is not a Mikobase"))
}

/// Creates the tables and sets the application id and the version, in one transaction.
fn create_schema(connection: &Connection, is_temporal: bool) -> Result<()> {
    let tables = schema::tables(is_temporal);
    connection
        .execute_batch(&format!(
            "BEGIN IMMEDIATE; {tables} PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        ))
        .map_err(sqlite_error)?;
    Ok(())
}

/// Migrates a database from the schema version `version` to the version after all of `migrations`. All
/// migrations that the database has not had run in one transaction.
fn migrate(connection: &Connection, version: u32, migrations: &[Migration]) -> Result<()> {
    let applied_count = (version as usize).saturating_sub(1);
    let pending = migrations.get(applied_count..).unwrap_or_default();
    if pending.is_empty() {
        return Ok(());
    }
    connection
        .create_scalar_function(
            "with_length_prefixes",
            1,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC,
            |context| Ok(json::with_length_prefixes(&context.get::<String>(0)?)),
        )
        .map_err(sqlite_error)?;
    let transaction = connection.unchecked_transaction().map_err(sqlite_error)?;
    let is_temporal = connection.table_exists(None, "version").map_err(sqlite_error)?;
    for migration in pending {
        match migration {
            Migration::Always(sql) => transaction.execute_batch(sql).map_err(sqlite_error)?,
            Migration::Temporal(sql) if is_temporal => {
                transaction.execute_batch(sql).map_err(sqlite_error)?
            }
            Migration::Temporal(_) => {}
        }
    }
    transaction.pragma_update(None, "user_version", 1 + migrations.len() as u32).map_err(sqlite_error)?;
    transaction.commit().map_err(sqlite_error)?;
    info!(path = connection.path(), from = version, to = SCHEMA_VERSION, "schema migrated");
    Ok(())
}

fn sqlite_cannot_open(path: &Path, error: rusqlite::Error) -> Error {
    with_path(Error::caused_by(ErrorId::INVALID_BACKEND, "SQLite cannot open the file", error), path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::storage::sqlite::Sqlite;

    fn migrations() -> [Migration; 3] {
        [
            Migration::Always("ALTER TABLE t ADD COLUMN b"),
            Migration::Always("UPDATE t SET b = a * 2"),
            Migration::Temporal("DROP TABLE t"),
        ]
    }

    fn database_of_version(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (21)").unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    #[test]
    fn an_older_version_is_migrated_step_by_step() {
        let connection = database_of_version(1);
        migrate(&connection, 1, &migrations()).unwrap();
        let b: i64 = connection.query_row("SELECT b FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!((b, user_version(&connection).unwrap()), (42, 4));
        migrate(&connection, 4, &migrations()).unwrap();
    }

    /// Stores, when it is dropped, whether this file is registered as open.
    struct IsOpenWhenDropped(DeviceAndInode, Arc<AtomicBool>);

    impl Drop for IsOpenWhenDropped {
        fn drop(&mut self) {
            self.1.store(open_files().contains_key(&self.0), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_file_stays_registered_until_its_connection_is_closed_also_after_an_error() {
        for is_damaged in [false, true] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let lease = acquire(file.path(), Mode::ReadWrite).unwrap();
            let connection = Connection::open_in_memory().unwrap();
            let was_open = Arc::new(AtomicBool::new(false));
            let when_dropped = IsOpenWhenDropped(lease.0, Arc::clone(&was_open));
            // SQLite drops its functions when the connection is closed.
            connection
                .create_scalar_function("nothing", 0, FunctionFlags::SQLITE_UTF8, move |_| {
                    let _ = &when_dropped;
                    Ok(0)
                })
                .unwrap();
            if is_damaged {
                let damage = "CREATE TABLE t (a); PRAGMA writable_schema = ON;
                              UPDATE sqlite_schema SET sql = 'nonsense'; PRAGMA writable_schema = RESET;";
                connection.execute_batch(damage).unwrap();
            }
            let sqlite = Sqlite::with_connection(Some(lease), connection);
            assert_eq!(sqlite.is_err(), is_damaged);
            drop(sqlite);
            assert!(was_open.load(Ordering::Relaxed), "damaged: {is_damaged}");
        }
    }

    #[test]
    fn a_failed_migration_keeps_the_old_version() {
        let connection = database_of_version(1);
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
        assert_eq!(user_version(&connection).unwrap(), 1);
        assert!(connection.prepare("SELECT b FROM t").is_err());
    }
}
