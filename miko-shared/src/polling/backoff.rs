//! Leaving off what is in vain.

/// How often at most it is left off between two attempts that fail.
const MAX_SKIPS: u32 = 64;

/// By how much more often after each that fails.
const FACTOR: u32 = 4;

/// Says when to try something that may be in vain: always while it succeeds, and ever more rarely while it fails.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// How often it is still left off.
    skips_left: u32,
    /// How often it will be, if it fails now.
    next: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { skips_left: 0, next: 1 }
    }
}

impl Backoff {
    /// Try it now? Tell [`record`](Self::record) what came of it.
    pub(crate) fn should_try(&mut self) -> bool {
        if self.skips_left == 0 {
            return true;
        }
        self.skips_left -= 1;
        false
    }

    /// It succeeded, or was in vain.
    pub(crate) fn record(&mut self, well: bool) {
        if well {
            *self = Self::default();
        } else {
            self.skips_left = self.next;
            self.next = (self.next * FACTOR).min(MAX_SKIPS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it is left off before it is tried.
    fn skips_left(backoff: &mut Backoff) -> usize {
        std::iter::from_fn(|| (!backoff.should_try()).then_some(())).count()
    }

    #[test]
    fn what_succeeds_is_always_tried() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert_eq!(skips_left(&mut backoff), 0);
            backoff.record(true);
        }
    }

    #[test]
    fn what_fails_is_tried_ever_more_rarely_and_never_given_up() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..6)
            .map(|_| {
                let pause = skips_left(&mut backoff);
                backoff.record(false);
                pause
            })
            .collect();
        assert_eq!(pauses, [0, 1, 4, 16, 64, 64]);
    }

    #[test]
    fn one_success_makes_up_for_all_failures() {
        let mut backoff = Backoff::default();
        (0..10).for_each(|_| backoff.record(false));
        skips_left(&mut backoff);
        backoff.record(true);
        assert_eq!(skips_left(&mut backoff), 0);
        backoff.record(false);
        assert_eq!(skips_left(&mut backoff), 1);
    }
}
