//! The protocol to the byte: sessions are compared with the recorded ones in `docs/protocol/`.
//!
//! `MIKOBASE_RECORD=1 cargo test --test share protocol` writes them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use miko_shared::wire::extension;
use miko_shared::wire::frame::HEADER_SIZE;
use miko_shared::wire::handshake::preamble;
use mikobase::prelude::*;
use mikobase::rpc::codec::SerdeMessage;
use serde_json::Value;

use crate::harness::Case;
use crate::office::{NEWS_HELD, Office, office};
use crate::support::{Raw, enclosed_call};

pub const CASES: &[Case] = &[
    ("a_connection_begins_with_the_documented_bytes", begin),
    ("the_recorded_sessions_are_what_client_and_server_send", sessions),
    ("a_client_of_another_version_is_refused_by_name", version),
    ("an_object_is_answered_together_with_its_parked_first_call", opening_answer),
];

/// One side sends a frame.
enum Step {
    /// The client sends this frame, with its header.
    Sends(&'static str, Vec<u8>),
    /// The server sends this many frames.
    Answers(usize),
}

use Step::{Answers, Sends};

fn begin() {
    assert_eq!(preamble(), *b"mikobase\x00\x03");
    assert!(include_str!("../../docs/protocol.md").contains("two big-endian bytes (`00 03`)"));
}

fn version() {
    let uds = Uds::new().unwrap();
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    let mut raw = Raw::silent(&share);
    raw.stream.write_all(b"mikobase\x00\x01").unwrap();
    let error = raw.read_handshake_error();
    assert!(error.is(ErrorId::SURFACE_MISMATCH), "{error}");
    assert_eq!(
        (&error.items()[0].details["client"], &error.items()[0].details["server"]),
        (&json!(1), &json!(3))
    );
    share.join().unwrap();
}

fn opening_answer() {
    let uds = Uds::new().unwrap();
    let share = uds.spawn(0, |_, _| Ok(())).unwrap();
    let db = MikobaseClient::connect(share.path(), share.token()).unwrap();
    let tx = db.begin().unwrap();
    tx.create("test.org/item", &json!({"n": 1})).unwrap();
    let mut raw = Raw::admitted(&share);
    let read = BTreeMap::from([("record_by_pk", json!({"pk": "none"}))]);
    let mut frames = enclosed_call("begin", &json!({}));
    let object = extension::opened_by(1);
    let deadline = Duration::from_secs(60);
    extension::put_call(object, 2, deadline, &SerdeMessage(&read), usize::MAX, &mut frames).unwrap();
    raw.stream.write_all(&frames).unwrap();
    // The server runs calls in order of arrival, so it has parked the call when these are answered.
    (0..2).for_each(|_| drop(db.properties().unwrap()));
    raw.stream.set_nonblocking(true).unwrap();
    let error = raw.stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "the answer to `begin` waits for that of the call");
    raw.stream.set_nonblocking(false).unwrap();
    tx.commit().unwrap();
    let mut bytes = [0; 4096];
    let count = raw.stream.read(&mut bytes).unwrap();
    let size = |frame: &[u8]| HEADER_SIZE + u32::from_be_bytes(*frame.first_chunk().unwrap()) as usize;
    let first = size(&bytes);
    assert!(first < count, "both answers arrive together");
    assert_eq!(size(&bytes[first..]), count - first);
    drop((raw, tx, db));
    share.join().unwrap();
}

fn call(method: &str, params: Value) -> Vec<u8> {
    enclosed_call(method, &params)
}

fn sent(put: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes);
    bytes
}

fn on_object(object: u64, method: &str, params: &Value) -> Vec<u8> {
    let call = json!({method: params});
    sent(|out| {
        extension::put_call(object, 1, Duration::from_secs(60), &SerdeMessage(&call), 1 << 20, out).unwrap();
    })
}

fn sessions() {
    let credit = |bytes| sent(|out| extension::put_credit(1, bytes, out));
    let release = |handle| sent(|out| extension::put_release(handle, out));
    check(
        "call",
        vec![
            Sends("a call", call("echo", json!({"text": "Engage!"}))),
            Answers(1),
            Sends("a call whose argument does not fit", call("echo", json!({"text": 7}))),
            Answers(1),
        ],
    );
    check(
        "stream",
        vec![
            Sends("a call that returns a stream", call("numbers", json!({"count": 3, "end": ""}))),
            Answers(1),
            Sends("credit for it: nothing is sent before", credit(1000)),
            Answers(4),
        ],
    );
    check(
        "feed",
        vec![
            Sends("a call that returns a feed", call("news", json!({}))),
            Answers(1),
            Sends("more items than it holds", call("publish", json!({"count": NEWS_HELD + 5}))),
            Answers(1),
            Sends("credit for one item: one may exceed it", credit(1)),
            Answers(2),
            Sends("the end of the interest", release(1)),
            Sends("how many read the feed, and how often an item was encoded", call("readers", json!({}))),
            Answers(1),
        ],
    );
    check(
        "object",
        vec![
            Sends("a call that returns an object", call("desk", json!({"name": "a"}))),
            Answers(1),
            Sends("a call on the object", on_object(1, "note", &json!({"text": "x"}))),
            Answers(1),
            Sends("the object is not used any more", release(1)),
            Sends("a call on an object that is gone", on_object(1, "note", &json!({"text": "y"}))),
            Answers(1),
        ],
    );
    check(
        "later",
        vec![
            Sends("a call that is answered later", call("letter", json!({}))),
            Sends("a call that is answered at once, with an id of its own", call_2("waiting", json!({}))),
            Answers(1),
            Sends("a call that lets the first one be answered", call_2("deliver", json!({"letter": "hi"}))),
            Answers(2),
            Sends("a call that is given up", call("letter", json!({}))),
            Sends("its cancellation", sent(|out| extension::put_cancel(1, out))),
            Answers(1),
        ],
    );
}

/// A call with the id 2.
fn call_2(method: &str, params: Value) -> Vec<u8> {
    use miko_shared::wire::envelope::Envelope;
    let call = json!({method: params});
    sent(|out| {
        let envelope = Envelope { deadline: Duration::from_secs(60), id: 2 };
        envelope.enclose(&SerdeMessage(&call), 1 << 20, out).unwrap();
    })
}

/// Runs a session on a connection of its own, and compares it with the recorded one.
fn check(name: &str, steps: Vec<Step>) {
    let uds = Uds::new().unwrap();
    let share = office(&uds);
    let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
    let mut session = String::new();
    for step in steps {
        match step {
            Sends(what, frame) => {
                raw.stream.write_all(&frame).unwrap();
                writeln!(session, "# {what}").unwrap();
                write_frame('>', &frame, &mut session);
            }
            Answers(count) => {
                for _ in 0..count {
                    let content = raw.read_frame().unwrap();
                    let header = u32::try_from(content.len()).unwrap().to_be_bytes();
                    write_frame('<', &[&header, &content[..]].concat(), &mut session);
                }
            }
        }
    }
    drop(raw);
    share.join().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/protocol/{name}.txt"));
    if env::var_os("MIKOBASE_RECORD").is_some_and(|value| value == "1") {
        fs::write(&path, &session).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), session, "{name}");
}

/// A frame in hexadecimal, and its content as JSON.
fn write_frame(direction: char, frame: &[u8], session: &mut String) {
    let content: Value = rmp_serde::from_slice(&frame[4..]).unwrap();
    writeln!(session, "{direction} {content}").unwrap();
    for line in frame.chunks(32) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(session, "  {}", hex.join(" ")).unwrap();
    }
}
