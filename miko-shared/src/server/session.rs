//! What lives with one connection: the objects and streams that answers have carried.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use miko_rpc::{
    Carried, Error, ErrorId, ItemForm, Result, ServedObject, ServedStream, StreamEvent, panic_message,
};
use tracing::warn;

use super::ready::{HandleWaker, ReadyList};
use crate::serving;
use crate::wire::extension;
use crate::wire::frame::HEADER_SIZE;

/// After this time other connections have their turn.
const MAX_PUMP_TIME: Duration = Duration::from_millis(1);

/// The objects and streams of a connection.
///
/// They are dropped when the client releases them, and at the end of the connection, the newest first: a
/// newer one may use an older one.
#[derive(Default)]
pub(super) struct Session {
    open: BTreeMap<u64, Open>,
    ready: Arc<ReadyList>,
    /// The item that is being encoded.
    item: Vec<u8>,
}

enum Open {
    Object(Arc<dyn ServedObject>),
    Stream(OpenStream),
}

struct OpenStream {
    source: Box<dyn ServedStream>,
    /// How many bytes of items the client has room for.
    credit: u64,
    handle_waker: Arc<HandleWaker>,
    waker: Waker,
}

impl Session {
    /// Takes in what answers have carried.
    pub(super) fn adopt(&mut self, carried: impl Iterator<Item = (u64, Carried)>) {
        for (handle, carried) in carried {
            let open = match carried {
                Carried::Object(object) => Open::Object(object),
                Carried::Stream(source) => {
                    let handle_waker = HandleWaker::new(handle, &self.ready);
                    let waker = Waker::from(Arc::clone(&handle_waker));
                    Open::Stream(OpenStream { source, credit: 0, handle_waker, waker })
                }
            };
            self.open.insert(handle, open);
        }
    }

    /// The object with this handle.
    ///
    /// # Errors
    /// `session-gone` if there is none.
    pub(super) fn object(&self, handle: u64) -> Result<Arc<dyn ServedObject>> {
        match self.open.get(&handle) {
            Some(Open::Object(object)) => Ok(Arc::clone(object)),
            _ => Err(no_object(handle)),
        }
    }

    /// Lets more bytes of items of a stream be sent.
    pub(super) fn add_credit(&mut self, handle: u64, bytes: u64) {
        // A stream that has ended may be given credit that was on its way.
        if let Some(Open::Stream(stream)) = self.open.get_mut(&handle) {
            stream.credit = stream.credit.saturating_add(bytes);
            stream.handle_waker.make_ready();
        }
    }

    /// Drops an object or a stream.
    pub(super) fn release(&mut self, handle: u64) {
        if let Some(open) = self.open.remove(&handle) {
            drop_guarded(open);
        }
    }

    /// Drops what has a greater handle than `last`.
    pub(super) fn withdraw_after(&mut self, last: u64) {
        while let Some(newest) = self.open.last_entry().filter(|newest| *newest.key() > last) {
            drop_guarded(newest.remove());
        }
    }

    /// Whether there may be items to send, or registers the waker for them.
    pub(super) fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        self.ready.poll(context)
    }

    /// Appends the items that are ready, up to `full` bytes in `out`; whether there are more.
    pub(super) fn pump(&mut self, limit: usize, full: usize, out: &mut Vec<u8>) -> bool {
        if self.ready.is_empty() {
            return false;
        }
        let until = Instant::now() + MAX_PUMP_TIME;
        for handle in self.ready.take() {
            let Some(Open::Stream(stream)) = self.open.get_mut(&handle) else { continue };
            stream.handle_waker.is_taken();
            if stream.pump(handle, limit, full, until, &mut self.item, out) {
                self.release(handle);
            }
        }
        !self.ready.is_empty()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        serving::run(|| self.withdraw_after(0));
    }
}

impl OpenStream {
    /// Appends items while there are some, and room for them; whether the stream has ended.
    fn pump(
        &mut self,
        handle: u64,
        limit: usize,
        full: usize,
        until: Instant,
        item: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> bool {
        while self.credit > 0 {
            if out.len() >= full || Instant::now() >= until {
                self.handle_waker.make_ready();
                return false;
            }
            item.clear();
            let mut context = Context::from_waker(&self.waker);
            let form = ItemForm::Message { limit };
            match self.source.poll_next(&mut context, form, item) {
                Poll::Pending => return false,
                Poll::Ready(StreamEvent::Item { seq }) => {
                    let begin = out.len();
                    if let Err(error) = extension::put_item(handle, seq, item, limit, out) {
                        extension::put_end(handle, Some(&error), out);
                        return true;
                    }
                    let sent = out.len() - begin - HEADER_SIZE;
                    self.credit = self.credit.saturating_sub(sent as u64);
                }
                Poll::Ready(StreamEvent::Lagged(count)) => extension::put_lag(handle, count, out),
                Poll::Ready(StreamEvent::End(error)) => {
                    extension::put_end(handle, error.as_ref(), out);
                    return true;
                }
            }
        }
        false
    }
}

/// The error of a call on an object that the connection does not have.
pub(super) fn no_object(handle: u64) -> Error {
    let message = "there is no such object on this connection";
    Error::new(ErrorId::SESSION_GONE, message).with("handle", handle)
}

/// Drops something of the author of an interface. A panic is logged, and the server goes on.
fn drop_guarded<T>(value: T) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        warn!(panic = panic_message(&*panic), "dropping an object or a stream panicked");
    }
}
