//! Where a server is and how to get in.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use miko_core::{Error, ErrorId};

use crate::limits::Limits;
use crate::polling::SharedStatus;
use crate::token::Token;

/// How long a connect waits for a server that is coming up.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How soon a connect is tried again while nobody listens yet.
pub(super) const CONNECT_RETRY: Duration = Duration::from_millis(10);

/// Where a server is and how to get in.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) path: PathBuf,
    pub(crate) token: Token,
    pub(crate) limits: Limits,
    /// What the server shows of itself, to a client that may poll for its answers.
    pub(crate) shared_status: Option<Arc<SharedStatus>>,
}

impl Address {
    /// The server at `path`, which knows `token`, with the default limits. What it shows its workers cannot be seen from outside.
    pub(super) fn new(path: impl AsRef<Path>, token: &Token) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            token: token.clone(),
            limits: Limits::default(),
            shared_status: None,
        }
    }

    pub(super) fn unreachable(&self, fault: &io::Error) -> Error {
        Error::new(ErrorId::SERVER_GONE, format!("no server can be reached: {fault}"))
            .with("path", self.path.display().to_string())
    }
}

pub(super) fn is_not_listening(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}
