//! A certificate that is renewed while the server runs.

use std::fs;

use mikobase::prelude::*;
use nix::sys::signal::Signal;

use crate::server::{Server, folder_with, renew};

#[test]
fn sighup_takes_a_renewed_certificate_and_keeps_the_old_one_if_the_new_one_is_bad() {
    let folder = folder_with("server");
    let [chain, key] = ["server.pem", "server.key"].map(|name| folder.path().join(name));
    let mut server = Server::start_with(&chain, &key);
    let before = server.connect("ca").unwrap();

    renew(folder.path(), "renewed");
    server.signal(Signal::SIGHUP);
    assert_eq!(server.line(), "miko: the certificate was read again");
    assert!(server.connect("ca").unwrap_err().is(ErrorId::TLS_FAILED));
    let after = server.connect("other-ca").unwrap();

    // Half of a renewal, and none.
    for bad in ["elsewhere.pem", "nothing"] {
        match bad {
            "nothing" => fs::remove_file(&chain).unwrap(),
            bad => drop(fs::copy(crate::server::certificate(bad), &chain).unwrap()),
        }
        server.signal(Signal::SIGHUP);
        let line = server.line();
        assert!(
            line.starts_with("miko: the old certificate stays: ") && line.contains("server.pem"),
            "{line}"
        );
        server.connect("other-ca").unwrap();
    }

    // Connections that were open go on.
    before.create("test.org/item", &json!({})).unwrap();
    assert_eq!(after.by_class("test.org/item").unwrap().count(), 1);
    server.stop();
}

#[test]
fn without_tls_sighup_ends_the_server_as_before() {
    let mut server = Server::start_by(&[]);
    server.signal(Signal::SIGHUP);
    assert_eq!(server.line(), "", "it has ended");
}
