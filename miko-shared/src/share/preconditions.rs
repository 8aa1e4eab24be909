//! What must hold before a process forks.

use miko_core::{Error, ErrorId, Result};

use crate::client::refuse_in_runtime;
use crate::linux;

/// A fork copies only the calling thread: a lock that another one holds would stay locked in the child for ever. tokio
/// supports a fork only where it was never used.
pub(super) fn check(allow_threads: bool) -> Result<()> {
    refuse_in_runtime()?;
    if allow_threads {
        return Ok(());
    }
    let threads = linux::thread_count().map_err(|fault| {
        Error::new(ErrorId::INTERNAL, format!("/proc must be mounted to count threads: {fault}"))
    })?;
    if threads == 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorId::THREADS_RUNNING,
        "a share forks, and a fork copies only the calling thread: locks that other threads hold would never be \
         released in the workers. Share before any thread starts, or say `.allow_threads(true)` if you know that \
         no thread holds one",
    )
    .with("threads", threads))
}
