//! Measures the time to start and end a share whose workers do nothing.

use std::time::Instant;

use miko_core::Error;
use miko_shared::{BoxError, Uds};

use crate::process::Forked;
use crate::report::Lifetime;

/// Measures a share and plain processes in turn, after one unmeasured round.
pub(crate) fn measure(workers: usize, rounds: usize) -> Result<Lifetime, BoxError> {
    let mut lifetime = Lifetime { workers, share: Vec::new(), processes: Vec::new() };
    for round in 0..=rounds {
        let share = milliseconds(|| {
            let report = Uds::new()?.mikobase(workers, |_, _| Ok(()));
            report.map_err(Error::from)?.into_returned()?;
            Ok(())
        })?;
        let processes = milliseconds(|| {
            let forked: Result<Vec<_>, _> = (0..=workers).map(|_| Forked::start(|| Ok(()))).collect();
            forked?.into_iter().try_for_each(Forked::join)
        })?;
        if round > 0 {
            lifetime.share.push(share);
            lifetime.processes.push(processes);
        }
    }
    Ok(lifetime)
}

fn milliseconds(work: impl FnOnce() -> Result<(), BoxError>) -> Result<f64, BoxError> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}
