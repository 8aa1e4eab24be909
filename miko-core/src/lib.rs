//! Mikobase: the trait, the data model, Q0 and the engines.
//!
//! This crate works within one process and needs neither tokio nor tarpc. `miko-rpc` turns calls of the trait
//! [`Mikobase`] into messages and back. `miko-shared` has the sockets and processes between which the
//! messages are sent. `ARCHITECTURE.md` maps the modules of this crate.

mod access;
mod after_save;
mod as_of;
pub mod atomic_file;
pub mod backend;
mod bucket;
mod change;
mod claim;
mod class;
mod commit;
mod diagnostics;
mod engine;
mod extension;
mod files;
mod hook;
mod hot;
pub mod json;
mod mikobase;
mod mode;
mod objects;
mod pattern;
pub mod q0;
mod query;
mod record;
mod response;
mod save_kind;
#[cfg(feature = "schema")]
mod schema;
mod stack;
mod storage;
mod target;
mod timestamp;
mod transaction_block;
mod transaction_limits;
mod transfer;
pub mod uns;
mod version;
mod watch;
mod worldlet;

pub use access::Access;
pub use after_save::AfterSave;
pub use as_of::AsOf;
pub use bucket::Bucket;
pub use change::{Change, ChangeKind, ChangeLimits, ChangeOptions};
pub use claim::Claim;
pub use commit::{Commit, RecordChange};
#[cfg(feature = "naive-storage")]
#[doc(hidden)]
pub use engine::NaiveEngine;
pub use engine::{Engine, Explanation, LocalEngine, SqliteEngine, WorldletEngine};
pub use extension::{MAX_ATTEMPTS, MikobaseExt, Upserted};
pub use files::{FileInfo, MAX_PIECE_SIZE};
pub use hook::{Hook, HookResult, PendingSave};
pub use hot::HotRecord;
#[doc(no_inline)]
pub use miko_rpc as rpc;
pub use miko_rpc::{
    Bytes, ERROR_IDS, Error, ErrorDoc, ErrorId, ErrorItem, GroupFailure, MAX_REPORTED_FAULTS, Remote, Result,
    Stream, Warning, memory,
};
pub use mikobase::{
    Delta, Edit, Edited, Merged, Mikobase, Properties, Query, Schema, SchemaChanges, Transaction, Validation,
};
pub use mikobase::{mikobase_rpc, transaction_rpc};
pub use objects::{Import, Upload, import_rpc, upload_rpc};
pub use query::{Check, MAX_EDITS};
pub use record::{Record, Records};
pub use response::{
    Answers, Claimed, MAX_BATCH_REQUESTS, MAX_CHANGED_PKS, Response, ResponseEnvelope, Results,
};
pub use save_kind::SaveKind;
pub use target::Target;
pub use timestamp::Timestamp;
pub use transaction_limits::TransactionLimits;
pub use transfer::FileReader;
pub use version::Version;
pub use watch::{LiveQuery, ResultChange, ResultChangeKind};
pub use worldlet::{Imported, is_temporal_worldlet};
