//! Carrying out a plan.

use std::thread::available_parallelism;

use miko_shared::BoxError;

use crate::peer::{self, Peer, Running, Size};
use crate::plan::{Plan, Setting};
use crate::process;
use crate::report::{Report, Row};
use crate::sample::Random;
use crate::statistics::Round;
use crate::workload::Workload;
use crate::{goal, lifetime};

/// Measures what `plan` says. `tell` hears what is being done, now and then.
///
/// # Errors
/// If somebody failed, or answered something else than what was asked for. A peer that is not installed is no error: the
/// report names it.
pub fn run(plan: &Plan, tell: &mut dyn FnMut(&str)) -> Result<Report, BoxError> {
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpus: available_parallelism().map_or(1, usize::from),
        records: plan.records,
        slice: plan.slice.as_millis(),
        compute: plan.compute.as_micros(),
        rows: Vec::new(),
        lifetime: None,
        goals: Vec::new(),
        missing: Vec::new(),
    };
    for &setting in &plan.settings {
        process::on(setting.cpus, || measure(plan, setting, &mut report, tell))?;
    }
    if let Some(workers) = plan.settings.iter().map(|setting| setting.workers).max() {
        tell("starting and ending shares");
        report.lifetime = Some(lifetime::measure(workers, plan.rounds)?);
    }
    // What is to be reached is said of workers that do nothing but call.
    if plan.compute.is_zero() {
        report.goals = goal::verdicts(&report);
    }
    Ok(report)
}

/// Everybody who works in one setting.
struct Field {
    peer: &'static Peer,
    running: Running,
    rows: Vec<Row>,
}

fn measure(
    plan: &Plan,
    setting: Setting,
    report: &mut Report,
    tell: &mut dyn FnMut(&str),
) -> Result<(), BoxError> {
    let mut field = Vec::new();
    for peer in chosen(plan) {
        tell(&format!("{setting}: starting {}", peer.name));
        let size = Size { workers: setting.workers, records: plan.records };
        match (peer.start)(size).map_err(|error| of(peer, &*error))? {
            Some(running) => field.push(Field { peer, running, rows: rows(plan, setting, peer) }),
            None if report.missing.iter().any(|name| name == peer.name) => {}
            None => {
                tell(&format!("{} is not installed: it is left out", peer.name));
                report.missing.push(peer.name.to_owned());
            }
        }
    }
    let mut order = Order::new();
    for round in 0..=plan.rounds {
        let of = if round == 0 { "to warm up".to_owned() } else { format!("{round} of {}", plan.rounds) };
        tell(&format!("{setting}: round {of}"));
        for &workload in &plan.workloads {
            for index in order.draw(field.len()) {
                field[index].work(workload, plan, round > 0)?;
            }
        }
    }
    for &workload in &plan.workloads {
        let of_workload = field.iter().flat_map(|one| &one.rows).filter(|row| row.workload == workload);
        report.rows.extend(of_workload.cloned());
    }
    Ok(())
}

/// In which order they work: another one each time. Who works after somebody that has waited for a disk finds the machine
/// rested, and who works after a large one finds the caches full of that.
struct Order(Random);

impl Order {
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

impl Field {
    fn work(&mut self, workload: Workload, plan: &Plan, counts: bool) -> Result<(), BoxError> {
        let Some(row) = self.rows.iter_mut().find(|row| row.workload == workload) else {
            return Ok(());
        };
        let outcomes = self
            .running
            .crew
            .work(workload, plan.slice, plan.compute)
            .map_err(|error| of(self.peer, &*error))?;
        if counts {
            row.rounds.push(Round::of(workload, &outcomes));
        }
        Ok(())
    }
}

/// Ourselves and the peers of the plan, those who have a workload of it.
fn chosen(plan: &Plan) -> impl Iterator<Item = &'static Peer> {
    let named = |peer: &&Peer| plan.peers.iter().any(|name| name == peer.name);
    let works = |peer: &&Peer| peer.workloads.iter().any(|workload| plan.workloads.contains(workload));
    let own = peer::ours().iter();
    own.chain(peer::ALL.iter().skip(peer::ours().len()).filter(named)).filter(works)
}

fn rows(plan: &Plan, setting: Setting, peer: &'static Peer) -> Vec<Row> {
    let own = peer::ours().iter().any(|own| own.name == peer.name);
    let workloads = plan.workloads.iter().copied().filter(|workload| peer.workloads.contains(workload));
    workloads.map(|workload| Row { setting, workload, peer: peer.name, own, rounds: Vec::new() }).collect()
}

fn of(peer: &Peer, error: &dyn std::error::Error) -> BoxError {
    format!("{}: {error}", peer.name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_works_once_and_follows_everybody_sometimes() {
        let mut order = Order::new();
        let mut followed = std::collections::HashSet::new();
        for _ in 0..100 {
            let drawn = order.draw(5);
            let mut sorted = drawn.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
            followed.extend(drawn.windows(2).map(|pair| (pair[0], pair[1])));
        }
        assert_eq!(followed.len(), 5 * 4);
    }
}
