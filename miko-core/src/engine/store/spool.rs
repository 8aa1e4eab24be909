//! Spools: buffer the text of a worldlet that is sent in pieces, until it is complete and can be imported.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::store::Store;
use crate::engine::store::chunk_order::ChunkOrder;
use crate::engine::store::transaction::CommitSharing;
use crate::files::MAX_PIECE_SIZE;
use crate::storage::Storage;
use crate::timestamp::Timestamp;
use crate::worldlet::Imported;

/// A spool that is idle for longer is removed when the next import begins.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// The spools, by the ids of their imports.
#[derive(Debug, Default)]
pub(super) struct Spools(HashMap<String, Spool>);

#[derive(Debug)]
struct Spool {
    /// The text so far, in an unnamed temporary file.
    file: File,
    /// The number of pieces received.
    pieces: u64,
    /// The offset of the last piece in the file.
    last_start: u64,
    last_used: Instant,
}

impl<T: Storage> Store<T> {
    /// Begins an import and returns its id.
    pub(in crate::engine) fn begin_import(&mut self) -> Result<String> {
        self.check_writable()?;
        self.spools.0.retain(|_, spool| spool.last_used.elapsed() <= IDLE_TIMEOUT);
        let file = tempfile::tempfile().map_err(|fault| cannot_spool(&fault))?;
        let id = self.pks.next(Timestamp::now());
        self.spools.0.insert(id.clone(), Spool { file, pieces: 0, last_start: 0, last_used: Instant::now() });
        Ok(id)
    }

    /// Appends the next piece of the text, or replaces the last one if the call is a retry.
    pub(in crate::engine) fn put_import(&mut self, id: &str, index: u64, text: &[u8]) -> Result<()> {
        if text.len() > MAX_PIECE_SIZE {
            let message = format!("a piece has at most {MAX_PIECE_SIZE} bytes");
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", text.len()));
        }
        let spool = self.spools.find(id)?;
        let start = match ChunkOrder::of(index, spool.pieces, "pieces come one after another")? {
            ChunkOrder::Next => spool.file.seek(SeekFrom::End(0)),
            ChunkOrder::Retry => spool.file.seek(SeekFrom::Start(spool.last_start)),
        };
        let start = start.map_err(|fault| cannot_spool(&fault))?;
        spool.file.set_len(start).map_err(|fault| cannot_spool(&fault))?;
        spool.file.write_all(text).map_err(|fault| cannot_spool(&fault))?;
        (spool.pieces, spool.last_start, spool.last_used) = (index + 1, start, Instant::now());
        Ok(())
    }

    /// Imports the text. The spool stays until the import is cancelled or idle.
    pub(in crate::engine) fn end_import(&mut self, id: &str, trust: bool) -> Result<Imported> {
        let spool = self.spools.find(id)?;
        spool.last_used = Instant::now();
        spool.file.rewind().map_err(|fault| cannot_spool(&fault))?;
        let file = spool.file.try_clone().map_err(|fault| cannot_spool(&fault))?;
        // The parser reads single bytes.
        let mut reader = BufReader::with_capacity(1 << 16, file);
        self.write(CommitSharing::Separate, |store| store.import_worldlet(&mut reader, trust))
    }

    /// Removes the spool of an import, if there is one.
    pub(in crate::engine) fn cancel_import(&mut self, id: &str) {
        self.spools.0.remove(id);
    }
}

impl Spools {
    fn find(&mut self, id: &str) -> Result<&mut Spool> {
        let message = "there is no such import: it was ended, or nobody sent anything for some minutes";
        self.0.get_mut(id).ok_or_else(|| Error::new(ErrorId::STREAM_EXPIRED, message).with("import", id))
    }
}

fn cannot_spool(fault: &io::Error) -> Error {
    Error::new(ErrorId::of_failed_write(fault), format!("the text of the worldlet cannot be kept: {fault}"))
}
