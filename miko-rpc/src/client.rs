//! The blocking proxy of an interface.

use std::any::{Any, TypeId};
use std::marker::PhantomData;

use miko_surface::Method;

use crate::arguments::SentArguments;
use crate::bounds::Wire;
use crate::call_refusal;
use crate::codec::{Encoded, Encoder, Message};
use crate::error::Error;
use crate::fallible::{Fallible, discard_of};
use crate::transport::{CallTransport, OutgoingCall, ReadOpened};
use crate::untyped_client::UntypedClient;

/// A proxy: it implements the interface `I`, and its supertraits, by sending each call to a server.
///
/// It has no methods of its own, which would hide those of the interface. [`Proxy::new`](crate::Proxy::new)
/// creates it.
pub struct Client<I: ?Sized> {
    untyped: UntypedClient,
    interface: PhantomData<fn(&I)>,
}

/// A proxy that sends its calls over `transport`. A free function, since `Client` has no methods of its own.
pub(crate) fn over<I: ?Sized + 'static>(transport: Box<dyn CallTransport>) -> Client<I> {
    let untyped = UntypedClient { transport, outermost: None, interface: TypeId::of::<I>() };
    Client { untyped, interface: PhantomData }
}

/// What a proxy calls with. Generated code calls it. A free function, since `Client` has no methods of its
/// own.
pub fn untyped<I: ?Sized>(client: &Client<I>) -> &UntypedClient {
    &client.untyped
}

/// Calls `method` by `client`. Generated code calls it.
pub fn call<A, R>(client: &UntypedClient, method: &'static Method, arguments: A) -> R
where
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, false, R::call)
}

/// As [`call`], for a method with `#[interface(settles)]`.
pub fn call_settling<A, R>(client: &UntypedClient, method: &'static Method, arguments: A) -> R
where
    A: SentArguments,
    R: Fallible<Value: Wire, Error: Wire>,
{
    send(client, method, arguments, true, R::call)
}

/// Checks a call, and lets `make` make it.
fn send<A, R>(
    client: &UntypedClient,
    method: &'static Method,
    arguments: A,
    settles: bool,
    make: impl FnOnce(&dyn CallTransport, &OutgoingCall<'_>) -> R,
) -> R
where
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
fn observed<R: Fallible>(client: &UntypedClient, call: &OutgoingCall<'_>, result: R) -> R {
    let error = result.failure().and_then(|error| (error as &dyn Any).downcast_ref::<Error>());
    call_refusal::observe(client, call.method, error);
    result
}

/// As [`call`], but the call may be sent with the first call on the object that it returns. `of_object` then
/// makes the result of the transport to that object, and `opened` reads the answer.
pub(crate) fn call_lazily<A, R>(
    client: &UntypedClient,
    method: &'static Method,
    arguments: A,
    opened: ReadOpened,
    of_object: fn(Box<dyn CallTransport>) -> R,
) -> R
where
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
pub(crate) fn note_opener<I: ?Sized>(object: &mut Client<I>, opener: &UntypedClient) {
    object.untyped.outermost = opener.outermost_object();
}

/// The transport of a proxy.
pub(crate) fn into_transport<I: ?Sized>(client: Client<I>) -> Box<dyn CallTransport> {
    client.untyped.transport
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
