//! Uploads and imports of a local engine.

use std::io::BufReader;
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use miko_rpc::{Bytes, Error, ErrorId, Gate, GateMode, Result, serves_a_call};

use super::shared_store::SharedStore;
use super::spool::Spool;
use super::view::{Committed, StoreGuard};
use crate::engine::open_limit::too_many_open;
use crate::engine::store::Store;
use crate::engine::store::files::{UnfinishedFile, check_piece};
use crate::engine::store::transaction::CommitSharing;
use crate::files::MAX_PIECE_SIZE;
use crate::objects::{Import, Upload};
use crate::storage::Storage;
use crate::worldlet::Imported;

/// The maximal number of open uploads and imports of a database. Each may have a file descriptor, that of its
/// temporary file.
const MAX_OPEN_TRANSFERS: usize = 256;

/// The maximal number of pieces that are moved from the temporary file to the store under one lock, so that
/// no call takes long, and no other call waits long for the store.
const PIECES_AT_ONCE: usize = 2;

/// The store of an upload or an import. Counts as one of the open uploads and imports until it is dropped.
struct TransferStore<T: Storage>(Arc<SharedStore<T>>);

impl<T: Storage> TransferStore<T> {
    fn of(store: &Arc<SharedStore<T>>) -> Result<Self> {
        // If the check fails, the drop of `counted` undoes the increment.
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

/// A file that is being written. Its pieces go to the store directly. While a transaction is open or waits
/// for its turn, they are spooled: kept in a temporary file, and moved to the store later. So `put` never
/// waits for the turn to write; `finish` does.
pub(super) struct FileUpload<T: Storage> {
    store: TransferStore<T>,
    mime: String,
    /// Locked after the store, never before it: another thread that runs a group of calls keeps the store to
    /// itself, and may use this upload.
    state: Mutex<UploadState>,
}

enum UploadState {
    Unfinished(Pieces),
    /// The pk of the file.
    Finished(String),
}

/// The pieces of a file so far.
#[derive(Default)]
struct Pieces {
    /// The unfinished file in the store; `None` if it has not begun yet.
    stored: Option<UnfinishedFile>,
    /// The bytes that come after those in `stored`; `None` if there are none.
    spooled: Option<SpooledBytes>,
    /// The gate at which the call of `finish` was parked last, to let other calls run; `None` if it was not.
    last_gate: Option<Gate>,
}

/// Bytes in a temporary file. They are moved to the store in their order.
struct SpooledBytes {
    spool: Spool,
    /// The number of bytes that were moved to the store.
    moved: u64,
}

impl Pieces {
    /// Begins the file in the store, if it has not begun, and moves up to `max_pieces` spooled pieces to it.
    /// Returns the file, and whether all its bytes are in the store.
    fn move_to_store<T: Storage>(
        &mut self,
        mime: &str,
        store: &mut Store<T>,
        max_pieces: usize,
    ) -> Result<(&mut UnfinishedFile, bool)> {
        let file = match &mut self.stored {
            Some(file) => file,
            none => none.insert(store.begin_file(mime)?),
        };
        if let Some(SpooledBytes { spool, moved }) = &mut self.spooled {
            for _ in 0..max_pieces {
                let piece = spool.read_at(*moved, MAX_PIECE_SIZE)?;
                if piece.is_empty() {
                    break;
                }
                store.append_to_file(file, &piece)?;
                *moved += piece.len() as u64;
            }
            if spool.has_more_at(*moved) {
                return Ok((file, false));
            }
            self.spooled = None;
        }
        Ok((file, true))
    }

    /// Appends a piece to the temporary file.
    fn append_to_spool(&mut self, data: &[u8]) -> Result<()> {
        check_piece(data)?;
        let spooled = match &mut self.spooled {
            Some(spooled) => spooled,
            none => none.insert(SpooledBytes { spool: Spool::new()?, moved: 0 }),
        };
        spooled.spool.append(data)
    }
}

impl<T: Storage> FileUpload<T> {
    pub(super) fn begin(store: &Arc<SharedStore<T>>, mime: &str) -> Result<Self> {
        let store = TransferStore::of(store)?;
        store.lock()?.check_writable()?;
        let mut pieces = Pieces::default();
        // Begins the file in the store; there are no pieces to move yet. If this would have to wait for the
        // turn to write, a later call does it.
        if let Some(mut store) = store.try_write()? {
            pieces.move_to_store(mime, &mut store, 0)?;
        }
        Ok(Self { store, mime: mime.to_owned(), state: Mutex::new(UploadState::Unfinished(pieces)) })
    }
}

impl<T: Storage> Upload for FileUpload<T> {
    fn put(&self, data: Bytes) -> Result<()> {
        let store = self.store.try_write()?;
        match (&mut *lock(&self.state), store) {
            (UploadState::Unfinished(pieces), Some(mut store)) => {
                match pieces.move_to_store(&self.mime, &mut store, PIECES_AT_ONCE)? {
                    (file, true) => store.append_to_file(file, &data),
                    // The rest of the spooled bytes comes before this piece.
                    (_, false) => pieces.append_to_spool(&data),
                }
            }
            (UploadState::Unfinished(pieces), None) => pieces.append_to_spool(&data),
            (UploadState::Finished(pk), _) => {
                let message = "the file was finished, and never changes";
                Err(Error::new(ErrorId::INVALID_REQUEST, message).with("pk", pk.as_str()))
            }
        }
    }

    fn finish(&self) -> Result<String> {
        // Moving spooled pieces takes several writes. The call waits once for its turn to write, and keeps
        // the turn for all of them. While it has the turn, its writes lock the store by `read`, which waits
        // for no turn. `write` could queue behind a transaction that waits for the end of this turn.
        //
        // `None` if nothing is spooled, or in a group of calls, where a write needs no turn.
        let turn = if self.has_spooled() { self.store.wait_for_turn_to_write(Committed)? } else { None };
        loop {
            let store = if turn.is_some() { self.store.read(Committed) } else { self.store.write(Committed) };
            if let Some(pk) = self.finish_or_move_pieces(store?)? {
                return Ok(pk);
            }
            self.let_other_calls_run()?;
        }
    }
}

impl<T: Storage> FileUpload<T> {
    fn has_spooled(&self) -> bool {
        matches!(&*lock(&self.state), UploadState::Unfinished(Pieces { spooled: Some(_), .. }))
    }

    /// Moves some spooled pieces to the store. If none are left, ends the file and returns its pk; `None` if
    /// more are to be moved.
    fn finish_or_move_pieces(&self, mut store: StoreGuard<'_, T>) -> Result<Option<String>> {
        let mut state = lock(&self.state);
        let pk = match &mut *state {
            UploadState::Unfinished(pieces) => {
                match pieces.move_to_store(&self.mime, &mut store, PIECES_AT_ONCE)? {
                    (file, true) => store.end_file(file)?,
                    (_, false) => return Ok(None),
                }
            }
            UploadState::Finished(pk) => pk.clone(),
        };
        *state = UploadState::Finished(pk.clone());
        Ok(Some(pk))
    }

    /// Lets other calls use the store before this call continues. On a server, whose thread runs one call at
    /// a time, this call is parked and made again. Meanwhile it keeps its turn to write, although `finish`
    /// drops `turn`: a call keeps the passes of all gates that it has entered until it ends.
    ///
    /// # Errors
    /// On a server, always `parked`: the call continues when it is made again.
    fn let_other_calls_run(&self) -> Result<()> {
        if !serves_a_call() {
            thread::yield_now();
            return Ok(());
        }
        // No pass of this gate expires.
        let (gate, closing_pass) = Gate::closed(|| None);
        // Parks the call, since the gate is closed.
        let entered = gate.enter(GateMode::Exclusive, Duration::MAX);
        if let UploadState::Unfinished(pieces) = &mut *lock(&self.state)
            && let Some(previous_gate) = pieces.last_gate.replace(gate)
        {
            // A call keeps a pass of each gate at which it was parked. The pass of the previous gate is not
            // needed any more.
            previous_gate.leave_in_call();
        }
        // Opens the gate, so that the call can be made again at once.
        drop(closing_pass);
        entered.map(drop)
    }
}

impl<T: Storage> Drop for FileUpload<T> {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let last_state = std::mem::replace(state, UploadState::Finished(String::new()));
        if let UploadState::Unfinished(Pieces { stored: Some(file), .. }) = last_state {
            self.store.do_now_or_after_callback(move |store| store.discard_file(&file));
        }
    }
}

/// A worldlet that is being sent. Its text is kept in an unnamed temporary file until it is complete.
pub(super) struct WorldletImport<T: Storage> {
    store: TransferStore<T>,
    trust: bool,
    /// `None` after `finish` has taken the text, also if the import has failed.
    text: Mutex<Option<Spool>>,
}

impl<T: Storage> WorldletImport<T> {
    pub(super) fn begin(store: &Arc<SharedStore<T>>, trust: bool) -> Result<Self> {
        store.lock()?.check_writable()?;
        let store = TransferStore::of(store)?;
        Ok(Self { store, trust, text: Mutex::new(Some(Spool::new()?)) })
    }
}

impl<T: Storage> Import for WorldletImport<T> {
    fn put(&self, data: Bytes) -> Result<()> {
        let mut text = lock(&self.text);
        text.as_mut().ok_or_else(was_finished)?.append(&data)
    }

    fn finish(&self) -> Result<Imported> {
        let mut store = self.store.write(Committed)?;
        let file = lock(&self.text).take().ok_or_else(was_finished)?.into_file()?;
        // Buffered, since a worldlet may be read in small pieces.
        let mut reader = BufReader::with_capacity(1 << 16, file);
        store.write(CommitSharing::Separate, |store| store.import_worldlet(&mut reader, self.trust))
    }
}

/// Locks a state. Poisoning is ignored: a panic under the lock leaves the state consistent, because each
/// piece is appended or moved as a whole or not at all.
fn lock<S>(state: &Mutex<S>) -> MutexGuard<'_, S> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn was_finished() -> Error {
    Error::new(ErrorId::INVALID_REQUEST, "the import was finished: begin another one")
}
