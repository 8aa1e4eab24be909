//! The same tests, on every engine.
//!
//! Each of these runs the whole binary again, with another engine behind [`db`](crate::support::db).

use std::process::Command;

use crate::support::ENGINE;

#[track_caller]
fn all_tests_pass_on(engine: &str) {
    if std::env::var_os(ENGINE).is_some() {
        return;
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .env(ENGINE, engine)
        .args(["--skip", "engines::"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{ENGINE}={engine:?}:\n{told}");
}

#[test]
fn all_tests_pass_on_sqlite_in_a_file() {
    all_tests_pass_on("sqlite file");
}

#[test]
fn all_tests_pass_on_temporal_sqlite() {
    all_tests_pass_on("temporal sqlite");
}

#[test]
fn all_tests_pass_on_temporal_sqlite_in_a_file() {
    all_tests_pass_on("temporal sqlite file");
}

#[test]
fn all_tests_pass_on_a_temporal_worldlet_in_memory() {
    all_tests_pass_on("temporal worldlet");
}

#[test]
fn all_tests_pass_on_a_temporal_worldlet_in_a_file() {
    all_tests_pass_on("temporal worldlet file");
}

#[test]
fn all_tests_pass_on_a_worldlet_in_memory() {
    all_tests_pass_on("worldlet");
}

#[test]
fn all_tests_pass_on_a_worldlet_in_a_file() {
    all_tests_pass_on("worldlet file");
}
