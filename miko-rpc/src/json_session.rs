//! Calls by name whose results may carry objects and streams.

use std::task::Poll;
use std::time::Instant;

use miko_surface::Surface;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::call::{Call, Served};
use crate::dispatch::{self, DispatchError};
use crate::error::Result;
use crate::interface::Interface;
use crate::json_handles::{JsonHandles, JsonItem};

/// Calls of an interface by name, with JSON params, as `miko call` makes them.
///
/// An object in a result is `{"object": 1}`, a stream `{"stream": 2}`: the number is its handle. What was
/// carried lives until it is released, or the session is dropped.
pub struct JsonSession<'i, I: ?Sized> {
    interface: &'i I,
    handles: JsonHandles,
}

impl<'i, I: Interface + ?Sized> JsonSession<'i, I> {
    /// A session in which nothing is open.
    pub fn new(interface: &'i I) -> Self {
        Self { interface, handles: JsonHandles::default() }
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
        let object = self.handles.object(object)?;
        self.run(method, params, |call| object.serve(call))
    }

    /// The surface of an object.
    ///
    /// # Errors
    /// `session-gone` if there is no such object.
    pub fn surface_of(&self, object: u64) -> Result<&'static Surface> {
        Ok(self.handles.object(object)?.surface())
    }

    /// Waits for the next item of a stream until this time; `None` for without limit. The stream is released
    /// at its end.
    ///
    /// # Errors
    /// `session-gone` if there is no such stream.
    pub fn next_item(&mut self, stream: u64, until: Option<Instant>) -> Result<Poll<JsonItem>> {
        self.handles.wait_item(stream, until)
    }

    /// The streams that are open, in the order in which they came.
    pub fn streams(&self) -> impl Iterator<Item = u64> {
        self.handles.streams()
    }

    /// Drops an object or a stream; whether it was open.
    pub fn release(&mut self, handle: u64) -> bool {
        self.handles.take(handle).is_some()
    }

    fn run(
        &mut self,
        method: &str,
        params: Value,
        serve: impl FnOnce(Call<'_>) -> Result<Served>,
    ) -> Result<Box<RawValue>, DispatchError> {
        let mut result = None;
        serve(Call::json(method, params, &mut result).within(self.handles.scope()))?;
        // A call by name waits for its answer, so none comes later.
        let _ = self.handles.adopt();
        dispatch::written_raw(result, method)
    }
}
