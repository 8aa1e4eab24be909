//! Streams of the store: the records that a select finds, and exports. A stream shows the state at the time
//! at which it was opened.

use std::vec;

use miko_rpc::{Error, ErrorId, Result, memory};

use crate::engine::store::Store;
use crate::engine::store::export::Export;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::snapshot::Snapshot;
use crate::query::{self, Query, Request, SelectRequest};
use crate::record::Record;
use crate::storage::Storage;
use crate::storage::ids::RowId;
use crate::storage::row::Row;
use crate::timestamp::Timestamp;

/// The position of a stream: what the stream has yet to return. The items are read from the snapshot of the
/// stream.
pub(in crate::engine) trait Cursor: Send + 'static {
    /// The items of the stream.
    type Item: 'static;

    /// The next item; `None` at the end.
    fn next<T: Storage>(&mut self, snapshot: &Snapshot<'_, T>) -> Result<Option<Self::Item>>;
}

/// The records that a select has found.
pub(in crate::engine) struct FoundRecords {
    /// The rows of the records that were not returned yet.
    rows: vec::IntoIter<RowId>,
    /// The time as of which the records are returned; `None` for their state in the snapshot of the stream.
    cutoff: Option<Timestamp>,
}

impl FoundRecords {
    /// The current records of these rows.
    pub(super) fn of(rows: Vec<RowId>) -> Self {
        Self { rows: rows.into_iter(), cutoff: None }
    }
}

impl Cursor for FoundRecords {
    type Item = Record;

    fn next<T: Storage>(&mut self, snapshot: &Snapshot<'_, T>) -> Result<Option<Record>> {
        for id in self.rows.by_ref() {
            let row = match self.cutoff {
                Some(cutoff) => snapshot.version_at(id, cutoff)?,
                None => snapshot.row(id)?,
            };
            if let Some(record) = row.as_ref().and_then(Row::view) {
                return Ok(Some(record.into()));
            }
        }
        Ok(None)
    }
}

/// The text of an export.
pub(in crate::engine) struct ExportText {
    export: Export,
    /// Text that was exported, and is returned piece by piece.
    text: Vec<u8>,
    /// The number of bytes at the start of `text` that were returned already.
    returned: usize,
    /// The largest piece in bytes.
    piece_size: usize,
}

/// The most steps of an export per piece. Each step writes one entry at most ([`Export::write_next`]). During
/// these steps the store is locked.
const MAX_STEPS: usize = 4096;

impl Cursor for ExportText {
    type Item = Vec<u8>;

    /// The next piece; `None` at the end. The piece is empty if [`MAX_STEPS`] steps have written nothing, as
    /// over deleted records.
    fn next<T: Storage>(&mut self, snapshot: &Snapshot<'_, T>) -> Result<Option<Vec<u8>>> {
        let mut has_more = true;
        // If the text that is left is shorter than a piece, more is exported.
        if self.text.len() - self.returned < self.piece_size {
            self.text.drain(..self.returned);
            self.returned = 0;
            for _ in 0..MAX_STEPS {
                has_more = self.export.write_next(snapshot, &mut self.text)?;
                if !has_more || self.text.len() >= self.piece_size {
                    break;
                }
            }
        }
        let rest = &self.text[self.returned..];
        let piece = &rest[..rest.len().min(self.piece_size)];
        self.returned += piece.len();
        Ok(Some(piece.to_vec()).filter(|piece| has_more || !piece.is_empty()))
    }
}

impl<T: Storage> Store<T> {
    /// Opens a stream of the records that a select finds.
    ///
    /// # Errors
    /// Every fault of the query; `invalid_request`, if the query is another action, or a select with
    /// `history`; the errors of [`open_stream`](Self::open_stream).
    pub(in crate::engine) fn open_select(&mut self, query: Query) -> Result<(StreamId, FoundRecords)> {
        let (Request::Select(select), _) = query::parse(query)? else {
            return Err(Error::new(ErrorId::INVALID_REQUEST, "only a `select` can be streamed"));
        };
        if select.history {
            let message = "versions are not streamed: a select with `history` gives all of them at once";
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pointer", "/history"));
        }
        self.open_select_of(&select)
    }

    /// As [`open_select`](Self::open_select), with a select that was parsed.
    pub(super) fn open_select_of(&mut self, select: &SelectRequest) -> Result<(StreamId, FoundRecords)> {
        let is_export = false;
        self.open_stream(is_export, |store| {
            let rows = match select.cutoff {
                None => store.select_current_rows(select)?,
                Some(cutoff) => store.rows_as_of(select, cutoff)?,
            };
            memory::charge(rows.len() * size_of::<RowId>())?;
            Ok(FoundRecords { rows: rows.into_iter(), cutoff: select.cutoff })
        })
    }

    /// Opens a stream of the whole state, in pieces of at most `piece_size` bytes.
    pub(in crate::engine) fn open_export(&mut self, piece_size: usize) -> Result<(StreamId, ExportText)> {
        let is_export = true;
        self.open_stream(is_export, |store| {
            let export = Export::of(&store.storage, store.last.get().row)?;
            Ok(ExportText { export, text: Vec::new(), returned: 0, piece_size })
        })
    }

    /// Opens a stream with the cursor that `find` returns. An export (`is_export`) is closed when a file is
    /// removed.
    ///
    /// The writes of an open group are committed first, since a stream must not show writes that may still be
    /// undone. A stream that a call of the open transaction opens shows the uncommitted writes of the
    /// transaction. It is closed when the transaction ends, or when a nested transaction whose writes it
    /// shows is rolled back.
    ///
    /// # Errors
    /// `storage-full`, if too many streams are open; the error of the open group, if it cannot be committed;
    /// the errors of `find`.
    pub(super) fn open_stream<C>(
        &mut self,
        is_export: bool,
        find: impl FnOnce(&mut Self) -> Result<C>,
    ) -> Result<(StreamId, C)> {
        self.streams.check_room()?;
        self.transaction.commit_group_so_far(&mut self.storage)?;
        self.publish_commits();
        self.transaction.before_select(&mut self.storage);
        let cursor = find(self)?;
        let open_transaction = self.transaction.user_transaction();
        let is_of_transaction = open_transaction.is_some_and(|transaction| transaction.runs_own_call);
        Ok((self.streams.open(self.last.get().commit, is_export, is_of_transaction), cursor))
    }

    /// The next item of a stream; `None` at its end.
    ///
    /// The stream does not show writes that were made after it was opened. The earlier writes of an open
    /// group were committed when it was opened. So the stream shows no write of a group that may still be
    /// undone.
    ///
    /// # Errors
    /// `stream-expired`, if the store has closed the stream; the errors of storage.
    pub(in crate::engine) fn next_stream_item<C: Cursor>(
        &self,
        id: StreamId,
        cursor: &mut C,
    ) -> Result<Option<C::Item>> {
        cursor.next(&self.streams.snapshot(id, &self.storage)?)
    }

    pub(in crate::engine) fn close_stream(&mut self, id: StreamId) {
        self.streams.close(id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mode::Mode;
    use crate::storage::memory::MemoryTables;
    use crate::storage::naive::NaiveStorage;

    const CLASS: &str = "a.b/c";

    fn store_with<T: Storage>(storage: T, records: usize) -> Store<T> {
        let mut store = Store::on(storage, Mode::ReadWrite).unwrap();
        create(&mut store, records);
        store
    }

    fn create<T: Storage>(store: &mut Store<T>, records: usize) {
        store.create_many(CLASS, vec![json!({}).into(); records]).unwrap();
    }

    fn run<T: Storage>(store: &mut Store<T>, request: Value) {
        store.run(query::parse(request).unwrap().0).unwrap();
    }

    /// The remaining pieces of an export.
    fn pieces<T: Storage>(store: &Store<T>, (id, mut text): (StreamId, ExportText)) -> Vec<String> {
        let next = || store.next_stream_item(id, &mut text).unwrap();
        std::iter::from_fn(next).map(|piece| String::from_utf8(piece).unwrap()).collect()
    }

    #[test]
    fn an_export_does_not_read_the_rows_that_were_inserted_after_it_was_opened() {
        let mut store = store_with(NaiveStorage::new(false), 3);
        let export = store.open_export(1 << 16).unwrap();
        create(&mut store, 50);
        store.storage.rows_read.set(0);
        let worldlet: Value = serde_json::from_str(&pieces(&store, export).concat()).unwrap();
        assert_eq!(worldlet["records"].as_object().unwrap().len(), 3);
        assert_eq!(store.storage.rows_read.get(), 3);
    }

    #[test]
    fn an_export_buffers_at_most_a_piece_and_the_text_of_one_version() {
        const PIECE: usize = 4096;
        const LONGEST_VERSION: usize = 2048;
        let mut store = store_with(NaiveStorage::new(true), 0);
        let text = "x".repeat(1024);
        run(&mut store, json!({"action": "create", "pk": "p", "bucket": {"n": 0, "text": text}}));
        for n in 1..50 {
            run(&mut store, json!({"action": "patch", "pk": "p", "bucket": {"n": n}}));
        }
        let (id, mut export) = store.open_export(PIECE).unwrap();
        let mut text = Vec::new();
        while let Some(piece) = store.next_stream_item(id, &mut export).unwrap() {
            text.extend(piece);
            assert!(export.text.len() <= PIECE + LONGEST_VERSION, "{}", export.text.len());
            // Later writes are not shown.
            run(&mut store, json!({"action": "patch", "pk": "p", "bucket": {"n": -1}}));
        }
        let worldlet: Value = serde_json::from_slice(&text).unwrap();
        let versions = worldlet["history"].as_object().unwrap().values();
        let numbers = versions.map(|version| version["bucket"]["n"].as_i64().unwrap());
        assert_eq!(numbers.collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn an_export_unlocks_the_store_after_a_bounded_number_of_deleted_records() {
        let mut store = store_with(MemoryTables::new(false), 2 * MAX_STEPS);
        run(&mut store, json!({"action": "delete", "where": {"class": CLASS}}));
        create(&mut store, 1);
        let export = store.open_export(1 << 16).unwrap();
        let pieces = pieces(&store, export);
        let is_empty: Vec<bool> = pieces.iter().map(String::is_empty).collect();
        assert_eq!(is_empty, [false, true, false], "{pieces:?}");
        let worldlet: Value = serde_json::from_str(&pieces.concat()).unwrap();
        assert_eq!(worldlet["records"].as_object().unwrap().len(), 1);
    }
}
