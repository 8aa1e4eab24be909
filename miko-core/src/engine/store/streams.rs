//! Streams that are open: each goes through the state of the moment in which it was opened.
//!
//! A stream has the row numbers of its records, and keeps rows that were replaced since. So it takes only the
//! memory of those numbers until a record that it has yet to read is written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::store::Store;
use crate::engine::store::export::Export;
use crate::engine::store::snapshot::{Kept, Snapshot};
use crate::engine::store::turn::Turn;
use crate::query::{self, Request, SelectRequest};
use crate::record::Record;
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::{Row, State};
use crate::storage::write_set::RowChange;
use crate::streams::{Chunk, Source};
use crate::timestamp::Timestamp;

/// A stream that nobody reads on for so long is closed.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How many may be open.
const MOST: usize = 1024;

/// How many bytes of overwritten rows all of them may keep: 64 MiB.
const MAX_PRE_IMAGE_BYTES: usize = 64 << 20;

/// How many bytes make a chunk, and how many records at most.
const CHUNK: usize = 1 << 18;
const CHUNK_RECORDS: usize = 4096;

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<String, Open>,
    /// How many bytes of overwritten rows they keep.
    kept: usize,
}

#[derive(Debug)]
struct Open {
    /// The last write that it shows.
    since: CommitSeq,
    kept: Kept,
    /// How many bytes of rows it keeps.
    size: usize,
    now: Cursor,
    /// Where it was before the last chunk, which may be asked for again, as a call may be made again.
    before: Cursor,
    /// How many chunks have been fetched.
    chunks: u64,
    touched: Instant,
}

/// Where a stream is.
#[derive(Debug, Clone)]
enum Cursor {
    Records { rows: Arc<Vec<RowId>>, next: usize, cutoff: Option<Timestamp> },
    Worldlet(Export),
}

impl<T: Storage> Store<T> {
    /// Opens a stream and gives its name.
    pub(in crate::engine) fn open_stream(&mut self, mut source: Source) -> Result<String> {
        self.transaction.settle(&mut self.storage)?;
        self.transaction.before_select(&mut self.storage)?;
        let cursor = match &mut source {
            Source::Worldlet => Cursor::Worldlet(Export::of(&self.storage)?),
            Source::Select(query) => match query::parse(query.take())? {
                (Request::Select(select), _) => self.rows_of(&select)?,
                _ => return Err(Error::new(ErrorId::INVALID_REQUEST, "only a `select` can be streamed")),
            },
        };
        self.streams.close_forgotten();
        let open = Open {
            since: self.last.get().commit,
            kept: Kept::default(),
            size: 0,
            before: cursor.clone(),
            now: cursor,
            chunks: 0,
            touched: Instant::now(),
        };
        let id = self.pks.next(Timestamp::now());
        self.streams.open.insert(id.clone(), open);
        Ok(id)
    }

    fn rows_of(&self, select: &SelectRequest) -> Result<Cursor> {
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

    /// The next chunk of a stream, or the last one again.
    pub(in crate::engine) fn next_chunk(&mut self, id: &str, index: u64) -> Result<Chunk> {
        self.transaction.settle(&mut self.storage)?;
        let open = self.streams.open.get_mut(id).ok_or_else(|| expired(id))?;
        let before = match Turn::of(index, open.chunks, "chunks are fetched one after another")? {
            Turn::Next => open.now.clone(),
            Turn::Again => open.before.clone(),
        };
        let snapshot = Snapshot::since(&self.storage, open.since, &open.kept);
        let mut now = before.clone();
        let chunk = match &mut now {
            Cursor::Records { rows, next, cutoff } => next_records(&snapshot, rows, next, *cutoff)?,
            Cursor::Worldlet(export) => next_text(&snapshot, export)?,
        };
        (open.now, open.before, open.chunks, open.touched) = (now, before, index + 1, Instant::now());
        Ok(chunk)
    }

    pub(in crate::engine) fn close_stream(&mut self, id: &str) {
        self.streams.close(id);
    }

    /// A file is about to be deleted: exports that may have named it cannot go on.
    pub(super) fn end_exports(&mut self) {
        let exports = self.streams.open.iter().filter(|(_, open)| matches!(open.now, Cursor::Worldlet(_)));
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
        && size < CHUNK
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
    while more && text.len() < CHUNK {
        more = export.write_on(snapshot, &mut text)?;
    }
    Ok(Chunk { records: Vec::new().into(), text: text.into(), more })
}

impl Streams {
    /// Keeps the rows that a write replaces, for the streams that have yet to read them.
    pub(super) fn keep_replaced(&mut self, changes: &[RowChange<RowId, Row>]) {
        if self.open.is_empty() {
            return;
        }
        for RowChange { key, before, .. } in changes {
            if let Some(before) = before {
                self.keep(*key, before);
            }
        }
    }

    fn keep(&mut self, id: RowId, row: &Row) {
        let (size, mut copy) = (size_of_row(row), None);
        for open in self.open.values_mut().filter(|open| row.commit <= open.since) {
            if let Entry::Vacant(free) = open.kept.entry(id) {
                free.insert(Arc::clone(copy.get_or_insert_with(|| Arc::new(row.clone()))));
                (open.size, self.kept) = (open.size + size, self.kept + size);
            }
        }
        while self.kept > MAX_PRE_IMAGE_BYTES
            && let Some(largest) = self.open.iter().max_by_key(|(_, open)| open.size)
        {
            let id = largest.0.clone();
            self.close(&id);
        }
    }

    fn close(&mut self, id: &str) {
        if let Some(open) = self.open.remove(id) {
            self.kept -= open.size;
        }
    }

    /// Closes what nobody reads any more, and what nobody has read for longest if there are too many.
    fn close_forgotten(&mut self) {
        let forgotten: Vec<String> = self
            .open
            .iter()
            .filter(|(_, open)| open.touched.elapsed() > PATIENCE)
            .map(|(id, _)| id.clone())
            .collect();
        forgotten.iter().for_each(|id| self.close(id));
        while self.open.len() >= MOST
            && let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.touched)
        {
            let id = oldest.0.clone();
            self.close(&id);
        }
    }
}

/// How many bytes a row takes in memory, about.
fn size_of_row(row: &Row) -> usize {
    size_of::<Row>() + row.pk.len() + row.state.as_ref().map_or(0, State::text_length)
}

fn expired(id: &str) -> Error {
    let message = "there is no such stream: it was closed, nobody read it for some minutes, or too much \
        was overwritten that it had yet to show";
    Error::new(ErrorId::STREAM_EXPIRED, message).with("stream", id)
}
