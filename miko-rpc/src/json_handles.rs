//! What calls by name have returned beside values: objects and streams, by their handles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::value::RawValue;

use crate::call::LaterAnswer;
use crate::error::{Error, ErrorId, Result};
use crate::handles::{Carried, Handles, ItemForm, ServedObject, ServedStream, StreamEvent};
use crate::panics::drop_guarded;

/// The objects and streams that the results of calls with JSON params have carried.
///
/// An object in a result is `{"object": 1}`, a stream `{"stream": 2}`: the number is its handle. What was
/// carried lives until it is released, or this is dropped, the newest first.
#[derive(Default)]
pub struct JsonHandles {
    handles: Handles,
    open: BTreeMap<u64, Open>,
}

enum Open {
    Object(Arc<dyn ServedObject>),
    Stream(Box<dyn ServedStream>),
}

/// What comes next in a stream.
#[derive(Debug)]
pub enum JsonItem {
    /// An item, and its sequence number.
    Item {
        /// The sequence number.
        seq: u64,
        /// The item.
        item: Box<RawValue>,
    },
    /// This many items were left out.
    Lagged(u64),
    /// The end, or the error with which the stream ends.
    End(Option<Error>),
}

impl JsonHandles {
    /// Collects what an answer carries while it is encoded. [`adopt`](Self::adopt) follows, or
    /// [`discard`](Handles::discard) if the answer is not sent.
    pub fn scope(&mut self) -> &mut Handles {
        &mut self.handles
    }

    /// Takes in what the last answer has carried. Returns the answer itself if it comes later.
    pub fn adopt(&mut self) -> Option<Box<dyn LaterAnswer>> {
        let mut later = None;
        for (handle, carried) in self.handles.take() {
            match carried {
                Carried::Object(object) => drop(self.open.insert(handle, Open::Object(object))),
                Carried::Stream(stream) => drop(self.open.insert(handle, Open::Stream(stream))),
                Carried::Answer(answer) => later = Some(answer),
            }
        }
        later
    }

    /// The object with this handle.
    ///
    /// # Errors
    /// `session-gone` if there is none.
    pub fn object(&self, handle: u64) -> Result<Arc<dyn ServedObject>> {
        match self.open.get(&handle) {
            Some(Open::Object(object)) => Ok(Arc::clone(object)),
            _ => Err(not_open("object", handle)),
        }
    }

    /// The next item of a stream, of at most `limit` bytes, or registers the waker for it. The stream is
    /// released at its end.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream.
    pub fn poll_item(
        &mut self,
        stream: u64,
        context: &mut Context<'_>,
        limit: usize,
    ) -> Result<Poll<JsonItem>> {
        self.next(stream, |source, json| source.poll_next(context, ItemForm::Json { limit }, json))
    }

    /// As [`poll_item`](Self::poll_item), of any size, and waits until this time; `None` for without limit.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream.
    pub fn wait_item(&mut self, stream: u64, until: Option<Instant>) -> Result<Poll<JsonItem>> {
        self.next(stream, |source, json| source.wait_next(until, ItemForm::Json { limit: usize::MAX }, json))
    }

    /// The streams that are open, in the order in which they came.
    pub fn streams(&self) -> impl Iterator<Item = u64> {
        self.open.iter().filter(|(_, open)| matches!(open, Open::Stream(_))).map(|(handle, _)| *handle)
    }

    /// How many objects and streams are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes an object or a stream out, to be dropped; `None` if it is not open.
    pub fn take(&mut self, handle: u64) -> Option<impl Sized + use<>> {
        self.open.remove(&handle)
    }

    /// Takes the newest object or stream out, to be dropped first: it may use an older one.
    pub fn take_newest(&mut self) -> Option<impl Sized + use<>> {
        self.open.pop_last().map(|(_, open)| open)
    }

    fn next(
        &mut self,
        stream: u64,
        next: impl FnOnce(&mut dyn ServedStream, &mut Vec<u8>) -> Poll<StreamEvent>,
    ) -> Result<Poll<JsonItem>> {
        let Some(Open::Stream(source)) = self.open.get_mut(&stream) else {
            return Err(not_open("stream", stream));
        };
        let mut json = Vec::new();
        let item = match next(&mut **source, &mut json) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(StreamEvent::Item { seq }) => JsonItem::Item { seq, item: text(json)? },
            Poll::Ready(StreamEvent::Lagged(count)) => JsonItem::Lagged(count),
            Poll::Ready(StreamEvent::End(error)) => {
                self.open.remove(&stream);
                JsonItem::End(error)
            }
        };
        Ok(Poll::Ready(item))
    }
}

impl Drop for JsonHandles {
    fn drop(&mut self) {
        while let Some(newest) = self.take_newest() {
            // The hook for panics has reported it.
            let _ = drop_guarded(newest);
        }
    }
}

fn text(json: Vec<u8>) -> Result<Box<RawValue>> {
    let json = String::from_utf8(json).map_err(|fault| fault.to_string());
    let text = json.and_then(|json| RawValue::from_string(json).map_err(|fault| fault.to_string()));
    text.map_err(|fault| Error::new(ErrorId::INTERNAL, format!("an item is not JSON: {fault}")))
}

fn not_open(kind: &str, handle: u64) -> Error {
    Error::new(ErrorId::SESSION_GONE, format!("there is no such {kind} in this session"))
        .with("handle", handle)
}
