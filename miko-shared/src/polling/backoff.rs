//! Exponential backoff, counted in skipped attempts.

/// The most attempts that are skipped after a failure.
const MAX_SKIPS: u32 = 64;

/// The factor by which the skips grow with each failure in a row.
const FACTOR: u32 = 4;

/// Exponential backoff, counted in skipped attempts; resets on success.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// Attempts that are still to be skipped.
    skips_left: u32,
    /// Attempts that are skipped after the next failure.
    next_skips: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { skips_left: 0, next_skips: 1 }
    }
}

impl Backoff {
    /// Whether to make an attempt now. After `true` the caller reports the result of the attempt to
    /// [`record`](Self::record). If it reports nothing, the next call returns `true` again. `false` counts as
    /// a skipped attempt.
    pub(crate) fn should_try(&mut self) -> bool {
        if self.skips_left == 0 {
            return true;
        }
        self.skips_left -= 1;
        false
    }

    /// Records the result of an attempt.
    pub(crate) fn record(&mut self, succeeded: bool) {
        if succeeded {
            *self = Self::default();
        } else {
            self.skips_left = self.next_skips;
            self.next_skips = (self.next_skips * FACTOR).min(MAX_SKIPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attempts are skipped before the next one is made.
    fn count_skips(backoff: &mut Backoff) -> usize {
        std::iter::from_fn(|| (!backoff.should_try()).then_some(())).count()
    }

    #[test]
    fn attempts_that_succeed_are_never_skipped() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert_eq!(count_skips(&mut backoff), 0);
            backoff.record(true);
        }
    }

    #[test]
    fn skips_grow_with_each_failure_up_to_the_maximum() {
        let mut backoff = Backoff::default();
        let skips: Vec<_> = (0..6)
            .map(|_| {
                let skips = count_skips(&mut backoff);
                backoff.record(false);
                skips
            })
            .collect();
        assert_eq!(skips, [0, 1, 4, 16, 64, 64]);
    }

    #[test]
    fn a_success_resets_the_backoff() {
        let mut backoff = Backoff::default();
        (0..10).for_each(|_| backoff.record(false));
        count_skips(&mut backoff);
        backoff.record(true);
        assert_eq!(count_skips(&mut backoff), 0);
        backoff.record(false);
        assert_eq!(count_skips(&mut backoff), 1);
    }
}
