//! Files: content of any size beside the records, transferred in pieces.

use miko_rpc::Bytes;
use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The largest size of a piece of a file or a worldlet, in bytes: 1 MiB.
pub const MAX_PIECE_SIZE: usize = 1 << 20;

/// The metadata of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileInfo {
    /// The pk by which records reference it.
    pub pk: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its media type, such as `image/png`.
    pub mime: String,
    /// The size of its content in bytes.
    pub size: u64,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A position in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Position {
    /// The index of the chunk, as the file was stored, counted from 0.
    pub chunk: u64,
    /// The offset in the chunk, in bytes.
    pub offset: u64,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Piece {
    /// Its bytes, at most [`MAX_PIECE_SIZE`].
    pub data: Bytes,
    /// Where the next piece begins; `None` after the last.
    pub next: Option<Position>,
}
