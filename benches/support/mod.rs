//! What the benches share: rounds that interleave, their median and spread, and a Markdown table with ratios.

#![allow(dead_code, reason = "every bench compiles its own copy and uses its part of it")]

use std::fmt::{Display, Formatter, Result};
use std::time::Instant;

/// True under `cargo bench`; false under `cargo test --all-targets`, which runs bench programs too.
pub(crate) fn wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Seconds that one call takes, on the average of `calls` of them; each is told its number.
pub(crate) fn seconds_per_call(calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..calls).for_each(&mut call);
    start.elapsed().as_secs_f64() / calls as f64
}

/// Measures every variant once per round, in turn, so that a slow moment of the machine falls on all alike.
///
/// The first round warms caches and allocators up, and is not counted.
pub(crate) fn interleaved<V>(
    rounds: usize,
    variants: &mut [V],
    mut measure: impl FnMut(&mut V) -> f64,
) -> Vec<Samples> {
    let mut samples: Vec<_> = variants.iter().map(|_| Samples(Vec::with_capacity(rounds))).collect();
    for round in 0..=rounds {
        for (variant, samples) in variants.iter_mut().zip(&mut samples) {
            let value = measure(variant);
            if round > 0 {
                samples.0.push(value);
            }
        }
    }
    samples
}

/// What one variant measured, a value per round.
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// A quantity that does not vary from round to round, such as a size.
    pub(crate) fn exact(value: f64) -> Self {
        Self(vec![value])
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    /// Half the distance between the extremes, as a part of the median.
    pub(crate) fn spread(&self) -> f64 {
        let (low, high) = self.0.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
        (high - low) / 2.0 / self.median()
    }
}

/// A Markdown table: workloads down, variants across; each cell a median, its spread, its ratio to the first.
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(variants: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let head = std::iter::once(String::new()).chain(variants.into_iter().map(Into::into)).collect();
        Self { head, rows: Vec::new() }
    }

    /// A row of measurements. `workload` names the unit, hence whether more is better.
    pub(crate) fn measured(&mut self, workload: impl Into<String>, samples: &[Samples]) {
        let first = samples.first().map_or(f64::NAN, Samples::median);
        self.told(workload, samples.iter().map(|samples| cell(samples, first)));
    }

    /// A row of words.
    pub(crate) fn told(&mut self, workload: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(workload.into()).chain(cells).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "| {} |", self.head.join(" | "))?;
        writeln!(f, "|{}", " --- |".repeat(self.head.len()))?;
        self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))
    }
}

fn cell(samples: &Samples, first: f64) -> String {
    let spread = match samples.0.len() {
        1 => String::new(),
        _ => format!(" ±{:.0}%", samples.spread() * 100.0),
    };
    format!("{}{spread} ({:.2}×)", readable(samples.median()), samples.median() / first)
}

/// Three digits and their magnitude: more would be noise.
fn readable(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2}M", v / 1e6),
        v if v >= 1e4 => format!("{:.0}k", v / 1e3),
        v if v >= 1e3 => format!("{:.2}k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}
