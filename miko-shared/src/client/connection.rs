//! One connection: the handshake, then requests and their answers, one at a time.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use miko_core::rpc::{Interface, Surface};
use miko_core::{Error, ErrorId, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use super::Address;
use super::handshake::ClientHandshake;
use crate::polling::AdaptiveSpin;
use crate::wire::envelope::Envelope;
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::message::{self, Answer, error_of};

/// A connection after its handshake.
pub(super) struct Connection {
    stream: UnixStream,
    incoming: FrameBuffer,
    outgoing: Vec<u8>,
    next_id: u64,
    /// The largest frame the server takes, or we do: whichever is less.
    frame_limit: usize,
    spin: AdaptiveSpin,
    /// How long to wait for the other side. The socket knows it for writing, and is told when it changes.
    timeout: Duration,
}

impl Connection {
    /// Exchanges the handshake on `stream`, for the interface of `surface`.
    pub(super) fn open(stream: UnixStream, address: &Address, surface: &Surface) -> Result<Self> {
        let mut connection = Self {
            stream,
            incoming: FrameBuffer::default(),
            outgoing: Vec::new(),
            next_id: 1,
            frame_limit: address.limits.frame_size,
            spin: AdaptiveSpin::new(address.shared_status.clone()),
            timeout: Duration::ZERO,
        };
        // The server may be in a long call of somebody else before it takes up the handshake.
        connection.set_timeout(address.limits.call_deadline)?;
        connection.shake_hands(address, surface)?;
        Ok(connection)
    }

    /// Sends one request and waits for its answer, this long.
    ///
    /// After an error of the connection itself the connection is of no more use; [`ConnectionFault`] says so.
    pub(super) fn call<I: Interface + ?Sized>(
        &mut self,
        request: &I::Request,
        deadline: Duration,
    ) -> Result<I::Response, ConnectionFault> {
        let id = self.next_id;
        self.next_id += 1;
        self.outgoing.clear();
        Envelope { deadline, id }
            .enclose(request, self.frame_limit, &mut self.outgoing)
            .map_err(ConnectionFault::OfCall)?;
        self.set_timeout(deadline).map_err(ConnectionFault::OfConnection)?;
        self.send().map_err(|error| ConnectionFault::losing(error, ConnectionFault::Unsent))?;
        let answer: Answer<I::Response> = self
            .receive(message::decode_answer)
            .map_err(|error| ConnectionFault::losing(error, ConnectionFault::Unanswered))?;
        match answer.message {
            // Answers come in the order of the calls, and only this one is under way. Another id means that the
            // server could not even read which call it refuses: it closes the connection after that.
            Ok(response) if answer.request_id == id => Ok(response),
            Ok(_) => Err(ConnectionFault::OfConnection(Error::new(
                ErrorId::INTERNAL,
                "the server answered another call",
            ))),
            Err(refusal) if answer.request_id == id => Err(ConnectionFault::OfCall(error_of(&refusal))),
            Err(refusal) => Err(ConnectionFault::OfConnection(error_of(&refusal))),
        }
    }

    fn shake_hands(&mut self, address: &Address, surface: &Surface) -> Result<()> {
        let mut handshake = ClientHandshake::begin(address, surface, &mut self.outgoing)?;
        loop {
            // The server may refuse before it has read all of this: what it says matters, not that the rest was unread.
            let sent = self.send();
            self.outgoing.clear();
            let reply = self.receive(frame::decode).or_else(|unread| sent.and(Err(unread)))?;
            if let Some(theirs) = handshake.receive(reply, &mut self.outgoing)? {
                self.frame_limit = self.frame_limit.min(theirs);
                return Ok(());
            }
        }
    }

    fn send(&mut self) -> Result<()> {
        self.stream.write_all(&self.outgoing).map_err(|fault| lost(&fault))
    }

    fn receive<T>(&mut self, decode: fn(&[u8]) -> Result<T>) -> Result<T> {
        loop {
            if let Some(frame) = self.incoming.next_frame(self.frame_limit)? {
                let message = decode(frame);
                self.incoming.shrink();
                return message;
            }
            if !self.spin_for_reply() {
                self.wait()?;
                self.read()?;
            }
        }
    }

    /// Reads what has arrived, without blocking. `false` if nothing has.
    fn read(&mut self) -> Result<bool> {
        match recv(self.stream.as_raw_fd(), self.incoming.room(), MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Err(Error::new(ErrorId::SERVER_GONE, "the server has closed the connection")),
            Ok(count) => {
                self.incoming.filled(count);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(fault) => Err(lost(&fault.into())),
        }
    }

    /// Waits until something has arrived.
    ///
    /// A `read` that blocks is woken twice by each call, since a socket wakes whoever waits in it also when the server has taken the
    /// request out, and there is room to write again: twice as many context switches, and a wake-up more for the server
    /// to pay. `poll` is woken by what it asked for.
    fn wait(&self) -> Result<()> {
        let milliseconds = self.timeout.as_micros().div_ceil(1000);
        let timeout = PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => Err(lost(&ErrorKind::TimedOut.into())),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(fault) => Err(lost(&fault.into())),
        }
    }

    /// Looks for a while without blocking whether something has arrived. What there is to say of errors is said by who blocks.
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

    fn set_timeout(&mut self, timeout: Duration) -> Result<()> {
        if self.timeout != timeout {
            self.stream.set_write_timeout(Some(timeout)).map_err(|fault| lost(&fault))?;
            self.timeout = timeout;
        }
        Ok(())
    }
}

/// Why a call gave no response.
pub(super) enum ConnectionFault {
    /// The call was refused; the connection is as good as before.
    OfCall(Error),
    /// The connection is of no more use.
    OfConnection(Error),
    /// The connection was lost before all of the call was sent: it was not run.
    Unsent(Error),
    /// The connection was lost before the answer came: nobody knows whether the call was run.
    Unanswered(Error),
}

impl ConnectionFault {
    /// `error` is `at_loss` if it says that the server is gone, and another fault of the connection if not.
    fn losing(error: Error, at_loss: fn(Error) -> Self) -> Self {
        if error.is(ErrorId::SERVER_GONE) { at_loss(error) } else { Self::OfConnection(error) }
    }
}

fn lost(fault: &std::io::Error) -> Error {
    match fault.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Error::new(ErrorId::DEADLINE_EXCEEDED, "the server did not answer in time")
        }
        _ => Error::new(ErrorId::SERVER_GONE, format!("the connection to the server was lost: {fault}")),
    }
}
