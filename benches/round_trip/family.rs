//! The processes of a measurement: a server of any kind, and workers that start at the same moment.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant;

use mikobase::rpc::Interface;
use mikobase::{BoxError, Result, Share, mikobase_interface};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pipe};
use serde::de::DeserializeOwned;

/// How a variant is measured.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) workers: usize,
    pub(crate) pinned: bool,
    /// Of each worker.
    pub(crate) round_trips: usize,
}

/// The interface with the emptiest call there is.
#[mikobase_interface]
pub(crate) trait Ping {
    /// Does nothing.
    fn ping(&self) -> Result<()>;
}

pub(crate) struct Nothing;

impl Ping for Nothing {
    fn ping(&self) -> Result<()> {
        Ok(())
    }
}

impl Setting {
    /// Runs `measurement` with this process and those that it forks on one CPU, if that is wanted.
    pub(crate) fn apply<T>(self, measurement: impl FnOnce() -> Result<T, BoxError>) -> Result<T, BoxError> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        if self.pinned {
            let mut one = CpuSet::new();
            one.set((0..CpuSet::count()).find(|cpu| before.is_set(*cpu).unwrap_or(false)).unwrap_or(0))?;
            sched_setaffinity(this, &one)?;
        }
        let outcome = measurement();
        sched_setaffinity(this, &before)?;
        outcome
    }

    /// In a worker: the seconds that one round trip takes, after a few that are not counted and after every other worker
    /// has come as far.
    pub(crate) fn time(
        self,
        gate: &Gate,
        mut round_trip: impl FnMut(usize) -> Result<(), BoxError>,
    ) -> Result<f64, BoxError> {
        (0..50).try_for_each(&mut round_trip)?;
        gate.pass()?;
        let start = Instant::now();
        (0..self.round_trips).try_for_each(&mut round_trip)?;
        Ok(start.elapsed().as_secs_f64() / self.round_trips as f64)
    }
}

/// Where workers wait until all are ready.
pub(crate) struct Gate {
    ready: (File, File),
    go: (File, File),
}

impl Gate {
    pub(crate) fn new() -> Result<Self, BoxError> {
        let ((hear, tell), (wait, open)) = (pipe()?, pipe()?);
        Ok(Self { ready: (hear.into(), tell.into()), go: (wait.into(), open.into()) })
    }

    fn pass(&self) -> Result<(), BoxError> {
        (&self.ready.1).write_all(&[0])?;
        Ok((&self.go.0).read_exact(&mut [0])?)
    }

    /// In the parent: lets the workers of `share` go at once and gives what they returned.
    pub(crate) fn open<I: Interface + ?Sized, R: DeserializeOwned, S>(
        &self,
        workers: usize,
        share: Share<'_, I, R, S>,
    ) -> Result<Vec<R>, BoxError> {
        let mut bytes = vec![0; workers];
        (&self.ready.0).read_exact(&mut bytes)?;
        (&self.go.1).write_all(&bytes)?;
        Ok(share.join().map_err(mikobase::Error::from)?.into_returned()?)
    }
}

/// A server process of a kind that is not ours. It ends when this is dropped.
pub(crate) struct ServerProcess {
    pid: Pid,
    pub(crate) socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl ServerProcess {
    pub(crate) fn start(serve: impl FnOnce(UnixListener)) -> Result<Self, BoxError> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket)?;
        // SAFETY: a benchmark forks before it makes any thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                let _ = set_pdeathsig(Signal::SIGKILL);
                serve(listener);
                std::process::exit(0)
            }
            ForkResult::Parent { child } => Ok(Self { pid: child, socket, _directory: directory }),
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}
