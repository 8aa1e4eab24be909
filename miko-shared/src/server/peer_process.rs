//! The process of a peer. The connection ends when that process ends, even if a process that it has forked
//! keeps the socket open.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::task::{JoinHandle, spawn_local};

use super::socket::{Socket, watch};
use crate::linux::{self, PeerPidfd};

/// The process at the other end of a socket. It is watched once the connection has a session.
#[derive(Default)]
pub(super) enum PeerProcess {
    /// The connection has no session yet.
    #[default]
    Unwatched,
    /// It runs.
    ///
    /// A kernel before Linux 6.5 has no descriptor of the process of a peer. Then its death is seen when the
    /// last process that has the socket closes it.
    Watched(Option<Watch>),
    /// It has ended. The calls that it has sent are run, and their answers are discarded.
    Ended,
}

/// A task of its own waits for the end of the process: the calls of the connection do not poll its
/// descriptor.
pub(super) struct Watch {
    end: Rc<ProcessEnd>,
    task: JoinHandle<()>,
}

/// Whether a process has ended.
#[derive(Default)]
struct ProcessEnd {
    has_ended: Cell<bool>,
    /// The task of the connection, while it waits.
    connection: RefCell<Option<Waker>>,
}

/// An event on a connection.
pub(super) enum ConnectionEvent {
    /// This many bytes were sent.
    Sent(usize),
    /// This many bytes were read; none at the end.
    Read(usize),
    /// There is something to send, or the process has ended.
    Ready,
}

impl PeerProcess {
    /// Begins to watch the process that connected `socket`.
    pub(super) fn watch(&mut self, socket: &Socket) {
        if !matches!(self, Self::Unwatched) {
            return;
        }
        match linux::peer_pidfd(socket) {
            PeerPidfd::Open(process) => *self = Self::Watched(Watch::new(process)),
            PeerPidfd::Reaped => self.end(socket),
            PeerPidfd::Unknown => *self = Self::Watched(None),
        }
    }

    /// Whether the process has ended, so that nothing is sent to it any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Sends as much of `unsent` as the socket takes at once. Returns the number of bytes that are done with:
    /// all of them after the process has ended.
    pub(super) fn try_send(&self, socket: &mut Socket, unsent: &[u8]) -> io::Result<usize> {
        if self.has_ended() {
            return Ok(unsent.len());
        }
        match socket.try_write(unsent) {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Ok(0),
            sent => sent,
        }
    }

    /// Sends a part of `unsent`, reads into `free`, if there is one, or waits until `is_ready`: the one that
    /// is possible first.
    pub(super) async fn next_event(
        &mut self,
        socket: &mut Socket,
        unsent: &[u8],
        mut free: Option<&mut [u8]>,
        mut is_ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> io::Result<ConnectionEvent> {
        if self.has_ended() && !unsent.is_empty() {
            return Ok(ConnectionEvent::Sent(unsent.len()));
        }
        let event = poll_fn(|context| {
            // Reading has priority: the credit, releases and calls that have arrived are handled before more
            // items of streams are sent.
            if let Some(free) = &mut free
                && let Poll::Ready(read) = socket.poll_read(context, free)
            {
                return Poll::Ready(Some(read.map(ConnectionEvent::Read)));
            }
            if !unsent.is_empty()
                && let Poll::Ready(sent) = socket.poll_write(context, unsent)
            {
                return Poll::Ready(Some(sent.map(ConnectionEvent::Sent)));
            }
            if is_ready(context).is_ready() {
                return Poll::Ready(Some(Ok(ConnectionEvent::Ready)));
            }
            self.poll_end(context).map(|()| None)
        })
        .await;
        event.unwrap_or_else(|| {
            self.end(socket);
            Ok(ConnectionEvent::Ready)
        })
    }

    fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Watched(Some(watch)) => watch.end.poll(context),
            _ => Poll::Pending,
        }
    }

    /// Shuts receiving down: the bytes that have arrived can still be read, followed by end of file, also if
    /// another process has the socket.
    fn end(&mut self, socket: &Socket) {
        *self = Self::Ended;
        // An error means that the peer has closed the connection already.
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
    }
}

impl Watch {
    /// `process` becomes readable when the process ends. `None` if it cannot be waited for.
    fn new(process: OwnedFd) -> Option<Self> {
        let process = watch(process, Interest::READABLE).ok()?;
        let end = Rc::<ProcessEnd>::default();
        let reported = Rc::clone(&end);
        let task = spawn_local(async move {
            if process.readable().await.is_ok() {
                reported.report();
            }
        });
        Some(Self { end, task })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProcessEnd {
    fn report(&self) {
        self.has_ended.set(true);
        if let Some(connection) = self.connection.take() {
            connection.wake();
        }
    }

    /// Whether the process has ended, or registers the task to be woken.
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_ended.get() {
            return Poll::Ready(());
        }
        let mut connection = self.connection.borrow_mut();
        match &mut *connection {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
