//! Statistics of the measurements: medians, spreads, percentiles.

use serde::Serialize;

use crate::worker::SliceOutcome;
use crate::workload::Workload;

/// A quantity that was measured once per round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Half the range of the values, as a fraction of the median.
    pub spread: f64,
    /// The lower quartile: at least three quarters of the values are not below it.
    pub lower: f64,
    /// The upper quartile: at least three quarters of the values are not above it.
    pub upper: f64,
}

impl Estimate {
    /// The estimate from the values of all rounds.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        let range = sorted.last().zip(sorted.first()).map_or(f64::NAN, |(high, low)| high - low);
        let quarter = sorted.len() / 4;
        let quartile = |at: Option<usize>| at.and_then(|at| sorted.get(at)).copied().unwrap_or(f64::NAN);
        let (lower, upper) = (quartile(Some(quarter)), quartile(sorted.len().checked_sub(1 + quarter)));
        Self { median, spread: range / 2.0 / median, lower, upper }
    }

    /// The estimate of `of / to`, from the ratio of each round: noise in a round affects both values.
    pub fn ratio(of: impl IntoIterator<Item = f64>, to: impl IntoIterator<Item = f64>) -> Self {
        Self::of(of.into_iter().zip(to).map(|(of, to)| of / to))
    }
}

/// The results of a crew in one round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Round {
    /// Requests per second, of all workers together.
    pub rate: f64,
    /// The median latency of the calls of all workers, in microseconds.
    pub p50: f64,
    /// The 99th percentile of the latency, in microseconds.
    pub p99: f64,
    /// The 99.9th percentile of the latency, in microseconds.
    pub p999: f64,
    /// The rate of the slowest worker divided by that of the fastest.
    pub fairness: f64,
}

impl Round {
    pub(crate) fn of(workload: Workload, outcomes: &[SliceOutcome]) -> Self {
        let rates = outcomes.iter().map(|outcome| rate(workload, outcome));
        let (slowest, fastest) = rates.clone().fold((f64::MAX, 0.0_f64), |(l, h), v| (l.min(v), h.max(v)));
        let mut latencies: Vec<u64> =
            outcomes.iter().flat_map(|outcome| &outcome.latencies).copied().collect();
        latencies.sort_unstable();
        let percentile = |part| percentile(&latencies, part) / 1e3;
        Self {
            rate: rates.sum(),
            p50: percentile(0.5),
            p99: percentile(0.99),
            p999: percentile(0.999),
            fairness: slowest / fastest,
        }
    }
}

/// Requests per second of one worker.
fn rate(workload: Workload, outcome: &SliceOutcome) -> f64 {
    (outcome.latencies.len() * workload.requests()) as f64 / (outcome.elapsed as f64 / 1e9)
}

/// The smallest value such that at least this fraction of all values is at most it.
fn percentile(sorted: &[u64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).map_or(f64::NAN, |&value| value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_the_middle_half_the_range_and_the_quartiles() {
        let estimate = |median, spread, lower, upper| Estimate { median, spread, lower, upper };
        assert_eq!(Estimate::of([3.0, 1.0, 2.0]), estimate(2.0, 0.5, 1.0, 3.0));
        assert_eq!(Estimate::of([4.0, 2.0]), estimate(3.0, 1.0 / 3.0, 2.0, 4.0));
        let nine = (1..=9).map(f64::from);
        assert_eq!(Estimate::of(nine), estimate(5.0, 0.8, 3.0, 7.0));
    }

    #[test]
    fn a_disturbed_round_leaves_the_ratio_alone() {
        let ratio = Estimate::ratio([10.0, 1.0, 10.0], [5.0, 0.5, 5.0]);
        assert_eq!(ratio, Estimate { median: 2.0, spread: 0.0, lower: 2.0, upper: 2.0 });
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let sorted: Vec<u64> = (1..=1000).collect();
        assert_eq!([0.5, 0.99, 0.999].map(|part| percentile(&sorted, part)), [500.0, 990.0, 999.0]);
        assert_eq!(percentile(&[7], 0.999), 7.0);
    }

    #[test]
    fn a_round_adds_the_rates_of_its_workers() {
        let worker = |calls, elapsed| SliceOutcome { latencies: vec![2000; calls], elapsed, error: None };
        let round = Round::of(Workload::ReadBatch, &[worker(10, 1_000_000_000), worker(5, 1_000_000_000)]);
        assert_eq!((round.rate, round.fairness, round.p50), (480.0, 0.5, 2.0));
    }
}
