//! The proxy of HTTP with servers that a test has written, which do what no proper server does.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::rpc::{Interface, Surface};
use mikobase::{HttpServer, Limits};
use tempfile::TempDir;

use crate::harness::Case;
use crate::http_client::Client;
use crate::office::Office;
use crate::office::office_rpc::OfficeClient;
use crate::turnstile::Turnstile;
use crate::turnstile::turnstile_rpc::TurnstileClient;

pub const CASES: &[Case] = &[
    ("a_session_that_the_server_does_not_know_is_replaced", unknown_session),
    ("one_release_waits_for_a_server_that_hangs_and_the_others_do_not", hanging),
    ("a_deadline_holds_while_heads_keep_coming", flood_of_heads),
    ("a_stream_is_polled_while_comments_keep_coming", flood_of_comments),
    ("a_connect_is_not_repeated_with_a_server_that_speaks_something_else", other_protocol),
];

/// A server in threads of this process, which end with it.
struct Strange {
    folder: TempDir,
    /// How many connections it has accepted.
    accepted: Arc<AtomicUsize>,
}

/// Answers a request by what it writes.
type Answer = fn(&Request, &mut UnixStream);

struct Request {
    line: String,
    /// The session that it names.
    session: String,
}

impl Strange {
    fn start(surface: &'static Surface, answer: Answer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let accepted = Arc::<AtomicUsize>::default();
        let listener = UnixListener::bind(folder.path().join("s")).unwrap();
        let count = Arc::clone(&accepted);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(stream.unwrap(), number, surface, answer));
            }
        });
        Self { folder, accepted }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("s")
    }
}

/// Opens a session whose id is the number of its connection, and leaves all other requests to `answer`.
fn serve(stream: UnixStream, number: usize, surface: &Surface, answer: Answer) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = Client { stream: std::io::BufReader::new(stream) };
    while let Some(line) = reader.line() {
        let headers = reader.fields();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        std::io::copy(&mut reader.stream.by_ref().take(length), &mut std::io::sink()).unwrap();
        if line.starts_with("POST /session ") {
            let body = format!("{{\"session\":\"{number:02x}\"}}\n");
            let fingerprint = surface.fingerprint();
            let head = format!("mikobase-surface: {fingerprint}\r\ntransfer-encoding: chunked");
            let opened = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{:x}\r\n{body}\r\n", body.len());
            writer.write_all(opened.as_bytes()).unwrap();
        } else {
            let session = headers.get("mikobase-session").cloned().unwrap_or_default();
            answer(&Request { line, session }, &mut writer);
        }
    }
}

fn respond(stream: &mut UnixStream, status: &str, body: &str) {
    let response = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(response.as_bytes()).unwrap();
}

/// Writes the same until the client leaves.
fn flood(stream: &mut UnixStream, text: &str) {
    let text = text.repeat(1000);
    while stream.write_all(text.as_bytes()).is_ok() {}
}

fn turnstile(path: &Path) -> TurnstileClient {
    TurnstileClient::connect_http(&HttpServer::unix(path)).unwrap()
}

fn unknown_session() {
    let answer: Answer = |request, stream| {
        // As if a program between both had lost the first session.
        let gone = r#"{"success":false,"errors":[{"id":"session-gone","details":{"message":"gone"}}]}"#;
        if request.session == "00" {
            respond(stream, "410 Gone", gone);
        } else if request.line.starts_with("POST /call/jam ") {
            respond(stream, "410 Gone\r\nmikobase-failure: method", gone);
        } else {
            respond(stream, "200 OK", "7");
        }
    };
    let server = Strange::start(<dyn Turnstile as Interface>::surface(), answer);
    let repeatable = turnstile(&server.path());
    assert_eq!(repeatable.count().unwrap(), 7, "it is repeated in a new session");
    let jam = repeatable.jam().unwrap_err();
    let before = server.accepted.load(Ordering::Relaxed);
    assert!(jam.is(ErrorId::SESSION_GONE), "{jam}");
    assert_eq!(repeatable.pass().unwrap(), 7);
    assert_eq!(server.accepted.load(Ordering::Relaxed), before, "an error of a method ends no session");
    let server = Strange::start(<dyn Turnstile as Interface>::surface(), answer);
    let once = turnstile(&server.path());
    let error = once.pass().unwrap_err();
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    assert_eq!(once.pass().unwrap(), 7, "the next call has a new session");
}

fn hanging() {
    let answer: Answer = |request, stream| {
        if request.line.starts_with("POST ") {
            respond(stream, "200 OK", r#"{"object":1}"#);
        }
    };
    let server = Strange::start(<dyn Office as Interface>::surface(), answer);
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(500);
    let office = OfficeClient::connect_http(&HttpServer::unix(server.path()).limits(limits.clone())).unwrap();
    let desks: Vec<_> = (0..20).map(|_| office.desk("a").unwrap()).collect();
    let started = Instant::now();
    drop(desks);
    let took = started.elapsed();
    assert!(limits.call_deadline <= took && took < 10 * limits.call_deadline, "{took:?}");
}

fn flood_of_heads() {
    let answer: Answer = |_, stream| flood(stream, "HTTP/1.1 102 Processing\r\n\r\n");
    let server = Strange::start(<dyn Turnstile as Interface>::surface(), answer);
    let error = turnstile(&server.path()).queue().unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
}

fn flood_of_comments() {
    let answer: Answer = |request, stream| {
        if request.line.starts_with("GET /streams/1 ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
            flood(stream, "4\r\n: x\n\r\n");
        } else {
            respond(stream, "200 OK", r#"{"stream":1}"#);
        }
    };
    let server = Strange::start(<dyn Office as Interface>::surface(), answer);
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(200);
    let office = OfficeClient::connect_http(&HttpServer::unix(server.path()).limits(limits)).unwrap();
    let mut numbers = office.numbers(1, "").unwrap();
    for _ in 0..10 {
        assert!(numbers.try_recv().is_pending());
    }
}

fn other_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let accepting = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 ready\r\n").unwrap();
        // What was not read resets the connection, which may reach the client first.
        drop(stream);
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let error = TurnstileClient::connect_http(&HttpServer::unix(folder.path().join("s"))).unwrap_err();
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    assert!(accepting.join().unwrap().accept().is_err(), "it has connected once");
}
