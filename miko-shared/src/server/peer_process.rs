//! The process of a peer. Its death counts, though a process that it forked may keep the socket open.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;

/// The process at the other end of a socket, watched while it has anything open.
#[derive(Default)]
pub(super) enum PeerProcess {
    /// Nothing was open yet.
    #[default]
    Unwatched,
    /// It runs; the descriptor becomes readable when it ends.
    ///
    /// A kernel before Linux 6.5 has no such descriptor of a peer. Then its death is seen when the last
    /// process that has the socket closes it.
    Watched(Option<AsyncFd<OwnedFd>>),
    /// It has ended. What it has sent is served; it gets no answers.
    Ended,
}

/// What has happened on a connection.
pub(super) enum Exchanged {
    /// This many bytes were sent.
    Sent(usize),
    /// This many bytes were read; none at the end.
    Read(usize),
    /// There is something to send, or the process has ended.
    Ready,
}

impl PeerProcess {
    /// Begins to watch the process that connected `stream`.
    pub(super) fn watch(&mut self, stream: &UnixStream) {
        if matches!(self, Self::Unwatched) {
            let process = getsockopt(stream, sockopt::PeerPidfd).ok();
            *self = Self::Watched(process.and_then(|process| {
                // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd`
                // that owns it does not give it away.
                unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.ok()
            }));
        }
    }

    /// Whether the process has ended: it gets nothing any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Sends `unsent`, reads into `room`, if there is one, or waits until `is_ready`; what comes first.
    pub(super) async fn exchange(
        &mut self,
        stream: &mut UnixStream,
        unsent: &[u8],
        room: Option<&mut [u8]>,
        mut is_ready: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> io::Result<Exchanged> {
        if self.has_ended() && !unsent.is_empty() {
            return Ok(Exchanged::Sent(unsent.len()));
        }
        let mut buffer = room.map(ReadBuf::new);
        let exchanged = poll_fn(|context| {
            // Credit, releases and calls come before more items.
            if let Some(buffer) = &mut buffer
                && let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(context, buffer)
            {
                return Poll::Ready(Some(read.map(|()| Exchanged::Read(buffer.filled().len()))));
            }
            if !unsent.is_empty()
                && let Poll::Ready(sent) = Pin::new(&mut *stream).poll_write(context, unsent)
            {
                return Poll::Ready(Some(sent.map(Exchanged::Sent)));
            }
            if is_ready(context).is_ready() {
                return Poll::Ready(Some(Ok(Exchanged::Ready)));
            }
            self.poll_end(context).map(|()| None)
        })
        .await;
        exchanged.unwrap_or_else(|| {
            self.end(stream);
            Ok(Exchanged::Ready)
        })
    }

    fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Watched(Some(process)) => process.poll_read_ready(context).map(drop),
            _ => Poll::Pending,
        }
    }

    /// Lets what has arrived be read, followed by end of file, also if another process has the socket.
    fn end(&mut self, stream: &UnixStream) {
        *self = Self::Ended;
        // An error means that the peer has closed the connection already.
        let _ = shutdown(stream.as_raw_fd(), Shutdown::Read);
    }
}
