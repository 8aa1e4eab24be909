//! How the command ends.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mikobase::{Error, ErrorId};

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    RequestFailed = 1,
    Usage = 2,
    Unreachable = 3,
    /// Ctrl-C ended it: 128 and the number of the signal, as shells say.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The words of the command do not fit together.
    Usage(String),
    /// The backend could not be opened or reached.
    Unreachable(Error),
    /// What was asked for could not be done.
    Request(Error),
    /// Standard input or output failed.
    Io(io::Error),
    /// A file could not be read or written.
    File(PathBuf, io::Error),
}

impl Failure {
    /// A fault of the file at `path`.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |fault| Self::File(path, fault)
    }
}

impl From<io::Error> for Failure {
    fn from(fault: io::Error) -> Self {
        Self::Io(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.is(ErrorId::SERVER_GONE) { Self::Unreachable(error) } else { Self::Request(error) }
    }
}

impl Exit {
    /// Says on standard error what went wrong.
    pub(crate) fn report(failure: Failure) -> Self {
        match failure {
            Failure::Usage(message) => {
                say(format_args!("miko: {message}"));
                Self::Usage
            }
            Failure::Unreachable(error) => {
                report_items(&error);
                Self::Unreachable
            }
            Failure::Request(error) => {
                report_items(&error);
                if error.is(ErrorId::INTERRUPTED) { Self::Interrupted } else { Self::RequestFailed }
            }
            // Whoever reads our output has seen enough.
            Failure::Io(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Self::Success,
            Failure::Io(fault) => {
                say(format_args!("miko: {fault}"));
                Self::RequestFailed
            }
            Failure::File(path, fault) => {
                say(format_args!("miko: {}: {fault}", path.display()));
                Self::RequestFailed
            }
        }
    }
}

/// Writes a message to standard error. If that is closed the message is lost, and the work goes on.
pub(crate) fn say(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// An error of several items is a line for each.
fn report_items(error: &Error) {
    for item in error.items() {
        say(format_args!("miko: {item}"));
    }
}
