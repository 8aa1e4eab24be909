//! Which method a server runs and since when, as it tells its parent.
//!
//! The parent ends a server that is stuck, and names the method in which it is. The server cannot say so itself then, so
//! it writes to memory that both have in common. Nothing that is read there is trusted: an index that is none is no
//! method, and a time in the future is the present.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use miko_core::rpc::{Method, Surface};
use miko_core::{Error, ErrorId, Result};

use crate::shared_memory::{Shareable, SharedMemory};

/// No method runs.
const IDLE: u32 = 0;

/// What a server does, for its parent to see.
pub(crate) struct Activity {
    page: SharedMemory<Page>,
    /// Times are counted from here. The clock of an `Instant` is the same in all processes.
    epoch: Instant,
    surface: &'static Surface,
    call_deadline: Duration,
}

struct Page {
    /// The index of the method that runs, plus one.
    method: AtomicU32,
    /// When the last method began, in nanoseconds.
    began: AtomicU64,
}

// SAFETY: both fields are atomic integers.
unsafe impl Shareable for Page {}

impl Activity {
    /// # Errors
    /// `internal`, if there is no memory for it.
    pub(crate) fn new(surface: &'static Surface, call_deadline: Duration) -> Result<Self> {
        let page = SharedMemory::new().map_err(|fault| {
            Error::new(ErrorId::INTERNAL, format!("no memory can be shared with the server: {fault}"))
        })?;
        Ok(Self { page, epoch: Instant::now(), surface, call_deadline })
    }

    /// Says that a method begins, and gives what the surface says of it.
    pub(super) fn begin(&self, method: &str, now: Instant) -> Option<&'static Method> {
        let index = self.surface.methods.iter().position(|candidate| candidate.name == method);
        let number = index.and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(IDLE);
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        self.page.began.store(u64::try_from(since).unwrap_or(u64::MAX), Relaxed);
        self.page.method.store(number, Relaxed);
        self.surface.methods.get(index?)
    }

    /// Says that the method has returned.
    pub(super) fn end(&self) {
        self.page.method.store(IDLE, Relaxed);
    }

    /// The method that runs.
    fn running(&self) -> Option<&'static Method> {
        let index = usize::try_from(self.page.method.load(Relaxed)).ok()?.checked_sub(1)?;
        self.surface.methods.get(index)
    }

    /// When the last method began.
    fn began(&self) -> Instant {
        let since = Duration::from_nanos(self.page.began.load(Relaxed));
        let now = Instant::now();
        self.epoch.checked_add(since).map_or(now, |began| began.min(now))
    }

    /// When the method that runs should have returned, with this much grace; `None` if none runs or it may run for ever.
    pub(crate) fn method_ends(&self, grace: Duration) -> Option<Instant> {
        let deadline = self.running()?.deadline_or(self.call_deadline);
        self.began().checked_add(deadline)?.checked_add(grace)
    }

    /// When a server that was heard of last at `heard` should have answered its parent; `None` if it may take for ever.
    pub(crate) fn answer_ends(&self, heard: Instant, grace: Duration) -> Option<Instant> {
        if self.running().is_some() {
            return self.method_ends(grace);
        }
        self.began().max(heard).checked_add(self.call_deadline)?.checked_add(grace)
    }

    /// No method that begins from now on is overdue before that.
    pub(crate) fn next_check(&self, grace: Duration) -> Option<Instant> {
        let deadlines = self.surface.methods.iter().map(|method| method.deadline_or(self.call_deadline));
        Instant::now().checked_add(deadlines.min()?)?.checked_add(grace)
    }

    /// Why a server is ended that did not answer in time.
    pub(crate) fn overdue(&self) -> Error {
        match self.running() {
            Some(method) => Error::new(
                ErrorId::SERVER_GONE,
                format!(
                    "the server was ended: its method `{}` had not returned when its deadline and the grace period \
                     were over",
                    method.name
                ),
            )
            .with("method", method.name.as_ref()),
            None => Error::new(
                ErrorId::SERVER_GONE,
                "the server was ended: it ran no method and had not answered its parent when `call_deadline` and the \
                 grace period were over",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use miko_core::Mikobase;
    use miko_core::rpc::Interface;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(300);
    const GRACE: Duration = Duration::from_secs(2);

    fn activity() -> Activity {
        Activity::new(<dyn Mikobase as Interface>::surface(), DEADLINE).unwrap()
    }

    #[test]
    fn a_method_is_overdue_after_its_deadline_and_the_grace_period() {
        let activity = activity();
        assert_eq!(activity.method_ends(GRACE), None);
        let now = Instant::now();
        activity.begin("q0", now);
        assert_eq!(activity.method_ends(GRACE), Some(now + DEADLINE + GRACE));
        assert!(activity.overdue().to_string().contains("`q0`"));
        activity.end();
        assert_eq!(activity.method_ends(GRACE), None);
    }

    #[test]
    fn a_bound_that_no_clock_reaches_is_none() {
        let activity = activity();
        activity.begin("q0", Instant::now());
        assert_eq!(activity.method_ends(Duration::MAX), None);
        assert_eq!(activity.next_check(Duration::MAX), None);
    }

    #[test]
    fn whatever_another_process_writes_is_harmless() {
        let activity = activity();
        for (method, began) in [(u32::MAX, u64::MAX), (1, u64::MAX), (IDLE, u64::MAX)] {
            activity.page.method.store(method, Relaxed);
            activity.page.began.store(began, Relaxed);
            assert!(activity.began() <= Instant::now());
            assert!(activity.answer_ends(Instant::now(), GRACE).is_some());
            let _ = activity.overdue();
        }
    }
}
