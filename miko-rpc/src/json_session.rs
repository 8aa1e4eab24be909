//! Calls by name whose results may carry objects and streams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use miko_surface::Surface;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{Call, Served};
use crate::dispatch::{self, DispatchError};
use crate::error::{Error, ErrorId, Result};
use crate::handles::{Carried, Handles, ItemForm, ServedObject, ServedStream, StreamEvent};
use crate::interface::Interface;

/// Calls of an interface by name, with JSON params, as HTTP and `miko call` make them.
///
/// An object in a result is `{"object": 1}`, a stream `{"stream": 2}`: the number is its handle. What was
/// carried lives until it is released, or the session is dropped.
pub struct JsonSession<'i, I: ?Sized> {
    interface: &'i I,
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

impl<'i, I: Interface + ?Sized> JsonSession<'i, I> {
    /// A session in which nothing is open.
    pub fn new(interface: &'i I) -> Self {
        Self { interface, handles: Handles::default(), open: BTreeMap::new() }
    }

    /// As [`Interface::dispatch`], for any method. A later answer is waited for.
    ///
    /// # Errors
    /// As [`Interface::dispatch`].
    pub fn dispatch(&mut self, method: &str, params: Value) -> Result<Box<RawValue>, DispatchError> {
        let interface = self.interface;
        self.run(method, params, |call| interface.serve(call))
    }

    /// Calls a method of an object.
    ///
    /// # Errors
    /// As [`dispatch`](Self::dispatch), and `session-gone` if there is no such object.
    pub fn dispatch_to(
        &mut self,
        object: u64,
        method: &str,
        params: Value,
    ) -> Result<Box<RawValue>, DispatchError> {
        let object = self.object(object)?;
        self.run(method, params, |call| object.serve(call))
    }

    /// The surface of an object.
    ///
    /// # Errors
    /// `session-gone` if there is no such object.
    pub fn surface_of(&self, object: u64) -> Result<&'static Surface> {
        Ok(self.object(object)?.surface())
    }

    /// Waits for the next item of a stream until this time; `None` for without limit. The stream is released
    /// at its end.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream.
    pub fn next_item(&mut self, stream: u64, until: Option<Instant>) -> Result<Poll<JsonItem>> {
        let Some(Open::Stream(source)) = self.open.get_mut(&stream) else {
            return Err(not_open("stream", stream));
        };
        let mut json = Vec::new();
        let item = match source.wait_next(until, ItemForm::Json, &mut json) {
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

    /// The streams that are open, in the order in which they came.
    pub fn streams(&self) -> impl Iterator<Item = u64> {
        self.open.iter().filter(|(_, open)| matches!(open, Open::Stream(_))).map(|(handle, _)| *handle)
    }

    /// Drops an object or a stream; whether it was open.
    pub fn release(&mut self, handle: u64) -> bool {
        self.open.remove(&handle).is_some()
    }

    fn object(&self, handle: u64) -> Result<Arc<dyn ServedObject>> {
        match self.open.get(&handle) {
            Some(Open::Object(object)) => Ok(Arc::clone(object)),
            _ => Err(not_open("object", handle)),
        }
    }

    fn run(
        &mut self,
        method: &str,
        params: Value,
        serve: impl FnOnce(Call<'_>) -> Result<Served>,
    ) -> Result<Box<RawValue>, DispatchError> {
        let mut result = None;
        serve(Call::json(method, params, &mut result).within(&mut self.handles))?;
        for (handle, carried) in self.handles.take() {
            match carried {
                Carried::Object(object) => self.open.insert(handle, Open::Object(object)),
                Carried::Stream(stream) => self.open.insert(handle, Open::Stream(stream)),
                // A call by name waits for its answer.
                Carried::Answer(_) => None,
            };
        }
        dispatch::written(result, method)
    }
}

impl<I: ?Sized> Drop for JsonSession<'_, I> {
    fn drop(&mut self) {
        // The newest first: it may use an older one.
        while self.open.pop_last().is_some() {}
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
