//! Results, exports and imports of any size, chunk by chunk.

use std::fmt;
use std::io::{Read, Write};
use std::vec;

use miko_rpc::Result;

use super::{not_written, send_pieces};
use crate::mikobase::Mikobase;
use crate::query::Query;
use crate::record::Record;
use crate::streams::{Chunk, Source};
use crate::worldlet::Imported;

/// The records that a select finds, fetched chunk by chunk. They show the state of the moment in which the
/// stream was opened; later writes have no effect.
///
/// The client holds one chunk in memory. The server holds the order of the records, and the old content of
/// those that are overwritten meanwhile. If these become too many, or no chunk is fetched for five minutes,
/// the stream ends with `stream-expired`.
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
pub struct RecordStream<'m, M: Mikobase + ?Sized> {
    stream: Stream<'m, M>,
    records: vec::IntoIter<Record>,
}

impl<M: Mikobase + ?Sized> fmt::Debug for RecordStream<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream").field("id", &self.stream.id).finish_non_exhaustive()
    }
}

impl<'m, M: Mikobase + ?Sized> RecordStream<'m, M> {
    pub(crate) fn open(db: &'m M, query: Query) -> Result<Self> {
        let stream = Stream::open(db, Source::Select(query))?;
        Ok(Self { stream, records: Vec::new().into_iter() })
    }
}

impl<M: Mikobase + ?Sized> Iterator for RecordStream<'_, M> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.records.next() {
                return Some(Ok(record));
            }
            match self.stream.next()? {
                Ok(chunk) => self.records = chunk.records.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// An open stream. Dropping it closes it.
struct Stream<'m, M: Mikobase + ?Sized> {
    db: &'m M,
    id: String,
    index: u64,
    more: bool,
}

impl<'m, M: Mikobase + ?Sized> Stream<'m, M> {
    fn open(db: &'m M, source: Source) -> Result<Self> {
        Ok(Self { db, id: db.open_stream(source)?, index: 0, more: true })
    }
}

impl<M: Mikobase + ?Sized> Iterator for Stream<'_, M> {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Result<Chunk>> {
        if !self.more {
            return None;
        }
        let chunk = self.db.next_chunk(&self.id, self.index);
        self.index += 1;
        self.more = chunk.as_ref().is_ok_and(|chunk| chunk.more);
        Some(chunk)
    }
}

impl<M: Mikobase + ?Sized> Drop for Stream<'_, M> {
    fn drop(&mut self) {
        // If this fails, the server closes the stream after a timeout.
        let _ = self.db.close_stream(&self.id);
    }
}

/// Writes the whole state to `writer`.
pub(crate) fn export(db: &(impl Mikobase + ?Sized), writer: &mut dyn Write) -> Result<()> {
    for chunk in Stream::open(db, Source::Worldlet)? {
        writer.write_all(&chunk?.text).map_err(not_written)?;
    }
    writer.flush().map_err(not_written)
}

/// Imports the worldlet in `reader`.
pub(crate) fn import(db: &(impl Mikobase + ?Sized), reader: &mut dyn Read, trust: bool) -> Result<Imported> {
    let id = db.begin_import()?;
    let imported = send(db, &id, reader).and_then(|()| db.end_import(&id, trust));
    // If this fails, the server discards the text after a timeout.
    let _ = db.cancel_import(&id);
    imported
}

fn send(db: &(impl Mikobase + ?Sized), id: &str, reader: &mut dyn Read) -> Result<()> {
    send_pieces(reader, "the worldlet", |index, text| db.put_import(id, index, text))
}
