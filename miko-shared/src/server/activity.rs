//! Publishes to the parent process which method the server runs, and since when.
//!
//! The parent kills a server that hangs, and reports the method that the server was running. A hanging server
//! cannot report its method, so a server publishes each method in shared memory before it runs the method.
//! The parent does not trust the values that it reads: an invalid index means that no method runs, and a time
//! in the future counts as the present.
//!
//! # Memory ordering
//!
//! The parent must not combine a method with the start of another one: it could kill a healthy server. For
//! each method the server stores its start in `began`, its number in `method`, and at its end [`IDLE`] in
//! `method`, each with `Release`. The parent loads `began`, `method` and again `began`, each with `Acquire`.
//! Of the two wrong combinations, one cannot occur and one is detected:
//!
//! - A start and the number of an earlier method. Before the server stored the start, it had replaced that
//!   number by [`IDLE`]. So the parent, which loads `method` after `began`, cannot load it any more.
//! - A start and the number of a later method. The second load of `began` then returns another value than the
//!   first, and the parent takes the present as the start.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Method, Result, Surface};

use crate::shared_memory::{Shareable, SharedMemory};

/// The value of [`Page::method`] while no method runs.
const IDLE: u32 = 0;

/// The method that a server runs, in memory shared with its parent.
pub(crate) struct Activity {
    page: SharedMemory<Page>,
    /// The origin of the times in shared memory. The clock of an `Instant` is the same in all processes.
    epoch: Instant,
    /// The surface of the served interface, with the surfaces of its objects.
    surface: &'static Surface,
    /// The deadline of methods that have none of their own.
    call_deadline: Duration,
}

/// The content of the shared memory.
struct Page {
    /// The index of the running method in [`Surface::all_methods`], plus one; or [`IDLE`].
    method: AtomicU32,
    /// The start of the running method, or of the last one, in nanoseconds since [`Activity::epoch`].
    began: AtomicU64,
}

// SAFETY: both fields are atomic integers.
unsafe impl Shareable for Page {}

impl Activity {
    /// Maps the shared memory, for this process and those that it forks afterwards.
    ///
    /// # Errors
    /// `internal`, if the memory cannot be mapped.
    pub(crate) fn new(surface: &'static Surface, call_deadline: Duration) -> Result<Self> {
        let page = SharedMemory::new().map_err(|fault| {
            Error::caused_by(ErrorId::INTERNAL, "no memory can be shared with the server", fault)
        })?;
        Ok(Self { page, epoch: Instant::now(), surface, call_deadline })
    }

    /// Publishes that a method starts at `now`. `surface` is that of the interface or object of the call.
    /// Returns the description of the method. If the surface has no such method, publishes only the start,
    /// and returns `None`.
    pub(super) fn begin(
        &self,
        surface: &'static Surface,
        method: &str,
        now: Instant,
    ) -> Option<&'static Method> {
        let position = surface.methods.iter().position(|candidate| candidate.name == method);
        let index = position.and_then(|position| Some(self.first_index_of(surface)? + position));
        let number = index.and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(IDLE);
        let since = now.saturating_duration_since(self.epoch).as_nanos();
        self.page.began.store(u64::try_from(since).unwrap_or(u64::MAX), Release);
        self.page.method.store(number, Release);
        position.and_then(|position| surface.methods.get(position))
    }

    /// The index of the first method of a surface in [`Surface::all_methods`]; `None` if the surface is
    /// neither that of the interface nor that of one of its objects.
    fn first_index_of(&self, surface: &Surface) -> Option<usize> {
        if surface.interface == self.surface.interface {
            return Some(0);
        }
        let mut before = self.surface.methods.len();
        for object in self.surface.objects.iter() {
            if object.interface == surface.interface {
                return Some(before);
            }
            before += object.methods.len();
        }
        None
    }

    /// Publishes that the method has returned.
    pub(super) fn end(&self) {
        self.page.method.store(IDLE, Release);
    }

    /// The running method; `None` if no method runs.
    fn running(&self) -> Option<&'static Method> {
        let index = usize::try_from(self.page.method.load(Acquire)).ok()?.checked_sub(1)?;
        self.surface.all_methods().nth(index)
    }

    /// The running method, if any, and when it or the last method started, never in the future.
    fn running_since(&self) -> (Option<&'static Method>, Instant) {
        let before = self.page.began.load(Acquire);
        let method = self.running();
        let began = self.page.began.load(Acquire);
        let now = Instant::now();
        // If the two loads of `began` differ, a method has started between them.
        let since = (began == before).then(|| self.epoch.checked_add(Duration::from_nanos(began))).flatten();
        (method, since.map_or(now, |since| since.min(now)))
    }

    /// The time at which the server is killed if the running method has not returned: the method's deadline
    /// plus `grace`. `None` if no method runs, or if an `Instant` cannot represent that time.
    pub(crate) fn method_kill_deadline(&self, grace: Duration) -> Option<Instant> {
        let (method, since) = self.running_since();
        since.checked_add(method?.deadline_or(self.call_deadline))?.checked_add(grace)
    }

    /// The time at which the server is killed if it has not answered its parent, which has waited since
    /// `waiting_since`. While a method runs, this is its [kill deadline](Self::method_kill_deadline). While
    /// none runs, it is `call_deadline` plus `grace` after the later of two times: `waiting_since`, and the
    /// start of the last method, when the server was not hanging. `None` if an `Instant` cannot represent
    /// that time.
    pub(crate) fn answer_kill_deadline(&self, waiting_since: Instant, grace: Duration) -> Option<Instant> {
        let (method, since) = self.running_since();
        let (since, deadline) = match method {
            Some(method) => (since, method.deadline_or(self.call_deadline)),
            None => (since.max(waiting_since), self.call_deadline),
        };
        since.checked_add(deadline)?.checked_add(grace)
    }

    /// The earliest time at which a method that has not started yet can exceed its kill deadline. `None` if
    /// an `Instant` cannot represent that time.
    pub(crate) fn next_check(&self, grace: Duration) -> Option<Instant> {
        let deadlines = self.surface.all_methods().map(|method| method.deadline_or(self.call_deadline));
        Instant::now().checked_add(deadlines.min()?)?.checked_add(grace)
    }

    /// The error for a server that was killed at one of the kill deadlines.
    pub(crate) fn overdue_error(&self) -> Error {
        match self.running() {
            Some(method) => Error::new(
                ErrorId::SERVER_GONE,
                format!(
                    "the server was ended: its method `{}` had not returned when its deadline and the \
                     grace period were over",
                    method.name
                ),
            )
            .with("method", method.name.as_ref()),
            None => Error::new(
                ErrorId::SERVER_GONE,
                "the server was ended: it ran no method and had not answered its parent when \
                 `call_deadline` and the grace period were over",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use miko_core::Mikobase;
    use miko_rpc::Interface;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(300);
    const GRACE: Duration = Duration::from_secs(2);

    fn activity() -> Activity {
        Activity::new(<dyn Mikobase as Interface>::surface(), DEADLINE).unwrap()
    }

    #[test]
    fn a_method_is_overdue_after_its_deadline_and_the_grace_period() {
        let activity = activity();
        assert_eq!(activity.method_kill_deadline(GRACE), None);
        let now = Instant::now();
        activity.begin(activity.surface, "q0", now);
        assert_eq!(activity.method_kill_deadline(GRACE), Some(now + DEADLINE + GRACE));
        assert!(activity.overdue_error().to_string().contains("`q0`"));
        activity.end();
        assert_eq!(activity.method_kill_deadline(GRACE), None);
    }

    #[test]
    fn a_deadline_beyond_the_range_of_the_clock_is_none() {
        let activity = activity();
        activity.begin(activity.surface, "q0", Instant::now());
        assert_eq!(activity.method_kill_deadline(Duration::MAX), None);
        assert_eq!(activity.next_check(Duration::MAX), None);
    }

    #[test]
    fn arbitrary_values_in_shared_memory_are_harmless() {
        let activity = activity();
        for (method, began) in [(u32::MAX, u64::MAX), (1, u64::MAX), (IDLE, u64::MAX)] {
            activity.page.method.store(method, Release);
            activity.page.began.store(began, Release);
            assert!(activity.running_since().1 <= Instant::now());
            assert!(activity.answer_kill_deadline(Instant::now(), GRACE).is_some());
            let _ = activity.overdue_error();
        }
    }
}
