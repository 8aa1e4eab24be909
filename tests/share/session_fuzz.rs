//! Fuzzing of both ends of a connection with streams, objects and later answers: a server by clients that
//! send anything, and clients by servers that answer anything.
//!
//! A run has a fixed seed, which it prints; in the long mode a fresh one, for ten minutes each.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use miko_shared::wire::extension;
use miko_shared::wire::frame::{self, FrameBuffer};
use miko_shared::wire::handshake::{HandshakeReply, PREAMBLE_SIZE};
use mikobase::Token;
use mikobase::prelude::*;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::fuzz::mangle;
use crate::harness::{Case, is_long};
use crate::office::office_rpc::{OfficeAsync, OfficeAsyncClient, OfficeClient};
use crate::office::{Desk, Office, OpenThings, eventually, office};
use crate::peak::{MIB, Peak};
use crate::random::{self, Random};
use crate::support::{Raw, enclosed_call};

pub const CASES: &[Case] = &[
    ("clients_that_send_anything_leave_nothing_in_the_server", server),
    ("servers_that_answer_anything_do_not_harm_a_client", clients),
];

const LONG: Duration = Duration::from_secs(600);

/// The memory that either end may take: a frame of the largest size, and what it is copied to.
const MEMORY: usize = 400 * MIB;

/// Repeats `round` as often, or in the long mode for a while.
fn repeat(rounds: usize, mut round: impl FnMut(&mut Random)) {
    let seed = random::given_seed().unwrap_or_else(|| if is_long() { random::fresh_seed() } else { 1987 });
    let (mut random, begun) = (Random::new(seed), Instant::now());
    let mut done = 0;
    while if is_long() { begun.elapsed() < LONG } else { done < rounds } {
        round(&mut random);
        done += 1;
    }
}

/// A call of a method of the office, with arguments that fit.
fn call(random: &mut Random) -> Vec<u8> {
    let (method, params) = match random.below(10) {
        0 => ("desk", json!({"name": "a"})),
        1 => ("desks", json!({"names": ["a", "", "a trap"]})),
        2 => ("broken_desk", json!({})),
        3 => ("numbers", json!({"count": random.below(1000), "end": *random.pick(&["", "error", "panic"])})),
        4 => ("pieces", json!({"size": random.size(100_000)})),
        5 => ("news", json!({})),
        6 => ("publish", json!({"count": random.below(50)})),
        7 => ("letter", json!({})),
        8 => ("closed_desk", json!({})),
        _ => ("line_up", json!({})),
    };
    enclosed_call(method, &params)
}

/// A frame of streams, objects or cancellation, from either end, about small handles.
fn control(random: &mut Random) -> Vec<u8> {
    let numbers: [u64; 3] = std::array::from_fn(|_| *random.pick(&[0, 1, 2, 3, 5, 100, 300_000, u64::MAX]));
    let [tag, rest @ ..] = numbers;
    let mut content = vec![0x91 + u8::try_from(random.below(5)).unwrap()];
    for number in [tag % 4].into_iter().chain(rest) {
        rmp_serde::encode::write(&mut content, &number).unwrap();
    }
    if random.one_in(3) {
        let params: Value = json!({"note": {"text": "x"}});
        content.extend(rmp_serde::to_vec(&params).unwrap());
    }
    mangle::framed(&content)
}

/// Any frame.
fn anything(random: &mut Random, mut frame: Vec<u8>) -> Vec<u8> {
    match random.below(8) {
        0 => mangle::flip_bytes(random, &mut frame[4..]),
        1 => mangle::change_types(random, &mut frame[4..]),
        2 => mangle::change_length(random, &mut frame),
        3 => mangle::truncate(random, &mut frame),
        4 => {
            let length = random.size(1000);
            frame = mangle::framed(&random.bytes(length));
        }
        _ => {}
    }
    frame
}

fn server() {
    let uds = Uds::new().unwrap();
    let share = office(&uds);
    let peak = Peak::since_now(crate::deaths::server_of(share.path()));
    let watching = OfficeClient::connect(share.path(), share.token()).unwrap();
    repeat(150, |random| {
        let mut raw = Raw::to::<dyn Office>(share.path(), share.token());
        raw.stream.set_nonblocking(true).unwrap();
        for _ in 0..random.size(60) {
            let sent = if random.one_in(2) { call(random) } else { control(random) };
            let sent = if random.one_in(10) { anything(random, sent) } else { sent };
            if raw.stream.write_all(&sent).is_err() {
                break;
            }
            if random.one_in(2) {
                let _ = raw.stream.read(&mut [0; 100_000]);
            }
        }
        let text = random.next().to_string();
        assert_eq!(watching.echo(text.clone()).unwrap(), text);
    });
    eventually(|| watching.open_things().unwrap(), &OpenThings::default());
    assert!(peak.growth() < MEMORY, "the server took {} MiB", peak.growth() / MIB);
    share.join().unwrap();
}

fn clients() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let token = Token::random().unwrap();
    let mut answers = Random::quiet(random::given_seed().unwrap_or(7));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut random = Random::quiet(answers.next());
            thread::spawn(move || answer_anything(stream.unwrap(), &mut random));
        }
    });
    let peak = Peak::since_now(std::process::id());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    repeat(60, |random| {
        let Ok(office) = OfficeClient::connect(&path, &token) else { return };
        thread::scope(|scope| {
            for _ in 0..random.below(3) {
                let (mut random, office) = (Random::quiet(random.next()), &office);
                scope.spawn(move || use_office(office, &mut random));
            }
        });
        use_office(&office, random);
        runtime.block_on(use_async(&path, &token, random));
    });
    assert!(peak.growth() < MEMORY, "the client took {} MiB", peak.growth() / MIB);
}

/// Calls until an error; what is returned does not matter.
fn use_office(office: &OfficeClient, random: &mut Random) {
    const SHORT: Duration = Duration::from_millis(1);
    let (mut desks, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let _ = match random.below(6) {
            0 => office.echo("x".to_owned()).map(drop),
            1 => office.desk("a").map(|desk| desks.push(desk)),
            2 => office.numbers(10, "").map(|stream| streams.push(stream)),
            3 => {
                drop(office.letter().wait_timeout(SHORT));
                Ok(())
            }
            4 => desks.pop().map_or(Ok(()), |desk| desk.note("x").map(drop)),
            _ => {
                if let Some(stream) = streams.last_mut() {
                    while let Poll::Ready(Some(Ok(_))) = stream.recv_timeout(SHORT) {}
                }
                Ok(())
            }
        };
    }
}

async fn use_async(path: &std::path::Path, token: &Token, random: &mut Random) {
    let Ok(office) = OfficeAsyncClient::connect(path, token).await else { return };
    for _ in 0..10 {
        match random.below(4) {
            0 => drop(office.echo("x".to_owned()).await),
            1 => drop(office.desk("a").await),
            2 => drop(tokio::time::timeout(Duration::from_millis(1), office.letter()).await),
            _ => {
                if let Ok(mut numbers) = office.numbers(10, "").await {
                    let item = numbers.recv_async();
                    drop(tokio::time::timeout(Duration::from_millis(1), item).await);
                }
            }
        }
    }
}

/// A server that admits everybody, and answers some calls, with answers or with anything. It hangs up when it
/// is not called any more.
fn answer_anything(mut stream: UnixStream, random: &mut Random) -> Option<()> {
    let mut incoming = FrameBuffer::default();
    let read = |stream: &mut UnixStream, incoming: &mut FrameBuffer| {
        let count = stream.read(incoming.room()).ok().filter(|count| *count > 0)?;
        incoming.filled(count);
        Some(())
    };
    while incoming.take::<PREAMBLE_SIZE>().is_none() {
        read(&mut stream, &mut incoming)?;
    }
    while incoming.next_frame(1 << 20).ok()?.is_none() {
        read(&mut stream, &mut incoming)?;
    }
    let mut welcome = Vec::new();
    frame::encode(&HandshakeReply::Welcome { frame_size: 1 << 20 }, usize::MAX, &mut welcome).ok()?;
    stream.write_all(&welcome).ok()?;
    // The client may wait for an answer that it does not get.
    stream.set_read_timeout(Some(Duration::from_millis(10))).ok()?;
    for _ in 0..random.size(40) {
        let request: Option<Value> = loop {
            if let Some(frame) = incoming.next_frame(1 << 20).ok()? {
                break rmp_serde::from_slice(frame).ok();
            }
            read(&mut stream, &mut incoming)?;
        };
        for _ in 0..=random.below(3) {
            let answer = answer_to(request.as_ref(), random);
            let answer = if random.one_in(20) { anything(random, answer) } else { answer };
            stream.write_all(&answer).ok()?;
        }
    }
    Some(())
}

/// An answer that fits the call, or a message about streams.
fn answer_to(request: Option<&Value>, random: &mut Random) -> Vec<u8> {
    let call = request.and_then(|request| request.get("Request"));
    let mut bytes = Vec::new();
    match (call, random.below(4)) {
        (Some(call), 0..3) => {
            let method = call["message"].as_object().and_then(|message| message.keys().next());
            let value = match method.map(String::as_str) {
                Some("echo" | "letter") => json!("x"),
                _ => json!(random.below(4)),
            };
            let answer =
                json!({"request_id": call["id"], "message": {"Ok": {method.unwrap(): {"Ok": value}}}});
            frame::encode(&answer, usize::MAX, &mut bytes).unwrap();
        }
        (_, 0) => extension::put_end(random.below(4) as u64, None, &mut bytes),
        (_, 1) => extension::put_lag(random.below(4) as u64, 7, &mut bytes),
        _ => extension::put_item(random.below(4) as u64, 1, b"\x07", 100, &mut bytes).unwrap(),
    }
    bytes
}
