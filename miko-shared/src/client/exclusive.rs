//! A value that one thread at a time uses. Other threads wait until the value is returned, up to a timeout.

use std::process;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lends a value to one thread at a time.
///
/// The value may be missing. If a thread panics while it uses the value, the value is dropped. In a forked
/// process the value is missing and not in use: it belongs to the parent, and the thread that uses it there
/// does not exist in the fork.
pub struct Exclusive<T> {
    state: Mutex<State<T>>,
    /// Notified when a thread has returned the value.
    returned: Condvar,
}

struct State<T> {
    value: Option<T>,
    in_use: bool,
    /// How many threads wait. If none does, `returned` is not notified, which saves a system call.
    waiting: usize,
    /// The id of the process that the value belongs to. A process with another id is a fork of that process.
    pid: u32,
}

/// The value while a thread uses it. Dropping it returns the value.
pub struct ExclusiveGuard<'e, T> {
    exclusive: &'e Exclusive<T>,
    /// The value; `None` if it is missing. Dropping the guard returns what is here, so the user may store
    /// another value, or take the value away.
    pub value: Option<T>,
}

impl<T> Exclusive<T> {
    /// Lends `value`. If it is `None`, the first user may store one in [`ExclusiveGuard::value`].
    pub fn new(value: Option<T>) -> Self {
        let state = State { value, in_use: false, waiting: 0, pid: process::id() };
        Self { state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Waits until no other thread uses the value, and takes the value. Returns `None` if another thread
    /// still uses it after `timeout`.
    pub fn wait(&self, timeout: Duration) -> Option<ExclusiveGuard<'_, T>> {
        let mut state = self.lock();
        let pid = process::id();
        if state.pid != pid {
            *state = State { value: None, in_use: false, waiting: 0, pid };
        }
        if state.in_use {
            state.waiting += 1;
            let waited = self.returned.wait_timeout_while(state, timeout, |state| state.in_use);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
            if state.in_use {
                return None;
            }
        }
        state.in_use = true;
        Some(ExclusiveGuard { exclusive: self, value: state.value.take() })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for ExclusiveGuard<'_, T> {
    fn drop(&mut self) {
        // After a panic the value is in an unknown state.
        let value = self.value.take().filter(|_| !std::thread::panicking());
        let mut state = self.exclusive.lock();
        state.in_use = false;
        state.value = value;
        let has_waiters = state.waiting > 0;
        drop(state);
        if has_waiters {
            self.exclusive.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const LONG: Duration = Duration::MAX;

    #[test]
    fn one_thread_at_a_time_has_the_value() {
        let exclusive = Exclusive::new(Some(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let mut used = exclusive.wait(LONG).unwrap();
                        used.value = used.value.map(|value| value + 1);
                    }
                });
            }
        });
        assert_eq!(exclusive.wait(LONG).unwrap().value, Some(800));
    }

    #[test]
    fn waiting_ends_after_the_timeout() {
        let exclusive = Exclusive::new(Some(1));
        let used = exclusive.wait(LONG);
        assert!(exclusive.wait(SHORT).is_none());
        drop(used);
        assert!(exclusive.wait(SHORT).is_some());
    }

    #[test]
    fn a_panic_drops_the_value_and_lets_the_next_thread_enter() {
        let exclusive = Exclusive::new(Some(1));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _used = exclusive.wait(LONG);
            panic!("while it is used");
        }));
        assert!(panicked.is_err());
        assert_eq!(exclusive.wait(SHORT).unwrap().value, None);
    }
}
