//! The ratios that we want to reach, and whether we do.

use serde::Serialize;

use crate::plan::{Cpus, Setting};
use crate::report::Report;
use crate::statistics::{Estimate, Round};
use crate::workload::Workload;

/// A ratio that we want to reach.
struct Goal {
    what: &'static str,
    setting: Setting,
    workload: Workload,
    peer: &'static str,
    bound: Bound,
}

/// What the ratio is of, and where it should lie.
#[derive(Clone, Copy)]
enum Bound {
    /// Our rate is at least so many times the peer's.
    Rate(f64),
    /// Our median latency is at most so many times the peer's.
    Latency(f64),
    /// Our slowest worker is at least so many times as fast as our fastest.
    Fairness(f64),
    /// Our 99.9th percentile is at most so many milliseconds.
    Tail(f64),
}

/// What became of a goal.
#[derive(Debug, Clone, Serialize)]
pub struct HandshakeReply {
    /// The goal in words.
    pub goal: String,
    /// What was measured.
    pub measured: Estimate,
    /// Is it reached?
    pub reached: bool,
}

const MANY: Setting = Setting { workers: 20, cpus: Cpus::All };
const ALONE: Setting = Setting { workers: 1, cpus: Cpus::All };
const CRAMPED: Setting = Setting { workers: 1, cpus: Cpus::One };

const fn goal(
    what: &'static str,
    setting: Setting,
    workload: Workload,
    peer: &'static str,
    bound: Bound,
) -> Goal {
    Goal { what, setting, workload, peer, bound }
}

const GOALS: &[Goal] = &[
    goal("Redis GET", MANY, Workload::Read, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL", MANY, Workload::Read, "postgresql", Bound::Rate(1.3)),
    goal("Manager", MANY, Workload::Read, "manager", Bound::Rate(4.0)),
    goal("Redis SET", MANY, Workload::Create, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL", MANY, Workload::Create, "postgresql", Bound::Rate(2.5)),
    goal("the SQLite file", MANY, Workload::Create, "sqlite-file", Bound::Rate(1.3)),
    goal("our fastest worker, of our slowest", MANY, Workload::Create, OWN, Bound::Fairness(0.5)),
    goal("", MANY, Workload::Create, OWN, Bound::Tail(5.0)),
    goal("pipelined GET", MANY, Workload::ReadBatch, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL multi-row insert", MANY, Workload::CreateBatch, "postgresql", Bound::Rate(3.0)),
    goal("PostgreSQL", MANY, Workload::Find, "postgresql", Bound::Rate(2.0)),
    goal("PostgreSQL without parallel plan", ALONE, Workload::Scan, "postgresql", Bound::Rate(1.0)),
    goal("PostgreSQL without parallel plan", MANY, Workload::Scan, "postgresql", Bound::Rate(1.0)),
    goal("Redis", ALONE, Workload::Read, "redis", Bound::Latency(0.3)),
    goal("Redis", CRAMPED, Workload::Read, "redis", Bound::Latency(1.15)),
    goal("a raw ping-pong", CRAMPED, Workload::Read, "raw", Bound::Latency(2.5)),
];

const OWN: &str = "mikobase";

/// What an empty share may take: so many times what its processes take, and so many milliseconds.
const LIFETIME: (f64, f64) = (2.0, 10.0);

/// The goals that this report can tell about.
pub(crate) fn verdicts(report: &Report) -> Vec<HandshakeReply> {
    GOALS.iter().filter_map(|goal| goal.verdict(report)).chain(lifetime(report)).collect()
}

impl Goal {
    fn verdict(&self, report: &Report) -> Option<HandshakeReply> {
        let own = report.own(self.setting, self.workload)?;
        // The yardstick has one workload.
        let of_peer = if self.peer == "raw" { Workload::Empty } else { self.workload };
        let peer = report.row(self.setting, of_peer, self.peer)?;
        let ratio = |quantity: fn(&Round) -> f64| Estimate::ratio(own.each(quantity), peer.each(quantity));
        let (measured, reached, bound) = match self.bound {
            Bound::Rate(least) => {
                let ratio = ratio(|round| round.rate);
                (ratio, ratio.median >= least, format!("at least {least} × {}", self.what))
            }
            Bound::Latency(most) => {
                let ratio = ratio(|round| round.p50);
                (ratio, ratio.median <= most, format!("p50 at most {most} × that of {}", self.what))
            }
            Bound::Fairness(least) => {
                let fairness = own.estimate(|round| round.fairness);
                (fairness, fairness.median >= least, format!("at least {least} × {}", self.what))
            }
            Bound::Tail(most) => {
                let tail = own.estimate(|round| round.p999 / 1e3);
                (tail, tail.median <= most, format!("p99.9 at most {most} ms"))
            }
        };
        let goal = format!("{}, {}: {bound}", self.workload.title(), self.setting);
        Some(HandshakeReply { goal, measured, reached })
    }
}

fn lifetime(report: &Report) -> Option<HandshakeReply> {
    let lifetime = report.lifetime.as_ref()?;
    let (factor, constant) = LIFETIME;
    let allowed = lifetime.processes.iter().map(|processes| factor * processes + constant);
    let measured = Estimate::ratio(lifetime.share.iter().copied(), allowed);
    let goal = format!(
        "an empty share of {} workers: at most 1 × ({factor} × forking and reaping {} processes + {constant} ms)",
        lifetime.workers,
        lifetime.workers + 1,
    );
    Some(HandshakeReply { goal, measured, reached: measured.median <= 1.0 })
}
