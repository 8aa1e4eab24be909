//! The performance goals, and whether a report reaches them: three quarters of the rounds have to.

use serde::Serialize;

use crate::plan::{Cpus, Setting};
use crate::report::Report;
use crate::statistics::{Estimate, Round};
use crate::workload::Workload;

/// A performance goal.
struct Goal {
    what: &'static str,
    setting: Setting,
    workload: Workload,
    peer: &'static str,
    bound: Bound,
}

/// The measured quantity of a goal and its bound.
#[derive(Clone, Copy)]
enum Bound {
    /// The least ratio of Mikobase's rate to the peer's.
    Rate(f64),
    /// The least ratio of Mikobase's rate to its own in another workload.
    RateOf(Workload, f64),
    /// The largest ratio of Mikobase's median latency to the peer's.
    Latency(f64),
    /// The least ratio of the rate of the slowest worker of Mikobase to that of the fastest.
    Fairness(f64),
    /// The largest 99.9th percentile of Mikobase's latency, in milliseconds.
    Tail(f64),
}

/// A goal with its measured value.
#[derive(Debug, Clone, Serialize)]
pub struct GoalResult {
    /// The goal as text.
    pub goal: String,
    /// The measured value.
    pub measured: Estimate,
    /// Whether the goal is reached.
    pub reached: bool,
}

const TWENTY_WORKERS: Setting = Setting { workers: 20, cpus: Cpus::All };
const ONE_WORKER: Setting = Setting { workers: 1, cpus: Cpus::All };
const ONE_WORKER_ONE_CPU: Setting = Setting { workers: 1, cpus: Cpus::One };

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
    goal("Redis GET", TWENTY_WORKERS, Workload::Read, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL", TWENTY_WORKERS, Workload::Read, "postgresql", Bound::Rate(1.3)),
    goal("Manager", TWENTY_WORKERS, Workload::Read, "manager", Bound::Rate(4.0)),
    goal("a bare `hyper`", TWENTY_WORKERS, Workload::HttpRead, "hyper", Bound::Rate(0.6)),
    goal("Redis SET", TWENTY_WORKERS, Workload::Create, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL", TWENTY_WORKERS, Workload::Create, "postgresql", Bound::Rate(2.5)),
    goal("the SQLite file", TWENTY_WORKERS, Workload::Create, "sqlite-file", Bound::Rate(1.3)),
    goal("our fastest worker, of our slowest", TWENTY_WORKERS, Workload::Create, OWN, Bound::Fairness(0.5)),
    goal("", TWENTY_WORKERS, Workload::Create, OWN, Bound::Tail(5.0)),
    goal("Redis pipelined GET", TWENTY_WORKERS, Workload::ReadBatch, "redis", Bound::Rate(1.3)),
    goal("Redis pipelined GET", TWENTY_WORKERS, Workload::QueryBatch, "redis", Bound::Rate(1.0)),
    goal("Redis pipelined SET", TWENTY_WORKERS, Workload::CreateBatch, "redis", Bound::Rate(1.0)),
    goal(
        "PostgreSQL multi-row insert",
        TWENTY_WORKERS,
        Workload::CreateBatch,
        "postgresql",
        Bound::Rate(3.0),
    ),
    goal("PostgreSQL", TWENTY_WORKERS, Workload::Find, "postgresql", Bound::Rate(3.0)),
    goal(SCANNING, ONE_WORKER, Workload::Scan, "postgresql", Bound::Rate(50.0)),
    goal(SCANNING, TWENTY_WORKERS, Workload::Scan, "postgresql", Bound::Rate(50.0)),
    goal(SCANNING, ONE_WORKER, Workload::ColdScan, "postgresql", Bound::Rate(0.7)),
    goal(SCANNING, TWENTY_WORKERS, Workload::ColdScan, "postgresql", Bound::Rate(0.7)),
    goal("Redis INCR", TWENTY_WORKERS, Workload::Increment, "redis", Bound::Rate(1.0)),
    goal("PostgreSQL", TWENTY_WORKERS, Workload::Increment, "postgresql", Bound::Rate(4.0)),
    goal(SERIALIZABLE, TWENTY_WORKERS, Workload::Transfer, "postgresql", Bound::Rate(1.5)),
    goal(SERIALIZABLE, TWENTY_WORKERS, Workload::HotTransfer, "postgresql", Bound::Rate(1.5)),
    goal(SKIPPING, TWENTY_WORKERS, Workload::Claim, "postgresql", Bound::Rate(2.0)),
    goal("Redis pub/sub", TWENTY_WORKERS, Workload::Deliver, "redis", Bound::Rate(1.0)),
    goal("without it", TWENTY_WORKERS, Workload::ReadBeside, OWN, Bound::RateOf(Workload::Read, 0.9)),
    goal("Redis", ONE_WORKER, Workload::Read, "redis", Bound::Latency(0.3)),
    goal("Redis", ONE_WORKER_ONE_CPU, Workload::Read, "redis", Bound::Latency(1.15)),
    goal("a raw ping-pong", ONE_WORKER_ONE_CPU, Workload::Read, "raw", Bound::Latency(2.5)),
];

const OWN: &str = "mikobase";

const SERIALIZABLE: &str = "PostgreSQL, serializable";

const SKIPPING: &str = "PostgreSQL, `FOR UPDATE SKIP LOCKED`";

const SCANNING: &str = "PostgreSQL without parallel plan";

/// The goals beside this many processes that compute all the time.
const BESIDE: usize = 2;

const GOALS_BESIDE: &[Goal] = &[goal("Redis GET", TWENTY_WORKERS, Workload::Read, "redis", Bound::Rate(0.9))];

/// The bounds of the memory of the server per record, that of one that is not in the record cache and of one
/// that is: multiples of the JSON text, plus bytes.
const MEMORY_BOUNDS: [(f64, f64); 2] = [(3.0, 200.0), (5.0, 200.0)];

/// The bound for the lifetime of an empty share: a multiple of the time of its processes, plus milliseconds.
const LIFETIME_BOUND: (f64, f64) = (2.0, 10.0);

/// The goals for which the report has measurements.
pub(crate) fn evaluate(report: &Report) -> Vec<GoalResult> {
    let goals = match report.beside {
        0 => GOALS,
        BESIDE => GOALS_BESIDE,
        _ => &[],
    };
    let reached = goals.iter().filter_map(|goal| goal.evaluate(report));
    if report.beside > 0 {
        return reached.collect();
    }
    reached.chain(evaluate_lifetime(report)).chain(evaluate_memory(report)).collect()
}

impl Goal {
    fn evaluate(&self, report: &Report) -> Option<GoalResult> {
        let own = report.own(self.setting, self.workload)?;
        // The raw ping-pong has one workload.
        let peer_workload = if self.peer == "raw" { Workload::Empty } else { self.workload };
        let peer = report.row(self.setting, peer_workload, self.peer)?;
        let ratio = |quantity: fn(&Round) -> f64| Estimate::ratio(own.each(quantity), peer.each(quantity));
        let (measured, reached, bound) = match self.bound {
            Bound::Rate(least) => {
                let ratio = ratio(|round| round.rate);
                (ratio, ratio.lower >= least, format!("at least {least} × {}", self.what))
            }
            Bound::RateOf(other, least) => {
                let other = report.own(self.setting, other)?;
                let ratio = Estimate::ratio(own.each(|round| round.rate), other.each(|round| round.rate));
                (ratio, ratio.lower >= least, format!("at least {least} × {}", self.what))
            }
            Bound::Latency(most) => {
                let ratio = ratio(|round| round.p50);
                (ratio, ratio.upper <= most, format!("p50 at most {most} × that of {}", self.what))
            }
            Bound::Fairness(least) => {
                let fairness = own.estimate(|round| round.fairness);
                (fairness, fairness.lower >= least, format!("at least {least} × {}", self.what))
            }
            Bound::Tail(most) => {
                let tail = own.estimate(|round| round.p999 / 1e3);
                (tail, tail.upper <= most, format!("p99.9 at most {most} ms"))
            }
        };
        let goal = format!("{}, {}: {bound}", self.workload.title(), self.setting);
        Some(GoalResult { goal, measured, reached })
    }
}

fn evaluate_lifetime(report: &Report) -> Option<GoalResult> {
    let lifetime = report.lifetime.as_ref()?;
    let (factor, constant) = LIFETIME_BOUND;
    let allowed = lifetime.processes.iter().map(|processes| factor * processes + constant);
    let measured = Estimate::ratio(lifetime.share.iter().copied(), allowed);
    let goal = format!(
        "an empty share of {} workers: at most 1 × \
         ({factor} × forking and reaping {} processes + {constant} ms)",
        lifetime.workers,
        lifetime.workers + 1,
    );
    Some(GoalResult { goal, measured, reached: measured.upper <= 1.0 })
}

fn evaluate_memory(report: &Report) -> Vec<GoalResult> {
    let Some(memory) = &report.memory else { return Vec::new() };
    let measured = [("", memory.stored), (" that is cached", memory.cached)];
    let evaluate = |((which, bytes), (factor, constant)): ((&str, f64), (f64, f64))| GoalResult {
        goal: format!("a record{which} in the server: at most 1 × ({factor} × its JSON + {constant} bytes)"),
        measured: Estimate::of([bytes / (factor * memory.json + constant)]),
        reached: bytes <= factor * memory.json + constant,
    };
    measured.into_iter().zip(MEMORY_BOUNDS).map(evaluate).collect()
}
