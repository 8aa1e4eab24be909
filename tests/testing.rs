//! `#[mikobase::test]`, used as a package of tests would use it: under libtest, many at once.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a test program")]

use std::collections::BTreeSet;
use std::process::{Command, Output};

use mikobase::prelude::*;

fn share_among(workers: usize) -> Result<(), Error> {
    let share = Uds::new()?.mikobase(workers, |db, worker| {
        db.create("test.org/item", &json!({"n": worker.index()}))?;
        Ok(std::process::id())
    })?;
    let processes: BTreeSet<_> = share.workers().iter().filter_map(|worker| worker.returned().ok()).collect();
    assert_eq!(processes.len(), workers);
    share.all_succeeded()
}

#[mikobase::test]
fn a_test_shares_among_workers() {
    share_among(3).unwrap();
}

#[mikobase::test]
fn a_test_returns_a_result() -> Result<(), Error> {
    share_among(2)
}

mod of_a_module {
    use super::*;

    const TEST: &str = "a constant of the module";

    fn body() -> u8 {
        7
    }

    #[mikobase::test]
    fn a_test_uses_what_its_module_imports_and_has() -> Result<(), Error> {
        assert_eq!((TEST, body()), ("a constant of the module", 7));
        share_among(1)
    }
}

#[mikobase::test]
#[should_panic(expected = "the warp core is offline")]
fn the_message_of_a_panic_arrives() {
    panic!("the warp core is {}", "offline");
}

#[mikobase::test]
#[should_panic(expected = "without a result")]
fn a_process_that_ends_early_has_failed() {
    std::process::exit(0);
}

#[mikobase::test]
#[ignore = "fails on purpose: `failures_are_shown` runs it"]
fn fails_with_output() {
    println!("to standard output");
    eprintln!("to standard error");
    assert_eq!(1, 2, "what is wrong");
}

#[mikobase::test]
#[ignore = "fails on purpose: `failures_are_shown` runs it"]
fn fails_with_an_error() -> Result<(), Error> {
    Err(Error::new(ErrorId::INTERNAL, "an error of the test"))
}

/// Runs tests of this file in another process, those that are ignored.
fn run_ignored(filter: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    Command::new(program).args(["--ignored", "--exact", filter]).output().unwrap()
}

#[test]
fn failures_are_shown() {
    for (test, said) in [
        ("fails_with_output", &["to standard output", "to standard error", "what is wrong"][..]),
        ("fails_with_an_error", &["an error of the test", "the test returned an error"]),
    ] {
        let output = run_ignored(test);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{text}");
        for said in said {
            assert!(text.contains(said), "{said}: {text}");
        }
    }
}

#[test]
fn an_ordinary_test_is_told_how_to_share() {
    let error = Uds::new().unwrap().mikobase(1, |_, _| Ok(())).unwrap_err();
    let error = Error::from(error);
    assert!(error.is(ErrorId::THREADS_RUNNING) && error.to_string().contains("#[mikobase::test]"), "{error}");
}
