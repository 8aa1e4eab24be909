//! All error ids, each with its meaning and an example. No other file defines one.

use std::borrow::Cow;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// The id of an error or a warning: a fixed word that programs compare.
///
/// The type holds any text, so that a client can show the error of a newer server whose id it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ErrorId(Cow<'static, str>);

impl ErrorId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id for a failed write: `storage-full` or `not-writable`.
    pub fn of_failed_write(fault: &io::Error) -> Self {
        match fault.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::STORAGE_FULL,
            _ => Self::NOT_WRITABLE,
        }
    }

    const fn fixed(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

impl fmt::Display for ErrorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The documentation of an id.
#[derive(Debug, Clone)]
pub struct ErrorDoc {
    /// The id.
    pub id: ErrorId,
    /// The cause of the error, and what to do.
    pub meaning: &'static str,
    /// A request or situation that causes it.
    pub example: &'static str,
}

macro_rules! error_ids {
    ($($name:ident = $id:literal, $meaning:literal, $example:literal;)*) => {
        impl ErrorId {
            $(#[doc = concat!("`", $id, "`: ", $meaning)] pub const $name: Self = Self::fixed($id);)*
        }

        /// All ids of Mikobase, in the order of the documentation.
        pub const ERROR_IDS: &[ErrorDoc] = &[
            $(ErrorDoc { id: ErrorId::$name, meaning: $meaning, example: $example },)*
        ];

        /// The same ids with their meanings, as the surface of an interface lists them.
        #[cfg(feature = "interface")]
        pub const ERROR_MEANINGS: &[miko_surface::ErrorMeaning] = &[
            $(miko_surface::ErrorMeaning { id: Cow::Borrowed($id), meaning: Cow::Borrowed($meaning) },)*
        ];
    };
}

error_ids! {
    INVALID_REQUEST = "invalid_request",
        "The request is not well-formed; the details name each fault by JSON pointer. Correct it and send it \
         again.",
        r#"{"action": "select", "limit": -1}"#;
    RECORD_NOT_FOUND = "record_not_found",
        "There is no record with this pk and never was.",
        r#"{"action": "delete", "pk": "nobody"}"#;
    RECORD_DELETED = "record_deleted",
        "The record with this pk was deleted.",
        "an `update` of a deleted record";
    PK_IN_USE = "pk-in-use",
        "A `create` chooses the pk of another record, which may have been deleted. Choose another, or leave \
         it out.",
        r#"{"action": "create", "pk": "kirk", "bucket": {}}, twice"#;
    FILE_NOT_FOUND = "file-not-found",
        "There is no file with this pk. A file exists only after it was finished.",
        "an officer whose `portrait` names no file";
    NOT_TEMPORAL = "not-temporal",
        "The database keeps no versions. Whether it does is chosen when it is created, by `temporal`.",
        r#"{"action": "select", "history": true}"#;
    VALIDATION_FAILED = "validation-failed",
        "A value breaks a rule of its class; the details name the class, the rule, the place by JSON \
         pointer, what was found and what is allowed. There is one for each fault.",
        "an officer whose `rank` is `\"Admiral of the Sea\"`";
    UNIQUE_VIOLATION = "unique-violation",
        "Another active record has the same value, or the same tuple of values; the details name its pk.",
        "two officers with one serial number";
    IMMUTABLE_FIELD = "immutable-field",
        "The field is part of the `join` of its class, and no update changes it.",
        "an `update` that moves a membership to another crew";
    REFERENCE_NOT_FOUND = "reference-not-found",
        "A reference names a pk that no active record of an allowed class has.",
        r#"{"ship": "no-such-pk"}"#;
    REFERENCE_RESTRICTED = "reference-restricted",
        "Others depend on the record, so that it cannot be deleted; the details name them.",
        "a `delete` of a ship whose crew has `on_delete: restrict`";
    DUPLICATE_CLASS = "duplicate-class",
        "A class of this name is defined already; update that definition.",
        "a second definition of `starfleet.com/officer`";
    CLASS_NOT_FOUND = "class-not-found",
        "The request names a class that is not defined.",
        "a definition that inherits from an undefined class";
    INVALID_WORLDLET = "invalid-worldlet",
        "The worldlet is not well-formed, or a record in it breaks a rule; the details name each place by \
         JSON pointer. Nothing was imported.",
        r#"{"format": "worldlet/1.0", "records": {"a": {"bucket": []}}}"#;
    CLAIM_LOST = "claim-lost",
        "The claim has ended: it was finished or released, its lease or the connection that took it is over, \
         or its record was deleted. Claim again.",
        "a `finish` after the lease of its claim";
    CONFLICT = "conflict",
        "The record has changed since it was read, or a value is not what a `test` expects: then `retryable` \
         is true, so read it and try again. Or two records of a batch have the key of an `upsert`. Or another \
         program has changed the file of a worldlet, which was not overwritten.",
        r#"{"action": "update", "pk": "…", "bucket": {}, "if_updated_at": "2000-01-01T00:00:00.000Z"}"#;
    EDIT_REFUSED = "edit-refused",
        "An edit does not fit the value that the record has: it is of another type, an index is beyond the \
         end of an array, or a sum is out of range. The details name the edit by JSON pointer. Nothing was \
         changed.",
        r#"{"path": ["name"], "increment": 1}, where `name` is a string"#;
    STREAM_EXPIRED = "stream-expired",
        "The stream has ended: its snapshot needed more overwritten rows than the server keeps (64 MiB), or \
         a file was deleted during an export. Open it again.",
        "an export that waits while every record is written anew";
    CHANGES_EXPIRED = "changes-expired",
        "A subscription cannot resume after this change: the server does not have all changes since, because \
         they were too large or too many, nobody was subscribed for a minute, or it was started anew. Begin \
         anew, as with a snapshot.",
        r#"`{"after": 7}` after a restart of the server"#;
    ACTION_NOT_SUPPORTED = "action-not-supported",
        "The action or key exists in Q0, but not in this place: the message says where it does. Or the database \
         only takes new records, and this would change what is there.",
        r#"a batch with {"action": "commit", "transaction": "…"}"#;
    REQUEST_TOO_LARGE = "request-too-large",
        "A request or an answer is larger than one frame may be: split it, or raise the limit `frame_size`. \
         Or it has too many: requests of a batch, edits, elements that edits compare and move, or sort keys. \
         Or a select is too large to be tested for each change.",
        "a `create` with a bucket of 100 MiB";
    REDUNDANT_FIELDS = "redundant_fields",
        "A warning: two keys of the request have the same meaning.",
        r#"{"action": "select", "class": "foo.com/a", "classes": ["foo.com/b"]}"#;
    DIRECTION_AS_KEY = "direction_as_key",
        "A warning: a sort path ends with a key such as `desc`. It is a key; a direction is the qualifier \
         `reverse`.",
        r#"{"action": "select", "sort": ["rank", "desc"]}"#;
    UNUSED_PLACEHOLDER = "unused_placeholder",
        "A warning of `validate`: nothing in the request uses this placeholder.",
        r#"{"action": "select", "placeholders": {"rank": "Captain"}}"#;
    INVALID_BACKEND = "invalid-backend",
        "The backend URL names no engine; the details list those that are known.",
        r#"`Uds::new()?.backend("https://mikobase.uno/redis")`"#;
    BACKEND_IN_USE = "backend-in-use",
        "Another process has the file open for writing. Connect to its socket, or open the file when it has \
         ended.",
        "a second `miko q0 crew.db` while the first is still reading requests";
    INVALID_MODE = "invalid-mode",
        "A mode is `rw` (or `wr`) or `r`, without other characters.",
        r#"`" rw".parse::<Mode>()`"#;
    MODE_NOT_SUPPORTED = "mode-not-supported",
        "A database is not opened for writing only.",
        r#"`"w".parse::<Mode>()`"#;
    READ_ONLY_CONNECTION = "read-only-connection",
        "The database was opened for reading.",
        "a `create` on a file that was opened in mode `r`";
    SURFACE_MISMATCH = "surface-mismatch",
        "Client and server were built from interfaces that do not fit; the details name the methods that \
         differ.",
        "connecting to a server of another interface";
    UNAUTHORIZED = "unauthorized",
        "The server does not know this token, or the process has another user id than the server.",
        "connecting with a wrong token";
    TOO_MANY_CONNECTIONS = "too-many-connections",
        "The server has as many connections as its limit `connections` allows.",
        "the 1025th connection with the limit at 1024";
    DEADLINE_EXCEEDED = "deadline-exceeded",
        "The call took longer than its deadline.",
        "a call with `call_deadline` at a millisecond";
    SERVER_GONE = "server-gone",
        "The server process ended, or could not be reached.",
        "any call after the server was killed";
    TLS_FAILED = "tls-failed",
        "A client and its server could not agree on TLS, so nothing was sent; the message says why. The \
         certificate of the server has expired, is for other names, or is signed by an authority that the \
         client does not know; or the server does not speak TLS.",
        "`HttpServer::at(\"https://127.0.0.1:8080\")`, where the certificate is for `ship.example` alone";
    SESSION_GONE = "session-gone",
        "The object or stream is gone: it lived with a connection that was lost, or it was used in a fork. \
         Ask the server for another one.",
        "a call on a transaction after the server was restarted";
    SESSION_REQUIRED = "session-required",
        "What the method returns lives with a session, and the request over HTTP came without one. Open one \
         by `POST /session`, and send its id in `Mikobase-Session`.",
        r#"`POST /call/begin`, or `{"action": "transaction"}`, without a session"#;
    ROUTE_NOT_FOUND = "route-not-found",
        "The server has nothing at this path of a request over HTTP. `GET /openapi.json` lists what it has.",
        "`GET /recrods/42`";
    METHOD_NOT_ALLOWED = "method-not-allowed",
        "The path of the request over HTTP is right, and its method is not: the details have those that are.",
        "`GET /q0`";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type",
        "The body of a request over HTTP is of another type than the route takes: the details name it.",
        "`POST /q0` with `Content-Type: text/plain`";
    FOREIGN_ORIGIN = "foreign-origin",
        "The header `Host` or `Origin` of a request over TCP names another server: a web page of others may \
         have sent it.",
        "a request with `Host: evil.example` to a server on `127.0.0.1`";
    HEADERS_TOO_LARGE = "headers-too-large",
        "The head of a request over HTTP is larger than the server takes, or has too many fields.",
        "a request with a header of 100 KiB";
    CLIENT_TOO_SLOW = "client-too-slow",
        "The body of a request over HTTP did not arrive in time.",
        "a client that announces a body and sends nothing for a minute";
    RANGE_NOT_SATISFIABLE = "range-not-satisfiable",
        "The header `Range` asks for bytes beyond the end of the file; the details have its size.",
        "`Range: bytes=100-` for a file of ten bytes";
    LAGGED = "lagged",
        "Items of a feed were left out, because they were not read in time; `count` says how many. The \
         stream goes on after it.",
        "a subscriber that sleeps while thousands of changes are made";
    CANCELLED = "cancelled",
        "The caller gave the call up before its answer came.",
        "a later answer that was dropped";
    LOCK_TIMEOUT = "lock-timeout",
        "Others were inside a gate, or before this call in its queue, until the time of the call was over. \
         Nothing was changed; try again.",
        "a write while a transaction of another worker is open for too long";
    TRANSACTION_OPEN = "transaction-open",
        "A write outside of the transaction that its thread has open, which would wait for itself. Write \
         through the transaction.",
        "`db.create(…)` inside the block of `db.transaction(|tx| …)`";
    TRANSACTION_NOT_FOUND = "transaction-not-found",
        "No open transaction of this connection has the id. It ends with `commit`, `rollback` or the \
         connection that began it.",
        r#"{"action": "commit", "transaction": "an id of another connection"}"#;
    TRANSACTION_INVALIDATED = "transaction-invalidated",
        "The transaction was rolled back from outside: it was idle or open for too long, has written too \
         much, or the transaction around it was rolled back. Begin another one.",
        "a call on a transaction after a pause of ten seconds";
    TRANSACTION_EXITED = "transaction-exited",
        "The block of a transaction was left by `exit`, and all was rolled back.",
        "`db.transaction(|tx| tx.exit())`";
    PARKED = "parked",
        "The call waits for its turn at a gate, and is made again then. A method passes the error on; no \
         caller gets it.",
        "a method that enters a gate in which another call is alone";
    SERVER_USED_IN_FORK = "server-used-in-fork",
        "A `Uds` belongs to the process that made it; in a fork only `path` and `token` can be read.",
        "`uds.mikobase(…)` inside a worker of the same `Uds`";
    UDS_IN_USE = "uds-in-use",
        "One `Uds` hosts one share at a time. Make a second `Uds`, or wait until the share has ended.",
        "`uds.spawn(…)` twice";
    THREADS_RUNNING = "threads-running",
        "The process has more than one thread, and a fork copies only the calling one. Share before any \
         thread starts; in a test, write `#[mikobase::test]` for `#[test]`; or call `unsafe { \
         uds.allow_threads(true) }` if you know that no other thread holds a lock.",
        "`uds.mikobase(…)` after `std::thread::spawn`";
    INSIDE_RUNTIME = "inside-runtime",
        "Blocking code was called inside an async task. Share before the runtime starts; use the async \
         client there, or call a blocking proxy inside `spawn_blocking` or from a plain thread.",
        "`uds.mikobase(…)` in an `async fn`";
    SAVE_REJECTED = "save-rejected",
        "A hook of the server has refused to save a record, or has panicked: `hook` is its name, `pk` the \
         record, and the message its reason. All that is written together with it is rolled back.",
        "a payment of a negative amount, where `before_save` refuses those";
    SELF_CALL = "self-call",
        "A method of a server called that server, or a hook the database inside of whose write it runs: the \
         call would wait for itself. Call the implementation directly, and read in a hook by its `db`.",
        "a method of a shared interface that connects to the socket of its own share";
    OUTSIDE_RUNTIME = "outside-runtime",
        "An async client was used outside a tokio runtime. Await its calls inside one, or use the blocking \
         client.",
        "`futures::executor::block_on(client.properties())`";
    WORKER_FAILED = "worker-failed",
        "A worker of the share did not succeed; the details say which one and why.",
        "`report.all_succeeded()?` after a worker panicked";
    INTERRUPTED = "interrupted",
        "Ctrl-C was pressed: workers were ended, or the final state was being delivered. After a first \
         Ctrl-C the state is delivered nevertheless, and is in the report.",
        "Ctrl-C while the workers run";
    STORAGE_FULL = "storage-full",
        "There is no disk space for a write, or no memory for a call within the memory limit of the server. \
         Or too many objects, streams, uploads or imports are open, or calls wait. Nothing was changed.",
        "a write on a full disk";
    NOT_WRITABLE = "not-writable",
        "The operating system refuses to write a file, also the temporary one of an import: the details name \
         its path where it has one, and the message the reason. Nothing was changed.",
        "an export into a folder that is read-only";
    INTERNAL = "internal",
        "A fault of Mikobase or of an implementation: a panic, a broken invariant, an operating system \
         error.",
        "a panic inside a method of a shared interface";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_id_is_defined_once_and_explained() {
        let mut seen = HashSet::new();
        for doc in ERROR_IDS {
            assert!(seen.insert(doc.id.as_str()), "{} is defined twice", doc.id);
            assert!(doc.meaning.ends_with('.'), "{}: the meaning is a sentence", doc.id);
            assert!(!doc.example.is_empty(), "{} has an example", doc.id);
        }
    }
}
