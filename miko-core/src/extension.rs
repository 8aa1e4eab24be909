//! What every Mikobase can do besides its methods: everyday requests without JSON.

use std::io::{Read, Write};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::as_of::AsOf;
use crate::error::{Error, ErrorId, Result};
use crate::json::{self, type_name};
use crate::mikobase::{Mikobase, Query};
use crate::record::Records;
use crate::timestamp::Timestamp;
use crate::transfer::{self, FileReader, RecordStream};
use crate::worldlet::Imported;

/// Everyday requests with types of yours, on an engine and a proxy alike.
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
/// assert_eq!(db.count(serde_json::json!({"class": "starfleet.com/officer", "path": ["rank", "Captain"]}))?, 1);
/// db.delete(&pk)?;
/// # Ok::<(), miko_core::Error>(())
/// ```
pub trait MikobaseExt: Mikobase {
    /// Creates a record of `class` and gives its pk. The bucket is whatever serializes as a JSON object.
    ///
    /// # Errors
    /// `invalid_request`, if `bucket` is no object, or holds a number that JSON cannot; those of Q0's `create`.
    fn create(&self, class: &str, bucket: &(impl Serialize + ?Sized)) -> Result<String> {
        let bucket = object(bucket)?;
        self.q0(json!({"action": "create", "class": class, "bucket": bucket}))?.into_pk()
    }

    /// Replaces the bucket of a record.
    ///
    /// # Errors
    /// As [`create`](Self::create), and `record_not_found` or `record_deleted`.
    fn update(&self, pk: &str, bucket: &(impl Serialize + ?Sized)) -> Result<()> {
        let bucket = object(bucket)?;
        self.q0(json!({"action": "update", "pk": pk, "bucket": bucket})).map(drop)
    }

    /// Deletes a record.
    ///
    /// # Errors
    /// `record_not_found`, `record_deleted`, `reference-restricted`.
    fn delete(&self, pk: &str) -> Result<()> {
        self.q0(json!({"action": "delete", "pk": pk})).map(drop)
    }

    /// The records that a select finds. `query` is that select, built or as JSON; its `action` may be left out.
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
    /// let crew = Select::class("starfleet.com/officer").path(["ship"], eq("Enterprise")).sort(Sort::by(["name"]));
    /// let names: Vec<_> = db.select(crew)?.iter().map(|record| record.bucket.get("name").unwrap().unwrap()).collect();
    /// assert_eq!(names, ["Kirk", "Spock"]);
    /// # Ok::<(), miko_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Every fault of the request at once.
    fn select(&self, query: impl Into<Query>) -> Result<Records> {
        self.q0(as_select(query.into()))?.into_records()
    }

    /// The database as it was at `cutoff`, to be read: tombstones and classes included. It has to be temporal.
    fn as_of(&self, cutoff: Timestamp) -> AsOf<'_, Self> {
        AsOf::new(self, cutoff)
    }

    /// Puts in a file of any size and gives its pk. If one with the same content is there, that is it.
    ///
    /// # Errors
    /// `internal`, if `reader` fails; `storage-full`. There is no such file then.
    fn put_file(&self, reader: &mut dyn Read, mime: &str) -> Result<String> {
        transfer::put(self, reader, mime)
    }

    /// The content of a file, to be read piece by piece.
    ///
    /// # Errors
    /// `file-not-found`.
    fn file(&self, pk: &str) -> Result<FileReader<'_, Self>> {
        Ok(FileReader::of(self, self.file_info(pk)?))
    }

    /// The records that a select finds, however many, fetched as they are asked for: the state of this moment, whatever is written
    /// meanwhile. `query` is that select, built or as JSON; its `action` may be left out.
    ///
    /// # Errors
    /// Every fault of the request at once.
    fn iter(&self, query: impl Into<Query>) -> Result<RecordStream<'_, Self>> {
        RecordStream::open(self, as_select(query.into()))
    }

    /// Writes the whole state of this moment as a worldlet, whatever its size and whatever is written meanwhile.
    ///
    /// The text is canonical: the same state gives the same text, one record per line.
    ///
    /// # Errors
    /// If `writer` failed; it may have got a part of the worldlet by then. `stream-expired`, if too much was overwritten meanwhile.
    fn export_worldlet(&self, writer: &mut dyn Write) -> Result<()> {
        transfer::export(self, writer)
    }

    /// Writes all records of a worldlet of any size, over those that have the same pk, all or nothing. Definitions hold for all of
    /// them, wherever they stand. Records are checked and stay as they are: no defaults, no `collapse`, no other order of fields.
    ///
    /// With `trust`, what validation finds becomes a warning: an export of a Mikobase can always be imported so, though
    /// definitions changed after its records were written.
    ///
    /// # Errors
    /// `invalid-worldlet`, an item per fault with its JSON pointer; nothing was imported then.
    fn import_worldlet(&self, reader: &mut dyn Read, trust: bool) -> Result<Imported> {
        transfer::import(self, reader, trust)
    }

    /// How many records a select finds. `query` is that select, built or as JSON; its `action` may be left out.
    ///
    /// # Errors
    /// Those of the select.
    fn count(&self, query: impl Into<Query>) -> Result<usize> {
        Ok(self.select(query)?.count())
    }
}

impl<M: Mikobase + ?Sized> MikobaseExt for M {}

/// The query as the select that it is.
fn as_select(query: Query) -> Query {
    match query {
        Value::Object(mut select) => {
            select.entry("action").or_insert_with(|| "select".into());
            Value::Object(select)
        }
        other => other,
    }
}

fn object(bucket: &(impl Serialize + ?Sized)) -> Result<Map<String, Value>> {
    let refused = |message: String| Error::new(ErrorId::INVALID_REQUEST, message);
    // By way of text: what serde_json refuses (a map with keys that are no strings) and what would lose digits is noticed.
    let text = json::check_finite(bucket).and_then(|()| serde_json::to_string(bucket));
    let text = text.map_err(|fault| refused(format!("this cannot be said in JSON: {fault}")))?;
    match json::parse(&text)? {
        Value::Object(bucket) => Ok(bucket),
        other => Err(refused("a bucket serializes as a JSON object".to_owned())
            .with("expected", "object")
            .with("found", type_name(&other))),
    }
}
