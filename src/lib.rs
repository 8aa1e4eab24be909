//! A live object store shared by forked workers.
//!
//! One call starts a server process, which holds a Mikobase in memory, and forks N workers. Each worker gets
//! a `db` that implements the trait [`Mikobase`] over a Unix socket and gives the same results as an engine.
//! After the last worker has ended, the caller gets the final state and a report per worker.
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
//! A trait of your own is shared in the same way: put [`#[mikobase_interface]`](mikobase_interface) on it and
//! pass an implementation to [`Uds::share`].
//!
//! This crate is a facade. The trait and the engines are in `miko-core`, sockets and processes in
//! `miko-shared`.

pub use miko_core::mikobase_rpc::{MikobaseAsyncClient, MikobaseClient};
pub use miko_core::{
    Answers, AsOf, Bytes, Check, Delta, ERROR_IDS, Engine, Error, ErrorDoc, ErrorId, ErrorItem, Explanation,
    Imported, LocalEngine, MAX_REPORTED_FAULTS, Merged, Mikobase, MikobaseExt, Properties, Query, Record,
    RecordStream, Records, Response, ResponseEnvelope, Result, Results, Schema, SchemaChanges, SqliteEngine,
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

/// The items that a program needs to share a Mikobase: `use mikobase::prelude::*;`.
pub mod prelude {
    pub use crate::rpc::Interface;
    pub use crate::{
        BoxError, Connect, ConnectAsync, Error, ErrorId, Mikobase, MikobaseAsyncClient, MikobaseClient,
        MikobaseExt, Outcome, Query, Record, RecordStream, Records, Response, Result, Returning, Uds, Worker,
        json, mikobase_interface,
    };
}

/// Compiles the first program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the program in `docs/files.md`.
#[cfg(doctest)]
#[doc = include_str!("../docs/files.md")]
struct Files;
