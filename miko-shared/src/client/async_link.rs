//! The objects and streams that an answer of an async connection may carry. Threads that may block can also
//! use them without `await`.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use miko_rpc::{
    AnswerFuture, AsyncTransport, CallTransport, ItemSource, Link, ObjectLink, OutgoingCall, Result,
    StreamMessage,
};

use super::async_connection::AsyncConnection;
use super::async_transport::{deadline_of, encode, refuse_outside_runtime};
use super::fault::{call_timed_out, session_gone};
use super::items::ItemFrames;
use super::runtime::{block_until, check_may_wait_for};
use crate::wire::extension;

impl Link for AsyncConnection {
    fn object(self: Arc<Self>, handle: u64) -> ObjectLink {
        let object = Arc::new(AsyncObject { connection: self, handle });
        ObjectLink { blocking: Box::new(BlockingObject(Arc::clone(&object))), asynchronous: Some(object) }
    }

    fn stream(self: Arc<Self>, handle: u64) -> Box<dyn ItemSource> {
        self.open_stream(handle);
        Box::new(AsyncItems { connection: self, handle, frames: ItemFrames::default() })
    }
}

/// Carries the calls on one object. Dropping it releases the object.
struct AsyncObject {
    connection: Arc<AsyncConnection>,
    handle: u64,
}

impl AsyncTransport for AsyncObject {
    fn call(self: Arc<Self>, call: &OutgoingCall<'_>) -> AnswerFuture {
        let address = self.connection.address();
        let deadline = deadline_of(call.method, address);
        let call = encode(call, Some(self.handle), address.limits.frame_size);
        Box::pin(async move {
            refuse_outside_runtime()?;
            // The deadline counts from here: the call is sent when the future is first polled.
            let answered = self.connection.call(&call?, Instant::now() + deadline).await;
            answered.map_err(|fault| fault.into_error(session_gone))
        })
    }
}

impl Drop for AsyncObject {
    fn drop(&mut self) {
        self.connection.send_control(|out| extension::put_release(self.handle, out));
    }
}

/// Carries blocking calls on one object, from threads that may block.
struct BlockingObject(Arc<AsyncObject>);

impl CallTransport for BlockingObject {
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let address = self.0.connection.address();
        check_may_wait_for(&address.path)?;
        let until = Instant::now() + deadline_of(call.method, address);
        let call = encode(call, Some(self.0.handle), address.limits.frame_size)?;
        // Possibly no thread drives the runtime, or its only thread is this one, which runs a method of a
        // server. Then the timer of the runtime does not fire, so `block_until` itself ends at the deadline.
        let answered = block_until(Some(until), self.0.connection.call(&call, until));
        let answered = answered.ok_or_else(call_timed_out)?;
        answered.map_err(|fault| fault.into_error(session_gone))?.read(read)
    }
}

/// Receives the items of one stream. Dropping it releases the stream.
struct AsyncItems {
    connection: Arc<AsyncConnection>,
    handle: u64,
    frames: ItemFrames,
}

impl AsyncItems {
    /// Gives the server the credit that is due. Ready if a frame has arrived; ready with an error if the
    /// connection has ended. Otherwise registers the waker.
    fn poll_frames(&mut self, context: &Context<'_>) -> Poll<Result<()>> {
        if let Some(credit) = self.frames.take_credit() {
            self.connection.send_control(|out| extension::put_credit(self.handle, credit, out));
        }
        if !self.frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.frames.clear();
        self.connection
            .poll_items(self.handle, context)
            .map(|frames| frames.map(|frames| self.frames.replace(frames)))
    }
}

impl ItemSource for AsyncItems {
    fn wait(&mut self, until: Option<Instant>) -> Poll<StreamMessage<'_>> {
        if let Err(error) = check_may_wait_for(&self.connection.address().path) {
            return Poll::Ready(StreamMessage::End(Some(error)));
        }
        let arrived =
            block_until(
                until,
                poll_fn(|context| {
                    if self.frames.has_ended() { Poll::Ready(Ok(())) } else { self.poll_frames(context) }
                }),
            );
        match arrived {
            // `until` has passed.
            None => Poll::Pending,
            Some(arrived) => Poll::Ready(self.frames.next_message(arrived)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<StreamMessage<'_>> {
        if self.frames.has_ended() {
            return Poll::Ready(StreamMessage::End(None));
        }
        match self.poll_frames(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(arrived) => Poll::Ready(self.frames.next_message(arrived)),
        }
    }
}

impl Drop for AsyncItems {
    fn drop(&mut self) {
        self.connection.close_stream(self.handle);
    }
}
