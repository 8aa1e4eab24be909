//! A worker of a crew: it waits for orders and tells what came of them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use miko_shared::BoxError;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::sample::Choice;
use crate::workload::{Client, Workload, call};

/// What a worker is told: to call, from one moment to another of the machine's monotonic clock, and to compute so long after each
/// call. All in nanoseconds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) workload: Workload,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) compute: u64,
}

/// What a worker tells: what every call took, in nanoseconds, and all of them together.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) latencies: Vec<u32>,
    /// From the agreed start to the end of the last call, which may be later than the agreed end.
    pub(crate) elapsed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Keeps its core for so long from a moment on, as somebody who computes. Gives the moment in which that is over.
fn compute(from: u64, duration: u64) -> u64 {
    let mut moment = from;
    while moment < from + duration {
        moment = now();
    }
    moment
}

/// The machine's monotonic clock, in nanoseconds: the same in all processes.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.as_nanos() as u64
}

/// Carries out the orders that come in until there are no more. A line each, as JSON.
pub(crate) fn attend(
    orders: UnixStream,
    client: &mut dyn Client,
    choice: &mut Choice,
) -> Result<(), BoxError> {
    let mut outcomes = orders.try_clone()?;
    writeln!(outcomes, "{}", serde_json::to_string(&Outcome::default())?)?;
    for line in BufReader::new(orders).lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let outcome = carry_out(&order, client, choice);
        let mut line = serde_json::to_vec(&outcome)?;
        line.push(b'\n');
        outcomes.write_all(&line)?;
    }
    Ok(())
}

fn carry_out(order: &Order, client: &mut dyn Client, choice: &mut Choice) -> Outcome {
    let mut outcome = Outcome { latencies: Vec::with_capacity(1 << 14), ..Outcome::default() };
    std::thread::sleep(Duration::from_nanos(order.start.saturating_sub(now())));
    let mut before = now();
    while before < order.end {
        if let Err(error) = call(client, order.workload, choice) {
            outcome.error = Some(error.to_string());
            break;
        }
        let after = now();
        outcome.latencies.push(u32::try_from(after - before).unwrap_or(u32::MAX));
        before = compute(after, order.compute);
    }
    outcome.elapsed = before.saturating_sub(order.start);
    outcome
}
