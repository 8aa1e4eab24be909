//! Signals, and what a process leaves that one of them ends.

use mikobase::prelude::*;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use crate::deaths::{kill_and_wait_for_all, parent_that_waits, start_program};
use crate::harness::Case;
use crate::support::{Running, create, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_share_dropped_in_setup_harms_the_outer_one_in_nothing", a_share_dropped_in_setup),
    ("a_parent_that_blocks_all_signals_leaves_nothing_when_killed", a_parent_that_blocks_signals),
    ("each_share_has_a_path_of_its_own", each_share_has_a_path_of_its_own),
];

pub const PROGRAMS: &[Case] = &[("parent_that_blocks_signals", blocking_parent)];

fn a_share_dropped_in_setup() {
    let uds = Uds::new().unwrap().setup(|_| {
        let inner = Uds::new()?;
        let share: Running<'_, ()> = inner.spawn(2, |_, _| wait_for_ever())?;
        drop(share);
        Ok(())
    });
    let report = uds.mikobase(2, |db, worker| Ok(create(db, worker.index())?)).unwrap();
    report.all_succeeded().unwrap();
}

fn a_parent_that_blocks_signals() {
    let (mut parent, pids) = start_program("signal_programs::parent_that_blocks_signals");
    kill_and_wait_for_all(&mut parent, &pids);
}

fn blocking_parent() {
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None).unwrap();
    parent_that_waits();
}

fn each_share_has_a_path_of_its_own() {
    let uds = Uds::new().unwrap();
    let first = uds.path();
    for round in 0..3 {
        uds.mikobase(1, |_, _| Ok(())).unwrap().all_succeeded().unwrap();
        assert_eq!(uds.path() == first, round == 0);
    }
}
