//! Runs a test in its own process, in which no other thread was started. The code that `#[mikobase::test]`
//! generates calls this module.
//!
//! libtest runs a test in a second thread, and a fork is sound only in a process with one thread. The test
//! therefore executes its program again ([`run_in_own_process`]). The body of the test runs in the
//! new process as an initializer (`.init_array`), before `main` ([`run_if_started_for`]).

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio, Termination};

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};

/// The environment variable with the name of the test whose body a process has to run.
const TEST: &str = "MIKOBASE_TEST";
/// The environment variable with the path of the file to which this process writes the result of the test.
const RESULT: &str = "MIKOBASE_TEST_RESULT";

/// The content of the file if the test passed.
const PASSED: &str = "passed";
/// The prefix of the message in the file if the test failed.
const FAILURE: &str = "failed: ";

/// Runs the body of `test` in its own process.
///
/// # Panics
/// If the body panics, with its message; if the body returns an error; if the process cannot be run, or ends
/// without a result.
pub fn run_in_own_process(test: &str) {
    let result = run_and_read_result(test);
    if let Err(message) = result.unwrap_or_else(|fault| Err(format!("the test cannot be run: {fault}"))) {
        panic!("{message}");
    }
}

/// Runs the body of `test` in a process and reads its result. The inner result is the outcome of the body: an
/// error has the message of the failure. The outer error means that the process could not be run.
fn run_and_read_result(test: &str) -> io::Result<Result<(), String>> {
    let (_, result_path) = temporary_file()?;
    let status = run_process(test, &result_path);
    let text = fs::read_to_string(&result_path);
    // The file is to be removed even after an error, so the errors are returned only below.
    fs::remove_file(&result_path)?;
    let (status, text) = (status?, text?);
    Ok(match text.strip_prefix(FAILURE) {
        Some(message) => Err(message.to_owned()),
        None if text == PASSED => Ok(()),
        None => Err(format!("the process of the test ended without a result: {status}")),
    })
}

/// Runs the process of `test` until it ends, and prints its output. The process writes its result to the file
/// at `result_path`.
fn run_process(test: &str, result_path: &Path) -> io::Result<ExitStatus> {
    // The output goes to a file, and not to a pipe. The body may leave a process running that keeps a pipe
    // open, and reading the pipe to its end would wait for that process.
    let (mut output, path) = temporary_file()?;
    fs::remove_file(path)?;
    let status = Command::new(env::current_exe()?)
        // If the initializer is missing, `main` of libtest runs. With this argument it only lists the tests,
        // and does not start them again.
        .arg("--list")
        .env(TEST, test)
        .env(RESULT, result_path)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .status()?;
    print_output(&mut output)?;
    Ok(status)
}

/// Creates a file for this user alone, with an unpredictable name. Returns the file and its path.
fn temporary_file() -> io::Result<(File, PathBuf)> {
    let path = env::temp_dir().join(format!("miko-test-{:016x}", getrandom::u64()?));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    Ok((file, path))
}

/// Prints the output of the body, so that libtest prints it if the test fails.
#[expect(
    clippy::print_stdout,
    reason = "libtest captures the output of `print!`, but not what is written to `stdout()`"
)]
fn print_output(output: &mut File) -> io::Result<()> {
    let mut text = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut text)?;
    print!("{}", String::from_utf8_lossy(&text));
    Ok(())
}

/// If this is the process of `test`, runs `body`, writes the result and ends the process. If it is not, does
/// nothing. Called before `main`.
pub fn run_if_started_for<T: Termination>(test: &str, body: fn() -> T) {
    if env::var_os(TEST).is_none_or(|started| started != test) {
        return;
    }
    let result_path: Option<PathBuf> = env::var_os(RESULT).map(Into::into);
    // The variables are removed, so that a process that the body starts does not run the body again.
    for name in [TEST, RESULT] {
        // SAFETY: No other thread reads the environment: `main` has not begun, so there is none.
        unsafe { env::remove_var(name) };
    }
    // If the process that runs libtest is killed, this process is killed, too. A failure of this call is
    // harmless: this process then ends when the body has ended.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // While SIGPIPE is ignored, writing to a closed pipe returns an error. Rust's runtime ignores SIGPIPE,
    // too, but only after this code has run, right before `main`.
    // SAFETY: No handler is installed.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    let text = match panic::catch_unwind(AssertUnwindSafe(|| body().report())) {
        Ok(code) if code == ExitCode::SUCCESS => PASSED.to_owned(),
        Ok(_) => format!("{FAILURE}the test returned an error"),
        Err(payload) => format!("{FAILURE}{}", message_of(&*payload)),
    };
    let is_written = result_path.is_some_and(|path| fs::write(path, text).is_ok());
    std::process::exit(i32::from(!is_written))
}

fn message_of(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
