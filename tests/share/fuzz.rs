//! Fuzzing: a client with a valid token sends generated calls and invalid bytes, while another client is
//! served.
//!
//! Each share has a memory limit, and its server process an address space that is not much larger: an
//! allocation that the limit does not count ends the server, and the test notices. `generate.rs` makes calls
//! of what `requests.rs` and `definitions.rs` make, `mangle.rs` damages their frames, `client.rs` sends them
//! and reads what comes back.
//!
//! A run has a fixed seed. With `MIKOBASE_LONG=1` there are shares with fresh seeds for an hour. Each share
//! prints its seed, which `MIKOBASE_SEED` gives to the first share of another run.

mod client;
mod definitions;
mod generate;
pub mod mangle;
mod requests;

use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Share, Worldlet};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::deaths::server_of;
use crate::harness::{self, Case, is_long};
use crate::peak::{MIB, Peak};
use crate::random::{self, Random};
use client::Client;

pub const CASES: &[Case] = &[("a_fuzzing_client_does_not_harm_the_server_or_another_client", shares)];

pub const PROGRAMS: &[Case] = &[("share", fuzz)];

/// The memory limit of the server.
const LIMIT: usize = 512 * MIB;

/// The address space of the server process: allocations beyond it end the process.
const ADDRESS_SPACE: u64 = 1 << 30;

/// The address space of the process of the client: a mistake in the generator must not take that of the
/// machine.
const CLIENT_ADDRESS_SPACE: u64 = 4 << 30;

/// The memory that the server may take beyond its limit between two measurements. An answer of the largest
/// size is encoded into a buffer that doubles.
const ALLOWANCE: usize = 128 * MIB;

/// The longest run in the long mode.
const LONG: Duration = Duration::from_secs(3600);

/// The seed of the first share of a short run.
const SEED: u64 = 1703;

/// How many actions a share gets.
const ACTIONS: usize = 1000;

/// The number of actions between two checks of the other client.
const CHECK_EVERY: usize = 20;

fn shares() {
    let begun = Instant::now();
    let mut seed =
        random::given_seed().unwrap_or_else(|| if is_long() { random::fresh_seed() } else { SEED });
    loop {
        // In a separate process, since the forked server inherits its memory.
        let ended =
            harness::start("fuzz_programs::share").env(random::SEED, seed.to_string()).status().unwrap();
        assert!(ended.success(), "{}={seed}: {ended}", random::SEED);
        if !is_long() || begun.elapsed() > LONG {
            return;
        }
        seed = seed.wrapping_add(1);
    }
}

/// A server with limits.
fn share(random: &mut Random, is_temporal: bool) -> Share<'static, dyn Mikobase, (), Worldlet> {
    let engine = *random.pick(&["https://mikobase.uno/sqlite/memory", "https://mikobase.uno/worldlet"]);
    let uds = Uds::new().unwrap().backend(engine).unwrap().temporal(is_temporal).memory_limit(LIMIT);
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, ADDRESS_SPACE, hard).unwrap();
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    setrlimit(Resource::RLIMIT_AS, CLIENT_ADDRESS_SPACE, hard).unwrap();
    share
}

fn fuzz() {
    let seed = random::given_seed().unwrap();
    let mut random = Random::new(seed);
    // Some methods succeed in temporal databases alone.
    let is_temporal = seed == SEED || random.one_in(3);
    let share = share(&mut random, is_temporal);
    let peak = Peak::since_now(server_of(share.path()));
    let oracle = Oracle::of(&share);
    let mut client = Client::of(&share, random, &oracle.pk, is_long());
    for action in 0..ACTIONS {
        client.act();
        if action % CHECK_EVERY == 0 {
            oracle.check();
        }
    }
    if seed == SEED {
        // Which methods have succeeded by now depends on what others the seed has chosen.
        let mut left = 9 * ACTIONS;
        while !client.missing_methods().is_empty() && left > 0 {
            client.act();
            left -= 1;
        }
        assert!(left > 0, "calls of these never succeeded: {:?}", client.missing_methods());
    }
    client.check_tally();
    drop(client);
    oracle.check();
    println!("the server took up to {} MiB", peak.growth() / MIB);
    assert!(peak.growth() <= LIMIT + ALLOWANCE, "the server took {} MiB", peak.growth() / MIB);
    share.join().unwrap_or_else(|failed| panic!("the share ended badly: {failed}"));
}

/// A client that checks that the server answers correctly while it is fuzzed.
struct Oracle<'s> {
    db: &'s dyn Mikobase,
    pk: String,
}

impl<'s> Oracle<'s> {
    /// The class of its record, which the fuzzing client does not use.
    const CLASS: &'static str = "oracle.test/known";

    fn of(share: &'s Share<'static, dyn Mikobase, (), Worldlet>) -> Self {
        let db = share.db().unwrap();
        let created = db.q0(json!({"action": "create", "class": Self::CLASS, "bucket": {"n": 47}})).unwrap();
        Self { db, pk: created.into_pk().unwrap() }
    }

    fn check(&self) {
        let record = self.db.record_by_pk(&self.pk).unwrap().expect("the record is there");
        assert_eq!(record.bucket_as::<serde_json::Value>().unwrap(), json!({"n": 47}));
        let select = json!({"action": "select", "class": Self::CLASS, "path": ["n", {"gte": 47}]});
        let found: Vec<String> =
            self.db.q0(select).unwrap().into_records().unwrap().into_iter().map(|record| record.pk).collect();
        assert_eq!(found, [self.pk.as_str()]);
        let error = self.db.q0(json!({"action": "select", "limit": -1})).unwrap_err();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
    }
}
