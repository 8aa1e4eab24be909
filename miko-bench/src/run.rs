//! Runs a plan.

use std::thread::available_parallelism;

use miko_shared::BoxError;

use crate::peer::{self, Peer, Running, Size};
use crate::plan::{Plan, Setting};
use crate::process::{self, Forked};
use crate::report::{Report, Row};
use crate::sample::Random;
use crate::statistics::Round;
use crate::workload::Workload;
use crate::{goal, lifetime, memory};

/// Measures what `plan` says. `progress` is called with a line about each step.
///
/// # Errors
/// If a peer failed or gave a wrong answer. A peer that is not installed is not an error: the report names
/// it.
pub fn run(plan: &Plan, progress: &mut dyn FnMut(&str)) -> Result<Report, BoxError> {
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpus: available_parallelism().map_or(1, usize::from),
        records: plan.records,
        slice: plan.slice.as_millis(),
        compute: plan.compute.as_micros(),
        beside: plan.beside,
        rows: Vec::new(),
        lifetime: None,
        memory: None,
        goals: Vec::new(),
        missing: Vec::new(),
    };
    for &setting in &plan.settings {
        process::with_cpus(setting.cpus, || {
            let _beside = (0..plan.beside).map(|_| compute()).collect::<Result<Vec<_>, _>>()?;
            measure(plan, setting, &mut report, progress)
        })?;
    }
    if plan.beside == 0
        && let Some(workers) = plan.settings.iter().map(|setting| setting.workers).max()
    {
        progress("starting and ending shares");
        report.lifetime = Some(lifetime::measure(workers, plan.rounds)?);
    }
    if let Some(updates) = plan.updates {
        progress("measuring the memory of the server");
        report.memory = Some(memory::measure(plan.records, updates)?);
    }
    // The goals hold for workers that only make calls.
    if plan.compute.is_zero() {
        report.goals = goal::evaluate(&report);
    }
    Ok(report)
}

/// Starts a process that computes until it is dropped.
fn compute() -> Result<Forked, BoxError> {
    Forked::start(|| {
        loop {
            std::hint::spin_loop();
        }
    })
}

/// A running peer in one setting, with its results.
struct Contestant {
    peer: &'static Peer,
    running: Running,
    rows: Vec<Row>,
}

fn measure(
    plan: &Plan,
    setting: Setting,
    report: &mut Report,
    progress: &mut dyn FnMut(&str),
) -> Result<(), BoxError> {
    let mut contestants = Vec::new();
    for peer in selected_peers(plan) {
        progress(&format!("{setting}: starting {}", peer.name));
        let size = Size { workers: setting.workers, records: plan.records };
        match (peer.start)(size).map_err(|error| with_peer_name(peer, &*error))? {
            Some(running) => {
                contestants.push(Contestant { peer, running, rows: empty_rows(plan, setting, peer) })
            }
            None if report.missing.iter().any(|name| name == peer.name) => {}
            None => {
                progress(&format!("{} is not installed: it is left out", peer.name));
                report.missing.push(peer.name.to_owned());
            }
        }
    }
    let mut shuffle = Shuffle::new();
    for round in 0..=plan.rounds {
        let label = if round == 0 { "to warm up".to_owned() } else { format!("{round} of {}", plan.rounds) };
        progress(&format!("{setting}: round {label}"));
        for &workload in &plan.workloads {
            for index in shuffle.draw(contestants.len()) {
                contestants[index].work(workload, plan, round > 0)?;
            }
        }
    }
    for &workload in &plan.workloads {
        let of_workload =
            contestants.iter().flat_map(|contestant| &contestant.rows).filter(|row| row.workload == workload);
        report.rows.extend(of_workload.cloned());
    }
    Ok(())
}

/// Gives the peers a random order for each workload, since a peer affects the next one: after one that waits
/// for a disk the CPU is cool, and after a large one the caches are cold.
struct Shuffle(Random);

impl Shuffle {
    fn new() -> Self {
        Self(Random::new(0))
    }

    fn draw(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for left in (1..count).rev() {
            order.swap(left, self.0.below(left + 1));
        }
        order
    }
}

impl Contestant {
    fn work(&mut self, workload: Workload, plan: &Plan, is_measured: bool) -> Result<(), BoxError> {
        let Some(row) = self.rows.iter_mut().find(|row| row.workload == workload) else {
            return Ok(());
        };
        let outcomes = self
            .running
            .crew
            .work(workload, plan.slice, plan.compute)
            .map_err(|error| with_peer_name(self.peer, &*error))?;
        if is_measured {
            row.rounds.push(Round::of(workload, &outcomes));
        }
        Ok(())
    }
}

/// Mikobase itself and the peers of the plan, as far as they implement one of its workloads.
fn selected_peers(plan: &Plan) -> impl Iterator<Item = &'static Peer> {
    let named = |peer: &&Peer| plan.peers.iter().any(|name| name == peer.name);
    let works = |peer: &&Peer| peer.workloads.iter().any(|workload| plan.workloads.contains(workload));
    let own = peer::ours().iter();
    own.chain(peer::ALL.iter().skip(peer::ours().len()).filter(named)).filter(works)
}

fn empty_rows(plan: &Plan, setting: Setting, peer: &'static Peer) -> Vec<Row> {
    let own = peer::ours().iter().any(|own| own.name == peer.name);
    let workloads = plan.workloads.iter().copied().filter(|workload| peer.workloads.contains(workload));
    workloads.map(|workload| Row { setting, workload, peer: peer.name, own, rounds: Vec::new() }).collect()
}

fn with_peer_name(peer: &Peer, error: &dyn std::error::Error) -> BoxError {
    format!("{}: {error}", peer.name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_is_a_permutation_and_all_successions_occur() {
        let mut shuffle = Shuffle::new();
        let mut followed = std::collections::HashSet::new();
        for _ in 0..100 {
            let drawn = shuffle.draw(5);
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            followed.extend(drawn.windows(2).map(|pair| (pair[0], pair[1])));
        }
        assert_eq!(followed.len(), 5 * 4);
    }
}
