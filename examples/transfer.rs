//! Transfers between accounts: `cargo run --example transfer`.
//!
//! A transfer reads two records and writes both, in a transaction. What a worker has not committed when it
//! dies is rolled back.
#![allow(clippy::print_stdout, reason = "an example")]

use mikobase::BoxError;
use mikobase::prelude::*;

const ACCOUNTS: usize = 10;

fn account(number: usize) -> String {
    format!("account-{}", number % ACCOUNTS)
}

/// Moves an amount, unless it is too much. Returns whether it did.
fn transfer(db: &impl Mikobase, from: &str, to: &str, amount: i64) -> Result<bool> {
    db.transaction(|tx| {
        let balance = tx.increment(from, ["balance"], -amount)?;
        if balance.as_i64().is_none_or(|balance| balance < 0) {
            return Ok(false); // It is not committed.
        }
        tx.increment(to, ["balance"], amount)?;
        tx.commit()?;
        Ok(true)
    })
}

fn main() -> Result<(), BoxError> {
    let uds = Uds::new()?.setup(|server| {
        for number in 0..ACCOUNTS {
            let create = json!({"action": "create", "class": "bank.com/account", "pk": account(number),
                                "bucket": {"balance": 100}});
            server.db().q0(create)?;
        }
        Ok(())
    });
    let mut share = uds.spawn(4, |db, worker| {
        let mut done = 0;
        for number in 0..200 {
            let (from, to) = (account(number), account(number + worker.index() + 1));
            done += i32::from(transfer(db, &from, &to, 7)?);
            if number == 150 && worker.index() == 0 {
                let tx = db.begin()?;
                tx.increment(&from, ["balance"], -1)?;
                std::process::exit(1); // Half a transfer.
            }
        }
        Ok(done)
    })?;
    share.wait()?;
    let balance = |record: &Record| record.bucket.get("balance").ok().flatten().and_then(|n| n.as_i64());
    let accounts = share.db()?.by_class("bank.com/account")?;
    let total: i64 = accounts.iter().filter_map(balance).sum();
    println!("after the transfers of four workers and a death, all accounts together hold {total}");
    Ok(share.join().map(drop)?)
}
