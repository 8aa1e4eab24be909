//! How many instructions the core paths take: `benches/instructions.py` runs this under callgrind.
//!
//! `instructions PATH FIRST COUNTED …` prepares a store, and then makes the calls of each path in a fork: all
//! begin with the same store, which is prepared once. A fork prints its pid and the path, and makes `FIRST`
//! calls, then `COUNTED` more, between two calls of [`end_part`]: the counts of that part are those of the
//! calls alone. There is no socket and no server process: everything between the caller's function and
//! SQLite, but for the system calls. Without arguments the program prints the paths.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use miko_core::mikobase_rpc::MikobaseClient;
use miko_core::q0::Edits;
use miko_core::rpc::{Call, CallTransport, Interface, OutgoingCall, Proxy, codec};
use miko_core::{
    Change, Engine, Error, ErrorId, Mikobase, MikobaseExt, Remote, Stream, Transaction, backend,
};
use miko_shared::BoxError;
use miko_shared::wire::envelope::{Envelope, enclose_response};
use miko_shared::wire::frame::FrameBuffer;
use miko_shared::wire::message::{Answer, Incoming};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, fork};
use serde::Serialize;
use serde_json::{Value, json};

/// The number of records before the first call.
const RECORDS: usize = 2000;

/// The pks of the accounts.
const ACCOUNTS: [&str; 2] = ["account-0", "account-1"];

/// Makes the `i`th call of a path.
type Path = fn(&mut Store, usize) -> Result<(), BoxError>;

/// The measured paths by their names.
const PATHS: &[(&str, Path)] = &[
    ("record_by_pk", |store, i| done(store.engine.record_by_pk(&store.pks[i % RECORDS])?)),
    ("record_by_pk without a record cache", |store, i| {
        done(store.engine.record_by_pk(&store.pks[i % RECORDS])?)
    }),
    ("update", |store, i| {
        let bucket = creation(i % RECORDS)["bucket"].take();
        done(store.engine.q0(json!({"action": "update", "pk": store.pks[i % RECORDS], "bucket": bucket}))?)
    }),
    ("create", |store, i| done(store.engine.q0(creation(RECORDS + i))?)),
    ("create beside a subscriber of another class", |store, i| {
        if store.changes.is_none() {
            store.changes = Some(store.engine.listen("bench.org/other")?);
        }
        done(store.engine.q0(creation(RECORDS + i))?)
    }),
    ("find", |store, i| done(store.engine.q0(find(i))?)),
    // From the tenth call on, this path and the next one read values from columns.
    ("find, the last 10 by another field", |store, i| {
        let mut select = find(i);
        select["sort"] = json!(["serial", {"reverse": true}]);
        done(store.engine.q0(select)?)
    }),
    ("scan of 2000 with two conditions", |store, i| {
        let name = json!({"path": ["name", format!("Officer {}", i % RECORDS)]});
        let path = json!(["rank", "Captain"]);
        done(
            store
                .engine
                .q0(json!({"action": "select", "class": "bench.org/item", "path": path, "then": name}))?,
        )
    }),
    ("first scan of a path of 2000", |store, i| {
        let never = json!({"path": [format!("field {i}"), null]});
        let path = json!(["rank", "Captain"]);
        done(
            store
                .engine
                .q0(json!({"action": "select", "class": "bench.org/item", "path": path, "then": never}))?,
        )
    }),
    ("batch of 32 reads", |store, i| done(store.engine.batch(reads(store, i), false)?)),
    ("records_by_pks of 32", |store, i| {
        done(store.engine.records_by_pks((0..32).map(|j| store.pks[(i + j) % RECORDS].clone()).collect())?)
    }),
    ("create_many of 32", |store, i| {
        let buckets = (0..32).map(|j| creation(RECORDS + 32 * i + j)["bucket"].take().into()).collect();
        done(store.engine.create_many("bench.org/item", buckets)?)
    }),
    ("batch of 32 creates", |store, i| {
        done(store.engine.batch((0..32).map(|j| creation(RECORDS + 32 * i + j)).collect(), true)?)
    }),
    ("import of 320", |store, i| {
        store.write_worldlets();
        let mut worldlet = store.worldlets[i].as_bytes();
        done(store.engine.import_worldlet(&mut worldlet, false)?)
    }),
    // For comparison with the import.
    ("serde_json of the worldlet of 320", |store, i| {
        store.write_worldlets();
        done(serde_json::from_str::<Value>(&store.worldlets[i])?)
    }),
    ("increment", |store, _| done(store.engine.increment(ACCOUNTS[0], ["balance"], 1)?)),
    ("increment there and back", |store, _| done(store.proxy.increment(ACCOUNTS[0], ["balance"], 1)?)),
    ("transfer in a transaction", |store, _| {
        let balance = |tx: &Remote<dyn Transaction>, pk| -> Result<i64, BoxError> {
            let account = tx.record_by_pk(pk)?.ok_or("an account is gone")?;
            Ok(account.bucket.get("balance")?.and_then(|value| value.as_i64()).ok_or("no balance")?)
        };
        let tx = store.engine.begin()?;
        let balances = (balance(&tx, ACCOUNTS[0])?, balance(&tx, ACCOUNTS[1])?);
        tx.update(ACCOUNTS[0], &json!({"balance": balances.0 - 1}))?;
        tx.update(ACCOUNTS[1], &json!({"balance": balances.1 + 1}))?;
        done(tx.commit()?)
    }),
    ("claim and finish", |store, _| {
        let claim = store.engine.claim(json!({"class": "bench.org/account"}), Duration::from_secs(60))?;
        let edits = Edits::new().increment(["balance"], 1);
        done(claim.ok_or("no account is free")?.finish_with(edits)?)
    }),
    ("a change that a subscriber reads", |store, _| {
        if store.change.is_empty() {
            store.change = encoded_change(&*store.engine)?;
        }
        done(codec::decode::<Change>(&store.change)?)
    }),
    ("create_all of 32 there and back", |store, i| {
        let items: Vec<Item> = (0..32).map(|j| Item::of(RECORDS + 32 * i + j)).collect();
        done(store.proxy.create_all("bench.org/item", &items)?)
    }),
    ("batch of 32 creates there and back", |store, i| {
        done(store.proxy.batch((0..32).map(|j| creation(RECORDS + 32 * i + j)).collect(), true)?)
    }),
    ("records_by_pks of 32 there and back", |store, i| {
        done(store.proxy.records_by_pks((0..32).map(|j| store.pks[(i + j) % RECORDS].clone()).collect())?)
    }),
    ("batch of 32 reads there and back", |store, i| done(store.proxy.batch(reads(store, i), false)?)),
    ("record_by_pk there and back", |store, i| {
        let pk = store.pks[i % RECORDS].clone();
        done(store.proxy.record_by_pk(&pk)?)
    }),
    ("create there and back", |store, i| done(store.proxy.q0(creation(RECORDS + i))?)),
    ("create of a type there and back", |store, i| {
        done(store.proxy.create("bench.org/item", &Item::of(RECORDS + i))?)
    }),
];

/// Discards an answer, and keeps the compiler from optimizing the call away.
fn done<T>(answer: T) -> Result<(), BoxError> {
    black_box(answer);
    Ok(())
}

struct Store {
    engine: Arc<dyn Engine>,
    /// A proxy whose calls the engine serves.
    proxy: MikobaseClient,
    pks: Vec<String>,
    /// A subscription that matches no record.
    changes: Option<Stream<Change>>,
    /// A change as it is sent.
    change: Vec<u8>,
    /// Texts to import, each of other records.
    worldlets: Vec<String>,
}

/// A record, as programs have it.
#[derive(Serialize)]
struct Item {
    serial: usize,
    deck: usize,
    name: String,
    rank: &'static str,
    active: bool,
    notes: &'static str,
}

impl Item {
    fn of(serial: usize) -> Self {
        Self {
            serial,
            deck: serial / 100,
            name: format!("Officer {serial}"),
            rank: ["Ensign", "Lieutenant", "Captain"][serial % 3],
            active: serial.is_multiple_of(2),
            notes: "Served with distinction on several ships of the fleet, and was commended twice.",
        }
    }
}

/// The work of client and server for a call, without a socket.
struct InProcess {
    engine: Arc<dyn Engine>,
    buffers: Mutex<Buffers>,
}

#[derive(Default)]
struct Buffers {
    request: Vec<u8>,
    answer: Vec<u8>,
    received: FrameBuffer,
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    }
    let runs = arguments.chunks(3).map(Run::of).collect::<Result<Vec<_>, BoxError>>()?;
    for has_record_cache in [true, false] {
        let runs: Vec<_> = runs.iter().filter(|run| run.has_record_cache() == has_record_cache).collect();
        if !runs.is_empty() {
            let mut store = Store::new(has_record_cache)?;
            run_in_forks(&mut store, &runs)?;
        }
    }
    Ok(())
}

/// The calls of one path.
struct Run {
    name: &'static str,
    call: Path,
    /// The number of calls before the counted ones.
    first: usize,
    counted: usize,
}

impl Run {
    /// Reads the arguments `PATH FIRST COUNTED`.
    fn of(arguments: &[String]) -> Result<Self, BoxError> {
        let [path, first, counted] = arguments else {
            return Err("a path needs two numbers of calls".into());
        };
        let (name, call) = PATHS.iter().find(|(name, _)| name == path).ok_or("there is no such path")?;
        Ok(Self { name, call: *call, first: first.parse()?, counted: counted.parse()? })
    }

    fn has_record_cache(&self) -> bool {
        !self.name.ends_with("without a record cache")
    }

    fn make(&self, store: &mut Store) -> Result<(), BoxError> {
        println!("{} {}", std::process::id(), self.name);
        (0..self.first).try_for_each(|i| (self.call)(store, i))?;
        end_part();
        (self.first..self.first + self.counted).try_for_each(|i| (self.call)(store, i))?;
        end_part();
        Ok(())
    }
}

/// Makes the calls of each path in a fork, as many at once as there are processors.
fn run_in_forks(store: &mut Store, runs: &[&Run]) -> Result<(), BoxError> {
    let processors = std::thread::available_parallelism()?.get();
    for (index, run) in runs.iter().enumerate() {
        if index >= processors {
            wait_for_fork()?;
        }
        // SAFETY: This process has one thread, so the child may do all that its parent may.
        match unsafe { fork() }? {
            ForkResult::Parent { .. } => {}
            ForkResult::Child => {
                let made = run.make(store);
                if let Err(error) = &made {
                    eprintln!("{}: {error}", run.name);
                }
                std::process::exit(made.is_err().into());
            }
        }
    }
    (0..runs.len().min(processors)).try_for_each(|_| wait_for_fork())
}

fn wait_for_fork() -> Result<(), BoxError> {
    match wait()? {
        WaitStatus::Exited(_, 0) => Ok(()),
        failed => Err(format!("a path has failed: {failed:?}").into()),
    }
}

/// `benches/instructions.py` tells callgrind to write its counts and reset them at each call of this
/// function.
#[inline(never)]
fn end_part() {
    black_box(());
}

impl Store {
    /// A store of [`RECORDS`] records. If it has a record cache, they are in it.
    fn new(has_record_cache: bool) -> Result<Self, BoxError> {
        let without_cache = if has_record_cache { "" } else { "?record_cache_size=0" };
        let engine = backend::open(&format!("mikobase.uno/sqlite/memory{without_cache}"))?;
        let engine: Arc<dyn Engine> = engine.into();
        engine.import_schema(json!({"classes": {"bench.org/item": {"fields": {
            "serial": {"class": "number", "required": true, "unique": true},
            "deck": {"class": "number", "index": true},
            "name": {"class": "string", "required": true, "max_length": 80},
            "rank": {"class": "string", "one_of": ["Ensign", "Lieutenant", "Captain"]},
            "active": {"class": "boolean"},
        }}, "bench.org/account": {"fields": {"balance": {"class": "number", "required": true}}}}}))?;
        for pk in ACCOUNTS {
            engine.q0(
                json!({"action": "create", "class": "bench.org/account", "pk": pk, "bucket": {"balance": 0}}),
            )?;
        }
        let answers = engine.batch((0..RECORDS).map(creation).collect(), true)?;
        let pks: Vec<String> =
            answers.into_iter().map(|answer| answer?.into_pk()).collect::<Result<_, Error>>()?;
        engine.records_by_pks(pks.clone())?;
        let in_process = InProcess { engine: Arc::clone(&engine), buffers: Mutex::default() };
        Ok(Self {
            engine,
            proxy: Proxy::new(Box::new(in_process)),
            pks,
            changes: None,
            change: Vec::new(),
            worldlets: Vec::new(),
        })
    }

    /// Writes a worldlet for each import, in the first, uncounted call.
    fn write_worldlets(&mut self) {
        const IMPORTS: usize = 50;
        if self.worldlets.is_empty() {
            self.worldlets = (0..IMPORTS).map(worldlet).collect();
        }
    }
}

impl CallTransport for InProcess {
    fn call(
        &self,
        call: &OutgoingCall<'_>,
        read: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        const LIMIT: usize = 8 << 20;
        let broken = || Error::new(ErrorId::INTERNAL, "a frame is incomplete or malformed");
        let mut buffers = self.buffers.lock().map_err(|_| broken())?;
        let Buffers { request: sent, answer, received } = &mut *buffers;
        sent.clear();
        Envelope { deadline: Duration::from_secs(60), id: 1 }.enclose(call.request, LIMIT, sent)?;
        carry(sent, received);
        let frame = received.next_frame(LIMIT)?.ok_or_else(broken)?;
        let Ok(Incoming::Call(call)) = Incoming::read(frame) else { return Err(broken()) };
        let (method, arguments) = call.method().ok_or_else(broken)?;
        answer.clear();
        enclose_response(call.id, LIMIT, answer, |answer, limit| {
            let interface: &dyn Mikobase = &*self.engine;
            interface.serve(Call::message(method, arguments, answer, limit)).map(drop)
        })?;
        carry(answer, received);
        let answer = Answer::read(received.next_frame(LIMIT)?.ok_or_else(broken)?)?;
        read(&answer.response?)
    }
}

/// Moves bytes into a buffer, in place of a socket.
fn carry(bytes: &[u8], buffer: &mut FrameBuffer) {
    let mut sent = 0;
    while sent < bytes.len() {
        let room = buffer.room();
        let count = room.len().min(bytes.len() - sent);
        room[..count].copy_from_slice(&bytes[sent..sent + count]);
        buffer.filled(count);
        sent += count;
    }
}

/// A change of an account, as a subscriber gets it.
fn encoded_change(engine: &dyn Engine) -> Result<Vec<u8>, BoxError> {
    let mut changes = engine.listen("bench.org/account")?;
    engine.increment(ACCOUNTS[0], ["balance"], 1)?;
    let change = changes.recv().ok_or("the subscription has ended")??;
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, usize::MAX, |encoder| encoder.value(&change))
        .map_err(|fault| fault.into_error(usize::MAX))?;
    Ok(bytes)
}

fn creation(serial: usize) -> Value {
    let Item { serial, deck, name, rank, active, notes } = Item::of(serial);
    json!({"action": "create", "class": "bench.org/item", "bucket": {
        "serial": serial, "deck": deck, "name": name, "rank": rank, "active": active, "notes": notes,
    }})
}

fn worldlet(i: usize) -> String {
    let record = |j| {
        let serial = RECORDS + 320 * i + j;
        let record = json!({
            "bucket": creation(serial)["bucket"],
            "stack": {"shadow": {}, "item": {"class": "bench.org/item"}},
            "created_at": "2026-11-28T18:45:00.123Z", "updated_at": "2026-11-28T18:45:00.123Z",
        });
        (format!("0193743c-7b8c-7{:03x}-8000-{serial:012x}", serial % 4096), record)
    };
    let records: serde_json::Map<String, Value> = (0..320).map(record).collect();
    json!({"format": "worldlet/1.0", "records": records}).to_string()
}

/// Selects of records, each by its pk.
fn reads(store: &Store, i: usize) -> Vec<Value> {
    (0..32).map(|j| json!({"action": "select", "pk": store.pks[(i + j) % RECORDS]})).collect()
}

fn find(i: usize) -> Value {
    json!({"action": "select", "class": "bench.org/item", "path": ["deck", i % (RECORDS / 100)], "limit": 10})
}
