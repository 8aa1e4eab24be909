//! Mikobase: the trait, the data model, Q0 and the engines.
//!
//! This crate works within one process and needs neither tokio nor tarpc. The feature `rpc` adds the support
//! for remote interfaces (module `rpc`); sockets and processes are in `miko-shared`.

mod as_of;
pub mod atomic_file;
pub mod backend;
mod bytes;
mod class;
mod commit;
mod diagnostics;
mod engine;
mod error;
mod extension;
mod files;
pub mod json;
pub mod memory;
mod mikobase;
mod mode;
mod pattern;
pub mod q0;
mod query;
mod record;
mod response;
#[cfg(feature = "rpc")]
pub mod rpc;
mod stack;
mod storage;
mod streams;
mod timestamp;
mod transfer;
pub mod uns;
mod version;
mod worldlet;

pub use as_of::AsOf;
pub use bytes::Bytes;
pub use commit::{Commit, RecordChange};
pub use diagnostics::MAX_REPORTED_FAULTS;
#[cfg(feature = "naive-storage")]
#[doc(hidden)]
pub use engine::NaiveEngine;
pub use engine::{Engine, Explanation, GroupFailure, LocalEngine, SqliteEngine, WorldletEngine};
pub use error::{ERROR_IDS, Error, ErrorDoc, ErrorId, ErrorItem, Result, Warning};
pub use extension::MikobaseExt;
pub use files::{FileInfo, MAX_PIECE_SIZE, Piece, Position};
#[cfg(feature = "rpc")]
pub use mikobase::mikobase_rpc;
pub use mikobase::{Delta, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Validation};
pub use query::Check;
pub use record::{Record, Records};
pub use response::{Answers, MAX_BATCH_REQUESTS, Response, ResponseEnvelope, Results};
pub use streams::{Chunk, Source};
pub use timestamp::Timestamp;
pub use transfer::{FileReader, RecordStream};
pub use version::Version;
pub use worldlet::{Imported, is_temporal_worldlet};
