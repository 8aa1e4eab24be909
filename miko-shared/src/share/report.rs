//! The report of a share: how it and its workers ended.

use std::fmt;
use std::time::{Duration, SystemTime};

use miko_rpc::{Error, ErrorId, Result};

/// The report of a share: the final state, and a report for each run of a worker that ended while the share
/// waited for it. A run has no report if the share could not watch it, since the system refused to open a
/// pidfd for its process, or to wait for events. The share has ended its process then.
#[derive(Debug)]
pub struct Report<R, S = ()> {
    #[cfg_attr(not(feature = "mikobase"), allow(dead_code, reason = "`Report::worldlet` reads it"))]
    pub(crate) state: S,
    pub(crate) is_complete: bool,
    pub(crate) workers: Vec<WorkerReport<R>>,
}

impl<R, S> Report<R, S> {
    /// The reports of the workers, ordered by index. A worker that was started again has one for each run.
    pub fn workers(&self) -> &[WorkerReport<R>] {
        &self.workers
    }

    /// Whether the whole final state arrived. It may arrive even if the share fails: after Ctrl-C, the
    /// workers are ended first, and the state is delivered afterwards.
    pub fn state_is_complete(&self) -> bool {
        self.is_complete
    }

    /// The last run of each worker, ordered by index.
    pub fn last_runs(&self) -> impl Iterator<Item = &WorkerReport<R>> {
        let runs = self.workers.chunk_by(|worker, next| worker.index == next.index);
        runs.filter_map(<[_]>::last)
    }

    /// The values that the closures of the workers returned, ordered by index of the worker.
    ///
    /// # Errors
    /// As [`all_succeeded`](Self::all_succeeded).
    pub fn into_returned(self) -> Result<Vec<R>> {
        self.all_succeeded()?;
        // Only the last run of a worker can have returned a value: a run that has is followed by no other.
        let returned = self.workers.into_iter().filter_map(|worker| match worker.outcome {
            Outcome::Returned(value) => Some(value),
            _ => None,
        });
        Ok(returned.collect())
    }

    /// Checks that every worker returned a value, in its last run if it was started again. A worker without a
    /// report is not checked: it was never started, because the share ended early, or could not be watched.
    ///
    /// # Errors
    /// `worker-failed`, with an item per worker whose last run returned no value.
    pub fn all_succeeded(&self) -> Result<()> {
        let failed = self.last_runs().filter_map(|worker| {
            let reason = worker.outcome.fault()?;
            let item =
                miko_rpc::ErrorItem::new(ErrorId::WORKER_FAILED, format!("worker {} {reason}", worker.index));
            Some(item.with("worker", worker.index).with("status", worker.status.to_string()))
        });
        Error::check(failed.collect())
    }
}

/// The report of one run of a worker.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerReport<R> {
    /// The index of the worker, from 0.
    pub index: usize,
    /// How often the worker was started before: see [`Uds::restart`](crate::Uds::restart).
    pub run: usize,
    /// The id of its process.
    pub pid: u32,
    /// How its process ended.
    pub status: ExitStatus,
    /// The value that its closure returned, or the reason why there is none.
    pub outcome: Outcome<R>,
    /// When it was forked.
    pub started: SystemTime,
    /// When it was reaped.
    pub ended: SystemTime,
    /// The number of calls that it made on its proxy; 0 if the process ended before it reported them.
    pub calls: u64,
    /// Its standard output, if `capture_output` is set: all of it, or the beginning and the end. Empty if
    /// `capture_output` is not set.
    pub stdout: Vec<u8>,
    /// The number of bytes cut from the middle of `stdout`, because it exceeded `capture_limit`.
    pub stdout_cut: u64,
    /// Its standard error, captured as `stdout` is.
    pub stderr: Vec<u8>,
    /// The number of bytes cut from the middle of `stderr`.
    pub stderr_cut: u64,
}

impl<R> WorkerReport<R> {
    /// Converts the returned value, if there is one.
    pub(super) fn map<T>(self, convert: impl FnOnce(R) -> T) -> WorkerReport<T> {
        let outcome = match self.outcome {
            Outcome::Returned(value) => Outcome::Returned(convert(value)),
            Outcome::Failed { text, error } => Outcome::Failed { text, error },
            Outcome::Panicked(message) => Outcome::Panicked(message),
            Outcome::Silent => Outcome::Silent,
            Outcome::TimedOut => Outcome::TimedOut,
        };
        let Self {
            index,
            run,
            pid,
            status,
            started,
            ended,
            calls,
            stdout,
            stdout_cut,
            stderr,
            stderr_cut,
            ..
        } = self;
        WorkerReport {
            index,
            run,
            pid,
            status,
            outcome,
            started,
            ended,
            calls,
            stdout,
            stdout_cut,
            stderr,
            stderr_cut,
        }
    }

    /// The time from fork to reaping.
    pub fn duration(&self) -> Duration {
        // The system clock may have been set back between the two times.
        self.ended.duration_since(self.started).unwrap_or_default()
    }

    /// The value that the closure returned.
    ///
    /// # Errors
    /// `worker-failed`, with the reason why there is no value.
    pub fn returned(&self) -> Result<&R> {
        match &self.outcome {
            Outcome::Returned(value) => Ok(value),
            other => Err(Error::new(
                ErrorId::WORKER_FAILED,
                format!("worker {} {}", self.index, other.fault().unwrap_or_default()),
            )),
        }
    }
}

/// How the closure of a worker ended, or why it did not run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<R> {
    /// It returned a value.
    Returned(R),
    /// It returned an error; or the worker could not connect; or the returned value could not be serialized
    /// or read back.
    Failed {
        /// The error as text.
        text: String,
        /// The error itself, if its type is [`Error`].
        error: Option<Error>,
    },
    /// It panicked, with this message.
    Panicked(String),
    /// Its process ended without reporting a result: it was killed, called `exit`, or executed another
    /// program.
    Silent,
    /// Its process exceeded `worker_timeout`, and was ended without reporting a result.
    TimedOut,
}

impl<R> Outcome<R> {
    /// The reason why there is no value, as the predicate of a sentence whose subject is the worker:
    /// for example `panicked: out of dilithium`. `None` if there is a value.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Returned(_) => None,
            Self::Failed { text, .. } => Some(format!("failed: {text}")),
            Self::Panicked(message) => Some(format!("panicked: {message}")),
            Self::Silent => Some("ended without returning a value".to_owned()),
            Self::TimedOut => Some("took longer than `worker_timeout`".to_owned()),
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code. A worker exits with 0 after a value, 1 after an error, 101 after a panic.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Other code of the parent process reaped it, so its status is unknown.
    Unknown,
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "{signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The failure of a share. It has the report of the share, unless the share could not be set up, or the
/// system refused to let [`Share::join`](crate::Share::join) watch for Ctrl-C.
///
/// It converts into an [`Error`] by `?`. A share whose *workers* failed has not failed itself: see
/// [`Report::all_succeeded`].
pub struct ShareError<R, S = ()>(Box<Inner<R, S>>);

/// The content of a [`ShareError`]. It is boxed, so that a `Result` with the error stays small.
struct Inner<R, S> {
    error: Error,
    report: Option<Report<R, S>>,
}

impl<R, S> ShareError<R, S> {
    pub(crate) fn new(error: Error, report: Option<Report<R, S>>) -> Self {
        Self(Box::new(Inner { error, report }))
    }

    /// The reason of the failure.
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// The reports of the workers and the part of the final state that arrived. `None` if the share could not
    /// be set up, or the system refused to let [`Share::join`](crate::Share::join) watch for Ctrl-C.
    pub fn report(&self) -> Option<&Report<R, S>> {
        self.0.report.as_ref()
    }
}

impl<R, S> From<Error> for ShareError<R, S> {
    fn from(error: Error) -> Self {
        Self::new(error, None)
    }
}

impl<R, S> From<ShareError<R, S>> for Error {
    fn from(failed: ShareError<R, S>) -> Self {
        failed.0.error
    }
}

impl<R, S> fmt::Debug for ShareError<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `main` that returns an error prints it by `Debug`.
        fmt::Debug::fmt(&self.0.error, f)
    }
}

impl<R, S> fmt::Display for ShareError<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl<R, S> std::error::Error for ShareError<R, S> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.error.source()
    }
}
