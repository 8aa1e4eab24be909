//! Why a file cannot be opened as a database, in the words of every engine that has one.

use std::io::ErrorKind;
use std::path::Path;

use crate::atomic_file::folder_of;
use crate::error::{Error, ErrorId, Result};

/// Somebody maintains the file.
pub(crate) fn in_use(path: &Path) -> Error {
    let message = "another process, or another part of this one, maintains this file: talk to that one, or open it when it has ended";
    in_file(Error::new(ErrorId::BACKEND_IN_USE, message), path)
}

/// The file system does not give it.
pub(crate) fn unusable(path: &Path, fault: &std::io::Error) -> Error {
    match fault.kind() {
        ErrorKind::NotFound => invalid(path, "there is no such file"),
        _ => invalid(path, &format!("the file cannot be opened: {fault}")),
    }
}

/// The file system does not let it be made.
pub(super) fn not_made(path: &Path, fault: &std::io::Error) -> Error {
    let folder = folder_of(path);
    match fault.kind() {
        ErrorKind::NotFound if !folder.exists() => {
            invalid(path, &format!("the file cannot be made: there is no folder {}", folder.display()))
        }
        _ => invalid(path, &format!("the file cannot be made: {fault}")),
    }
}

/// Refuses a file in whose folder nothing can be made: there are files beside it while it is written.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    tempfile::tempfile_in(folder).map(drop).map_err(|fault| {
        invalid(path, &format!("nothing can be written in the folder {}: {fault}", folder.display()))
    })
}

/// It is no database that can be opened so.
pub(crate) fn invalid(path: &Path, message: &str) -> Error {
    in_file(Error::new(ErrorId::INVALID_BACKEND, message), path)
}

/// Says of an error which file it is about.
pub(crate) fn in_file(error: Error, path: &Path) -> Error {
    error.with("path", path.display().to_string())
}
