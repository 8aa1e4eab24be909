//! The errors of opening a file as a database or as a worldlet, and a check of the folder of a database.

use std::io::ErrorKind;
use std::path::Path;

use miko_rpc::{Error, ErrorId, Result};

use crate::atomic_file::folder_of;

/// The error `backend-in-use` of a file that is open already, in this process or another.
pub(crate) fn backend_in_use(path: &Path) -> Error {
    let message = "another process, or another part of this one, has this file open: use its connection, \
                   or open the file after it has been closed";
    with_path(Error::new(ErrorId::BACKEND_IN_USE, message), path)
}

/// The error `invalid-backend` of a file that the system refuses to open or to read.
pub(crate) fn cannot_open(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => invalid_backend(path, "there is no such file").with_source(error),
        _ => caused_by(path, "the file cannot be opened", error),
    }
}

/// The error `invalid-backend` of a file that the system refuses to create.
pub(crate) fn cannot_create(path: &Path, error: std::io::Error) -> Error {
    let folder = folder_of(path);
    match error.kind() {
        ErrorKind::NotFound if !folder.exists() => invalid_backend(
            path,
            &format!("the file cannot be created: there is no folder {}", folder.display()),
        )
        .with_source(error),
        _ => caused_by(path, "the file cannot be created", error),
    }
}

/// Checks that files can be created in the folder of the database at `path`, since SQLite creates files
/// beside the database. The check creates a temporary file.
///
/// # Errors
/// `invalid-backend`.
pub(super) fn check_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    tempfile::tempfile_in(folder).map(drop).map_err(|error| {
        caused_by(path, &format!("no file can be created in the folder {}", folder.display()), error)
    })
}

/// The error `invalid-backend` with a message and the path.
pub(crate) fn invalid_backend(path: &Path, message: &str) -> Error {
    with_path(Error::new(ErrorId::INVALID_BACKEND, message), path)
}

/// As [`invalid_backend`], with the error of the system as the source.
fn caused_by(path: &Path, message: &str, error: std::io::Error) -> Error {
    with_path(Error::caused_by(ErrorId::INVALID_BACKEND, message, error), path)
}

/// Adds the path to the details of an error.
pub(crate) fn with_path(error: Error, path: &Path) -> Error {
    error.with("path", path.display().to_string())
}
