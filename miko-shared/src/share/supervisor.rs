//! The parent's side of the children: it forks, watches, ends and reaps them, and nobody else does.

mod child;
mod interrupt;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use miko_core::{Error, ErrorId, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::control::{FINISH, FromServer, Inbox};
use super::fork::fork_child;
use super::worker_process::{Worker, redirect_output};
use child::{Process, output_pipe, timeout_until};

pub(super) use child::{Ended, WorkerChild};
pub(crate) use interrupt::Interrupt;

/// What a forked worker does; it gives the exit code.
pub(super) type WorkerBody<'b> = dyn Fn(&Worker, std::fs::File) -> i32 + 'b;

/// How workers are started and ended.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) count: usize,
    pub(super) max_concurrent: usize,
    pub(super) capture_output: bool,
    pub(super) worker_timeout: Option<Duration>,
    pub(super) grace_period: Duration,
}

/// The server process and the workers.
pub(super) struct Family {
    rules: Rules,
    /// `None` once it is reaped, and in workers.
    server: Option<Server>,
    workers: Vec<WorkerChild>,
    /// How many workers have been forked so far.
    forked: usize,
    /// Why the share ends before all its workers have.
    broken: Option<Error>,
}

/// The server process as the parent sees it.
struct Server {
    process: Process,
    control: UnixStream,
    inbox: Inbox,
}

impl Family {
    /// Takes over a server process that was just forked.
    pub(super) fn adopt(server: nix::unistd::Pid, control: UnixStream, rules: Rules) -> Result<Self> {
        let server = Server { process: Process::adopt(server)?, control, inbox: Inbox::default() };
        Ok(Self { rules, server: Some(server), workers: Vec::new(), forked: 0, broken: None })
    }

    /// Waits until the server process serves.
    ///
    /// # Errors
    /// Why it could not be set up, or `interrupted`.
    pub(super) fn wait_until_ready(&mut self, interrupt: &Interrupt) -> Result<()> {
        let server = self.server.as_mut().ok_or_else(gone)?;
        server.wait_for_word(interrupt)?;
        if interrupt.came() {
            return Err(interrupted());
        }
        match server.receive()? {
            FromServer::Ready => Ok(()),
            FromServer::Failed(error) => Err(error),
            FromServer::State(_) | FromServer::Done => Err(out_of_turn()),
        }
    }

    /// Forks workers until all are forked or as many are alive as may be.
    pub(super) fn start_workers(&mut self, body: &WorkerBody<'_>) -> Result<()> {
        while self.broken.is_none()
            && self.forked < self.rules.count
            && self.workers.len() < self.rules.max_concurrent
        {
            self.fork_worker(body)?;
        }
        Ok(())
    }

    /// Index and pid of the workers that are alive.
    pub(super) fn alive(&self) -> impl Iterator<Item = (usize, u32)> {
        self.workers.iter().map(|worker| (worker.index, worker.process.pid()))
    }

    pub(super) fn signal_workers(&self, signal: Signal) {
        for worker in &self.workers {
            worker.process.signal(signal);
        }
    }

    /// Waits until all workers have ended, starts those whose turn comes and gives each that ends to `reaped`.
    ///
    /// # Errors
    /// `interrupted` or `server-gone`, after all workers have ended all the same.
    pub(super) fn wait_for_workers(
        &mut self,
        body: &WorkerBody<'_>,
        interrupt: &Interrupt,
        mut reaped: impl FnMut(Ended),
    ) -> Result<()> {
        loop {
            if let Err(error) = self.start_workers(body) {
                self.break_off(error);
            }
            if self.workers.is_empty() {
                return self.broken.clone().map_or(Ok(()), Err);
            }
            self.hurry();
            self.wait_for_news(interrupt)?;
            if interrupt.came() {
                self.be_interrupted();
            }
            if self.server.as_ref().is_none_or(|server| server.process.has_ended()) {
                self.break_off(gone());
            }
            for worker in &mut self.workers {
                worker.read_pipes();
            }
            let (ended, alive) =
                std::mem::take(&mut self.workers).into_iter().partition(WorkerChild::has_ended);
            self.workers = alive;
            let ended: Vec<WorkerChild> = ended;
            ended.into_iter().map(WorkerChild::reap).for_each(&mut reaped);
        }
    }

    /// Tells the server to finish and takes the final state from it.
    ///
    /// # Errors
    /// Why the state was not delivered; what came of it until then is in `state`.
    pub(super) fn take_state(&mut self, interrupt: &Interrupt, state: &mut Vec<u8>) -> Result<()> {
        let server = self.server.as_mut().ok_or_else(gone)?;
        // If the server is gone, reading its answer says so.
        let _ = server.control.write_all(&[FINISH]);
        loop {
            server.wait_for_word(interrupt)?;
            if interrupt.came() {
                server.process.signal(Signal::SIGKILL);
                return Err(interrupted());
            }
            match server.receive()? {
                FromServer::State(part) => state.extend_from_slice(&part),
                FromServer::Done => break,
                FromServer::Failed(error) => return Err(error),
                FromServer::Ready => return Err(out_of_turn()),
            }
        }
        // It has said all and leaves by itself.
        server.process.wait_or_kill(Instant::now() + self.rules.grace_period);
        self.server = None;
        Ok(())
    }

    /// Ends whoever is still alive, politely, then forcibly after the grace period, and reaps all. However many workers
    /// there are, they have one grace period together.
    pub(super) fn end(&mut self) {
        self.signal_workers(Signal::SIGTERM);
        let until = Instant::now() + self.rules.grace_period;
        for worker in self.workers.drain(..) {
            worker.process.wait_or_kill(until);
        }
        if let Some(server) = self.server.take() {
            server.process.signal(Signal::SIGTERM);
            server.process.wait_or_kill(Instant::now() + self.rules.grace_period);
        }
    }

    fn fork_worker(&mut self, body: &WorkerBody<'_>) -> Result<()> {
        let index = self.forked;
        let worker = Worker { index, count: self.rules.count };
        let (last_words, say_last_words) = output_pipe()?;
        let captured = if self.rules.capture_output { Some((output_pipe()?, output_pipe()?)) } else { None };
        let (reading, writing) = match captured {
            Some(((out, write_out), (err, write_err))) => (Some((out, err)), Some((write_out, write_err))),
            None => (None, None),
        };
        let family = &mut *self;
        let pid = fork_child(
            Signal::SIGKILL,
            || {},
            move || {
                family.disown();
                if let Some((stdout, stderr)) = writing {
                    redirect_output(&stdout, &stderr);
                }
                body(&worker, say_last_words.into())
            },
        )?;
        self.forked += 1;
        self.workers.push(WorkerChild::adopt(index, pid, last_words, reading, self.rules.worker_timeout)?);
        Ok(())
    }

    /// In a worker: closes the descriptors that are the parent's.
    fn disown(&mut self) {
        self.workers.clear();
        self.server = None;
    }

    fn wait_for_news(&self, interrupt: &Interrupt) -> Result<()> {
        let mut fds = vec![PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)];
        if let (None, Some(server)) = (&self.broken, &self.server) {
            fds.push(PollFd::new(server.process.as_fd(), PollFlags::POLLIN));
        }
        fds.extend(self.workers.iter().flat_map(WorkerChild::watched));
        let soonest = self.workers.iter().filter_map(WorkerChild::patience_ends).min();
        wait_on(&mut fds, soonest)
    }

    /// Signals the workers that patience has ended with.
    fn hurry(&mut self) {
        let now = Instant::now();
        for worker in &mut self.workers {
            worker.hurry(now, self.rules.grace_period);
        }
    }

    /// The first Ctrl-C ends the workers, the second everything at once.
    fn be_interrupted(&mut self) {
        if self.broken.is_some() {
            self.signal_workers(Signal::SIGKILL);
            if let Some(server) = &self.server {
                server.process.signal(Signal::SIGKILL);
            }
        } else {
            self.signal_workers(Signal::SIGINT);
            self.break_off(interrupted());
        }
    }

    /// No more workers are started, and those alive get the grace period to end.
    fn break_off(&mut self, error: Error) {
        if self.broken.is_some() {
            return;
        }
        let until = Instant::now() + self.rules.grace_period;
        for worker in &mut self.workers {
            worker.be_patient_until(until);
        }
        self.broken = Some(error);
    }
}

impl Server {
    fn receive(&mut self) -> Result<FromServer> {
        self.inbox.receive(&mut self.control)
    }

    /// Waits until it says something, or Ctrl-C comes.
    fn wait_for_word(&self, interrupt: &Interrupt) -> Result<()> {
        if self.inbox.holds_message() {
            return Ok(());
        }
        let watched = [interrupt.as_fd(), self.control.as_fd()];
        wait_on(&mut watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), None)
    }
}

fn wait_on(fds: &mut [PollFd<'_>], until: Option<Instant>) -> Result<()> {
    let timeout = until.map_or(PollTimeout::NONE, timeout_until);
    match poll(fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(fault) => Err(Error::new(ErrorId::INTERNAL, format!("the children cannot be watched: {fault}"))),
    }
}

fn gone() -> Error {
    Error::new(ErrorId::SERVER_GONE, "the server process ended before its workers")
}

fn interrupted() -> Error {
    Error::new(ErrorId::INTERRUPTED, "the share was ended by Ctrl-C before all its workers had finished")
}

fn out_of_turn() -> Error {
    Error::new(ErrorId::INTERNAL, "the server process spoke out of turn")
}
