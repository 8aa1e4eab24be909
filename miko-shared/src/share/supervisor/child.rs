//! The child processes of a share, as the parent manages them: their signals, pipes and exit status.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use miko_rpc::{Error, ErrorId, Result};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpgid, pipe2};
use serde::de::IgnoredAny;
use tracing::warn;

use super::captured::Captured;
use super::interrupt::terminal_interrupts;
use crate::linux;
use crate::share::report::ExitStatus;
use crate::share::worker_process::{ClosureResult, Worker, WorkerResult};

/// A child process that this value owns: no other code of the share reaps the process.
pub(super) struct ChildProcess {
    pid: Pid,
    pidfd: OwnedFd,
}

impl ChildProcess {
    /// Takes ownership of a child that was just forked.
    ///
    /// # Errors
    /// `internal`, if no pidfd can be opened for the child. The child is then killed and reaped.
    pub(super) fn adopt(pid: Pid) -> Result<Self> {
        match linux::pidfd(pid) {
            Ok(pidfd) => Ok(Self { pid, pidfd }),
            Err(fault) => {
                let _ = kill(pid, Signal::SIGKILL);
                let _ = waitpid(pid, None);
                Err(Error::caused_by(ErrorId::INTERNAL, "a child process cannot be watched", fault))
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw().unsigned_abs()
    }

    /// Sends a signal, unless the process has ended.
    pub(super) fn signal(&self, signal: Signal) {
        // The pid is not reused before the process is reaped. An error is ignored: other code may just have
        // reaped the process, or the process runs as another user.
        if self.is_alive() {
            let _ = kill(self.pid, signal);
        }
    }

    /// Whether the process belongs to this process group. A process can change its group after the fork.
    pub(super) fn is_in_group(&self, group: Pid) -> bool {
        getpgid(Some(self.pid)) == Ok(group)
    }

    /// Whether the process has ended, also if it was not reaped yet.
    pub(super) fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.has_ended()
    }

    /// Waits until the process ends, reaps it, and returns its status: [`ExitStatus::Unknown`] if other code
    /// has reaped it.
    pub(super) fn reap(&self) -> ExitStatus {
        let mut status = 0;
        loop {
            // The `waitpid` of `nix` loses the status of a process that a real-time signal has ended.
            //
            // SAFETY: `waitpid` writes only to `status`.
            let reaped = unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, 0) };
            if reaped < 0 {
                if Errno::last() != Errno::EINTR {
                    return ExitStatus::Unknown;
                }
            } else if libc::WIFEXITED(status) {
                return ExitStatus::Code(libc::WEXITSTATUS(status));
            } else if libc::WIFSIGNALED(status) {
                return ExitStatus::Signal(libc::WTERMSIG(status));
            }
        }
    }

    /// Waits until the process ends, and reaps it. Kills it if it still runs at `until`; `None` sets no
    /// limit.
    pub(super) fn wait_or_kill(&self, until: Option<Instant>) {
        while self.is_alive() {
            if until.is_some_and(|until| Instant::now() >= until) {
                self.signal(Signal::SIGKILL);
                break;
            }
            let mut fds = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            // An interrupted or failed poll is repeated, until `until` has passed.
            let _ = poll(&mut fds, timeout_until(until));
        }
        self.reap();
    }
}

/// The time at which `duration` from now has passed; `None` if an `Instant` cannot represent it.
pub(super) fn deadline_after(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

/// The time left until `until`, rounded up to milliseconds: a poll that ended a fraction of a millisecond
/// early would have to be repeated. `None` sets no limit.
pub(super) fn timeout_until(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
}

impl AsFd for ChildProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// A worker that was not reaped yet.
pub(in crate::share) struct WorkerChild {
    pub(super) index: usize,
    /// How often this worker was started before.
    run: usize,
    pub(super) process: ChildProcess,
    /// How often the parent had got SIGINT from the terminal when the worker had just been forked. If the
    /// parent has got it more often since, it has reached the worker as well, if that is in the same process
    /// group.
    pub(super) interrupts_at_fork: u64,
    started: SystemTime,
    /// Receives the bytes of a [`WorkerResult`].
    result: Pipe,
    /// `None` if output is not captured.
    stdout: Option<Pipe>,
    /// `None` if output is not captured.
    stderr: Option<Pipe>,
    kill_timer: KillTimer,
    /// Whether the worker was signalled because it exceeded `worker_timeout`.
    timed_out: bool,
}

/// The next signal to a worker that has to end, and the time of the signal.
struct KillTimer {
    /// When the signal is sent; `None` for never.
    at: Option<Instant>,
    signal: Signal,
    /// Whether `at` comes from `worker_timeout`.
    is_timeout: bool,
}

/// A worker that was reaped.
#[derive(Clone)]
pub(in crate::share) struct ReapedWorker {
    pub(in crate::share) index: usize,
    pub(in crate::share) run: usize,
    pub(in crate::share) pid: u32,
    pub(in crate::share) status: ExitStatus,
    pub(in crate::share) timed_out: bool,
    pub(in crate::share) started: SystemTime,
    pub(in crate::share) ended: SystemTime,
    /// The bytes of a [`WorkerResult`]; empty or incomplete if the worker has not sent all of it.
    pub(in crate::share) result: Vec<u8>,
    pub(in crate::share) stdout: Captured,
    pub(in crate::share) stderr: Captured,
}

/// The read ends of a worker's output pipes, and the number of bytes that are kept of each.
pub(super) struct OutputPipes {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    pub(super) limit: usize,
}

impl WorkerChild {
    /// Takes ownership of a worker that was just forked, with the read ends of its pipes. The worker has to
    /// end within `timeout`; `None` sets no limit.
    pub(super) fn adopt(
        worker: &Worker,
        pid: Pid,
        result: OwnedFd,
        output: Option<OutputPipes>,
        timeout: Option<Duration>,
    ) -> Result<Self> {
        let process = ChildProcess::adopt(pid)?;
        let pipe = |fd, limit| Pipe::new(fd, Captured::new(limit));
        let captured =
            output.map(|output| (pipe(output.stdout, output.limit), pipe(output.stderr, output.limit)));
        let (stdout, stderr) = captured.unzip();
        Ok(Self {
            index: worker.index,
            run: worker.run,
            process,
            interrupts_at_fork: terminal_interrupts(),
            started: SystemTime::now(),
            result: Pipe::new(result, Captured::new(usize::MAX)),
            stdout,
            stderr,
            kill_timer: KillTimer {
                at: timeout.and_then(deadline_after),
                signal: Signal::SIGTERM,
                is_timeout: timeout.is_some(),
            },
            timed_out: false,
        })
    }

    /// The descriptors to poll: the pidfd and the open pipes of the worker.
    pub(super) fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        let pipes = [Some(&self.result), self.stdout.as_ref(), self.stderr.as_ref()];
        let open = pipes.into_iter().flatten().filter_map(|pipe| pipe.file.as_ref()).map(AsFd::as_fd);
        std::iter::once(self.process.as_fd()).chain(open).map(|fd| PollFd::new(fd, PollFlags::POLLIN))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Reads the pipes of the worker without blocking, so that the worker does not block on a full pipe.
    pub(super) fn read_pipes(&mut self) {
        self.result.read();
        for pipe in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            pipe.read();
        }
    }

    /// When the next signal is sent to the worker; `None` for never.
    pub(super) fn next_signal_time(&self) -> Option<Instant> {
        self.kill_timer.at
    }

    /// Sets the time of the SIGTERM to the worker to `until`. Does nothing if a signal is to be sent earlier,
    /// or if `until` is `None`, which stands for a time that an `Instant` cannot represent.
    pub(super) fn end_by(&mut self, until: Option<Instant>) {
        let Some(until) = until else { return };
        if self.kill_timer.at.is_none_or(|at| at > until) {
            self.kill_timer = KillTimer { at: Some(until), signal: Signal::SIGTERM, is_timeout: false };
        }
    }

    /// Sends the next signal if its time has come. After a SIGTERM, the next signal is SIGKILL, which is sent
    /// when `grace` has passed. After SIGKILL there is none. A worker that has ended needs no signal, and
    /// counts as in time. The parent may notice its end only later, for example because it was not yet in
    /// `join`.
    pub(super) fn escalate(&mut self, now: Instant, grace: Duration) {
        if self.kill_timer.at.is_none_or(|at| now < at) || self.has_ended() {
            return;
        }
        let (worker, signal) = (self.index, self.kill_timer.signal.as_str());
        warn!(worker, signal, is_timeout = self.kill_timer.is_timeout, "worker has not ended in time");
        self.timed_out |= self.kill_timer.is_timeout;
        self.process.signal(self.kill_timer.signal);
        let at = (self.kill_timer.signal != Signal::SIGKILL).then(|| now.checked_add(grace)).flatten();
        self.kill_timer = KillTimer { at, signal: Signal::SIGKILL, is_timeout: false };
    }

    /// Reaps the worker and reads the rest of its pipes. One read takes all that an ended worker has left,
    /// since a pipe holds at most [`MAX_READ`] bytes, unless the system allows larger ones.
    pub(super) fn reap(mut self) -> ReapedWorker {
        let status = self.process.reap();
        self.read_pipes();
        let captured = |pipe: Option<Pipe>| pipe.map(|pipe| pipe.captured).unwrap_or_default();
        ReapedWorker {
            index: self.index,
            run: self.run,
            pid: self.process.pid(),
            status,
            timed_out: self.timed_out,
            started: self.started,
            ended: SystemTime::now(),
            result: self.result.captured.into_bytes(),
            stdout: captured(self.stdout),
            stderr: captured(self.stderr),
        }
    }
}

impl ReapedWorker {
    /// Whether the closure of the worker has returned a value. A worker that sent no complete result, for
    /// example because it has executed another program, has succeeded if its exit code is 0.
    pub(super) fn has_succeeded(&self) -> bool {
        match rmp_serde::from_slice::<WorkerResult<IgnoredAny>>(&self.result) {
            Ok(WorkerResult { result, .. }) => matches!(result, ClosureResult::Returned(_)),
            Err(_) => self.status == ExitStatus::Code(0),
        }
    }
}

/// After about this many bytes, a read of a pipe stops, and the parent turns to its other work. So a process
/// that writes endlessly cannot keep the parent from it.
const MAX_READ: usize = 1 << 20;

/// The read end of a pipe, and the bytes read from it.
struct Pipe {
    /// `None` after end of file, or after an error of reading.
    file: Option<File>,
    /// The bytes that were read so far, or the beginning and the end of them.
    captured: Captured,
}

impl Pipe {
    fn new(fd: OwnedFd, captured: Captured) -> Self {
        // A blocking read would wait until a process writes, or until all processes that have the write end
        // have ended. The worker may have left such processes.
        let _ = fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        Self { file: Some(fd.into()), captured }
    }

    /// Reads the bytes that have arrived. Stops once [`MAX_READ`] bytes or a few more were read.
    fn read(&mut self) {
        let Some(file) = &mut self.file else { return };
        let mut buffer = [0; 16 << 10];
        let mut left = MAX_READ;
        while left > 0 {
            match file.read(&mut buffer) {
                Ok(count) if count > 0 => {
                    self.captured.push(&buffer[..count]);
                    left = left.saturating_sub(count);
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return,
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                _ => {
                    self.file = None;
                    return;
                }
            }
        }
    }
}

/// Creates a pipe for the result or the output of a worker. Returns the read end and the write end. Both are
/// closed when the worker executes another program. The output of that program is captured nevertheless:
/// stdout and stderr of the worker are duplicates of write ends, and the duplicates stay open.
pub(super) fn worker_pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC)
        .map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "no pipe to a worker can be made", fault))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[allow(clippy::zombie_processes, reason = "`ChildProcess::reap` reaps the process")]
    fn the_status_of_a_process_has_the_signal_that_ended_it_even_a_real_time_signal() {
        const REAL_TIME: i32 = 40;
        for signal in [libc::SIGTERM, REAL_TIME] {
            let child = Command::new("sleep").arg("60").spawn().unwrap();
            let process = ChildProcess::adopt(Pid::from_raw(i32::try_from(child.id()).unwrap())).unwrap();
            // SAFETY: the call takes two integers and accesses no memory of this process.
            unsafe { libc::kill(process.pid.as_raw(), signal) };
            assert_eq!(process.reap(), ExitStatus::Signal(signal));
        }
    }
}
