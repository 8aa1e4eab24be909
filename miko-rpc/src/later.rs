//! Answers that come later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use miko_surface::Method;

use crate::answer::read_answer;
use crate::bounds::Wire;
use crate::error::{Error, ErrorId};
use crate::transport::PendingAnswer;

/// A `Result` that comes later: the return type of a method that may have to wait for others.
///
/// The implementation keeps the other half, a [`Promise`], and fulfils it when it can. Meanwhile the server
/// serves other calls; no thread waits. All errors come from [`wait`](Later::wait), those of the connection
/// too. Dropping it tells the implementation that the value is no longer wanted.
///
/// ```
/// use miko_rpc::Later;
///
/// let (promise, later) = Later::<u64>::new();
/// promise.fulfil(7).unwrap();
/// assert_eq!(later.wait()?, 7);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub struct Later<T, E = Error>(Place<T, E>);

enum Place<T, E> {
    /// The promise is in this process.
    Local(Arc<Shared<T, E>>),
    /// The promise is in a server.
    Elsewhere { answer: Box<dyn PendingAnswer>, method: &'static Method },
    /// The result was given.
    Taken,
}

/// The half of a [`Later`] that its implementation keeps.
///
/// Dropping it without a value is the error `internal` of the other half.
pub struct Promise<T, E = Error>(Arc<Shared<T, E>>);

struct Shared<T, E> {
    state: Mutex<State<T, E>>,
    changed: Condvar,
}

struct State<T, E> {
    result: Option<Result<T, E>>,
    /// Whether the promise was dropped.
    is_broken: bool,
    is_wanted: bool,
    waker: Option<Waker>,
    on_unwanted: Option<Box<dyn FnOnce() + Send>>,
}

impl<T, E> Later<T, E> {
    /// A promise, and what is returned meanwhile.
    // A pair, as channels have it; neither half is made alone.
    #[allow(clippy::new_ret_no_self, reason = "both halves are made together")]
    pub fn new() -> (Promise<T, E>, Self) {
        let state = State { result: None, is_broken: false, is_wanted: true, waker: None, on_unwanted: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        (Promise(Arc::clone(&shared)), Self(Place::Local(shared)))
    }

    /// Whether the promise is in this process, so that its result can be polled for.
    pub(crate) fn is_local(&self) -> bool {
        !matches!(self.0, Place::Elsewhere { .. })
    }

    /// What a server answers later.
    pub(crate) fn elsewhere(answer: Box<dyn PendingAnswer>, method: &'static Method) -> Self {
        Self(Place::Elsewhere { answer, method })
    }
}

impl<T: Wire, E: Wire + From<Error>> Later<T, E> {
    /// Waits for the result, at most until the deadline of the call.
    ///
    /// # Errors
    /// The error of the method, and those of a call.
    pub fn wait(mut self) -> Result<T, E> {
        match self.wait_until(None) {
            Poll::Ready(result) => result,
            // There is no limit to wait for.
            Poll::Pending => Err(already_taken().into()),
        }
    }

    /// As [`wait`](Self::wait); `Pending` if there was no result within this time.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Poll<Result<T, E>> {
        self.wait_until(Instant::now().checked_add(timeout))
    }

    fn wait_until(&mut self, until: Option<Instant>) -> Poll<Result<T, E>> {
        let result = match &mut self.0 {
            Place::Local(shared) => match shared.wait(until) {
                Some(result) => result.unwrap_or_else(|| Err(broken().into())),
                None => return Poll::Pending,
            },
            Place::Elsewhere { answer, method } => {
                let mut result = None;
                let waited = answer.wait(until, &mut |bytes| {
                    result = Some(read_answer(method, bytes)?);
                    Ok(())
                });
                match (waited, result) {
                    (Ok(false), _) => return Poll::Pending,
                    (Ok(true), Some(result)) => result,
                    (Ok(true), None) => Err(already_taken().into()),
                    (Err(error), _) => Err(error.into()),
                }
            }
            Place::Taken => Err(already_taken().into()),
        };
        self.0 = Place::Taken;
        Poll::Ready(result)
    }
}

impl<T: Wire, E: Wire + From<Error>> Future for Later<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        let result = match &mut self.0 {
            Place::Local(shared) => match shared.poll(context) {
                Poll::Ready(result) => result.unwrap_or_else(|| Err(broken().into())),
                Poll::Pending => return Poll::Pending,
            },
            Place::Elsewhere { .. } => {
                let message = "a later answer of a blocking proxy was awaited: use `wait`, or call the \
                               method of the async client";
                Err(Error::new(ErrorId::INSIDE_RUNTIME, message).into())
            }
            Place::Taken => Err(already_taken().into()),
        };
        self.0 = Place::Taken;
        Poll::Ready(result)
    }
}

impl<T, E> Unpin for Later<T, E> {}

impl<T, E> From<Result<T, E>> for Later<T, E> {
    fn from(result: Result<T, E>) -> Self {
        let (promise, later) = Self::new();
        // It is wanted: the other half is here.
        drop(promise.0.settle(result));
        later
    }
}

impl<T, E> Drop for Later<T, E> {
    fn drop(&mut self) {
        let Place::Local(shared) = &self.0 else { return };
        let mut state = shared.lock();
        state.is_wanted = false;
        let (result, on_unwanted) = (state.result.take(), state.on_unwanted.take());
        drop(state);
        drop(result);
        if let Some(on_unwanted) = on_unwanted {
            on_unwanted();
        }
    }
}

impl<T, E> Promise<T, E> {
    /// Gives the value to who waits for it.
    ///
    /// # Errors
    /// The value, if no caller waits for it any more.
    pub fn fulfil(self, value: T) -> Result<(), T> {
        match self.0.settle(Ok(value)) {
            Some(Ok(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Gives an error to who waits for the value.
    pub fn reject(self, error: E) {
        drop(self.0.settle(Err(error)));
    }

    /// Whether a caller waits for the value.
    pub fn is_wanted(&self) -> bool {
        self.0.lock().is_wanted
    }

    /// Calls `unwanted` when no caller waits for the value any more: at once, if that is so. It replaces the
    /// function of an earlier call, and is not called after the promise was fulfilled.
    pub fn on_unwanted(&self, unwanted: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        if state.is_wanted {
            state.on_unwanted = Some(Box::new(unwanted));
        } else {
            drop(state);
            unwanted();
        }
    }
}

impl<T, E> Drop for Promise<T, E> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_broken = true;
        let unused = state.on_unwanted.take();
        self.0.wake(&mut state);
        drop(state);
        drop(unused);
    }
}

impl<T, E> Shared<T, E> {
    /// Sets the result, or gives it back if no caller waits for it. Of the two, the result and the function
    /// of [`on_unwanted`](Promise::on_unwanted), a caller that gives up meets one.
    fn settle(&self, result: Result<T, E>) -> Option<Result<T, E>> {
        let mut state = self.lock();
        if !state.is_wanted {
            return Some(result);
        }
        state.result = Some(result);
        let unused = state.on_unwanted.take();
        drop(state);
        drop(unused);
        None
    }

    fn wake(&self, state: &mut State<T, E>) {
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        self.changed.notify_all();
    }

    /// Waits until this time. `Some(None)` if the promise was dropped.
    fn wait(&self, until: Option<Instant>) -> Option<Option<Result<T, E>>> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.take() {
                return Some(result);
            }
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        let mut state = self.lock();
        match state.take() {
            Some(result) => Poll::Ready(result),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        // A panic of a waker leaves the state as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> State<T, E> {
    /// The result, once there is one; `Some(None)` if there will be none.
    fn take(&mut self) -> Option<Option<Result<T, E>>> {
        match self.result.take() {
            None if self.is_broken => Some(None),
            result => result.map(Some),
        }
    }
}

fn broken() -> Error {
    Error::new(ErrorId::INTERNAL, "the implementation dropped the promise of the answer")
}

fn already_taken() -> Error {
    Error::new(ErrorId::INTERNAL, "the later answer was taken before")
}

impl<T, E> fmt::Debug for Later<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

impl<T, E> fmt::Debug for Promise<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("is_wanted", &self.is_wanted()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_caller_that_gives_up_drops_the_value_or_leaves_it_unwanted() {
        for is_settled in [true, false] {
            let (value, was_unwanted) = (Arc::new(()), Arc::new(AtomicBool::new(false)));
            let (promise, later) = Later::<_>::new();
            let told = Arc::clone(&was_unwanted);
            promise.on_unwanted(move || told.store(true, Ordering::Relaxed));
            if is_settled {
                // The caller gives up while `fulfil` runs: the promise was settled, and is not dropped yet.
                assert!(promise.0.settle(Ok(Arc::clone(&value))).is_none());
                drop(later);
                drop(promise);
            } else {
                drop(later);
                assert!(promise.fulfil(Arc::clone(&value)).is_err());
            }
            assert_eq!(was_unwanted.load(Ordering::Relaxed), !is_settled);
            assert_eq!(Arc::strong_count(&value), 1);
        }
    }
}
