//! The time slice of a connection: how long it serves its calls before other connections are served.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

/// The length of a time slice. The first call that starts after this time is the last one of the slice.
const LENGTH: Duration = Duration::from_millis(1);

/// The time slice of a connection. It ends after [`LENGTH`], or when the connection has to wait for an event.
///
/// A time slice reads no clock: [`record`](Self::record) gets times that the connection reads for other
/// reasons.
#[derive(Debug, Default)]
pub(super) struct TimeSlice {
    /// The first recorded time; `None` before the first record.
    began: Option<Instant>,
    is_over: bool,
}

impl TimeSlice {
    /// Records that bytes have arrived or a call has started at the time `now`. The first record begins the
    /// slice.
    pub(super) fn record(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        self.is_over |= now.saturating_duration_since(began) >= LENGTH;
    }

    /// Whether the other connections are to be served next.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Ends the slice early.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Waits for an event. If the event has not happened yet, the slice ends, and a new one begins after the
    /// event.
    pub(super) async fn wait<T>(&mut self, event: impl Future<Output = T>) -> T {
        let mut event = pin!(event);
        poll_fn(|context| {
            let polled = event.as_mut().poll(context);
            if polled.is_pending() {
                *self = Self::default();
            }
            polled
        })
        .await
    }

    /// Lets the other connections be served, also those whose events the runtime has not fetched from the
    /// kernel yet. A new slice begins afterwards.
    pub(super) async fn yield_to_others(&mut self) {
        tokio::task::yield_now().await;
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[test]
    fn a_time_slice_is_over_after_its_length_and_a_wait_begins_a_new_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut slice, begin) = (TimeSlice::default(), Instant::now());
        let is_over_after = |slice: &mut TimeSlice, millis| {
            slice.record(begin + Duration::from_millis(millis));
            slice.is_over()
        };
        assert!(!is_over_after(&mut slice, 10));
        runtime.block_on(slice.wait(ready(())));
        assert!(!is_over_after(&mut slice, 10));
        assert!(is_over_after(&mut slice, 11));
        runtime.block_on(slice.yield_to_others());
        assert!(!is_over_after(&mut slice, 20));
        runtime.block_on(slice.wait(tokio::task::yield_now()));
        assert!(!is_over_after(&mut slice, 30));
        slice.end();
        assert!(slice.is_over());
    }
}
