//! How a share and its workers ended.

use std::fmt;
use std::time::{Duration, SystemTime};

use miko_core::{Error, ErrorId, Result};

/// How a share ended: the final state and one report per worker.
#[derive(Debug)]
pub struct Report<R, S = ()> {
    pub(crate) state: S,
    pub(crate) workers: Vec<WorkerReport<R>>,
}

impl<R, S> Report<R, S> {
    /// The workers, by index.
    pub fn workers(&self) -> &[WorkerReport<R>] {
        &self.workers
    }

    /// What the blocks returned, by index of the worker: for callers to whom a share with a failed worker is a failed
    /// share.
    ///
    /// # Errors
    /// `worker-failed`, an item per worker that did not return a value.
    pub fn into_returned(self) -> Result<Vec<R>> {
        self.all_succeeded()?;
        let returned = self.workers.into_iter().filter_map(|worker| match worker.outcome {
            Outcome::Returned(value) => Some(value),
            _ => None,
        });
        Ok(returned.collect())
    }

    /// Turns "some worker failed" into an error.
    ///
    /// # Errors
    /// `worker-failed`, an item per worker that did not return a value.
    pub fn all_succeeded(&self) -> Result<()> {
        let failed = self.workers.iter().filter_map(|worker| {
            let why = worker.outcome.fault()?;
            let item =
                miko_core::ErrorItem::new(ErrorId::WORKER_FAILED, format!("worker {} {why}", worker.index));
            Some(item.with("worker", worker.index).with("status", worker.status.to_string()))
        });
        Error::check(failed.collect())
    }
}

/// How one worker ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct WorkerReport<R> {
    /// Its index, from 0.
    pub index: usize,
    /// The id its process had.
    pub pid: u32,
    /// How its process ended.
    pub status: ExitStatus,
    /// What its block returned, or why it did not.
    pub outcome: Outcome<R>,
    /// When it was forked.
    pub started: SystemTime,
    /// When it was reaped.
    pub ended: SystemTime,
    /// How many calls it made on its `db`, if it lived to say so.
    pub calls: u64,
    /// What it wrote to standard output, with `capture_output`: all of it, or its beginning and its end.
    pub stdout: Vec<u8>,
    /// How many bytes are missing in the middle of `stdout`, since it wrote more than `capture_limit`.
    pub stdout_cut: u64,
    /// What it wrote to standard error, as `stdout`.
    pub stderr: Vec<u8>,
    /// How many bytes are missing in the middle of `stderr`.
    pub stderr_cut: u64,
}

impl<R> WorkerReport<R> {
    /// The same report with another value.
    pub(super) fn map<T>(self, convert: impl FnOnce(R) -> T) -> WorkerReport<T> {
        let outcome = match self.outcome {
            Outcome::Returned(value) => Outcome::Returned(convert(value)),
            Outcome::Failed { text, error } => Outcome::Failed { text, error },
            Outcome::Panicked(message) => Outcome::Panicked(message),
            Outcome::Silent => Outcome::Silent,
            Outcome::TimedOut => Outcome::TimedOut,
        };
        let Self {
            index, pid, status, started, ended, calls, stdout, stdout_cut, stderr, stderr_cut, ..
        } = self;
        WorkerReport {
            index,
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

    /// How long its process lived.
    pub fn duration(&self) -> Duration {
        // The clock may have been set back meanwhile.
        self.ended.duration_since(self.started).unwrap_or_default()
    }

    /// The value that the block returned.
    ///
    /// # Errors
    /// `worker-failed`, saying why there is none.
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

/// How a block ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<R> {
    /// It returned a value.
    Returned(R),
    /// It returned an error.
    Failed {
        /// The error as text.
        text: String,
        /// The error itself, if it was one of Mikobase.
        error: Option<Error>,
    },
    /// It panicked, with this message.
    Panicked(String),
    /// It ended without a word: it was killed, or left through `exit`.
    Silent,
    /// It was ended because it took longer than `worker_timeout`.
    TimedOut,
}

impl<R> Outcome<R> {
    /// Why there is no value, as the end of a sentence that begins with the worker: `panicked: out of dilithium`.
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
    /// It left with this code: 0 after a value, 1 after an error, 101 after a panic.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Somebody else reaped it.
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

/// Why a share failed, with what there is all the same.
///
/// It becomes an [`Error`] by `?`. A share whose *workers* failed has not failed: see [`Report::all_succeeded`].
pub struct ShareError<R, S = ()>(Box<Failed<R, S>>);

struct Failed<R, S> {
    error: Error,
    report: Option<Report<R, S>>,
}

impl<R, S> ShareError<R, S> {
    pub(crate) fn new(error: Error, report: Option<Report<R, S>>) -> Self {
        Self(Box::new(Failed { error, report }))
    }

    /// Why.
    pub fn error(&self) -> &Error {
        &self.0.error
    }

    /// How the workers ended and as much of the final state as came through, if the share got so far.
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
        // What `main` prints of it.
        fmt::Debug::fmt(&self.0.error, f)
    }
}

impl<R, S> fmt::Display for ShareError<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl<R, S> std::error::Error for ShareError<R, S> {}
