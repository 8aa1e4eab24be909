//! The hook of the application that runs around each call of a server ([`Uds::around`](crate::Uds::around)).
//! It is not one of the hooks of a database, which run before a record is saved.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use miko_rpc::{Error, ErrorId, Method, Result, Served, panic_message};

/// A function that runs around each call.
pub(crate) type Around = dyn Fn(&CallInfo<'_>, Next<'_>) -> Result<Served>;

/// A call that is about to run, as [`Uds::around`](crate::Uds::around) sees it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CallInfo<'c> {
    /// The description of the method, with its name and its attributes.
    pub method: &'static Method,
    /// The process that calls.
    pub peer: &'c Peer,
    /// How long the client waits, counted from the time at which it sent the call.
    pub deadline: Duration,
}

/// The process at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The id of the process that connected, as the kernel reports it. 0 if it is unknown, as with TCP.
    pub pid: i32,
    /// The index of the worker, which the client sends and the server does not verify. `None` if the client
    /// has sent none, like clients outside the share.
    pub worker: Option<usize>,
}

impl Peer {
    pub(super) const fn new(pid: i32, worker: Option<usize>) -> Self {
        Self { pid, worker }
    }
}

/// The call around which the hook runs. The hook either [runs](Self::run) the call or returns an error.
pub struct Next<'n>(&'n mut dyn FnMut() -> Result<Served>);

impl Next<'_> {
    /// Runs the call, and returns its outcome. If the call has to wait at a gate, the outcome is
    /// [`Served::Pending`], and the call is run again later, without the hook.
    ///
    /// # Errors
    /// If the arguments cannot be read (the method is then not run), or if the answer cannot be encoded. An
    /// error that the method returns is no error here: it is part of [`Served`].
    pub fn run(self) -> Result<Served> {
        (self.0)()
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// Runs `call` with `around` around it.
///
/// If `around` returns `Ok`, the result is that of the call, whatever `around` has returned: it cannot turn a
/// failure into a success, for which there would be no answer.
///
/// # Errors
/// The error that `around` returns, which may be that of the call or another one. `internal`, if `around`
/// panics, or if it returns `Ok` without having run the call.
pub(super) fn run(
    around: &Around,
    info: &CallInfo<'_>,
    call: &mut dyn FnMut() -> Result<Served>,
) -> Result<Served> {
    let mut outcome = None;
    let mut run_call = || {
        let served = call();
        outcome = Some(served.clone());
        served
    };
    let returned = catch_unwind(AssertUnwindSafe(|| around(info, Next(&mut run_call))));
    let failed =
        |message: String| Err(Error::new(ErrorId::INTERNAL, message).with("method", &*info.method.name));
    match returned {
        Err(panic) => failed(format!("the hook of `around` panicked: {}", panic_message(&*panic))),
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) => outcome.unwrap_or_else(|| {
            failed("the hook of `around` returned `Ok` without running the call".to_owned())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(around: &Around, served: Result<Served>) -> Result<Served> {
        let method: &'static Method = Box::leak(Box::new(Method {
            name: "work".into(),
            params: (&[]).into(),
            returns: "()".into(),
            doc: "".into(),
            read: None,
            idempotent: false,
            deadline_ms: None,
        }));
        let peer = Peer::new(1, None);
        let info = CallInfo { method, peer: &peer, deadline: Duration::from_secs(1) };
        run(around, &info, &mut || served.clone())
    }

    #[test]
    fn a_hook_does_not_turn_a_failure_into_a_success() {
        let failure = || Err(Error::new(ErrorId::REQUEST_TOO_LARGE, "the answer is too large"));
        let outcomes = [failure(), Ok(Served::Succeeded), Ok(Served::Pending)];
        for served in &outcomes {
            for returned in &outcomes {
                let answer = returned.clone();
                let around = move |_: &CallInfo<'_>, next: Next<'_>| {
                    let _ = next.run();
                    answer.clone()
                };
                let expected = if returned.is_err() { returned } else { served };
                assert_eq!(format!("{:?}", run_with(&around, served.clone())), format!("{expected:?}"));
            }
        }
        let error = run_with(&|_, _| Ok(Served::Succeeded), failure()).unwrap_err();
        assert!(error.to_string().contains("without running the call"), "{error}");
    }
}
