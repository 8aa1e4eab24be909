//! What to measure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::workload::Workload;

/// What to measure, how often and how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The sizes of the crews, and the CPUs that they share with their servers.
    pub settings: Vec<Setting>,
    /// Names of [`peers`](crate::peers); Mikobase itself is always measured.
    pub peers: Vec<String>,
    /// The workloads, in the order of measurement.
    pub workloads: Vec<Workload>,
    /// The number of measured rounds; one more round before them warms up.
    pub rounds: usize,
    /// How long one crew works on one workload in one round.
    pub slice: Duration,
    /// How long a worker computes after each call.
    pub compute: Duration,
    /// The number of records before the first round.
    pub records: usize,
    /// How many other processes compute all the time.
    pub beside: usize,
    /// If the memory of the server is measured, the number of updates over which it may grow.
    pub updates: Option<usize>,
}

/// The number of workers, and their CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The number of workers of each peer.
    pub workers: usize,
    /// The CPUs of the workers and of their server.
    pub cpus: Cpus,
}

/// The CPUs that a server and its workers may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cpus {
    /// All CPUs that this process may use.
    All,
    /// One CPU for the server and all workers.
    One,
}

impl Plan {
    /// The plan for published numbers: twenty workers and one, on all CPUs and on one; every peer and
    /// workload.
    pub fn thorough() -> Self {
        let setting = |(workers, cpus)| Setting { workers, cpus };
        Self {
            settings: [(20, Cpus::All), (20, Cpus::One), (1, Cpus::All), (1, Cpus::One)]
                .map(setting)
                .to_vec(),
            peers: crate::peers().map(str::to_owned).collect(),
            workloads: Workload::ALL.to_vec(),
            rounds: 7,
            slice: Duration::from_millis(200),
            compute: Duration::ZERO,
            records: 100_000,
            beside: 0,
            updates: None,
        }
    }

    /// A short plan, which takes less than a minute: twenty workers on all CPUs.
    pub fn brief() -> Self {
        let settings = vec![Setting { workers: 20, cpus: Cpus::All }];
        Self { settings, rounds: 3, slice: Duration::from_millis(100), records: 20_000, ..Self::thorough() }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.workers == 1 { "" } else { "s" };
        let place = match self.cpus {
            Cpus::All => "on all CPUs",
            Cpus::One => "everybody on one CPU",
        };
        write!(f, "{} worker{plural}, {place}", self.workers)
    }
}
