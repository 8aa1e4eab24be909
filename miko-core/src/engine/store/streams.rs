//! Streams of the store: the records that a select finds, and exports. Each shows the state at the time at
//! which it was opened.

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

/// The position of a stream: the items that it has yet to return.
pub(in crate::engine) trait Cursor: Send + 'static {
    /// The items of the stream.
    type Item: 'static;

    /// The next item; `None` at the end.
    fn next<T: Storage>(&mut self, snapshot: &Snapshot<'_, T>) -> Result<Option<Self::Item>>;
}

/// The records that a select has found.
pub(in crate::engine) struct FoundRecords {
    rows: vec::IntoIter<RowId>,
    cutoff: Option<Timestamp>,
}

impl FoundRecords {
    /// The current records of rows.
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
    /// The entries that were written last.
    text: Vec<u8>,
    /// How many bytes of `text` were returned.
    returned: usize,
    /// The largest piece in bytes.
    piece_size: usize,
}

impl Cursor for ExportText {
    type Item = Vec<u8>;

    fn next<T: Storage>(&mut self, snapshot: &Snapshot<'_, T>) -> Result<Option<Vec<u8>>> {
        if self.text.len() - self.returned < self.piece_size {
            self.text.drain(..self.returned);
            self.returned = 0;
            while self.text.len() < self.piece_size && self.export.write_next(snapshot, &mut self.text)? {}
        }
        let rest = &self.text[self.returned..];
        let piece = &rest[..rest.len().min(self.piece_size)];
        self.returned += piece.len();
        Ok(Some(piece.to_vec()).filter(|piece| !piece.is_empty()))
    }
}

impl<T: Storage> Store<T> {
    /// Opens a stream of the records that a select finds.
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
        self.open_stream(false, |store| {
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
        self.open_stream(true, |store| {
            Ok(ExportText { export: Export::of(&store.storage)?, text: Vec::new(), returned: 0, piece_size })
        })
    }

    /// Opens a stream of the items that `find` finds. The writes of an open group are committed first, since
    /// they may still be undone. A stream that a call of the open transaction opens shows its uncommitted
    /// writes, and is closed when the transaction ends.
    pub(super) fn open_stream<C>(
        &mut self,
        is_export: bool,
        find: impl FnOnce(&mut Self) -> Result<C>,
    ) -> Result<(StreamId, C)> {
        self.streams.check_room()?;
        self.transaction.commit_group_so_far(&mut self.storage)?;
        self.publish_commits();
        self.transaction.before_select(&mut self.storage)?;
        let cursor = find(self)?;
        let is_of_transaction = self.transaction.user().is_some_and(|user| user.runs_own_call);
        Ok((self.streams.open(self.last.get().commit, is_export, is_of_transaction), cursor))
    }

    /// The next item of a stream; `None` at its end.
    ///
    /// The stream does not show writes that were made after it was opened. Opening it committed the earlier
    /// writes of the open group, so the stream shows no write of a group that may still be undone.
    pub(in crate::engine) fn next_of<C: Cursor>(
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
