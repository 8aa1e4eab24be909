//! What SQLite's errors mean to a caller.

use rusqlite::ErrorCode;

use crate::error::{Error, ErrorId};

impl From<rusqlite::Error> for Error {
    fn from(fault: rusqlite::Error) -> Self {
        let id = match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory) => ErrorId::STORAGE_FULL,
            Some(ErrorCode::TooBig) => ErrorId::REQUEST_TOO_LARGE,
            // Somebody has come to maintain a file that this connection only reads.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorId::BACKEND_IN_USE,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => ErrorId::NOT_WRITABLE,
            _ => ErrorId::INTERNAL,
        };
        Self::new(id, format!("SQLite: {fault}"))
    }
}
