//! Stores and reads files of a Mikobase through `Read`.

use std::fmt;
use std::io::{self, Read};

use data_encoding::HEXLOWER;
use miko_rpc::{Bytes, Result};
use sha2::{Digest, Sha256};

use super::send_pieces;
use crate::files::{FileInfo, Position};
use crate::mikobase::Mikobase;

/// The content of a file, read piece by piece. At its end its SHA-256 is checked; if it differs, the last
/// read fails with `InvalidData`.
///
/// ```
/// use std::io::Read;
///
/// use miko_core::{MikobaseExt, SqliteEngine};
///
/// let db = SqliteEngine::in_memory()?;
/// let pk = db.put_file(&mut "make it so".as_bytes(), "text/plain")?;
/// let mut text = String::new();
/// db.file(&pk)?.read_to_string(&mut text).unwrap();
/// assert_eq!(text, "make it so");
/// # Ok::<(), miko_core::Error>(())
/// ```
pub struct FileReader<'m, M: ?Sized> {
    db: &'m M,
    info: FileInfo,
    next: Option<Position>,
    data: Bytes,
    /// How many bytes of `data` the caller has read.
    consumed: usize,
    hasher: Sha256,
}

impl<M: ?Sized> fmt::Debug for FileReader<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("info", &self.info)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'m, M: Mikobase + ?Sized> FileReader<'m, M> {
    pub(crate) fn of(db: &'m M, info: FileInfo) -> Self {
        let (next, data) = (Some(Position::default()), Bytes::default());
        Self { db, info, next, data, consumed: 0, hasher: Sha256::new() }
    }

    /// The metadata of the file.
    pub const fn info(&self) -> &FileInfo {
        &self.info
    }

    fn fetch(&mut self, at: Position) -> io::Result<()> {
        let piece = self.db.file_piece(&self.info.pk, at).map_err(io::Error::other)?;
        self.hasher.update(&*piece.data);
        (self.data, self.next, self.consumed) = (piece.data, piece.next, 0);
        if self.next.is_none() && HEXLOWER.encode(&self.hasher.clone().finalize()) != self.info.sha256 {
            let message = format!("the content of the file {} is not what was put in", self.info.pk);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(())
    }
}

impl<M: Mikobase + ?Sized> Read for FileReader<'_, M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.consumed == self.data.len()
            && let Some(at) = self.next
        {
            self.fetch(at)?;
        }
        let length = buffer.len().min(self.data.len() - self.consumed);
        buffer[..length].copy_from_slice(&self.data[self.consumed..self.consumed + length]);
        self.consumed += length;
        Ok(length)
    }
}

/// Stores the content of `reader` as a file and returns its pk.
pub(crate) fn put(db: &(impl Mikobase + ?Sized), reader: &mut dyn Read, mime: &str) -> Result<String> {
    let pk = db.begin_file(mime)?;
    let put = put_chunks(db, &pk, reader).and_then(|()| db.end_file(&pk));
    if put.is_err() {
        // Discards the chunks sent so far. If this fails too, the server discards them after a timeout.
        let _ = db.cancel_file(&pk);
    }
    put
}

fn put_chunks(db: &(impl Mikobase + ?Sized), pk: &str, reader: &mut dyn Read) -> Result<()> {
    send_pieces(reader, "the file", |index, data| db.put_chunk(pk, index, data))
}
