//! Measures the memory of the server of a share: per record, and its growth over updates.

use std::fs;

use miko_core::Error;
use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::{Mikobase, MikobaseExt};
use miko_shared::{BoxError, Returning, Uds};
use tempfile::TempDir;

use crate::report::Memory;
use crate::sample::{self, ITEM};

/// How many records are updated in turn.
const UPDATED: usize = 1000;

/// The number of records that one call creates, reads or updates.
const PER_CALL: usize = 1000;

/// The most records that are read into the record cache, which has room for them.
const MAX_CACHED: usize = 50_000;

/// Measures a share with one worker, which creates and reads `records` records, then makes `updates` updates.
pub(crate) fn measure(records: usize, updates: usize) -> Result<Memory, BoxError> {
    let directory = TempDir::new()?;
    let server = directory.path().join("pid");
    let written = server.clone();
    let uds = Uds::new()?
        .schema(sample::schema())
        .returning(Returning::Nothing)
        .setup(move |_| Ok(fs::write(&written, std::process::id().to_string())?));
    let report = uds.mikobase(1, |db, _| -> Result<[f64; 5], BoxError> {
        let pid = fs::read_to_string(&server)?;
        let empty = resident_bytes(&pid)?;
        let pks = create(db, records)?;
        let created = resident_bytes(&pid)?;
        let cached = &pks[..MAX_CACHED.min(pks.len())];
        for some in cached.chunks(PER_CALL) {
            db.records_by_pks(some.to_vec())?;
        }
        let read = resident_bytes(&pid)?;
        let updated = &pks[..UPDATED.min(pks.len())];
        // As many updates as there are records that are updated, so that what they need for the first time
        // is no growth.
        update(db, updated, updated.len())?;
        let before = resident_bytes(&pid)?;
        update(db, updated, updates)?;
        Ok([empty, created, read, before, resident_bytes(&pid)?])
    });
    let returned = report.map_err(Error::from)?.into_returned()?;
    let [[empty, created, read, before, after]] = returned[..] else {
        return Err("the worker has returned nothing".into());
    };
    let json = (0..records).map(|serial| sample::text(serial).len()).sum::<usize>() as f64;
    let per_record = |bytes: f64| bytes / records as f64;
    let stored = per_record(created - empty);
    Ok(Memory {
        json: per_record(json),
        stored,
        cached: stored + (read - created) / records.min(MAX_CACHED) as f64,
        updates,
        growth: after - before,
    })
}

fn create(db: &MikobaseClient, records: usize) -> Result<Vec<String>, BoxError> {
    let mut pks = Vec::with_capacity(records);
    for first in (0..records).step_by(PER_CALL) {
        let serials = first..records.min(first + PER_CALL);
        pks.extend(db.create_many(ITEM, serials.map(|serial| sample::bucket(serial).into()).collect())?);
    }
    Ok(pks)
}

fn update(db: &MikobaseClient, pks: &[String], updates: usize) -> Result<(), BoxError> {
    for number in 0..updates {
        let serial = number % pks.len();
        let mut bucket = sample::bucket(serial);
        bucket["sector"] = number.into();
        db.update(&pks[serial], &bucket)?;
    }
    Ok(())
}

/// The resident memory of a process.
fn resident_bytes(pid: &str) -> Result<f64, BoxError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("there is no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0)
}
