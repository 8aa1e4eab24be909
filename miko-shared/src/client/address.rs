//! A server's address and the credentials for it, and how long a client retries to connect.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use miko_rpc::{Error, ErrorId};

use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::token::Token;

/// How long a client retries to connect while the server does not listen yet.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause between two attempts to connect.
pub(super) const CONNECT_RETRY: Duration = Duration::from_millis(10);

/// Everything needed to connect to a server.
#[derive(Clone)]
pub(crate) struct Address {
    /// The path of the socket.
    pub(crate) path: PathBuf,
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    /// The status that the server publishes to its workers. Other clients have none, and never spin.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
    /// The index of the worker that connects. Other clients have none.
    pub(crate) worker: Option<usize>,
}

impl Address {
    /// The address of a server, for a process that is not a worker of its share, with the default limits. The
    /// status that the server publishes is not accessible: only the processes of the share have that memory.
    pub(super) fn new(path: impl AsRef<Path>, token: &Token) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            token: token.clone(),
            limits: Limits::default(),
            shared_status: None,
            worker: None,
        }
    }

    /// The error for a failed connect.
    pub(super) fn unreachable(&self, fault: io::Error) -> Error {
        Error::caused_by(ErrorId::SERVER_GONE, "no server can be reached", fault)
            .with("path", self.path.display().to_string())
    }
}

/// Whether a connect failed because no server listens. The server may not listen yet.
pub(super) fn is_not_listening(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
