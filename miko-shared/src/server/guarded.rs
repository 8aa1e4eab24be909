//! Drops values whose `Drop` may be code of the implementation that the server serves: objects, streams,
//! later answers, and values that implementations keep for a connection.

use std::ops::{Deref, DerefMut};

use tracing::warn;

use crate::serving;

/// Drops a value whose `Drop` may be code of the implementation. This code runs as in a call
/// ([`serving::run`]): if it calls this server, the call is refused, because the server would wait for
/// itself. A panic is logged, and the server continues.
pub(super) fn drop_guarded<T>(value: T) {
    if let Err(panic) = serving::run(|| miko_rpc::drop_guarded(value)) {
        warn!(panic, "dropping a value of the implementation panicked");
    }
}

/// A value that is dropped by [`drop_guarded`], also when a future that owns it is dropped.
pub(super) struct Guarded<T>(Option<T>);

const IS_SOME: &str = "only `into_inner` takes the value, and it consumes the guard";

impl<T> Guarded<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(super) fn into_inner(mut self) -> T {
        self.0.take().expect(IS_SOME)
    }
}

impl<T> Deref for Guarded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(IS_SOME)
    }
}

impl<T> DerefMut for Guarded<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(IS_SOME)
    }
}

impl<T> Drop for Guarded<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_guarded(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Fragile<'s>(&'s Cell<bool>);

    impl Drop for Fragile<'_> {
        fn drop(&mut self) {
            self.0.set(serving::runs_a_call());
            panic!("oops");
        }
    }

    #[test]
    fn a_guarded_value_is_dropped_as_in_a_call_and_its_panic_does_not_propagate() {
        let ran_in_a_call = Cell::new(false);
        drop(Guarded::new(Fragile(&ran_in_a_call)));
        assert!(ran_in_a_call.get() && !serving::runs_a_call());
    }
}
