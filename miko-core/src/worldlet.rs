//! Worldlets: a whole Mikobase as one JSON object, read as a stream.
//!
//! The text is never in memory as a whole: [`read`] passes each entry to a [`Sink`] as soon as it is parsed,
//! in the order of the text. There is one exception: an entry that may be a stub is passed on after all
//! others, if the database is temporal and it is not yet known whether the worldlet is temporal. Faults are
//! collected, each with a JSON pointer, and reported together.
//!
//! | subject | module |
//! | --- | --- |
//! | the part of the text that is in memory | [`window`] |
//! | reads one entry of an object, with all its faults | [`entry`] |
//! | reads records, in any form; translates places in a record to those in its entry | [`record`]; [`form`] |
//! | versions; files and their chunks | [`version`]; [`file`] |

mod entry;
mod file;
mod form;
mod record;
mod version;
mod window;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};

use miko_rpc::{Error, ErrorId, ErrorItem, Result, Warning, memory};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::diagnostics::{FaultList, Place};
use crate::json;
use crate::json::reader::PlainValue;
use crate::json::{CheckedObject, CheckedValue, TextChecker};
use crate::record::COMMENT_KEYS;
use crate::timestamp::Timestamp;

pub(crate) use file::{Encoding, IncomingChunk, IncomingFile};
pub(crate) use form::RecordForm;
pub(crate) use record::bare_value;
pub(crate) use version::{IncomingState, IncomingVersion};
use window::{Window, WindowReader};

/// The value of `format` in exports. For the formats that can be read, see `WorldletVisitor::check_format`.
pub(crate) const FORMAT: &str = "worldlet/1.0";

/// The top-level keys that are stored and exported again, in the order in which they are written.
pub(crate) const WORLDLET_EXTRA_KEYS: [&str; 5] = ["meta", "comment", "vibecode", "misc", "corporate"];

/// The outcome of an import.
///
/// ```
/// use miko_core::{MikobaseExt, SqliteEngine};
///
/// let worldlet = r#"{"records": {"a": {"bucket": {"n": 1}, "stack": {"x": {"class": "foo.com/x"}}}}}"#;
/// let imported = SqliteEngine::in_memory()?.import_worldlet(&mut worldlet.as_bytes(), false)?;
/// assert_eq!(imported.records, 1);
/// # Ok::<(), miko_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct Imported {
    /// How many records were written, class definitions included. Each version that was added to the history
    /// of a record counts as well.
    pub records: u64,
    /// Findings that did not prevent the import; with `trust`, also violations of the rules of classes.
    pub warnings: Vec<Warning>,
}

/// A record of a worldlet. It is well-formed, but not yet validated against its classes.
#[derive(Debug)]
pub(crate) struct IncomingRecord {
    pub(crate) pk: String,
    pub(crate) bucket: Map<String, Value>,
    pub(crate) stack: Map<String, Value>,
    pub(crate) extras: Map<String, Value>,
    /// `None` if the entry does not state it.
    pub(crate) created_at: Option<Timestamp>,
    /// `None` if the entry does not state it.
    pub(crate) updated_at: Option<Timestamp>,
    /// How the entry spells the record, for the places of later faults.
    pub(crate) form: RecordForm,
}

/// A record of a worldlet whose entry has the form of an export, without extras. The bucket and the stack are
/// parts of the text of the entry, and are stored as they are. A time that the entry does not state is
/// `None`.
#[derive(Debug)]
pub(crate) struct TextRecord<'t> {
    pub(crate) pk: &'t str,
    pub(crate) bucket: &'t str,
    pub(crate) stack: &'t str,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) updated_at: Option<Timestamp>,
}

impl<'t> TextRecord<'t> {
    /// The record of an entry of `records`; `None` if the entry has another form, or a time in it is not
    /// valid.
    fn of(pk: &'t str, entry: &CheckedObject<'t>) -> Option<Self> {
        let (mut bucket, mut stack, mut created_at, mut updated_at) = (None, None, None, None);
        let mut last_time: Option<(&str, Timestamp)> = None;
        for index in 0..entry.len() {
            let mut read_time = || match entry.value(index)? {
                CheckedValue::Text(text) => {
                    // In most records both times are equal. The text is then parsed only once.
                    let (_, time) = match last_time.filter(|(last, _)| *last == text) {
                        Some(last) => last,
                        None => *last_time.insert((text, text.parse().ok()?)),
                    };
                    Some(time)
                }
                _ => None,
            };
            match entry.key(index)? {
                "bucket" => bucket = Some(entry.value_text(index)),
                "stack" => stack = Some(entry.value_text(index)),
                "created_at" => created_at = Some(read_time()?),
                "updated_at" => updated_at = Some(read_time()?),
                _ => return None,
            }
        }
        let is_object = |text: &&str| text.starts_with('{');
        let (bucket, stack) = (bucket.filter(is_object)?, stack.filter(is_object)?);
        Some(Self { pk, bucket, stack, created_at, updated_at })
    }
}

/// Receives the parts of a worldlet in the order of its text, except possible stubs, which come last (see
/// [`reserve`](Self::reserve)). An error ends the reading; faults of the worldlet go to `faults`.
pub(crate) trait Sink {
    /// Receives a record.
    fn record(&mut self, record: IncomingRecord, faults: &mut WorldletFaults) -> Result<()>;

    /// Receives a record as parts of its text. Returns whether the sink took the record. If not, the record
    /// is parsed, and [`record`](Self::record) receives it.
    fn text_record(&mut self, _record: &TextRecord<'_>) -> Result<bool> {
        Ok(false)
    }

    /// Whether the database that receives the worldlet is temporal.
    fn is_temporal(&self) -> bool;

    /// Receives the stub of a record, whose content is in the history.
    fn stub(&mut self, pk: String, created_at: Option<Timestamp>, faults: &mut WorldletFaults) -> Result<()>;

    /// Reserves the position of a record in the order of creation. [`stub`](Self::stub) or
    /// [`record`](Self::record) follows after all other entries, once it is known whether the entry is a
    /// stub.
    fn reserve(&mut self, pk: &str) -> Result<()>;

    /// Receives a version of a record.
    fn version(&mut self, version: IncomingVersion, faults: &mut WorldletFaults) -> Result<()>;

    /// Receives the metadata of a file.
    fn file(&mut self, file: IncomingFile, faults: &mut WorldletFaults) -> Result<()>;

    /// Marks a file as refused, because its metadata or a chunk has a fault: the sink then reports no further
    /// faults of the file. `pk` is `None` if a faulty chunk names no file.
    fn mark_file_refused(&mut self, pk: Option<String>);

    /// Receives a chunk of a file. A chunk may come before the metadata of its file.
    fn chunk(&mut self, chunk: IncomingChunk, faults: &mut WorldletFaults) -> Result<()>;

    /// Receives a class definition from the key `classes`.
    fn class(&mut self, name: &str, definition: Value, faults: &mut WorldletFaults) -> Result<()>;

    /// Receives a property of the worldlet itself: `executable`, or one of [`WORLDLET_EXTRA_KEYS`].
    fn set_property(&mut self, key: &str, value: &Value) -> Result<()>;
}

/// The faults and warnings found in a worldlet so far.
#[derive(Debug, Default)]
pub(crate) struct WorldletFaults {
    errors: FaultList,
    pub(crate) warnings: FaultList,
    /// An error that is not a fault of the worldlet: the memory limit was reached while an entry was parsed.
    failure: Option<Error>,
}

impl WorldletFaults {
    /// Adds a fault as `invalid-worldlet`. If the fault has another id, that id becomes the detail `reason`,
    /// except for `invalid_request`.
    pub(crate) fn refuse(&mut self, fault: ErrorItem) {
        self.errors.push(into_invalid_worldlet(fault));
    }

    /// Calls [`refuse`](Self::refuse) for each fault, after `complete` has added details to it.
    pub(crate) fn refuse_all(&mut self, faults: FaultList, complete: impl Fn(ErrorItem) -> ErrorItem) {
        self.errors.append_with(faults, |fault| into_invalid_worldlet(complete(fault)));
    }

    /// Adds the error of a text that was not parsed as JSON. An error with the id `invalid_request` is a
    /// fault of the text. An error with another id becomes the failure, unless there is one.
    fn refuse_unparsed(&mut self, error: Error, place: &Place<'_>) {
        if !error.is(ErrorId::INVALID_REQUEST) {
            self.failure.get_or_insert(error);
            return;
        }
        error.into_items().into_iter().for_each(|item| self.refuse(place.with_pointer(item)));
    }

    /// Adds a fault if the value of a top-level key is not an object. `found` is the value, as
    /// [`EntriesVisitor`] returns it: `None` for an object.
    fn refuse_non_object(&mut self, key: &str, expected: &str, found: Option<Value>) {
        if let Some(found) = found {
            self.refuse(Place::Key(&Place::Root, key).wrong_type(expected, &found));
        }
    }

    /// Returns the warnings.
    ///
    /// # Errors
    /// The collected faults, if there are any.
    pub(crate) fn check(self) -> Result<Vec<Warning>> {
        self.errors.check().map(|()| self.warnings.into_items())
    }
}

/// Converts a fault of any kind to `invalid-worldlet`, as [`WorldletFaults::refuse`] describes.
fn into_invalid_worldlet(mut fault: ErrorItem) -> ErrorItem {
    let reason = std::mem::replace(&mut fault.id, ErrorId::INVALID_WORLDLET);
    if [ErrorId::INVALID_WORLDLET, ErrorId::INVALID_REQUEST].contains(&reason) {
        return fault;
    }
    fault.with("reason", reason.as_str())
}

/// Skips a byte order mark. A read error is ignored here: a reader that has failed is expected to fail again
/// at the next read.
fn without_byte_order_mark<'r>(mut reader: &'r mut dyn Read) -> impl Read + 'r {
    const MARK: &[u8] = "\u{FEFF}".as_bytes();
    let mut start = Vec::with_capacity(MARK.len());
    let _ = (&mut reader).take(MARK.len() as u64).read_to_end(&mut start);
    if start == MARK {
        start.clear();
    }
    io::Cursor::new(start).chain(reader)
}

/// Reads a worldlet into `sink`.
///
/// # Errors
/// `invalid-worldlet` if the text is not a JSON object, or `reader` fails; the errors of the sink;
/// `storage-full` if the memory limit is reached. Other faults go to `faults`.
pub(crate) fn read(reader: &mut dyn Read, sink: &mut dyn Sink, faults: &mut WorldletFaults) -> Result<()> {
    let mut failure = None;
    let mut reader = without_byte_order_mark(reader);
    let window = RefCell::new(Window::of(&mut reader));
    let mut deserializer = serde_json::Deserializer::from_reader(WindowReader(&window));
    let visitor = WorldletVisitor {
        window: &window,
        sink,
        faults,
        failure: &mut failure,
        format: None,
        format_version: None,
        temporal: None,
        has_history: false,
        possible_stubs: Vec::new(),
    };
    let visited = deserializer.deserialize_map(visitor).and_then(|()| deserializer.end());
    match (failure.or_else(|| faults.failure.take()), visited) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(()),
        (None, Err(fault)) => {
            let invalid = |fault: &str| {
                Error::new(ErrorId::INVALID_WORLDLET, format!("the worldlet cannot be read: {fault}"))
            };
            let text = fault.to_string();
            if let Some(limit) = memory::take_limit_error(&text) {
                return Err(limit);
            }
            // An error of the reader has no position.
            if fault.line() == 0 {
                return Err(invalid(&text));
            }
            // serde_json has not seen the entries that `take_text_records` has read, so its line and column
            // do not count them.
            let position_text = |line, column| format!(" at line {line} column {column}");
            let reason = text.strip_suffix(&position_text(fault.line(), fault.column())).unwrap_or(&text);
            let (line, column) = window.borrow().position_of(fault.line(), fault.column());
            let error = invalid(&format!("{reason}{}", position_text(line, column)));
            Err(error.with("line", line).with("column", column))
        }
    }
}

/// Whether a worldlet is temporal: `properties.temporal` is true, or its history is not empty. `false` if
/// `reader` fails, or the text is not a worldlet. As in an import, keys may be repeated.
///
/// ```
/// let worldlet = r#"{"records": {}, "properties": {"temporal": true}}"#;
/// assert!(miko_core::is_temporal_worldlet(&mut worldlet.as_bytes()));
/// ```
pub fn is_temporal_worldlet(reader: &mut dyn Read) -> bool {
    let mut deserializer = serde_json::Deserializer::from_reader(without_byte_order_mark(reader));
    let read = deserializer.deserialize_map(TemporalMarkVisitor);
    read.and_then(|is_temporal| deserializer.end().map(|()| is_temporal)).unwrap_or(false)
}

/// Looks for the marks of a temporal worldlet, at the top-level keys that have them. If such a key is
/// repeated, the last `temporal` and every version count, as for a [`WorldletVisitor`].
struct TemporalMarkVisitor;

impl<'de> Visitor<'de> for TemporalMarkVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worldlet, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let (mut temporal, mut has_history) = (false, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "properties" => match map.next_value()? {
                    PlainValue(Value::Object(properties)) => match properties.get("temporal") {
                        Some(Value::Bool(stated)) => temporal = *stated,
                        Some(_) => return Err(A::Error::custom("`temporal` is a boolean")),
                        None => {}
                    },
                    _ => return Err(A::Error::custom("`properties` is an object")),
                },
                "history" => has_history |= map.next_value::<History>()?.has_any,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(temporal || has_history)
    }
}

/// Whether a history has any version.
struct History {
    has_any: bool,
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HistoryVisitor;
        impl<'de> Visitor<'de> for HistoryVisitor {
            type Value = History;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of history")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<History, A::Error> {
                let mut has_any = false;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    has_any = true;
                }
                Ok(History { has_any })
            }
        }
        deserializer.deserialize_map(HistoryVisitor)
    }
}

/// Visits the top-level keys of a worldlet.
struct WorldletVisitor<'r, 't> {
    window: &'r RefCell<Window<'t>>,
    sink: &'r mut dyn Sink,
    faults: &'r mut WorldletFaults,
    /// The error of the sink that ended the reading. It is stored here because a serde error cannot carry it.
    failure: &'r mut Option<Error>,
    /// The value of `format`.
    format: Option<Value>,
    /// The value of `format_version`.
    format_version: Option<Value>,
    /// The value of `properties.temporal`, once it was read and accepted.
    temporal: Option<bool>,
    /// Whether a version was read, which makes the worldlet temporal.
    has_history: bool,
    /// Entries of `records` without content, as pk and text. They are stubs if the rest of the text makes the
    /// worldlet temporal, and empty records otherwise.
    possible_stubs: Vec<(String, String)>,
}

impl<'de> Visitor<'de> for WorldletVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worldlet, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "records" => {
                    let worldlet_is_temporal = self.worldlet_is_temporal();
                    let Self { window, sink, faults, failure, possible_stubs, .. } = &mut self;
                    let mut checker = TextChecker::default();
                    let take = |pk: String, text: &str| {
                        match record::Stub::read(text) {
                            Some(stub) if worldlet_is_temporal => sink.stub(pk, stub.created_at, faults)?,
                            Some(_) if sink.is_temporal() => {
                                // The entry is kept to the end of the text, and may have long comments.
                                memory::charge(size_of::<(String, String)>() + pk.len() + text.len())?;
                                sink.reserve(&pk)?;
                                possible_stubs.push((pk, text.to_owned()));
                            }
                            _ => {
                                if let Some(record) = record::read(pk, text, faults) {
                                    sink.record(record, faults)?;
                                }
                            }
                        }
                        // The window begins with the next entry if serde_json has read no byte after this
                        // one. After an object it has read none; after a number it has read one.
                        if text.ends_with('}') {
                            take_text_records(window, &mut checker, *sink)
                        } else {
                            Ok(())
                        }
                    };
                    let found = map.next_value_seed(EntriesVisitor { key: "records", take, failure })?;
                    faults.refuse_non_object("records", "an object", found);
                }
                "history" => {
                    let Self { sink, faults, failure, has_history, .. } = &mut self;
                    let take = |instance_pk: String, text: &str| {
                        *has_history = true;
                        match version::read(instance_pk, text, faults) {
                            Some(version) => sink.version(version, faults),
                            None => Ok(()),
                        }
                    };
                    let found = map.next_value_seed(EntriesVisitor { key: "history", take, failure })?;
                    faults.refuse_non_object("history", "an object", found);
                }
                "files" => {
                    let Self { sink, faults, failure, .. } = &mut self;
                    let take = |pk: String, text: &str| match file::read_file(pk, text, faults) {
                        Ok(file) => sink.file(file, faults),
                        Err(pk) => {
                            sink.mark_file_refused(Some(pk));
                            Ok(())
                        }
                    };
                    let found = map.next_value_seed(EntriesVisitor { key: "files", take, failure })?;
                    faults.refuse_non_object("files", "an object", found);
                }
                "file_chunks" => {
                    let Self { sink, faults, failure, .. } = &mut self;
                    let take = |key: String, text: &str| match file::read_chunk(&key, text, faults) {
                        Ok(chunk) => sink.chunk(chunk, faults),
                        Err(file) => {
                            sink.mark_file_refused(file);
                            Ok(())
                        }
                    };
                    let found = map.next_value_seed(EntriesVisitor { key: "file_chunks", take, failure })?;
                    faults.refuse_non_object("file_chunks", "an object", found);
                }
                "classes" => {
                    let Self { sink, faults, failure, .. } = &mut self;
                    let take =
                        |name: String, text: &str| match entry::read_text(("classes", &name), text, faults) {
                            Some(definition) => sink.class(&name, definition, faults),
                            None => Ok(()),
                        };
                    let found = map.next_value_seed(EntriesVisitor { key: "classes", take, failure })?;
                    faults.refuse_non_object("classes", "an object: a definition for each class name", found);
                }
                "format" => self.format = Some(map.next_value::<PlainValue>()?.0),
                "format_version" => self.format_version = Some(map.next_value::<PlainValue>()?.0),
                "properties" => {
                    let PlainValue(properties) = map.next_value()?;
                    self.read_properties(properties).map_err(|error| self.abort(error))?;
                }
                extra if WORLDLET_EXTRA_KEYS.contains(&extra) => {
                    match json::parse(map.next_value::<Box<RawValue>>()?.get()) {
                        Ok(value) => {
                            self.sink.set_property(extra, &value).map_err(|error| self.abort(error))?
                        }
                        Err(error) => self.faults.refuse_unparsed(error, &Place::Key(&Place::Root, extra)),
                    }
                }
                unknown => {
                    map.next_value::<IgnoredAny>()?;
                    let place = Place::Key(&Place::Root, unknown);
                    self.faults.refuse(place.fault(format!("a worldlet has no key `{unknown}`")));
                }
            }
        }
        self.check_format();
        self.check_temporal();
        self.resolve_possible_stubs().map_err(|error| self.abort(error))
    }
}

/// Passes the records that follow in the text to the sink as [`TextRecord`]s, up to the first record that has
/// another form, or that the sink does not take. serde_json reads on from there.
fn take_text_records(
    window: &RefCell<Window<'_>>,
    checker: &mut TextChecker,
    sink: &mut dyn Sink,
) -> Result<()> {
    let window = &mut *window.borrow_mut();
    loop {
        let taken_length = match window.entry(checker) {
            // The entry has another form, or the window does not have all of it: the entry is tried again if
            // the window can be filled further.
            None => None,
            Some(entry) => match TextRecord::of(entry.key, &entry.value) {
                Some(record) if sink.text_record(&record)? => Some(entry.length()),
                _ => return Ok(()),
            },
        };
        match taken_length {
            Some(length) => window.take(length),
            None if window.fill() => {}
            None => return Ok(()),
        }
    }
}

impl WorldletVisitor<'_, '_> {
    /// Stores an error of the sink, and returns a serde error that ends the reading.
    fn abort<E: serde::de::Error>(&mut self, error: Error) -> E {
        *self.failure = Some(error);
        E::custom("aborted by the sink")
    }

    /// Whether the part read so far makes the worldlet temporal.
    fn worldlet_is_temporal(&self) -> bool {
        self.temporal == Some(true) || self.has_history
    }

    /// Refuses a worldlet that has a history although its `properties.temporal` is false.
    fn check_temporal(&mut self) {
        if self.has_history && self.temporal == Some(false) {
            let properties = Place::Key(&Place::Root, "properties");
            let message = "a worldlet with a history must be temporal";
            self.faults.refuse(Place::Key(&properties, "temporal").fault(message));
        }
    }

    /// Passes the possible stubs to the sink: as stubs if the worldlet is temporal, as records otherwise.
    fn resolve_possible_stubs(&mut self) -> Result<()> {
        let worldlet_is_temporal = self.worldlet_is_temporal();
        for (pk, text) in std::mem::take(&mut self.possible_stubs) {
            match record::Stub::read(&text) {
                Some(stub) if worldlet_is_temporal => self.sink.stub(pk, stub.created_at, self.faults)?,
                _ => {
                    if let Some(record) = record::read(pk, &text, self.faults) {
                        self.sink.record(record, self.faults)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads the key `properties`.
    fn read_properties(&mut self, properties: Value) -> Result<()> {
        let place = Place::Key(&Place::Root, "properties");
        let Value::Object(properties) = properties else {
            self.faults.refuse(place.wrong_type("an object", &properties));
            return Ok(());
        };
        for (key, value) in properties {
            let place = Place::Key(&place, &key);
            match (key.as_str(), &value) {
                ("temporal", Value::Bool(false)) => self.temporal = Some(false),
                ("temporal", Value::Bool(true)) if !self.sink.is_temporal() => {
                    self.faults.refuse(place.fault("a temporal worldlet goes into a temporal database only"));
                }
                ("temporal", Value::Bool(true)) => self.temporal = Some(true),
                ("executable", Value::Bool(_)) => self.sink.set_property("executable", &value)?,
                ("temporal" | "executable", other) => {
                    self.faults.refuse(place.wrong_type("a boolean", other))
                }
                (comment, _) if COMMENT_KEYS.contains(&comment) => {}
                _ => self.faults.refuse(place.fault(format!("a worldlet has no property `{key}`"))),
            }
        }
        Ok(())
    }

    /// Checks `format` and `format_version`. The format may be left out, or be `worldlet/VERSION` or
    /// `worldlet`. The older spelling has two keys: `worldlet` as the format, and a `format_version`. A
    /// version other than 1.0 is read as 1.0, with a warning.
    fn check_format(&mut self) {
        let place = Place::Key(&Place::Root, "format");
        let version = match (self.format.as_ref(), self.format_version.as_ref()) {
            (None, None) => return,
            (Some(Value::String(format)), format_version) => match (format.split_once('/'), format_version) {
                (Some(("worldlet", version)), None) => Some(version.to_owned()),
                (None, Some(Value::String(version))) if format == "worldlet" => Some(version.clone()),
                (None, None) if format == "worldlet" => return,
                _ => None,
            },
            _ => None,
        };
        match version.as_deref() {
            Some("1.0") => {}
            Some(other) => {
                let message = format!("this is version {other} of the format; it was read as {FORMAT}");
                let warning = ErrorItem::new(ErrorId::INVALID_WORLDLET, message).with("found", other);
                self.faults.warnings.push(place.with_pointer(warning));
            }
            None => {
                let found = self.format.clone().unwrap_or_default();
                self.faults.refuse(
                    place
                        .fault(format!("this is no worldlet: the format is `{FORMAT}`"))
                        .with("found", found),
                );
            }
        }
    }
}

/// Calls `take` with the key and the JSON text of each entry of an object, as soon as it is read.
struct EntriesVisitor<'r, F> {
    /// The top-level key of the object.
    key: &'static str,
    take: F,
    /// Stores the error of `take` that ends the reading.
    failure: &'r mut Option<Error>,
}

impl<'de, F: FnMut(String, &str) -> Result<()>> DeserializeSeed<'de> for EntriesVisitor<'_, F> {
    /// `None` for an object. Any other value is returned for the error message, an array without its
    /// elements.
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(String, &str) -> Result<()>> Visitor<'de> for EntriesVisitor<'_, F> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object of {}", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let text = map.next_value::<Box<RawValue>>()?;
            if let Err(error) = (self.take)(key, text.get()) {
                *self.failure = Some(error);
                return Err(A::Error::custom("aborted by the sink"));
            }
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(Value::Array(Vec::new())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_bool<E>(self, found: bool) -> Result<Self::Value, E> {
        Ok(Some(found.into()))
    }

    fn visit_i64<E>(self, found: i64) -> Result<Self::Value, E> {
        Ok(Some(found.into()))
    }

    fn visit_u64<E>(self, found: u64) -> Result<Self::Value, E> {
        Ok(Some(found.into()))
    }

    fn visit_f64<E>(self, found: f64) -> Result<Self::Value, E> {
        Ok(Some(found.into()))
    }

    fn visit_str<E>(self, found: &str) -> Result<Self::Value, E> {
        Ok(Some(found.into()))
    }
}
