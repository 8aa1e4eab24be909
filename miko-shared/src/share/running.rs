//! A running share, as the parent process holds it.

use std::cell::{Cell, OnceCell, RefCell};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use miko_rpc::{Client, Error, ErrorId, Interface, Proxy, Result};
use nix::unistd::{Pid, getpid};
use serde::de::{DeserializeOwned, IgnoredAny};

use super::child_status::SigchldGuard;
use super::directory::Directory;
use super::report::{Outcome, Report, ShareError, WorkerReport};
use super::supervisor::{Delivery, Interrupt, ReapedWorker, Supervisor, WorkerBody};
use super::worker_process::{ClosureResult, WorkerResult};
use crate::client::{Address, SocketTransport, refuse_in_task};
use crate::token::Token;

/// The closure of [`Uds::on_exit`](crate::Uds::on_exit), which the parent calls for each worker that was
/// reaped.
pub(super) type OnExit = Rc<RefCell<dyn FnMut(&WorkerReport<()>)>>;

/// A running share: a server process and its workers. Dropping it ends all of them.
///
/// A share has no thread in the parent. So the following happens only while [`wait`](Self::wait) or
/// [`join`](Self::join) runs: workers beyond `max_concurrent` are started, failed workers are started again,
/// captured output is read, `on_exit` is called, `worker_timeout` and the deadlines of methods are enforced,
/// and Ctrl-C is handled.
pub struct Share<'b, I: Interface + ?Sized, R, S = ()> {
    /// Dropping the supervisor ends all processes. This field is the first, so it is dropped before the
    /// resources that the processes use.
    pub(super) supervisor: Supervisor,
    /// The code of the workers.
    pub(super) body: Box<WorkerBody<'b>>,
    /// The workers that were reaped so far. The report is made from them.
    pub(super) ended: Vec<ReapedWorker>,
    pub(super) on_exit: Option<OnExit>,
    /// The server's own socket, with the credentials for it.
    pub(super) address: Address,
    /// The proxy of the parent, created at its first use.
    pub(super) db: OnceCell<Client<I>>,
    /// Converts the bytes of the final state to its type.
    pub(super) read_state: fn(Vec<u8>) -> S,
    /// The type that the closures of the workers return. The values are decoded when the share ends.
    pub(super) returns: PhantomData<fn() -> R>,
    /// Releases the `Uds` when it is dropped, however the share ends.
    pub(super) _lease: UdsLease,
}

/// The lease of a share on its `Uds`: the directory of the socket, and the exclusive right to run a share.
/// Dropping it removes the directory and releases the `Uds`.
pub(super) struct UdsLease {
    pub(super) directory: Directory,
    /// Shared with the `Uds`. Reset when the lease ends.
    pub(super) in_use: Rc<Cell<bool>>,
    /// The process that started the share. In a forked process, dropping a copy of the lease neither removes
    /// the directory nor releases the `Uds`.
    pub(super) owner: Pid,
    /// Restores the action of SIGCHLD when the share ends.
    pub(super) _child_status: SigchldGuard,
}

impl<I: Interface + ?Sized, R: DeserializeOwned, S> Share<'_, I, R, S> {
    /// A proxy for the parent, which connects at its first call.
    ///
    /// # Errors
    /// `inside-runtime` in an async task, since blocking calls would block its runtime.
    pub fn db(&self) -> Result<&Client<I>> {
        refuse_in_task()?;
        Ok(self
            .db
            .get_or_init(|| Client::new(Box::new(SocketTransport::new(self.address.clone(), I::surface())))))
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.address.path
    }

    /// The path of the socket of the [second protocol](crate::Uds::second_protocol). The socket exists only
    /// if the share has such a protocol.
    pub fn second_path(&self) -> PathBuf {
        self.address.path.with_extension("http")
    }

    /// The secret that authorizes a process to connect.
    pub fn token(&self) -> &Token {
        &self.address.token
    }

    /// The index and the pid of each worker that was not reaped yet.
    pub fn workers(&self) -> Vec<(usize, u32)> {
        self.supervisor.unreaped_workers().collect()
    }

    /// Sends a signal to all live workers.
    ///
    /// # Errors
    /// `invalid_request`, if the number is not that of a standard signal. Real-time signals are refused.
    pub fn kill(&self, signal: i32) -> Result<()> {
        let signal = nix::sys::signal::Signal::try_from(signal).map_err(|_| {
            Error::new(ErrorId::INVALID_REQUEST, "this is not the number of a standard signal")
                .with("found", signal)
        })?;
        self.supervisor.signal_workers(signal);
        Ok(())
    }

    /// Waits until all workers have ended. The server keeps running, so that [`db`](Self::db) can read the
    /// result.
    ///
    /// # Errors
    /// `interrupted`, `server-gone`, or the error of starting a worker: all workers have ended even after
    /// these errors. `internal`, if the system refuses to watch Ctrl-C or to wait for events: workers may
    /// still run.
    pub fn wait(&mut self) -> Result<()> {
        let interrupt = Interrupt::listen()?;
        self.wait_with(&interrupt)
    }

    /// Waits until all workers have ended, then receives the final state and ends the server.
    ///
    /// # Errors
    /// The errors of [`wait`](Self::wait), and the error of receiving the final state: why it was not
    /// delivered, or `interrupted` after a Ctrl-C meanwhile, even if the state is complete. The error
    /// contains the reports of the workers that were reaped before and the part of the state that arrived,
    /// unless the system refuses to watch Ctrl-C. After any error, all processes have ended.
    pub fn join(mut self) -> Result<Report<R, S>, ShareError<R, S>> {
        let interrupt = Interrupt::listen()?;
        let mut delivery = Delivery::default();
        let waited = self.wait_with(&interrupt);
        let delivered = self.supervisor.receive_final_state(&interrupt, &mut delivery);
        self.supervisor.terminate_all();
        let mut workers: Vec<WorkerReport<R>> =
            std::mem::take(&mut self.ended).into_iter().map(report_of).collect();
        workers.sort_by_key(|worker| (worker.index, worker.run));
        let Delivery { state, is_complete } = delivery;
        let report = Report { state: (self.read_state)(state), is_complete, workers };
        match (waited, delivered) {
            (Ok(()), Ok(())) => Ok(report),
            (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(ShareError::new(error, Some(report))),
            (Err(waiting), Err(delivery)) => Err(ShareError::new(combine(waiting, delivery), Some(report))),
        }
    }

    fn wait_with(&mut self, interrupt: &Interrupt) -> Result<()> {
        let Self { supervisor, body, ended, on_exit, .. } = self;
        supervisor.wait_for_workers(body, interrupt, |worker| {
            if let Some(on_exit) = on_exit {
                // `on_exit` gets a report without the returned value, so the value is not decoded. A value
                // that cannot be read back is a failure only in the final report.
                on_exit.borrow_mut()(&report_of::<IgnoredAny>(worker.clone()).map(|_| ()));
            }
            ended.push(worker);
        })
    }
}

/// The error of a share that has failed twice: `waiting` is why it ended early, and `delivery` is the error
/// of receiving its final state. Has the items of both errors, or only those of `waiting` if they are equal.
fn combine(waiting: Error, delivery: Error) -> Error {
    if waiting.items() == delivery.items() {
        return waiting;
    }
    Error::check([waiting.items(), delivery.items()].concat()).err().unwrap_or(waiting)
}

/// Builds the report of a worker that was reaped.
fn report_of<R: DeserializeOwned>(worker: ReapedWorker) -> WorkerReport<R> {
    let (calls, outcome) = decode_result(&worker);
    WorkerReport {
        index: worker.index,
        run: worker.run,
        pid: worker.pid,
        status: worker.status,
        outcome,
        started: worker.started,
        ended: worker.ended,
        calls,
        stdout_cut: worker.stdout.cut(),
        stdout: worker.stdout.into_bytes(),
        stderr_cut: worker.stderr.cut(),
        stderr: worker.stderr.into_bytes(),
    }
}

/// Decodes the result of a worker: the number of its calls and the outcome of its closure.
fn decode_result<R: DeserializeOwned>(worker: &ReapedWorker) -> (u64, Outcome<R>) {
    let fault = match rmp_serde::from_slice::<WorkerResult<R>>(&worker.result) {
        Ok(WorkerResult { result, calls }) => {
            let outcome = match result {
                ClosureResult::Returned(value) => Outcome::Returned(value),
                ClosureResult::Failed { text, error } => Outcome::Failed { text, error },
                ClosureResult::Panicked(message) => Outcome::Panicked(message),
            };
            return (calls, outcome);
        }
        Err(fault) => fault,
    };
    // Either the returned value is no `R`, or the result is missing or incomplete. Decoding the result with a
    // value of any type tells which.
    match rmp_serde::from_slice::<WorkerResult<IgnoredAny>>(&worker.result) {
        Ok(WorkerResult { calls, .. }) => {
            let text = format!("the returned value cannot be read back: {fault}");
            (calls, Outcome::Failed { text, error: None })
        }
        // An incomplete result counts as missing: the worker was ended while it wrote its result.
        Err(_) if worker.timed_out => (0, Outcome::TimedOut),
        Err(_) => (0, Outcome::Silent),
    }
}

impl Drop for UdsLease {
    fn drop(&mut self) {
        if getpid() == self.owner {
            self.directory.remove();
            self.in_use.set(false);
        }
    }
}
