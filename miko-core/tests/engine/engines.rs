//! Runs all tests on every engine.
//!
//! Each test here runs the whole binary again, with another engine behind [`db`](crate::support::db) or with
//! a share of one. In a share each database has its own server process, and the tests use a proxy.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, stdin};
use std::process::Command;

use miko_http::HttpUds;
use miko_shared::{Returning, Uds};
use proptest::prelude::ProptestConfig;

use crate::interleaving::SEED;
use crate::support::{
    ENGINE, SERVE, SQLITE_WITH_TINY_CACHES, SQLITE_WITHOUT_CACHES, TEMPORAL_SQLITE_WITH_TINY_CACHES, is_long,
};

/// The modules whose tests open their own engines or none, and so run only once. `support.rs` checks the
/// list.
pub(crate) const ENGINE_INDEPENDENT: &[&str] = &[
    "change_limits::",
    "commits::",
    "errors_page::",
    "file::",
    "history::",
    "live_query_limits::",
    "merging::",
    "name_history::",
    "unwritable::",
    "worldlet_file::",
];

/// Slow tests that do not depend on the engine: of the parser of requests, and of the tests themselves.
const SLOW_AND_ENGINE_INDEPENDENT: [&str; 3] = [
    "placeholders::the_expansion_of_placeholders_is_bounded",
    "batch::a_batch_of_too_many_requests_is_refused_as_a_whole",
    "interleaving::the_steps_reach_answers_of_every_kind",
];

/// The modules about requests, values and definitions. A share passes these on without reading them, and that
/// an engine keeps its state in a file is nothing to them. In CI they run on SQLite in a file and on the
/// engines in memory, and a sample of them on shares; in the long mode on all.
const DECIDED_BY_THE_ENGINE: &[&str] = &[
    "agreement::",
    "classes::",
    "columns::",
    "conditions::",
    "edits::",
    "faults::",
    "formats::",
    "hostile::",
    "indexes::",
    "markers::",
    "patterns::",
    "placeholders::",
    "property::",
    "references::",
    "refusals::",
    "regressions::",
    "reserved_keys::",
    "schema_agreement::",
    "schemas::",
    "scripts::",
    "select::",
    "sorting::",
    "uniqueness::",
    "validation::",
];

#[track_caller]
fn all_tests_pass_on(engine: &str) {
    all_tests_pass_without(&[], engine);
}

/// As [`all_tests_pass_on`]; in CI without the modules of [`DECIDED_BY_THE_ENGINE`].
#[track_caller]
fn all_other_tests_pass_on(engine: &str) {
    all_tests_pass_without(if is_long() { &[] } else { DECIDED_BY_THE_ENGINE }, engine);
}

#[track_caller]
fn all_tests_pass_without(modules: &[&str], engine: &str) {
    if std::env::var_os(ENGINE).is_some() {
        return;
    }
    let mut run = run_on(engine);
    run.args(["--skip", "engines::"]);
    // The sizes of the caches also apply to the engines that tests open themselves, but not to shares.
    if !engine.ends_with("caches") || engine.contains("share") {
        run.args(ENGINE_INDEPENDENT.iter().flat_map(|module| ["--skip", module]));
    }
    run.args(SLOW_AND_ENGINE_INDEPENDENT.iter().chain(modules).flat_map(|test| ["--skip", test]));
    check_passes(engine, run);
}

/// This binary, to be run on an engine.
fn run_on(engine: &str) -> Command {
    let mut run = Command::new(std::env::current_exe().unwrap());
    // Fewer generated cases than in this process; in a share each of them starts a process.
    let cases = ProptestConfig::default().cases / if engine.contains("share") { 32 } else { 8 };
    run.env(ENGINE, engine).env("PROPTEST_CASES", cases.max(1).to_string());
    run
}

#[track_caller]
fn check_passes(engine: &str, mut run: Command) {
    let run = run.output().unwrap();
    let output = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{ENGINE}={engine:?}:\n{output}");
}

/// Runs about one of this many tests on an engine. `MIKOBASE_SEED` says which.
#[track_caller]
fn a_sample_passes_on(engine: &str, one_of: u64) {
    if std::env::var_os(ENGINE).is_some() {
        return;
    }
    let seed = std::env::var(SEED).map_or(1966, |seed| seed.parse::<u64>().unwrap());
    let listed = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format=terse"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let is_skipped = |test: &str| {
        let modules = ENGINE_INDEPENDENT.iter().chain(&["engines::"]);
        modules.into_iter().any(|module| test.starts_with(module))
            || SLOW_AND_ENGINE_INDEPENDENT.contains(&test)
    };
    let tests = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let sample: Vec<&str> = tests
        .filter(|test| {
            let mut hasher = DefaultHasher::new();
            (seed, test).hash(&mut hasher);
            !is_skipped(test) && hasher.finish().is_multiple_of(one_of)
        })
        .collect();
    assert!(sample.len() > 10, "{sample:?}");
    let mut run = run_on(engine);
    run.arg("--exact").args(sample);
    check_passes(engine, run);
}

#[test]
fn all_tests_pass_on_sqlite_in_a_file() {
    all_tests_pass_on("sqlite file");
}

#[test]
#[ignore = "in the long mode: in CI the engine on temporal SQLite has no caches"]
fn all_tests_pass_on_sqlite_without_caches() {
    all_tests_pass_on(SQLITE_WITHOUT_CACHES);
}

#[test]
#[ignore = "in the long mode: in CI the engine on SQLite in a file has tiny caches"]
fn all_tests_pass_on_sqlite_with_tiny_caches() {
    all_tests_pass_on(SQLITE_WITH_TINY_CACHES);
}

#[test]
#[ignore = "in the long mode: in CI the engine on SQLite in a file has tiny caches"]
fn all_tests_pass_on_temporal_sqlite_with_tiny_caches() {
    all_tests_pass_on(TEMPORAL_SQLITE_WITH_TINY_CACHES);
}

#[test]
#[ignore = "in the long mode: the proxy and the server are those of the other shares"]
fn all_tests_pass_on_a_share_of_sqlite_with_tiny_caches() {
    all_tests_pass_on("share of sqlite with tiny caches");
}

#[test]
fn all_tests_pass_on_temporal_sqlite() {
    all_tests_pass_on("temporal sqlite");
}

#[test]
fn all_tests_pass_on_temporal_sqlite_in_a_file() {
    all_other_tests_pass_on("temporal sqlite file");
}

#[test]
fn all_tests_pass_on_a_temporal_worldlet_in_memory() {
    all_tests_pass_on("temporal worldlet");
}

#[test]
fn all_tests_pass_on_a_temporal_worldlet_in_a_file() {
    all_other_tests_pass_on("temporal worldlet file");
}

#[test]
fn all_tests_pass_on_a_worldlet_in_memory() {
    all_tests_pass_on("worldlet");
}

#[test]
fn all_tests_pass_on_a_worldlet_in_a_file() {
    all_other_tests_pass_on("worldlet file");
}

/// The engine on the simplest storage: shows that the tests depend on the trait of a storage, not on SQLite.
#[test]
fn all_tests_pass_on_naive_storage() {
    all_tests_pass_on("naive");
}

#[test]
#[ignore = "in the long mode: the store and its tests are those of the other temporal engines"]
fn all_tests_pass_on_temporal_naive_storage() {
    all_tests_pass_on("temporal naive");
}

#[test]
fn all_tests_pass_on_a_share_of_sqlite() {
    all_other_tests_pass_on("share of sqlite");
}

#[test]
fn a_sample_of_the_tests_passes_on_a_share_of_sqlite() {
    a_sample_passes_on("share of sqlite", 6);
}

#[test]
#[ignore = "in the long mode: the proxy and the server are those of the other shares"]
fn all_tests_pass_on_a_share_of_sqlite_in_a_file() {
    all_tests_pass_on("share of sqlite file");
}

#[test]
#[ignore = "in the long mode: the proxy and the server are those of the other shares"]
fn all_tests_pass_on_a_share_of_a_worldlet_in_a_file() {
    all_tests_pass_on("share of worldlet file");
}

#[test]
#[ignore = "in the long mode: the proxy and the server are those of the other shares"]
fn all_tests_pass_on_a_share_of_temporal_sqlite() {
    all_tests_pass_on("temporal share of sqlite");
}

#[test]
fn all_tests_pass_on_a_share_of_a_temporal_worldlet() {
    all_other_tests_pass_on("temporal share of worldlet");
}

#[test]
fn a_sample_of_the_tests_passes_on_a_share_over_http() {
    a_sample_passes_on("http share of sqlite", 12);
}

#[test]
#[ignore = "in the long mode: in CI a sample"]
fn all_tests_pass_on_a_share_over_http() {
    all_tests_pass_on("http share of sqlite");
}

#[test]
#[ignore = "in the long mode: in CI a sample, of a share of SQLite"]
fn all_tests_pass_on_a_share_of_a_temporal_worldlet_over_http() {
    all_tests_pass_on("temporal http share of worldlet");
}

/// Not a test, but the server process of tests: it shares a database until its input ends.
#[test]
fn serves_a_share() {
    let Ok(backend) = std::env::var(SERVE) else { return };
    let uds = Uds::new().unwrap().backend(&backend).unwrap().returning(Returning::Nothing).http(true);
    // SAFETY: the other thread of this process waits for this one and holds no lock.
    let uds = unsafe { uds.allow_threads(true) };
    let share = uds.spawn::<()>(0, |_, _| Ok(())).unwrap();
    println!("at {} {} {}", uds.path().display(), uds.token().to_hex(), uds.http_path().display());
    stdin().read_to_end(&mut Vec::new()).unwrap();
    share.join().unwrap();
}
