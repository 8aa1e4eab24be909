//! The end of a connection that nobody reads.
//!
//! hyper reads no more while bytes that follow the request wait in its buffer, and so does not see the end of
//! the connection either.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

/// Tells when the client has closed its end of a connection, also by half, whatever of it was not yet read.
pub(crate) struct HangUp(AsyncFd<OwnedFd>);

impl HangUp {
    /// Watches an open connection; `None` if it cannot be watched.
    pub(crate) fn of(connection: BorrowedFd<'_>) -> Option<Self> {
        let connection = connection.try_clone_to_owned().ok()?;
        // SAFETY: an `OwnedFd` names the same open descriptor until it is dropped, and the `AsyncFd` that
        // owns it does not release it.
        unsafe { AsyncFd::register_with_interest(connection, Interest::READABLE) }.ok().map(Self)
    }

    /// Completes when the client has closed its end.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.0.poll_read_ready(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(mut ready)) if !ready.ready().is_read_closed() => {
                    ready.clear_ready_matching(Ready::READABLE);
                }
                // The runtime has ended, too.
                Poll::Ready(_) => return Poll::Ready(()),
            }
        }
    }
}
