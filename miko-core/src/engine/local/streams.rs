//! Streams of a local engine. They lock the store only while they read an item.

use std::sync::Arc;

use miko_rpc::{Bytes, Result};

use super::shared_store::SharedStore;
use crate::engine::store::files::Position;
use crate::engine::store::open_streams::StreamId;
use crate::engine::store::streams::Cursor;
use crate::storage::Storage;

/// The items that a cursor reads from a snapshot of the store. Dropping this value closes the stream in the
/// store, which then saves no more pre-images for it.
pub(super) struct StoreStream<T: Storage, C> {
    store: Arc<SharedStore<T>>,
    id: StreamId,
    cursor: C,
}

impl<T: Storage, C: Cursor> StoreStream<T, C> {
    pub(super) fn of(store: &Arc<SharedStore<T>>, (id, cursor): (StreamId, C)) -> Self {
        Self { store: Arc::clone(store), id, cursor }
    }
}

impl<T: Storage, C: Cursor> Iterator for StoreStream<T, C> {
    type Item = Result<C::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.store.lock().and_then(|mut store| {
            store.prepare_stream_read(self.id)?;
            store.next_stream_item(self.id, &mut self.cursor)
        });
        item.transpose()
    }
}

impl<T: Storage, C> Drop for StoreStream<T, C> {
    fn drop(&mut self) {
        let id = self.id;
        self.store.do_now_or_after_callback(move |store| store.close_stream(id));
    }
}

/// The pieces of a file. They are read from the file itself, without a snapshot: a complete file never
/// changes. If the file is deleted meanwhile, the next item is the error `file-not-found`.
pub(super) struct FilePieces<T> {
    store: Arc<SharedStore<T>>,
    pk: String,
    /// Where the next piece begins.
    next: Position,
    /// The most bytes of a piece.
    max: usize,
}

impl<T: Storage> FilePieces<T> {
    /// Pieces of at most `max` bytes.
    pub(super) fn of(store: &Arc<SharedStore<T>>, pk: String, max: usize) -> Self {
        Self { store: Arc::clone(store), pk, next: Position::default(), max }
    }
}

impl<T: Storage> Iterator for FilePieces<T> {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self
            .store
            .lock()
            .and_then(|store| store.file_piece(&self.pk, self.next, self.max))
            .transpose()?;
        Some(piece.map(|(data, next)| {
            self.next = next;
            data.into()
        }))
    }
}
