//! What a round trip costs: `cargo bench --bench round_trip`.
//!
//! The yardstick is a raw blocking ping-pong over the same kind of socket, which does no work. Beside it, in the same
//! rounds: a ping-pong that polls before it blocks, tarpc's own client and server, ours with either of them, and the calls of
//! a Mikobase. One worker and twenty, on one CPU and on all.
//!
//! `-- --quick` runs fewer rounds; the numbers are then good for nothing but seeing that it works.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

mod family;
mod ours;
mod raw;
mod stock;
#[path = "../support/mod.rs"]
mod support;

use mikobase::BoxError;

use crate::family::Setting;
use crate::support::{Samples, interleaved, wanted};

/// Something that answers calls, and how it is called.
struct Variant {
    name: &'static str,
    /// Requests in one round trip.
    requests: usize,
    /// Seconds per round trip of each worker.
    measure: fn(Setting) -> Result<Vec<f64>, BoxError>,
}

const VARIANTS: &[Variant] = &[
    Variant { name: "raw ping-pong", requests: 1, measure: raw::blocking },
    Variant { name: "raw ping-pong, polling 50 µs before it blocks", requests: 1, measure: raw::polling },
    Variant { name: "empty call: tarpc's client and server", requests: 1, measure: stock::client_and_server },
    Variant { name: "empty call: tarpc's client, our server", requests: 1, measure: stock::client },
    Variant { name: "empty call: our client, tarpc's server", requests: 1, measure: stock::server },
    Variant { name: "empty call: our client and server", requests: 1, measure: ours::empty_call },
    Variant { name: "`record_by_pk`", requests: 1, measure: ours::record_by_pk },
    Variant { name: "`create`", requests: 1, measure: ours::create },
    Variant { name: "`batch` of 32 selects by pk", requests: 32, measure: ours::batch_of_reads },
    Variant { name: "`batch` of 32 creates", requests: 32, measure: ours::batch_of_creates },
];

fn main() -> Result<(), BoxError> {
    if !wanted() {
        return Ok(());
    }
    let quick = std::env::args().any(|argument| argument == "--quick");
    for (workers, pinned) in [(1, true), (1, false), (20, true), (20, false)] {
        let round_trips = if quick { 200 } else { 20_000 / workers };
        report(Setting { workers, pinned, round_trips }, if quick { 1 } else { 5 })?;
    }
    Ok(())
}

/// Measures all variants in turn and prints a table.
fn report(setting: Setting, rounds: usize) -> Result<(), BoxError> {
    let mut failed = None;
    let mut variants: Vec<&Variant> = VARIANTS.iter().collect();
    let samples = interleaved(rounds, &mut variants, |variant| match (variant.measure)(setting) {
        Ok(seconds) => seconds.iter().sum::<f64>() / seconds.len() as f64,
        Err(error) => {
            failed.get_or_insert(format!("{}: {error}", variant.name));
            f64::NAN
        }
    });
    if let Some(failed) = failed {
        return Err(failed.into());
    }
    let plural = if setting.workers == 1 { "" } else { "s" };
    let place = if setting.pinned { "everybody on one CPU" } else { "on all CPUs" };
    println!("\n{} worker{plural}, {place}\n", setting.workers);
    println!("| | µs per round trip of a worker | ratio | requests per second, all workers |");
    println!("| --- | --- | --- | --- |");
    let raw = samples.first().map_or(f64::NAN, Samples::median);
    for (variant, samples) in VARIANTS.iter().zip(&samples) {
        let seconds = samples.median();
        let rate = (setting.workers * variant.requests) as f64 / seconds / 1e3;
        let (micros, spread, ratio) = (seconds * 1e6, samples.spread() * 100.0, seconds / raw);
        println!("| {} | {micros:.1} ±{spread:.0}% | {ratio:.2}× | {rate:.0}k |", variant.name);
    }
    Ok(())
}
