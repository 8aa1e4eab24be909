//! Exports the whole state as a worldlet, entry by entry.

use std::io::Write;

use miko_rpc::{Result, memory, to_base64};
use serde_json::Value;

use crate::engine::store::files::WHOLE_CHUNK;
use crate::engine::store::snapshot::Snapshot;
use crate::engine::store::stored_json::stored_mime;
use crate::storage::ids::{CommitSeq, FileId, RowId};
use crate::storage::row::{FileRow, RecordRef, Row, State};
use crate::storage::{Storage, each_file};
use crate::timestamp::Timestamp;
use crate::transfer::not_written;
use crate::worldlet::{Encoding, FORMAT, WORLDLET_EXTRA_KEYS, bare_value};

/// Writes the current state of storage as a worldlet. Each entry has a line of its own, and the records are
/// in order of creation, so that two exports can be compared line by line. The order of creation is that of
/// the row ids. In a temporal database it is that of `created_at`, then of pks: there the row ids only show
/// the order of arrival, which may differ after a merge.
///
/// # Errors
/// The errors of storage; the error of a failed write to `writer`.
pub(in crate::engine) fn write(storage: &impl Storage, writer: &mut dyn Write) -> Result<()> {
    // No row is added during this export, so its rows need no upper limit.
    let last_row = RowId(i64::MAX);
    let (mut export, snapshot) = (Export::of(storage, last_row)?, Snapshot::current(storage));
    let mut text = Vec::new();
    while export.write_next(&snapshot, &mut text)? {
        if text.len() >= FLUSH_SIZE {
            writer.write_all(&text).map_err(not_written)?;
            text.clear();
        }
    }
    writer.write_all(&text).map_err(not_written)
}

/// The text of an export is written to its writer as soon as it has this many bytes.
const FLUSH_SIZE: usize = 1 << 16;

/// An export in progress. It can stop after each entry and continue later.
#[derive(Debug)]
pub(in crate::engine) struct Export {
    /// The part that is written next.
    part: Part,
    /// Whether the object that is being written has an entry so far. If so, a comma precedes the next entry.
    has_entry: bool,
    /// The text before the first record.
    head: Box<str>,
    /// The last row that existed when the export began. Later rows are not read.
    last_row: RowId,
    /// The files that were complete when the export began, in the order of the export.
    files: Box<[FileId]>,
    /// In a temporal database: the records that existed when the export began, by the time of their creation,
    /// then by pk. `None` in any other database.
    ordered: Option<Box<[RowId]>>,
    /// While the history of a record is written: the [position](Row::position) of the last version that was
    /// written. Before the first version of a record: a position before all versions.
    last_version: (Timestamp, String),
}

/// A part of the text of an export.
#[derive(Debug, Clone, Copy)]
enum Part {
    Head,
    /// The first record after this row. Only if the database is not temporal.
    Records(RowId),
    /// The stub of the record at this index of `ordered`. Only in a temporal database.
    Stubs(usize),
    /// The version after `last_version`, of the record at this index of `ordered`. Only in a temporal
    /// database.
    History(usize),
    /// The metadata of the file at this index of `files`.
    Files(usize),
    /// The chunk with the index `chunk` of a file. `file` is the index of the file in `files`.
    Chunks {
        file: usize,
        chunk: u64,
    },
    /// The closing brace.
    End,
    /// The export is complete.
    Done,
}

impl Export {
    /// Begins an export of the current state. No row of this state has a larger id than `last_row`.
    pub(super) fn of(storage: &impl Storage, last_row: RowId) -> Result<Self> {
        let (mut files, mut size) = (Vec::new(), 0);
        each_file(storage, |id, file| {
            size += sort_entry_size(&file.pk);
            files.extend(file.sha256.map(|_| (file.created_at, file.pk, id)));
        })?;
        memory::charge(size)?;
        let mut ordered = None;
        // In a temporal database, records and files are sorted by `created_at`, then by pk. In any other
        // database they stay in the order of their ids.
        if storage.capabilities().is_temporal {
            files.sort_unstable();
            ordered = Some(records_in_order_of_creation(storage)?.into());
        }
        let files = files.into_iter().map(|(.., id)| id).collect();
        let head = head(storage)?.into();
        Ok(Self {
            part: Part::Head,
            has_entry: false,
            head,
            last_row,
            files,
            ordered,
            last_version: position_before_versions(),
        })
    }

    /// Appends the next entry to `text`, or the text before, between or behind the objects of entries.
    /// Returns `false` when the export is complete: the first call that returns `false` writes the end of the
    /// text. A call may write nothing and return `true`: at a tombstone in a database that is not temporal,
    /// after the last version of a record, and after the last chunk of a file.
    pub(super) fn write_next<T: Storage>(
        &mut self,
        snapshot: &Snapshot<'_, T>,
        text: &mut Vec<u8>,
    ) -> Result<bool> {
        let mut writer = EntryWriter { text, has_entry: self.has_entry };
        self.part = match self.part {
            Part::Head => {
                writer.text.extend_from_slice(self.head.as_bytes());
                if self.ordered.is_some() { Part::Stubs(0) } else { Part::Records(RowId::default()) }
            }
            Part::Records(last) => match snapshot.row_after(last, self.last_row)? {
                Some((id, row)) => {
                    if let Some(record) = row.view() {
                        writer.write_record(&record);
                    }
                    Part::Records(id)
                }
                None => self.end_records(&mut writer),
            },
            Part::Stubs(index) => match self.ordered.as_deref().unwrap_or_default().get(index) {
                Some(&id) => {
                    if let Some(row) = snapshot.row(id)? {
                        writer.write_stub(&row);
                    }
                    Part::Stubs(index + 1)
                }
                None => {
                    writer.next_object(r#","history":{"#);
                    Part::History(0)
                }
            },
            Part::History(index) => match self.ordered.as_deref().unwrap_or_default().get(index) {
                // Versions are read one by one: a record may have any number of them.
                Some(&id) => match snapshot.next_version(id, (self.last_version.0, &self.last_version.1))? {
                    Some(version) => {
                        writer.write_version(&version);
                        self.last_version = (version.updated_at, version.instance_pk.unwrap_or_default());
                        Part::History(index)
                    }
                    None => {
                        self.last_version = position_before_versions();
                        Part::History(index + 1)
                    }
                },
                None => self.end_records(&mut writer),
            },
            Part::Files(index) => match self.files.get(index) {
                Some(&id) => {
                    if let Some((_, file)) = stored_file(snapshot.storage, id)? {
                        writer.write_file(&file)?;
                    }
                    Part::Files(index + 1)
                }
                None => {
                    writer.next_object(r#","file_chunks":{"#);
                    Part::Chunks { file: 0, chunk: 0 }
                }
            },
            Part::Chunks { file: file_index, chunk } => match self.files.get(file_index) {
                Some(&id) => match snapshot.storage.chunk(id, chunk, 0, WHOLE_CHUNK)? {
                    Some((data, _)) => {
                        // Reads no bytes of the next chunk: only whether there is one.
                        let is_last = snapshot.storage.chunk(id, chunk + 1, 0, 0)?.is_none();
                        if let Some((_, file)) = stored_file(snapshot.storage, id)? {
                            writer.write_chunk(&file, chunk, is_last, &data)?;
                        }
                        Part::Chunks { file: file_index, chunk: chunk + 1 }
                    }
                    None => Part::Chunks { file: file_index + 1, chunk: 0 },
                },
                None => {
                    writer.end_object();
                    Part::End
                }
            },
            Part::End => {
                writer.text.push(b'}');
                Part::Done
            }
            Part::Done => Part::Done,
        };
        self.has_entry = writer.has_entry;
        Ok(!matches!(self.part, Part::Done))
    }

    /// Ends the object of the records, or in a temporal database that of the history. Returns the next part.
    fn end_records(&self, writer: &mut EntryWriter<'_>) -> Part {
        if self.files.is_empty() {
            writer.end_object();
            return Part::End;
        }
        writer.next_object(r#","files":{"#);
        Part::Files(0)
    }
}

/// A file by its id. Storage only finds the first file after an id, so it gets the id before this one. The
/// file exists: when a file is deleted, all exports are closed.
fn stored_file(storage: &impl Storage, id: FileId) -> Result<Option<(FileId, FileRow)>> {
    storage.next_file(FileId(id.0 - 1))
}

/// A position before all versions of a record.
fn position_before_versions() -> (Timestamp, String) {
    (Timestamp::from_millis(i64::MIN), String::new())
}

/// All records, also deleted ones, by `created_at`, then pk.
fn records_in_order_of_creation(storage: &impl Storage) -> Result<Vec<RowId>> {
    let (mut created, mut last) = (Vec::new(), RowId::default());
    // Rows with any commit number: all are larger than the default.
    while let Some((id, row)) = storage.next_row(last, CommitSeq::default())? {
        last = id;
        memory::charge(sort_entry_size(&row.pk))?;
        created.push((row.created_at, row.pk, id));
    }
    created.sort_unstable();
    Ok(created.into_iter().map(|(.., id)| id).collect())
}

/// The bytes that a record or a file with this pk takes in the lists that are sorted. After the sort only its
/// id is kept.
fn sort_entry_size(pk: &str) -> usize {
    size_of::<(Timestamp, String, RowId)>() + pk.len()
}

/// The text before the first record.
fn head(storage: &impl Storage) -> Result<String> {
    let executable = storage.metadata("executable")?.unwrap_or(Value::Bool(false));
    let temporal = storage.capabilities().is_temporal;
    let mut head =
        format!(r#"{{"format":"{FORMAT}","properties":{{"temporal":{temporal},"executable":{executable}}}"#);
    for key in WORLDLET_EXTRA_KEYS {
        if let Some(value) = storage.metadata(key)? {
            head.push_str(&format!(r#","{key}":{value}"#));
        }
    }
    head.push_str(r#","records":{"#);
    Ok(head)
}

/// Writes the entries of an object, one per line.
struct EntryWriter<'t> {
    text: &'t mut Vec<u8>,
    /// Whether the object has an entry so far. If so, a comma precedes the next entry.
    has_entry: bool,
}

impl EntryWriter<'_> {
    fn write_record(&mut self, record: &RecordRef<'_>) {
        self.begin_entry(record.pk);
        // If the record is a bare value (see `bare_value`) and has no extras, the value alone is written.
        if let Some(value) = bare_value(record.bucket, record.stack).filter(|_| record.extras.is_none()) {
            return self.add(value);
        }
        self.write_state(r#"{"bucket":"#, record.bucket, record.stack, record.extras);
        self.add(&format!(r#","created_at":"{}","updated_at":"{}"}}"#, record.created_at, record.updated_at));
    }

    /// Writes the stub of a record. Its versions follow in the history.
    fn write_stub(&mut self, row: &Row) {
        self.begin_entry(&row.pk);
        self.add(&format!(r#"{{"created_at":"{}"}}"#, row.created_at));
    }

    fn write_version(&mut self, version: &Row) {
        self.begin_entry(version.instance_pk.as_deref().unwrap_or_default());
        let identity = Value::from(version.pk.as_str());
        let (time, active) = (version.updated_at, version.state.is_some());
        self.add(&format!(r#"{{"identity":{identity},"timestamp":"{time}","active":{active}"#));
        if let Some(State { bucket, stack, extras }) = &version.state {
            self.write_state(r#","bucket":"#, bucket, stack, extras.as_deref());
        }
        self.add("}");
    }

    fn write_file(&mut self, file: &FileRow) -> Result<()> {
        let (_, mime) = stored_mime(&file.mime)?;
        self.begin_entry(&file.pk);
        let (sha256, time) = (file.sha256.as_deref().unwrap_or_default(), file.created_at);
        self.add(&format!(r#"{{"sha256":"{sha256}","mime":{mime},"created_at":"{time}"}}"#));
        Ok(())
    }

    fn write_chunk(&mut self, file: &FileRow, index: u64, is_last: bool, data: &[u8]) -> Result<()> {
        let (_, mime) = stored_mime(&file.mime)?;
        self.begin_entry(&format!("{}/{index}", file.pk));
        let pk = Value::from(file.pk.as_str());
        self.add(&format!(r#"{{"file":{pk},"index":{index},"last":{is_last},"data":"#));
        // The `mime` of a file says whether the file was imported as text. If so, it is written as text
        // again. Each chunk of such a file is UTF-8: it was a JSON string.
        let as_text = (Encoding::of(&mime) == Encoding::Text).then(|| std::str::from_utf8(data).ok());
        let data = as_text.flatten().map_or_else(|| to_base64(data), str::to_owned);
        self.add(&Value::from(data).to_string());
        self.add("}");
        Ok(())
    }

    /// Writes `head`, which is the text up to the bucket, then the bucket, the stack and the extras.
    fn write_state(&mut self, head: &str, bucket: &str, stack: &str, extras: Option<&str>) {
        for part in [head, bucket, r#","stack":"#, stack] {
            self.add(part);
        }
        // The extras are an object. Its members become members of the entry, beside the bucket and the stack.
        if let Some(members) = extras.and_then(|extras| extras.strip_prefix('{')?.strip_suffix('}')) {
            self.add(",");
            self.add(members);
        }
    }

    /// Begins the next entry, with this key.
    fn begin_entry(&mut self, key: &str) {
        self.add(if self.has_entry { ",\n" } else { "\n" });
        self.add(&Value::from(key).to_string());
        self.add(":");
        self.has_entry = true;
    }

    fn end_object(&mut self) {
        self.add(if self.has_entry { "\n}" } else { "}" });
        self.has_entry = false;
    }

    /// Ends the object, and begins the next one with the text `begin`.
    fn next_object(&mut self, begin: &str) {
        self.end_object();
        self.add(begin);
    }

    fn add(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }
}
