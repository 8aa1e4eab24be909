//! Twenty processes fill and query one store: `cargo run --example share`.
//!
//! The input is the table of the world's time zones. The server process loads the countries before any worker
//! starts. Each worker creates its part of the zones, then counts the zones that all workers have created so
//! far.

#![allow(clippy::print_stdout, reason = "printing is what an example is for")]

mod summary;
mod zone;

use std::env;

use mikobase::BoxError;
use mikobase::prelude::*;
use serde::{Deserialize, Serialize};

use crate::summary::Summary;
use crate::zone::{COUNTRY, Country, ZONE, Zone};

/// The value that a worker returns to the parent: any type that serde can serialize.
#[derive(Serialize, Deserialize)]
struct Findings {
    created: usize,
    /// The zone farthest from the equator among those that this worker created.
    farthest: Zone,
    country: Country,
    /// The number of zones of its country that this worker found, including those of other workers.
    seen: usize,
}

fn main() -> Result<(), BoxError> {
    let workers = match env::args().nth(1) {
        Some(count) => count.parse().map_err(|_| format!("`{count}` is no number of workers"))?,
        None => 20,
    };

    let report = Uds::new()?
        .setup(|server| load_countries(server.db()))
        .mikobase(workers, |db, worker| load_zones(db, worker))?;

    println!("{}", Summary::of(&report)?);
    println!("Other numbers of workers do, too: cargo run --example share -- 200");
    report.all_succeeded()?;
    Ok(())
}

/// Runs once, in the server process. A batch is one call; this one is atomic.
fn load_countries(db: &dyn Mikobase) -> Result<(), BoxError> {
    let mut requests = Vec::new();
    for line in zone::rows(include_str!("../data/iso3166.tab")) {
        let country: Country = line.parse()?;
        requests.push(json!({"action": "create", "class": COUNTRY, "bucket": country}));
    }
    db.batch(requests, true)?;
    Ok(())
}

/// Runs in every worker. Each call on `db` is answered by the server process.
fn load_zones(db: &dyn Mikobase, worker: &Worker) -> Result<Findings, BoxError> {
    let rows = zone::rows(include_str!("../data/zone.tab"));
    let mut mine = Vec::new();
    for line in rows.skip(worker.index()).step_by(worker.count()) {
        let zone: Zone = line.parse()?;
        db.q0(json!({"action": "create", "class": ZONE, "bucket": zone}))?;
        mine.push(zone);
    }

    let created = mine.len();
    let farthest = mine.into_iter().max_by(|a, b| a.latitude.abs().total_cmp(&b.latitude.abs()));
    let farthest = farthest.ok_or("there are fewer zones than workers")?;

    let of_country = json!({"action": "select", "class": ZONE, "path": ["country", farthest.country]});
    let seen = db.q0(of_country)?.into_records()?.count();

    let by_code = json!({"action": "select", "class": COUNTRY, "path": ["code", farthest.country]});
    let found = db.q0(by_code)?.into_records()?;
    let country = found.first().ok_or("a zone lies in no known country")?.bucket_as()?;

    Ok(Findings { created, farthest, country, seen })
}
