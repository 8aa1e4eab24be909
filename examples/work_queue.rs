//! A work queue that loses no job: `cargo run --example work_queue`.
//!
//! A worker claims a job, and waits if there is none. The lease is an object that lives with the connection
//! of the worker: if the worker dies, the server drops it, and another worker gets the job.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use std::sync::{Arc, Mutex};
use std::{process, task::Poll, time::Duration};

use mikobase::{BoxError, Later, Promise, Remote, Result, Uds, mikobase_interface};

type Claim = (u32, Remote<dyn Lease>);

#[mikobase_interface]
trait Queue {
    fn claim(&self) -> Later<Claim>;
}

#[mikobase_interface]
trait Lease: Send + Sync {
    fn finish(&self) -> Result<()>;
}

/// The open jobs, and those who wait for one.
struct Jobs(Mutex<Vec<u32>>, Mutex<Vec<Promise<Claim>>>);

/// A job that a worker has, until it has finished it.
struct Claimed(Mutex<Option<u32>>, Arc<Jobs>);

/// Gives a job to a waiting worker, or opens it. A lease that no worker takes any more offers its job again.
fn offer(jobs: &Arc<Jobs>, job: u32) {
    let waiting = jobs.1.lock().unwrap().pop();
    let Some(promise) = waiting else { return jobs.0.lock().unwrap().push(job) };
    let lease = Claimed(Mutex::new(Some(job)), Arc::clone(jobs));
    drop(promise.fulfil((job, Remote::local(Box::new(lease)))));
}

impl Queue for Arc<Jobs> {
    fn claim(&self) -> Later<Claim> {
        let (promise, claimed) = Later::new();
        self.1.lock().unwrap().push(promise);
        let open = self.0.lock().unwrap().pop();
        open.inspect(|job| offer(self, *job));
        claimed
    }
}

impl Lease for Claimed {
    fn finish(&self) -> Result<()> {
        self.0.lock().unwrap().take();
        Ok(())
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.0.get_mut().unwrap().inspect(|job| offer(&self.1, *job));
    }
}

fn main() -> Result<(), BoxError> {
    let open = || Ok(Box::new(Arc::new(Jobs(Mutex::new((0..20).collect()), Mutex::default()))) as _);
    let report = Uds::new()?.share::<dyn Queue, u32>(4, open, |queue, worker| {
        let mut finished = 0;
        while let Poll::Ready(claimed) = queue.claim().wait_timeout(Duration::from_secs(1)) {
            let (_, lease) = claimed?;
            if worker.index() == 0 {
                process::exit(1);
            }
            lease.finish()?;
            finished += 1;
        }
        Ok(finished)
    })?;
    let finished: u32 = report.workers().iter().filter_map(|worker| worker.returned().ok()).sum();
    println!("one worker has died with a job; the others finished {finished} of 20");
    assert_eq!(finished, 20);
    Ok(())
}
