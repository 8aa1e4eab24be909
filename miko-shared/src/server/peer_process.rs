//! The process of a peer. Its death counts, though a process that it forked may keep the socket open.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use nix::sys::socket::{Shutdown, getsockopt, shutdown, sockopt};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf};
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

impl PeerProcess {
    /// Begins to watch the process that connected `stream`, if something is open.
    pub(super) fn watch_if(&mut self, is_open: bool, stream: &UnixStream) {
        if is_open && matches!(self, Self::Unwatched) {
            let process = getsockopt(stream, sockopt::PeerPidfd).ok();
            *self = Self::Watched(process.and_then(|process| {
                // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd`
                // that owns it hands it out to nobody.
                unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) }.ok()
            }));
        }
    }

    /// Sends answers and items, unless the process has ended.
    pub(super) async fn send(&mut self, stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
        if matches!(self, Self::Ended) {
            return Ok(());
        }
        let sent = {
            let mut writing = pin!(stream.write_all(bytes));
            poll_fn(|context| match writing.as_mut().poll(context) {
                Poll::Ready(sent) => Poll::Ready(Some(sent)),
                Poll::Pending => self.poll_end(context).map(|()| None),
            })
            .await
        };
        sent.unwrap_or_else(|| {
            self.end(stream);
            Ok(())
        })
    }

    /// Reads bytes into `room`, or waits until `other` is ready (`None`), or the process has ended (`None`).
    pub(super) async fn read_or(
        &mut self,
        stream: &mut UnixStream,
        room: &mut [u8],
        mut other: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> io::Result<Option<usize>> {
        let mut buffer = ReadBuf::new(room);
        let read = poll_fn(|context| {
            if let Poll::Ready(read) = Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                return Poll::Ready(Some(read));
            }
            if !matches!(self, Self::Ended) && other(context).is_ready() {
                return Poll::Ready(None);
            }
            self.poll_end(context).map(|()| None)
        })
        .await;
        match read {
            Some(read) => read.map(|()| Some(buffer.filled().len())),
            None => {
                if self.has_ended().await {
                    self.end(stream);
                }
                Ok(None)
            }
        }
    }

    /// Whether a watched process has ended by now.
    async fn has_ended(&self) -> bool {
        poll_fn(|context| Poll::Ready(self.poll_end(context).is_ready())).await
    }

    fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Watched(Some(process)) => process.poll_read_ready(context).map(drop),
            _ => Poll::Pending,
        }
    }

    /// Lets what has arrived be read, followed by end of file, whoever else has the socket.
    fn end(&mut self, stream: &UnixStream) {
        *self = Self::Ended;
        // An error means that the peer has closed the connection already.
        let _ = shutdown(stream.as_raw_fd(), Shutdown::Read);
    }
}
