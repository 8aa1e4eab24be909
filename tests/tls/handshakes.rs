//! Clients that do not speak TLS, or do not complete the handshake.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use mikobase::prelude::*;
use mikobase::{
    Auth, Http, HttpMikobase, HttpServer, Limits, ProtocolSocket, StandaloneServer, TlsCertificate, Token,
    backend,
};

use crate::server::{PATIENCE, Server, certificate};

/// The first bytes of a handshake: a record that announces 512 bytes.
const BEGUN: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

fn open(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What the server sends until it closes the connection. One that it resets has ended, too.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    match stream.read_to_end(&mut sent) {
        Ok(_) => {}
        Err(fault) => assert_eq!(fault.kind(), ErrorKind::ConnectionReset, "{fault}"),
    }
    sent
}

#[test]
fn http_without_tls_is_refused_by_name() {
    let server = Server::start("server");
    for request in
        ["GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", "G", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let mut stream = open(server.port);
        stream.write_all(request.as_bytes()).unwrap();
        let answer = String::from_utf8(until_closed(stream)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_request"), "{answer}");
        assert!(answer.contains("this server speaks TLS"), "{answer}");
    }
    server.stop();
}

#[test]
fn bytes_that_are_no_handshake_end_their_connection_alone() {
    let server = Server::start("server");
    let db = server.connect("ca").unwrap();
    let garbage: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x16",
        BEGUN,
        b"\x16\x03\x01\xff\xff\x01",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x80\x2e\x01\x00\x02",
        b"\x17\x03\x03\x00\x05hello",
        &[b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc", &garbage[..0x3ffc]].concat(),
        &[b"\x16", &garbage[..]].concat(),
        &[b"\x00", &garbage[..]].concat(),
    ] {
        let mut stream = open(server.port);
        // The server may have closed it before all was sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        until_closed(stream);
        assert_eq!(db.by_class("test.org/item").unwrap().count(), 0);
    }
    server.stop();
}

#[test]
fn handshakes_that_are_not_completed_take_a_part_of_the_connections() {
    let server = Server::start("server");
    let known = server.connect("ca").unwrap();
    let begun: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = open(server.port);
            stream.write_all(BEGUN).unwrap();
            stream
        })
        .collect();
    // A quarter of the limit of 1024: the first ones make room.
    let mut begun = begun.into_iter();
    assert_eq!(until_closed(begun.next().unwrap()), b"");
    known.create("test.org/item", &json!({})).unwrap();
    let another = server.connect("ca").unwrap();
    assert_eq!(another.by_class("test.org/item").unwrap().count(), 1);
    server.stop();
}

#[test]
fn a_handshake_has_a_limit_of_time() {
    let port = serve_in_a_thread(Duration::from_millis(200));
    for bytes in [&b""[..], BEGUN] {
        let started = Instant::now();
        let mut stream = open(port);
        stream.write_all(bytes).unwrap();
        assert_eq!(until_closed(stream), b"");
        assert!(started.elapsed() >= Duration::from_millis(200));
    }
}

/// A server of the library, in a thread that lives as long as this process. It bounds a handshake by `limit`.
fn serve_in_a_thread(limit: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let token = Token::random().unwrap();
    let of_server = token.clone();
    thread::spawn(move || {
        let tls = TlsCertificate::read(certificate("server.pem"), certificate("server.key")).unwrap();
        let http = Rc::new(Http::new(Auth::Token(of_server)).tls(&tls));
        let mut limits = Limits::default();
        limits.handshake = limit;
        let server = StandaloneServer::new().unwrap().limits(limits);
        let engine = backend::open("mikobase.uno/sqlite/memory").unwrap();
        server
            .protocol(ProtocolSocket::tcp(listener, http))
            .run_mikobase(engine, None, None, |_| Ok(()))
            .unwrap();
    });
    let address = HttpServer::at(&format!("https://localhost:{port}")).unwrap();
    let address = address.ca_file(certificate("ca.pem")).unwrap().token(&token);
    HttpMikobase::connect_http(&address).unwrap();
    port
}

#[test]
fn a_server_that_does_not_complete_the_handshake_is_not_waited_for_longer_than_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut limits = Limits::default();
    limits.call_deadline = Duration::from_millis(200);
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let server = HttpServer::at(&url).unwrap().ca_file(certificate("ca.pem")).unwrap().limits(limits);
    let error = HttpMikobase::connect_http(&server).unwrap_err();
    assert!(error.is(ErrorId::DEADLINE_EXCEEDED), "{error}");
    // One that closes the connection.
    let closing = thread::spawn(move || {
        // The first is that of the client which has given up.
        for _ in 0..2 {
            drop(listener.accept().unwrap());
        }
    });
    let error = HttpMikobase::connect_http(&server).unwrap_err();
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    closing.join().unwrap();
}
