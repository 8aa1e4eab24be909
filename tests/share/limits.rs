//! Limits: input beyond a limit is refused with an error.

use std::io::Write;
use std::sync::OnceLock;
use std::time::Duration;

use miko_core::memory::MAX_EXPANSION;
use mikobase::prelude::*;
use mikobase::{Limits, Result};
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use crate::deaths::server_of;
use crate::harness::Case;
use crate::office::office_rpc::OfficeClient;
use crate::office::{Office, office};
use crate::peak::Peak;
use crate::support::{Event, Raw, Running, count, create, encoded_call};

pub const CASES: &[Case] = &[
    ("a_request_or_an_answer_beyond_the_frame_size_is_refused", frame_size),
    ("values_that_take_many_times_their_bytes_are_refused", expanding_values),
    ("answers_have_the_limit_of_the_server", larger_answers),
    ("a_connection_beyond_the_limit_is_refused_until_another_has_gone", connections),
    ("a_connection_without_a_handshake_is_closed_in_time", handshake),
    ("a_call_that_takes_too_long_fails_and_the_next_one_works", call_deadline),
    ("a_call_that_comes_too_late_is_not_run", late_call),
    ("a_server_out_of_descriptors_serves_those_it_has", out_of_descriptors),
];

/// The default limits, changed.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

fn shared_with(uds: &Uds) -> Running<'static, ()> {
    uds.spawn(0, |_, _| Ok(())).unwrap()
}

fn frame_size() {
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.frame_size = 10_000));
    let share = shared_with(&uds);
    let db = share.db().unwrap();
    let big = json!({"action": "create", "bucket": {"text": "x".repeat(10_000)}});
    let error = db.q0(big).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    assert_eq!(error.items()[0].details["allowed"], 10_000);

    for n in 0..100 {
        create(db, n).unwrap();
    }
    let error = db.by_class("test.org/item").unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    assert!(error.to_string().contains("the answer is larger"), "{error}");
    // An answer that is too large only when it is encoded: it repeats the key of the request several times.
    let error = db.validate(json!({"action": "select", "x".repeat(9_000): 1})).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    assert_eq!(error.items()[0].details["method"], "validate");
    create(db, 100).unwrap();

    // A client without its own limit gets that of the server when it connects.
    let other = MikobaseClient::connect(share.path(), share.token()).unwrap();
    let error = other.q0(json!({"action": "create", "bucket": {"text": "x".repeat(10_000)}})).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    share.join().unwrap();
}

fn larger_answers() {
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.frame_size = 80 << 20));
    let share = office(&uds);
    // A client that is no worker has a limit of its own, 64 MiB, for what it sends.
    let office = OfficeClient::connect(share.path(), share.token()).unwrap();
    let mut pieces = office.pieces(65 << 20).unwrap();
    assert_eq!(pieces.recv().unwrap().unwrap().len(), 65 << 20);
    let error = office.echo("x".repeat(65 << 20)).unwrap_err();
    assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{error}");
    assert_eq!(office.echo("x".to_owned()).unwrap(), "x", "the connection is usable");
    drop((pieces, office));
    share.join().unwrap();
}

/// A null takes one byte in a frame, and many in memory.
fn expanding_values() {
    const FRAME_SIZE: usize = 1 << 20;
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.frame_size = FRAME_SIZE));
    let share = shared_with(&uds);
    let db = share.db().unwrap();
    let peak = Peak::since_now(server_of(share.path()));
    let nulls = vec![Value::Null; FRAME_SIZE - 1000];
    let calls: [(&str, &dyn Fn() -> Result<()>); 4] = [
        ("batch", &|| db.batch(nulls.clone(), false).map(drop)),
        ("q0", &|| db.q0(nulls.clone().into()).map(drop)),
        ("merge", &|| db.merge(json!({"history": nulls})).map(drop)),
        ("select_stream", &|| db.iter(Value::from(nulls.clone())).map(drop)),
    ];
    for (name, call) in calls {
        let error = call().unwrap_err();
        assert!(error.is(ErrorId::REQUEST_TOO_LARGE), "{name}: {error}");
    }
    let taken = peak.growth();
    assert!(taken < 2 * MAX_EXPANSION * FRAME_SIZE, "{} MiB were taken", taken >> 20);
    // A frame of the same size with fewer values is accepted.
    create(db, 1).unwrap();
    let text = "x".repeat(FRAME_SIZE - 1000);
    db.q0(json!({"action": "create", "bucket": {"text": text}})).unwrap();
    share.join().unwrap();
}

fn connections() {
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.connections = 2));
    let share = shared_with(&uds);
    let first = Raw::admitted(&share);
    let _second = Raw::admitted(&share);
    let error = Raw::silent(&share).read_handshake_error();
    assert!(error.is(ErrorId::TOO_MANY_CONNECTIONS), "{error}");
    drop(first);
    Raw::admitted(&share);
    share.join().unwrap();
}

fn handshake() {
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.handshake = Duration::from_millis(50)));
    let share = shared_with(&uds);
    let error = Raw::silent(&share).read_handshake_error();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    share.join().unwrap();
}

/// An interface with a method that returns when the test releases it.
#[mikobase_interface]
trait Gate {
    /// Waits until the test releases it.
    fn wait(&self) -> Result<u64>;

    /// How often `wait` was run.
    fn runs(&self) -> Result<u64>;
}

/// Releases `wait`. The server process inherits it by the fork.
static RELEASE: OnceLock<Event> = OnceLock::new();

#[derive(Default)]
struct WaitingGate(std::cell::Cell<u64>);

impl Gate for WaitingGate {
    fn wait(&self) -> Result<u64> {
        RELEASE.get().unwrap().wait();
        self.0.set(self.0.get() + 1);
        Ok(self.0.get())
    }

    fn runs(&self) -> Result<u64> {
        Ok(self.0.get())
    }
}

fn call_deadline() {
    RELEASE.get_or_init(Event::new);
    let uds = Uds::new().unwrap().limits(limits(|limits| limits.call_deadline = Duration::from_secs(2)));
    let share =
        uds.spawn_share::<dyn Gate, ()>(0, || Ok(Box::new(WaitingGate::default())), |_, _| Ok(())).unwrap();
    let error = share.db().unwrap().wait().unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    RELEASE.get().unwrap().notify();
    let client = gate_rpc::GateClient::connect(share.path(), share.token()).unwrap();
    assert_eq!(client.runs().unwrap(), 1);
    RELEASE.get().unwrap().notify();
    assert_eq!(share.db().unwrap().wait().unwrap(), 2, "on a new connection");
    share.join().unwrap();
}

fn late_call() {
    let uds = Uds::new().unwrap();
    let share = shared_with(&uds);
    let mut raw = Raw::admitted(&share);
    let mut call = encoded_call("record_by_pk", &json!({"pk": "nobody"}));
    // Changes 60 seconds to 0, so that the deadline has passed when the call arrives.
    let at = call.windows(5).position(|bytes| bytes == [b's', b'e', b'c', b's', 60]).unwrap();
    call[at + 4] = 0;
    raw.stream.write_all(&call).unwrap();
    let error = raw.read_error();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    share.join().unwrap();
}

fn out_of_descriptors() {
    let uds = Uds::new().unwrap().setup(|_| Ok(setrlimit(Resource::RLIMIT_NOFILE, 24, 24)?));
    let share = shared_with(&uds);
    let db = share.db().unwrap();
    create(db, 0).unwrap();
    // The kernel queues the connections that the server cannot accept.
    let crowd: Vec<Raw> = (0..40).map(|_| Raw::silent(&share)).collect();
    for n in 1..50 {
        create(db, n).unwrap();
    }
    drop(crowd);
    let newcomer = MikobaseClient::connect(share.path(), share.token()).unwrap();
    assert_eq!(count(&newcomer), 50);
    share.join().unwrap();
}
