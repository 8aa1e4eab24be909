//! The status of a response by the id of its error.

use hyper::StatusCode;
use miko_rpc::ErrorId;

/// The ids of each status, all of them.
const STATUSES: &[(u16, &[ErrorId])] = &[
    (
        400,
        &[
            ErrorId::INVALID_REQUEST,
            ErrorId::INVALID_WORLDLET,
            ErrorId::INVALID_BACKEND,
            ErrorId::INVALID_MODE,
            ErrorId::MODE_NOT_SUPPORTED,
            ErrorId::SESSION_REQUIRED,
            ErrorId::REDUNDANT_FIELDS,
            ErrorId::DIRECTION_AS_KEY,
            ErrorId::UNUSED_PLACEHOLDER,
        ],
    ),
    (401, &[ErrorId::UNAUTHORIZED]),
    (403, &[ErrorId::FOREIGN_ORIGIN, ErrorId::READ_ONLY_CONNECTION]),
    (
        404,
        &[
            ErrorId::ROUTE_NOT_FOUND,
            ErrorId::RECORD_NOT_FOUND,
            ErrorId::FILE_NOT_FOUND,
            ErrorId::CLASS_NOT_FOUND,
            ErrorId::TRANSACTION_NOT_FOUND,
        ],
    ),
    (405, &[ErrorId::METHOD_NOT_ALLOWED]),
    (408, &[ErrorId::CLIENT_TOO_SLOW]),
    (
        409,
        &[
            ErrorId::CONFLICT,
            ErrorId::PK_IN_USE,
            ErrorId::UNIQUE_VIOLATION,
            ErrorId::DUPLICATE_CLASS,
            ErrorId::REFERENCE_RESTRICTED,
            ErrorId::TRANSACTION_OPEN,
            ErrorId::TRANSACTION_INVALIDATED,
            ErrorId::TRANSACTION_EXITED,
            ErrorId::SURFACE_MISMATCH,
            ErrorId::SELF_CALL,
            ErrorId::CANCELLED,
            ErrorId::CLAIM_LOST,
        ],
    ),
    (
        410,
        &[ErrorId::RECORD_DELETED, ErrorId::SESSION_GONE, ErrorId::STREAM_EXPIRED, ErrorId::CHANGES_EXPIRED],
    ),
    (413, &[ErrorId::REQUEST_TOO_LARGE]),
    (415, &[ErrorId::UNSUPPORTED_MEDIA_TYPE]),
    (416, &[ErrorId::RANGE_NOT_SATISFIABLE]),
    (
        422,
        &[
            ErrorId::VALIDATION_FAILED,
            ErrorId::IMMUTABLE_FIELD,
            ErrorId::REFERENCE_NOT_FOUND,
            ErrorId::EDIT_REFUSED,
            ErrorId::SAVE_REJECTED,
            ErrorId::ACTION_NOT_SUPPORTED,
            ErrorId::NOT_TEMPORAL,
        ],
    ),
    (431, &[ErrorId::HEADERS_TOO_LARGE]),
    (
        500,
        &[
            ErrorId::INTERNAL,
            ErrorId::PARKED,
            ErrorId::LAGGED,
            ErrorId::SERVER_USED_IN_FORK,
            ErrorId::UDS_IN_USE,
            ErrorId::THREADS_RUNNING,
            ErrorId::INSIDE_RUNTIME,
            ErrorId::OUTSIDE_RUNTIME,
            ErrorId::WORKER_FAILED,
            ErrorId::NOT_WRITABLE,
            ErrorId::TLS_FAILED,
        ],
    ),
    (
        503,
        &[
            ErrorId::TOO_MANY_CONNECTIONS,
            ErrorId::LOCK_TIMEOUT,
            ErrorId::SERVER_GONE,
            ErrorId::INTERRUPTED,
            ErrorId::BACKEND_IN_USE,
        ],
    ),
    (504, &[ErrorId::DEADLINE_EXCEEDED]),
    (507, &[ErrorId::STORAGE_FULL]),
];

/// The status of an error that an interface has defined itself: the method ran, and failed.
pub(crate) const OWN_ERROR: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// The status of a response whose first error has this id; that of an id which is not ours is 422.
///
/// ```
/// use miko_rpc::ErrorId;
///
/// assert_eq!(miko_http::status_of(&ErrorId::RECORD_NOT_FOUND), 404);
/// ```
pub fn status_of(id: &ErrorId) -> StatusCode {
    let status = STATUSES.iter().find(|(_, ids)| ids.contains(id)).map(|(status, _)| *status);
    status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(OWN_ERROR)
}

/// The id of a refusal of which only the status is known.
pub(crate) fn id_of(status: StatusCode) -> ErrorId {
    match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => ErrorId::HEADERS_TOO_LARGE,
        StatusCode::REQUEST_TIMEOUT => ErrorId::CLIENT_TOO_SLOW,
        _ => ErrorId::INVALID_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use miko_rpc::ERROR_IDS;

    use super::*;

    #[test]
    fn every_id_has_one_status() {
        for doc in ERROR_IDS {
            let statuses = STATUSES.iter().filter(|(_, ids)| ids.contains(&doc.id)).count();
            assert_eq!(statuses, 1, "{}", doc.id);
        }
        for (status, _) in STATUSES {
            assert!(StatusCode::from_u16(*status).unwrap().as_u16() >= 400);
        }
    }
}
