//! A past state of a temporal database, as a read-only database.

use miko_rpc::{Bytes, Error, ErrorId, Remote, Result, Stream};
use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::change::{Change, ChangeOptions};
use crate::class::Definition;
use crate::files::FileInfo;
use crate::json;
use crate::mikobase::{
    Delta, Edit, Edited, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Transaction, Validation,
};
use crate::objects::{Import, Upload};
use crate::query;
use crate::record::{Record, Records};
use crate::response::{Answers, Response, check_batch_size, within_batch_size};
use crate::stack;
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::uns;
use crate::version::Version;
use crate::watch::ResultChange;

/// A temporal Mikobase as it was at the cutoff. It answers as the database would have answered then. Writes
/// and transactions are refused with `read-only-connection`. If a select has a cutoff as well, the earlier of
/// the two applies.
///
/// Exceptions: files and `properties` are those of now. `export`, `changes` and `watch_select` are refused
/// with `action-not-supported`.
///
/// ```
/// use miko_core::{ErrorId, Mikobase, MikobaseExt, SqliteEngine};
/// use serde_json::json;
///
/// let db = SqliteEngine::temporal_in_memory()?;
/// let pk = db.create("starfleet.com/officer", &json!({"rank": "Commander"}))?;
/// let then = db.record_by_pk(&pk)?.unwrap().updated_at;
/// db.update(&pk, &json!({"rank": "Captain"}))?;
///
/// let past = db.as_of(then);
/// assert_eq!(past.record_by_pk(&pk)?.unwrap().bucket.get("rank")?, Some(json!("Commander")));
/// assert!(past.delete(&pk).unwrap_err().is(ErrorId::READ_ONLY_CONNECTION));
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AsOf<'m, M: ?Sized> {
    db: &'m M,
    cutoff: Timestamp,
}

impl<'m, M: Mikobase + ?Sized> AsOf<'m, M> {
    /// `db` as it was at `cutoff`.
    pub const fn new(db: &'m M, cutoff: Timestamp) -> Self {
        Self { db, cutoff }
    }

    /// Sets the cutoff of a select to the cutoff of this value, unless the select has an earlier one. A query
    /// that is not an object, and a select whose own cutoff cannot be read, are returned unchanged: the
    /// database refuses them.
    fn with_cutoff(&self, mut select: Query) -> Query {
        let has_earlier_cutoff = match query::requested_cutoff(&select) {
            Ok(requested) => requested.is_some_and(|requested| requested < self.cutoff),
            Err(_) => return select,
        };
        if let Value::Object(request) = &mut select
            && !has_earlier_cutoff
        {
            // The cutoff of a request is text, and some times have no text that can be parsed again.
            let cutoff = self.cutoff.nearest_parseable();
            request.insert("cutoff".to_owned(), cutoff.to_string().into());
        }
        select
    }

    fn select(&self, query: Query) -> Result<Records> {
        self.q0(query)?.into_records()
    }
}

impl<M: Mikobase + ?Sized> Mikobase for AsOf<'_, M> {
    fn q0(&self, query: Query) -> Result<Response> {
        self.db.q0(self.with_cutoff(refuse_write(query)?))
    }

    fn validate(&self, query: Query) -> Result<Validation> {
        self.db.validate(query)
    }

    fn record_by_pk(&self, pk: &str) -> Result<Option<Record>> {
        Ok(self.select(json!({"action": "select", "pk": pk}))?.into_iter().next())
    }

    fn by_class(&self, class: &str) -> Result<Records> {
        let class = uns::parse(class)?;
        self.select(json!({"action": "select", "class": class}))
    }

    fn records_by_pks(&self, pks: Vec<String>) -> Result<Vec<Option<Record>>> {
        check_batch_size(pks.len())?;
        pks.iter().map(|pk| self.record_by_pk(pk)).collect()
    }

    fn create_many(&self, _: &str, _: Vec<Bucket>) -> Result<Vec<String>> {
        Err(read_only())
    }

    fn create_one(&self, _: &str, _: Bucket) -> Result<String> {
        Err(read_only())
    }

    fn update_one(&self, _: &str, _: Bucket) -> Result<Timestamp> {
        Err(read_only())
    }

    fn edit(&self, _: &str, edits: Vec<Edit>) -> Result<Edited> {
        Err(drop_and_refuse(edits))
    }

    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
        let queries = within_batch_size(queries)?;
        if !atomic {
            return Ok(queries.into_iter().map(|query| self.q0(query)).collect::<Vec<_>>().into());
        }
        if let Some(index) = queries.iter().position(is_write) {
            return Err(drop_and_refuse(queries).with_all("request", index));
        }
        self.db.batch(queries.into_iter().map(|query| self.with_cutoff(query)).collect(), true)
    }

    fn history(&self, pk: &str) -> Result<Vec<Version>> {
        let mut versions = self.db.history(pk)?;
        versions.retain(|version| version.updated_at <= self.cutoff);
        if versions.is_empty() {
            return Err(
                Error::new(ErrorId::RECORD_NOT_FOUND, "no record had this pk at the cutoff").with("pk", pk)
            );
        }
        Ok(versions)
    }

    fn import_schema(&self, schema: Schema) -> Result<SchemaChanges> {
        Err(drop_and_refuse([schema]))
    }

    fn export_schema(&self) -> Result<Schema> {
        let mut buckets = Vec::new();
        for record in self.by_class(uns::CLASS)? {
            // The select also finds the records of subclasses, which define nothing.
            if stack::has_class(&record.stack.to_map()?, uns::CLASS) {
                buckets.push(record.bucket.to_map()?);
            }
        }
        Ok(json!({ "classes": Definition::classes(buckets) }))
    }

    fn merge(&self, delta: Delta) -> Result<Merged> {
        Err(drop_and_refuse([delta]))
    }

    fn write_file(&self, _: &str) -> Result<Remote<dyn Upload>> {
        Err(read_only())
    }

    /// Ignores the cutoff, as `read_file` does: the database keeps no past state of its files.
    fn file_info(&self, pk: &str) -> Result<FileInfo> {
        self.db.file_info(pk)
    }

    fn read_file(&self, pk: &str) -> Result<Stream<Bytes>> {
        self.db.read_file(pk)
    }

    fn delete_file(&self, _: &str) -> Result<()> {
        Err(read_only())
    }

    fn collect_files(&self) -> Result<Vec<String>> {
        Err(read_only())
    }

    fn select_stream(&self, query: Query) -> Result<Stream<Record>> {
        self.db.select_stream(self.with_cutoff(refuse_write(query)?))
    }

    fn export(&self) -> Result<Stream<Bytes>> {
        let message = "a past state cannot be exported as a worldlet: export the database itself, which \
                       includes its history";
        Err(Error::new(ErrorId::ACTION_NOT_SUPPORTED, message))
    }

    fn import(&self, _: bool) -> Result<Remote<dyn Import>> {
        Err(read_only())
    }

    fn properties(&self) -> Result<Properties> {
        self.db.properties()
    }

    fn changes(&self, _: Target, _: ChangeOptions) -> Result<Stream<Change>> {
        Err(does_not_change())
    }

    fn watch_select(&self, query: Query) -> Result<Stream<ResultChange>> {
        json::drop_iteratively(query);
        Err(does_not_change())
    }

    fn begin(&self) -> Result<Remote<dyn Transaction>> {
        Err(read_only())
    }
}

/// Whether a query must be refused as a write: it is an object whose action is not `select`. A query that is
/// not an object is passed on, and the database refuses it.
fn is_write(query: &Query) -> bool {
    query.is_object() && query::may_write(query)
}

fn refuse_write(query: Query) -> Result<Query> {
    if is_write(&query) { Err(drop_and_refuse([query])) } else { Ok(query) }
}

/// Drops the arguments of a call, and returns the error with which the call is refused. The drop does not
/// recurse, because the arguments may nest to any depth.
fn drop_and_refuse(values: impl IntoIterator<Item = Value>) -> Error {
    values.into_iter().for_each(json::drop_iteratively);
    read_only()
}

fn does_not_change() -> Error {
    let message = "a past state of a database does not change: subscribe to the database itself";
    Error::new(ErrorId::ACTION_NOT_SUPPORTED, message)
}

fn read_only() -> Error {
    Error::new(ErrorId::READ_ONLY_CONNECTION, "a past state of a database is read-only")
}
