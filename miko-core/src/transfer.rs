//! Transfers files and worldlets piece by piece, with one piece in memory at a time.
//!
//! Only methods of the trait [`Mikobase`] are called, so that a transfer works on an engine and on a proxy.
//! This module transfers worldlets; [`files`] transfers files.

mod files;

use std::io::{self, Read, Write};

use miko_rpc::{Bytes, Error, ErrorId, Result};

use crate::files::MAX_PIECE_SIZE;
use crate::mikobase::Mikobase;
use crate::objects::Import;
use crate::worldlet::Imported;

pub use files::FileReader;
pub(crate) use files::put;

/// Writes the whole state to `writer`, as a worldlet.
pub(crate) fn export(db: &(impl Mikobase + ?Sized), writer: &mut dyn Write) -> Result<()> {
    for piece in db.export()? {
        writer.write_all(&piece?).map_err(not_written)?;
    }
    writer.flush().map_err(not_written)
}

/// Imports the worldlet in `reader`.
pub(crate) fn import(db: &(impl Mikobase + ?Sized), reader: &mut dyn Read, trust: bool) -> Result<Imported> {
    let import = db.import(trust)?;
    send_pieces(reader, "the worldlet", |piece| import.put(piece))?;
    import.finish()
}

/// Passes the content of `reader` to `put`, piece by piece. `what` names the content in errors.
pub(crate) fn send_pieces(
    reader: &mut dyn Read,
    what: &str,
    mut put: impl FnMut(Bytes) -> Result<()>,
) -> Result<()> {
    loop {
        let mut piece = Vec::new();
        let read = reader.take(MAX_PIECE_SIZE as u64).read_to_end(&mut piece);
        read.map_err(|error| Error::caused_by(ErrorId::INTERNAL, format!("{what} cannot be read"), error))?;
        if piece.is_empty() {
            return Ok(());
        }
        put(piece.into())?;
    }
}

/// The error of an export whose writer failed.
pub(crate) fn not_written(error: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&error), "the worldlet could not be written", error)
}
