//! Transfers files, results and worldlets piece by piece, with one piece in memory at a time.
//!
//! Only methods of the trait are called, so that a transfer works on an engine and on a proxy.

mod files;
mod streams;

use std::io::{self, Read};

use miko_rpc::{Bytes, Error, ErrorId, Result};

use crate::files::MAX_PIECE_SIZE;

pub use files::FileReader;
pub(crate) use files::put;
pub use streams::RecordStream;
pub(crate) use streams::{export, import};

/// Passes the content of `reader` to `put`, piece by piece, each with its index. `what` names the reader in
/// errors.
pub(crate) fn send_pieces(
    reader: &mut dyn Read,
    what: &str,
    mut put: impl FnMut(u64, Bytes) -> Result<()>,
) -> Result<()> {
    for index in 0.. {
        let mut piece = Vec::new();
        let read = reader.take(MAX_PIECE_SIZE as u64).read_to_end(&mut piece);
        read.map_err(|fault| Error::caused_by(ErrorId::INTERNAL, format!("{what} cannot be read"), fault))?;
        if piece.is_empty() {
            break;
        }
        put(index, piece.into())?;
    }
    Ok(())
}

/// The error of an export whose writer failed.
pub(crate) fn not_written(fault: io::Error) -> Error {
    Error::caused_by(ErrorId::of_failed_write(&fault), "the worldlet could not be written", fault)
}
