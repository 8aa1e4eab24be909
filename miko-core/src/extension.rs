//! Convenience methods of every Mikobase: common requests without JSON.

use std::io::{Read, Write};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Remote, Result, Stream};
use serde::Serialize;
use serde_json::{Value, json};

use crate::after_save::AfterSave;
use crate::as_of::AsOf;
use crate::bucket::{Bucket, bucket_object};
use crate::change::{Change, ChangeOptions};
use crate::claim::Claim;
use crate::diagnostics::{Place, abbreviate};
use crate::hot::HotRecord;
use crate::json;
use crate::mikobase::{Mikobase, Query, Transaction};
use crate::q0::Step;
use crate::record::{Record, Records};
use crate::response::Results;
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::transaction_block::TransactionBlock;
use crate::transfer::{self, FileReader};
use crate::watch::LiveQuery;
use crate::worldlet::Imported;

/// The result of [`MikobaseExt::upsert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upserted {
    /// The pk of the record.
    pub pk: String,
    /// Whether the record was created.
    pub created: bool,
}

/// The maximal number of times that [`MikobaseExt::transact`] runs its block.
pub const MAX_ATTEMPTS: usize = 10;

/// Common requests with your own types, on an engine or a proxy.
///
/// ```
/// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Officer {
///     name: String,
///     rank: String,
/// }
///
/// let db = SqliteEngine::in_memory()?;
/// let spock = Officer { name: "Spock".into(), rank: "Commander".into() };
/// let pk = db.create("starfleet.com/officer", &spock)?;
/// assert_eq!(db.record_by_pk(&pk)?.unwrap().bucket_as::<Officer>()?, spock);
///
/// db.update(&pk, &Officer { rank: "Captain".into(), ..spock })?;
/// let captains = serde_json::json!({"class": "starfleet.com/officer", "path": ["rank", "Captain"]});
/// assert_eq!(db.count(captains)?, 1);
/// db.delete(&pk)?;
/// # Ok::<(), miko_core::Error>(())
/// ```
pub trait MikobaseExt: Mikobase {
    /// Creates a record of `class` and returns its pk. The bucket is any value that serializes as a JSON
    /// object.
    ///
    /// # Errors
    /// The errors of [`Bucket::of`] and of Q0's `create`.
    fn create(&self, class: &str, bucket: &(impl Serialize + ?Sized)) -> Result<String> {
        self.create_one(class, Bucket::unchecked(bucket)?)
    }

    /// Creates a record of `class` from each bucket, all or none, and returns their pks in the same order.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let crew = [json!({"name": "Spock"}), json!({"name": "Kirk"})];
    /// let pks = db.create_all("starfleet.com/officer", &crew)?;
    /// let records = db.records_by_pks(pks)?;
    /// assert_eq!(records[1].as_ref().unwrap().bucket.get("name")?, Some(json!("Kirk")));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create); the detail `request` is the index of the bucket. A bucket that does not
    /// serialize is reported before a bucket that the database refuses.
    fn create_all(&self, class: &str, buckets: &[impl Serialize]) -> Result<Vec<String>> {
        let to_bucket = |(index, bucket)| {
            Bucket::unchecked(bucket).map_err(|error: Error| error.with_all("request", index))
        };
        self.create_many(class, buckets.iter().enumerate().map(to_bucket).collect::<Result<_>>()?)
    }

    /// Replaces the bucket of a record.
    ///
    /// # Errors
    /// The errors of [`Bucket::of`]; those of Q0's `update`, such as `record_not_found` and `record_deleted`.
    fn update(&self, pk: &str, bucket: &(impl Serialize + ?Sized)) -> Result<()> {
        self.update_one(pk, Bucket::unchecked(bucket)?).map(drop)
    }

    /// Merges an object into the bucket of a record (RFC 7396): null removes a member, an object is merged
    /// into an object, and members that `patch` does not name stay.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("starfleet.com/officer", &json!({"name": "Kirk", "rank": "Commander"}))?;
    /// db.patch(&pk, &json!({"rank": "Captain"}))?;
    /// assert_eq!(db.record_by_pk(&pk)?.unwrap().bucket.as_str(), r#"{"name":"Kirk","rank":"Captain"}"#);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`update`](Self::update).
    fn patch(&self, pk: &str, patch: &(impl Serialize + ?Sized)) -> Result<()> {
        let bucket = bucket_object(patch)?;
        self.q0(json!({"action": "patch", "pk": pk, "bucket": bucket})).map(drop)
    }

    /// Finds the record of `class` that has `key`, and merges `bucket` into it, as [`patch`](Self::patch). If
    /// no record has the key, creates one from `key` and `bucket`. `key` is an object: the value of a unique
    /// field, or the values of fields that are unique together. If several callers upsert the same key at
    /// once, one of them creates the record.
    ///
    /// ```
    /// use miko_core::{Mikobase, MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let word = json!({"fields": {"word": {"class": "string", "unique": true}}, "misc_fields": true});
    /// db.import_schema(json!({"classes": {"a.b/word": word}}))?;
    /// let key = json!({"word": "engage"});
    /// let first = db.upsert("a.b/word", &key, &json!({"language": "fr"}))?;
    /// let second = db.upsert("a.b/word", &key, &json!({"language": "en"}))?;
    /// assert!(first.created && !second.created && first.pk == second.pk);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`patch`](Self::patch); `class-not-found` for a class that is not
    /// defined; `invalid_request`, if the fields of the key are not unique, the key has a null, or `bucket`
    /// has another value in a field of the key; `unique-violation`, if a record has the key only in the own
    /// bucket of a platter, or as a record of another class that shares the constraint: an ancestor of
    /// `class`, or another subclass of an ancestor.
    fn upsert(
        &self,
        class: &str,
        key: &(impl Serialize + ?Sized),
        bucket: &(impl Serialize + ?Sized),
    ) -> Result<Upserted> {
        let (key, bucket) = (bucket_object(key)?, bucket_object(bucket)?);
        let upsert = json!({"action": "upsert", "class": class, "key": key, "bucket": bucket});
        match self.q0(upsert)?.results {
            Results::Upserted { pk, created, .. } => Ok(Upserted { pk, created }),
            _ => Err(Error::new(ErrorId::INTERNAL, "the results of an upsert are those of another action")),
        }
    }

    /// Adds `by` to the number at `path` in a record, and returns the sum. An absent value counts as 0. If
    /// several callers increment a number at once, no increment is lost.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("a.b/counter", &json!({}))?;
    /// db.increment(&pk, ["count"], 3)?;
    /// assert_eq!(db.increment(&pk, ["count"], 4)?, 7);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`edit`](Mikobase::edit).
    fn increment<S: Into<Step>>(
        &self,
        pk: &str,
        path: impl IntoIterator<Item = S>,
        by: impl Into<Value>,
    ) -> Result<Value> {
        self.hot(pk).increment(path, by)
    }

    /// The record with this pk, live: each read and each change of its values is one call, which is atomic.
    /// Whether the record exists is checked by these calls, not by `hot`.
    fn hot(&self, pk: &str) -> HotRecord<'_, Self> {
        HotRecord::new(self, pk)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// The errors of Q0's `delete`, such as `record_not_found`, `record_deleted` and `reference-restricted`.
    fn delete(&self, pk: &str) -> Result<()> {
        self.q0(json!({"action": "delete", "pk": pk})).map(drop)
    }

    /// Runs a select, given as a [`Select`](crate::q0::Select) or as JSON. Its `action` may be omitted.
    ///
    /// ```
    /// use miko_core::q0::{Select, Sort, eq};
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// for name in ["Spock", "Kirk"] {
    ///     db.create("starfleet.com/officer", &json!({"name": name, "ship": "Enterprise"}))?;
    /// }
    /// let crew = Select::class("starfleet.com/officer")
    ///     .path(["ship"], eq("Enterprise"))
    ///     .sort(Sort::by(["name"]));
    /// let records = db.select(crew)?;
    /// let name = |officer: &miko_core::Record| officer.bucket.get("name").unwrap().unwrap();
    /// let names: Vec<_> = records.iter().map(name).collect();
    /// assert_eq!(names, ["Kirk", "Spock"]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every fault of the select at once; `invalid_request` for a select with `history`, which finds
    /// versions; `request-too-large`, if the records exceed the frame limit of the server: use
    /// [`iter`](Self::iter).
    fn select(&self, query: impl Into<Query>) -> Result<Records> {
        self.q0(as_select(query.into())?)?.into_records()
    }

    /// The state of the database at `cutoff`, read-only: with records that were deleted later, and with the
    /// class definitions of that time. The database must be temporal: otherwise each read of records fails
    /// with `not-temporal`.
    fn as_of(&self, cutoff: Timestamp) -> AsOf<'_, Self> {
        AsOf::new(self, cutoff)
    }

    /// Stores a file of any size and returns its pk. If a file with the same content exists, its pk is
    /// returned.
    ///
    /// # Errors
    /// `internal`, if `reader` fails; the errors of [`write_file`](Mikobase::write_file),
    /// [`Upload::put`](crate::Upload::put) and [`Upload::finish`](crate::Upload::finish). Nothing is stored
    /// then.
    fn put_file(&self, reader: &mut dyn Read, mime: &str) -> Result<String> {
        transfer::put(self, reader, mime)
    }

    /// A reader of the content of a file, which arrives piece by piece as it is read.
    ///
    /// # Errors
    /// `file-not-found`.
    fn file(&self, pk: &str) -> Result<FileReader> {
        Ok(FileReader::of(self.file_info(pk)?, self.read_file(pk)?))
    }

    /// Runs a select of any size. Its records arrive as they are consumed, and show the state at the time of
    /// this call: later writes have no effect. An open stream keeps the database of an engine open. `query`
    /// is a [`Select`](crate::q0::Select), or a select as JSON. Its `action` may be omitted.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// for n in 0..1000 {
    ///     db.create("a.b/number", &json!({"n": n}))?;
    /// }
    /// let mut sum = 0;
    /// for record in db.iter(json!({"class": "a.b/number"}))? {
    ///     sum += record?.bucket.get("n")?.and_then(|n| n.as_u64()).unwrap_or_default();
    /// }
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`select_stream`](Mikobase::select_stream).
    fn iter(&self, query: impl Into<Query>) -> Result<Stream<Record>> {
        self.select_stream(as_select(query.into())?)
    }

    /// Runs a block in a transaction: its writes through `tx` take effect together when it calls
    /// `tx.commit()`. A block that ends without a commit is rolled back, whether it returns, fails or panics.
    ///
    /// `tx` is a Mikobase as well, so `tx.transaction(…)` nests: what the inner block has committed becomes a
    /// part of the outer transaction. [`exit`](Transaction::exit) leaves all blocks. A write of this thread
    /// that is not made through `tx`, or through a transaction that was begun inside it, is refused with
    /// `transaction-open`.
    ///
    /// ```
    /// use miko_core::{ErrorId, MikobaseExt, SqliteEngine, Transaction};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.transaction(|tx| {
    ///     let pk = tx.create("a.b/order", &json!({"items": 0}))?;
    ///     tx.transaction(|inner| {
    ///         inner.increment(&pk, ["items"], 1)?;
    ///         inner.commit()
    ///     })?;
    ///     tx.commit()?;
    ///     Ok(pk)
    /// })?;
    /// assert_eq!(db.hot(&pk).get(["items"])?, Some(json!(1)));
    ///
    /// let exited = db.transaction(|tx| {
    ///     tx.delete(&pk)?;
    ///     tx.exit()
    /// });
    /// assert!(exited.unwrap_err().is(ErrorId::TRANSACTION_EXITED));
    /// assert_eq!(db.count(json!({}))?, 1);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of the block and of [`begin`](Mikobase::begin).
    fn transaction<T>(&self, block: impl FnOnce(&Remote<dyn Transaction>) -> Result<T>) -> Result<T> {
        // The `TransactionBlock` is dropped after the block. What is not committed is then rolled back.
        block(&TransactionBlock::of(self.begin()?).transaction)
    }

    /// Runs a block in a transaction and commits the transaction if the block succeeds. If the block or the
    /// commit fails with an error that is [retryable](Error::is_retryable), such as a `conflict`, the
    /// transaction is rolled back and the block runs again, at most [`MAX_ATTEMPTS`](crate::MAX_ATTEMPTS)
    /// times in all.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let pk = db.create("a.b/counter", &json!({"n": 1}))?;
    /// let doubled = db.transact(|tx| {
    ///     let n = tx.hot(&pk).get(["n"])?.and_then(|n| n.as_i64()).unwrap_or_default();
    ///     tx.hot(&pk).set(["n"], 2 * n)
    /// });
    /// assert!(doubled.is_ok());
    /// assert_eq!(db.hot(&pk).get(["n"])?, Some(json!(2)));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of the block, of [`commit`](Transaction::commit) and of [`begin`](Mikobase::begin).
    fn transact<T>(&self, mut block: impl FnMut(&Remote<dyn Transaction>) -> Result<T>) -> Result<T> {
        let mut attempts = 1;
        loop {
            // The `TransactionBlock` is dropped at the end of each attempt. What is not committed is then
            // rolled back.
            let TransactionBlock { transaction: tx, .. } = &TransactionBlock::of(self.begin()?);
            match block(tx).and_then(|value| tx.commit().map(|()| value)) {
                Err(error) if error.is_retryable() && attempts < MAX_ATTEMPTS => attempts += 1,
                outcome => return outcome,
            }
        }
    }

    /// Claims the first record that a select finds and that is not claimed, for at most `lease`; `None`, if
    /// there is none. The workers of a job queue take their jobs with this method: see [`Claim`].
    ///
    /// # Errors
    /// Every fault of the select at once; `invalid_request` for a lease of zero or of more than a year; the
    /// errors of a write.
    fn claim(&self, select: impl Into<Query>, lease: Duration) -> Result<Option<Claim<'_, Self>>> {
        let wait = Duration::ZERO;
        Claim::take(self, as_select(select.into())?, lease, wait)
    }

    /// As [`claim`](Self::claim). If there is no such record, waits at most `wait` for one. The call does not
    /// poll: it is woken when a record is created, changed or released, or when a lease ends.
    ///
    /// # Errors
    /// As [`claim`](Self::claim); `invalid_request` for a `wait` of more than a year, and for any `wait`
    /// above zero inside a transaction, where no call can wait; `request-too-large`, if the select is too
    /// large to be tested for each change; `deadline-exceeded`, if the call waits on a server for longer than
    /// the deadline of calls, 5 minutes unless `Limits::call_deadline` says otherwise.
    fn claim_or_wait(
        &self,
        select: impl Into<Query>,
        lease: Duration,
        wait: Duration,
    ) -> Result<Option<Claim<'_, Self>>> {
        Claim::take(self, as_select(select.into())?, lease, wait)
    }

    /// The changes of records from now on: of a class with its subclasses, of the record with a pk, or of the
    /// records that fulfil a condition of Q0. [`changes`](Mikobase::changes) has options, and documents what
    /// is guaranteed.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let veterans = json!({"class": "starfleet.com/officer", "path": ["age", {"gte": 60}]});
    /// let mut changes = db.listen(veterans)?;
    /// db.create("starfleet.com/officer", &json!({"name": "Chekov", "age": 22}))?;
    /// db.create("starfleet.com/officer", &json!({"name": "Boyce", "age": 61}))?;
    /// let change = changes.recv().unwrap()?;
    /// assert_eq!(change.record.unwrap().bucket.get("name")?, Some(json!("Boyce")));
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`changes`](Mikobase::changes).
    fn listen(&self, target: impl Into<Target>) -> Result<Stream<Change>> {
        self.changes(target.into(), ChangeOptions::default())
    }

    /// Calls `listener` for each change that [`listen`](Self::listen) yields, in a new thread, which ends
    /// when the returned value is dropped. `listener` runs after the commit and cannot refuse the change.
    /// `listener` may use the database. After the error `lagged` it is called for further changes. Any other
    /// error is its last call.
    ///
    /// A process with such a thread cannot start a share.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// use miko_core::{MikobaseExt, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let (send, received) = mpsc::channel();
    /// let _listener = db.after_save("starfleet.com/officer", move |change| {
    ///     let _ = send.send(change.map(|change| change.pk));
    /// })?;
    /// let pk = db.create("starfleet.com/officer", &json!({"name": "Spock"}))?;
    /// assert_eq!(received.recv().unwrap()?, pk);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`changes`](Mikobase::changes); `internal`, if the thread cannot be started.
    fn after_save(
        &self,
        target: impl Into<Target>,
        listener: impl FnMut(Result<Change>) + Send + 'static,
    ) -> Result<AfterSave> {
        AfterSave::start(self.listen(target)?, listener)
    }

    /// Keeps the result of a select up to date, its order, offset and limit included. Each step lists the
    /// records that entered, left, moved and changed. `query` is a [`Select`](crate::q0::Select), or a select
    /// as JSON. Its `action` may be omitted.
    ///
    /// ```
    /// use miko_core::{MikobaseExt, ResultChangeKind, SqliteEngine};
    /// use serde_json::json;
    ///
    /// let db = SqliteEngine::in_memory()?;
    /// let score = |player: &str, points: i64| {
    ///     db.create("game.com/score", &json!({"player": player, "points": points}))
    /// };
    /// let (sulu, chekov) = (score("Sulu", 70)?, score("Chekov", 50)?);
    /// let mut best = db.watch(json!({
    ///     "class": "game.com/score", "sort": ["points", {"reverse": true}], "limit": 2,
    /// }))?;
    /// let pks = |records: &[miko_core::Record]| records.iter().map(|r| r.pk.clone()).collect::<Vec<_>>();
    /// assert_eq!(pks(best.records()), [sulu.as_str(), &chekov]);
    ///
    /// let uhura = score("Uhura", 90)?;
    /// let step = best.recv().expect("the database is open")?;
    /// let kinds: Vec<_> = step.iter().map(|change| change.kind).collect();
    /// assert_eq!(kinds, [ResultChangeKind::Leave, ResultChangeKind::Enter]);
    /// assert_eq!(pks(best.records()), [uhura.as_str(), &sulu]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`watch_select`](Mikobase::watch_select).
    fn watch(&self, query: impl Into<Query>) -> Result<LiveQuery> {
        LiveQuery::begin(self.watch_select(as_select(query.into())?)?)
    }

    /// Writes a worldlet of any size with the whole state of the database at the time of this call. Later
    /// writes have no effect on it.
    ///
    /// The text is canonical: the same state gives the same text, one record per line.
    ///
    /// # Errors
    /// As [`export`](Mikobase::export); `storage-full` or `not-writable`, if `writer` fails. `writer` may
    /// have received a part of the worldlet before an error.
    fn export_worldlet(&self, writer: &mut dyn Write) -> Result<()> {
        transfer::export(self, writer)
    }

    /// Writes all records of a worldlet of any size, all or none. Records with the same pk are overwritten.
    /// Class definitions apply to all records, wherever they occur in the worldlet. Records are checked and
    /// stored unchanged: no defaults are filled in, no white space is collapsed, no fields are reordered.
    ///
    /// With `trust`, violations of the rules of classes become warnings; a unique value that another record
    /// has remains an error. An export can then always be imported into an empty database (a temporal one, if
    /// the export is temporal), even if definitions changed after its records were written.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; `internal`, if `reader` fails; the other
    /// errors of [`import`](Mikobase::import) and of [`finish`](crate::Import::finish). Nothing is imported
    /// then.
    fn import_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported> {
        transfer::import(self, reader, trust)
    }

    /// The number of records that a select finds, after its offset and limit. All these records are read and
    /// sent, only to be counted here. `query` is a [`Select`](crate::q0::Select), or a select as JSON. Its
    /// `action` may be omitted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    fn count(&self, query: impl Into<Query>) -> Result<usize> {
        Ok(self.select(query)?.count())
    }
}

impl<M: Mikobase + ?Sized> MikobaseExt for M {}

/// Adds the action `select` if it is omitted. A query that is not an object is returned unchanged: the
/// database refuses it.
///
/// # Errors
/// `invalid_request` for another action: the calling methods accept only selects.
fn as_select(query: Query) -> Result<Query> {
    let Value::Object(mut select) = query else { return Ok(query) };
    let action = select.entry("action").or_insert_with(|| "select".into());
    if *action == "select" {
        return Ok(Value::Object(select));
    }
    let place = Place::Key(&Place::Root, "action");
    let fault = place.wrong_value("`select`", abbreviate(action));
    // Dropped without recursion: the depth of the query is not checked yet.
    json::drop_iteratively(Value::Object(select));
    Err(fault.into())
}
