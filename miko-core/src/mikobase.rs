//! The trait [`Mikobase`], which engines and proxies implement.

use std::collections::BTreeMap;

use miko_macros::mikobase_interface;
use miko_rpc::{Bytes, Result};
use serde::{Deserialize, Serialize};

pub use crate::query::{Query, Validation};

use crate::files::{FileInfo, Piece, Position};
use crate::record::{Record, Records};
use crate::response::{Answers, Response};
use crate::streams::{Chunk, Source};
use crate::version::Version;
use crate::worldlet::Imported;

/// A Mikobase: a live object store.
///
/// An engine and a proxy to a shared one both implement it and give the same answers. The attribute generates
/// the service, the proxy and the JSON dispatch from these signatures, so a new method only has to be
/// implemented by the engines.
#[mikobase_interface(
    crate = crate,
    cfg(feature = "rpc"),
    surface = "schema/mikobase.surface.json",
    schema(feature = "schema")
)]
pub trait Mikobase: Send + Sync {
    /// Runs one Q0 request.
    ///
    /// # Errors
    /// Every fault of the request at once, or the reason why its action failed. Nothing is changed then.
    fn q0(&self, query: Query) -> Result<Response>;

    /// Checks one Q0 request without running it.
    ///
    /// # Errors
    /// Only if the check itself failed: the faults of the request are in the [`Validation`].
    #[interface(read)]
    fn validate(&self, query: Query) -> Result<Validation>;

    /// Returns the record with this pk, or `None` if it does not exist or was deleted.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>>;

    /// Returns all records of the class and its subclasses, in order of creation.
    ///
    /// # Errors
    /// `invalid_request`, if `class` is not a UNS.
    #[interface(read)]
    fn by_class(&self, class: &str) -> Result<Records>;

    /// Runs many requests in one call: independently, or all or none if `atomic`.
    ///
    /// # Errors
    /// `request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests; none is
    /// run then. `request-too-large` also if the answers exceed the frame limit of the server: nothing is
    /// changed if `atomic`, otherwise the detail `run` counts the requests that have run.
    ///
    /// If `atomic`, the error of the first request that failed, with its index as detail `request`. Nothing
    /// is changed then.
    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers>;

    /// Returns all versions of a record in order of time, in a temporal database. The last version of a
    /// deleted record is a tombstone.
    ///
    /// # Errors
    /// `not-temporal`; `record_not_found`.
    #[interface(read)]
    fn history(&self, pk: &str) -> Result<Vec<Version>>;

    /// Defines classes, all or none: missing ones are created, different ones updated, equal ones left
    /// unchanged. Other classes are not affected. Callers may import concurrently.
    ///
    /// # Errors
    /// Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
    /// defined; `unique-violation`, if stored records violate a new unique constraint.
    #[interface(idempotent)]
    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges>;

    /// Returns all class definitions in order of creation: `{"classes": {name: definition}}`.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn export_schema(&self) -> Result<Schema>;

    /// Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
    /// equal content is skipped. If one exists with other content, nothing is merged, and that version is
    /// listed as rejected, with the reason. The content of versions is not validated: it was valid where it
    /// was written.
    ///
    /// # Errors
    /// `not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.
    #[interface(idempotent)]
    fn merge(&self, worldlet: Delta) -> Result<Merged>;

    /// Begins a file of a media type such as `image/png` and returns its future pk. The file does not exist
    /// until its chunks were written and it was ended. [`put_file`](crate::MikobaseExt::put_file) performs
    /// all these steps.
    ///
    /// # Errors
    /// Only if the store could not be written.
    fn begin_file(&self, mime: &str) -> Result<String>;

    /// Writes the next chunk of a file that was begun, counted from 0. The last chunk may be repeated.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written; `invalid_request`, if the chunk is out of order,
    /// empty or larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).
    #[interface(idempotent)]
    fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()>;

    /// Ends a file that was begun: from now on it exists and never changes. Returns the pk of the file with
    /// this content, which differs from `file` if a file with the same content existed before.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written.
    #[interface(idempotent)]
    fn end_file(&self, file: &str) -> Result<String>;

    /// Discards a file that was begun but not ended.
    ///
    /// # Errors
    /// Only if the store could not be written.
    #[interface(idempotent)]
    fn cancel_file(&self, file: &str) -> Result<()>;

    /// Returns the metadata of a file.
    ///
    /// # Errors
    /// `file-not-found`.
    #[interface(read)]
    fn file_info(&self, pk: &str) -> Result<FileInfo>;

    /// Returns a piece of a file and the position of the next one. [`file`](crate::MikobaseExt::file) reads
    /// all of them.
    ///
    /// # Errors
    /// `file-not-found`; `invalid_request`, if the position is outside the file.
    #[interface(read)]
    fn file_piece(&self, pk: &str, at: Position) -> Result<Piece>;

    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it.
    fn delete_file(&self, pk: &str) -> Result<()>;

    /// Deletes the files whose pk occurs in no record and in no version. Returns their pks.
    ///
    /// # Errors
    /// Only if the store could not be read or written.
    fn collect_files(&self) -> Result<Vec<String>>;

    /// Opens a stream of the current state and returns its name. [`iter`](crate::MikobaseExt::iter) and
    /// [`export_worldlet`](crate::MikobaseExt::export_worldlet) open, read and close a stream.
    ///
    /// # Errors
    /// Every fault of the select at once.
    #[interface(idempotent)]
    fn open_stream(&self, source: Source) -> Result<String>;

    /// Returns the next chunk of a stream, counted from 0. The last chunk may be requested again.
    ///
    /// # Errors
    /// `stream-expired`, if the stream no longer exists; `invalid_request`, if the chunk is out of order.
    #[interface(idempotent)]
    fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk>;

    /// Closes a stream, if it is open.
    ///
    /// # Errors
    /// None of its own.
    #[interface(idempotent)]
    fn close_stream(&self, stream: &str) -> Result<()>;

    /// Begins an import, whose text follows in pieces, and returns its name.
    /// [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.
    ///
    /// # Errors
    /// Only if the text cannot be stored.
    #[interface(idempotent)]
    fn begin_import(&self) -> Result<String>;

    /// Sends the next piece of the worldlet, counted from 0. The last piece may be repeated.
    ///
    /// # Errors
    /// `stream-expired`, if the import no longer exists; `invalid_request`, if the piece is out of order or
    /// larger than [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE); `storage-full`.
    #[interface(idempotent)]
    fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()>;

    /// Imports the worldlet that was sent, all or none. With `trust`, validation faults become warnings.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if the import no longer
    /// exists.
    #[interface(deadline = "24h")]
    fn end_import(&self, import: &str, trust: bool) -> Result<Imported>;

    /// Discards the text of an import.
    ///
    /// # Errors
    /// None of its own.
    #[interface(idempotent)]
    fn cancel_import(&self, import: &str) -> Result<()>;

    /// Returns the properties of this database.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn properties(&self) -> Result<Properties>;
}

/// All class definitions as one JSON object, `{"classes": {name: definition}}`.
pub type Schema = serde_json::Value;

/// A worldlet with versions, `{"history": {…}}`, as one JSON object.
pub type Delta = serde_json::Value;

/// The result of [`Mikobase::merge`], by the pks of versions.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Merged {
    /// Versions that were added; none, if any is rejected.
    pub accepted: Vec<String>,
    /// Versions that existed with the same content.
    pub skipped: Vec<String>,
    /// Versions that contradict an existing one.
    pub rejected: Vec<String>,
    /// The reason of each rejection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
}

/// The result of [`Mikobase::import_schema`], by class name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SchemaChanges {
    /// Classes that were not defined before.
    pub created: Vec<String>,
    /// Classes whose definition was different.
    pub updated: Vec<String>,
    /// Classes whose definition was equal.
    pub unchanged: Vec<String>,
}

/// The properties of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Properties {
    /// Whether it keeps every version of a record.
    pub temporal: bool,
    /// Advisory: whether programs may execute code that the database contains.
    pub executable: bool,
    /// The backend URL of the engine, without its protocol: `mikobase.uno/sqlite/memory`.
    pub engine: String,
    /// The version of the software that runs the engine.
    pub version: String,
}
