//! A past state of a temporal database, as a read-only database.

use miko_rpc::{Bytes, Error, ErrorId, Remote, Result, Stream};
use serde_json::{Map, Value, json};

use crate::bucket::Bucket;
use crate::change::{Change, ChangeOptions};
use crate::files::FileInfo;
use crate::mikobase::{
    Delta, Edit, Edited, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Transaction, Validation,
};
use crate::objects::{Import, Upload};
use crate::record::{Record, Records};
use crate::response::{Answers, Response, check_batch_size};
use crate::target::Target;
use crate::timestamp::Timestamp;
use crate::uns;
use crate::version::Version;
use crate::watch::ResultChange;

/// A temporal Mikobase as it was at the cutoff. It answers as the database would have answered then, and
/// refuses writes.
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

    /// The select with the cutoff added; `None` for a request that is no select. The database refuses a
    /// query that is no object.
    fn with_cutoff(&self, query: Query) -> Option<Query> {
        let Value::Object(mut request) = query else { return Some(query) };
        if request.get("action").is_none_or(|action| action != "select") {
            return None;
        }
        // The earlier of two cutoffs applies. A placeholder, which is an object, is replaced: its value is
        // not known here. Any other malformed cutoff is left for the database to refuse.
        let requested = request
            .get("cutoff")
            .map(|cutoff| cutoff.as_str().and_then(|text| text.parse::<Timestamp>().ok()));
        match requested {
            Some(None) if !request["cutoff"].is_object() => {}
            Some(Some(requested)) if requested < self.cutoff => {}
            _ => drop(request.insert("cutoff".to_owned(), self.cutoff.to_string().into())),
        }
        Some(request.into())
    }

    fn select(&self, query: Query) -> Result<Records> {
        self.q0(query)?.into_records()
    }
}

impl<M: Mikobase + ?Sized> Mikobase for AsOf<'_, M> {
    fn q0(&self, query: Query) -> Result<Response> {
        self.db.q0(self.with_cutoff(query).ok_or_else(read_only)?)
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

    fn edit(&self, _: &str, _: Vec<Edit>) -> Result<Edited> {
        Err(read_only())
    }

    fn batch(&self, queries: Vec<Query>, atomic: bool) -> Result<Answers> {
        if !atomic {
            return Ok(queries.into_iter().map(|query| self.q0(query)).collect::<Vec<_>>().into());
        }
        let with_cutoff =
            |(index, query)| self.with_cutoff(query).ok_or_else(|| read_only().with_all("request", index));
        self.db.batch(queries.into_iter().enumerate().map(with_cutoff).collect::<Result<_>>()?, true)
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

    fn import_schema(&self, _: Schema) -> Result<SchemaChanges> {
        Err(read_only())
    }

    fn export_schema(&self) -> Result<Schema> {
        let mut classes = Map::new();
        for definition in self.by_class(uns::CLASS)? {
            let bucket = definition.bucket.to_map()?;
            let name = bucket.get("name").and_then(Value::as_str).unwrap_or_default();
            classes.insert(name.to_owned(), bucket.into());
        }
        Ok(json!({ "classes": classes }))
    }

    fn merge(&self, _: Delta) -> Result<Merged> {
        Err(read_only())
    }

    fn write_file(&self, _: &str) -> Result<Remote<dyn Upload>> {
        Err(read_only())
    }

    /// Files never change. Files that were stored after the cutoff are visible as well.
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
        self.db.select_stream(self.with_cutoff(query).ok_or_else(read_only)?)
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

    fn watch_select(&self, _: Query) -> Result<Stream<ResultChange>> {
        Err(does_not_change())
    }

    fn begin(&self) -> Result<Remote<dyn Transaction>> {
        Err(read_only())
    }
}

fn does_not_change() -> Error {
    let message = "a past state of a database does not change: subscribe to the database itself";
    Error::new(ErrorId::ACTION_NOT_SUPPORTED, message)
}

fn read_only() -> Error {
    Error::new(ErrorId::READ_ONLY_CONNECTION, "a past state of a database is read-only")
}
