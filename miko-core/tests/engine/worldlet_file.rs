//! A worldlet in a file: one writer at a time, commits, and changes by other programs.

use std::fs::{self, File};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use miko_core::backend::Mode;
use miko_core::{Engine, ErrorId, Mikobase, MikobaseExt, WorldletEngine};
use serde_json::json;

fn open(path: &Path) -> WorldletEngine {
    WorldletEngine::open(path, Mode::ReadWrite).unwrap()
}

fn exported(db: &dyn Engine) -> String {
    let mut text = Vec::new();
    db.write_worldlet(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_commit_is_in_the_file_and_read_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    let db = open(&path);
    assert_eq!(fs::read_to_string(&path).unwrap(), exported(&db), "an empty worldlet is written at once");
    db.import_schema(json!({"classes": {"a.b/officer": {"fields": {"serial": {"unique": true}}}}})).unwrap();
    let spock = db.create("a.b/officer", &json!({"serial": 1})).unwrap();
    db.update(&spock, &json!({"serial": 1, "z": [1.0, u64::MAX], "a": null})).unwrap();
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, exported(&db));

    assert!(db.create("a.b/officer", &json!({"serial": 1})).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
    assert_eq!(fs::read_to_string(&path).unwrap(), written, "a write that fails writes nothing");
    assert_eq!(names(folder.path()), ["crew.json"]);
    drop(db);

    let db = open(&path);
    assert_eq!(exported(&db), written);
    assert!(db.create("a.b/officer", &json!({"serial": 1})).unwrap_err().is(ErrorId::UNIQUE_VIOLATION));
}

#[test]
fn a_file_has_one_writer_also_after_a_save_has_replaced_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    let db = open(&path);
    for _ in 0..3 {
        let error = WorldletEngine::open(&path, Mode::ReadWrite).unwrap_err();
        assert!(error.is(ErrorId::BACKEND_IN_USE), "{error}");
        db.create("a.b/c", &json!({})).unwrap();
    }
    let reader = WorldletEngine::open(&path, Mode::Read).unwrap();
    assert_eq!(reader.count(json!({})).unwrap(), 3);
    assert!(reader.create("a.b/c", &json!({})).unwrap_err().is(ErrorId::READ_ONLY_CONNECTION));
    drop(db);
    open(&path).create("a.b/c", &json!({})).unwrap();
}

#[test]
fn changes_by_other_programs_are_not_overwritten() {
    let changes: [fn(&Path); 3] = [
        |path| fs::write(path, "{}").unwrap(),
        |path| {
            let other = path.with_extension("other");
            fs::copy(path, &other).unwrap();
            fs::rename(other, path).unwrap();
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for change in changes {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crew.json");
        let db = open(&path);
        db.create("a.b/c", &json!({"n": 1})).unwrap();
        change(&path);
        let (found, before) = (fs::read(&path).ok(), exported(&db));
        for _ in 0..2 {
            let error = db.create("a.b/c", &json!({"n": 2})).unwrap_err();
            assert!(error.is(ErrorId::CONFLICT), "{error}");
            assert_eq!(error.items()[0].details["retryable"], false);
            assert_eq!(exported(&db), before, "it failed, so it changed nothing");
            assert_eq!(fs::read(&path).ok(), found);
        }
    }
}

#[test]
fn a_file_that_is_no_worldlet_is_refused_and_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    assert!(WorldletEngine::open(&path, Mode::Read).unwrap_err().is(ErrorId::INVALID_BACKEND));
    assert_eq!(names(folder.path()), [] as [&str; 0], "mode `r` creates no file");
    for text in ["nothing", r#"{"records": {"a": {"bucket": 5}}}"#, r#"{"format": "other"}"#] {
        fs::write(&path, text).unwrap();
        for mode in [Mode::Read, Mode::ReadWrite] {
            let error = WorldletEngine::open(&path, mode).unwrap_err();
            assert!(error.is(ErrorId::INVALID_WORLDLET), "{error}");
            assert_eq!(error.items()[0].details["path"], path.to_str().unwrap());
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let error = WorldletEngine::open(folder.path().join("no/folder.json"), Mode::ReadWrite).unwrap_err();
    assert!(error.is(ErrorId::INVALID_BACKEND), "{error}");
}

#[test]
fn a_save_keeps_a_symlink_to_the_file_and_the_permissions_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let [path, link] = ["crew.json", "link.json"].map(|name| folder.path().join(name));
    drop(open(&path));
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    open(&link).create("a.b/c", &json!({})).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&path).unwrap().contains("a.b/c"));
}

#[test]
fn only_temporary_files_of_killed_writers_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for name in [".crew.json.unfinished-x", ".other.json.unfinished-x", "crew.json.bak"] {
        fs::write(folder.path().join(name), "{").unwrap();
    }
    drop(open(&folder.path().join("crew.json")));
    assert_eq!(names(folder.path()), [".other.json.unfinished-x", "crew.json", "crew.json.bak"]);
}

#[test]
fn a_file_opens_although_a_later_definition_forbids_a_stored_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    let db = open(&path);
    let pk = db.create("a.b/c", &json!({"n": "no number"})).unwrap();
    db.import_schema(json!({"classes": {"a.b/c": {"fields": {"n": {"class": "number"}}}}})).unwrap();
    drop(db);
    let db = open(&path);
    assert!(db.record_by_pk(&pk).unwrap().is_some());
    assert!(db.update(&pk, &json!({"n": "no number"})).unwrap_err().is(ErrorId::VALIDATION_FAILED));
}

/// Overwrites the file with other content of the same length and restores its times.
fn edit_in_place(path: &Path) {
    use std::io::{Seek, Write};

    let times = fs::metadata(path).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let at = text.find("\"n\":1").unwrap();
    let mut file = fs::File::options().write(true).open(path).unwrap();
    file.seek(std::io::SeekFrom::Start(at as u64)).unwrap();
    file.write_all(b"\"n\":7").unwrap();
    let restored = fs::FileTimes::new().set_modified(times.modified().unwrap());
    file.set_times(restored.set_accessed(times.accessed().unwrap())).unwrap();
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), times.modified().unwrap());
}

/// Waits until a new file gets a later `ctime` than this file.
fn wait_for_a_later_ctime(path: &Path) {
    use std::os::unix::fs::MetadataExt;

    let changed = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.ctime(), metadata.ctime_nsec())
    };
    let (before, other) = (changed(path), path.with_extension("clock"));
    while {
        fs::write(&other, "").unwrap();
        changed(&other) <= before
    } {}
    fs::remove_file(other).unwrap();
}

#[test]
fn an_edit_in_place_that_restores_the_time_is_not_overwritten() {
    for just_opened in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crew.json");
        let mut db = open(&path);
        db.create("a.b/c", &json!({"n": 1})).unwrap();
        if just_opened {
            drop(db);
            db = open(&path);
        }
        wait_for_a_later_ctime(&path);
        edit_in_place(&path);
        let found = fs::read(&path).unwrap();
        let error = db.create("a.b/c", &json!({"n": 2})).unwrap_err();
        assert!(error.is(ErrorId::CONFLICT), "{error}");
        assert_eq!(fs::read(&path).unwrap(), found);
    }
}

#[test]
fn a_pipe_is_refused_in_place_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe.json");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    for mode in [Mode::ReadWrite, Mode::Read] {
        let error = WorldletEngine::open(&path, mode).unwrap_err();
        assert!(error.is(ErrorId::INVALID_BACKEND), "{error}");
    }
}

/// Set in the process that has few descriptors.
const FEW_DESCRIPTORS: &str = "MIKOBASE_TEST_FEW_DESCRIPTORS";

#[test]
fn a_save_that_lacks_descriptors_at_any_step_leaves_the_file_as_it_was() {
    if std::env::var_os(FEW_DESCRIPTORS).is_none() {
        let name = "worldlet_file::a_save_that_lacks_descriptors_at_any_step_leaves_the_file_as_it_was";
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 64 && exec \"$0\" --exact \"$1\""]);
        limited.arg(std::env::current_exe().unwrap()).arg(name).env(FEW_DESCRIPTORS, "1");
        let run = limited.output().unwrap();
        let output = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    let db = open(&path);
    let mut answers = Vec::new();
    for free in 0..8 {
        let mut taken: Vec<File> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - free);
        let before = db.count(json!({})).unwrap();
        let answer = db.create("a.b/c", &json!({"free": free}));
        drop(taken);
        let is_written = db.count(json!({})).unwrap() > before;
        assert_eq!(answer.is_ok(), is_written, "with {free} free descriptors: {answer:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), exported(&db), "with {free} free descriptors");
        let second_writer = WorldletEngine::open(&path, Mode::ReadWrite).unwrap_err();
        assert!(second_writer.is(ErrorId::BACKEND_IN_USE), "with {free} free descriptors: {second_writer}");
        db.create("a.b/c", &json!({"after": free})).unwrap();
        answers.push(answer.is_ok());
    }
    assert!(answers.is_sorted() && !answers[0] && answers[7], "each step has lacked one: {answers:?}");
    assert_eq!(names(folder.path()), ["crew.json"]);
}

#[test]
fn a_write_succeeds_after_another_program_changed_only_permissions_or_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("crew.json");
    let db = open(&path);
    db.create("a.b/c", &json!({"n": 1})).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    db.create("a.b/c", &json!({"n": 2})).unwrap();
    fs::hard_link(&path, folder.path().join("backup.json")).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    db.create("a.b/c", &json!({"n": 3})).unwrap();
    assert_eq!(db.count(json!({})).unwrap(), 3);
}
