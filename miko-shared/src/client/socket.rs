//! A Unix socket. Sending and receiving do not block, apart from [`Socket::receive_blocking`].
//! [`Socket::wait`] and [`Socket::wait_or`] block until the socket is readable or writable.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use miko_rpc::Result;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{MsgFlags, recv, send};

use super::fault::{closed, connection_lost};
use crate::wire::frame::FrameBuffer;

/// How long a blocking read waits for bytes. The time is short, because nothing interrupts the read when
/// another thread queues bytes that the reading thread has to send.
pub(super) const BLOCKING_READ_TIMEOUT: Duration = Duration::from_millis(8);

/// The socket of a connection. Any thread may use it.
pub(super) struct Socket(UnixStream);

/// What a thread waits for at a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Bytes have arrived.
    Readable,
    /// There is room to write.
    Writable,
    /// Readable or writable.
    Any,
}

impl Socket {
    pub(super) fn new(stream: UnixStream) -> Result<Self> {
        stream.set_read_timeout(Some(BLOCKING_READ_TIMEOUT)).map_err(connection_lost)?;
        Ok(Self(stream))
    }

    /// Sends as many bytes as the buffer of the socket has room for, without blocking. Returns their number,
    /// which may be zero.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize> {
        match send(self.0.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => Ok(count),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(fault) => Err(connection_lost(fault.into())),
        }
    }

    /// Reads the bytes that have arrived. Returns `false` if there are none.
    pub(super) fn receive(&self, buffer: &mut FrameBuffer) -> Result<bool> {
        self.receive_with(buffer, MsgFlags::MSG_DONTWAIT)
    }

    /// Blocks until bytes have arrived, and reads them. This takes one system call; [`wait`](Self::wait) and
    /// [`receive`](Self::receive) take two. Returns `false` if no bytes arrive within
    /// [`BLOCKING_READ_TIMEOUT`], or if a signal arrives first.
    ///
    /// Use it to wait for the items of a stream, which the server sends without a request. A thread that has
    /// just sent a call uses [`wait`](Self::wait), for the reason given there.
    pub(super) fn receive_blocking(&self, buffer: &mut FrameBuffer) -> Result<bool> {
        self.receive_with(buffer, MsgFlags::empty())
    }

    fn receive_with(&self, buffer: &mut FrameBuffer, flags: MsgFlags) -> Result<bool> {
        match recv(self.0.as_raw_fd(), buffer.room(), flags) {
            Ok(0) => Err(closed()),
            Ok(count) => {
                buffer.filled(count);
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
            Err(fault) => Err(connection_lost(fault.into())),
        }
    }

    /// Blocks until `event`, until the socket has failed, or until a signal arrives. Returns `false` if
    /// `until` has passed.
    ///
    /// This uses `poll`, which wakes only for the requested events. A blocking `read` would wake twice per
    /// call: a Unix socket also wakes its waiters when the server has received the request and the socket
    /// becomes writable. That would double the context switches, and the server would have to wake the client
    /// twice.
    pub(super) fn wait(&self, event: Event, until: Option<Instant>) -> Result<bool> {
        poll_until(&mut [PollFd::new(self.0.as_fd(), event.flags())], until)
    }

    /// As [`wait`](Self::wait), but also returns after another thread has written to `wake`. Resets `wake`,
    /// whose reads must not block.
    pub(super) fn wait_or(&self, event: Event, wake: &EventFd, until: Option<Instant>) -> Result<bool> {
        let mut descriptors =
            [PollFd::new(self.0.as_fd(), event.flags()), PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
        let in_time = poll_until(&mut descriptors, until)?;
        if descriptors[1].any() == Some(true) {
            // The read fails only if the counter is zero already.
            let _ = wake.read();
        }
        Ok(in_time)
    }
}

impl Event {
    fn flags(self) -> PollFlags {
        match self {
            Self::Readable => PollFlags::POLLIN,
            Self::Writable => PollFlags::POLLOUT,
            Self::Any => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }
}

/// Polls until one of the descriptors is ready, or a signal arrives; `false` if `until` has passed.
fn poll_until(descriptors: &mut [PollFd<'_>], until: Option<Instant>) -> Result<bool> {
    let timeout = until.map_or(PollTimeout::NONE, |until| {
        let milliseconds = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
        PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
    });
    match poll(descriptors, timeout) {
        // The timeout is over. If it was `PollTimeout::MAX`, `until` may still be in the future.
        Ok(0) => Ok(until.is_none_or(|until| Instant::now() < until)),
        Ok(_) | Err(Errno::EINTR) => Ok(true),
        Err(fault) => Err(connection_lost(fault.into())),
    }
}
