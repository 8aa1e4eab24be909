//! Supervises the child processes of a share, in the parent: forks the workers, and watches, signals and
//! reaps the server and the workers. No other module reaps a child.

mod captured;
mod child;
mod interrupt;

use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use miko_rpc::{Error, ErrorId, Result};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgrp, getpid};
use tracing::{debug, error, info, warn};

use super::control::{FINISH, ServerMessage, ServerMessages};
use super::fork::fork_child;
use super::preconditions;
use super::worker_process::{Worker, redirect_output};
use crate::descriptors::DescriptorLimit;
use crate::server::Activity;
use child::{ChildProcess, OutputPipes, deadline_after, timeout_until, worker_pipe};

pub(super) use child::{ReapedWorker, WorkerChild};
pub(crate) use interrupt::Interrupt;
use interrupt::terminal_interrupts;

/// The code of a forked worker. Writes the result of the closure to the pipe, and returns the exit code.
pub(super) type WorkerBody<'b> = dyn Fn(&Worker, std::fs::File) -> i32 + 'b;

/// How workers are started and ended.
#[derive(Debug, Clone)]
pub(super) struct WorkerOptions {
    /// The number of workers of the share.
    pub(super) count: usize,
    /// The most workers that are alive at once.
    pub(super) max_concurrent: usize,
    /// The most restarts of workers in the whole share.
    pub(super) restarts: usize,
    /// The most bytes that are kept of a worker's stdout and stderr each; `None` if output is not captured.
    pub(super) capture_limit: Option<usize>,
    /// See [`Uds::allow_threads`](crate::Uds::allow_threads).
    pub(super) allow_threads: bool,
    /// See [`Uds::worker_timeout`](crate::Uds::worker_timeout).
    pub(super) worker_timeout: Option<Duration>,
    /// See [`Uds::grace_period`](crate::Uds::grace_period).
    pub(super) grace_period: Duration,
}

/// The server process and the workers.
///
/// Dropping it ends and reaps all of them, but only in the process that created it.
pub(super) struct Supervisor {
    options: WorkerOptions,
    /// The process that created the supervisor. It is the parent of the server and the workers.
    owner: Pid,
    /// Keeps the limit on descriptors raised.
    descriptors: DescriptorLimit,
    /// `None` after the server was reaped, and in the copy that a worker inherits.
    server: Option<ServerChild>,
    /// The workers that were not reaped yet.
    workers: Vec<WorkerChild>,
    /// The number of workers whose first run was started. It is also the index of the next new worker.
    begun: usize,
    /// The further runs of failed workers that are still to be started.
    scheduled_restarts: VecDeque<WorkerRun>,
    /// How many more restarts may be scheduled.
    restarts_left: usize,
    /// The reason of an early shutdown; `None` until one has begun.
    failure: Option<Error>,
    /// How often Ctrl-C was pressed.
    interrupts: u64,
}

/// One run of a worker that is to be started.
struct WorkerRun {
    /// The index of the worker.
    index: usize,
    /// How often the worker was started before.
    run: usize,
}

/// The part of the final state that has arrived.
#[derive(Default)]
pub(super) struct Delivery {
    /// The bytes so far.
    pub(super) state: Vec<u8>,
    pub(super) is_complete: bool,
}

/// The server process, as the parent manages it.
struct ServerChild {
    process: ChildProcess,
    /// The parent's end of the socket pair with the server.
    control: UnixStream,
    /// Splits the bytes that arrive on `control` into messages.
    messages: ServerMessages,
    activity: Arc<Activity>,
}

impl Supervisor {
    /// Takes ownership of a server process that was just forked.
    pub(super) fn adopt(
        server: Pid,
        control: UnixStream,
        activity: Arc<Activity>,
        options: WorkerOptions,
        descriptors: DescriptorLimit,
    ) -> Result<Self> {
        let process = ChildProcess::adopt(server)?;
        let server = ServerChild { process, control, messages: ServerMessages::default(), activity };
        // From here on, an error drops the supervisor, which ends the server.
        let supervisor = Self {
            restarts_left: options.restarts,
            options,
            owner: getpid(),
            descriptors,
            server: Some(server),
            workers: Vec::new(),
            begun: 0,
            scheduled_restarts: VecDeque::new(),
            failure: None,
            interrupts: 0,
        };
        if let Some(server) = &supervisor.server {
            // Non-blocking, so that the parent does not block on an incomplete message.
            server.control.set_nonblocking(true).map_err(|fault| {
                Error::caused_by(ErrorId::INTERNAL, "the control socket cannot be made non-blocking", fault)
            })?;
        }
        Ok(supervisor)
    }

    /// Waits until the server has opened the shared object and is about to serve.
    ///
    /// # Errors
    /// The reason why the setup of the server failed; `interrupted`, after a Ctrl-C; `server-gone`, if the
    /// server ended, or was killed because it took longer than `call_deadline` plus the grace period;
    /// `internal` or `request-too-large`, if its message is invalid; `internal`, if the system refuses to
    /// wait for events.
    pub(super) fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<()> {
        let server = self.server.as_mut().ok_or_else(server_gone)?;
        match server.receive(interrupt, &mut self.interrupts, self.options.grace_period)? {
            Some(ServerMessage::Ready) => Ok(()),
            Some(ServerMessage::Failed(error)) => Err(error),
            Some(ServerMessage::State(_) | ServerMessage::Done) => Err(unexpected_message()),
            None => Err(interrupted()),
        }
    }

    /// Forks workers until all are forked or `max_concurrent` are alive; none during an early shutdown. If a
    /// worker cannot be forked, begins an early shutdown.
    pub(super) fn start_workers(&mut self, body: &WorkerBody<'_>) {
        if let Err(error) = self.try_to_start_workers(body) {
            self.begin_shutdown(error);
        }
    }

    fn try_to_start_workers(&mut self, body: &WorkerBody<'_>) -> Result<()> {
        while self.failure.is_none() && self.workers.len() < self.options.max_concurrent {
            let Some(WorkerRun { index, run }) = self.take_next_run() else { break };
            self.fork_worker(index, run, body)?;
        }
        Ok(())
    }

    /// Takes the next run to start: a scheduled restart or, if there is none, the first run of a new worker.
    fn take_next_run(&mut self) -> Option<WorkerRun> {
        self.scheduled_restarts.pop_front().or_else(|| {
            let index = self.begun;
            let is_new = index < self.options.count;
            self.begun += usize::from(is_new);
            is_new.then_some(WorkerRun { index, run: 0 })
        })
    }

    /// Schedules another run of `worker`, if it was killed or has failed, restarts are left, and no early
    /// shutdown has begun.
    fn schedule_restart_if_failed(&mut self, worker: &ReapedWorker) {
        if self.failure.is_none() && self.restarts_left > 0 && !worker.has_succeeded() {
            self.restarts_left -= 1;
            let left = self.restarts_left;
            warn!(worker = worker.index, status = %worker.status, left, "worker restarts");
            self.scheduled_restarts.push_back(WorkerRun { index: worker.index, run: worker.run + 1 });
        }
    }

    /// The index and the pid of each worker that was not reaped yet.
    pub(super) fn unreaped_workers(&self) -> impl Iterator<Item = (usize, u32)> {
        self.workers.iter().map(|worker| (worker.index, worker.process.pid()))
    }

    /// Sends a signal to all live workers.
    pub(super) fn signal_workers(&self, signal: Signal) {
        for worker in &self.workers {
            worker.process.signal(signal);
        }
    }

    /// Runs until all workers have ended: forks further workers as others end, and calls `on_reaped` with
    /// each worker that was reaped.
    ///
    /// # Errors
    /// The reason of an early shutdown: `interrupted`, `server-gone`, or the error of starting a worker. It
    /// is returned only after all live workers have ended. `internal`, if the system refuses to wait for
    /// events: this error is returned at once.
    pub(super) fn wait_for_workers(
        &mut self,
        body: &WorkerBody<'_>,
        interrupt: &Interrupt,
        mut on_reaped: impl FnMut(ReapedWorker),
    ) -> Result<()> {
        loop {
            self.start_workers(body);
            if self.workers.is_empty() {
                return self.failure.clone().map_or(Ok(()), Err);
            }
            self.escalate();
            self.wait_for_event(interrupt)?;
            let interrupts = interrupt.take();
            if interrupts > 0 {
                self.handle_interrupts(interrupts);
            }
            if self.server.as_ref().is_none_or(|server| server.process.has_ended()) {
                self.begin_shutdown(server_gone());
            }
            self.kill_overdue_server();
            for worker in &mut self.workers {
                worker.read_pipes();
            }
            let (ended, alive) =
                std::mem::take(&mut self.workers).into_iter().partition(WorkerChild::has_ended);
            self.workers = alive;
            let ended: Vec<WorkerChild> = ended;
            // `on_reaped` runs the application's `on_exit`, which may panic. So all are reaped before its
            // first call.
            let ended: Vec<ReapedWorker> = ended.into_iter().map(WorkerChild::reap).collect();
            for worker in &ended {
                debug!(worker = worker.index, pid = worker.pid, status = %worker.status, "worker ended");
                self.schedule_restart_if_failed(worker);
            }
            ended.into_iter().for_each(&mut on_reaped);
        }
    }

    /// Sends [`FINISH`] to the server and receives the final state. The first Ctrl-C of a share does not stop
    /// the delivery; the second kills the server.
    ///
    /// # Errors
    /// The reason why the state was not delivered; `delivery` then contains the part that arrived.
    /// `interrupted` after a Ctrl-C during the delivery, also if the state is complete.
    pub(super) fn receive_final_state(
        &mut self,
        interrupt: &Interrupt,
        delivery: &mut Delivery,
    ) -> Result<()> {
        let server = self.server.as_mut().ok_or_else(server_gone)?;
        // The write fails if the server has ended. `receive` then reports the end of the server.
        let _ = server.control.write_all(&[FINISH]);
        let interrupts_before = self.interrupts;
        loop {
            match server.receive(interrupt, &mut self.interrupts, self.options.grace_period)? {
                Some(ServerMessage::State(part)) => delivery.state.extend_from_slice(&part),
                Some(ServerMessage::Done) => break,
                Some(ServerMessage::Failed(error)) => return Err(error),
                Some(ServerMessage::Ready) => return Err(unexpected_message()),
                // `None` is a Ctrl-C.
                None if self.interrupts > 1 => {
                    server.process.signal(Signal::SIGKILL);
                    return Err(interrupted());
                }
                None => {}
            }
        }
        delivery.is_complete = true;
        // The server exits after this last message.
        server.process.wait_or_kill(deadline_after(self.options.grace_period));
        self.server = None;
        info!(bytes = delivery.state.len(), "final state received, server ended");
        if self.interrupts > interrupts_before { Err(interrupted()) } else { Ok(()) }
    }

    /// Ends all live processes with SIGTERM, after the grace period with SIGKILL, and reaps them. All workers
    /// share one grace period; the server gets another one after them.
    pub(super) fn terminate_all(&mut self) {
        self.signal_workers(Signal::SIGTERM);
        let until = deadline_after(self.options.grace_period);
        for worker in self.workers.drain(..) {
            worker.process.wait_or_kill(until);
        }
        if let Some(server) = self.server.take() {
            server.process.signal(Signal::SIGTERM);
            server.process.wait_or_kill(deadline_after(self.options.grace_period));
        }
    }

    /// Forks one worker, with a pipe for its result and, if output is captured, pipes for stdout and stderr.
    fn fork_worker(&mut self, index: usize, run: usize, body: &WorkerBody<'_>) -> Result<()> {
        let worker = Worker { index, run, count: self.options.count };
        let (result_reader, result_writer) = worker_pipe()?;
        let (output_readers, output_writers) = match self.options.capture_limit {
            Some(limit) => {
                let (stdout, stdout_writer) = worker_pipe()?;
                let (stderr, stderr_writer) = worker_pipe()?;
                (Some(OutputPipes { stdout, stderr, limit }), Some((stdout_writer, stderr_writer)))
            }
            None => (None, None),
        };
        let permit = preconditions::check(self.options.allow_threads)?;
        let supervisor = &mut *self;
        let worker_in_child = worker.clone();
        // When the parent dies, the kernel kills the worker.
        let when_orphaned = Signal::SIGKILL;
        let keep_default_handlers = || {};
        let pid = fork_child(permit, when_orphaned, keep_default_handlers, move || {
            supervisor.close_inherited();
            if let Some((stdout, stderr)) = output_writers {
                redirect_output(&stdout, &stderr);
            }
            body(&worker_in_child, result_writer.into())
        })?;
        debug!(worker = index, run, pid = pid.as_raw(), "worker started");
        let timeout = self.options.worker_timeout;
        self.workers.push(WorkerChild::adopt(&worker, pid, result_reader, output_readers, timeout)?);
        Ok(())
    }

    /// Runs in a worker: closes the inherited descriptors of the supervisor (the pipes and pidfds of other
    /// workers, the control socket and the pidfd of the server) and restores the descriptor limit.
    fn close_inherited(&mut self) {
        self.descriptors.restore();
        self.workers.clear();
        self.server = None;
    }

    /// Blocks until one of these events: Ctrl-C; a worker ends, or has written output or its result; the next
    /// signal to a worker is due; the running method is to be checked next; the server ends. During an early
    /// shutdown the server is not watched: a server that has ended would end each wait at once.
    fn wait_for_event(&self, interrupt: &Interrupt) -> Result<()> {
        let mut fds = vec![PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)];
        if let (None, Some(server)) = (&self.failure, &self.server) {
            fds.push(PollFd::new(server.process.as_fd(), PollFlags::POLLIN));
        }
        fds.extend(self.workers.iter().flat_map(WorkerChild::watched));
        let signal_times = self.workers.iter().filter_map(WorkerChild::next_signal_time);
        wait_on(&mut fds, signal_times.chain(self.next_server_check()).min())
    }

    /// The next time at which a method of the server can have exceeded its kill deadline, which is its
    /// deadline plus the grace period. If a method runs, this is its kill deadline. If none runs, it is the
    /// earliest possible kill deadline of a method that starts from now on. `None` during an early shutdown,
    /// without a server, or if an `Instant` cannot represent the time.
    fn next_server_check(&self) -> Option<Instant> {
        let (None, Some(server)) = (&self.failure, &self.server) else { return None };
        let grace = self.options.grace_period;
        server.activity.method_kill_deadline(grace).or_else(|| server.activity.next_check(grace))
    }

    /// Kills the server and begins an early shutdown, if the running method has exceeded its kill deadline.
    fn kill_overdue_server(&mut self) {
        let (None, Some(server)) = (&self.failure, &self.server) else { return };
        let deadline = server.activity.method_kill_deadline(self.options.grace_period);
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let error = server.activity.overdue_error();
            error!(%error, pid = server.process.pid(), "server killed");
            server.process.signal(Signal::SIGKILL);
            self.begin_shutdown(error);
        }
    }

    /// Sends each worker its next signal, if the time of the signal has come.
    fn escalate(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            worker.escalate(now, self.options.grace_period);
        }
    }

    /// Handles `count` further presses of Ctrl-C. The first in a share sends SIGINT to the workers that have
    /// not got it from the terminal, and begins an early shutdown. The second kills all processes.
    fn handle_interrupts(&mut self, count: u64) {
        self.interrupts += count;
        if self.interrupts > 1 {
            warn!("interrupted again: all processes are killed");
            self.signal_workers(Signal::SIGKILL);
            if let Some(server) = &self.server {
                server.process.signal(Signal::SIGKILL);
            }
        } else {
            let (group, from_terminal) = (getpgrp(), terminal_interrupts());
            for worker in &self.workers {
                // The terminal sends SIGINT to all processes in the foreground group. So a worker has got it
                // if it existed when the key was pressed, and if it is in the group of this process.
                let existed = worker.interrupts_at_fork < from_terminal;
                let got_it_from_terminal = existed && worker.process.is_in_group(group);
                if !got_it_from_terminal {
                    worker.process.signal(Signal::SIGINT);
                }
            }
        }
        self.begin_shutdown(interrupted());
    }

    /// Begins an early shutdown: no more workers are started, and live ones get SIGTERM after the grace
    /// period. The first error is kept; later calls are no-ops.
    fn begin_shutdown(&mut self, error: Error) {
        if self.failure.is_some() {
            return;
        }
        warn!(%error, workers = self.workers.len(), "the share ends early");
        let until = deadline_after(self.options.grace_period);
        for worker in &mut self.workers {
            worker.end_by(until);
        }
        self.failure = Some(error);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // A forked process inherits this value. The server and the workers are not the children of that
        // process, so it must not end them.
        if getpid() == self.owner {
            self.terminate_all();
        }
    }
}

impl ServerChild {
    /// Receives the server's next message. If Ctrl-C is pressed before it arrives, adds the number of presses
    /// to `interrupts` and returns `None`.
    ///
    /// # Errors
    /// `server-gone`, if the server ends without a message, or is killed because it has not answered in time;
    /// `internal` or `request-too-large`, if its message is invalid; `internal`, if the system refuses to
    /// wait for events.
    fn receive(
        &mut self,
        interrupt: &Interrupt,
        interrupts: &mut u64,
        grace: Duration,
    ) -> Result<Option<ServerMessage>> {
        let started = Instant::now();
        loop {
            let count = interrupt.take();
            if count > 0 {
                *interrupts += count;
                return Ok(None);
            }
            // A server may send its last messages just before it ends. Its end is checked before the read, so
            // that these messages are still received.
            let has_ended = self.process.has_ended();
            if let Some(message) = self.messages.try_receive(&mut self.control)? {
                return Ok(Some(message));
            }
            if has_ended {
                return Err(server_gone());
            }
            let deadline = self.activity.answer_kill_deadline(started, grace);
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let error = self.activity.overdue_error();
                error!(%error, pid = self.process.pid(), "server killed");
                self.process.signal(Signal::SIGKILL);
                return Err(error);
            }
            let watched = [interrupt.as_fd(), self.control.as_fd(), self.process.as_fd()];
            wait_on(&mut watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), deadline)?;
        }
    }
}

/// Polls the descriptors until one is ready, `until` is reached, or a signal arrives. `None` sets no limit.
fn wait_on(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<()> {
    match poll(fds, timeout_until(until)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(fault) => Err(Error::caused_by(ErrorId::INTERNAL, "the children cannot be watched", fault)),
    }
}

/// The error of a server process that has ended although the parent still needs it: at the setup, while
/// workers run, or at the delivery of the final state.
fn server_gone() -> Error {
    Error::new(ErrorId::SERVER_GONE, "the server process ended too early")
}

fn interrupted() -> Error {
    Error::new(ErrorId::INTERRUPTED, "the share was interrupted by Ctrl-C")
}

fn unexpected_message() -> Error {
    Error::new(ErrorId::INTERNAL, "the server process sent an unexpected message")
}
