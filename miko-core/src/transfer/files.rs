//! Stores and reads files of a Mikobase through `Read`.

use std::fmt;
use std::io::{self, Read};

use data_encoding::HEXLOWER;
use miko_rpc::{Bytes, Result, Stream};
use sha2::{Digest, Sha256};

use super::send_pieces;
use crate::files::FileInfo;
use crate::mikobase::Mikobase;
use crate::objects::Upload;

/// The content of a file, read piece by piece. After the last piece, the SHA-256 of the content is compared
/// with that in [`info`](Self::info). If the two differ, the read that would report the end fails with
/// `InvalidData`. If the database returns an error, the read fails with the kind `Other`.
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
pub struct FileReader {
    info: FileInfo,
    pieces: Stream<Bytes>,
    /// The piece that was received last.
    piece: Bytes,
    /// How many bytes of `piece` the caller has read.
    consumed: usize,
    /// The hash of the bytes that have arrived; `None` after the end.
    hasher: Option<Sha256>,
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader").field("info", &self.info).finish_non_exhaustive()
    }
}

impl FileReader {
    pub(crate) fn of(info: FileInfo, pieces: Stream<Bytes>) -> Self {
        Self { info, pieces, piece: Bytes::default(), consumed: 0, hasher: Some(Sha256::new()) }
    }

    /// The metadata of the file.
    pub const fn info(&self) -> &FileInfo {
        &self.info
    }

    /// Receives the next piece. Returns `false` at the end. The first call at the end fails with
    /// `InvalidData` if the content does not have the expected hash.
    fn fetch(&mut self) -> io::Result<bool> {
        let Some(hasher) = &mut self.hasher else { return Ok(false) };
        match self.pieces.recv() {
            Some(piece) => {
                self.piece = piece.map_err(io::Error::other)?;
                self.consumed = 0;
                hasher.update(&*self.piece);
                Ok(true)
            }
            None => {
                let hash = self.hasher.take().map(|hasher| HEXLOWER.encode(&hasher.finalize()));
                if hash.as_ref() == Some(&self.info.sha256) {
                    return Ok(false);
                }
                let message = format!("the content of the file {} is not what was put in", self.info.pk);
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
        }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A loop, since a piece may be empty.
        while self.consumed == self.piece.len() && self.fetch()? {}
        let length = buffer.len().min(self.piece.len() - self.consumed);
        buffer[..length].copy_from_slice(&self.piece[self.consumed..self.consumed + length]);
        self.consumed += length;
        Ok(length)
    }
}

/// Stores the content of `reader` as a file and returns its pk. If reading or sending fails, the upload is
/// dropped, which discards it.
pub(crate) fn put(db: &(impl Mikobase + ?Sized), reader: &mut dyn Read, mime: &str) -> Result<String> {
    let upload = db.write_file(mime)?;
    send_pieces(reader, "the file", |piece| upload.put(piece))?;
    upload.finish()
}
