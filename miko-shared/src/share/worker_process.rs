//! A worker process: what happens in it from the fork to its end.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use miko_core::Error;
use miko_core::rpc::{Interface, Proxy, panic_message};
use serde::{Deserialize, Serialize};

use super::BoxError;
use super::fork::PANICKED;
use crate::client::{Address, CallCounter, SocketTransport};

/// How long a worker waits for its connection to be taken: the server may be in a long call of another worker.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What a block is told about the worker it runs in.
#[derive(Debug, Clone)]
pub struct Worker {
    pub(super) index: usize,
    pub(super) count: usize,
}

impl Worker {
    /// The index of this worker, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How many workers the share has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The id of this process.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

/// What a worker tells its parent at its end.
#[derive(Serialize, Deserialize)]
pub(super) struct WorkerResult<R> {
    pub(super) result: BlockResult<R>,
    pub(super) calls: u64,
}

/// How the block ended.
#[derive(Serialize, Deserialize)]
pub(super) enum BlockResult<R> {
    Returned(R),
    Failed { text: String, error: Option<Error> },
    Panicked(String),
}

/// Connects, runs the block and says how it ended. Gives the exit code of the process.
pub(super) fn run<I: Interface + ?Sized, R: Serialize>(
    worker: &Worker,
    address: Address,
    mut result_pipe: std::fs::File,
    block: &impl Fn(&I::Client, &Worker) -> Result<R, BoxError>,
) -> i32 {
    let mut calls = CallCounter::default();
    let result = match SocketTransport::connect(address, I::surface(), CONNECT_TIMEOUT) {
        Err(error) => BlockResult::Failed { text: error.to_string(), error: Some(error) },
        Ok(transport) => {
            calls = transport.calls();
            let db = I::Client::new(Box::new(transport));
            run_block(|| block(&db, worker))
        }
    };
    let mut code = match &result {
        BlockResult::Returned(_) => 0,
        BlockResult::Failed { .. } => 1,
        BlockResult::Panicked(_) => PANICKED,
    };
    let words = WorkerResult { result, calls: calls.count() };
    let bytes = rmp_serde::to_vec_named(&words).unwrap_or_else(|fault| {
        code = 1;
        let result = BlockResult::<()>::Failed {
            text: format!("the returned value cannot be serialized: {fault}"),
            error: None,
        };
        // A text and a number can always be serialized.
        rmp_serde::to_vec_named(&WorkerResult { result, calls: words.calls }).unwrap_or_default()
    });
    // If the parent does not listen any more, nobody misses this.
    let _ = result_pipe.write_all(&bytes);
    code
}

fn run_block<R>(block: impl FnOnce() -> Result<R, BoxError>) -> BlockResult<R> {
    match catch_unwind(AssertUnwindSafe(block)) {
        Ok(Ok(value)) => BlockResult::Returned(value),
        Ok(Err(error)) => {
            BlockResult::Failed { text: error.to_string(), error: error.downcast_ref::<Error>().cloned() }
        }
        Err(panic) => BlockResult::Panicked(panic_message(&*panic).to_owned()),
    }
}

/// Makes what this process writes to standard output and error go to these pipes.
pub(super) fn redirect_output(stdout: &OwnedFd, stderr: &OwnedFd) {
    // Where it fails the output goes where the parent's goes, which is no reason to end the worker.
    let _ = nix::unistd::dup2_stdout(stdout);
    let _ = nix::unistd::dup2_stderr(stderr);
}
