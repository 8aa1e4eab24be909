//! Checks whether this thread may block, and blocks it. A thread may not block inside an async task, nor wait
//! for the server whose method it runs.

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use miko_rpc::{Error, ErrorId, Result};
use tokio::runtime::Handle;
use tokio::task::coop::{consume_budget, has_budget_remaining};

use crate::serving;

/// An upper bound of tokio's cooperative budget, which is 128 operations between two yields of a task.
const MAX_TASK_BUDGET: usize = 256;

/// Refuses blocking calls inside an async task, where they would block all tasks of the thread.
///
/// A thread may block inside `spawn_blocking`, inside `block_in_place`, and after it has merely entered a
/// runtime.
///
/// # Errors
/// `inside-runtime`.
pub(crate) fn refuse_in_task() -> Result<()> {
    if Handle::try_current().is_ok() && runs_a_task() { Err(inside_runtime()) } else { Ok(()) }
}

/// Checks that this thread may wait for the server at `path`: for the answer to a call, or for items of a
/// stream. Refuses the wait in two cases. If the thread runs a method of this server, the method would wait
/// for itself. If the thread runs an async task, the wait would block all tasks of the thread.
///
/// A thread that runs a method of another server may wait. The method does run in a task of the other
/// server's runtime, but the thread of a server runs one call at a time anyway.
///
/// # Errors
/// `self-call`, `inside-runtime`.
pub fn check_may_wait_for(path: &Path) -> Result<()> {
    if !serving::runs_a_call() {
        return refuse_in_task();
    }
    if !serving::listens_at(path) {
        return Ok(());
    }
    let message = "a method calls the server that is running it, which would wait for itself: \
                   call the implementation directly";
    Err(Error::new(ErrorId::SELF_CALL, message).with("path", path.display().to_string()))
}

/// Runs `future` in this thread without a runtime: polls `future`, and parks the thread until another thread
/// wakes it. Returns `None` if `future` is not ready at `until`.
pub(super) fn block_until<F: Future>(until: Option<Instant>, future: F) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if !park_until(until) {
            return None;
        }
    }
}

/// Parks this thread until another thread unparks it, or until `until`; may also return earlier. Returns
/// `false`, without parking, if `until` has passed.
pub(super) fn park_until(until: Option<Instant>) -> bool {
    match until.map(|until| until.saturating_duration_since(Instant::now())) {
        None => thread::park(),
        Some(left) if left.is_zero() => return false,
        Some(left) => thread::park_timeout(left),
    }
    true
}

/// Refuses a fork if this thread has entered a tokio runtime, whether or not the thread runs a task: tokio
/// does not support forks.
///
/// # Errors
/// `inside-runtime`.
pub(crate) fn refuse_in_runtime() -> Result<()> {
    if Handle::try_current().is_ok() { Err(inside_runtime()) } else { Ok(()) }
}

/// Whether this thread runs an async task of tokio: whether it has a limited
/// [budget](tokio::task::coop#cooperative-scheduling), as only a task has.
///
/// The check consumes budget until none is left: only a limited budget runs out. So a task that is detected
/// yields at its next `await`. A task in `tokio::task::unconstrained` has no limited budget, and is not
/// detected.
fn runs_a_task() -> bool {
    let mut context = Context::from_waker(Waker::noop());
    (0..MAX_TASK_BUDGET).any(|_| {
        let _ = pin!(consume_budget()).poll(&mut context);
        !has_budget_remaining()
    })
}

/// The error of a blocking call, or of a fork, inside an async runtime.
fn inside_runtime() -> Error {
    Error::new(
        ErrorId::INSIDE_RUNTIME,
        "a blocking call would stop the async runtime it was made in: use the async client, or call inside \
         `spawn_blocking`, from a plain thread (`std::thread::spawn`), or before the runtime starts",
    )
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::task::{LocalSet, spawn_blocking};

    use super::*;

    fn is_refused() -> bool {
        refuse_in_task().is_err()
    }

    #[test]
    fn tasks_are_refused_and_threads_that_may_block_are_not() {
        let runtime = Builder::new_current_thread().build().unwrap();
        assert!(!is_refused());
        {
            let _entered = runtime.enter();
            assert!(!is_refused() && refuse_in_runtime().is_err());
        }
        runtime.block_on(async {
            assert!(is_refused());
            assert!(is_refused(), "also the second time");
            tokio::task::yield_now().await;
            assert!(is_refused(), "also after the task has yielded");
            assert!(tokio::spawn(async { is_refused() }).await.unwrap());
            assert!(LocalSet::new().run_until(async { is_refused() }).await);
            assert!(!spawn_blocking(is_refused).await.unwrap());
        });
        assert!(!is_refused());
    }
}
