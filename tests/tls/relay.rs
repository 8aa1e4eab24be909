//! A program between a client and its server, which passes on what both send.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mikobase::prelude::*;
use mikobase::{HttpMikobase, HttpServer};

use crate::server::{Server, certificate};

/// A relay, in threads of this process, which end with it.
struct Relay {
    port: u16,
    /// How many connections it has passed on.
    connections: Arc<AtomicUsize>,
}

impl Relay {
    /// Passes on connections to this port of the machine; each ends when `limit` bytes have come from there.
    fn to(port: u16, limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { port: listener.local_addr().unwrap().port(), connections: Arc::default() };
        let connections = Arc::clone(&relay.connections);
        thread::spawn(move || {
            for client in listener.incoming() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass_on(from_client, to_server, usize::MAX));
                thread::spawn(move || pass_on(server, client, limit));
            }
        });
        relay
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, limit: usize) {
    let mut buffer = [0; 16 << 10];
    let mut passed = 0;
    while let Ok(count) = from.read(&mut buffer)
        && count > 0
        && passed < limit
        && to.write_all(&buffer[..count]).is_ok()
    {
        passed += count;
    }
    // A failure means that the other side has gone.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn connect_by(relay: &Relay, server: &Server) -> HttpMikobase {
    let address = HttpServer::at(&format!("https://localhost:{}", relay.port)).unwrap();
    let address = address.ca_file(certificate("ca.pem")).unwrap().token(&server.token);
    HttpMikobase::connect_http(&address).unwrap()
}

#[test]
fn connections_are_used_again() {
    let server = Server::start("server");
    let relay = Relay::to(server.port, usize::MAX);
    let db = connect_by(&relay, &server);
    for n in 0..20 {
        let pk = db.create("test.org/item", &json!({"n": n})).unwrap();
        assert_eq!(db.hot(&pk).get(["n"]).unwrap(), Some(json!(n)));
    }
    assert_eq!(relay.connections.load(Ordering::Relaxed), 2, "one has the session");
    server.stop();
}

#[test]
fn an_answer_that_is_cut_off_is_none() {
    let server = Server::start("server");
    let text = "x".repeat(1 << 20);
    let pk = server.connect("ca").unwrap().create("test.org/item", &json!({"text": text})).unwrap();
    let relay = Relay::to(server.port, 500 << 10);
    let error = connect_by(&relay, &server).record_by_pk(&pk).unwrap_err();
    assert!(error.is(ErrorId::SERVER_GONE), "{error}");
    server.stop();
}
