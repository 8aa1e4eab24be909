//! A share: one server process, N forked workers, and a parent that waits for all of them.
//!
//! # Processes
//!
//! | process | code | owns |
//! | --- | --- | --- |
//! | parent | `uds`, `running`, `supervisor` | the private directory of the share, the children and the reports. Blocking code only: it never starts a runtime |
//! | server | `server_process` | the shared object and the listening socket |
//! | worker | `worker_process` | one connection and the closure |
//!
//! Other modules: `control` has the messages between the parent and the server, `directory` the private
//! directory, `report` the result of the share. `fork`, `preconditions` and `child_status` are about forking
//! and the exit status of children. `interface_options` has the options that only some interfaces have.
//!
//! # The races
//!
//! - *A worker connects before the server listens*: the parent binds the socket before it forks.
//! - *The parent dies between a fork and the child's request to be signalled at the parent's death*: the
//!   child makes that request first and compares its parent's pid afterwards (`fork`).
//! - *A child was reaped, and a signal for it reaches another process that has got its pid*: only
//!   `supervisor` reaps, and a child is signalled only while its pidfd shows that it has not ended.
//! - *Another process removes a directory that is about to be used*: see `directory`.
//! - *A server hangs and cannot report in which method*: it writes each method to shared memory before it
//!   runs the method (`server::activity`).
//! - *A thread starts between two forks*: the threads are counted before each fork, unless the caller vouches
//!   for them by `allow_threads` (`preconditions`).
//! - *A signal reaches a child that still has the handlers of its parent*: all signals are blocked across a
//!   fork (`fork`).

mod child_status;
mod control;
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
#[cfg(feature = "mikobase")]
pub(crate) use supervisor::Interrupt;
pub use uds::Uds;
pub use worker_process::Worker;

/// The error of a closure that is passed to a share, such as the closure of the workers. Any error converts
/// into it by `?`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
