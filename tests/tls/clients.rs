//! Clients that speak TLS, and what they refuse.

use std::process::Command;

use mikobase::prelude::*;
use mikobase::{HttpMikobase, HttpServer, q0::Select};
use nix::sys::signal::{Signal, raise};

use crate::server::{Server, certificate, is_installed};

/// More than a socket holds, so that reading and writing have to wait.
const LARGE: usize = 6 << 20;

#[test]
fn a_proxy_does_over_tls_what_it_does_without() {
    for (name, ca, host, size) in [
        ("server", "ca", "localhost", LARGE),
        ("server", "ca", "127.0.0.1", 1),
        ("renewed", "other-ca", "localhost", 1),
    ] {
        let server = Server::start(name);
        let db = HttpMikobase::connect_http(&server.at(host, ca)).unwrap();
        let pk = db.create("test.org/item", &json!({"n": 1})).unwrap();
        db.transaction(|tx| {
            tx.hot(&pk).increment(["n"], 1)?;
            tx.commit()
        })
        .unwrap();
        assert_eq!(db.hot(&pk).get(["n"]).unwrap(), Some(json!(2)));
        let text = "x".repeat(size);
        let large = db.create("test.org/large", &json!({"text": text})).unwrap();
        assert_eq!(db.hot(&large).get(["text"]).unwrap(), Some(json!(text)));
        let mut changes = db.listen("test.org/item").unwrap();
        let many: Vec<_> = (0..2000).map(|n| json!({"n": n})).collect();
        db.create_all("test.org/item", &many).unwrap();
        assert_eq!(changes.recv().unwrap().unwrap().kind, ChangeKind::Create);
        assert_eq!(db.iter(Select::class("test.org/item")).unwrap().count(), 2001);
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let file = db.put_file(&mut &*bytes, "application/octet-stream").unwrap();
        let mut read = Vec::new();
        std::io::copy(&mut db.file(&file).unwrap(), &mut read).unwrap();
        assert!(read == bytes);
        drop((changes, db));
        server.stop();
    }
}

#[test]
fn a_server_that_cannot_be_trusted_is_refused_by_name() {
    let server = Server::start("server");
    let elsewhere = Server::start("elsewhere");
    let expired = Server::start("expired");
    let plain = Server::start_by(&[]);
    let of_system = HttpServer::at(&format!("https://localhost:{}", server.port)).unwrap();
    for (asked, said) in [
        (
            server.at("localhost", "other-ca"),
            "is signed by an authority that the file of `ca_file` does not have",
        ),
        (of_system, "`ca_file`"),
        (elsewhere.at("localhost", "ca"), "is not for `localhost`"),
        (elsewhere.at("127.0.0.1", "ca"), "is not for `127.0.0.1`"),
        (expired.at("localhost", "ca"), "has expired"),
        (plain.at("localhost", "ca"), "does not speak TLS"),
    ] {
        let error = HttpMikobase::connect_http(&asked).unwrap_err();
        assert!(error.is(ErrorId::TLS_FAILED), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    let without = HttpServer::at(&format!("http://localhost:{}", server.port)).unwrap();
    let error = HttpMikobase::connect_http(&without.token(&server.token)).unwrap_err();
    assert!(error.to_string().contains("this server speaks TLS"), "{error}");
    assert!(server.connect("ca").is_ok());
}

#[test]
fn authorities_are_read_from_a_file_for_https_alone() {
    let plain = HttpServer::at("http://localhost").unwrap().ca_file(certificate("ca.pem")).unwrap_err();
    assert!(plain.is(ErrorId::INVALID_REQUEST), "{plain}");
    for (name, said) in [("nothing.pem", "cannot be read"), ("server.key", "has no certificate")] {
        let server = HttpServer::at("https://localhost").unwrap();
        let error = server.ca_file(certificate(name)).unwrap_err();
        assert!(error.is(ErrorId::INVALID_REQUEST), "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains(name), "{error}");
    }
}

#[mikobase::test]
fn without_a_file_the_authorities_are_those_of_the_system() {
    let server = Server::start("server");
    let connect = |ca: &str| {
        // SAFETY: this process has no other thread.
        unsafe { std::env::set_var("SSL_CERT_FILE", certificate(ca)) };
        let address = HttpServer::at(&format!("https://localhost:{}", server.port)).unwrap();
        HttpMikobase::connect_http(&address.token(&server.token))
    };
    connect("ca.pem").unwrap();
    let error = connect("other-ca.pem").unwrap_err();
    assert!(error.is(ErrorId::TLS_FAILED), "{error}");
    assert!(error.to_string().contains("an authority that the system does not know"), "{error}");
}

#[mikobase::test]
fn a_fork_opens_a_session_of_its_own_and_the_transaction_of_one_that_is_killed_is_rolled_back() {
    let server = Server::start("server");
    let inherited = server.connect("ca").unwrap();
    let share = Uds::new()
        .unwrap()
        .mikobase(3, |_, worker| {
            inherited.create("test.org/item", &json!({"worker": worker.index()}))?;
            if worker.index() == 0 {
                inherited.transaction(|tx| {
                    tx.create("test.org/item", &json!({"worker": "dead"}))?;
                    raise(Signal::SIGKILL).unwrap();
                    Ok(())
                })?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(share.workers().iter().filter(|worker| worker.returned().is_ok()).count(), 2);
    inherited.create("test.org/item", &json!({"worker": "parent"})).unwrap();
    assert_eq!(inherited.by_class("test.org/item").unwrap().count(), 4);
}

#[test]
fn curl_speaks_both_versions_and_no_older_one() {
    if !is_installed("curl") {
        return;
    }
    let server = Server::start("server");
    for (options, is_served) in
        [(&["--tlsv1.3"][..], true), (&["--tls-max", "1.2"], true), (&["--tls-max", "1.1"], false)]
    {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--cacert"]).arg(certificate("ca.pem")).args(options);
        let output = curl.arg(format!("https://localhost:{}/health", server.port)).output().unwrap();
        assert_eq!(output.status.success(), is_served, "{options:?}: {output:?}");
        assert_eq!(output.stdout, if is_served { &br#"{"status":"ok"}"#[..] } else { b"" });
    }
    server.stop();
}
