//! The lower bound: a request of 64 bytes and an answer of 200 bytes, without any other work.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use miko_shared::BoxError;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::{Peer, Running, Size};
use crate::crew::Crew;
use crate::process::PeerServer;
use crate::workload::{Client, Workload};

pub(crate) const BLOCKING: Peer = Peer {
    name: "raw",
    terms: "64 bytes there and 200 bytes back over the same kind of socket: one thread, one epoll, no work.",
    workloads: &[Workload::Empty],
    start: |size| start(size, Duration::ZERO),
};

pub(crate) const POLLING: Peer = Peer {
    name: "raw-polling",
    terms: "The same, where both sides look again and again for 50 µs before they block.",
    workloads: &[Workload::Empty],
    start: |size| start(size, Duration::from_micros(50)),
};

const REQUEST: [u8; 64] = [1; 64];
const ANSWER: [u8; 200] = [2; 200];

fn start(size: Size, polling: Duration) -> Result<Option<Running>, BoxError> {
    let server = PeerServer::fork(|listener| serve(&listener, polling))?;
    let socket = server.socket();
    let crew = Crew::fork(size, |_| {
        let stream = UnixStream::connect(&socket)?;
        stream.set_nonblocking(!polling.is_zero())?;
        Ok(Raw { stream, polling })
    })?;
    Ok(Some(Running::with(crew, server)))
}

struct Raw {
    stream: UnixStream,
    polling: Duration,
}

impl Client for Raw {
    fn empty(&mut self) -> Result<(), BoxError> {
        self.stream.write_all(&REQUEST)?;
        let mut answer = [0; ANSWER.len()];
        if self.polling.is_zero() {
            return Ok(self.stream.read_exact(&mut answer)?);
        }
        let until = Instant::now() + self.polling;
        loop {
            match self.stream.read_exact(&mut answer) {
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                outcome => return Ok(outcome?),
            }
            if Instant::now() > until {
                self.stream.set_nonblocking(false)?;
                self.stream.read_exact(&mut answer)?;
                return Ok(self.stream.set_nonblocking(true)?);
            }
        }
    }
}

/// One thread, one epoll, an answer for each request.
fn serve(listener: &UnixListener, polling: Duration) -> Result<(), BoxError> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut streams: HashMap<RawFd, UnixStream> = HashMap::new();
    epoll.add(listener, event(listener.as_raw_fd()))?;
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = wait(&epoll, &mut events, polling)?;
        for ready in &events[..count] {
            let fd = ready.data() as RawFd;
            if fd == listener.as_raw_fd() {
                let (stream, _) = listener.accept()?;
                epoll.add(&stream, event(stream.as_raw_fd()))?;
                streams.insert(stream.as_raw_fd(), stream);
            } else if let Some(stream) = streams.get_mut(&fd) {
                let mut request = [0; REQUEST.len()];
                if stream.read_exact(&mut request).and_then(|()| stream.write_all(&ANSWER)).is_err() {
                    streams.remove(&fd);
                }
            }
        }
    }
}

fn event(fd: RawFd) -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, fd as u64)
}

fn wait(epoll: &Epoll, events: &mut [EpollEvent], polling: Duration) -> nix::Result<usize> {
    let until = Instant::now() + polling;
    while !polling.is_zero() && Instant::now() < until {
        match epoll.wait(events, EpollTimeout::ZERO)? {
            0 => {}
            count => return Ok(count),
        }
    }
    epoll.wait(events, EpollTimeout::NONE)
}
