//! Worldlets that come in piece by piece: their text waits in a file without a name until it is whole.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result};

use crate::engine::store::Store;
use crate::engine::store::transaction::Isolation;
use crate::engine::store::turn::Turn;
use crate::files::MAX_PIECE_SIZE;
use crate::storage::Storage;
use crate::timestamp::Timestamp;
use crate::worldlet::Imported;

/// A text that nobody goes on sending for so long is forgotten.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// The texts that are being sent.
#[derive(Debug, Default)]
pub(super) struct Spools(HashMap<String, Spool>);

#[derive(Debug)]
struct Spool {
    file: File,
    /// How many pieces have come.
    pieces: u64,
    /// Where the last one begins.
    last: u64,
    touched: Instant,
}

impl<T: Storage> Store<T> {
    /// Begins an import and gives its name.
    pub(in crate::engine) fn begin_import(&mut self) -> Result<String> {
        self.check_writable()?;
        self.spools.0.retain(|_, spool| spool.touched.elapsed() <= PATIENCE);
        let file = tempfile::tempfile().map_err(|fault| not_kept(&fault))?;
        let id = self.pks.next(Timestamp::now());
        self.spools.0.insert(id.clone(), Spool { file, pieces: 0, last: 0, touched: Instant::now() });
        Ok(id)
    }

    /// Takes the next piece of the text, or the last one again, as a call may be made again.
    pub(in crate::engine) fn put_import(&mut self, id: &str, index: u64, text: &[u8]) -> Result<()> {
        if text.len() > MAX_PIECE_SIZE {
            let message = format!("a piece has at most {MAX_PIECE_SIZE} bytes");
            return Err(Error::new(ErrorId::INVALID_REQUEST, message).with("found", text.len()));
        }
        let spool = self.spools.find(id)?;
        let begin = match Turn::of(index, spool.pieces, "pieces come one after another")? {
            Turn::Next => spool.file.seek(SeekFrom::End(0)),
            Turn::Again => spool.file.seek(SeekFrom::Start(spool.last)),
        };
        let begin = begin.map_err(|fault| not_kept(&fault))?;
        spool.file.set_len(begin).map_err(|fault| not_kept(&fault))?;
        spool.file.write_all(text).map_err(|fault| not_kept(&fault))?;
        (spool.pieces, spool.last, spool.touched) = (index + 1, begin, Instant::now());
        Ok(())
    }

    /// Imports the text.
    pub(in crate::engine) fn end_import(&mut self, id: &str, trust: bool) -> Result<Imported> {
        let spool = self.spools.find(id)?;
        spool.touched = Instant::now();
        spool.file.rewind().map_err(|fault| not_kept(&fault))?;
        let file = spool.file.try_clone().map_err(|fault| not_kept(&fault))?;
        // The parser takes byte by byte.
        let mut reader = BufReader::with_capacity(1 << 16, file);
        self.write(Isolation::Separate, |store| store.import_worldlet(&mut reader, trust))
    }

    /// Forgets a text.
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

fn not_kept(fault: &io::Error) -> Error {
    Error::new(ErrorId::of_failed_write(fault), format!("the text of the worldlet cannot be kept: {fault}"))
}
