//! Uploads and imports of a local engine.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miko_rpc::{Bytes, Error, ErrorId, Result};

use super::shared_store::SharedStore;
use crate::engine::store::files::UnfinishedFile;
use crate::engine::store::transaction::CommitSharing;
use crate::objects::{Import, Upload};
use crate::storage::Storage;
use crate::worldlet::Imported;

/// A file that is being written.
pub(super) struct FileUpload<T: Storage> {
    store: Arc<SharedStore<T>>,
    state: Mutex<UploadState>,
}

enum UploadState {
    Unfinished(UnfinishedFile),
    /// The pk of the file.
    Finished(String),
}

impl<T: Storage> FileUpload<T> {
    pub(super) fn begin(store: &Arc<SharedStore<T>>, mime: &str) -> Result<Self> {
        let file = store.lock().begin_file(mime)?;
        Ok(Self { store: Arc::clone(store), state: Mutex::new(UploadState::Unfinished(file)) })
    }
}

impl<T: Storage> Upload for FileUpload<T> {
    fn put(&self, data: Bytes) -> Result<()> {
        match &mut *locked(&self.state) {
            UploadState::Unfinished(file) => self.store.lock().append_to_file(file, &data),
            UploadState::Finished(pk) => {
                let message = "the file was finished, and never changes";
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pk", pk.as_str()))
            }
        }
    }

    fn finish(&self) -> Result<String> {
        let mut state = locked(&self.state);
        let pk = match &*state {
            UploadState::Unfinished(file) => self.store.lock().end_file(file)?,
            UploadState::Finished(pk) => pk.clone(),
        };
        *state = UploadState::Finished(pk.clone());
        Ok(pk)
    }
}

impl<T: Storage> Drop for FileUpload<T> {
    fn drop(&mut self) {
        if let UploadState::Unfinished(file) = &*locked(&self.state) {
            // If this fails, what was written is removed when the database is opened again.
            let _ = self.store.lock().discard_file(file);
        }
    }
}

/// A worldlet that is being sent. Its text is kept in an unnamed temporary file until it is complete.
pub(super) struct WorldletImport<T> {
    store: Arc<SharedStore<T>>,
    trust: bool,
    /// `None` after the import.
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
        let file = tempfile::tempfile().map_err(cannot_keep)?;
        let text = Mutex::new(Some(Text { file, length: 0 }));
        Ok(Self { store: Arc::clone(store), trust, text })
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
        let Text { mut file, length } = locked(&self.text).take().ok_or_else(was_finished)?;
        file.set_len(length).and_then(|()| file.rewind()).map_err(cannot_keep)?;
        // The parser reads single bytes.
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut store = self.store.lock();
        store.write(CommitSharing::Separate, |store| store.import_worldlet(&mut reader, self.trust))
    }
}

/// A panic under the lock leaves the state of before the call, or the call has succeeded.
fn locked<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn was_finished() -> Error {
    Error::new(ErrorId::INVALID_REQUEST, "the import was finished: begin another one")
}

fn cannot_keep(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&fault), "the text of the worldlet cannot be kept", fault)
}
