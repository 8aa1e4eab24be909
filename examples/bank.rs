//! Transactions of your own: `cargo run --example bank`.
//!
//! A transfer is an object that lives with the connection of its worker, alone at the accounts. If it is not
//! committed, because its worker changed its mind or died, it is rolled back.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mikobase::{BoxError, Gate, GateMode, Pass, Remote, Result, Uds, mikobase_interface};

const ACCOUNTS: usize = 10;

#[mikobase_interface]
trait Bank {
    /// Waits until no other transfer is open.
    fn begin(&self) -> Result<Remote<dyn Transfer>>;
}

#[mikobase_interface]
trait Transfer: Send + Sync {
    /// Adds to an account, and returns its balance.
    fn add(&self, account: usize, amount: i64) -> Result<i64>;
    fn commit(&self) -> Result<()>;
}

#[derive(Default)]
struct Accounts(Gate, Mutex<[i64; ACCOUNTS]>);

/// An open transfer, the balances to which it returns, and the gate that it leaves after that.
struct Open(Arc<Accounts>, Mutex<([i64; ACCOUNTS], Pass)>);

impl Bank for Arc<Accounts> {
    fn begin(&self) -> Result<Remote<dyn Transfer>> {
        let alone = self.0.enter(GateMode::Exclusive, Duration::from_secs(60))?;
        let before = *self.1.lock().unwrap();
        Ok(Remote::local(Box::new(Open(Arc::clone(self), Mutex::new((before, alone))))))
    }
}

impl Transfer for Open {
    fn add(&self, account: usize, amount: i64) -> Result<i64> {
        let balances = &mut *self.0.1.lock().unwrap();
        balances[account] += amount;
        Ok(balances[account])
    }

    fn commit(&self) -> Result<()> {
        self.1.lock().unwrap().0 = *self.0.1.lock().unwrap();
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        *self.0.1.lock().unwrap() = self.1.lock().unwrap().0;
    }
}

fn main() -> Result<(), BoxError> {
    let (uds, open) = (Uds::new()?, || Ok(Box::new(Arc::<Accounts>::default()) as _));
    let mut share = uds.spawn_share::<dyn Bank, _>(4, open, |bank, worker| {
        for i in 0..200 {
            let transfer = bank.begin()?;
            transfer.add(i % ACCOUNTS, -1)?;
            if i == 150 && worker.index() == 0 {
                std::process::exit(1); // It is half a transfer, and is rolled back.
            }
            transfer.add((i + worker.index() + 1) % ACCOUNTS, 1)?;
            transfer.commit()?;
        }
        Ok(())
    })?;
    share.wait()?;
    let audit = share.db()?.begin()?;
    let total = (0..ACCOUNTS).map(|account| audit.add(account, 0)).sum::<Result<i64>>()?;
    println!("after 750 transfers and a death all accounts together hold {total}");
    Ok(share.join().map(drop)?)
}
