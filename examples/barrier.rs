//! A barrier for processes: `cargo run --example barrier`.
//!
//! Each worker arrives and waits until all have. The server answers their calls later, without a thread for
//! any of them.
#![allow(clippy::print_stdout, reason = "an example")]

use std::sync::{Mutex, PoisonError};

use mikobase::{BoxError, Later, Promise, Result, Uds, mikobase_interface};

#[mikobase_interface]
trait Barrier {
    /// Comes when all workers have arrived. The value is how many arrived before this one.
    fn arrive(&self) -> Later<usize>;
    /// The number of the round that is going on.
    fn round(&self) -> Result<u32>;
}

struct Meeting {
    workers: usize,
    state: Mutex<(u32, Vec<Promise<usize>>)>,
}

impl Barrier for Meeting {
    fn arrive(&self) -> Later<usize> {
        let (promise, later) = Later::new();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (round, arrived) = &mut *state;
        // One that has died is not there any more.
        arrived.retain(Promise::is_wanted);
        arrived.push(promise);
        if arrived.len() == self.workers {
            *round += 1;
            for (place, promise) in arrived.drain(..).enumerate() {
                // One that has died meanwhile does not matter.
                let _ = promise.fulfil(place);
            }
        }
        later
    }

    fn round(&self) -> Result<u32> {
        Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner).0)
    }
}

fn main() -> Result<(), BoxError> {
    const WORKERS: usize = 8;
    let open = || Ok(Box::new(Meeting { workers: WORKERS, state: Mutex::default() }) as _);
    let report = Uds::new()?.share::<dyn Barrier, _>(WORKERS, open, |barrier, _| {
        let mut places = Vec::new();
        for finished in 0..3 {
            assert_eq!(barrier.round()?, finished);
            places.push(barrier.arrive().wait()?);
        }
        Ok(places)
    })?;
    for worker in report.workers() {
        println!("worker {} arrived in the places {:?}", worker.index, worker.returned()?);
    }
    Ok(())
}
