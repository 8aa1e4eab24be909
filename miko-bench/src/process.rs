//! Processes that are not workers: the servers of peers, and the CPUs that everybody runs on.

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

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` with this process, and those that it starts, on these CPUs.
pub(crate) fn on<T>(cpus: Cpus, work: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
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

/// A process that was forked from this one. It is killed when this is dropped.
pub(crate) struct Forked(Pid);

impl Forked {
    /// Forks a process that does `work` and ends.
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
                // SAFETY: `_exit` runs nothing of the parent's, whose state this process has a copy of.
                unsafe { nix::libc::_exit(i32::from(!succeeded)) }
            }
            ForkResult::Parent { child } => Ok(Self(child)),
        }
    }

    /// Lets it come to its end by itself, but not for ever.
    pub(crate) fn expire(self) {
        let give_up = Instant::now() + Duration::from_secs(10);
        while Instant::now() < give_up {
            match waitpid(self.0, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(1)),
                _ => return std::mem::forget(self),
            }
        }
    }

    /// Waits for its end.
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

/// A server on a socket in a directory of its own. Both are gone when this is dropped.
pub(crate) struct Server {
    _process: Process,
    directory: TempDir,
}

enum Process {
    Forked { _process: Forked },
    Script(Child),
    None,
}

impl Server {
    /// No server, but its files.
    pub(crate) fn none(directory: TempDir) -> Self {
        Self { _process: Process::None, directory }
    }

    /// A server in a fork of this process.
    pub(crate) fn fork(serve: impl FnOnce(UnixListener) -> Result<(), BoxError>) -> Result<Self, BoxError> {
        let directory = TempDir::new()?;
        let listener = UnixListener::bind(directory.path().join(SOCKET))?;
        let process = Process::Forked { _process: Forked::start(|| serve(listener))? };
        Ok(Self { _process: process, directory })
    }

    /// A server that a shell script starts. The script is given the directory to use, and becomes the server; it ends
    /// with 127 if the server is not installed: then there is none.
    pub(crate) fn script(script: &str, socket: &str) -> Result<Option<Self>, BoxError> {
        let directory = tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o755)).tempdir()?;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        let mut child = dies_with_parent(&mut command).spawn()?;
        let socket = directory.path().join(socket);
        let give_up = Instant::now() + PATIENCE;
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = child.try_wait()? {
                if status.code() == Some(127) {
                    return Ok(None);
                }
                return Err(format!("the script that starts it ended: {status}").into());
            }
            if Instant::now() > give_up {
                let _ = child.kill();
                return Err("it did not come up within a minute".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(Self { _process: Process::Script(child), directory }))
    }

    /// The socket of a server that was forked.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// Where it has its files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

const SOCKET: &str = "socket";

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Script(child) = self {
            // Redis and PostgreSQL both take this as: end at once, but in order.
            let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
            let give_up = Instant::now() + Duration::from_secs(10);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < give_up {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Lets the kernel end a command when this process ends, however it ends.
pub(crate) fn dies_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: `prctl` is async-signal-safe, and nothing else is called between fork and exec.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)) }
}
