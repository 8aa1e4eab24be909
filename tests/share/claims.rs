//! Claims of workers: a job is done once, whoever dies.

use std::time::Duration;

use mikobase::prelude::*;
use mikobase::q0::{Edits, Select, eq};
use mikobase::{BoxError, ExitStatus, Report, Results, Worldlet};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Case, is_long};
use crate::random::Random;
use crate::support::{Event, kill_this_process_after, uds, wait_for_ever};

pub const CASES: &[Case] = &[
    ("a_killed_worker_loses_its_job_to_another", death),
    ("a_worker_that_is_killed_before_it_commits_the_end_of_a_claim_loses_both", death_before_commit),
    ("each_job_is_done_once_while_workers_are_killed", kills),
    ("a_waiting_worker_gets_a_job_of_another_worker", waiting_worker),
    ("a_claim_that_waits_ends_with_the_share", waiting_at_the_end),
    ("a_lasting_claim_outlives_its_worker", lasting),
    ("workers_that_upsert_the_same_keys_leave_a_record_each", upserts),
];

const CLASS: &str = "test.org/job";

/// Longer than any case runs.
const LONG: Duration = Duration::from_secs(3600);

const BACKENDS: [&str; 4] = ["memory", "temporal", "db", "json"];

/// Runs `test` with a share on each engine, in which so many jobs wait.
fn on_each_engine(jobs: usize, test: impl Fn(Uds)) {
    BACKENDS.into_iter().for_each(|backend| on_engine(backend, jobs, &test));
}

/// Runs `test` with a share on an engine, in which so many jobs wait.
fn on_engine(backend: &str, jobs: usize, test: impl Fn(Uds)) {
    let folder = tempfile::tempdir().unwrap();
    let url = match backend {
        "memory" => "mikobase.uno/sqlite/memory".to_owned(),
        "temporal" => "mikobase.uno/sqlite/memory?temporal=true".to_owned(),
        extension => folder.path().join(format!("jobs.{extension}")).to_str().unwrap().to_owned(),
    };
    test(uds().backend(&url).unwrap().setup(move |server| {
        let state = json!({"fields": {"state": {"class": "string", "index": true}}, "misc_fields": true});
        server.db().import_schema(json!({"classes": {CLASS: state}}))?;
        let job = |n| json!({"n": n, "state": "waiting"});
        server.db().create_all(CLASS, &(0..jobs).map(job).collect::<Vec<_>>())?;
        let total = json!({"action": "create", "pk": "total", "bucket": {}});
        server.db().q0(total)?;
        Ok(())
    }));
}

fn waiting() -> Select {
    Select::class(CLASS).path(["state"], eq("waiting"))
}

fn done() -> Edits {
    Edits::new().set(["state"], "done").increment(["times"], 1)
}

fn death() {
    on_each_engine(1, |uds| {
        let claimed = Event::new();
        let mut share = uds
            .spawn(1, |db, _| {
                let _job = db.claim(waiting(), LONG)?.expect("a job waits");
                claimed.notify();
                wait_for_ever();
                #[expect(unreachable_code, reason = "the type of the block")]
                Ok(())
            })
            .unwrap();
        claimed.wait();
        let db = share.db().unwrap();
        assert!(db.claim(waiting(), LONG).unwrap().is_none());
        let (_, pid) = share.workers()[0];
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        let job = db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
        assert_eq!(job.attempts(), 2);
        job.finish_with(done()).unwrap();
        share.wait().unwrap();
    });
}

fn death_before_commit() {
    on_each_engine(1, |uds| {
        let ended = Event::new();
        let mut share = uds
            .spawn(1, |db, _| {
                let job = db.claim(waiting(), LONG)?.expect("a job waits");
                let Results::Transaction { transaction: id } =
                    db.q0(json!({"action": "transaction"}))?.results
                else {
                    panic!("a transaction begins")
                };
                let edits = serde_json::Value::from(done());
                db.q0(json!({"action": "finish", "claim": job.id(), "edits": edits, "transaction": id}))?;
                ended.notify();
                wait_for_ever();
                #[expect(unreachable_code, reason = "the type of the block")]
                Ok(())
            })
            .unwrap();
        ended.wait();
        let db = share.db().unwrap();
        let (_, pid) = share.workers()[0];
        kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
        let job = db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
        assert_eq!((job.attempts(), job.bucket.get("times").unwrap()), (2, None));
        job.finish_with(done()).unwrap();
        assert_eq!(db.count(json!({"class": CLASS, "path": ["times", 1]})).unwrap(), 1);
        share.wait().unwrap();
    });
}

/// Does jobs until none is left. Half of them have their effects in another record.
fn work(db: &impl Mikobase) -> Result<(), BoxError> {
    loop {
        let Some(job) = db.claim_or_wait(waiting(), LONG, Duration::from_millis(20))? else {
            if db.count(waiting())? == 0 {
                return Ok(());
            }
            continue;
        };
        if job.bucket.get("n")?.and_then(|n| n.as_u64()).is_some_and(|n| n % 2 == 0) {
            db.transaction(|tx| {
                tx.increment("total", ["n"], 1)?;
                let id = job.id().to_owned();
                tx.q0(json!({"action": "finish", "claim": id, "edits": serde_json::Value::from(done())}))?;
                tx.commit()
            })?;
        } else {
            job.finish_with(done())?;
        }
    }
}

fn kills() {
    // In the long mode a worker is killed every 50 milliseconds or so.
    let (workers, jobs, lifetime) = if is_long() { (20, 100_000, 2_000) } else { (8, 200, 40) };
    for backend in BACKENDS {
        // A worldlet file is written as a whole by each commit.
        let jobs = if backend == "json" { jobs.min(2_000) } else { jobs };
        on_engine(backend, jobs, |uds| {
            let report = work_with_kills(uds, workers, jobs, lifetime);
            report.all_succeeded().unwrap();
            let is_killed = |status| status == ExitStatus::Signal(Signal::SIGKILL as i32);
            let killed = report.workers().iter().filter(|worker| is_killed(worker.status)).count();
            assert_eq!(report.workers().len(), workers + killed);
            println!("{backend}: {jobs} jobs, {killed} kills");
        });
    }
}

/// Lets workers do all jobs, each once, while they are killed and started again. A run lasts at most
/// `lifetime` milliseconds, in the short mode at first.
fn work_with_kills(uds: Uds, workers: usize, jobs: usize, lifetime: usize) -> Report<(), Worldlet> {
    let seed = crate::random::fresh_seed();
    let mut share = uds
        .restart(usize::MAX)
        .spawn(workers, |db, worker| {
            let mut random = Random::new(seed + (worker.index() + 1000 * worker.run()) as u64);
            // Some run is long enough to do a job, also where a process starts slowly.
            let lifetime = if is_long() { lifetime } else { lifetime << worker.run().min(16) };
            kill_this_process_after(Duration::from_millis(random.below(lifetime) as u64))?;
            work(db)
        })
        .unwrap();
    share.wait().unwrap();
    let db = share.db().unwrap();
    assert_eq!(db.count(json!({"class": CLASS, "path": ["times", 1]})).unwrap(), jobs);
    assert_eq!(db.hot("total").get(["n"]).unwrap(), Some(json!(jobs.div_ceil(2))));
    share.join().unwrap()
}

fn waiting_worker() {
    on_each_engine(0, |uds| {
        let report = uds.mikobase(2, |db, worker| {
            if worker.index() == 0 {
                for n in 0..20 {
                    db.create(CLASS, &json!({"n": n, "state": "waiting"}))?;
                    // The next one is created after this one is done.
                    db.claim_or_wait(json!({"class": "test.org/done", "path": ["n", n]}), LONG, LONG)?
                        .expect("it is done at some time")
                        .finish_by_deleting()?;
                }
            } else {
                for n in 0..20 {
                    let job = db.claim_or_wait(waiting(), LONG, LONG)?.expect("it is created at some time");
                    assert_eq!((job.attempts(), job.bucket.get("n")?), (1, Some(json!(n))));
                    db.transact(|tx| {
                        tx.create("test.org/done", &json!({"n": n}))?;
                        tx.q0(json!({"action": "finish", "claim": job.id(), "delete": true}))
                    })?;
                }
            }
            Ok(())
        });
        report.unwrap().all_succeeded().unwrap();
    });
}

fn waiting_at_the_end() {
    let began = Event::new();
    let share = Uds::new()
        .unwrap()
        .grace_period(Duration::from_millis(1))
        .spawn(1, |db, _| {
            began.notify();
            assert!(db.claim_or_wait(waiting(), LONG, LONG)?.is_none());
            Ok(())
        })
        .unwrap();
    began.wait();
    drop(share);
}

fn lasting() {
    let claim =
        |hold: &str| json!({"action": "claim", "select": {"class": CLASS}, "lease": 3600, "hold": hold});
    on_each_engine(2, |uds| {
        let mut share = uds
            .spawn(1, move |db, _| {
                let ids = [db.q0(claim("lease"))?.results, db.q0(claim("connection"))?.results];
                let ids = ids.map(|results| match results {
                    Results::Claimed(Some(claimed)) => claimed.claim,
                    other => panic!("{other:?}"),
                });
                Ok(ids)
            })
            .unwrap();
        share.wait().unwrap();
        let db = share.db().unwrap();
        // The connection of the worker is gone once its other claim is free.
        let other = db.claim_or_wait(waiting(), LONG, LONG).unwrap().unwrap();
        assert_eq!((other.bucket.get("n").unwrap(), other.attempts()), (Some(json!(1)), 2));
        assert!(db.claim(waiting(), LONG).unwrap().is_none());
        drop(other);
        let [lasting, of_connection] = share.join().unwrap().into_returned().unwrap().remove(0);
        assert_ne!(lasting, of_connection);
    });
}

fn upserts() {
    let rounds = if is_long() { 1_000 } else { 20 };
    on_each_engine(0, |uds| {
        let report = uds.mikobase(20, |db, _| {
            let word = json!({"fields": {"word": {"class": "string", "unique": true}}, "misc_fields": true});
            db.import_schema(json!({"classes": {"test.org/word": word}}))?;
            for round in 0..rounds {
                let key = json!({"word": format!("word {}", round % 10)});
                let count = json!([{"path": ["count"], "increment": 1}]);
                db.q0(json!({"action": "upsert", "class": "test.org/word", "key": key, "edits": count}))?;
            }
            Ok(())
        });
        let report = report.unwrap();
        report.all_succeeded().unwrap();
        let state = report.worldlet().to_string();
        let count = format!(r#""count":{}"#, 20 * rounds / 10);
        assert_eq!(state.matches(&count).count(), 10, "{state}");
    });
}
