//! Refusals of requests whose head cannot be read. hyper answers these itself, with a status and without a
//! body. This stream puts a JSON error in the place of such an answer.
//!
//! hyper's own answers are told from those of our routes by the time at which they are written: when all of
//! the last response was written, and no request has been handed to the routes since.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use miko_rpc::Error;
use miko_shared::server::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::counts::Counts;
use crate::progress::Progress;
use crate::refusal;
use crate::status::id_of;

/// A stream whose bare refusals get a body.
pub(crate) struct RefusingStream<S> {
    stream: S,
    progress: Rc<Progress>,
    /// Counts the bytes.
    metrics: Rc<Metrics>,
    /// Counts the refusals.
    counts: Counts,
    /// Whether hyper has ended, so that all that is written is ours.
    is_ours: bool,
    /// A refusal that is being written, and how much of it was.
    refusal: Option<(Vec<u8>, usize)>,
}

impl<S> RefusingStream<S> {
    pub(crate) fn new(stream: S, progress: &Rc<Progress>, metrics: &Rc<Metrics>, counts: &Counts) -> Self {
        Self {
            stream,
            progress: Rc::clone(progress),
            metrics: Rc::clone(metrics),
            counts: counts.clone(),
            is_ours: false,
            refusal: None,
        }
    }
}

impl<S: AsyncWrite + Unpin> RefusingStream<S> {
    /// Writes unchanged what comes from now on: hyper has ended, and this server writes.
    pub(crate) fn end_replacing(&mut self) {
        self.is_ours = true;
    }

    /// Writes the rest of a refusal.
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, written)) = &mut self.refusal {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[*written..]))?;
            self.metrics.protocols.record_sent(count);
            *written += count;
            if count == 0 || *written == bytes.len() {
                self.refusal = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The response in the place of a bare one, with its status.
fn in_place_of(bare: &[u8]) -> Option<(StatusCode, Vec<u8>)> {
    let status = bare.strip_prefix(b"HTTP/1.1 ").or_else(|| bare.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    let status = StatusCode::from_bytes(status).ok()?;
    let message = "the head of the request cannot be read, or is larger than the server takes";
    Some((status, refusal::last(status, &Error::new(id_of(status), message))))
}

impl<S: AsyncRead + Unpin> AsyncRead for RefusingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.metrics.protocols.record_received(count);
        }
        self.progress.record_read(count > 0, read.is_pending());
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RefusingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(context))?;
        if !self.is_ours
            && self.progress.is_idle()
            && let Some((status, refusal)) = in_place_of(bytes)
        {
            self.counts.record_response(status);
            self.refusal = Some((refusal, 0));
            return Poll::Ready(Ok(bytes.len()));
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.metrics.protocols.record_sent(count);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        // hyper flushes when it has written all that it had.
        self.progress.record_flush();
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
