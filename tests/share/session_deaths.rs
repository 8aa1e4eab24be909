//! Workers that are killed at random moments, with all kinds of things open.

use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Result, Token};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::harness::{Case, is_long};
use crate::office::office_rpc::OfficeClient;
use crate::office::{Desk, Office, OpenThings, eventually, office};
use crate::random::Random;
use crate::support::{Event, proxy, uds};

pub const CASES: &[Case] = &[("a_kill_at_any_moment_leaves_nothing_open", kills)];

fn kills() {
    let rounds = if is_long() { 1000 } else { 60 };
    let mut random = Random::new(1966);
    let uds = uds();
    let share = office(&uds);
    let watching = proxy(&share);
    let end = Event::new();
    let mut grandchildren = 0;
    for round in 0..rounds {
        // Two at a time: one waits at the gate for the other.
        let workers: Vec<Pid> = (0..2)
            .map(|_| {
                let (seed, forks) = (random.next(), random.one_in(4));
                grandchildren += u64::from(forks);
                worker(share.path(), share.token(), seed, forks.then_some(&end))
            })
            .collect();
        watching.publish(3).unwrap();
        let _ = watching.deliver("a letter").unwrap();
        for worker in workers {
            let until = Instant::now() + Duration::from_micros(random.below(4000) as u64);
            while Instant::now() < until {}
            kill(worker, Signal::SIGKILL).unwrap();
            waitpid(worker, None).unwrap();
        }
        eventually(|| watching.open_things().unwrap(), &OpenThings::default());
        let begun = Instant::now();
        watching.line_up().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "the gate in round {round}");
    }
    for _ in 0..grandchildren {
        end.notify();
    }
    share.join().unwrap();
}

/// Forks a process that opens things until it is killed.
fn worker(path: &std::path::Path, token: &Token, seed: u64, end: Option<&Event>) -> Pid {
    // SAFETY: the process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = open_things(path, token, seed, end);
            std::process::exit(0);
        }
    }
}

fn open_things(path: &std::path::Path, token: &Token, seed: u64, end: Option<&Event>) -> Result<()> {
    let mut random = Random::quiet(seed);
    let office = OfficeClient::connect(path, token)?;
    let (mut desks, mut streams, mut letters, mut numbers) = (vec![], vec![], vec![], vec![]);
    if let Some(end) = end {
        desks.push(office.desk("inherited")?);
        // SAFETY: the process has one thread.
        if let ForkResult::Child = unsafe { fork() }.unwrap() {
            end.wait();
            std::process::exit(0);
        }
    }
    loop {
        match random.below(9) {
            0 => desks.push(office.desk("a")?),
            1 => desks.push(office.closed_desk()?),
            2 => drop(desks.pop()),
            3 => streams.push(office.news()?),
            4 => numbers.push(office.numbers(1000, "")?),
            5 => letters.push(office.letter()),
            6 => drop(streams.last_mut().map(|stream| stream.try_recv())),
            7 => drop(numbers.last_mut().and_then(|numbers| numbers.recv())),
            _ => {
                for desk in &desks {
                    desk.note("x")?;
                }
            }
        }
    }
}
