//! How a record is best kept in SQLite: the bucket as text or JSONB, the database in memory or as a WAL file
//! on `/dev/shm`, conditions evaluated by SQLite or by us, and readers kept from an open transaction.
//!
//! Decisions 0002, 0003 and 0004 in `docs/decisions` rest on it. Run: `cargo bench --bench storage`.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

mod conditions;
mod records;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod transactions;
mod workloads;

use crate::conditions::conditions;
use crate::records::{average_size, records};
use crate::store::{LAYOUTS, Store};
use crate::transactions::{open_transactions, reads_beside_a_transaction};
use crate::workloads::workloads;

const PRELOADED: usize = 100_000;
const ROUNDS: usize = 7;

fn main() {
    if !support::wanted() {
        return;
    }
    let preloaded = records(PRELOADED);
    let mut stores: Vec<_> = LAYOUTS.iter().map(|layout| Store::in_memory(layout, &preloaded)).collect();
    stores.push(Store::in_shared_memory(&LAYOUTS[0], &preloaded));
    let fresh = records(6_000);

    println!("Bucket {} bytes on average.\n", average_size(&preloaded));
    println!("{}", workloads(&mut stores, &preloaded, &fresh));
    println!("{}", conditions(&stores[0], &stores[1]));
    println!("{}", open_transactions(&stores[0], &stores[3], &fresh, &preloaded[0].pk));
    println!("{}", reads_beside_a_transaction(&stores[0], &stores[3], &fresh, &preloaded));
}
