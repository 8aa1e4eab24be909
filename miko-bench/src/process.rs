//! Forked processes, the servers of peers, and the CPUs of both.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use miko_shared::BoxError;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use tempfile::TempDir;

use crate::plan::Cpus;

/// How long a server may take to start.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs `work` with this process, and the processes that it starts, bound to these CPUs.
pub(crate) fn with_cpus<T>(cpus: Cpus, work: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
    let this = Pid::from_raw(0);
    let before = sched_getaffinity(this)?;
    if cpus == Cpus::One {
        let mut one = CpuSet::new();
        one.set((0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap_or(false)).unwrap_or(0))?;
        sched_setaffinity(this, &one)?;
    }
    let outcome = work();
    sched_setaffinity(this, &before)?;
    outcome
}

/// A process that was forked from this one. Dropping it kills the process.
pub(crate) struct Forked(Pid);

impl Forked {
    /// Forks a process that runs `work` and ends.
    pub(crate) fn start(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Self, BoxError> {
        // SAFETY: the process that measures has one thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                let _ = set_pdeathsig(Signal::SIGKILL);
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                let succeeded = matches!(outcome, Ok(Ok(())));
                if let Ok(Err(error)) = outcome {
                    eprintln!("miko bench: {error}");
                }
                // SAFETY: `_exit` runs no exit handlers of the parent, whose state this process has a copy
                // of.
                unsafe { nix::libc::_exit(i32::from(!succeeded)) }
            }
            ForkResult::Parent { child } => Ok(Self(child)),
        }
    }

    /// Waits ten seconds for the process to end, then kills it.
    pub(crate) fn join_or_kill(self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                _ => return std::mem::forget(self),
            }
        }
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// If its exit code is not 0.
    pub(crate) fn join(self) -> Result<(), BoxError> {
        let status = waitpid(self.0, None)?;
        std::mem::forget(self);
        match status {
            WaitStatus::Exited(_, 0) => Ok(()),
            status => Err(format!("a process of the measurement failed: {status:?}").into()),
        }
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// A server on a socket in its own directory. Dropping it ends the server and removes the directory.
pub(crate) struct PeerServer {
    _process: PeerProcess,
    directory: TempDir,
}

enum PeerProcess {
    Forked { _process: Forked },
    Script(Child),
    None,
}

impl PeerServer {
    /// A directory without a server process.
    pub(crate) fn none(directory: TempDir) -> Self {
        Self { _process: PeerProcess::None, directory }
    }

    /// A server in a fork of this process.
    pub(crate) fn fork(serve: impl FnOnce(UnixListener) -> Result<(), BoxError>) -> Result<Self, BoxError> {
        let directory = TempDir::new()?;
        let listener = UnixListener::bind(directory.path().join(SOCKET))?;
        let process = PeerProcess::Forked { _process: Forked::start(|| serve(listener))? };
        Ok(Self { _process: process, directory })
    }

    /// A server that is started by a shell script. The script gets the directory as its argument and execs
    /// the server. `None` if it ends with 127, which means that the server is not installed.
    pub(crate) fn script(script: &str, socket: &str) -> Result<Option<Self>, BoxError> {
        let directory = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let mut child = dies_with_parent(&mut command).spawn()?;
        let socket = directory.path().join(socket);
        let deadline = Instant::now() + STARTUP_TIMEOUT;
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = child.try_wait()? {
                if status.code() == Some(127) {
                    return Ok(None);
                }
                return Err(format!("the script that starts it ended: {status}").into());
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                return Err("it did not come up within a minute".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(Self { _process: PeerProcess::Script(child), directory }))
    }

    /// The socket of a server that was forked.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// The directory of its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

const SOCKET: &str = "socket";

impl Drop for PeerProcess {
    fn drop(&mut self) {
        if let Self::Script(child) = self {
            // Redis and PostgreSQL both shut down fast but cleanly on SIGINT.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
            let deadline = Instant::now() + Duration::from_secs(10);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Has the kernel kill a command when this process ends for any reason.
pub(crate) fn dies_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: `prctl` is async-signal-safe, and nothing else is called between fork and exec.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) }
}
