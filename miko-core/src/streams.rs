//! Streams: results and exports of any size, in chunks.

use miko_rpc::Bytes;
use serde::{Deserialize, Serialize};

use crate::json;
use crate::query::Query;
use crate::record::Records;

/// The content of a stream.
///
/// JSON in it that nests too deep is sent as JSON that nests just too deep, which is refused as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The records that a select finds.
    Select(#[serde(serialize_with = "json::serialize_limited")] Query),
    /// The whole state, as the text of a worldlet.
    Worldlet,
}

/// A query may nest to any depth, which a recursive drop would need stack for.
impl Drop for Source {
    fn drop(&mut self) {
        if let Self::Select(query) = self {
            json::drop_iteratively(query.take());
        }
    }
}

/// A chunk of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Chunk {
    /// Records of a select; empty in a stream of a worldlet.
    pub records: Records,
    /// Text of a worldlet; empty in a stream of a select.
    pub text: Bytes,
    /// Whether another chunk follows.
    pub more: bool,
}
