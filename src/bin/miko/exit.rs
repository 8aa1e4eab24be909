//! How the command ends.

use std::path::PathBuf;
use std::process::ExitCode;

use mikobase::Error;

/// The exit codes, as `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Success = 0,
    RequestFailed = 1,
    Usage = 2,
    Unreachable = 3,
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
    /// Standard input or output failed.
    Io(std::io::Error),
    /// A file could not be read or written.
    File(PathBuf, std::io::Error),
}

impl From<std::io::Error> for Failure {
    fn from(fault: std::io::Error) -> Self {
        Self::Io(fault)
    }
}

impl Exit {
    /// Says on standard error what went wrong.
    pub(crate) fn report(failure: Failure) -> Self {
        match failure {
            Failure::Usage(message) => {
                eprintln!("miko: {message}");
                Self::Usage
            }
            Failure::Unreachable(error) => {
                eprintln!("miko: {error}");
                Self::Unreachable
            }
            Failure::File(path, fault) => {
                eprintln!("miko: {}: {fault}", path.display());
                Self::RequestFailed
            }
            // Whoever reads our output has seen enough.
            Failure::Io(fault) if fault.kind() == std::io::ErrorKind::BrokenPipe => Self::Success,
            Failure::Io(fault) => {
                eprintln!("miko: {fault}");
                Self::RequestFailed
            }
        }
    }
}
