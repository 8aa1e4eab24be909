//! How many instructions the core paths take: `benches/instructions.py` runs this under callgrind.
//!
//! `instructions PATH COUNT` prepares a store and makes `COUNT` calls of one path; what two counts differ in
//! is the price of the calls alone. There is no socket and no second process: everything between the caller's
//! function and SQLite, but for the system calls.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints its measurements")]

use std::hint::black_box;
use std::time::Duration;

use miko_core::rpc::Interface;
use miko_core::{Engine, Error, Mikobase, SqliteEngine};
use miko_shared::BoxError;
use miko_shared::wire::envelope::Envelope;
use miko_shared::wire::frame::FrameBuffer;
use miko_shared::wire::message::{self, Answer, Incoming};
use serde_json::{Value, json};

/// Records that are there from the start.
const RECORDS: usize = 2000;

/// A path, as it is called for the `i`th time.
type Call = fn(&mut Store, usize) -> Result<(), BoxError>;

/// What is called, by its name.
const PATHS: &[(&str, Call)] = &[
    ("record_by_pk", |store, i| done(store.engine.record_by_pk(&store.pks[i % RECORDS])?)),
    ("create", |store, i| done(store.engine.q0(creation(RECORDS + i))?)),
    ("find", |store, i| done(store.engine.q0(find(i))?)),
    ("batch of 32 reads", |store, i| {
        let selects =
            (0..32).map(|j| json!({"action": "select", "pk": store.pks[(i + j) % RECORDS]})).collect();
        done(store.engine.batch(selects, false)?)
    }),
    ("record_by_pk there and back", |store, i| {
        let request = Request::RecordByPk { pk: store.pks[i % RECORDS].clone() };
        store.there_and_back(&request)
    }),
    ("create there and back", |store, i| {
        let request = Request::Q0 { query: creation(RECORDS + i) };
        store.there_and_back(&request)
    }),
];

/// Nobody looks at the answer, and the compiler must not know.
fn done<T>(answer: T) -> Result<(), BoxError> {
    black_box(answer);
    Ok(())
}

type Request = <dyn Mikobase as Interface>::Request;
type Response = <dyn Mikobase as Interface>::Response;

struct Store {
    engine: Box<dyn Engine>,
    pks: Vec<String>,
    request: Vec<u8>,
    answer: Vec<u8>,
    buffer: FrameBuffer,
}

fn main() -> Result<(), BoxError> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [path, count] = &arguments[..] else {
        PATHS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let (_, call) = PATHS.iter().find(|(name, _)| name == path).ok_or("there is no such path")?;
    let mut store = Store::new()?;
    (0..count.parse()?).try_for_each(|i| call(&mut store, i))
}

impl Store {
    fn new() -> Result<Self, BoxError> {
        let engine: Box<dyn Engine> = Box::new(SqliteEngine::in_memory()?);
        engine.import_schema(json!({"classes": {"bench.org/item": {"fields": {
            "serial": {"class": "number", "required": true, "unique": true},
            "deck": {"class": "number", "index": true},
            "name": {"class": "string", "required": true, "max_length": 80},
            "rank": {"class": "string", "one_of": ["Ensign", "Lieutenant", "Captain"]},
            "active": {"class": "boolean"},
        }}}}))?;
        let answers = engine.batch((0..RECORDS).map(creation).collect(), true)?;
        let pks = answers.into_iter().map(|answer| answer?.into_pk()).collect::<Result<_, Error>>()?;
        let (request, answer, buffer) = Default::default();
        Ok(Self { engine, pks, request, answer, buffer })
    }

    /// What client and server do for a call, but for the socket.
    fn there_and_back(&mut self, request: &Request) -> Result<(), BoxError> {
        const LIMIT: usize = 8 << 20;
        let envelope = Envelope { deadline: Duration::from_secs(60), id: 1 };
        self.request.clear();
        envelope.enclose(request, LIMIT, &mut self.request)?;
        carry(&self.request, &mut self.buffer);
        let frame = self.buffer.next_frame(LIMIT)?.ok_or("half a request came")?;
        let Incoming::Request(call) = Incoming::read(frame)? else {
            return Err("no request came".into());
        };
        let interface: &dyn Mikobase = &*self.engine;
        let message = Ok(interface.serve(call.message));
        self.answer.clear();
        message::encode_answer(&Answer { request_id: call.id, message }, LIMIT, &mut self.answer)?;
        carry(&self.answer, &mut self.buffer);
        let answer: Answer<Response> =
            message::decode_answer(self.buffer.next_frame(LIMIT)?.ok_or("half an answer came")?)?;
        done(answer)
    }
}

/// In place of a socket.
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

fn creation(serial: usize) -> Value {
    let rank = ["Ensign", "Lieutenant", "Captain"][serial % 3];
    json!({"action": "create", "class": "bench.org/item", "bucket": {
        "serial": serial, "deck": serial / 100, "name": format!("Officer {serial}"), "rank": rank,
        "active": serial.is_multiple_of(2),
        "notes": "Served with distinction on several ships of the fleet, and was commended twice.",
    }})
}

fn find(i: usize) -> Value {
    json!({"action": "select", "class": "bench.org/item", "path": ["deck", i % (RECORDS / 100)], "limit": 10})
}
