//! The blocking proxy of an interface.

use std::any::{Any, TypeId};
use std::marker::PhantomData;

use miko_surface::Method;

use crate::arguments::SentArguments;
use crate::bounds::Wire;
use crate::call_refusal::{self, CallingProxy, ObjectId};
use crate::codec::{Encoded, Encoder, Message};
use crate::error::Error;
use crate::fallible::{Fallible, discard_of};
use crate::transport::{CallTransport, OutgoingCall, ReadOpened};

/// A proxy: it implements the interface `I`, and its supertraits, by sending each call to a server.
///
/// It has no methods of its own, which would hide those of the interface. [`Proxy::new`](crate::Proxy::new)
/// creates it.
pub struct Client<I: ?Sized> {
    transport: Box<dyn CallTransport>,
    /// For an object that a lazy call on another one has opened: the outermost of these objects.
    outermost: Option<ObjectId>,
    interface: PhantomData<fn(&I)>,
}

/// A proxy that sends its calls over `transport`. A free function, since `Client` has no methods of its own.
pub(crate) fn over<I: ?Sized>(transport: Box<dyn CallTransport>) -> Client<I> {
    Client { transport, outermost: None, interface: PhantomData }
}

impl<I: ?Sized + 'static> CallingProxy for Client<I> {
    fn transport(&self) -> &dyn CallTransport {
        &*self.transport
    }

    fn outermost(&self) -> Option<ObjectId> {
        self.outermost
    }

    fn interface(&self) -> TypeId {
        TypeId::of::<I>()
    }
}

/// Calls `method` over the transport of `client`. Generated code calls it.
pub fn call<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A) -> R
where
    I: ?Sized + 'static,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, false, R::call)
}

/// As [`call`], for a method with `#[interface(settles)]`.
pub fn call_settling<I, A, R>(client: &Client<I>, method: &'static Method, arguments: A) -> R
where
    I: ?Sized + 'static,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, true, R::call)
}

/// Checks a call, and lets `make` make it.
fn send<I, A, R>(
    client: &Client<I>,
    method: &'static Method,
    arguments: A,
    settles: bool,
    make: impl FnOnce(&dyn CallTransport, &OutgoingCall<'_>) -> R,
) -> R
where
    I: ?Sized + 'static,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    let request = Request { method, arguments };
    let call = OutgoingCall { method, request: &request, discard: discard_of::<R>(), settles };
    match call_refusal::check(client, &call) {
        Ok(false) => make(&*client.transport, &call),
        Ok(true) => observed(client, &call, make(&*client.transport, &call)),
        Err(refused) => R::failed(refused),
    }
}

/// Tells the checkers of this thread of a call that has ended.
#[cold]
fn observed<R: Fallible>(proxy: &dyn CallingProxy, call: &OutgoingCall<'_>, result: R) -> R {
    let error = result.failure().and_then(|error| (error as &dyn Any).downcast_ref::<Error>());
    call_refusal::observe(proxy, call.method, error);
    result
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
    I: ?Sized + 'static,
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, false, |transport, call| match transport.open_lazily(call, opened) {
        Ok(Some(object)) => of_object(object),
        Ok(None) => R::call(transport, call),
        Err(error) => R::failed(error),
    })
}

/// Notes that `object` was opened by a lazy call of `opener`.
pub(crate) fn note_opener<I, J>(object: &mut Client<J>, opener: &Client<I>)
where
    I: ?Sized + 'static,
    J: ?Sized,
{
    object.outermost = call_refusal::outermost_object(opener);
}

/// The transport of a proxy.
pub(crate) fn into_transport<I: ?Sized>(client: Client<I>) -> Box<dyn CallTransport> {
    client.transport
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
