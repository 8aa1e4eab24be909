//! Tests in a process of their own, in which nothing has started a thread. `#[mikobase::test]` uses it.
//!
//! The race: libtest runs a test in a second thread, and a fork is sound only where there is one thread. So the
//! test starts its program again, and its body runs there as an initializer (`.init_array`), before `main`.

use std::env;
use std::fs;
use std::io::{self, Read, Seek};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio, Termination};

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use tempfile::NamedTempFile;

/// The test whose body a process is to run.
const TEST: &str = "MIKOBASE_TEST";
/// The file that the process writes the result to.
const RESULT: &str = "MIKOBASE_TEST_RESULT";

/// What the file holds when the test passed. Anything else is the message of a failure.
const PASSED: &str = "passed";
const FAILURE: &str = "failed: ";

/// Runs the body of `test` in a process of its own.
///
/// # Panics
/// If the body panics, with its message; if it returns an error, or ends without a result.
pub fn run_in_own_process(test: &str) {
    if let Err(message) = start(test).unwrap_or_else(|fault| Err(format!("the test cannot be run: {fault}")))
    {
        panic!("{message}");
    }
}

/// The result of the body: the message, if it failed.
fn start(test: &str) -> io::Result<Result<(), String>> {
    let result = NamedTempFile::new()?;
    // A file and not a pipe: a process that the body leaves behind may keep it open.
    let mut output = tempfile::tempfile()?;
    let status = Command::new(env::current_exe()?)
        // What libtest does, should the initializer be missing.
        .arg("--list")
        .env(TEST, test)
        .env(RESULT, result.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()?;
    show(&mut output)?;
    let text = fs::read_to_string(result.path())?;
    Ok(match text.strip_prefix(FAILURE) {
        Some(message) => Err(message.to_owned()),
        None if text == PASSED => Ok(()),
        None => Err(format!("the process of the test ended without a result: {status}")),
    })
}

/// Prints what the body printed, so that libtest shows it if the test fails.
#[expect(
    clippy::print_stdout,
    reason = "libtest captures what is printed, and nothing that is written to stdout()"
)]
fn show(output: &mut fs::File) -> io::Result<()> {
    let mut text = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut text)?;
    print!("{}", String::from_utf8_lossy(&text));
    Ok(())
}

/// Runs `body` and ends the process, if this is the process of `test`. Called before `main`.
pub fn run_if_started_for<T: Termination>(test: &str, body: fn() -> T) {
    if env::var_os(TEST).is_none_or(|started| started != test) {
        return;
    }
    let result: Option<PathBuf> = env::var_os(RESULT).map(Into::into);
    for name in [TEST, RESULT] {
        // SAFETY: No other thread reads the environment: `main` has not begun, so there is none.
        unsafe { env::remove_var(name) };
    }
    // A test that is killed takes its process with it. Without that it ends a little later.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // As Rust's runtime does it before `main`: to write to a closed pipe is an error.
    // SAFETY: No handler is installed.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let text = match panic::catch_unwind(AssertUnwindSafe(|| body().report())) {
        Ok(code) if code == ExitCode::SUCCESS => PASSED.to_owned(),
        Ok(_) => format!("{FAILURE}the test returned an error"),
        Err(payload) => format!("{FAILURE}{}", message_of(&*payload)),
    };
    let written = result.is_some_and(|path| fs::write(path, text).is_ok());
    std::process::exit(i32::from(!written))
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
