//! The async proxy of an interface.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use miko_surface::Method;

use crate::answer::read_answer;
use crate::arguments::SentArguments;
use crate::bounds::Wire;
use crate::client::Request;
use crate::fallible::{Fallible, discard_of};
use crate::link::{AnswerFuture, AsyncTransport};
use crate::transport::OutgoingCall;

/// An async proxy of the interface `I`. The generated trait, such as `MikobaseAsync`, gives it the methods of
/// the interface, which return futures. Its clones share the transport.
pub struct AsyncClient<I: ?Sized> {
    transport: Arc<dyn AsyncTransport>,
    interface: PhantomData<fn(&I)>,
}

/// A proxy that sends its calls over `transport`. A free function, since `AsyncClient` has no methods of its
/// own.
pub(crate) fn over<I: ?Sized>(transport: Arc<dyn AsyncTransport>) -> AsyncClient<I> {
    AsyncClient { transport, interface: PhantomData }
}

impl<I: ?Sized> Clone for AsyncClient<I> {
    fn clone(&self) -> Self {
        Self { transport: Arc::clone(&self.transport), interface: PhantomData }
    }
}

/// A call in progress: a future of the result, also for a method that returns a [`Later`](crate::Later). It
/// borrows nothing. The call is sent when the future is first polled.
#[must_use = "a call is sent when its future is polled"]
pub struct PendingCall<R> {
    method: &'static Method,
    answer: AnswerFuture,
    result: PhantomData<fn() -> R>,
}

impl<R: Fallible<Value: Wire, Error: Wire>> Future for PendingCall<R> {
    type Output = Result<R::Value, R::Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(answer) = self.answer.as_mut().poll(context) else { return Poll::Pending };
        let read = answer.and_then(|answer| answer.read(|bytes| read_answer(self.method, bytes)));
        Poll::Ready(read.unwrap_or_else(|error| Err(error.into())))
    }
}

impl<R> fmt::Debug for PendingCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall").finish_non_exhaustive()
    }
}

/// Calls `method` over the transport of `client`. Generated code calls it.
pub fn call_async<I, A, R>(client: &AsyncClient<I>, method: &'static Method, arguments: A) -> PendingCall<R>
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    let request = Request { method, arguments };
    let call = OutgoingCall { method, request: &request, discard: discard_of::<R>(), settles: false };
    PendingCall { method, answer: Arc::clone(&client.transport).call(&call), result: PhantomData }
}
