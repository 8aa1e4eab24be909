//! A live object store shared by forked workers.
//!
//! One call starts a server process, which holds a Mikobase in memory, and forks N workers. Each worker gets
//! a `db` that implements the trait `Mikobase` over a Unix socket and gives the same results as an engine.
//! After the last worker has ended, the caller gets the final state and a report per worker.
//!
#![cfg_attr(feature = "store", doc = include_str!("example.md"))]
//!
//! This crate is a facade. The trait and the engines are in `miko-core`, what makes a trait remote in
//! `miko-rpc`, sockets and processes in `miko-shared`.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | none | `#[mikobase_interface]`, and calls by name: no sockets |
//! | `share` | sharing any interface. No SQLite is compiled |
//! | `store` | the Mikobase, and sharing it |
//! | `http` | HTTP for shares, on a second socket, and proxies that speak it |
//! | `tls` | TLS for HTTP by TCP: servers with a certificate, and `https` URLs |
//! | `tarpc` | serving an interface with tarpc; on by default |
//! | `command` | the program `miko`; on by default |
//! | `bench` | `miko bench`: benchmarks beside other servers, with their clients |

#[cfg(feature = "store")]
pub use miko_core::import_rpc::ImportAsync;
#[cfg(feature = "store")]
pub use miko_core::mikobase_rpc::{MikobaseAsync, MikobaseAsyncClient, MikobaseClient};
#[cfg(feature = "store")]
pub use miko_core::transaction_rpc::TransactionAsync;
#[cfg(feature = "store")]
pub use miko_core::upload_rpc::UploadAsync;
#[cfg(feature = "store")]
pub use miko_core::{
    Access, AfterSave, Answers, AsOf, Bucket, Change, ChangeKind, ChangeLimits, ChangeOptions, Check, Delta,
    Edit, Edited, Engine, Explanation, FileInfo, FileReader, Hook, HookResult, HotRecord, Import, Imported,
    LiveQuery, LocalEngine, MAX_ATTEMPTS, MAX_BATCH_REQUESTS, MAX_CHANGED_PKS, MAX_EDITS, MAX_PIECE_SIZE,
    Merged, Mikobase, MikobaseExt, PendingSave, Properties, Query, Record, Records, Response,
    ResponseEnvelope, ResultChange, ResultChangeKind, Results, SaveKind, Schema, SchemaChanges, SqliteEngine,
    Target, Timestamp, Transaction, TransactionLimits, Upload, Validation, Version, WorldletEngine, backend,
    json, q0, uns,
};
/// A Mikobase over HTTP: the proxy that [`ConnectHttp::connect_http`] connects. It is [`MikobaseClient`],
/// which speaks what it was connected by.
#[cfg(all(feature = "store", feature = "http"))]
pub type HttpMikobase = MikobaseClient;
#[cfg(feature = "tls")]
pub use miko_http::TlsCertificate;
#[cfg(feature = "http")]
pub use miko_http::{Auth, ConnectHttp, Http, HttpLimits, HttpServer, HttpShare, HttpUds, Transport};
pub use miko_macros::mikobase_interface;
#[cfg(feature = "share")]
pub use miko_macros::test;
#[doc(no_inline)]
pub use miko_rpc as rpc;
pub use miko_rpc::{
    Bytes, ERROR_IDS, Error, ErrorDoc, ErrorId, ErrorItem, Gate, GateId, GateMode, Hub, Later,
    MAX_REPORTED_FAULTS, Overflow, Pass, Promise, Remote, Result, Shared, Signal, Sink, Stream, Warning,
};
#[cfg(feature = "share")]
pub use miko_shared::ConnectAsync;
#[cfg(feature = "store")]
pub use miko_shared::ServerName;
#[cfg(feature = "store")]
pub use miko_shared::mikobase::{Returning, Server, Worldlet};
#[cfg(feature = "share")]
pub use miko_shared::server::ProtocolSocket;
#[cfg(feature = "share")]
#[doc(hidden)]
pub use miko_shared::testing;
#[cfg(feature = "share")]
pub use miko_shared::{
    BoxError, CallInfo, Connect, ExitStatus, Limits, Next, Outcome, Peer, Report, Share, ShareError,
    StandaloneServer, Token, Uds, Worker, WorkerReport,
};
pub use serde_json::json;

/// The items that a program needs to share a Mikobase: `use mikobase::prelude::*;`.
pub mod prelude {
    #[cfg(feature = "share")]
    pub use crate::ConnectAsync;
    pub use crate::rpc::Interface;
    #[cfg(feature = "share")]
    pub use crate::{BoxError, Connect, Outcome, Uds, Worker};
    #[cfg(feature = "store")]
    pub use crate::{
        Change, ChangeKind, ChangeOptions, LiveQuery, Mikobase, MikobaseAsync, MikobaseAsyncClient,
        MikobaseClient, MikobaseExt, Query, Record, Records, Response, ResultChange, ResultChangeKind,
        Returning, Target, Transaction,
    };
    #[cfg(feature = "http")]
    pub use crate::{ConnectHttp, HttpShare, HttpUds};
    pub use crate::{Error, ErrorId, Result, json, mikobase_interface};
}

/// Compiles the first program of the README.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs the programs in `docs/transactions.md`.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../docs/transactions.md")]
struct Transactions;

/// Compiles and runs the programs in `docs/hooks.md`.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../docs/hooks.md")]
struct Hooks;

/// Compiles and runs the programs in `docs/changes.md`.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../docs/changes.md")]
struct Changes;

/// Compiles and runs the program in `docs/files.md`.
#[cfg(all(doctest, feature = "store"))]
#[doc = include_str!("../docs/files.md")]
struct Files;

/// Compiles and runs the programs in `docs/http.md`.
#[cfg(all(doctest, feature = "store", feature = "http"))]
#[doc = include_str!("../docs/http.md")]
struct HttpPage;

/// Compiles the programs in `docs/tls.md`.
#[cfg(all(doctest, feature = "store", feature = "tls"))]
#[doc = include_str!("../docs/tls.md")]
struct TlsPage;
