//! The async proxy of an interface.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use miko_surface::Method;

use crate::arguments::SentArguments;
use crate::bounds::{Fallible, Wire};
use crate::client::{Request, read_answer};
use crate::codec::{self, Message};
use crate::error::Result;

/// An async proxy of the interface `I`. The generated trait, such as `MikobaseAsync`, gives it the methods of
/// the interface, which return futures. Its clones share the transport.
pub struct AsyncClient<I: ?Sized> {
    transport: Arc<dyn AsyncTransport>,
    interface: PhantomData<fn(&I)>,
}

/// Carries calls to a server without blocking.
pub trait AsyncTransport: Send + Sync {
    /// The size of the largest request in bytes.
    fn max_request_size(&self) -> usize;

    /// Sends `request`, an encoded call of `method`, and resolves to the encoded answer.
    ///
    /// # Errors
    /// As [`Transport::call`](crate::Transport::call).
    fn call(&self, method: &'static Method, request: Vec<u8>) -> AnswerFuture<'_>;
}

/// The future of the answer to a call.
pub type AnswerFuture<'t> = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + 't>>;

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

/// A call in progress: a future that borrows nothing. The call is sent when the future is first polled.
#[must_use = "a call is sent when its future is polled"]
pub struct PendingCall<R>(Pin<Box<dyn Future<Output = R> + Send>>);

impl<R> Future for PendingCall<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        self.0.as_mut().poll(context)
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
    let transport = Arc::clone(&client.transport);
    let request = encode_request(&Request { method, arguments }, transport.max_request_size());
    PendingCall(Box::pin(async move {
        let called = match request {
            Ok(request) => transport.call(method, request).await,
            Err(error) => Err(error),
        };
        match called.and_then(|answer| read_answer(method, &answer)) {
            Ok(returned) => R::from_result(returned),
            Err(error) => R::failed(error),
        }
    }))
}

fn encode_request(request: &impl Message, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    codec::encode(&mut bytes, limit, |encoder| request.write(encoder))
        .map_err(|fault| fault.into_error(limit))?;
    Ok(bytes)
}
