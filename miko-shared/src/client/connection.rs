//! One blocking connection: the handshake, then requests and their answers, one at a time.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use miko_rpc::codec::Message;
use miko_rpc::{Error, ErrorId, Result, Surface};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::Address;
use super::handshake::ClientHandshake;
use crate::polling::AdaptiveSpin;
use crate::wire::envelope::Envelope;
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::message::Answer;

/// A connection after its handshake.
pub(super) struct Connection {
    stream: UnixStream,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    next_id: u64,
    /// The calls that failed by their deadline, whose answers may still arrive.
    given_up: Vec<u64>,
    /// The smaller of the two sides' frame limits, in bytes.
    frame_limit: usize,
    spin: AdaptiveSpin,
    /// The timeout of each single wait, for bytes or for room to write. It is also the socket's write
    /// timeout, which is set only when the value changes.
    timeout: Duration,
    /// When the call in progress fails, if it waits for its answer; `None` for no limit but `timeout`.
    until: Option<Instant>,
}

impl Connection {
    /// Performs the handshake on `stream`, for the interface of `surface`. A server that runs a long call of
    /// another client reads the handshake only after that call.
    pub(super) fn open(
        stream: UnixStream,
        address: &Address,
        surface: &Surface,
        timeout: Duration,
    ) -> Result<Self> {
        if timeout.is_zero() {
            return Err(connection_error(ErrorKind::TimedOut.into()));
        }
        let mut connection = Self {
            stream,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            next_id: 1,
            given_up: Vec::new(),
            frame_limit: address.limits.frame_size,
            spin: AdaptiveSpin::new(address.shared_status.clone()),
            timeout: Duration::ZERO,
            until: None,
        };
        connection.set_timeout(timeout)?;
        connection.perform_handshake(address, surface)?;
        Ok(connection)
    }

    /// Sends one request, and passes the response to `read`.
    ///
    /// The answer must have arrived at `until`. `deadline` is the time left as the server is told it, and the
    /// timeout of each wait for room to write.
    ///
    /// A call that is not answered in time is given up, and the connection remains usable: its answer is
    /// discarded when it arrives. Every fault except [`ConnectionFault::OfCall`] leaves the connection
    /// unusable.
    pub(super) fn call(
        &mut self,
        request: &dyn Message,
        deadline: Duration,
        until: Option<Instant>,
        read: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<(), ConnectionFault> {
        let id = self.next_id;
        self.next_id += 1;
        self.outgoing.clear();
        Envelope { deadline, id }
            .enclose(request, self.frame_limit, &mut self.outgoing)
            .map_err(ConnectionFault::OfCall)?;
        self.set_timeout(deadline).map_err(ConnectionFault::OfConnection)?;
        self.until = until;
        self.send().map_err(|error| ConnectionFault::classify(error, ConnectionFault::Unsent))?;
        loop {
            let received = self.receive(|frame| {
                let Answer { request_id, response } = Answer::read(frame)?;
                // One call is in progress at a time, so its answer is the next message. A refusal with
                // another id means that the server could not decode the request's id; it then closes the
                // connection.
                let answered = match response {
                    Ok(response) if request_id == id => read(&response).map_err(ConnectionFault::OfCall),
                    Ok(_) => Err(ConnectionFault::OfConnection(Error::new(
                        ErrorId::INTERNAL,
                        "the server answered another call",
                    ))),
                    Err(refusal) if request_id == id => Err(ConnectionFault::OfCall(refusal)),
                    Err(refusal) => Err(ConnectionFault::OfConnection(refusal)),
                };
                Ok((request_id, answered))
            });
            match received {
                Ok((request_id, _)) if request_id != id && self.discards_answer_to(request_id) => {}
                Ok((_, answered)) => return answered,
                Err(error) if error.is(ErrorId::DEADLINE_EXCEEDED) => {
                    self.given_up.push(id);
                    return Err(ConnectionFault::OfCall(error));
                }
                Err(error) => return Err(ConnectionFault::classify(error, ConnectionFault::Unanswered)),
            }
        }
    }

    /// Whether the call `id` was given up. Its answer has arrived now, so it is forgotten.
    fn discards_answer_to(&mut self, id: u64) -> bool {
        let call = self.given_up.iter().position(|given_up| *given_up == id);
        call.map(|call| self.given_up.swap_remove(call)).is_some()
    }

    fn perform_handshake(&mut self, address: &Address, surface: &Surface) -> Result<()> {
        let mut handshake = ClientHandshake::begin(address, surface, &mut self.outgoing)?;
        loop {
            // The server may refuse before it has read everything. Its reply then takes precedence over the
            // write error.
            let sent = self.send();
            self.outgoing.clear();
            let reply = self.receive(frame::decode).or_else(|no_reply| sent.and(Err(no_reply)))?;
            if let Some(server_limit) = handshake.receive(reply, &mut self.outgoing)? {
                self.frame_limit = self.frame_limit.min(server_limit);
                return Ok(());
            }
        }
    }

    fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.outgoing).map_err(connection_error)
    }

    /// Receives one frame and decodes it. Spins briefly before it blocks.
    fn receive<T>(&mut self, mut decode: impl FnMut(&[u8]) -> Result<T>) -> Result<T> {
        loop {
            if let Some(frame) = self.incoming.next_frame(self.frame_limit)? {
                let message = decode(frame);
                self.incoming.shrink();
                return message;
            }
            if !self.spin_for_reply() {
                self.block_until_readable()?;
                self.read()?;
            }
        }
    }

    /// Reads the bytes that have arrived, without blocking. Returns `false` if there are none.
    fn read(&mut self) -> Result<bool> {
        match recv(self.stream.as_raw_fd(), self.incoming.room(), MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(Error::new(ErrorId::SERVER_GONE, "the server has closed the connection")),
            Ok(count) => {
                self.incoming.filled(count);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(fault) => Err(connection_error(fault.into())),
        }
    }

    /// Blocks in `poll` until the stream is readable, or has failed, or the timeout expires.
    ///
    /// A blocking `read` is woken twice per call: a Unix socket also wakes its waiters when the server has
    /// received the request and the socket becomes writable. That doubles the context switches and costs the
    /// server another wake-up. `poll` is woken only by the events it requests.
    fn block_until_readable(&self) -> Result<()> {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(self.timeout, |left| left.min(self.timeout));
        let milliseconds = timeout.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => Err(connection_error(ErrorKind::TimedOut.into())),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(fault) => Err(connection_error(fault.into())),
        }
    }

    /// Spins for a reply, if that is likely to succeed; returns whether bytes have arrived. An error ends the
    /// spin with `false`: `receive` then polls and reads again, which reports it.
    fn spin_for_reply(&mut self) -> bool {
        let Some(mut window) = self.spin.begin() else { return false };
        let found = loop {
            window.yield_cpu();
            match self.read() {
                Ok(true) => break true,
                Ok(false) if window.is_open() => {}
                _ => break false,
            }
        };
        self.spin.record(&window, found);
        found
    }

    /// Sets the timeout of each single wait.
    fn set_timeout(&mut self, timeout: Duration) -> Result<()> {
        if self.timeout != timeout {
            self.stream.set_write_timeout(Some(timeout)).map_err(connection_error)?;
            self.timeout = timeout;
        }
        Ok(())
    }
}

/// Why a call returned no response.
pub(super) enum ConnectionFault {
    /// The call was refused; the connection remains usable.
    OfCall(Error),
    /// The connection failed and is unusable.
    OfConnection(Error),
    /// The connection was lost before the whole request was sent, so the call did not run.
    Unsent(Error),
    /// The connection was lost before the answer arrived; it is unknown whether the call ran.
    Unanswered(Error),
}

impl ConnectionFault {
    /// Wraps `error` in `if_gone` if its id is `server-gone`, and in [`OfConnection`](Self::OfConnection)
    /// otherwise.
    fn classify(error: Error, if_gone: fn(Error) -> Self) -> Self {
        if error.is(ErrorId::SERVER_GONE) { if_gone(error) } else { Self::OfConnection(error) }
    }
}

/// The error of a failed read, write or poll: `deadline-exceeded` for a timeout, otherwise `server-gone`.
fn connection_error(fault: std::io::Error) -> Error {
    match fault.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not answer in time")
        }
        _ => Error::caused_by(ErrorId::SERVER_GONE, "the connection to the server was lost", fault),
    }
}
