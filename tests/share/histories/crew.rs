//! The workers of one share: they perform operations until they are done, or are killed.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use mikobase::prelude::*;
use mikobase::rpc::Served;
use mikobase::{CallInfo, ExitStatus, Limits, Next, WorkerReport};

use super::operation::{Key, Object, Outcome};
use super::perform::{creation, perform, read_all};
use super::recorder::Recorder;
use super::workload::{Method, Plan};
use crate::random::Random;
use crate::support::kill_this_process_after;

/// How many workers run at once.
pub const WORKERS: usize = 20;

/// The number of the process that reads all keys at the end.
pub const FINAL_READS: u32 = 0;

/// The bits of a value that count the values of a process. The others are the number of the process.
const VALUE_BITS: u32 = 16;

/// A worker or server that is to be killed is killed at most so long after its timer was started.
const MAX_DELAY_OF_KILL: Duration = Duration::from_millis(5);

/// The deadline of calls to a server that stalls, and how long it stalls.
const DEADLINE: Duration = Duration::from_millis(300);
const STALL: Duration = Duration::from_millis(350);

/// A server that stalls does so once in so many calls.
pub const CALLS_PER_STALL: usize = 500;

/// The workers of one share.
pub struct Crew<'r> {
    /// A backend URL.
    pub backend: &'r str,
    pub methods: &'static [Method],
    /// The number of lists and of registers that the store has.
    pub keys: Key,
    /// Whether they are to be created.
    pub creates_keys: bool,
    /// The number of lists and of registers that are in use at once.
    pub keys_in_use: Key,
    /// The first key in use when the share begins.
    pub first_key: Key,
    /// After so many operations of all workers, other keys are in use.
    pub operations_per_keys: usize,
    /// The folder of the histories.
    pub histories: &'r Path,
    pub seed: u64,
    pub first_process: u32,
    pub operations_per_worker: usize,
    pub kills_workers: bool,
    /// Whether the server stalls at times, for longer than the deadline of calls.
    pub stalls: bool,
}

impl Crew<'_> {
    /// The number of workers for so many operations.
    pub fn size(&self, operations: usize) -> usize {
        let (mut workers, mut planned) = (0, 0);
        while planned < operations {
            planned += self.kill_of(workers).unwrap_or(self.operations_per_worker);
            workers += 1;
        }
        workers
    }

    /// The operation during or after which a worker is to be killed: of every second worker, a random one.
    fn kill_of(&self, worker: usize) -> Option<usize> {
        let mut random = Random::quiet(self.seed.wrapping_add(worker as u64));
        (self.kills_workers && random.one_in(2)).then(|| random.below(self.operations_per_worker))
    }

    fn uds(&self, kill_of_server: Option<Duration>) -> Uds {
        let keys = if self.creates_keys { self.keys } else { 0 };
        let mut uds = Uds::new().unwrap().backend(self.backend).unwrap().returning(Returning::Nothing);
        if self.stalls {
            let mut limits = Limits::default();
            limits.call_deadline = DEADLINE;
            uds = uds.limits(limits).around(stall_at_times());
        }
        uds.max_concurrent(WORKERS).setup(move |server| {
            for first in (0..keys).step_by(500) {
                server.db().batch(creation(first..keys.min(first + 500)), true)?;
            }
            kill_of_server.map_or(Ok(()), kill_this_process_after)
        })
    }

    /// Runs the workers while the server is killed. Returns whether that was before they had finished.
    pub fn run_until_killed(&self, workers: usize, kill: Duration) -> bool {
        let uds = self.uds(Some(kill));
        let failed = match uds.spawn(workers, |db, worker| self.work(db, worker)) {
            // It was killed before the share had started.
            Err(error) => return assert_server_gone(&error),
            Ok(share) => match share.join() {
                Ok(report) => {
                    check_workers(report.workers(), Some(ErrorId::SERVER_GONE));
                    return false;
                }
                Err(failed) => failed,
            },
        };
        check_workers(failed.report().unwrap().workers(), Some(ErrorId::SERVER_GONE));
        assert_server_gone(failed.error())
    }

    /// Runs the workers, then reads all keys.
    pub fn run_to_the_end(&self, workers: usize) {
        let uds = self.uds(None);
        let mut share = uds.spawn(workers, |db, worker| self.work(db, worker)).unwrap();
        share.wait().unwrap();
        let mut recorder = Recorder::create(self.histories, FINAL_READS).unwrap();
        let objects: Vec<Object> =
            (0..self.keys).flat_map(|key| [Object::List(key), Object::Register(key)]).collect();
        // Small reads, which a short deadline suffices for.
        for objects in objects.chunks(20) {
            let read = loop {
                recorder.invoke(&[]).unwrap();
                match read_all(share.db().unwrap(), objects) {
                    Err(error) if error.is(ErrorId::DEADLINE_EXCEEDED) => {}
                    read => break read.unwrap(),
                }
            };
            recorder.complete(Outcome::Ok, &read).unwrap();
        }
        let late = self.stalls.then_some(ErrorId::DEADLINE_EXCEEDED);
        check_workers(share.join().unwrap().workers(), late);
    }

    /// Performs the operations of a worker.
    fn work(&self, db: &MikobaseClient, worker: &Worker) -> Result<(), BoxError> {
        let process = self.first_process + worker.index() as u32;
        let mut random = Random::quiet(self.seed ^ (u64::from(process) << 32));
        let mut recorder = Recorder::create(self.histories, process)?;
        let mut next_value = (process << VALUE_BITS)..((process + 1) << VALUE_BITS);
        let kill = self.kill_of(worker.index());
        for number in 0..self.operations_per_worker {
            if kill == Some(number) {
                kill_this_process_after(MAX_DELAY_OF_KILL.mul_f64(random.below(1_000) as f64 / 1_000.0))?;
            }
            let keys = self.keys_at(worker.index(), number, &mut random);
            let plan = Plan::generate(&mut random, self.methods, keys, &mut || next_value.next().unwrap());
            recorder.invoke(&plan.writes())?;
            let mut micro_ops = Vec::new();
            match perform(db, &plan, &mut micro_ops) {
                Ok(()) => recorder.complete(Outcome::Ok, &micro_ops)?,
                // Nothing is recorded: the outcome is unknown.
                Err(error) if error.is(ErrorId::DEADLINE_EXCEEDED) => {}
                Err(error) if error.is(ErrorId::SERVER_GONE) => return Ok(()),
                Err(error) if error.is(ErrorId::CONFLICT) => {
                    let writes = plan.writes().into_iter().filter(|write| !micro_ops.contains(write));
                    micro_ops.extend(writes.collect::<Vec<_>>());
                    recorder.complete(Outcome::Failed, &micro_ops)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The keys of an operation: those that are in use when the worker performs it, if all workers are
    /// equally fast, or at times those before.
    fn keys_at(&self, worker: usize, number: usize, random: &mut Random) -> Range<Key> {
        let done = worker / WORKERS * self.operations_per_worker + number;
        let before = usize::from(random.one_in(10));
        let set = (done * WORKERS / self.operations_per_keys).saturating_sub(before) as Key;
        let first = (self.first_key + set * self.keys_in_use).min(self.keys - self.keys_in_use);
        first..first + self.keys_in_use
    }
}

fn assert_server_gone(error: &Error) -> bool {
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    true
}

/// Checks that each worker succeeded, was killed, or failed with this error before it was connected.
fn check_workers(reports: &[WorkerReport<()>], tolerated: Option<ErrorId>) {
    let tolerated = tolerated.map(|id| id.to_string());
    for report in reports {
        let fault = match report.status {
            ExitStatus::Signal(_) => None,
            _ => report.outcome.fault(),
        };
        let is_tolerated = |fault: &String| tolerated.as_ref().is_some_and(|id| fault.contains(id));
        assert!(fault.as_ref().is_none_or(is_tolerated), "worker {}: {fault:?}", report.index);
    }
}

/// A hook that stalls before or after some calls, so that calls take effect that were not answered in time.
fn stall_at_times() -> impl Fn(&CallInfo<'_>, Next<'_>) -> Result<Served> {
    let calls = Cell::new(0);
    move |_, next| {
        calls.set(calls.get() + 1);
        let stalls = |at| calls.get() % CALLS_PER_STALL == at;
        if stalls(CALLS_PER_STALL / 2) {
            sleep(STALL);
        }
        let served = next.run();
        if stalls(0) {
            sleep(STALL);
        }
        served
    }
}
