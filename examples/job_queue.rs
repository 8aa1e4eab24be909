//! A queue of jobs that survives its workers: `cargo run --example job_queue`.
//!
//! A worker claims a job. The result and the end of the claim are one commit, so each job is done once,
//! although some workers die in the middle of one: their claims end with them.
#![allow(clippy::print_stdout, reason = "an example")]

use std::time::Duration;

use mikobase::BoxError;
use mikobase::prelude::*;
use mikobase::q0::{Edits, Select, eq};

const JOBS: u64 = 100;

fn waiting() -> Select {
    Select::class("a.b/job").path(["state"], eq("waiting"))
}

fn main() -> Result<(), BoxError> {
    let uds = Uds::new()?.restart(10).setup(|server| {
        let state = json!({"fields": {"state": {"class": "string", "index": true}}, "misc_fields": true});
        server.db().import_schema(json!({"classes": {"a.b/job": state}}))?;
        let job = |n| json!({"number": n, "state": "waiting"});
        server.db().create_all("a.b/job", &(1..=JOBS).map(job).collect::<Vec<_>>())?;
        Ok(())
    });
    let mut share = uds.spawn(20, |db, worker| {
        let (lease, wait) = (Duration::from_secs(30), Duration::from_millis(100));
        let mut done = 0;
        // Nothing within the wait: all jobs are done, or another worker has claimed the last one.
        while let Some(job) = db.claim_or_wait(waiting(), lease, wait)? {
            if worker.run() == 0 && worker.index() % 4 == 0 {
                std::process::exit(1); // Another worker gets the job.
            }
            let number = job.bucket.get("number")?.and_then(|n| n.as_u64()).unwrap_or_default();
            job.finish_with(Edits::new().set(["state"], "done").set(["square"], number * number))?;
            done += 1;
        }
        Ok(done)
    })?;
    share.wait()?;
    let jobs = share.db()?.by_class("a.b/job")?;
    let square = |job: &Record| job.bucket.get("square").ok().flatten().and_then(|n| n.as_u64());
    let squares: Vec<u64> = jobs.iter().filter_map(square).collect();
    let report = share.join()?;
    let deaths = report.workers().len() - report.last_runs().count();
    println!(
        "{} jobs are done, {deaths} workers have died; the sum is {}",
        squares.len(),
        squares.iter().sum::<u64>()
    );
    Ok(())
}
