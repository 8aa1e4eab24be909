//! The trait [`Mikobase`], which engines and proxies implement, and the trait [`Transaction`].

use std::collections::BTreeMap;

use miko_macros::mikobase_interface;
use miko_rpc::{Bytes, Error, ErrorId, Remote, Result, Stream};
use serde::{Deserialize, Serialize};

pub use crate::query::{Query, Validation};

use crate::bucket::Bucket;
use crate::change::{Change, ChangeOptions};
use crate::files::FileInfo;
use crate::objects::{Import, Upload};
use crate::record::{Record, Records};
use crate::response::{Answers, Response};
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::version::Version;
use crate::watch::ResultChange;

/// A Mikobase: a live object store.
///
/// Engines implement it, and so do proxies to a shared Mikobase, with the same answers. The attribute
/// generates the proxies. It also generates the code by which a server runs calls: those of proxies, and
/// those that name a method and have JSON arguments. So a new method has to be implemented by hand only in
/// the types of this crate that implement the trait: the engines, [`AsOf`](crate::AsOf), and the database
/// that a hook reads.
#[mikobase_interface(
    crate = crate,
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
    /// If the store could not be read; `request-too-large`, if the answer exceeds the frame limit of the
    /// server.
    #[interface(read)]
    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>>;

    /// Returns all records of the class and its subclasses, in order of creation.
    ///
    /// # Errors
    /// `invalid_request`, if `class` is not a UNS; `request-too-large`, if the answer exceeds the frame limit
    /// of the server.
    #[interface(read)]
    fn by_class(&self, class: &str) -> Result<Records>;

    /// Returns the records with these pks, in the same order: `None` for a record that does not exist or was
    /// deleted. Equals a call of [`record_by_pk`](Self::record_by_pk) for each pk, but all records show one
    /// state of the database.
    ///
    /// # Errors
    /// `request-too-large` for more than [`MAX_BATCH_REQUESTS`](crate::MAX_BATCH_REQUESTS) pks, or if the
    /// answer exceeds the frame limit of the server.
    #[interface(read)]
    fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>>;

    /// Creates a record of the class from each bucket, all or none. Returns their pks in the same order.
    /// [`create_all`](crate::MikobaseExt::create_all) does the same with your own types.
    ///
    /// # Errors
    /// As an atomic [`batch`](Self::batch) with a request per bucket: the error of the first bucket that is
    /// refused, with its index as detail `request`. Nothing is changed then.
    fn create_many(&self, class: &str, buckets: Vec<Bucket>) -> Result<Vec<String>>;

    /// Creates a record of the class, and returns its pk. It does what Q0's `create` does with a `class` and
    /// a `bucket`, and takes less time. [`create`](crate::MikobaseExt::create) does the same with your own
    /// types.
    ///
    /// # Errors
    /// The errors of Q0's `create`.
    fn create_one(&self, class: &str, bucket: Bucket) -> Result<String>;

    /// Replaces the bucket of a record, and returns its new `updated_at`. It does what Q0's `update` does
    /// with a `bucket`, and takes less time. [`update`](crate::MikobaseExt::update) does the same with your
    /// own types.
    ///
    /// # Errors
    /// The errors of Q0's `update`.
    fn update_one(&self, pk: &str, bucket: Bucket) -> Result<Timestamp>;

    /// Edits the bucket of a record: all edits, or none. Each is an object with a `path` and one operation,
    /// as in the action `edit` of Q0. [`hot`](crate::MikobaseExt::hot) makes single edits;
    /// [`Edits`](crate::q0::Edits) builds lists.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("a.b/queue", &json!({"jobs": ["x", "y"]}))?;
    /// let take = json!({"path": ["jobs"], "shift": true});
    /// let count = json!({"path": ["taken"], "increment": 1});
    /// assert_eq!(db.edit(&pk, vec![take, count])?.values, ["x".into(), json!(1)]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// `record_not_found`, `record_deleted`; `conflict` for a `test` that fails; `edit-refused` for an edit
    /// that does not fit the bucket; every fault of the list, or of the edited record; `request-too-large`,
    /// if the values of the edits exceed the frame limit of the server, or the edits compare and move too
    /// many elements. Nothing is changed then.
    fn edit(&self, pk: &str, edits: Vec<Edit>) -> Result<Edited>;

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
    /// `not-temporal`; `record_not_found`; `request-too-large`, if the answer exceeds the frame limit of the
    /// server.
    #[interface(read)]
    fn history(&self, pk: &str) -> Result<Vec<Version>>;

    /// Defines classes, all or none: missing ones are created, different ones updated, equal ones left
    /// unchanged. Other classes are not affected. Callers may import concurrently.
    ///
    /// # Errors
    /// Every fault of every definition, with its JSON pointer; `class-not-found` for a parent that is not
    /// defined; `unique-violation`, if stored records violate a new unique constraint; other errors of a
    /// write.
    #[interface(idempotent)]
    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges>;

    /// Returns all class definitions in order of creation: `{"classes": {name: definition}}`.
    ///
    /// # Errors
    /// Only if the store could not be read, or `request-too-large`, if the answer exceeds the frame limit of
    /// the server.
    #[interface(read)]
    fn export_schema(&self) -> Result<Schema>;

    /// Adds the versions of another database's worldlet (`history`), all or none. A version that exists with
    /// equal content is skipped. If one exists with other content, nothing is merged, and that version is
    /// listed as rejected, with the reason. The content of versions is not validated, except that of class
    /// definitions: it was valid where it was written.
    ///
    /// # Errors
    /// `not-temporal`; `invalid-worldlet`, an item per fault with its JSON pointer; other errors of a write.
    #[interface(idempotent)]
    fn merge(&self, worldlet: Delta) -> Result<Merged>;

    /// Begins a file of a media type such as `image/png`, whose content follows in pieces. The file does not
    /// exist until it is finished. [`put_file`](crate::MikobaseExt::put_file) performs all steps.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, also if too many uploads and imports are open.
    fn write_file(&self, mime: &str) -> Result<Remote<dyn Upload>>;

    /// The content of a file, in pieces of at most [`MAX_PIECE_SIZE`](crate::MAX_PIECE_SIZE).
    /// [`file`](crate::MikobaseExt::file) reads it and checks its SHA-256.
    ///
    /// # Errors
    /// `file-not-found`. The stream ends with this error if the file is deleted while it is read.
    #[interface(read)]
    fn read_file(&self, pk: &str) -> Result<Stream<Bytes>>;

    /// Returns the metadata of a file.
    ///
    /// # Errors
    /// `file-not-found`.
    #[interface(read)]
    fn file_info(&self, pk: &str) -> Result<FileInfo>;

    /// Deletes a file.
    ///
    /// # Errors
    /// `file-not-found`; `reference-restricted`, if a field of class `puck.uno/dbfile` references it;
    /// `action-not-supported` in an append-only database; other errors of a write.
    fn delete_file(&self, pk: &str) -> Result<()>;

    /// Deletes each complete file that no record and no version names: none has the pk of the file as a
    /// string value, at any depth of its bucket, stack or extras. Returns the pks of the deleted files.
    ///
    /// # Errors
    /// The errors of a write, such as `read-only-connection`; `action-not-supported` in an append-only
    /// database.
    fn collect_files(&self) -> Result<Vec<String>>;

    /// The records that a select finds, in any number. They show the state at the time of this call: later
    /// writes have no effect. [`iter`](crate::MikobaseExt::iter) also accepts a
    /// [`Select`](crate::q0::Select).
    ///
    /// While the stream is open, the server holds the order of the records, and the old content of records
    /// that are overwritten.
    ///
    /// # Errors
    /// Every fault of the select at once; `invalid_request` for a select with `history`; `storage-full`, if
    /// too many streams are open. The stream ends with `stream-expired`, if too much is overwritten while it
    /// is open.
    #[interface(read)]
    fn select_stream(&self, query: Query) -> Result<Stream<Record>>;

    /// The whole state at the time of this call, as the text of a worldlet, in pieces of at most 64 KiB.
    /// Later writes have no effect. [`export_worldlet`](crate::MikobaseExt::export_worldlet) writes it.
    ///
    /// # Errors
    /// `storage-full`, if too many streams are open. The stream ends with `stream-expired`, if too much is
    /// overwritten or a file is deleted while it is open.
    #[interface(read)]
    fn export(&self) -> Result<Stream<Bytes>>;

    /// Begins an import, whose text follows in pieces. With `trust`, violations of the rules of classes
    /// become warnings. [`import_worldlet`](crate::MikobaseExt::import_worldlet) performs all steps.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, if too many uploads and imports are open; `not-writable`, if
    /// the server cannot keep the text in a temporary file.
    fn import(&self, trust: bool) -> Result<Remote<dyn Import>>;

    /// Returns the properties of this database.
    ///
    /// # Errors
    /// Only if the store could not be read.
    #[interface(read)]
    fn properties(&self) -> Result<Properties>;

    /// The changes of records from now on, in the order of the commits. The changes of a transaction are
    /// delivered together after its commit; changes that are rolled back are not delivered. The caller's own
    /// changes are delivered, too. [`listen`](crate::MikobaseExt::listen) and
    /// [`after_save`](crate::MikobaseExt::after_save) do the same without options.
    ///
    /// A reader that is too slow gets the error `lagged` in place of the oldest changes, with their number,
    /// and the stream continues. A transaction that exceeds the queue of a reader is replaced by one such
    /// error, whose number may count changes that do not match the target. A stream that resumes ends with
    /// `changes-expired`, if the server discards missed changes before they are read.
    ///
    /// # Errors
    /// Every fault of the target; `request-too-large`, if the target is too large to be tested for each
    /// change; `changes-expired`, if the server does not have all changes since
    /// [`after`](ChangeOptions::after); `invalid_request` in a transaction, and for `after` together with
    /// [`snapshot`](ChangeOptions::snapshot); `read-only-connection`; `storage-full`, if too many
    /// subscriptions or streams are open. With a snapshot the stream ends with `stream-expired`, if too much
    /// is overwritten while the snapshot is read.
    #[interface(read)]
    fn changes(&self, target: Target, options: ChangeOptions) -> Result<Stream<Change>>;

    /// The result of a select, and its changes from now on. [`watch`](crate::MikobaseExt::watch) keeps the
    /// result up to date with them.
    ///
    /// The stream begins with the records of the result in their order (`present`), and `synced`. After that,
    /// each commit that changes the result adds a step: the changes that turn the result before the commit
    /// into the result after it. The last change of a step has `last` set.
    ///
    /// Steps are computed when they are read, so a slow reader delays no write and no other reader. If the
    /// server does not have the single commits any more, one step has the changes of several commits.
    ///
    /// # Errors
    /// Every fault of the select at once; `request-too-large`, if the select is too large to be tested for
    /// each change; `invalid_request` for a select with `history` or `cutoff`, and in a transaction;
    /// `read-only-connection`; `storage-full`, if too many subscriptions or streams are open, or the result
    /// is too large. The stream ends with `storage-full` if the result has become too large, with
    /// `stream-expired` if too much is overwritten while the first records are read, and with `self-call` if
    /// a hook of the database reads the stream.
    #[interface(read)]
    fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>>;

    /// Begins a transaction. On a transaction, begins a nested one: from the first call of the nested
    /// transaction until its end, writes through the outer one are refused. A transaction waits for its turn
    /// to write at its first call. [`transaction`](crate::MikobaseExt::transaction) runs a block in a
    /// transaction.
    ///
    /// # Errors
    /// `read-only-connection`; `storage-full`, if there are too many transactions. On a proxy, such as that
    /// of a worker, `begin` does not return these errors: the transaction begins with its first call, which
    /// returns them.
    #[interface(lazy)]
    fn begin(&self) -> Result<Remote<dyn Transaction>>;
}

/// A transaction: a Mikobase whose writes take effect together, when it is committed, or not at all. No other
/// caller sees them before. Dropping it rolls back what is not committed, as does the end of the process or
/// connection that began it.
///
/// The first call waits until it is the turn of the transaction to write; from then on no other caller writes
/// until the transaction ends. Files, imports of worldlets, merges, subscriptions and live queries are no
/// part of a transaction: their methods are refused with `invalid_request`, except the reading of files.
///
/// ```
/// use miko_core::{Mikobase, MikobaseExt, SqliteEngine, Transaction};
/// use serde_json::json;
///
/// let db = SqliteEngine::in_memory()?;
/// let account = |balance: i64| db.create("bank.com/account", &json!({"balance": balance}));
/// let (from, to) = (account(100)?, account(0)?);
///
/// let tx = db.begin()?;
/// tx.increment(&from, ["balance"], -30)?;
/// tx.increment(&to, ["balance"], 30)?;
/// assert_eq!(db.hot(&to).get(["balance"])?, Some(json!(0)));
/// tx.commit()?;
/// assert_eq!(db.hot(&to).get(["balance"])?, Some(json!(30)));
/// # Ok::<(), miko_core::Error>(())
/// ```
///
/// # Errors
/// If the transaction was rolled back without a request of its owner, for example because it was idle for too
/// long ([`TransactionLimits`](crate::TransactionLimits)), calls fail with `transaction-invalidated` until
/// [`roll_back`](Self::roll_back) is called. A call fails with `lock-timeout`, if the turn to write did not
/// come in time.
#[mikobase_interface(crate = crate, schema(feature = "schema"))]
pub trait Transaction: Mikobase {
    /// Commits the writes, including those of nested transactions that are open. The next call begins another
    /// transaction. The commit of a nested transaction makes its writes a part of the transaction around it.
    ///
    /// # Errors
    /// If the changes could not be stored: all are rolled back, and the next call begins another transaction.
    /// `transaction-invalidated`, if the transaction was invalidated before; its calls have this error until
    /// [`roll_back`](Self::roll_back) is called.
    #[interface(settles)]
    fn commit(&self) -> Result<()>;

    /// Rolls back what is not committed. The next call begins another transaction.
    ///
    /// # Errors
    /// `self-call`, in a hook of the database. No others are known.
    #[interface(settles)]
    fn roll_back(&self) -> Result<()>;

    /// Returns an error, with which `?` leaves all blocks up to the outermost
    /// [`transaction`](crate::MikobaseExt::transaction). That transaction is rolled back as a whole.
    ///
    /// # Errors
    /// Always `transaction-exited`.
    #[interface(local)]
    fn exit(&self) -> Result<()> {
        Err(Error::new(ErrorId::TRANSACTION_EXITED, "the block was left by `exit`"))
    }
}

/// An edit as a JSON object, such as `{"path": ["count"], "increment": 1}`.
pub type Edit = serde_json::Value;

/// The result of [`Mikobase::edit`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Edited {
    /// The new `updated_at` of the record.
    pub updated_at: Timestamp,
    /// A value for each edit, as [`Results::Edited`](crate::Results::Edited) has them.
    #[serde(deserialize_with = "crate::json::reader::values")]
    pub values: Vec<serde_json::Value>,
}

/// All class definitions as one JSON object, `{"classes": {name: definition}}`.
pub type Schema = serde_json::Value;

/// A worldlet with versions, `{"history": {…}}`, as one JSON object.
pub type Delta = serde_json::Value;

/// The result of [`Mikobase::merge`]: the instance pks of the versions, by outcome.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Merged {
    /// Versions that were added; empty if any version is rejected.
    pub accepted: Vec<String>,
    /// Versions that existed with the same content.
    pub skipped: Vec<String>,
    /// Versions that contradict an existing one.
    pub rejected: Vec<String>,
    /// The reason of each rejection, by instance pk.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, String>,
}

/// The result of [`Mikobase::import_schema`]: the names of the classes, by outcome.
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
    /// Whether the database keeps every version of a record.
    pub temporal: bool,
    /// Advisory: whether programs may execute code that the database contains.
    pub executable: bool,
    /// The backend URL of the engine, without protocol and parameters, such as `mikobase.uno/sqlite/memory`.
    pub engine: String,
    /// The version of the software that runs the engine.
    pub version: String,
}
