//! Runs each case in its own process group and checks what it leaves behind.
//!
//! `libtest-mimic` parses the usual arguments of a test program and reports. It starts threads, so each case
//! runs in another process: this program again, which runs the case first.
//!
//! The harness is a subreaper of orphans, so that waiting for a case includes the processes of its group. It
//! polls for those that are still there when the case has ended, and a process that does not end is detected.
//! A process that leaves the group by `setsid` is not waited for.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use libtest_mimic::{Arguments, Trial};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::random::{Random, given_seed};
use crate::support::TRANSPORT;

/// A case: its name and its code.
pub type Case = (&'static str, fn());

/// The variable that names the case to run in this process.
const CASE: &str = "MIKOBASE_TEST_CASE";

/// The prefix of a module whose cases run again over HTTP.
pub const OVER_HTTP: &str = "over_http::";

/// Of the cases that run again over HTTP, one of so many runs in CI. The seed says which; the long mode runs
/// all, as does `--include-ignored`.
const HTTP_SAMPLE: usize = 5;
const HTTP_SEED: u64 = 1966;

/// How often the harness looks for orphans of a case that has ended.
const ORPHAN_POLL: Duration = Duration::from_millis(2);

/// How long a case and its processes may take.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// [`CASE_TIMEOUT`] in the long mode.
const LONG_CASE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);

/// Whether this is the long mode, which has larger counts.
pub fn is_long() -> bool {
    env::var_os("MIKOBASE_LONG").is_some_and(|value| value == "1")
}

/// Cases or programs, by module.
type Modules<'m> = &'m [(&'m str, &'m [Case])];

/// Runs the cases that the arguments select; those of `over_http` again, with proxies that speak HTTP. A
/// process that was started for one case or program runs only that.
pub fn main(cases: Modules<'_>, over_http: &[&str], programs: Modules<'_>) -> ExitCode {
    if let Ok(mut wanted) = env::var(CASE) {
        if let Some(case) = wanted.strip_prefix(OVER_HTTP) {
            // SAFETY: the process has one thread.
            unsafe { env::set_var(TRANSPORT, "http") };
            wanted = case.to_owned();
        }
        // Background jobs of a shell ignore SIGINT and SIGQUIT, and those of `nohup` SIGHUP; both are
        // inherited.
        for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
            // SAFETY: the default action runs no code of ours.
            unsafe { signal(ignored, SigHandler::SigDfl) }.unwrap();
        }
        let (_, code) = named(cases).chain(named(programs)).find(|(name, _)| *name == wanted).unwrap();
        code();
        return ExitCode::SUCCESS;
    }
    set_child_subreaper(true).unwrap();
    let trial = |name: String| Trial::test(name.clone(), move || Ok(run(&name)?));
    let mut sample = Random::quiet(given_seed().unwrap_or(HTTP_SEED));
    let over_http: Vec<_> = cases.iter().filter(|(module, _)| over_http.contains(module)).copied().collect();
    let again = named(&over_http).map(|(name, _)| {
        let is_skipped = !sample.one_in(HTTP_SAMPLE) && !is_long();
        trial(format!("{OVER_HTTP}{name}")).with_ignored_flag(is_skipped)
    });
    let trials = named(cases).map(|(name, _)| trial(name)).chain(again).collect();
    let mut arguments = Arguments::from_args();
    // Most processes of a case are idle, so that four cases can run at once.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn named(modules: Modules<'_>) -> impl Iterator<Item = (String, fn())> {
    modules.iter().flat_map(|(module, cases)| {
        cases.iter().map(move |(name, code)| (format!("{module}::{name}"), *code))
    })
}

#[allow(clippy::zombie_processes, reason = "`wait_for_group` reaps it with all it has started")]
fn run(name: &str) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("output");
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let file = fs::File::create(&output).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .env(CASE, name)
        .env("TMPDIR", &temporary)
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Pid::from_raw(child.id() as i32);
    let ended = wait_for_group(group);
    let printed = String::from_utf8_lossy(&fs::read(&output).unwrap()).into_owned();
    match ended {
        Ended::BeforeTimeout(WaitStatus::Exited(_, 0)) => check_nothing_left(&temporary),
        Ended::BeforeTimeout(status) => Err(format!("{status:?}\n{printed}")),
        Ended::Killed => Err(format!("it or a process of it did not end\n{printed}")),
    }
}

enum Ended {
    BeforeTimeout(WaitStatus),
    Killed,
}

/// Waits until all processes of the group have ended, and returns the status of its leader.
fn wait_for_group(group: Pid) -> Ended {
    let (done, all_ended) = mpsc::channel::<()>();
    let timeout = if is_long() { LONG_CASE_TIMEOUT } else { CASE_TIMEOUT };
    let watchdog = thread::spawn(move || {
        let timed_out = matches!(all_ended.recv_timeout(timeout), Err(mpsc::RecvTimeoutError::Timeout));
        if timed_out {
            let _ = killpg(group, Signal::SIGKILL);
        }
        timed_out
    });
    // Orphans are reaped as they end: a case may check that they are gone.
    let all = Pid::from_raw(-group.as_raw());
    let leader = loop {
        let status = waitpid(all, None).unwrap();
        if status.pid() == Some(group) {
            break status;
        }
    };
    // Not a blocking wait: the kernel does not wake it when the last process leaves the group by `setsid`.
    while let Ok(status) = waitpid(all, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            thread::sleep(ORPHAN_POLL);
        }
    }
    let _ = done.send(());
    if watchdog.join().unwrap() { Ended::Killed } else { Ended::BeforeTimeout(leader) }
}

fn check_nothing_left(temporary: &Path) -> Result<(), String> {
    let left: Vec<_> = fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}

/// A command that runs `case` in another process of this program, in the process group of the caller.
pub fn start(case: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(CASE, case);
    command
}
