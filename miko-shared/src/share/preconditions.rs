//! The conditions under which a process may fork.

use std::thread;
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Result};

use crate::client::refuse_in_runtime;
use crate::linux;

/// How often the threads are counted at most, a millisecond apart, before the fork is refused. The kernel
/// still lists a thread for a moment after the thread was joined.
const MAX_COUNTS: usize = 20;

/// The permission to fork once, directly after the check. Only [`check`] issues it.
pub(super) struct ForkPermit(());

/// Checks that this process may fork. A fork copies only the calling thread: a lock held by another thread
/// would stay locked forever in the child. tokio does not support a fork in a process that has used tokio. So
/// a fork inside a runtime is refused. A runtime elsewhere in the process is noticed by its threads, which
/// count like all others.
///
/// With `allow_threads` no threads are counted: the caller guarantees that the other threads do no harm.
///
/// # Errors
/// `inside-runtime` if this thread has entered an async runtime, `threads-running` if there are other
/// threads, `internal` if `/proc` is not mounted.
pub(super) fn check(allow_threads: bool) -> Result<ForkPermit> {
    refuse_in_runtime()?;
    if allow_threads {
        return Ok(ForkPermit(()));
    }
    let mut threads = count_threads()?;
    for _ in 1..MAX_COUNTS {
        if threads == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(1));
        threads = count_threads()?;
    }
    if threads == 1 {
        return Ok(ForkPermit(()));
    }
    Err(Error::new(
        ErrorId::THREADS_RUNNING,
        "a share forks, and a fork copies only the calling thread: locks that other threads hold would \
         never be released in the workers. Share before any thread starts; in a test, write \
         `#[mikobase::test]` for `#[test]`; or say `unsafe { uds.allow_threads(true) }` if you know that \
         no thread holds one",
    )
    .with("threads", threads))
}

fn count_threads() -> Result<usize> {
    linux::thread_count()
        .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "/proc must be mounted to count threads", fault))
}
