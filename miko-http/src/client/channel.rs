//! What hyper reads and writes: a socket, or TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::SecureSocket;

/// What hyper reads and writes.
pub(super) enum Channel {
    Plain(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<SecureSocket>),
}

impl Read for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl Write for Channel {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    /// Nothing, as of a [`Socket`]: a fork may have the same one.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
