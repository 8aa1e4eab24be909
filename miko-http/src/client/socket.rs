//! A socket as hyper uses it, without a runtime: reading and writing never block, and what has to be waited
//! for is noted.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::rt::{Read, ReadBufCursor, Write};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

/// How many bytes are read at a time.
const READ_SIZE: usize = 16 << 10;

/// How many times bytes are read before the thread looks at its deadline. hyper reads as long as they come.
const MAX_READS: usize = 16;

/// The socket of a connection. Its clones are the same socket.
#[derive(Clone)]
pub(super) struct Socket(Arc<Shared>);

struct Shared {
    descriptor: OwnedFd,
    /// How many reads are left until the deadline is looked at.
    reads_left: AtomicUsize,
    /// Whether bytes are waited for.
    wants_read: AtomicBool,
    /// Whether room to write is waited for.
    wants_write: AtomicBool,
}

/// What a look at a socket finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrived {
    Nothing,
    Bytes,
    /// The other side has closed it, or it has failed.
    End,
}

impl Socket {
    pub(super) fn new(descriptor: OwnedFd) -> Self {
        let (wants_read, wants_write) = Default::default();
        let reads_left = AtomicUsize::new(MAX_READS);
        Self(Arc::new(Shared { descriptor, reads_left, wants_read, wants_write }))
    }

    /// Forgets what was waited for, before the next attempt.
    pub(super) fn clear(&self) {
        self.0.reads_left.store(MAX_READS, Ordering::Relaxed);
        self.0.wants_read.store(false, Ordering::Relaxed);
        self.0.wants_write.store(false, Ordering::Relaxed);
    }

    /// Whether there was no room for all that was to be written.
    pub(super) fn wants_write(&self) -> bool {
        self.0.wants_write.load(Ordering::Relaxed)
    }

    /// Whether anything is waited for.
    #[cfg(feature = "tls")]
    pub(super) fn is_blocked(&self) -> bool {
        self.0.wants_read.load(Ordering::Relaxed) || self.wants_write()
    }

    /// Blocks until what was waited for can go on, or a signal arrives. Returns `false` if `until` has
    /// passed.
    pub(super) fn wait(&self, until: Option<Instant>) -> io::Result<bool> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.0.wants_read.load(Ordering::Relaxed));
        flags.set(PollFlags::POLLOUT, self.wants_write());
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let milliseconds = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(self.0.descriptor.as_fd(), flags)], timeout) {
            Ok(0) => Ok(until.is_none_or(|until| Instant::now() < until)),
            Ok(_) | Err(Errno::EINTR) => Ok(true),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Looks whether bytes have arrived, without taking them.
    pub(super) fn look(&self) -> Arrived {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.0.descriptor.as_raw_fd(), &mut [0], flags) {
            Ok(0) => Arrived::End,
            Ok(_) => Arrived::Bytes,
            Err(Errno::EAGAIN | Errno::EINTR) => Arrived::Nothing,
            Err(_) => Arrived::End,
        }
    }

    /// Tells the server that this client has gone. What it has sent before can still be read.
    pub(super) fn stop_sending(&self) {
        // A failure means that the server has gone.
        let _ = shutdown(self.0.descriptor.as_raw_fd(), Shutdown::Write);
    }
}

impl Read for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let reads_left = self.0.reads_left.load(Ordering::Relaxed);
        if reads_left == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.0.reads_left.store(reads_left - 1, Ordering::Relaxed);
        let mut bytes = [0; READ_SIZE];
        let room = buffer.remaining().min(READ_SIZE);
        match recv(self.0.descriptor.as_raw_fd(), &mut bytes[..room], MsgFlags::MSG_DONTWAIT) {
            Ok(count) => {
                buffer.put_slice(&bytes[..count]);
                Poll::Ready(Ok(()))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.0.wants_read.store(true, Ordering::Relaxed);
                Poll::Pending
            }
            Err(fault) => Poll::Ready(Err(fault.into())),
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        match send(self.0.descriptor.as_raw_fd(), bytes, flags) {
            Ok(count) => Poll::Ready(Ok(count)),
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.0.wants_write.store(true, Ordering::Relaxed);
                Poll::Pending
            }
            Err(fault) => Poll::Ready(Err(fault.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing: the socket is closed when it is dropped. To shut it down would end it for the process from
    /// which this one was forked, too.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether the time until which a thread waits is over.
pub(super) fn has_passed(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}
