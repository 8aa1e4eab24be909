//! A share: one server process, N forked workers, and a parent that waits for all of them.
//!
//! # Who does what
//!
//! | process | code | owns |
//! | --- | --- | --- |
//! | parent | `uds`, `running`, `supervisor` | the directory, the children, the reports. Plain blocking code: it never starts a runtime |
//! | server | `server_process` | the shared object and the listening socket |
//! | worker | `worker_process` | one connection and the block |
//!
//! # The races
//!
//! - *A worker connects before the server listens*: the parent binds the socket before any fork.
//! - *The parent dies between a fork and the child asking to die with it*: the child asks first and looks at its parent after
//!   that (`fork`).
//! - *A worker's pid is reused before it is reaped*: the parent watches pidfds and is the only one who reaps
//!   (`supervisor`).
//! - *Another process cleans up a directory that is about to be used*: see `directory`.
//! - *A server is stuck, so that it cannot say in which method*: it has written that to shared memory before
//!   (`server::activity`).
//! - *A thread starts between two forks*: each fork looks again (`preconditions`).
//! - *A signal reaches a child that still has the handlers of its parent*: all signals are blocked across a fork (`fork`).

mod child_status;
mod control;
mod descriptors;
mod directory;
mod fork;
mod interface_options;
mod preconditions;
mod report;
mod running;
mod server_process;
mod supervisor;
mod uds;
mod worker_process;

pub use report::{ExitStatus, Outcome, Report, ShareError, WorkerReport};
pub use running::Share;
pub(crate) use supervisor::Interrupt;
pub use uds::Uds;
pub use worker_process::Worker;

/// What a worker's block fails with: any error, by `?`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
