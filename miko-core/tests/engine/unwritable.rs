//! Paths that cannot be written: the error names the file and the reason.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use miko_core::backend::Mode;
use miko_core::{Error, ErrorId, SqliteEngine, WorldletEngine, atomic_file};

/// Paths at which no user can create a file, with the error of the operating system.
fn places(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    fs::write(folder.join("file"), "x").unwrap();
    fs::create_dir(folder.join("folder")).unwrap();
    vec![
        (folder.join("missing/crew"), "there is no folder"),
        (folder.join("file/crew"), "Not a directory"),
        (folder.join("folder"), "Is a directory"),
        (PathBuf::from("/proc/crew"), "No such file or directory"),
    ]
}

/// Checks the id of an error, and that it names this path and this reason.
#[track_caller]
fn assert_names(error: &Error, id: &ErrorId, path: &Path, reason: &str) {
    assert_eq!(error.id(), id, "{error}");
    assert_eq!(error.items()[0].details["path"], path.to_str().unwrap());
    assert!(error.items()[0].message().contains(reason), "{error}");
}

#[test]
fn a_database_that_cannot_be_created_is_reported_with_its_path_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for (path, reason) in places(folder.path()) {
        let errors = [
            SqliteEngine::open(&path, Mode::ReadWrite).unwrap_err(),
            WorldletEngine::open(&path, Mode::ReadWrite).unwrap_err(),
        ];
        for error in errors {
            assert_names(&error, &ErrorId::INVALID_BACKEND, &path, reason);
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_reported_with_its_path_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing/out.json"), PathBuf::from("/proc/out.json")] {
        let error = atomic_file::write(&path, |_| Ok(())).unwrap_err();
        assert_names(&error, &ErrorId::NOT_WRITABLE, &path, "No such file or directory");
    }
}

#[test]
fn a_database_beside_which_no_file_can_be_created_is_reported_with_its_path() {
    // Files in /proc can be opened for writing, but no file can be created beside them.
    let path = Path::new("/proc/self/comm");
    let error = SqliteEngine::open(path, Mode::ReadWrite).unwrap_err();
    assert!(error.is(ErrorId::INVALID_BACKEND), "{error}");
    assert_eq!(error.items()[0].details["path"], "/proc/self/comm");
}

#[test]
fn a_file_whose_writing_fails_halfway_keeps_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.json");
    fs::write(&path, "before").unwrap();
    let error = atomic_file::write_text(&path, |file| {
        file.write_all(&[b'x'; 100_000]).unwrap();
        Err(Error::new(ErrorId::INTERNAL, "the source is damaged"))
    });
    assert!(error.unwrap_err().is(ErrorId::INTERNAL));
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}
