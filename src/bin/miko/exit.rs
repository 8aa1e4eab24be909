//! Exit codes and failures of the command.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mikobase::{Error, ErrorId};

use crate::output::printable;

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    RequestFailed = 1,
    Usage = 2,
    OpenFailed = 3,
    /// Ctrl-C interrupted the command: 128 plus the number of the signal, by the convention of shells.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The reason for which a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are invalid.
    Usage(String),
    /// The backend could not be opened or reached.
    Open(Error),
    /// The request failed.
    Request(Error),
    /// Standard input or output failed.
    Io(io::Error),
    /// A file could not be read or written.
    File(PathBuf, io::Error),
}

impl Failure {
    /// A failure of the file at `path`.
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
        let is_of_opening = [ErrorId::SERVER_GONE, ErrorId::INVALID_BACKEND, ErrorId::BACKEND_IN_USE];
        // A share that Ctrl-C has ended may have lost its server by that.
        if !error.is(ErrorId::INTERRUPTED) && is_of_opening.into_iter().any(|id| error.is(id)) {
            Self::Open(error)
        } else {
            Self::Request(error)
        }
    }
}

impl Exit {
    /// Prints the failure to standard error and returns its exit code.
    pub(crate) fn report(failure: Failure) -> Self {
        match failure {
            Failure::Usage(message) => {
                print_stderr(format_args!("miko: {message}"));
                Self::Usage
            }
            Failure::Open(error) => {
                report_items(&error);
                Self::OpenFailed
            }
            Failure::Request(error) => {
                report_items(&error);
                if error.is(ErrorId::INTERRUPTED) { Self::Interrupted } else { Self::RequestFailed }
            }
            // The reader of standard output has closed it, as `head` does.
            Failure::Io(fault) if fault.kind() == io::ErrorKind::BrokenPipe => Self::Success,
            Failure::Io(fault) => {
                print_stderr(format_args!("miko: {fault}"));
                Self::RequestFailed
            }
            Failure::File(path, fault) => {
                print_stderr(format_args!("miko: {}: {fault}", path.display()));
                Self::RequestFailed
            }
        }
    }
}

/// Prints a message to standard error. A write error is ignored: the command continues without the message.
pub(crate) fn print_stderr(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Prints each item of an error on a line of its own.
fn report_items(error: &Error) {
    for item in error.items() {
        print_stderr(format_args!("miko: {}", printable(&item.to_string())));
    }
}
