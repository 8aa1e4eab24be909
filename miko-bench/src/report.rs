//! The results of a measurement.

use serde::Serialize;

use crate::goal::GoalResult;
use crate::plan::Setting;
use crate::statistics::{Estimate, Round};
use crate::workload::Workload;

/// The results of a measurement: every round of every peer. Serialized in this form.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of Mikobase.
    pub version: &'static str,
    /// How many CPUs this process may use.
    pub cpus: usize,
    /// The number of records before the first round.
    pub records: usize,
    /// How long a crew worked on a workload in a round, in milliseconds.
    pub slice: u128,
    /// How long a worker computed after each call, in microseconds.
    pub compute: u128,
    /// How many other processes computed all the time.
    pub beside: usize,
    /// A row for each peer, workload and setting.
    pub rows: Vec<Row>,
    /// The times to start and end a share.
    pub lifetime: Option<Lifetime>,
    /// The memory of the server, if it was measured.
    pub memory: Option<Memory>,
    /// The goals, as far as they were measured.
    pub goals: Vec<GoalResult>,
    /// Peers that are not installed.
    pub missing: Vec<String>,
}

/// The results of one peer in one workload.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The number of workers, and their CPUs.
    pub setting: Setting,
    /// The workload.
    pub workload: Workload,
    /// The name of the peer.
    pub peer: &'static str,
    /// Whether the peer is Mikobase itself.
    pub own: bool,
    /// The measured rounds.
    pub rounds: Vec<Round>,
}

impl Row {
    /// A quantity of each round.
    pub fn each(&self, quantity: fn(&Round) -> f64) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(quantity)
    }

    /// The estimate of a quantity over all rounds.
    pub fn estimate(&self, quantity: fn(&Round) -> f64) -> Estimate {
        Estimate::of(self.each(quantity))
    }
}

/// The time of an empty share from the call to the report, and the time to fork and reap as many processes
/// that do nothing, in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Lifetime {
    /// The number of workers of the share. The number of processes is larger by one.
    pub workers: usize,
    /// Each round.
    pub share: Vec<f64>,
    /// Each round.
    pub processes: Vec<f64>,
}

/// The memory of the server of a share, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// The JSON text of a bucket, on average.
    pub json: f64,
    /// What the server took per record, after all were created.
    pub stored: f64,
    /// The same for a record that was read, and is in the record cache.
    pub cached: f64,
    /// The number of updates.
    pub updates: usize,
    /// By how much the server grew over these updates of a thousand records.
    pub growth: f64,
}

impl Report {
    /// The row of one peer.
    pub fn row(&self, setting: Setting, workload: Workload, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting == setting && row.workload == workload && row.peer == peer)
    }

    /// The row of Mikobase itself.
    pub fn own(&self, setting: Setting, workload: Workload) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting == setting && row.workload == workload && row.own)
    }

    /// The settings and workloads that have rows, in the order of the rows.
    pub fn groups(&self) -> Vec<(Setting, Workload)> {
        let mut groups: Vec<_> = self.rows.iter().map(|row| (row.setting, row.workload)).collect();
        groups.dedup();
        groups
    }

    /// The ratio of Mikobase's rate to that of a peer: 2 means twice as fast.
    pub fn speed(&self, row: &Row) -> Option<Estimate> {
        let own = self.own(row.setting, row.workload)?;
        Some(Estimate::ratio(own.each(|round| round.rate), row.each(|round| round.rate)))
    }
}
