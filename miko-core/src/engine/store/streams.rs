//! Open streams: each returns the state at the time at which it was opened, in chunks.
//!
//! A stream of records holds the ids of its rows, not their content. While a stream is open, each write saves
//! the pre-images of the rows that it overwrites: of all rows that are in the snapshot of the stream, also of
//! those that the stream has already sent; once per row and stream.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::store::Store;
use crate::engine::store::chunk_order::ChunkOrder;
use crate::engine::store::export::Export;
use crate::engine::store::snapshot::{PreImages, Snapshot};
use crate::query::{self, Request, SelectRequest};
use crate::record::Record;
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{Row, State};
use crate::storage::write_set::RowChange;
use crate::streams::{Chunk, Source};
use crate::timestamp::Timestamp;

/// A stream that is not read for longer is closed when another stream is opened.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The maximum number of open streams. Opening another one closes the one that was not read for longest.
const MAX_OPEN_STREAMS: usize = 1024;

/// The maximum size of the pre-images of all streams: 64 MiB. Beyond it the stream with most is closed.
const MAX_PRE_IMAGE_BYTES: usize = 64 << 20;

/// A chunk ends with the entry that reaches this size, in bytes.
const CHUNK_BYTES: usize = 1 << 18;

/// The maximum number of records in a chunk.
const CHUNK_RECORDS: usize = 4096;

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<String, OpenStream>,
    /// The size of the pre-images of all streams. A pre-image that several streams have counts for each.
    pre_image_bytes: usize,
}

#[derive(Debug)]
struct OpenStream {
    /// The last commit before the stream was opened.
    snapshot_commit: CommitSeq,
    pre_images: PreImages,
    pre_image_bytes: usize,
    cursor: Cursor,
    /// The cursor before the last chunk, which is fetched again if its call is repeated.
    previous_cursor: Cursor,
    /// The number of chunks fetched.
    chunks: u64,
    last_read: Instant,
}

/// The position of a stream.
#[derive(Debug, Clone)]
enum Cursor {
    /// `next` is an index into `rows`.
    Records {
        rows: Arc<Vec<RowId>>,
        next: usize,
        cutoff: Option<Timestamp>,
    },
    Worldlet(Export),
}

impl<T: Storage> Store<T> {
    /// Opens a stream and returns its id.
    pub(in crate::engine) fn open_stream(&mut self, mut source: Source) -> Result<String> {
        self.transaction.settle(&mut self.storage)?;
        self.transaction.before_select(&mut self.storage)?;
        let cursor = match &mut source {
            Source::Worldlet => Cursor::Worldlet(Export::of(&self.storage)?),
            Source::Select(query) => match query::parse(query.take())? {
                (Request::Select(select), _) => self.select_cursor(&select)?,
                _ => return Err(Error::new(ErrorId::INVALID_REQUEST, "only a `select` can be streamed")),
            },
        };
        self.streams.close_idle();
        let stream = OpenStream {
            snapshot_commit: self.last.get().commit,
            pre_images: PreImages::default(),
            pre_image_bytes: 0,
            previous_cursor: cursor.clone(),
            cursor,
            chunks: 0,
            last_read: Instant::now(),
        };
        let id = self.pks.next(Timestamp::now());
        self.streams.open.insert(id.clone(), stream);
        Ok(id)
    }

    /// Runs a select and returns a cursor at its first record.
    fn select_cursor(&self, select: &SelectRequest) -> Result<Cursor> {
        if select.history {
            let message = "versions are not streamed: a select with `history` gives all of them at once";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pointer", "/history"));
        }
        let rows = match select.cutoff {
            None => self.select_rows_now(select)?,
            Some(cutoff) => self.rows_as_of(select, cutoff)?,
        };
        Ok(Cursor::Records { rows: rows.into(), next: 0, cutoff: select.cutoff })
    }

    /// The next chunk of a stream, or the last one again if the call is a retry.
    pub(in crate::engine) fn next_chunk(&mut self, id: &str, index: u64) -> Result<Chunk> {
        self.transaction.settle(&mut self.storage)?;
        let stream = self.streams.open.get_mut(id).ok_or_else(|| expired(id))?;
        let start = match ChunkOrder::of(index, stream.chunks, "chunks are fetched one after another")? {
            ChunkOrder::Next => stream.cursor.clone(),
            ChunkOrder::Retry => stream.previous_cursor.clone(),
        };
        let snapshot = Snapshot::at(&self.storage, stream.snapshot_commit, &stream.pre_images);
        let mut cursor = start.clone();
        let chunk = match &mut cursor {
            Cursor::Records { rows, next, cutoff } => next_records(&snapshot, rows, next, *cutoff)?,
            Cursor::Worldlet(export) => next_text(&snapshot, export)?,
        };
        (stream.cursor, stream.previous_cursor) = (cursor, start);
        (stream.chunks, stream.last_read) = (index + 1, Instant::now());
        Ok(chunk)
    }

    pub(in crate::engine) fn close_stream(&mut self, id: &str) {
        self.streams.close(id);
    }

    /// Closes the streams of worldlets. Called before a file is deleted, which they may have listed already:
    /// files have no pre-images.
    pub(super) fn end_exports(&mut self) {
        let exports =
            self.streams.open.iter().filter(|(_, stream)| matches!(stream.cursor, Cursor::Worldlet(_)));
        let exports: Vec<String> = exports.map(|(id, _)| id.clone()).collect();
        exports.iter().for_each(|id| self.streams.close(id));
    }
}

fn next_records<T: Storage>(
    snapshot: &Snapshot<'_, T>,
    rows: &[RowId],
    next: &mut usize,
    cutoff: Option<Timestamp>,
) -> Result<Chunk> {
    let (mut records, mut size) = (Vec::new(), 0);
    while let Some(&id) = rows.get(*next)
        && size < CHUNK_BYTES
        && records.len() < CHUNK_RECORDS
    {
        *next += 1;
        let row = match cutoff {
            Some(cutoff) => snapshot.version_at(id, cutoff)?,
            None => snapshot.row(id)?,
        };
        if let Some(row) = &row
            && let Some(record) = row.view()
        {
            size += size_of_row(row);
            records.push(Record::from(record));
        }
    }
    Ok(Chunk { records: records.into(), text: Vec::new().into(), more: *next < rows.len() })
}

fn next_text<T: Storage>(snapshot: &Snapshot<'_, T>, export: &mut Export) -> Result<Chunk> {
    let mut text = Vec::new();
    let mut more = true;
    while more && text.len() < CHUNK_BYTES {
        more = export.write_on(snapshot, &mut text)?;
    }
    Ok(Chunk { records: Vec::new().into(), text: text.into(), more })
}

impl Streams {
    /// Saves the rows that a write is about to overwrite, for the streams whose snapshots have them.
    pub(super) fn save_pre_images(&mut self, changes: &[RowChange<RowId, Row>]) {
        if self.open.is_empty() {
            return;
        }
        for RowChange { key, before, .. } in changes {
            if let Some(before) = before {
                self.save_pre_image(*key, before);
            }
        }
    }

    fn save_pre_image(&mut self, id: RowId, row: &Row) {
        let (size, mut copy) = (size_of_row(row), None);
        for stream in self.open.values_mut().filter(|stream| row.commit <= stream.snapshot_commit) {
            if let Entry::Vacant(vacant) = stream.pre_images.entry(id) {
                vacant.insert(Arc::clone(copy.get_or_insert_with(|| Arc::new(row.clone()))));
                stream.pre_image_bytes += size;
                self.pre_image_bytes += size;
            }
        }
        while self.pre_image_bytes > MAX_PRE_IMAGE_BYTES
            && let Some(largest) = self.open.iter().max_by_key(|(_, stream)| stream.pre_image_bytes)
        {
            let id = largest.0.clone();
            self.close(&id);
        }
    }

    fn close(&mut self, id: &str) {
        if let Some(stream) = self.open.remove(id) {
            self.pre_image_bytes -= stream.pre_image_bytes;
        }
    }

    /// Closes the idle streams, then the ones that were not read for longest until another can be opened.
    fn close_idle(&mut self) {
        let idle: Vec<String> = self
            .open
            .iter()
            .filter(|(_, stream)| stream.last_read.elapsed() > IDLE_TIMEOUT)
            .map(|(id, _)| id.clone())
            .collect();
        idle.iter().for_each(|id| self.close(id));
        while self.open.len() >= MAX_OPEN_STREAMS
            && let Some(oldest) = self.open.iter().min_by_key(|(_, stream)| stream.last_read)
        {
            let id = oldest.0.clone();
            self.close(&id);
        }
    }
}

/// The approximate size of a row in memory, in bytes.
fn size_of_row(row: &Row) -> usize {
    size_of::<Row>() + row.pk.len() + row.state.as_ref().map_or(0, State::text_length)
}

fn expired(id: &str) -> Error {
    let message = "there is no such stream: it was closed, nobody read it for some minutes, or too much \
        was overwritten that it had yet to show";
    Error::new(ErrorId::STREAM_EXPIRED, message).with("stream", id)
}
