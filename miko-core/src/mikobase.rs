//! The trait that everything follows.

use std::collections::BTreeMap;

use miko_macros::mikobase_interface;
use serde::{Deserialize, Serialize};

pub use crate::query::{Query, Validation};

use crate::bytes::Bytes;
use crate::error::Result;
use crate::files::{FileInfo, Piece, Position};
use crate::record::{Record, Records};
use crate::response::{Answers, Response};
use crate::streams::{Chunk, Source};
use crate::version::Version;
use crate::worldlet::Imported;

/// A Mikobase: a live object store.
///
/// An engine and a proxy to a shared one both implement it and give the same answers. The attribute makes the
/// service, the proxy and the JSON dispatch from these signatures: a method added here exists everywhere as
/// soon as the engines implement it.
#[mikobase_interface(
    crate = crate,
    cfg(feature = "rpc"),
    surface = "../schema/mikobase.surface.json"
)]
pub trait Mikobase: Send + Sync {
    /// Runs one Q0 request.
    ///
    /// # Errors
    /// Every fault of the request at once, or why its action could not be done. Nothing was changed then.
    fn q0(&self, query: Query) -> Result<Response>;

    /// Checks one Q0 request without running it.
    ///
    /// # Errors
    /// Only if the check itself could not be made: what is wrong with the request is in the [`Validation`].
    #[interface(read)]
    fn validate(&self, query: Query) -> Result<Validation>;

    /// The record stored under `pk`, or `None` if there is none or it was deleted.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>>;

    /// All records of the class and its subclasses, in order of creation.
    ///
    /// # Errors
    /// `invalid_request`, if `class` is no UNS.
    #[interface(read)]
    fn by_class(&self, class: &str) -> Result<Records>;

    /// Runs many requests in one call: each for itself, or all or none if `atomic`.
    ///
    /// # Errors
    /// `request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) requests, of which none is run.
    /// `request-too-large` also if the answers have more bytes than the server sends at once: nothing was changed if
    /// `atomic`, otherwise the detail `run` says how many requests were run.
    ///
    /// If `atomic`, the error of the first request that failed, with its index as detail `request`; nothing was
    /// changed then.
    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers>;

    /// All versions of a record in order of time, in a temporal database. The last of a deleted record is a tombstone.
    ///
    /// # Errors
    /// `not-temporal`; `record_not_found`.
    #[interface(read)]
    fn history(&self, pk: &str) -> Result<Vec<Version>>;

    /// Defines classes: those that are missing are created, those that differ are updated, equal ones left alone, all or
    /// none. Classes that are not named stay. Any number of callers may do it at once.
    ///
    /// # Errors
    /// Every fault of every definition, by JSON pointer; `class-not-found` for a parent that is not defined;
    /// `unique-violation` if stored records break what is to be unique.
    #[interface(idempotent)]
    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges>;

    /// All class definitions: `{"classes": {name: definition}}`, in order of creation.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn export_schema(&self) -> Result<Schema>;

    /// Adds the versions of a worldlet (`history`) that another database has made, all or none. One that is there with the
    /// same content is skipped. If one is there with other content, nothing is merged, and it is listed as rejected, with the
    /// reason. Versions are taken as they are: they were valid where they were written.
    ///
    /// # Errors
    /// `not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer.
    #[interface(idempotent)]
    fn merge(&self, worldlet: Delta) -> Result<Merged>;

    /// Begins a file of a media type such as `image/png`, and gives the pk that it will have. Its chunks follow, then its end;
    /// before that it does not exist. [`put_file`](crate::MikobaseExt::put_file) does all of it.
    ///
    /// # Errors
    /// Only if the store could not be written.
    fn begin_file(&self, mime: &str) -> Result<String>;

    /// Writes the next chunk of a file that was begun, counted from 0. The last one may be written again.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written; `invalid_request`, if it is not the turn of this chunk, or it has more
    /// than [`MOST_BYTES`](crate::MOST_BYTES) or none.
    #[interface(idempotent)]
    fn put_chunk(&self, file: &str, index: u64, data: Bytes) -> Result<()>;

    /// Ends a file that was begun: it exists from now on, and never changes. Gives the pk of the file with this content, which is
    /// another if that was there before.
    ///
    /// # Errors
    /// `file-not-found`, if no such file is being written.
    #[interface(idempotent)]
    fn end_file(&self, file: &str) -> Result<String>;

    /// Forgets a file that was begun, if it has not ended.
    ///
    /// # Errors
    /// Only if the store could not be written.
    #[interface(idempotent)]
    fn cancel_file(&self, file: &str) -> Result<()>;

    /// What is known of a file.
    ///
    /// # Errors
    /// `file-not-found`.
    #[interface(read)]
    fn file_info(&self, pk: &str) -> Result<FileInfo>;

    /// A piece of a file, and where the next one begins. [`file`](crate::MikobaseExt::file) reads all of them.
    ///
    /// # Errors
    /// `file-not-found`; `invalid_request`, if the file has no such place.
    #[interface(read)]
    fn file_piece(&self, pk: &str, at: Position) -> Result<Piece>;

    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` names it.
    fn delete_file(&self, pk: &str) -> Result<()>;

    /// Deletes the files whose pks stand in no record, and in no version of one. Gives their pks.
    ///
    /// # Errors
    /// Only if the store could not be read or written.
    fn collect_files(&self) -> Result<Vec<String>>;

    /// Opens a stream of what there is now, and gives its name. [`iter`](crate::MikobaseExt::iter) and
    /// [`export_worldlet`](crate::MikobaseExt::export_worldlet) do all that is to be done with it.
    ///
    /// # Errors
    /// Every fault of a select at once.
    #[interface(idempotent)]
    fn open_stream(&self, source: Source) -> Result<String>;

    /// The next chunk of a stream, counted from 0. The last one may be asked for again.
    ///
    /// # Errors
    /// `stream-expired`, if there is no such stream any more; `invalid_request`, if it is not the turn of this chunk.
    #[interface(idempotent)]
    fn next_chunk(&self, stream: &str, index: u64) -> Result<Chunk>;

    /// Closes a stream, if it is open.
    ///
    /// # Errors
    /// None of its own.
    #[interface(idempotent)]
    fn close_stream(&self, stream: &str) -> Result<()>;

    /// Begins an import, whose text follows piece by piece, and gives its name.
    /// [`import_worldlet`](crate::MikobaseExt::import_worldlet) does all of it.
    ///
    /// # Errors
    /// Only if there is no place for the text.
    #[interface(idempotent)]
    fn begin_import(&self) -> Result<String>;

    /// Sends the next piece of the worldlet, counted from 0. The last one may be sent again.
    ///
    /// # Errors
    /// `stream-expired`, if there is no such import any more; `invalid_request`, if it is not the turn of this piece, or it has more than
    /// [`MOST_BYTES`](crate::MOST_BYTES); `storage-full`.
    #[interface(idempotent)]
    fn put_import(&self, import: &str, index: u64, text: Bytes) -> Result<()>;

    /// Imports the worldlet that was sent, all or nothing. With `trust`, what validation finds becomes a warning.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; `stream-expired`, if there is no such import any more.
    #[interface(deadline = "24h")]
    fn end_import(&self, import: &str, trust: bool) -> Result<Imported>;

    /// Forgets the text of an import.
    ///
    /// # Errors
    /// None of its own.
    #[interface(idempotent)]
    fn cancel_import(&self, import: &str) -> Result<()>;

    /// What kind of database this is.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn properties(&self) -> Result<Properties>;
}

/// All class definitions as one JSON object, `{"classes": {name: definition}}`.
pub type Schema = serde_json::Value;

/// A worldlet of versions, `{"history": {…}}`, as one JSON object.
pub type Delta = serde_json::Value;

/// What [`Mikobase::merge`] did, by the pks of versions.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Merged {
    /// Versions that were added: none, if any is rejected.
    pub accepted: Vec<String>,
    /// Versions that were there with the same content.
    pub skipped: Vec<String>,
    /// Versions that contradict one that is there.
    pub rejected: Vec<String>,
    /// Why each of these was rejected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
}

/// What [`Mikobase::import_schema`] did, by class name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SchemaChanges {
    /// Classes that were not defined before.
    pub created: Vec<String>,
    /// Classes whose definition was another.
    pub updated: Vec<String>,
    /// Classes that were defined in this way already.
    pub unchanged: Vec<String>,
}

/// What kind of database this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Does it keep every version of a record?
    pub temporal: bool,
    /// Advisory: may code in it be run by those who can?
    pub executable: bool,
    /// The backend URL of the engine, without protocol: `mikobase.uno/sqlite/memory`.
    pub engine: String,
    /// The version of the software that holds it.
    pub version: String,
}
