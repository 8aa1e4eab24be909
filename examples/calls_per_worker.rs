//! Counts the calls of each worker by method: `cargo run --example calls_per_worker`.
//!
//! The counts are in the server process. The hook writes them and the shared object reads them, without a
//! lock: no two calls run at the same time.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use mikobase::{BoxError, Result, Uds, mikobase_interface};

/// The name of a method and the index of the worker that called it.
type Caller = (String, Option<usize>);

/// The number of calls.
type Counts = BTreeMap<Caller, u64>;

/// A number that workers count up.
#[mikobase_interface]
trait Total {
    /// Adds `n` and returns the total.
    #[interface(write)]
    fn add(&self, n: u64) -> Result<u64>;

    /// The total.
    #[interface(read)]
    fn get(&self) -> Result<u64>;

    /// The calls so far.
    #[interface(read)]
    fn calls(&self) -> Result<Vec<(Caller, u64)>>;
}

struct CountedTotal {
    total: RefCell<u64>,
    calls: Rc<RefCell<Counts>>,
}

impl Total for CountedTotal {
    fn add(&self, n: u64) -> Result<u64> {
        *self.total.borrow_mut() += n;
        self.get()
    }

    fn get(&self) -> Result<u64> {
        Ok(*self.total.borrow())
    }

    fn calls(&self) -> Result<Vec<(Caller, u64)>> {
        Ok(self.calls.borrow().clone().into_iter().collect())
    }
}

fn main() -> Result<(), BoxError> {
    let calls = Rc::new(RefCell::new(Counts::new()));
    let counted = Rc::clone(&calls);
    let uds = Uds::new()?.around(move |call, next| {
        *counted.borrow_mut().entry((call.method.name.to_string(), call.peer.worker)).or_default() += 1;
        next.run()
    });
    let mut share = uds.spawn_share::<dyn Total, _>(
        3,
        || Ok(Box::new(CountedTotal { total: RefCell::new(0), calls })),
        |total, worker| {
            for n in 0..=worker.index() as u64 {
                total.add(n)?;
            }
            Ok(total.get()?)
        },
    )?;
    share.wait()?;
    println!("the total is {}", share.db()?.get()?);
    for ((method, worker), calls) in share.db()?.calls()? {
        match worker {
            Some(worker) => println!("worker {worker} called `{method}` {calls} times"),
            None => println!("the parent called `{method}` {calls} times"),
        }
    }
    share.join()?.all_succeeded()?;
    Ok(())
}
