//! Bodies of responses: bytes that are there, or pieces that are made while the client reads.

use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use miko_rpc::Result;
use tokio::task::yield_now;

use crate::progress::Exchange;

/// The size of a part of a content that is there, in bytes. To compress one takes half a millisecond.
const PART_SIZE: usize = 64 << 10;

/// The body of a response.
pub(crate) struct ResponseBody {
    content: Content,
    /// Tells the connection that the response is complete, when it is dropped.
    exchange: Option<Exchange>,
}

enum Content {
    Whole(Bytes),
    Pieces(Box<dyn Pieces>),
    Ended,
}

/// Makes the pieces of a body. It is asked for the next one only while the client reads, and as long as the
/// turn of the connection lasts: hyper asks until the socket is full, which the socket of a fast client never
/// is.
pub(crate) trait Pieces {
    /// The next piece; `None` at the end. An error ends the connection, since the response has begun.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes>>>;

    /// The number of bytes, if it is known.
    fn size(&self) -> Option<u64> {
        None
    }
}

impl ResponseBody {
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(bytes.into()), exchange: None }
    }

    pub(crate) fn pieces(pieces: impl Pieces + 'static) -> Self {
        Self { content: Content::Pieces(Box::new(pieces)), exchange: None }
    }

    /// The size of the content, if it is known.
    pub(crate) fn known_size(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The content piece by piece, also if all of it is there.
    pub(crate) fn into_pieces(self) -> Box<dyn Pieces> {
        match self.content {
            Content::Whole(bytes) => Box::new(Parts(bytes)),
            Content::Pieces(pieces) => pieces,
            Content::Ended => Box::new(Parts(Bytes::new())),
        }
    }

    pub(crate) fn within(mut self, exchange: Exchange) -> Self {
        self.exchange = Some(exchange);
        self
    }
}

/// The parts of a content that is there.
struct Parts(Bytes);

impl Pieces for Parts {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let size = self.0.len().min(PART_SIZE);
        Poll::Ready(if size == 0 { None } else { Some(Ok(self.0.split_to(size))) })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Content::Pieces(_) = self.content
            && self.exchange.as_ref().is_some_and(Exchange::is_turn_over)
        {
            // The waker is called when the runtime has looked for what others wait for.
            let _: Poll<()> = pin!(yield_now()).poll(context);
            return Poll::Pending;
        }
        let piece = match &mut self.content {
            Content::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                self.content = Content::Ended;
                Some(bytes)
            }
            Content::Pieces(pieces) => match pieces.poll_piece(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(piece))) => Some(piece),
                Poll::Ready(None) => {
                    self.content = Content::Ended;
                    None
                }
                Poll::Ready(Some(Err(error))) => {
                    self.content = Content::Ended;
                    return Poll::Ready(Some(Err(error.into())));
                }
            },
            Content::Ended => None,
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_empty(),
            Content::Pieces(_) => false,
            Content::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Pieces(pieces) => pieces.size().map_or_else(SizeHint::default, SizeHint::with_exact),
            Content::Ended => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::progress::Progress;

    struct Endless;

    impl Pieces for Endless {
        fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
            Poll::Ready(Some(Ok(Bytes::from_static(b"more"))))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_body_whose_client_reads_all_lets_others_have_their_turn() {
        let wakes = Arc::<Wakes>::default();
        let waker = Arc::clone(&wakes).into();
        let mut context = Context::from_waker(&waker);
        let progress = Rc::<Progress>::default();
        let mut body = ResponseBody::pieces(Endless).within(Exchange::begin(&progress));
        for turn in 1..=3 {
            progress.begin_turn();
            let mut next = || Pin::new(&mut body).poll_frame(&mut context);
            assert!(next().is_ready(), "{turn}");
            while next().is_ready() {}
            assert!(next().is_pending(), "{turn}");
            assert!(wakes.0.load(Ordering::Relaxed) >= turn);
        }
    }
}
