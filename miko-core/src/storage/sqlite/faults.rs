//! Maps errors of SQLite to error ids.

use miko_rpc::{Error, ErrorId};
use rusqlite::ErrorCode;

/// Converts an error of SQLite to the error that callers get.
pub(super) fn sqlite_error(error: rusqlite::Error) -> Error {
    let id = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory) => ErrorId::STORAGE_FULL,
        Some(ErrorCode::TooBig) => ErrorId::REQUEST_TOO_LARGE,
        // Another process has the file open, and it or this process is a writer.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorId::BACKEND_IN_USE,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => ErrorId::NOT_WRITABLE,
        _ => ErrorId::INTERNAL,
    };
    Error::caused_by(id, "SQLite", error)
}
