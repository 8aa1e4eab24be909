//! Our client and server: an empty call, and the everyday calls of a Mikobase.

use mikobase::prelude::*;
use mikobase::{Returning, Worker};
use serde_json::Value;

use crate::family::{Gate, Nothing, Ping, Setting};

/// Records that are there before the workers start.
const PRELOADED: usize = 10_000;

const BATCH: usize = 32;

pub(crate) fn empty_call(setting: Setting) -> Result<Vec<f64>, BoxError> {
    setting.apply(|| {
        let (gate, uds) = (Gate::new()?, Uds::new()?);
        let share = uds.spawn_share::<dyn Ping, _>(
            setting.workers,
            || Ok(Box::new(Nothing)),
            |ping, _| setting.time(&gate, |_| Ok(ping.ping()?)),
        )?;
        gate.open(setting.workers, share)
    })
}

pub(crate) fn record_by_pk(setting: Setting) -> Result<Vec<f64>, BoxError> {
    on_a_mikobase(setting, |setting, gate, db, worker| {
        let pks = pks(db)?;
        setting.time(gate, |i| {
            let found = db.record_by_pk(&pks[scattered(i, worker) % pks.len()])?;
            found.map(|_| ()).ok_or_else(|| "a record is gone".into())
        })
    })
}

pub(crate) fn create(setting: Setting) -> Result<Vec<f64>, BoxError> {
    on_a_mikobase(setting, |setting, gate, db, _| {
        setting.time(gate, |i| {
            db.q0(creation(i))?;
            Ok(())
        })
    })
}

pub(crate) fn batch_of_reads(setting: Setting) -> Result<Vec<f64>, BoxError> {
    on_a_mikobase(in_batches(setting), |setting, gate, db, worker| {
        let pks = pks(db)?;
        setting.time(gate, |i| {
            let pk = |j| &pks[scattered(i * BATCH + j, worker) % pks.len()];
            run_batch(db, (0..BATCH).map(|j| json!({"action": "select", "pk": pk(j)})).collect())
        })
    })
}

pub(crate) fn batch_of_creates(setting: Setting) -> Result<Vec<f64>, BoxError> {
    on_a_mikobase(in_batches(setting), |setting, gate, db, _| {
        setting.time(gate, |i| run_batch(db, (0..BATCH).map(|j| creation(i * BATCH + j)).collect()))
    })
}

fn in_batches(setting: Setting) -> Setting {
    Setting { round_trips: (setting.round_trips / 8).max(1), ..setting }
}

fn run_batch(db: &MikobaseClient, requests: Vec<Value>) -> Result<(), BoxError> {
    for answer in db.batch(requests, false)? {
        answer?;
    }
    Ok(())
}

/// What a worker does with its proxy.
type Work = fn(Setting, &Gate, &MikobaseClient, &Worker) -> Result<f64, BoxError>;

fn on_a_mikobase(setting: Setting, work: Work) -> Result<Vec<f64>, BoxError> {
    setting.apply(|| {
        let gate = Gate::new()?;
        let uds = Uds::new()?.returning(Returning::Nothing).setup(|server| {
            server.db().batch((0..PRELOADED).map(creation).collect(), true)?;
            Ok(())
        });
        let share = uds.spawn(setting.workers, |db, worker| work(setting, &gate, db, worker))?;
        gate.open(setting.workers, share)
    })
}

fn pks(db: &MikobaseClient) -> Result<Vec<String>, BoxError> {
    Ok(db.by_class("bench.org/item")?.into_iter().map(|record| record.pk).collect())
}

/// A bucket of some 200 bytes.
fn creation(i: usize) -> Value {
    let rank = ["Ensign", "Lieutenant", "Captain"][i % 3];
    json!({"action": "create", "class": "bench.org/item", "bucket": {
        "serial": i, "name": format!("Officer {i}"), "rank": rank,
        "active": i.is_multiple_of(2), "score": i as f64 / 7.0,
        "notes": "Served with distinction on several ships of the fleet, and was commended for it twice.",
        "posting": {"ship": "NCC-1701-D", "deck": i % 42},
    }})
}

/// Another place each time, far from the one before.
fn scattered(i: usize, worker: &Worker) -> usize {
    (i + worker.index() * 31).wrapping_mul(2_654_435_761) >> 7
}
