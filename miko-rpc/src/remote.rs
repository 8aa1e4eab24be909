//! Objects that live where they were made, and are used from elsewhere.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use miko_surface::{Method, Surface};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::answer::read_answer;
use crate::arguments::SentArguments;
use crate::async_client::{self, AsyncClient};
use crate::call::{Call, Served};
use crate::call_refusal::{CallChecker, CheckedCalls};
use crate::client::{self, Client};
use crate::error::{Error, ErrorId, Result};
use crate::handles::{self, Carried, Kind, ServedObject};
use crate::interface::Interface;
use crate::link::{self, AsyncTransport};
use crate::transport::CallTransport;
use crate::untyped_client::UntypedClient;

/// An object of another interface, which a method returns: `Remote<dyn Transaction>`.
///
/// It lives where it was made. What a caller elsewhere gets is a proxy, which implements the interface and
/// its supertraits as the object does. The server drops the object when its proxy is dropped, when the
/// connection is lost, or when the process of the caller ends. So `Drop` is where a transaction rolls back, a
/// lease ends, or a lock is released.
///
/// A handle travels anywhere in a result, never in an argument. The interface has the supertraits `Send` and
/// `Sync`.
///
/// # Errors
/// A call on an object whose connection was lost fails with `session-gone`; it is never repeated on another
/// connection.
pub struct Remote<I: ?Sized>(Place<I>);

enum Place<I: ?Sized> {
    /// In this process.
    Local(Arc<I>),
    /// In a server.
    Elsewhere { proxy: Arc<Client<I>>, asynchronous: Option<Arc<dyn AsyncTransport>> },
}

impl<I: ?Sized> Remote<I> {
    /// An object of this process.
    pub fn local(object: Box<I>) -> Self {
        Self(Place::Local(object.into()))
    }

    /// Until the result is dropped, the blocking calls of this thread to the server in which the object lives
    /// are checked by `checker`, which may refuse them. None are if the object is one of this process.
    ///
    /// A thread that holds an object may so refuse its own calls that would wait for the end of the object.
    pub fn check_calls_beside(remote: &Self, checker: Rc<dyn CallChecker>) -> CheckedCalls
    where
        I: Interface,
    {
        match &remote.0 {
            Place::Local(_) => CheckedCalls::none(),
            Place::Elsewhere { proxy, .. } => CheckedCalls::beside(client::untyped(proxy), checker),
        }
    }

    /// The async proxy of the object; `None` for an object of this process, and for one that came from a
    /// blocking proxy. The object lives until both are dropped.
    ///
    /// It takes no `self`, which would hide methods of the interface.
    pub fn asynchronous(remote: &Self) -> Option<AsyncClient<I>> {
        match &remote.0 {
            Place::Elsewhere { asynchronous: Some(transport), .. } => {
                Some(async_client::over(Arc::clone(transport)))
            }
            _ => None,
        }
    }
}

/// Calls `method` by `client`. The call may be sent with the first call on the object that it returns, which
/// then has its errors. Generated code calls it, for a method with `#[interface(lazy)]`.
pub fn call_lazily<A, J>(client: &UntypedClient, method: &'static Method, arguments: A) -> Result<Remote<J>>
where
    A: SentArguments,
    J: Interface + Send + Sync + ?Sized + 'static,
{
    let mut opened = client::call_lazily(client, method, arguments, read_opened::<J>, |object| {
        let proxy = Arc::new(client::over(object));
        Ok(Remote(Place::Elsewhere { proxy, asynchronous: None }))
    });
    if let Ok(Remote(Place::Elsewhere { proxy, .. })) = &mut opened
        && let Some(proxy) = Arc::get_mut(proxy)
    {
        client::note_opener(proxy, client);
    }
    opened
}

/// Reads the answer to a call that returns an object.
fn read_opened<J>(method: &'static Method, answer: &[u8]) -> Result<Box<dyn CallTransport>>
where
    J: Interface + Send + Sync + ?Sized + 'static,
{
    let object = read_answer::<Remote<J>, Error>(method, answer)??;
    let transport = match object.0 {
        Place::Local(_) => None,
        Place::Elsewhere { proxy, .. } => Arc::into_inner(proxy).map(client::into_transport),
    };
    transport.ok_or_else(|| Error::new(ErrorId::INTERNAL, "the answer has an object of this process"))
}

impl<I: ?Sized> From<Arc<I>> for Remote<I> {
    fn from(object: Arc<I>) -> Self {
        Self(Place::Local(object))
    }
}

impl<I: Interface + ?Sized> Deref for Remote<I> {
    type Target = I;

    fn deref(&self) -> &I {
        match &self.0 {
            Place::Local(object) => object,
            Place::Elsewhere { proxy, .. } => I::of_client(proxy),
        }
    }
}

impl<I: Interface + ?Sized> fmt::Debug for Remote<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(&format!("Remote{}", I::surface().interface)).finish_non_exhaustive()
    }
}

impl<I: Interface + Send + Sync + ?Sized> Serialize for Remote<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handles::serialize(serializer, Kind::Object, || {
            Ok(Carried::Object(match &self.0 {
                Place::Local(object) => Arc::new(LocalObject(Arc::clone(object))),
                Place::Elsewhere { proxy, .. } => Arc::new(ProxiedObject(Arc::clone(proxy))),
            }))
        })
    }
}

impl<'de, I: Interface + ?Sized> Deserialize<'de> for Remote<I> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let handle = handles::deserialize(deserializer, Kind::Object)?;
        let link = link::current().ok_or_else(|| {
            D::Error::custom("an object travels in the result of a method, never in an argument")
        })?;
        let link::ObjectLink { blocking, asynchronous } = link.object(handle);
        Ok(Self(Place::Elsewhere { proxy: Arc::new(client::over(blocking)), asynchronous }))
    }
}

/// An object of this process.
struct LocalObject<I: ?Sized>(Arc<I>);

impl<I: Interface + Send + Sync + ?Sized> ServedObject for LocalObject<I> {
    fn surface(&self) -> &'static Surface {
        I::surface()
    }

    fn serve(&self, call: Call<'_>) -> Result<Served> {
        self.0.serve(call)
    }
}

/// An object of another server, to which calls are passed on.
struct ProxiedObject<I: ?Sized>(Arc<Client<I>>);

impl<I: Interface + ?Sized> ServedObject for ProxiedObject<I> {
    fn surface(&self) -> &'static Surface {
        I::surface()
    }

    fn serve(&self, call: Call<'_>) -> Result<Served> {
        I::of_client(&self.0).serve(call)
    }
}
