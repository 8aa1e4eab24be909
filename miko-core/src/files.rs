//! Files: content of any size beside the records, transferred in pieces.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The largest size of a piece of a file, in bytes: 1 MiB.
pub const MAX_PIECE_SIZE: usize = 1 << 20;

/// The metadata of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileInfo {
    /// The pk by which records reference the file.
    pub pk: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// Its media type, such as `image/png`.
    pub mime: String,
    /// The size of its content in bytes.
    pub size: u64,
    /// When the store began to write it. An imported file keeps the time that its worldlet states.
    pub created_at: Timestamp,
}
