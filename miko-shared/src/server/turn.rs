//! The turn of a connection: for how long it serves its calls before the other connections have theirs.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

/// After this time a turn is over. The call that runs then is its last one.
const MAX_TURN: Duration = Duration::from_millis(1);

/// The turn of a connection. It ends when the connection waits for something.
///
/// It reads no clock: it is told of the times that are read for other reasons.
#[derive(Debug, Default)]
pub(super) struct Turn {
    began: Option<Instant>,
    is_over: bool,
}

impl Turn {
    /// Records that the connection has something to do at this time.
    pub(super) fn record(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        self.is_over |= now.saturating_duration_since(began) >= MAX_TURN;
    }

    /// Whether the other connections are to have their turn.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Ends the turn.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Waits for an event. If it has not happened yet, the next turn begins after it.
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

    /// Lets the other connections have their turn, also those of which the kernel has something to report.
    pub(super) async fn give_way(&mut self) {
        tokio::task::yield_now().await;
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[test]
    fn a_turn_is_over_after_its_time_and_begins_again_after_a_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut turn, begin) = (Turn::default(), Instant::now());
        let is_over_after = |turn: &mut Turn, millis| {
            turn.record(begin + Duration::from_millis(millis));
            turn.is_over()
        };
        assert!(!is_over_after(&mut turn, 10));
        runtime.block_on(turn.wait(ready(())));
        assert!(!is_over_after(&mut turn, 10));
        assert!(is_over_after(&mut turn, 11));
        runtime.block_on(turn.give_way());
        assert!(!is_over_after(&mut turn, 20));
        runtime.block_on(turn.wait(tokio::task::yield_now()));
        assert!(!is_over_after(&mut turn, 30));
        turn.end();
        assert!(turn.is_over());
    }
}
