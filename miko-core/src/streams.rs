//! Streams: results and exports of any size, in chunks.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::query::Query;
use crate::record::Records;

/// The content of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The records that a select finds.
    Select(Query),
    /// The whole state, as the text of a worldlet.
    Worldlet,
}

/// A chunk of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Records of a select; empty in a stream of a worldlet.
    pub records: Records,
    /// Text of a worldlet; empty in a stream of a select.
    pub text: Bytes,
    /// Whether another chunk follows.
    pub more: bool,
}
