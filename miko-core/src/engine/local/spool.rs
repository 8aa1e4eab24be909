//! A temporary file for the bytes of uploads and imports that cannot be stored yet.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use miko_rpc::{Error, ErrorId, Result};

/// Bytes in an unnamed temporary file. They are appended at its end, and read from any position.
pub(super) struct Spool {
    file: File,
    /// The number of appended bytes. The file may be longer, after a write that failed.
    length: u64,
}

impl Spool {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { file: tempfile::tempfile().map_err(cannot_keep)?, length: 0 })
    }

    /// Appends bytes: all of them, or none if it fails.
    pub(super) fn append(&mut self, data: &[u8]) -> Result<()> {
        let Self { file, length } = self;
        file.seek(SeekFrom::Start(*length)).and_then(|_| file.write_all(data)).map_err(cannot_keep)?;
        *length += data.len() as u64;
        Ok(())
    }

    /// Reads at most `max` bytes from a position; none at the end.
    pub(super) fn read_at(&mut self, position: u64, max: usize) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let size = self.length.saturating_sub(position).min(max as u64);
        self.file.seek(SeekFrom::Start(position)).map_err(cannot_keep)?;
        (&mut self.file).take(size).read_to_end(&mut data).map_err(cannot_keep)?;
        Ok(data)
    }

    /// Whether there are bytes from a position on.
    pub(super) fn has_more_at(&self, position: u64) -> bool {
        position < self.length
    }

    /// The file, cut to exactly the appended bytes. Its position is the beginning.
    pub(super) fn into_file(mut self) -> Result<File> {
        self.file.set_len(self.length).and_then(|()| self.file.rewind()).map_err(cannot_keep)?;
        Ok(self.file)
    }
}

fn cannot_keep(fault: io::Error) -> Error {
    Error::caused_by(
        ErrorId::of_failed_write(&fault),
        "what was sent cannot be kept in a temporary file",
        fault,
    )
}
