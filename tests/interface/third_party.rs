//! A package outside the workspace that depends on `mikobase` alone.

use std::path::Path;
use std::process::Command;

use crate::cargo::{Package, WORKSPACE, built, call_version, printed};
use crate::library::outside;

fn package() -> Package {
    let package = outside("abacus", "2021");
    package.add("src", &Path::new(WORKSPACE).join("tests/interface/third_party/src"));
    package
}

#[test]
fn it_shares_its_own_interface_and_versions_of_it_talk_if_they_fit() {
    let package = package();
    let unrecorded = package.cargo(&["build", "--bin", "whole"]);
    assert!(printed(&unrecorded).contains("To record the surface, build once with `MIKOBASE_RECORD=1`"));
    let output = package.cargo_recording(&["build", "--bins"]);
    assert!(output.status.success(), "{}", printed(&output));

    let output = Command::new(built("whole")).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "an engine: 2\nfour workers: 48\nthe surface: 1.0.0 slide(wire: &str, beads: i64) -> Result<i64>\n",
        "{output:?}"
    );

    for (server, client, expected) in [
        ("first", "first", "2"),
        ("grown", "first", "2"),
        ("grown", "grown", "2"),
        ("first", "grown", "the server does not have all that the client may call: reset differ."),
        ("changed", "first", "the server does not have all that the client may call: slide differ."),
        ("grown", "changed", "the server does not have all that the client may call: slide differ."),
    ] {
        let answer = call_version("versions", client, server);
        assert!(answer.contains(expected), "a {client} client on a {server} server: {answer}");
        assert_eq!(answer.contains("surface-mismatch"), expected != "2", "{answer}");
    }
}
