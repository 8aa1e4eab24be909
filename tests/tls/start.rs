//! What a server refuses at its start.

use std::process::Command;

use crate::server::certificate;

/// Runs `miko serve` with options that it refuses. Returns the exit code and what it says.
fn refused(options: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_miko"));
    command.args(["serve", "crew.db"]).args(options).current_dir(folder.path());
    let output = command.env("MIKOBASE_TOKEN", "0".repeat(64)).output().unwrap();
    assert!(!folder.path().join("crew.db").exists(), "a server that is refused creates no file");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn files_that_are_no_certificate_and_its_key_are_refused_by_name() {
    let path = |name: &str| certificate(name).to_str().unwrap().to_owned();
    for (chain, key, said, named) in [
        ("nothing.pem", "server.key", "cannot be read", "nothing.pem"),
        ("server.pem", "nothing.key", "cannot be read", "nothing.key"),
        ("server.key", "server.key", "has no certificate", "server.key"),
        ("make.sh", "server.key", "has no certificate", "make.sh"),
        ("server.pem", "server.pem", "has no private key", "server.pem"),
        ("server.pem", "elsewhere.key", "is not that of the certificate", "elsewhere.key"),
        ("server.pem", "renewed.key", "is not that of the certificate", "renewed.key"),
    ] {
        let (chain, key) = (path(chain), path(key));
        let (code, error) =
            refused(&["--tcp", "127.0.0.1:0", "--auth", "token", "--tls-cert", &chain, "--tls-key", &key]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains(said) && error.contains(named), "{error}");
    }
}

#[test]
fn both_files_are_needed_and_a_socket_by_tcp() {
    let by_tcp = ["--tcp", "127.0.0.1:0", "--auth", "token"];
    let (chain, key) = (["--tls-cert", "server.pem"], ["--tls-key", "server.key"]);
    for options in [
        [&by_tcp[..], &chain].concat(),
        [&by_tcp[..], &key].concat(),
        [&["--socket", "s"][..], &chain, &key].concat(),
    ] {
        let (code, error) = refused(&options);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("--tls-"), "{error}");
    }
}
