//! Uploads and imports of a local engine.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miko_rpc::{Bytes, Error, ErrorId, Result};

use super::shared_store::SharedStore;
use super::view::Committed;
use crate::engine::open_limit::too_many_open;
use crate::engine::store::files::UnfinishedFile;
use crate::engine::store::transaction::CommitSharing;
use crate::objects::{Import, Upload};
use crate::storage::Storage;
use crate::worldlet::Imported;

/// The maximum number of uploads and imports of a database that are open: an import has a descriptor.
const MAX_OPEN_TRANSFERS: usize = 256;

/// The store of an upload or import, which counts as open until it is dropped.
struct TransferStore<T: Storage>(Arc<SharedStore<T>>);

impl<T: Storage> TransferStore<T> {
    fn of(store: &Arc<SharedStore<T>>) -> Result<Self> {
        let counted = Self(Arc::clone(store));
        if store.transfers.fetch_add(1, Ordering::Relaxed) < MAX_OPEN_TRANSFERS {
            return Ok(counted);
        }
        Err(too_many_open("uploads and imports", MAX_OPEN_TRANSFERS))
    }
}

impl<T: Storage> Deref for TransferStore<T> {
    type Target = SharedStore<T>;

    fn deref(&self) -> &SharedStore<T> {
        &self.0
    }
}

impl<T: Storage> Drop for TransferStore<T> {
    fn drop(&mut self) {
        self.0.transfers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file that is being written.
pub(super) struct FileUpload<T: Storage> {
    store: TransferStore<T>,
    /// Locked after the store: a group of calls of another thread holds the store, and may use this upload.
    state: Mutex<UploadState>,
}

enum UploadState {
    Unfinished(UnfinishedFile),
    /// The pk of the file.
    Finished(String),
}

impl<T: Storage> FileUpload<T> {
    pub(super) fn begin(store: &Arc<SharedStore<T>>, mime: &str) -> Result<Self> {
        let store = TransferStore::of(store)?;
        let file = store.write(Committed)?.begin_file(mime)?;
        Ok(Self { store, state: Mutex::new(UploadState::Unfinished(file)) })
    }
}

impl<T: Storage> Upload for FileUpload<T> {
    fn put(&self, data: Bytes) -> Result<()> {
        let mut store = self.store.write(Committed)?;
        match &mut *locked(&self.state) {
            UploadState::Unfinished(file) => store.append_to_file(file, &data),
            UploadState::Finished(pk) => {
                let message = "the file was finished, and never changes";
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pk", pk.as_str()))
            }
        }
    }

    fn finish(&self) -> Result<String> {
        let mut store = self.store.write(Committed)?;
        let mut state = locked(&self.state);
        let pk = match &*state {
            UploadState::Unfinished(file) => store.end_file(file)?,
            UploadState::Finished(pk) => pk.clone(),
        };
        *state = UploadState::Finished(pk.clone());
        Ok(pk)
    }
}

impl<T: Storage> Drop for FileUpload<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let UploadState::Unfinished(file) = state {
            self.store.lock().discard_file(file);
        }
    }
}

/// A worldlet that is being sent. Its text is kept in an unnamed temporary file until it is complete.
pub(super) struct WorldletImport<T: Storage> {
    store: TransferStore<T>,
    trust: bool,
    /// `None` after `finish` was called.
    text: Mutex<Option<Text>>,
}

/// The text so far.
struct Text {
    file: File,
    /// Its length in bytes. A write that failed may have left more in the file.
    length: u64,
}

impl<T: Storage> WorldletImport<T> {
    pub(super) fn begin(store: &Arc<SharedStore<T>>, trust: bool) -> Result<Self> {
        store.lock().check_writable()?;
        let store = TransferStore::of(store)?;
        let file = tempfile::tempfile().map_err(cannot_keep)?;
        let text = Mutex::new(Some(Text { file, length: 0 }));
        Ok(Self { store, trust, text })
    }
}

impl<T: Storage> Import for WorldletImport<T> {
    fn put(&self, data: Bytes) -> Result<()> {
        let mut text = locked(&self.text);
        let Text { file, length } = text.as_mut().ok_or_else(was_finished)?;
        file.seek(SeekFrom::Start(*length)).and_then(|_| file.write_all(&data)).map_err(cannot_keep)?;
        *length += data.len() as u64;
        Ok(())
    }

    fn finish(&self) -> Result<Imported> {
        let mut store = self.store.write(Committed)?;
        let Text { mut file, length } = locked(&self.text).take().ok_or_else(was_finished)?;
        file.set_len(length).and_then(|()| file.rewind()).map_err(cannot_keep)?;
        // The parser reads single bytes.
        let mut reader = BufReader::with_capacity(1 << 16, file);
        store.write(CommitSharing::Separate, |store| store.import_worldlet(&mut reader, self.trust))
    }
}

/// Poisoning is ignored: after a panic under the lock the state is that before or after the call.
fn locked<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn was_finished() -> Error {
    Error::new(ErrorId::INVALID_REQUEST, "the import was finished: begin another one")
}

fn cannot_keep(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&fault), "the text of the worldlet cannot be kept", fault)
}
