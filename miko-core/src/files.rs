//! Files: content of any size beside the records, in pieces.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::timestamp::Timestamp;

/// How many bytes a piece of a file has at most: 1 MiB.
pub const MOST_BYTES: usize = 1 << 20;

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// The pk by which records name it.
    pub pk: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its media type, such as `image/png`.
    pub mime: String,
    /// How many bytes it has.
    pub size: u64,
    /// When it was put in.
    pub created_at: Timestamp,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// The chunk, counted from 0, as the file was put in.
    pub chunk: u64,
    /// The byte in the chunk.
    pub offset: u64,
}

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its bytes, at most [`MOST_BYTES`].
    pub data: Bytes,
    /// Where the next piece begins; `None` after the last.
    pub next: Option<Position>,
}
