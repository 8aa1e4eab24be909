//! A worker process, from the fork to its exit.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use miko_rpc::{CallTransport, Client, Error, Interface, Proxy, Result, Surface, panic_message};
use serde::{Deserialize, Serialize};

use super::BoxError;
use super::fork::PANICKED;
use crate::client::{Address, CallCounter, SocketTransport};
use crate::server::{Protocol, WorkerAddress};

/// The worker in which the closure of a share runs.
#[derive(Debug, Clone)]
pub struct Worker {
    pub(super) index: usize,
    pub(super) run: usize,
    pub(super) count: usize,
}

impl Worker {
    /// The index of this worker, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// How often this worker was started before, because it was killed or failed: see
    /// [`Uds::restart`](crate::Uds::restart).
    pub fn run(&self) -> usize {
        self.run
    }

    /// The number of workers of the share.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The id of the current process.
    pub fn pid(&self) -> u32 {
        std::process::id()
    }
}

/// The message that a worker sends to its parent when its closure has ended.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
pub(super) struct WorkerResult<R> {
    pub(super) result: ClosureResult<R>,
    /// The number of calls that the worker has made on its proxy.
    pub(super) calls: u64,
}

/// How the closure of a worker has ended. A returned value is encoded like the answer of a method, so that
/// `Some(None)` and JSON with the keys that `serde_json` reserves arrive unchanged.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "R: Serialize", deserialize = "R: Deserialize<'de>"))]
pub(super) enum ClosureResult<R> {
    Returned(#[serde(with = "miko_rpc::travel::with_nil_level")] R),
    /// The closure returned an error; or the returned value could not be serialized; or the closure was not
    /// run, because the worker could not connect.
    Failed {
        text: String,
        error: Option<Error>,
    },
    Panicked(String),
}

/// How the proxy of a worker connects.
pub(super) struct WorkerConnection {
    /// The server's own socket, with the credentials for it.
    pub(super) address: Address,
    /// The second protocol, if the workers use it instead of the server's own wire protocol: see
    /// [`Uds::workers_use_second_protocol`](crate::Uds::workers_use_second_protocol).
    pub(super) protocol: Option<Rc<dyn Protocol>>,
    /// The path of the socket of the second protocol. There is no such socket without a second protocol.
    pub(super) second_path: PathBuf,
}

impl WorkerConnection {
    /// Connects the worker with this index. Returns the transport and the counter of its calls.
    ///
    /// Does not retry, because a refused connect means that the server has ended. The parent binds the
    /// sockets before it forks, and a server in a long call does not refuse connects: the kernel queues them,
    /// or lets them wait while the queue is full.
    fn open(
        &self,
        worker: usize,
        surface: &'static Surface,
    ) -> Result<(Box<dyn CallTransport>, CallCounter)> {
        if let Some(protocol) = &self.protocol {
            let calls = CallCounter::default();
            let (path, limits) = (self.second_path.clone(), self.address.limits.clone());
            let address = WorkerAddress { path, surface, worker, limits, calls: calls.clone() };
            return Ok((protocol.connect(address)?, calls));
        }
        let address = Address { worker: Some(worker), ..self.address.clone() };
        let no_retries = Duration::ZERO;
        let transport = SocketTransport::connect(address, surface, no_retries)?;
        let calls = transport.calls();
        Ok((Box::new(transport), calls))
    }
}

/// Connects, runs the closure and sends its result to the parent. Returns the exit code of the process.
pub(super) fn run<I: Interface + ?Sized, R: Serialize>(
    worker: &Worker,
    connection: &WorkerConnection,
    mut result_pipe: std::fs::File,
    work: &impl Fn(&Client<I>, &Worker) -> Result<R, BoxError>,
) -> i32 {
    let mut calls = CallCounter::default();
    let result = match connection.open(worker.index(), I::surface()) {
        Err(error) => ClosureResult::Failed { text: error.to_string(), error: Some(error) },
        Ok((transport, counter)) => {
            calls = counter;
            let db = Client::new(transport);
            run_closure(|| work(&db, worker))
        }
    };
    let mut code = match &result {
        ClosureResult::Returned(_) => 0,
        ClosureResult::Failed { .. } => 1,
        ClosureResult::Panicked(_) => PANICKED,
    };
    let report = WorkerResult { result, calls: calls.count() };
    let bytes = rmp_serde::to_vec_named(&report).unwrap_or_else(|fault| {
        code = 1;
        let result = ClosureResult::<()>::Failed {
            text: format!("the returned value cannot be serialized: {fault}"),
            error: None,
        };
        // A text and a number can always be serialized.
        rmp_serde::to_vec_named(&WorkerResult { result, calls: report.calls }).unwrap_or_default()
    });
    // An error means that the parent has closed the pipe or has ended. It then does not need the result.
    let _ = result_pipe.write_all(&bytes);
    code
}

fn run_closure<R>(work: impl FnOnce() -> Result<R, BoxError>) -> ClosureResult<R> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => ClosureResult::Returned(value),
        Ok(Err(error)) => {
            ClosureResult::Failed { text: error.to_string(), error: error.downcast_ref::<Error>().cloned() }
        }
        Err(panic) => ClosureResult::Panicked(panic_message(&*panic).to_owned()),
    }
}

/// Redirects standard output and standard error of this process to these pipes.
pub(super) fn redirect_output(stdout: &OwnedFd, stderr: &OwnedFd) {
    // A failure is ignored: the worker then writes to the outputs that it has inherited from the parent.
    let _ = nix::unistd::dup2_stdout(stdout);
    let _ = nix::unistd::dup2_stderr(stderr);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use miko_core::Mikobase;
    use miko_rpc::ErrorId;

    use super::*;
    use crate::limits::Limits;
    use crate::token::Token;

    #[test]
    fn connecting_to_a_server_that_has_ended_fails_at_once() {
        let folder = tempfile::tempdir().unwrap();
        for (name, was_bound) in [("missing", false), ("refusing", true)] {
            let path = folder.path().join(name);
            was_bound.then(|| UnixListener::bind(&path).unwrap());
            let (token, limits) = (Token::random().unwrap(), Limits::default());
            let address = Address { path, token, limits, shared_status: None, worker: None };
            let connection = WorkerConnection { address, protocol: None, second_path: PathBuf::new() };
            let began = Instant::now();
            let error = connection.open(0, <dyn Mikobase as Interface>::surface()).err().unwrap();
            assert!(error.is(ErrorId::SERVER_GONE), "{name}: {error}");
            assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
        }
    }
}
