//! The memory of a server: its limit, and the release of free memory.

use std::io::Write;

use mikobase::prelude::*;
use mikobase::{Share, Worldlet};
use serde_json::Value;

use crate::deaths::server_of;
use crate::harness::Case;
use crate::peak::{MIB, Peak, anonymous};
use crate::support::{Raw, count, create};

pub const CASES: &[Case] = &[
    ("a_full_store_refuses_writes_until_deletes_make_room", full_store),
    ("a_batch_that_meets_the_limit_leaves_nothing", full_batch),
    ("a_call_that_would_take_more_memory_than_the_limit_fails", demanding_calls),
    ("streams_beyond_the_limit_are_refused_when_they_are_opened", large_streams),
    ("frames_that_never_end_are_refused_while_other_calls_are_answered", unfinished_frames),
    ("a_server_gives_back_the_memory_of_a_large_call", given_back),
    ("a_limit_below_what_a_server_needs_is_refused", too_small),
];

/// The memory that a call may take beyond the limit between two measurements.
const ALLOWANCE: usize = 4 * MIB;

const ENGINES: [&str; 2] = ["https://mikobase.uno/sqlite/memory", "https://mikobase.uno/worldlet"];

/// A server with a memory limit and no workers.
struct Limited {
    share: Share<'static, dyn Mikobase, (), Worldlet>,
    limit: usize,
    peak: Peak,
}

impl Limited {
    fn to(limit: usize, engine: &str) -> Self {
        let uds =
            Uds::new().unwrap().backend(engine).unwrap().memory_limit(limit).returning(Returning::Nothing);
        let share = uds.spawn(0, |_, _| Ok(())).unwrap();
        let peak = Peak::since_now(server_of(share.path()));
        Self { share, limit, peak }
    }

    /// Checks that the server has never exceeded its limit, and ends it.
    fn end(self) {
        let peak = self.peak.growth();
        assert!(peak <= self.limit + ALLOWANCE, "{} MiB of {} MiB", peak / MIB, self.limit / MIB);
        self.share.join().unwrap();
    }
}

fn of_a_mebibyte(n: usize) -> Value {
    let text = "x".repeat(MIB);
    json!({"action": "create", "class": "test.org/item", "bucket": {"n": n, "text": text}})
}

fn full_store() {
    for engine in ENGINES {
        let limited = Limited::to(32 * MIB, engine);
        let db = limited.share.db().unwrap();
        let mut pks = Vec::new();
        let full = loop {
            match db.q0(of_a_mebibyte(pks.len())) {
                Ok(created) => pks.push(created.into_pk().unwrap()),
                Err(error) => break error,
            }
        };
        assert!(full.is(ErrorId::STORAGE_FULL), "{engine}: {full}");
        assert!((8..32).contains(&pks.len()), "{engine}: {} records fit", pks.len());
        // All acknowledged records are stored and can be read.
        for (n, pk) in pks.iter().enumerate() {
            let record = db.record_by_pk(pk).unwrap().unwrap();
            assert_eq!(record.bucket_as::<Value>().unwrap()["n"], n);
        }
        for pk in &pks[..4] {
            db.q0(json!({"action": "delete", "pk": pk})).unwrap();
        }
        for n in 0..3 {
            db.q0(of_a_mebibyte(n)).unwrap_or_else(|error| panic!("{engine}: {error}"));
        }
        limited.end();
    }
}

fn full_batch() {
    for engine in ENGINES {
        let limited = Limited::to(32 * MIB, engine);
        let db = limited.share.db().unwrap();
        create(db, 0).unwrap();
        // Requests of some 3 MiB in all, each of which writes 1 MiB.
        let class = json!({"action": "create", "class": "puck.uno/class", "bucket": {
            "name": "test.org/item", "fields": {"text": {"class": "string", "default": "x".repeat(MIB)}},
        }});
        db.q0(class).unwrap();
        let requests =
            (0..1000).map(|n| json!({"action": "create", "class": "test.org/item", "bucket": {"n": n}}));
        let error = db.batch(requests.collect(), true).unwrap_err();
        assert!(error.is(ErrorId::STORAGE_FULL), "{engine}: {error}");
        assert_eq!(count(db), 1, "{engine}");
        create(db, 1).unwrap();
        limited.end();
    }
}

fn demanding_calls() {
    for engine in ENGINES {
        let limited = Limited::to(64 * MIB, engine);
        let db = limited.share.db().unwrap();
        let pk = create(db, 0).unwrap();
        // The store uses a part of the memory. With all of the memory the calls would fail as
        // `request-too-large`.
        while db.q0(of_a_mebibyte(0)).is_ok() {}
        // Each number has two bytes as text, and 32 bytes as a value.
        let many = Value::Array(vec![json!(0); 3_500_000]);
        let calls: [(&str, &dyn Fn() -> mikobase::Result<()>); 3] = [
            ("q0", &|| db.q0(json!({"action": "create", "bucket": {"many": many}})).map(drop)),
            ("merge", &|| db.merge(json!({"format": "worldlet/1.0", "many": many})).map(drop)),
            ("import_schema", &|| db.import_schema(json!({"classes": many})).map(drop)),
        ];
        for (name, call) in calls {
            let error = call().unwrap_err();
            assert!(error.is(ErrorId::STORAGE_FULL), "{engine}: {name}: {error}");
        }
        assert!(db.record_by_pk(&pk).unwrap().is_some());
        limited.end();
    }
}

fn large_streams() {
    let limited = Limited::to(16 * MIB, "https://mikobase.uno/worldlet?temporal=true");
    let db = limited.share.db().unwrap();
    let records: Vec<_> = (0..8_000).map(|n| format!(r#""{n}":{{}}"#)).collect();
    let worldlet = format!(r#"{{"records":{{{}}}}}"#, records.join(","));
    db.import_worldlet(&mut worldlet.as_bytes(), false).unwrap();
    // Small requests, so that records take most of the memory.
    let create = json!({"action": "create", "bucket": {"text": "x".repeat(MIB / 16)}});
    while db.q0(create.clone()).is_ok() {}
    // The records are in memory again while the evaluator selects them.
    for select in [json!({}), json!({"cutoff": "9000-01-01T00:00:00Z"})] {
        let error = db.iter(select.clone()).map(drop).unwrap_err();
        assert!(error.is(ErrorId::STORAGE_FULL), "{select}: {error}");
    }
    // Each export keeps the order of the records.
    let mut exports = Vec::new();
    let error = loop {
        match db.export() {
            Ok(export) => exports.push(export),
            Err(error) => break error,
        }
    };
    assert!(error.is(ErrorId::STORAGE_FULL), "{error}");
    drop(exports);
    assert!(db.export().is_ok());
    limited.end();
}

fn unfinished_frames() {
    let limited = Limited::to(64 * MIB, ENGINES[0]);
    let db = limited.share.db().unwrap();
    let pk = create(db, 0).unwrap();
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = Raw::admitted(&limited.share);
        let frame = (8 * MIB as u32).to_be_bytes();
        // The server may close the connection before it has read all.
        let _ = peer.stream.write_all(&frame).and_then(|()| peer.stream.write_all(&vec![0; 8 * MIB - 1]));
        peers.push(peer);
        assert!(db.record_by_pk(&pk).unwrap().is_some());
    }
    limited.end();
}

fn given_back() {
    let uds = Uds::new().unwrap().returning(Returning::Nothing);
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = share.db().unwrap();
    create(db, 0).unwrap();
    let server = server_of(share.path());
    let (peak, before) = (Peak::since_now(server), anonymous(server));
    let many = Value::Array((0..2_000_000).map(|n| json!([n])).collect());
    let error = db.q0(json!({"action": "create", "bucket": many})).unwrap_err();
    assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    // The server sends the answer before it releases memory, so another call is awaited.
    create(db, 1).unwrap();
    let (taken, left) = (peak.growth(), anonymous(server).saturating_sub(before));
    assert!(taken > 100 * MIB, "the call took {} MiB", taken / MIB);
    assert!(left < 24 * MIB, "{} MiB are left of {} MiB", left / MIB, taken / MIB);
    share.join().unwrap();
}

fn too_small() {
    let uds = Uds::new().unwrap().memory_limit(1000);
    let error = uds.mikobase(1, |_, _| Ok(())).map(drop).unwrap_err();
    assert!(error.error().is(ErrorId::INVALID_REQUEST), "{error}");
    assert_eq!(error.error().items()[0].details["allowed"], 16 * MIB);
}
