//! What came out of a measurement.

use serde::Serialize;

use crate::goal::HandshakeReply;
use crate::plan::Setting;
use crate::statistics::{Estimate, Round};
use crate::workload::Workload;

/// What came out of a measurement: every round of everybody. It is serialized as it is.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of Mikobase.
    pub version: &'static str,
    /// How many CPUs this process may use.
    pub cpus: usize,
    /// Records that were there from the start.
    pub records: usize,
    /// How long a crew worked on a workload in a round, in milliseconds.
    pub slice: u128,
    /// How long a worker computed after each call, in microseconds.
    pub compute: u128,
    /// A row for each peer, workload and setting.
    pub rows: Vec<Row>,
    /// Starting and ending a share.
    pub lifetime: Option<Lifetime>,
    /// The ratios that we want to reach, as far as they were measured.
    pub goals: Vec<HandshakeReply>,
    /// Peers that are not installed.
    pub missing: Vec<String>,
}

/// What one peer did in one workload.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Who works, and where.
    pub setting: Setting,
    /// What it did.
    pub workload: Workload,
    /// Its name.
    pub peer: &'static str,
    /// Is it ourselves?
    pub own: bool,
    /// Each round that counted.
    pub rounds: Vec<Round>,
}

impl Row {
    /// One quantity of every round.
    pub fn each(&self, quantity: fn(&Round) -> f64) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(quantity)
    }

    /// One quantity over all rounds.
    pub fn estimate(&self, quantity: fn(&Round) -> f64) -> Estimate {
        Estimate::of(self.each(quantity))
    }
}

/// What an empty share of many workers takes, from the call to the report, in milliseconds; beside it, forking and
/// reaping as many processes that do nothing.
#[derive(Debug, Clone, Serialize)]
pub struct Lifetime {
    /// Of the share; the processes are one more.
    pub workers: usize,
    /// Each round.
    pub share: Vec<f64>,
    /// Each round.
    pub processes: Vec<f64>,
}

impl Report {
    /// The row of one peer.
    pub fn row(&self, setting: Setting, workload: Workload, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting == setting && row.workload == workload && row.peer == peer)
    }

    /// Our own row.
    pub fn own(&self, setting: Setting, workload: Workload) -> Option<&Row> {
        self.rows.iter().find(|row| row.setting == setting && row.workload == workload && row.own)
    }

    /// The settings and workloads that have rows, in their order.
    pub fn groups(&self) -> Vec<(Setting, Workload)> {
        let mut groups: Vec<_> = self.rows.iter().map(|row| (row.setting, row.workload)).collect();
        groups.dedup();
        groups
    }

    /// How fast we are in the rate of somebody, 2 being twice as fast.
    pub fn speed(&self, row: &Row) -> Option<Estimate> {
        let own = self.own(row.setting, row.workload)?;
        Some(Estimate::ratio(own.each(|round| round.rate), row.each(|round| round.rate)))
    }
}
