//! Several workers edit one record at the same time.

use mikobase::prelude::*;
use serde_json::Value;

use crate::harness::{Case, is_long};
use crate::support::uds;

pub const CASES: &[Case] = &[
    ("workers_that_increment_one_counter_leave_the_exact_sum", counter),
    ("workers_that_take_from_one_list_get_each_element_once", queue),
    ("of_workers_that_compare_and_set_one_wins_each_round", rounds),
];

const WORKERS: usize = 6;

/// A share whose set-up creates the record.
fn with_counter(uds: Uds, bucket: Value) -> Uds {
    uds.setup(move |server| {
        server.db().create("test.org/counter", &bucket)?;
        Ok(())
    })
}

fn counter() {
    let (workers, increments) = if is_long() { (20, 1_000) } else { (WORKERS, 200) };
    for backend in ["mikobase.uno/sqlite/memory", "mikobase.uno/worldlet?temporal=true"] {
        let uds = uds().backend(backend).unwrap();
        let uds = with_counter(uds, json!({}));
        let report = uds.mikobase(workers, |db, worker| {
            let pk = counter_pk(db)?;
            for round in 0..increments {
                if round % 2 == 0 {
                    db.increment(&pk, ["n", "total"], 1)?;
                } else {
                    db.patch(&pk, &json!({"worker": worker.index()}))?;
                    db.hot(&pk).increment(["n", "total"], 1)?;
                }
            }
            Ok(())
        });
        let report = report.unwrap();
        let state = report.worldlet().to_string();
        report.all_succeeded().unwrap();
        assert!(state.contains(&format!(r#""n":{{"total":{}}}"#, workers * increments)), "{state}");
    }
}

fn queue() {
    const JOBS: usize = 500;
    let jobs: Vec<usize> = (0..JOBS).collect();
    let uds = uds();
    let uds = with_counter(uds, json!({"jobs": jobs}));
    let report = uds.mikobase(WORKERS, |db, _| {
        let pk = counter_pk(db)?;
        let queue = db.hot(&pk);
        let mut taken: Vec<u64> = Vec::new();
        while let Some(job) = queue.shift(["jobs"])? {
            taken.extend(job.as_u64());
        }
        Ok(taken)
    });
    let mut taken = report.unwrap().into_returned().unwrap().concat();
    taken.sort_unstable();
    assert_eq!(taken, (0..JOBS as u64).collect::<Vec<_>>());
}

fn rounds() {
    const ROUNDS: u64 = 50;
    let uds = uds();
    let uds = with_counter(uds, json!({"round": 0}));
    let report = uds.mikobase(WORKERS, |db, _| {
        let pk = counter_pk(db)?;
        let record = db.hot(&pk);
        let mut won = 0;
        for round in 0..ROUNDS {
            won += u64::from(record.compare_and_set(["round"], round, round + 1)?);
        }
        Ok(won)
    });
    let won: u64 = report.unwrap().into_returned().unwrap().iter().sum();
    assert_eq!(won, ROUNDS);
}

fn counter_pk(db: &dyn Mikobase) -> Result<String> {
    let counters = db.by_class("test.org/counter")?;
    Ok(counters.iter().next().expect("the setup has created it").pk.clone())
}
