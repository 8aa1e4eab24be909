//! Fuzzing of HTTP: clients send requests that were damaged, cut or run together, while another client is
//! served.
//!
//! A run has a fixed seed, which it prints; in the long mode a fresh one, for ten minutes.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{Auth, Http, HttpLimits, Share};

use crate::harness::{Case, is_long};
use crate::http_client::Client;
use crate::random::{self, Random};

pub const CASES: &[Case] = &[("damaged_requests_are_refused_in_order_and_harm_no_other_client", fuzz)];

const LONG: Duration = Duration::from_secs(600);

/// How many connections a short run makes.
const ROUNDS: usize = 400;

/// Hangs end the test.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What requests are made of: methods, paths, header fields and bodies.
const METHODS: &[&str] = &["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "get", "CONNECT", "PRI", ""];
const PATHS: &[&str] = &[
    "/health",
    "/q0",
    "/call/q0",
    "/call/begin",
    "/call/nothing",
    "/call/export",
    "/records/kirk",
    "/records/%ff",
    "/classes/a.b/c",
    "/schema",
    "/metrics",
    "/surface",
    "/worldlet",
    "/files",
    "/files/x",
    "/session",
    "/objects/1/commit",
    "/streams/18446744073709551616",
    "/changes?target=%7B",
    "*",
    "http://localhost/health",
    "/../..//",
    "",
];
const FIELDS: &[&str] = &[
    "host: localhost",
    "content-type: application/json",
    "content-length: 3",
    "content-length: -1",
    "content-length: 99999999999999999999",
    "content-length: 5, 5",
    "transfer-encoding: chunked",
    "transfer-encoding: gzip, chunked",
    "connection: close",
    "connection: upgrade",
    "upgrade: h2c",
    "expect: 100-continue",
    "accept: text/event-stream",
    "accept: application/x-ndjson",
    "accept-encoding: gzip",
    "content-encoding: gzip",
    "range: bytes=0-18446744073709551615",
    "if-none-match: *",
    "last-event-id: -9223372036854775808",
    "mikobase-session: 00",
    "authorization: Bearer x",
    ": no name",
    "no colon",
    " folded",
];
const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    r#"{"action": "select"}"#,
    r#"{"action": "create", "bucket": {"n": 1}}"#,
    r#"{"action": "transaction"}"#,
    r#"{"query": {"action": "select"}}"#,
    "3\r\n{}\n\r\n0\r\n\r\n",
    "ffffffffffffffff\r\n{}",
    "0\r\nhost: x\r\n\r\n",
    "\u{0}\u{1}",
];

fn fuzz() {
    let seed = random::given_seed().unwrap_or_else(|| if is_long() { random::fresh_seed() } else { 1984 });
    let (mut random, begun) = (Random::new(seed), Instant::now());
    let mut limits = HttpLimits::default();
    limits.head_timeout = TIMEOUT;
    let uds = Uds::new().unwrap().http_with(Http::new(Auth::Peer).limits(limits));
    let share: Share<'_, dyn Mikobase, (), _> = uds.spawn(0, |_, _| Ok(())).unwrap();
    let path = share.http_path();
    let mut other = Client::connect(&path);
    let mut statuses = std::collections::BTreeMap::new();
    let mut done = 0;
    while if is_long() { begun.elapsed() < LONG } else { done < ROUNDS } {
        let bytes = connection(&mut random);
        for status in statuses_of(&path, &bytes) {
            assert_ne!(status, 500, "{}", String::from_utf8_lossy(&bytes));
            *statuses.entry(status).or_insert(0) += 1;
        }
        assert_eq!(other.get("/health").status, 200);
        done += 1;
    }
    // Requests of all kinds have got through.
    for status in [200, 400, 404, 405, 415] {
        assert!(statuses.contains_key(&status), "{statuses:?}");
    }
    drop(other);
    share.join().unwrap();
}

/// The bytes of a connection: a few requests, of which some are damaged.
fn connection(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(4) {
        let mut request = request(random);
        if random.one_in(3) {
            damage(random, &mut request);
        }
        bytes.extend(request);
    }
    if random.one_in(4) {
        let cut = random.below(bytes.len() + 1);
        bytes.truncate(cut);
    }
    bytes
}

fn request(random: &mut Random) -> Vec<u8> {
    let body = *random.pick(BODIES);
    let version =
        if random.one_in(8) { *random.pick(&["HTTP/1.0", "HTTP/2.0", "HTTP/1", ""]) } else { "HTTP/1.1" };
    let method = if random.one_in(2) { "POST" } else { *random.pick(METHODS) };
    let mut text = format!("{method} {} {version}\r\n", random.pick(PATHS));
    if !random.one_in(8) {
        text.push_str(&format!(
            "host: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        ));
    }
    for _ in 0..random.below(4) {
        let field = *random.pick(FIELDS);
        text.push_str(field);
        text.push_str("\r\n");
    }
    if random.one_in(40) {
        text.push_str(&format!("x: {}\r\n", "y".repeat(random.size(100_000))));
    }
    if random.one_in(40) {
        text.push_str(&"x: y\r\n".repeat(random.below(300)));
    }
    format!("{text}\r\n{body}").into_bytes()
}

fn damage(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = (random.next() & 0xff) as u8,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, *random.pick(b"\r\n :;,\x00\x7f\xff%{")),
        }
    }
}

/// Sends bytes, closes that side, and reads until the server has closed the other one. The statuses of the
/// responses, each of which begins as one.
fn statuses_of(path: &Path, bytes: &[u8]) -> Vec<u16> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    // The server may have closed it before.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(fault) = stream.read_to_end(&mut answer) {
        assert_ne!(fault.kind(), std::io::ErrorKind::WouldBlock, "{}", String::from_utf8_lossy(bytes));
    }
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    let text = String::from_utf8_lossy(&answer);
    text.split("HTTP/1.").skip(1).filter_map(|head| head.get(2..5)?.parse().ok()).collect()
}
