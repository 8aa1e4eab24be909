//! Processes that die do not affect others and leave nothing behind.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};

use mikobase::prelude::*;
use mikobase::{Error, ExitStatus, Outcome, Report, ShareError, Worldlet};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, Signal, kill, killpg, signal};
use nix::unistd::{Pid, getpgrp, getpid, getppid};

use crate::harness::{self, Case};
use crate::support::{Event, Raw, Running, count, create, uds, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_killed_worker_is_reported_and_its_siblings_go_on", a_killed_worker),
    ("a_worker_killed_inside_a_frame_does_not_affect_others", a_worker_killed_inside_a_frame),
    ("a_worker_that_stops_reading_does_not_block_others", a_worker_that_stops_reading),
    ("a_killed_server_is_noticed_at_once_by_all", a_killed_server),
    ("a_killed_parent_leaves_no_process_and_no_directory", a_killed_parent),
    ("a_killed_parent_is_noticed_though_the_server_is_busy", a_killed_parent_of_a_busy_server),
    ("ctrl_c_ends_the_workers_and_returns_the_state_so_far", ctrl_c),
    ("ctrl_c_during_the_set_up_starts_no_worker", ctrl_c_during_setup),
    ("ctrl_c_while_the_state_is_delivered_loses_nothing_of_it", ctrl_c_at_the_end),
    ("a_second_ctrl_c_ends_everything_at_once", second_ctrl_c),
];

/// Programs that the cases start in another process and kill.
pub const PROGRAMS: &[Case] =
    &[("parent_that_waits", parent_that_waits), ("parent_of_a_busy_server", parent_of_a_busy_server)];

fn a_killed_worker() {
    let created = Event::new();
    let go = Event::new();
    let uds = uds();
    let share = uds
        .spawn(3, |db, worker| {
            create(db, worker.index())?;
            created.notify();
            if worker.index() == 1 {
                wait_for_ever();
            }
            go.wait();
            Ok(create(db, 10 + worker.index())?)
        })
        .unwrap();
    (0..3).for_each(|_| created.wait());
    let victim = share.workers()[1].1;
    kill(Pid::from_raw(victim as i32), Signal::SIGKILL).unwrap();
    go.notify();
    go.notify();
    let report = share.join().unwrap();
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 5);
    assert_eq!(report.workers()[1].status, ExitStatus::Signal(libc::SIGKILL));
    assert!(matches!(report.workers()[1].outcome, Outcome::Silent));
    assert!(report.workers()[0].returned().is_ok() && report.workers()[2].returned().is_ok());
}

fn a_worker_killed_inside_a_frame() {
    let uds = uds();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    for length in [1, 3, 4, 5, 20] {
        let mut raw = Raw::admitted(&share);
        raw.stream.write_all(&[0, 0, 1, 0, 0x81, 0xa7, b'R', b'e', b'q'][..length.min(9)]).unwrap();
        drop(raw);
        create(share.db().unwrap(), length).unwrap();
    }
    assert_eq!(count(share.db().unwrap()), 5);
    share.join().unwrap();
}

fn a_worker_that_stops_reading() {
    let uds = uds();
    let share: Running<'_, ()> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    db.q0(json!({"action": "create", "class": "test.org/big", "bucket": {"text": "x".repeat(100_000)}}))
        .unwrap();
    let request = crate::support::encoded_call("by_class", &json!({"class": "test.org/big"}));
    let deaf = Raw::admitted(&share);
    deaf.stream.set_nonblocking(true).unwrap();
    // Sends calls without reading answers, until the server no longer reads calls.
    while (&deaf.stream).write_all(&request).is_ok() {}
    for n in 0..100 {
        create(db, n).unwrap();
    }
    assert_eq!(count(db), 100);
    share.join().unwrap();
}

fn a_killed_server() {
    let created = Event::new();
    let uds = uds();
    let share = uds
        .spawn(3, |db, worker| {
            create(db, worker.index())?;
            created.notify();
            let error = loop {
                if let Err(error) = db.record_by_pk("nobody") {
                    break error;
                }
            };
            assert!(db.properties().unwrap_err().is(ErrorId::SERVER_GONE), "and so is every call after it");
            Ok(error.is(ErrorId::SERVER_GONE))
        })
        .unwrap();
    (0..3).for_each(|_| created.wait());
    let server = server_of(share.path());
    kill(server, Signal::SIGKILL).unwrap();
    let failed = share.join().unwrap_err();
    assert!(failed.error().is(ErrorId::SERVER_GONE), "{failed}");
    let workers = failed.report().unwrap().workers();
    assert_eq!(workers.len(), 3);
    assert!(workers.iter().all(|worker| *worker.returned().unwrap()));
}

/// The process at the other end of a connection to `path`.
pub fn server_of(path: &std::path::Path) -> Pid {
    let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    let peer = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials).unwrap();
    // The kernel returns the process that called `listen`, the parent. The server is its child that has the
    // socket.
    let parent = Pid::from_raw(peer.pid());
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap())
}

fn a_killed_parent() {
    let (mut parent, pids) = start_program("programs::parent_that_waits");
    assert_eq!(pids.len(), 4, "a server and three workers");
    kill_and_wait_for_all(&mut parent, &pids);
}

fn a_killed_parent_of_a_busy_server() {
    let (mut parent, pids) = start_program("programs::parent_of_a_busy_server");
    kill_and_wait_for_all(&mut parent, &pids);
}

/// Starts a program that prints the pids of its children when they are running.
pub fn start_program(name: &str) -> (Child, Vec<Pid>) {
    let mut program = harness::start(name).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (program, line.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect())
}

pub fn kill_and_wait_for_all(parent: &mut Child, pids: &[Pid]) {
    let watched: Vec<_> = pids.iter().map(|pid| miko_shared::linux::pidfd(*pid).unwrap()).collect();
    parent.kill().unwrap();
    parent.wait().unwrap();
    watched.iter().for_each(wait_for_end);
    // The harness checks that the server has removed the directory, which it does when its parent dies.
}

/// Waits until the process of this pidfd has ended.
pub fn wait_for_end(process: &OwnedFd) {
    poll(&mut [PollFd::new(process.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
}

pub fn parent_that_waits() {
    let ready = Event::new();
    let uds = uds();
    let share: Running<'_, ()> = uds
        .spawn(3, |db, worker| {
            create(db, worker.index())?;
            ready.notify();
            wait_for_ever()
        })
        .unwrap();
    (0..3).for_each(|_| ready.wait());
    let workers: Vec<String> = share.workers().iter().map(|(_, pid)| pid.to_string()).collect();
    println!("{} {}", server_of(share.path()), workers.join(" "));
    wait_for_ever();
}

fn parent_of_a_busy_server() {
    // `setup` never ends, so the parent still waits for the server when it is killed.
    let uds = uds().setup(|_| {
        println!("{}", std::process::id());
        wait_for_ever()
    });
    let _ = uds.mikobase(1, |_, _| Ok(()));
}

/// Sends SIGINT to the process group of this case, as a terminal does for Ctrl-C.
fn press_ctrl_c() {
    killpg(getpgrp(), Signal::SIGINT).unwrap();
}

fn ctrl_c() {
    let created = Event::new();
    let uds = uds();
    let failed = uds
        .mikobase(4, |db, worker| {
            create(db, worker.index())?;
            created.notify();
            if worker.index() > 0 {
                wait_for_ever();
            }
            // SAFETY: ignoring a signal installs no code.
            unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }?;
            (0..4).for_each(|_| created.wait());
            press_ctrl_c();
            Ok("pressed".to_owned())
        })
        .unwrap_err();
    let (error, signals, records) = taken_apart(&failed);
    assert!(error.is(ErrorId::INTERRUPTED), "{error}");
    assert_eq!(signals, [None, Some(libc::SIGINT), Some(libc::SIGINT), Some(libc::SIGINT)]);
    assert_eq!(records, 4, "what was written is handed over");
}

fn ctrl_c_during_setup() {
    let uds = uds().setup(|_| {
        press_ctrl_c();
        wait_for_ever()
    });
    let failed = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
    assert!(failed.error().is(ErrorId::INTERRUPTED), "{failed}");
    assert!(failed.report().is_none());
}

fn ctrl_c_at_the_end() {
    // Called when the last worker has ended: the parent asks for the final state next.
    let uds = uds().on_exit(|_| kill(getpid(), Signal::SIGINT).unwrap());
    let failed = uds.mikobase(1, |db, _| Ok(create(db, 1).map(drop)?)).unwrap_err();
    let (error, signals, records) = taken_apart(&failed);
    assert!(error.is(ErrorId::INTERRUPTED), "{error}");
    assert_eq!((signals, records), (vec![None], 1));
}

fn second_ctrl_c() {
    let ready = Event::new();
    let uds = uds().grace_period(std::time::Duration::from_secs(3600));
    let failed = uds
        .mikobase(2, |db, worker| {
            create(db, worker.index())?;
            // SAFETY: ignoring a signal installs no code.
            unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) }?;
            // SAFETY: as above.
            unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
            ready.notify();
            if worker.index() == 0 {
                (0..2).for_each(|_| ready.wait());
                // Pending signals of one kind merge, so SIGINT is sent repeatedly until the parent has ended
                // this worker.
                loop {
                    kill(getppid(), Signal::SIGINT)?;
                    std::thread::yield_now();
                }
            }
            wait_for_ever()
        })
        .map(|report: Report<(), _>| report)
        .unwrap_err();
    let (error, signals, _) = taken_apart(&failed);
    assert!(error.is(ErrorId::INTERRUPTED), "{error}");
    assert_eq!(signals, [Some(libc::SIGKILL); 2]);
}

/// The error, the signal of each worker and the number of records of a failed share.
fn taken_apart<R>(failed: &ShareError<R, Worldlet>) -> (&Error, Vec<Option<i32>>, usize) {
    let report = failed.report().unwrap();
    let signals = report.workers().iter().map(|worker| match worker.status {
        ExitStatus::Signal(number) => Some(number),
        _ => None,
    });
    let records =
        report.worldlet().to_value().map_or(0, |worldlet| worldlet["records"].as_object().unwrap().len());
    (failed.error(), signals.collect(), records)
}
