//! A worker of a crew: it waits for orders, runs them and reports the outcomes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use miko_shared::BoxError;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::sample::Choice;
use crate::workload::{Client, Workload, call};

/// An order to a worker: make calls from `start` to `end`, and compute for `compute` after each call. Times
/// are nanoseconds of the monotonic clock.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) workload: Workload,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) compute: u64,
}

/// The outcome of an order: the latency of each call and the whole time, in nanoseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SliceOutcome {
    pub(crate) latencies: Vec<u64>,
    /// The time from the start to the end of the last call, which may be later than the end of the order.
    pub(crate) elapsed: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Occupies the core for `duration` after `from`, as a computation does. Returns the time at the end.
fn spin_until_after(from: u64, duration: u64) -> u64 {
    let mut time = from;
    while time < from + duration {
        time = now();
    }
    time
}

/// The time of the monotonic clock in nanoseconds, which is the same in all processes.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    now.as_nanos() as u64
}

/// Runs each order that arrives, until the socket is closed. Orders and outcomes are lines of JSON.
pub(crate) fn serve_orders(
    orders: UnixStream,
    client: &mut dyn Client,
    choice: &mut Choice,
) -> Result<(), BoxError> {
    let mut outcomes = orders.try_clone()?;
    writeln!(outcomes, "{}", serde_json::to_string(&SliceOutcome::default())?)?;
    for line in BufReader::new(orders).lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let outcome = run_order(&order, client, choice);
        let mut line = serde_json::to_vec(&outcome)?;
        line.push(b'\n');
        outcomes.write_all(&line)?;
    }
    Ok(())
}

fn run_order(order: &Order, client: &mut dyn Client, choice: &mut Choice) -> SliceOutcome {
    let mut outcome = SliceOutcome { latencies: Vec::with_capacity(1 << 14), ..SliceOutcome::default() };
    std::thread::sleep(Duration::from_nanos(order.start.saturating_sub(now())));
    let mut before = now();
    while before < order.end {
        let counts = match call(client, order.workload, choice) {
            Ok(counts) => counts,
            Err(error) => {
                outcome.error = Some(error.to_string());
                break;
            }
        };
        let after = now();
        if counts {
            outcome.latencies.push(after - before);
        }
        before = spin_until_after(after, order.compute);
    }
    outcome.elapsed = before.saturating_sub(order.start);
    outcome
}
