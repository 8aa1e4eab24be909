//! A share from its call to its report.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use mikobase::prelude::*;
use mikobase::{BoxError, ExitStatus, Outcome, WorkerReport};
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::harness::Case;
use crate::support::{Event, Running, count, create, wait_for_ever};

pub const CASES: &[Case] = &[
    ("twenty_workers_write_to_one_store", || workers_write_to_one_store(20)),
    ("two_hundred_workers_write_to_one_store", || workers_write_to_one_store(200)),
    ("no_worker_at_all_is_a_share_too", || workers_write_to_one_store(0)),
    ("a_block_that_fails_panics_or_leaves_is_reported_as_such", failing_blocks_are_reported),
    ("one_failed_worker_can_be_made_an_error", a_failed_worker_can_be_made_an_error),
    ("at_most_so_many_workers_are_alive_as_allowed", concurrency_is_limited),
    ("a_worker_that_was_killed_or_failed_is_started_again", restarts),
    ("output_larger_than_a_pipe_is_captured", output_is_captured),
    ("a_worker_that_takes_too_long_is_ended", a_slow_worker_is_ended),
    ("the_final_state_goes_where_it_is_wanted", the_final_state_goes_where_it_is_wanted),
    ("setup_runs_before_the_first_worker", setup_runs_first),
    ("a_share_that_cannot_be_set_up_starts_no_worker", a_failed_setup_starts_no_worker),
    ("the_parent_has_a_proxy_of_its_own", the_parent_has_a_proxy),
    ("dropping_a_running_share_ends_it", dropping_ends_all),
    ("one_share_follows_another_on_the_same_uds", shares_follow_each_other),
    ("two_shares_run_at_once", two_shares_at_once),
    ("a_worker_shares_with_workers_of_its_own", a_share_inside_a_worker),
    ("answers_without_polling_are_the_same", who_may_not_poll),
    ("a_worker_that_may_use_one_cpu_only_gets_its_answers", a_worker_on_one_cpu),
    ("a_worker_that_forks_gets_its_own_answers_in_both_processes", a_worker_that_forks),
];

fn workers_write_to_one_store(n: usize) {
    let exits = Rc::new(RefCell::new(BTreeSet::new()));
    let seen = Rc::clone(&exits);
    let uds = Uds::new().unwrap().on_exit(move |worker| {
        assert!(matches!(worker.outcome, Outcome::Returned(())));
        seen.borrow_mut().insert(worker.index);
    });
    let report = uds
        .mikobase(n, |db, worker| {
            let pk = create(db, worker.index())?;
            assert!(db.record_by_pk(&pk)?.is_some(), "a worker sees what it wrote");
            Ok((worker.index(), worker.pid(), pk))
        })
        .unwrap();

    assert_eq!(exits.borrow().iter().copied().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
    let worldlet = report.worldlet().to_value().unwrap();
    let records = worldlet["records"].as_object().unwrap();
    assert_eq!(records.len(), n);
    assert_eq!(report.workers().len(), n);
    for (index, worker) in report.workers().iter().enumerate() {
        let (returned, pid, pk) = worker.returned().unwrap();
        assert_eq!((worker.index, *returned, worker.pid), (index, index, *pid));
        assert_eq!((worker.status, worker.calls), (ExitStatus::Code(0), 2));
        assert!(worker.started <= worker.ended);
        assert_eq!(records[pk]["bucket"]["n"], index);
    }
    report.all_succeeded().unwrap();
}

fn failing_blocks_are_reported() {
    let report = Uds::new()
        .unwrap()
        .capture_output(true)
        .mikobase(5, |db, worker| match worker.index() {
            0 => Err("out of dilithium".into()),
            1 => Err(db.q0(json!({"action": "warp"})).unwrap_err().into()),
            2 => panic!("the core is {}", "breached"),
            3 => std::process::exit(7),
            _ => Ok(create(db, 4)?),
        })
        .unwrap();

    let outcomes: Vec<_> = report.workers().iter().map(|worker| (worker.status, &worker.outcome)).collect();
    let (status, Outcome::Failed { text, error: None }) = outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((status, text.as_str()), (ExitStatus::Code(1), "out of dilithium"));
    let (status, Outcome::Failed { error: Some(error), .. }) = outcomes[1] else { panic!("{outcomes:?}") };
    assert!(status == ExitStatus::Code(1) && error.is(ErrorId::INVALID_REQUEST), "{error}");
    let (status, Outcome::Panicked(message)) = outcomes[2] else { panic!("{outcomes:?}") };
    assert_eq!((status, message.as_str()), (ExitStatus::Code(101), "the core is breached"));
    assert!(matches!(outcomes[3], (ExitStatus::Code(7), Outcome::Silent)));
    assert!(matches!(outcomes[4], (ExitStatus::Code(0), Outcome::Returned(_))));
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 1);
}

fn a_failed_worker_can_be_made_an_error() {
    let share = |fails: usize| {
        Uds::new().unwrap().mikobase(3, move |_, worker| {
            if worker.index() == fails { Err("no".into()) } else { Ok(worker.index()) }
        })
    };
    let error = share(1).unwrap().into_returned().unwrap_err();
    assert_eq!(error.items().len(), 1);
    assert_eq!(error.to_string(), r#"worker-failed: worker 1 failed: no (worker: 1, status: "exit code 1")"#);
    assert_eq!(share(3).unwrap().into_returned().unwrap(), [0, 1, 2]);
}

fn concurrency_is_limited() {
    let report = Uds::new()
        .unwrap()
        .max_concurrent(2)
        .mikobase(12, |db, worker| {
            let pk = create(db, worker.index())?;
            let alive = count(db);
            db.q0(json!({"action": "delete", "pk": pk}))?;
            Ok(alive)
        })
        .unwrap();
    let most = report.into_returned().unwrap().into_iter().max().unwrap();
    assert!((1..=2).contains(&most), "{most} were alive at once");
}

fn restarts() {
    let share = |max: usize| {
        let report = Uds::new().unwrap().restart(max).mikobase(5, |db, worker| {
            create(db, worker.index())?;
            match (worker.index(), worker.run()) {
                (0, 0) => Err("no".into()),
                (1, 0) => panic!("not yet"),
                (2, 0) => std::process::exit(3),
                (3, 0 | 1) => {
                    kill(Pid::this(), Signal::SIGKILL)?;
                    wait_for_ever()
                }
                (_, run) => Ok(run),
            }
        });
        report.unwrap()
    };
    let report = share(10);
    let runs: Vec<_> = report.workers().iter().map(|worker| (worker.index, worker.run)).collect();
    assert_eq!(runs, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (4, 0)]);
    let records = report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len();
    assert_eq!((records, report.into_returned().unwrap()), (10, vec![1, 1, 1, 2, 0]));

    let report = share(2);
    assert_eq!(report.workers().len(), 7, "two were started again");
    assert!((2..=3).contains(&report.all_succeeded().unwrap_err().items().len()));
}

fn output_is_captured() {
    let report = Uds::new()
        .unwrap()
        .capture_output(true)
        .mikobase(2, |_, worker| {
            println!("{}", "out".repeat(100_000));
            eprintln!("worker {}", worker.index());
            Ok(())
        })
        .unwrap();
    for worker in report.workers() {
        assert_eq!(worker.stdout.len(), 300_001);
        assert_eq!(String::from_utf8_lossy(&worker.stderr), format!("worker {}\n", worker.index));
    }
}

fn a_slow_worker_is_ended() {
    let report = Uds::new()
        .unwrap()
        .worker_timeout(Duration::from_secs(3))
        .mikobase(2, |db, worker| {
            create(db, worker.index())?;
            if worker.index() == 0 {
                wait_for_ever();
            }
            Ok(())
        })
        .unwrap();
    let [slow, quick]: &[WorkerReport<()>; 2] = report.workers().try_into().unwrap();
    assert!(matches!(slow.outcome, Outcome::TimedOut));
    assert_eq!(slow.status, ExitStatus::Signal(nix::libc::SIGTERM));
    quick.returned().unwrap();
}

fn the_final_state_goes_where_it_is_wanted() {
    let share =
        |returning| Uds::new().unwrap().returning(returning).mikobase(1, |db, _| Ok(create(db, 1)?)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("final.json");

    assert_eq!(share(Returning::Nothing).worldlet().as_str(), "");
    assert_eq!(share(Returning::File(file.clone())).worldlet().as_str(), "");
    let written: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["records"].as_object().unwrap().len(), 1);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no unfinished file is left");

    let nowhere = Uds::new().unwrap().returning(Returning::File("/nowhere/final.json".into()));
    let failed = nowhere.mikobase(1, |db, _| Ok(create(db, 1)?)).unwrap_err();
    assert_eq!(failed.error().items()[0].details["path"], "/nowhere/final.json");
    assert!(failed.report().is_none(), "no worker has run");

    fs::remove_file(&file).unwrap();
    let folder = directory.path();
    let gone = Uds::new().unwrap().returning(Returning::File(file.clone()));
    let failed = gone.mikobase(1, |db, _| {
        fs::remove_dir(folder)?;
        Ok(create(db, 1)?)
    });
    let failed = failed.unwrap_err();
    assert_eq!(failed.error().items()[0].details["path"], file.to_str().unwrap());
    failed.report().unwrap().all_succeeded().unwrap();
}

fn setup_runs_first() {
    let uds = Uds::new().unwrap().setup(|server| {
        create(server.db(), 0)?;
        Ok(())
    });
    for (share, count_at_start) in ["the next", "a later"].into_iter().zip([1, 0]) {
        let report = uds.mikobase(2, |db, _| Ok(count(db))).unwrap();
        assert_eq!(report.into_returned().unwrap(), [count_at_start; 2], "{share} share");
    }
}

fn a_failed_setup_starts_no_worker() {
    let marker = tempfile::tempdir().unwrap();
    let touched = marker.path().join("touched");
    let start = |uds: Uds| {
        uds.mikobase(2, |_, _| {
            fs::write(&touched, "")?;
            Ok(())
        })
        .unwrap_err()
    };
    let failed = start(Uds::new().unwrap().setup(|_| Err("no schema".into())));
    assert!(failed.to_string().contains("no schema"), "{failed}");
    let panicked = start(Uds::new().unwrap().setup(|_| panic!("no dilithium")));
    assert!(panicked.to_string().contains("`setup` panicked: no dilithium"), "{panicked}");
    let nowhere = start(Uds::new().unwrap().backend("/nowhere/crew.json").unwrap());
    assert!(nowhere.error().is(ErrorId::INVALID_BACKEND));
    assert!(!touched.exists());

    let unknown = Uds::new().unwrap().backend("https://mikobase.uno/redis").unwrap_err();
    assert!(unknown.items()[0].details["known"].as_array().unwrap().len() > 3);
}

fn the_parent_has_a_proxy() {
    let go = Event::new();
    let uds = Uds::new().unwrap();
    let mut share = uds
        .spawn(2, |db, worker| {
            go.wait();
            Ok(create(db, worker.index())?)
        })
        .unwrap();
    assert_eq!(share.path(), uds.path());
    assert_eq!(share.workers().iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(count(share.db().unwrap()), 0);
    go.notify();
    go.notify();
    share.wait().unwrap();
    assert_eq!(share.workers(), []);
    assert_eq!(count(share.db().unwrap()), 2);
    create(share.db().unwrap(), 2).unwrap();
    let report = share.join().unwrap();
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 3);
}

fn dropping_ends_all() {
    let ready = Event::new();
    let uds = Uds::new().unwrap().grace_period(Duration::from_millis(100));
    let share: Running<'_, ()> = uds
        .spawn(40, |_, worker| {
            if worker.index() > 0 {
                // SAFETY: ignoring a signal installs no code.
                unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
            }
            ready.notify();
            wait_for_ever()
        })
        .unwrap();
    (0..40).for_each(|_| ready.wait());
    let pids = share.workers();
    drop(share);
    for (_, pid) in pids {
        assert!(
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), None).is_err(),
            "{pid} is gone"
        );
    }
    assert!(!uds.path().parent().unwrap().exists());
}

fn shares_follow_each_other() {
    let uds = Uds::new().unwrap();
    for _ in 0..2 {
        let report = uds.mikobase(2, |db, worker| Ok(create(db, worker.index())?)).unwrap();
        report.all_succeeded().unwrap();
        assert!(!uds.path().parent().unwrap().exists());
    }
}

fn two_shares_at_once() {
    let (one, two) = (Uds::new().unwrap(), Uds::new().unwrap());
    let first = one.spawn(2, |db, worker| Ok(create(db, worker.index())?)).unwrap();
    let second = two.spawn(3, |db, worker| Ok(create(db, worker.index())?)).unwrap();
    for (share, expected) in [(second, 3), (first, 2)] {
        let report = share.join().unwrap();
        assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), expected);
    }
}

fn a_share_inside_a_worker() {
    let report = Uds::new()
        .unwrap()
        .mikobase(2, |outer, worker| {
            create(outer, worker.index())?;
            let inner = Uds::new()?.mikobase(3, |db, inner| {
                create(outer, 10 + inner.index())?;
                Ok(create(db, inner.index())?)
            })?;
            inner.all_succeeded()?;
            Ok(inner.worldlet().to_value()?["records"].as_object().unwrap().len())
        })
        .unwrap();
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 2 + 2 * 3);
    assert_eq!(report.into_returned().unwrap(), [3, 3]);
}

fn a_worker_that_forks() {
    let report = Uds::new()
        .unwrap()
        .mikobase(1, |db, _| {
            let mine = create(db, 0)?;
            // SAFETY: a worker has one thread.
            let forked = unsafe { fork() }?;
            let own = |n: usize| -> bool {
                (0..500).all(|i| {
                    let pk = create(db, n + i).unwrap();
                    db.record_by_pk(&pk).unwrap().unwrap().bucket.get("n").unwrap() == Some(json!(n + i))
                })
            };
            match forked {
                ForkResult::Child => {
                    let fine = own(1000) && db.record_by_pk(&mine).unwrap().is_some();
                    std::process::exit(i32::from(!fine));
                }
                ForkResult::Parent { child } => {
                    assert!(own(2000));
                    Ok(format!("{:?}", waitpid(child, None)?).contains("Exited") && count(db) > 500)
                }
            }
        })
        .unwrap();
    assert_eq!(report.worldlet().to_value().unwrap()["records"].as_object().unwrap().len(), 1001);
    assert_eq!(report.into_returned().unwrap(), [true]);
}

/// Reads what it has created, many times.
fn create_and_read(db: &MikobaseClient, n: usize) -> Result<(), BoxError> {
    let pk = create(db, n)?;
    for _ in 0..200 {
        let found = db.record_by_pk(&pk)?.ok_or("it is gone")?;
        assert_eq!(found.pk, pk);
    }
    Ok(())
}

fn who_may_not_poll() {
    let uds = Uds::new().unwrap().polling(false);
    let report = uds.mikobase(20, |db, worker| create_and_read(db, worker.index()));
    report.unwrap().all_succeeded().unwrap();
}

fn a_worker_on_one_cpu() {
    let report = Uds::new().unwrap().mikobase(20, |db, worker| {
        let mut here = CpuSet::new();
        here.set(sched_getcpu()?)?;
        sched_setaffinity(Pid::from_raw(0), &here)?;
        create_and_read(db, worker.index())?;
        assert_eq!(
            sched_getaffinity(Pid::from_raw(0))?,
            here,
            "a worker that looked for another core has left this one"
        );
        Ok(())
    });
    report.unwrap().all_succeeded().unwrap();
}
