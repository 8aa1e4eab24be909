//! The blocking proxy of an interface.

use std::marker::PhantomData;
use std::path::Path;

use miko_surface::Method;

use crate::arguments::SentArguments;
use crate::bounds::Wire;
use crate::call_refusal;
use crate::codec::{Encoded, Encoder, Message};
use crate::fallible::{Fallible, discard_of};
use crate::transport::{CallTransport, OutgoingCall, ReadOpened};

/// A proxy: it implements the interface `I`, and its supertraits, by sending each call to a server.
///
/// It has no methods of its own, which would hide those of the interface. [`Proxy::new`](crate::Proxy::new)
/// creates it.
pub struct Client<I: ?Sized> {
    transport: Box<dyn CallTransport>,
    interface: PhantomData<fn(&I)>,
}

/// A proxy that sends its calls over `transport`. A free function, since `Client` has no methods of its own.
pub(crate) fn over<I: ?Sized>(transport: Box<dyn CallTransport>) -> Client<I> {
    Client { transport, interface: PhantomData }
}

/// Calls `method` over the transport of `client`. Generated code calls it.
pub fn call<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A) -> R
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, false)
}

/// As [`call`], for a method with `#[interface(settles)]`.
pub fn call_settling<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A) -> R
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, true)
}

fn send<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A, settles: bool) -> R
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    let request = Request { method, arguments };
    let call = OutgoingCall { method, request: &request, discard: discard_of::<R>(), settles };
    match call_refusal::check(&*client.transport, &call) {
        Ok(()) => R::call(&*client.transport, &call),
        Err(refused) => R::failed(refused),
    }
}

/// As [`call`], but the call may be sent with the first call on the object that it returns. `of_object` then
/// makes the result of the transport to that object, and `opened` reads the answer.
pub(crate) fn call_lazily<I, A, R>(
    client: &Client<I>,
    method: &'static Method,
    arguments: A,
    opened: ReadOpened,
    of_object: fn(Box<dyn CallTransport>) -> R,
) -> R
where
    I: ?Sized,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    let request = Request { method, arguments };
    let call = OutgoingCall { method, request: &request, discard: discard_of::<R>(), settles: false };
    let checked = call_refusal::check(&*client.transport, &call);
    match checked.and_then(|()| client.transport.open_lazily(&call, opened)) {
        Ok(Some(object)) => of_object(object),
        Ok(None) => R::call(&*client.transport, &call),
        Err(refused) => R::failed(refused),
    }
}

/// The transport of a proxy.
pub(crate) fn into_transport<I: ?Sized>(client: Client<I>) -> Box<dyn CallTransport> {
    client.transport
}

/// The socket of the server of a proxy.
pub(crate) fn server<I: ?Sized>(client: &Client<I>) -> Option<&Path> {
    client.transport.server()
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

    #[cfg(feature = "json-transport")]
    fn arguments_as_json(&self) -> crate::error::Result<String> {
        let mut json = crate::json_arguments::JsonArguments::new(self.method);
        self.arguments.write_json(&self.method.params, &mut json)?;
        Ok(json.finish())
    }
}
