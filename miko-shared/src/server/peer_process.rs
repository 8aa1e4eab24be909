//! Watches the process of a peer. A connection with a session ends when that process ends, even if another
//! process has inherited the socket and keeps it open. One without a session ends when the last process
//! closes the socket, or when sending fails.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::task::{JoinHandle, spawn_local};

use super::socket::{Socket, watch_descriptor};
use crate::linux::{self, PeerPidfd};

/// The process at the other end of a socket. It is watched once the connection has a session: only a session
/// has something that must be dropped when the process ends. Without a session, a failure to send shows that
/// nothing reaches the process any more.
#[derive(Default)]
pub(super) enum PeerProcess {
    /// The process is not watched yet, because the connection has no session yet.
    #[default]
    NotYetWatched,
    /// The process has not ended, as far as the server knows.
    ///
    /// `None` if the process cannot be watched: before Linux 6.5 the kernel provides no pidfd of the process
    /// of a peer, and the runtime may refuse to watch a pidfd. The connection then ends only when the last
    /// process that has the socket closes it.
    Running(Option<EndWatcher>),
    /// The process has ended, or sending to it has failed. The calls that it has sent are run, and their
    /// answers are discarded.
    Ended,
}

/// Waits for the end of a process in a task of its own, so that the connection need not poll the pidfd at
/// each call.
pub(super) struct EndWatcher {
    end: Rc<ProcessEnd>,
    task: JoinHandle<()>,
}

/// Whether a process has ended.
#[derive(Default)]
struct ProcessEnd {
    has_ended: Cell<bool>,
    /// Wakes the task of the connection; `None` until the task has waited for an event.
    connection_waker: RefCell<Option<Waker>>,
}

/// An event on a connection.
pub(super) enum ConnectionEvent {
    /// This many bytes were sent, or discarded because nothing is sent to the process any more.
    Sent(usize),
    /// This many bytes were read; 0 at the end of the stream.
    Read(usize),
    /// The argument `is_ready` of [`PeerProcess::next_event`] has returned ready: a stream, a later answer or
    /// a parked call may have something to do. Or the process has just ended, or sending has just failed.
    Ready,
}

impl PeerProcess {
    /// Begins to watch the process that connected `socket`, at the first call. Later calls do nothing.
    pub(super) fn watch(&mut self, socket: &Socket) {
        if !matches!(self, Self::NotYetWatched) {
            return;
        }
        match linux::peer_pidfd(socket) {
            PeerPidfd::Open(pidfd) => *self = Self::Running(EndWatcher::new(pidfd)),
            PeerPidfd::Reaped => self.mark_ended(socket),
            PeerPidfd::Unknown => *self = Self::Running(None),
        }
    }

    /// Whether the process has ended, or sending to it has failed: nothing is sent to it any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Sends all of `unsent`. If the process has ended, or if sending fails, discards the bytes that were not
    /// sent.
    pub(super) async fn send_all(&mut self, socket: &mut Socket, unsent: &[u8]) {
        if !self.has_ended() && socket.write_all(unsent).await.is_err() {
            self.mark_ended(socket);
        }
    }

    /// Sends as much of `unsent` as the socket takes without waiting. Returns the number of bytes that were
    /// sent. If the process has ended, or if sending fails, all bytes count as sent and are discarded.
    pub(super) fn try_send(&mut self, socket: &mut Socket, unsent: &[u8]) -> usize {
        if self.has_ended() {
            return unsent.len();
        }
        match socket.try_write(unsent) {
            Ok(count) => count,
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.mark_ended(socket);
                unsent.len()
            }
        }
    }

    /// Waits for the first of these events: bytes were read into `room` (without a `room` nothing is read); a
    /// part of `unsent` was sent; `is_ready` returned ready; the process has ended, or sending has failed.
    ///
    /// # Errors
    /// If reading fails.
    pub(super) async fn next_event(
        &mut self,
        socket: &mut Socket,
        unsent: &[u8],
        mut room: Option<&mut [u8]>,
        mut is_ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> io::Result<ConnectionEvent> {
        if self.has_ended() && !unsent.is_empty() {
            // Nothing is sent any more: all bytes are discarded.
            return Ok(ConnectionEvent::Sent(unsent.len()));
        }
        // `None`: the process has ended, or sending has failed.
        let event = poll_fn(|context| {
            // Reading has priority: the credit, releases and calls that have arrived are handled before more
            // items of streams are sent.
            if let Some(room) = &mut room
                && let Poll::Ready(read) = socket.poll_read(context, room)
            {
                return Poll::Ready(Some(read.map(ConnectionEvent::Read)));
            }
            if !unsent.is_empty()
                && let Poll::Ready(sent) = socket.poll_write(context, unsent)
            {
                return Poll::Ready(sent.ok().map(|count| Ok(ConnectionEvent::Sent(count))));
            }
            if is_ready(context).is_ready() {
                return Poll::Ready(Some(Ok(ConnectionEvent::Ready)));
            }
            self.poll_end(context).map(|()| None)
        })
        .await;
        event.unwrap_or_else(|| {
            self.mark_ended(socket);
            Ok(ConnectionEvent::Ready)
        })
    }

    /// Ready when the watched process has ended. Never ready if the process is not watched, or if its end was
    /// recorded already.
    fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Running(Some(watcher)) => watcher.end.poll(context),
            _ => Poll::Pending,
        }
    }

    /// Records that the process has ended or sending has failed, and shuts receiving down: the bytes that
    /// have arrived can still be read, followed by end of file, also if another process has the socket.
    fn mark_ended(&mut self, socket: &Socket) {
        *self = Self::Ended;
        // An error means that the peer has closed the connection already.
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Read);
    }
}

impl EndWatcher {
    /// Watches a pidfd, which becomes readable when its process ends. `None` if the runtime cannot watch it.
    fn new(pidfd: OwnedFd) -> Option<Self> {
        let pidfd = watch_descriptor(pidfd, Interest::READABLE).ok()?;
        let end = Rc::<ProcessEnd>::default();
        let recorded_end = Rc::clone(&end);
        let task = spawn_local(async move {
            if pidfd.readable().await.is_ok() {
                recorded_end.record();
            }
        });
        Some(Self { end, task })
    }
}

impl Drop for EndWatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProcessEnd {
    /// Records that the process has ended, and wakes the task of the connection.
    fn record(&self) {
        self.has_ended.set(true);
        if let Some(connection_waker) = self.connection_waker.take() {
            connection_waker.wake();
        }
    }

    /// Ready if the process has ended; otherwise registers the task of the connection to be woken.
    fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_ended.get() {
            return Poll::Ready(());
        }
        let mut connection_waker = self.connection_waker.borrow_mut();
        match &mut *connection_waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
