//! A client's end of a connection, as async calls and the values of an answer see it.
//!
//! An answer may hold objects and streams. What travels of them is a handle, and decoding it needs the
//! connection that it came over. Serde has no place for that, so [`receive`] keeps it for the thread while it
//! decodes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::transport::{CallTransport, OutgoingCall};

/// A client's end of a connection.
pub trait Link: Send + Sync {
    /// Carries calls to the object with this handle, which is released when both transports are dropped.
    fn object(self: Arc<Self>, handle: u64) -> ObjectLink;

    /// Receives the items of the stream with this handle, which is released when the source is dropped.
    fn stream(self: Arc<Self>, handle: u64) -> Box<dyn ItemSource>;
}

/// The transports to an object.
pub struct ObjectLink {
    /// For blocking calls.
    pub blocking: Box<dyn CallTransport>,
    /// For async calls; `None` if the connection is that of a blocking proxy.
    pub asynchronous: Option<Arc<dyn AsyncTransport>>,
}

/// The items of a stream that is served elsewhere.
pub trait ItemSource: Send {
    /// Waits for the next message until this time; `None` for without limit. `Pending` if there was none.
    fn wait(&mut self, until: Option<Instant>) -> Poll<StreamMessage<'_>>;

    /// The next message, or registers the waker for it.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StreamMessage<'_>>;
}

/// A message of a stream.
#[derive(Debug)]
pub enum StreamMessage<'m> {
    /// An item.
    Item {
        /// Its sequence number.
        seq: u64,
        /// The item as MessagePack.
        item: &'m [u8],
    },
    /// An item in JSON.
    #[cfg(feature = "json-transport")]
    JsonItem {
        /// Its sequence number.
        seq: u64,
        /// The text of the item.
        item: &'m str,
    },
    /// Items were left out.
    Lagged(u64),
    /// The end, or the error with which the stream ended.
    End(Option<Error>),
}

/// Carries calls to a server without blocking.
pub trait AsyncTransport: Send + Sync {
    /// Encodes a call, and returns the future of its answer. The call is sent when that is first polled, and
    /// cancelled when it is dropped before.
    ///
    /// # Errors
    /// The future has those of [`CallTransport::call`](crate::CallTransport::call).
    fn call(self: Arc<Self>, call: &OutgoingCall<'_>) -> AnswerFuture;
}

/// The future of the answer to a call.
pub type AnswerFuture = Pin<Box<dyn Future<Output = Result<ReceivedAnswer>> + Send>>;

/// An encoded answer, and the connection over which it came.
pub struct ReceivedAnswer {
    /// The answer.
    pub bytes: Vec<u8>,
    /// The connection, for the objects and streams in the answer.
    pub link: Arc<dyn Link>,
}

impl ReceivedAnswer {
    /// Decodes the answer.
    pub fn read<R>(self, decode: impl FnOnce(&[u8]) -> R) -> R {
        receive(self.link, || decode(&self.bytes))
    }
}

thread_local! {
    /// The connection of the message that this thread decodes.
    static LINK: RefCell<Option<Arc<dyn Link>>> = const { RefCell::new(None) };
}

/// Decodes a message that was received over `link`.
pub fn receive<R>(link: Arc<dyn Link>, decode: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<dyn Link>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let used = LINK.replace(self.0.take());
            drop(used);
        }
    }
    let _restore = Restore(LINK.replace(Some(link)));
    decode()
}

/// The connection of the message that this thread decodes.
pub(crate) fn current() -> Option<Arc<dyn Link>> {
    LINK.with_borrow(Clone::clone)
}
