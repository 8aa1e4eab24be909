//! The yardstick: 64 bytes there, 200 bytes back, and nothing else.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use mikobase::{BoxError, Uds};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::family::{Gate, Nothing, Ping, ServerProcess, Setting};

const REQUEST: [u8; 64] = [1; 64];
const ANSWER: [u8; 200] = [2; 200];

/// How long both sides look again and again before they block.
const POLLING: Duration = Duration::from_micros(50);

pub(crate) fn blocking(setting: Setting) -> Result<Vec<f64>, BoxError> {
    measure(setting, Duration::ZERO)
}

pub(crate) fn polling(setting: Setting) -> Result<Vec<f64>, BoxError> {
    measure(setting, POLLING)
}

fn measure(setting: Setting, polling: Duration) -> Result<Vec<f64>, BoxError> {
    setting.apply(|| {
        let server = ServerProcess::start(|listener| {
            let _ = serve(&listener, polling);
        })?;
        let (gate, uds) = (Gate::new()?, Uds::new()?);
        let share = uds.spawn_share::<dyn Ping, _>(
            setting.workers,
            || Ok(Box::new(Nothing)),
            |_, _| {
                let mut stream = UnixStream::connect(&server.socket)?;
                stream.set_nonblocking(!polling.is_zero())?;
                setting.time(&gate, |_| round_trip(&mut stream, polling))
            },
        )?;
        gate.open(setting.workers, share)
    })
}

fn round_trip(stream: &mut UnixStream, polling: Duration) -> Result<(), BoxError> {
    stream.write_all(&REQUEST)?;
    let mut answer = [0; ANSWER.len()];
    if polling.is_zero() {
        return Ok(stream.read_exact(&mut answer)?);
    }
    let until = Instant::now() + polling;
    loop {
        match stream.read_exact(&mut answer) {
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            outcome => return Ok(outcome?),
        }
        if Instant::now() > until {
            stream.set_nonblocking(false)?;
            stream.read_exact(&mut answer)?;
            return Ok(stream.set_nonblocking(true)?);
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
