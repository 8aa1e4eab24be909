//! The engine on a file: writes are durable, and files of other programs are not changed.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use miko_core::backend::{self, Mode};
use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt, SqliteEngine};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{open_sqlite, open_temporal_sqlite};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteEngine {
    open_sqlite(path, Mode::ReadWrite).unwrap()
}

fn export(db: &SqliteEngine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn fill(db: &SqliteEngine) {
    db.import_schema(json!({"classes": {
        "a.b/ship": {"fields": {"name": {"unique": true}}},
        "a.b/officer": {"fields": {
            "ship": {"class": "puck.uno/reference", "on_delete": "restrict"}, "rank": {"index": true},
        }},
    }}))
    .unwrap();
    let ship = db.create("a.b/ship", &json!({"name": "Enterprise"})).unwrap();
    db.create("a.b/officer", &json!({"ship": ship, "rank": "Captain"})).unwrap();
}

#[test]
fn writes_are_durable_when_the_file_is_opened_again() {
    let (folder, path) = folder();
    let db = open(&path);
    fill(&db);
    let before = export(&db);
    assert_eq!(db.properties().unwrap().engine, "mikobase.uno/sqlite/file");
    drop(db);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["crew.db"], "SQLite's files are removed when the database is closed");

    let db = open(&path);
    assert_eq!(export(&db), before);
    // Classes, unique values, references and indexes work as before.
    assert!(db.create("a.b/ship", &json!({"name": "Enterprise"})).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
    let ship = db.by_class("a.b/ship").unwrap()[0].pk.clone();
    assert!(db.delete(&ship).unwrap_err().is(ErrorId::REFERENCE_RESTRICTED));
    let select = json!({"action": "select", "class": "a.b/officer", "path": ["rank", "Captain"]});
    assert!(db.explain(select).unwrap().plan.iter().any(|step| step.contains("indexed_value")));
    let plan = db.explain(json!({"action": "select", "pk": ship})).unwrap().plan;
    assert_eq!(plan[0], "SEARCH record USING INDEX record_by_pk (pk=?)");
    // A new write is later than the earlier ones.
    db.create("a.b/officer", &json!({})).unwrap();
    assert_eq!(db.by_class("a.b/officer").unwrap().count(), 2);
}

/// Version 1 had three more indexes, on tables that are now read by their primary keys, and encoded numbers
/// so that their texts did not sort like the numbers.
#[test]
fn a_file_of_an_earlier_version_is_migrated() {
    let (_folder, path) = folder();
    let db = open(&path);
    fill(&db);
    db.import_schema(
        json!({"classes": {"a.b/dock": {"fields": {"number": {"unique": true}, "size": {"index": true}}}}}),
    )
    .unwrap();
    db.create("a.b/dock", &json!({"number": 1701, "size": 12})).unwrap();
    let before = export(&db);
    drop(db);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "UPDATE unique_value SET value = '1701,' WHERE value = 'D1701,';
         UPDATE indexed_value SET value = '12,' WHERE value = 'B12,';
         CREATE INDEX unique_value_by_record ON unique_value (seq);
         CREATE INDEX indexed_value_by_record ON indexed_value (seq);
         CREATE INDEX reference_by_record ON reference (seq);
         ALTER TABLE record DROP COLUMN instance_pk;
         DROP TABLE claim;
         DROP TABLE file_chunk;
         DROP TABLE file;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(file);

    let db = open(&path);
    assert_eq!(export(&db), before);
    let ship = db.create("a.b/ship", &json!({"name": "Defiant"})).unwrap();
    db.delete(&ship).unwrap();
    let again = db.create("a.b/dock", &json!({"number": 1701})).unwrap_err();
    assert!(again.is(ErrorId::UNIQUE_VIOLATION), "{again}");
    let found = db.q0(json!({"action": "select", "class": "a.b/dock", "path": ["size", 12.0]})).unwrap();
    assert_eq!(found.into_records().unwrap().count(), 1);
    drop(db);
    let file = rusqlite::Connection::open(&path).unwrap();
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE name GLOB '*_by_record'";
    assert_eq!(file.query_row(indexes, [], |row| row.get::<_, i64>(0)), Ok(0));
    assert_eq!(
        file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)),
        Ok(6),
        "the current one"
    );
}

#[test]
fn a_migrated_temporal_file_accepts_two_versions_with_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    let db = open_temporal_sqlite(&path, Mode::ReadWrite).unwrap();
    let pk = db.create("a.b/c", &json!({"n": 1})).unwrap();
    db.update(&pk, &json!({"n": 2})).unwrap();
    drop(db);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "ALTER TABLE version RENAME TO newer;
         CREATE TABLE version (seq INTEGER NOT NULL REFERENCES record, updated_at INTEGER NOT NULL,
                               instance_pk TEXT NOT NULL UNIQUE, bucket TEXT, stack TEXT, extras TEXT,
                               commit_seq INTEGER NOT NULL, UNIQUE (seq, updated_at)) STRICT;
         INSERT INTO version SELECT * FROM newer; DROP TABLE newer; DROP TABLE claim;
         CREATE INDEX reference_by_record ON reference (seq); PRAGMA user_version = 3;",
    )
    .unwrap();
    drop(file);
    let db = open_sqlite(&path, Mode::ReadWrite).unwrap();
    let history = db.history(&pk).unwrap();
    assert_eq!(history.len(), 2);
    let same_time = json!({"identity": pk, "timestamp": history[0].updated_at.to_string(), "active": true,
                           "bucket": {"n": 3}, "class": "a.b/c"});
    assert_eq!(db.merge(json!({"history": {"0": same_time}})).unwrap().accepted, ["0"]);
    assert_eq!(db.history(&pk).unwrap().len(), 3);
}

#[test]
fn a_file_has_one_writer_or_many_readers() {
    let (_folder, path) = folder();
    let db = open(&path);
    fill(&db);
    for mode in [Mode::ReadWrite, Mode::Read] {
        let error = open_sqlite(&path, mode).unwrap_err();
        assert!(error.is(ErrorId::BACKEND_IN_USE), "{error}");
        assert_eq!(error.items()[0].details["path"], path.display().to_string());
    }
    db.create("a.b/officer", &json!({})).unwrap();
    drop(db);
    let readers = [(); 3].map(|()| open_sqlite(&path, Mode::Read).unwrap());
    for reader in &readers {
        assert_eq!(reader.by_class("a.b/officer").unwrap().count(), 2);
        let error = reader.create("a.b/officer", &json!({})).unwrap_err();
        assert!(error.is(ErrorId::READ_ONLY_CONNECTION), "{error}");
    }
    assert!(open_sqlite(&path, Mode::ReadWrite).unwrap_err().is(ErrorId::BACKEND_IN_USE));
    drop(readers);
    open(&path);
}

#[test]
fn a_file_of_another_program_or_a_newer_version_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    fill(&open(&path));
    let ours = fs::read(&path).unwrap();
    // Offsets in the header of an SQLite file.
    const USER_VERSION: usize = 60;
    const APPLICATION_ID: usize = 68;
    let with = |offset: usize, number: u32| {
        let mut bytes = ours.clone();
        bytes[offset..offset + 4].copy_from_slice(&number.to_be_bytes());
        bytes
    };
    let cases = [
        (b"a shopping list, or whatever".to_vec(), "the file is not a Mikobase"),
        (b"x".to_vec(), "the file is not a Mikobase"),
        (with(APPLICATION_ID, 0), "the file is not a Mikobase"),
        (with(APPLICATION_ID, 0x1234_5678), "the file is not a Mikobase"),
        (with(USER_VERSION, 99), "the file was written by a newer version of Mikobase"),
    ];
    for (bytes, message) in cases {
        fs::write(&path, &bytes).unwrap();
        for mode in [Mode::ReadWrite, Mode::Read] {
            let error = open_sqlite(&path, mode).unwrap_err();
            assert!(error.is(ErrorId::INVALID_BACKEND) && error.to_string().contains(message), "{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::write(&path, &ours).unwrap();
    assert_eq!(open(&path).by_class("a.b/officer").unwrap().count(), 1);
}

#[test]
fn a_file_without_history_is_refused_as_a_temporal_one_and_left_as_it_is() {
    let (_folder, path) = folder();
    fill(&open(&path));
    // A file of the current version, and one of version 5.
    for change in ["", "DROP TABLE claim; PRAGMA user_version = 5;"] {
        rusqlite::Connection::open(&path).unwrap().execute_batch(change).unwrap();
        let bytes = fs::read(&path).unwrap();
        for mode in [Mode::ReadWrite, Mode::Read] {
            let error = open_temporal_sqlite(&path, mode).unwrap_err();
            assert!(error.is(ErrorId::INVALID_BACKEND), "{error}");
        }
        assert!(fs::read(&path).unwrap() == bytes);
    }
    assert_eq!(open(&path).by_class("a.b/officer").unwrap().count(), 1);
}

#[test]
fn an_error_of_the_file_system_is_the_source_of_the_error_of_opening() {
    let (folder, path) = folder();
    for (path, kind) in
        [(path.as_path(), io::ErrorKind::NotFound), (folder.path(), io::ErrorKind::IsADirectory)]
    {
        let error = open_sqlite(path, Mode::Read).unwrap_err();
        let source: &io::Error = error.source().unwrap().downcast_ref().unwrap();
        assert_eq!(source.kind(), kind, "{error}");
    }
}

#[test]
fn a_missing_or_empty_file_is_created_for_writing_only() {
    let (folder, path) = folder();
    let message_of_read = || open_sqlite(&path, Mode::Read).unwrap_err().to_string();
    assert!(message_of_read().contains("there is no such file"));
    assert!(!path.exists());
    fs::write(&path, "").unwrap();
    assert!(message_of_read().contains("the file is empty"));
    open(&path);
    open_sqlite(&path, Mode::Read).unwrap();
    let nowhere = folder.path().join("no/such/folder.db");
    assert!(open_sqlite(nowhere, Mode::ReadWrite).unwrap_err().is(ErrorId::INVALID_BACKEND));
    assert!(open_sqlite(folder.path(), Mode::ReadWrite).unwrap_err().is(ErrorId::INVALID_BACKEND));
}

#[test]
fn a_file_is_opened_by_its_backend_url() {
    let (folder, path) = folder();
    let url = format!("https://mikobase.uno/sqlite/file?path={}", path.display());
    backend::open(&url).unwrap().create("a.b/c", &json!({})).unwrap();
    let reader = backend::open_with(&path.display().to_string(), Mode::Read).unwrap();
    assert_eq!(reader.count(json!({})).unwrap(), 1);
    assert!(backend::open_with("mikobase.uno/sqlite/memory", Mode::Read).is_err());
    drop(folder);
}

#[test]
fn a_failed_write_leaves_the_file_as_it_was() {
    let (_folder, path) = folder();
    let db = open(&path);
    fill(&db);
    let before = export(&db);
    let batch = vec![
        json!({"action": "create", "class": "puck.uno/class", "bucket": {"name": "a.b/new"}}),
        json!({"action": "create", "class": "a.b/ship", "bucket": {"name": "Enterprise"}}),
    ];
    assert!(db.batch(batch, true).is_err());
    assert_eq!(export(&db), before);
    drop(db);
    assert_eq!(export(&open(&path)), before);
}

#[test]
fn a_definition_that_is_undone_leaves_the_foreign_keys_of_a_temporal_file_valid() {
    let (_folder, path) = folder();
    let db = open_temporal_sqlite(&path, Mode::ReadWrite).unwrap();
    let pk = db.create("a.b/ship", &json!({"name": "Enterprise"})).unwrap();
    let failing_batch = vec![
        json!({"action": "create", "class": "puck.uno/class", "bucket": {"name": "a.b/new"}}),
        json!({"action": "delete", "pk": "nobody"}),
    ];
    db.transaction(|tx| {
        assert!(tx.batch(failing_batch, true).unwrap_err().is(ErrorId::RECORD_NOT_FOUND));
        tx.update(&pk, &json!({"name": "Excelsior"}))?;
        tx.commit()
    })
    .unwrap();
    drop(db);
    let file = rusqlite::Connection::open(&path).unwrap();
    let violations = "SELECT count(*) FROM pragma_foreign_key_check";
    assert_eq!(file.query_row(violations, [], |row| row.get::<_, i64>(0)), Ok(0));
}

/// The file that this test's other process tries to open for writing.
const WRITTEN_FILE: &str = "MIKOBASE_TEST_WRITTEN_FILE";

#[test]
fn a_file_that_two_readers_of_a_process_have_open_is_not_opened_for_writing_by_another_process() {
    if let Some(path) = std::env::var_os(WRITTEN_FILE) {
        assert!(open_sqlite(path, Mode::ReadWrite).unwrap_err().is(ErrorId::BACKEND_IN_USE));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.db");
    open_sqlite(&path, Mode::ReadWrite).unwrap().create("a.b/c", &json!({})).unwrap();
    let readers = [Mode::Read; 2].map(|mode| open_sqlite(&path, mode).unwrap());
    let name =
        "file::a_file_that_two_readers_of_a_process_have_open_is_not_opened_for_writing_by_another_process";
    let mut writer = std::process::Command::new(std::env::current_exe().unwrap());
    let writer = writer.env(WRITTEN_FILE, &path).args(["--exact", name]).output().unwrap();
    let output = String::from_utf8_lossy(&writer.stdout);
    assert!(writer.status.success() && output.contains("1 passed"), "{output}");
    assert!(readers.iter().all(|reader| reader.count(json!({})).unwrap() == 1));
}
