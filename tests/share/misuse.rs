//! Misuse is refused with an error that names it, and has no other effect.

use std::thread;

use mikobase::prelude::*;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::harness::Case;
use crate::support::{Event, Running, create};

pub const CASES: &[Case] = &[
    ("a_process_with_threads_does_not_share_unless_it_insists", a_process_with_threads),
    ("a_share_inside_a_runtime_is_refused", a_share_inside_a_runtime),
    ("a_proxy_inside_a_task_refuses_and_works_outside_it", a_proxy_inside_a_task),
    ("a_proxy_works_inside_spawn_blocking", a_proxy_inside_spawn_blocking),
    ("a_uds_hosts_one_share_at_a_time", one_share_at_a_time),
    ("a_uds_in_a_fork_gives_its_path_and_token_and_nothing_else", a_uds_in_a_fork),
    ("a_uds_that_was_never_used_leaves_nothing", || drop(Uds::new().unwrap())),
];

fn a_process_with_threads() {
    let stop = Event::new();
    thread::scope(|scope| {
        scope.spawn(|| stop.wait());
        let refused = Uds::new().unwrap().mikobase(1, |_, _| Ok(())).unwrap_err();
        assert!(refused.error().is(ErrorId::THREADS_RUNNING), "{refused}");
        assert_eq!(refused.error().items()[0].details["threads"], 2);
        assert!(refused.to_string().contains("allow_threads"), "it says how to go on: {refused}");

        // SAFETY: the other thread holds no lock.
        let allowed = unsafe { Uds::new().unwrap().allow_threads(true) };
        allowed.mikobase(2, |db, worker| Ok(create(db, worker.index())?)).unwrap().all_succeeded().unwrap();
        stop.notify();
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn a_share_inside_a_runtime() {
    let refused = runtime().block_on(async { Uds::new().unwrap().mikobase(1, |_, _| Ok(())).unwrap_err() });
    assert!(refused.error().is(ErrorId::INSIDE_RUNTIME), "{refused}");
}

fn a_proxy_inside_a_task() {
    let report = Uds::new()
        .unwrap()
        .mikobase(1, |db, _| {
            let runtime = runtime();
            let refused = runtime.block_on(async { db.properties().unwrap_err() });
            assert!(refused.is(ErrorId::INSIDE_RUNTIME), "{refused}");
            let _entered = runtime.enter();
            Ok(create(db, 1)?)
        })
        .unwrap();
    report.all_succeeded().unwrap();
}

fn a_proxy_inside_spawn_blocking() {
    let uds = Uds::new().unwrap();
    let (path, token) = (uds.path(), uds.token().clone());
    let report = uds
        .mikobase(1, |_, _| {
            let db = MikobaseClient::connect(&path, &token)?;
            let blocking = || tokio::task::spawn_blocking(move || create(&db, 1));
            Ok(runtime().block_on(async { blocking().await })??)
        })
        .unwrap();
    report.all_succeeded().unwrap();
}

fn one_share_at_a_time() {
    let go = Event::new();
    let uds = Uds::new().unwrap();
    let share: Running<'_, ()> = uds
        .spawn(1, |_, _| {
            go.wait();
            Ok(())
        })
        .unwrap();
    let refused = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
    assert!(refused.error().is(ErrorId::UDS_IN_USE), "{refused}");
    create(share.db().unwrap(), 1).unwrap();
    go.notify();
    share.join().unwrap().all_succeeded().unwrap();
}

fn a_uds_in_a_fork() {
    let uds = Uds::new().unwrap();
    // SAFETY: this process has one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            assert!(uds.path().ends_with("socket"));
            assert_eq!(uds.token().to_hex().len(), 64);
            let refused = uds.mikobase(1, |_, _| Ok(())).unwrap_err();
            assert!(refused.error().is(ErrorId::SERVER_USED_IN_FORK), "{refused}");
            drop(uds);
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            assert!(matches!(waitpid(child, None).unwrap(), WaitStatus::Exited(_, 0)));
            assert!(uds.path().parent().unwrap().exists(), "the fork did not remove what it does not own");
            uds.mikobase(1, |db, _| Ok(create(db, 1)?)).unwrap().all_succeeded().unwrap();
        }
    }
}
