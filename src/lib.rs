//! A live object store shared by forked workers.
//!
//! One call starts a server process that holds a Mikobase in memory and forks N workers. Each gets a `db` that *is* a
//! [`Mikobase`]: the same trait, the same results, over a Unix socket. When all workers are done, the caller gets the final
//! state and a report per worker.
//!
//! ```no_run
//! use mikobase::prelude::*;
//!
//! let share = Uds::new()?.mikobase(20, |db, worker| {
//!     db.q0(json!({"action": "create", "class": "starfleet.com/log",
//!                  "bucket": {"worker": worker.index(), "entry": "reporting in"}}))?;
//!     Ok(db.by_class("starfleet.com/log")?.count())
//! })?;
//!
//! println!("{}", share.worldlet());
//! for worker in share.workers() {
//!     println!("worker {} saw {:?}", worker.index, worker.returned());
//! }
//! # Ok::<(), Error>(())
//! ```
//!
//! A trait of your own is shared in the same way: put [`#[mikobase_interface]`](mikobase_interface) on it and hand an
//! implementation to [`Uds::share`].
//!
//! This crate is a facade. The trait and the engines live in `miko-core`, sockets and processes in `miko-shared`.

pub use miko_core::mikobase_rpc::{MikobaseAsyncClient, MikobaseClient};
pub use miko_core::{
    Answer, Answers, AsOf, Bytes, Check, Delta, ERROR_IDS, Engine, Error, ErrorDoc, ErrorId, ErrorItem,
    Explanation, Imported, LocalEngine, MAX_REPORTED_FAULTS, Merged, Mikobase, MikobaseExt, Properties,
    Query, Record, RecordStream, Records, Response, Result, Results, Schema, SchemaChanges, SqliteEngine,
    Timestamp, Validation, Version, Warning, WorldletEngine, backend, json, q0, rpc, uns,
};
pub use miko_macros::{mikobase_interface, test};
pub use miko_shared::mikobase::Server;
#[doc(hidden)]
pub use miko_shared::testing;
pub use miko_shared::{
    BoxError, Connect, ConnectAsync, ExitStatus, Limits, Outcome, Report, Returning, Share, ShareError,
    Token, Uds, Worker, WorkerReport, Worldlet,
};
pub use serde_json::json;

/// What a program that shares a Mikobase uses: `use mikobase::prelude::*;`.
pub mod prelude {
    pub use crate::rpc::Interface;
    pub use crate::{
        BoxError, Connect, ConnectAsync, Error, ErrorId, Mikobase, MikobaseAsyncClient, MikobaseClient,
        MikobaseExt, Outcome, Query, Record, RecordStream, Records, Response, Result, Returning, Uds, Worker,
        json, mikobase_interface,
    };
}

/// Compiles the README's first program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the program of the page on files.
#[cfg(doctest)]
#[doc = include_str!("../docs/files.md")]
struct Files;
