//! The blocking proxy of an interface.

use std::marker::PhantomData;

use miko_surface::Method;

use crate::arguments::SentArguments;
use crate::bounds::{Fallible, Wire};
use crate::codec::{self, Encoded, Encoder, Message};
use crate::error::{Error, ErrorId, Result};
use crate::result;

/// A proxy: it implements the interface `I`, and its supertraits, by sending each call to a server.
///
/// It has no methods of its own, which would hide those of the interface. [`Proxy::new`](crate::Proxy::new)
/// creates it.
pub struct Client<I: ?Sized> {
    transport: Box<dyn Transport>,
    interface: PhantomData<fn(&I)>,
}

/// Carries calls to a server.
pub trait Transport: Send + Sync {
    /// Sends a call and passes its answer to `read`. On success `read` was called once.
    ///
    /// # Errors
    /// If the call could not be delivered or no response arrived: `server-gone`, `request-too-large`,
    /// `deadline-exceeded` and the like. Also the errors of `read`.
    fn call(&self, call: &OutgoingCall<'_>, read: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>;
}

/// A call as a transport sends it.
pub struct OutgoingCall<'c> {
    /// The method that is called.
    pub method: &'static Method,
    /// The method and its arguments.
    pub request: &'c dyn Message,
    /// What is done with an answer that comes after the caller gave up.
    pub discard: Discard,
}

/// Decodes an answer that nobody waits for, so that the objects and streams in it are released.
pub type Discard = fn(&'static Method, &[u8]);

/// A proxy that sends its calls over `transport`. A free function, since `Client` has no methods of its own.
pub(crate) fn over<I: ?Sized>(transport: Box<dyn Transport>) -> Client<I> {
    Client { transport, interface: PhantomData }
}

/// Calls `method` over the transport of `client`. Generated code calls it.
pub fn call<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A) -> R
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    let mut returned = None;
    let request = Request { method, arguments };
    let call = OutgoingCall { method, request: &request, discard: discard::<R::Value, R::Error> };
    let called = client.transport.call(&call, &mut |answer| {
        returned = Some(read_answer(method, answer)?);
        Ok(())
    });
    match (called, returned) {
        (Ok(()), Some(returned)) => R::from_result(returned),
        (Err(error), _) => R::failed(error),
        (Ok(()), None) => {
            R::failed(Error::new(ErrorId::INTERNAL, "the transport returned without an answer"))
        }
    }
}

/// Drops what an answer carries. One that cannot be decoded carries nothing.
pub(crate) fn discard<T: Wire, E: Wire>(method: &'static Method, answer: &[u8]) {
    drop(read_answer::<T, E>(method, answer));
}

/// The method and the arguments of a call.
pub(crate) struct Request<A> {
    pub(crate) method: &'static Method,
    pub(crate) arguments: A,
}

impl<A: SentArguments> Message for Request<A> {
    #[inline]
    fn write(&self, encoder: &mut Encoder) -> Encoded {
        encoder.variant(&self.method.name)?;
        encoder.map(A::COUNT)?;
        self.arguments.write(&self.method.params, encoder)
    }
}

/// Reads the answer to a call of `method`.
///
/// # Errors
/// `internal`, for the answer of another method, which only a faulty server sends, and for one that cannot be
/// decoded.
pub(crate) fn read_answer<T: Wire, E: Wire>(method: &Method, answer: &[u8]) -> Result<Result<T, E>> {
    match codec::value_of_variant(answer, &method.name) {
        Some(returned) => result::read(returned),
        None => Err(Error::new(ErrorId::INTERNAL, "the server answered with the response of another method")
            .with("method", &*method.name)),
    }
}
