//! The open streams of a store, and the pre-images that they need.
//!
//! A stream shows a [`Snapshot`]: the state after the last commit before the stream was opened. A stream
//! holds at most the ids of its rows, not their content. So while a stream is open, writes save pre-images
//! for it. The first write to a row of the snapshot saves the row as it was, also if the stream has already
//! sent the row. Rows that are not in the snapshot have no pre-image.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::open_limit::too_many_open;
use crate::engine::store::snapshot::{PreImages, Snapshot};
use crate::storage::Storage;
use crate::storage::ids::{CommitSeq, RowId};
use crate::storage::row::Row;
use crate::storage::write_set::RowChange;

/// The maximum number of open streams.
const MAX_OPEN_STREAMS: usize = 1024;

/// The maximum size of the pre-images of all streams: 64 MiB. Beyond that size the stream whose pre-images
/// are the largest is closed, and its reader gets `stream-expired`.
const MAX_PRE_IMAGE_BYTES: usize = 64 << 20;

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<StreamId, OpenStream>,
    /// The id that was given out last.
    last: StreamId,
    /// The size of the pre-images of all streams. A pre-image that several streams share counts for each.
    pre_image_bytes: usize,
}

/// The number of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct StreamId(u64);

#[derive(Debug)]
struct OpenStream {
    /// The last commit number that was given out before the stream was opened.
    snapshot_commit: CommitSeq,
    pre_images: PreImages,
    /// The approximate size of `pre_images`.
    pre_image_bytes: usize,
    is_export: bool,
    /// Whether the stream was opened by a call of the open transaction of a caller. Such a stream also shows
    /// the uncommitted writes of the transaction, and is closed when the transaction ends.
    is_of_transaction: bool,
}

impl Streams {
    /// Saves the rows that a write is about to overwrite, for the streams whose snapshots have them.
    pub(super) fn save_pre_images(&mut self, changes: &[RowChange<RowId, Row>]) {
        self.save(changes, |_| true);
    }

    /// As [`save_pre_images`](Self::save_pre_images), but not for the streams of the open transaction. Called
    /// when the log of the transaction is applied to storage again. Before that, storage was rolled back, for
    /// example to show another caller the committed state (`Store::show_committed`). Streams that were opened
    /// after the rollback show the state without the writes, so they need the pre-images. The streams of the
    /// transaction got their pre-images when the writes were first made.
    pub(super) fn save_pre_images_outside_transaction(&mut self, changes: &[RowChange<RowId, Row>]) {
        self.save(changes, |stream| !stream.is_of_transaction);
    }

    /// Saves the overwritten rows for the open streams that `selects` accepts.
    fn save(&mut self, changes: &[RowChange<RowId, Row>], selects: impl Fn(&OpenStream) -> bool) {
        if self.open.is_empty() {
            return;
        }
        for RowChange { key, before, .. } in changes {
            if let Some(before) = before {
                self.save_pre_image(*key, before, &selects);
            }
        }
    }

    fn save_pre_image(&mut self, id: RowId, row: &Row, selects: impl Fn(&OpenStream) -> bool) {
        // All streams share one copy of the row.
        let (size, mut copy) = (row.memory_size(), None);
        // A row with a larger commit number than the snapshot was inserted later, or has a pre-image already.
        let needs_row = |stream: &&mut OpenStream| row.commit <= stream.snapshot_commit && selects(stream);
        for stream in self.open.values_mut().filter(needs_row) {
            if let Entry::Vacant(vacant) = stream.pre_images.entry(id) {
                vacant.insert(Arc::clone(copy.get_or_insert_with(|| Arc::new(row.clone()))));
                stream.pre_image_bytes += size;
                self.pre_image_bytes += size;
            }
        }
        while self.pre_image_bytes > MAX_PRE_IMAGE_BYTES
            && let Some(largest) = self.open.iter().max_by_key(|(_, stream)| stream.pre_image_bytes)
        {
            let id = *largest.0;
            self.close(id);
        }
    }

    /// Refuses another stream if too many are open.
    pub(super) fn check_room(&self) -> Result<()> {
        if self.open.len() < MAX_OPEN_STREAMS {
            return Ok(());
        }
        Err(too_many_open("streams", MAX_OPEN_STREAMS))
    }

    /// The last commit that any open stream shows; 0 without a stream.
    pub(super) fn latest_snapshot(&self) -> CommitSeq {
        self.open.values().map(|stream| stream.snapshot_commit).max().unwrap_or_default()
    }

    /// The state that a stream shows.
    ///
    /// # Errors
    /// `stream-expired`, if the stream was closed before its reader has dropped it.
    pub(super) fn snapshot<'s, T: Storage>(
        &'s self,
        id: StreamId,
        storage: &'s T,
    ) -> Result<Snapshot<'s, T>> {
        let stream = self.open.get(&id).ok_or_else(expired)?;
        Ok(Snapshot::at(storage, stream.snapshot_commit, &stream.pre_images))
    }

    /// Closes the streams of exports. Called when a file is deleted: an export that has written the entry of
    /// the file may still have to read its chunks, and files have no pre-images.
    pub(super) fn close_exports(&mut self) {
        self.close_all(|stream| stream.is_export);
    }

    /// Whether a stream was opened by a call of the open transaction.
    pub(super) fn is_of_transaction(&self, id: StreamId) -> bool {
        self.open.get(&id).is_some_and(|stream| stream.is_of_transaction)
    }

    /// Closes the streams of the open transaction. Called when the transaction ends.
    pub(super) fn close_of_transaction(&mut self) {
        self.close_all(|stream| stream.is_of_transaction);
    }

    /// Closes the streams of the open transaction that show writes with larger numbers than `commit`. Called
    /// when a nested transaction is rolled back, which undoes the writes after `commit`.
    pub(super) fn close_of_transaction_after(&mut self, commit: CommitSeq) {
        self.close_all(|stream| stream.is_of_transaction && stream.snapshot_commit > commit);
    }

    fn close_all(&mut self, closes: impl Fn(&OpenStream) -> bool) {
        let closed = self.open.iter().filter(|(_, stream)| closes(stream));
        let closed: Vec<StreamId> = closed.map(|(id, _)| *id).collect();
        closed.into_iter().for_each(|id| self.close(id));
    }

    /// Adds a stream of the state after the commit `snapshot_commit`.
    pub(super) fn open(
        &mut self,
        snapshot_commit: CommitSeq,
        is_export: bool,
        is_of_transaction: bool,
    ) -> StreamId {
        self.last.0 += 1;
        let pre_images = PreImages::default();
        let stream =
            OpenStream { snapshot_commit, pre_images, pre_image_bytes: 0, is_export, is_of_transaction };
        self.open.insert(self.last, stream);
        self.last
    }

    pub(super) fn close(&mut self, id: StreamId) {
        if let Some(stream) = self.open.remove(&id) {
            self.pre_image_bytes -= stream.pre_image_bytes;
        }
    }
}

/// The error of a stream that was closed before its end.
fn expired() -> Error {
    let message = "the stream cannot go on: too much was overwritten while it was open, a file was deleted \
                   while it exported, or its transaction has ended";
    Error::new(ErrorId::STREAM_EXPIRED, message)
}
