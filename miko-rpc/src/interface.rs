//! The traits between generated code and its generic callers.

use std::pin::Pin;
use std::sync::Arc;

use miko_surface::{Method, Surface};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dispatch::DispatchError;
use crate::error::{Error, ErrorId, Result};

/// An interface that can be shared. The attribute implements it for `dyn Trait`.
pub trait Interface: 'static {
    /// One call: a variant per method, with its arguments as owned values.
    type Request: Serialize + DeserializeOwned + tarpc::RequestName + Send + 'static;
    /// The result of one call: a variant per method.
    type Response: Serialize + DeserializeOwned + Send + 'static;
    /// The blocking proxy, which implements the trait.
    type Client: Proxy<Interface = Self>;
    /// The proxy for callers with a runtime.
    type AsyncClient: AsyncProxy<Interface = Self>;

    /// The surface of the interface.
    fn surface() -> &'static Surface;

    /// Runs one call. A panic inside the method becomes an error with id `internal`.
    fn serve(&self, request: Self::Request) -> Self::Response;

    /// Runs the method with this wire name and returns its result as JSON text. `params` are an object by
    /// name or an array by position.
    ///
    /// # Errors
    /// [`DispatchError::Request`], if the method does not exist or `params` do not fit it;
    /// [`DispatchError::Failed`] with the error of the method itself.
    fn dispatch(&self, method: &str, params: Value) -> Result<Box<RawValue>, DispatchError>;
}

/// A proxy of an interface: a type that implements the trait by sending each call over a [`Transport`].
pub trait Proxy: Send + Sync + Sized + 'static {
    /// `dyn Trait`.
    type Interface: Interface<Client = Self> + ?Sized;

    /// Creates a proxy that sends its calls over `transport`.
    fn new(transport: Box<dyn Transport<Self::Interface>>) -> Self;

    /// The proxy as the interface it implements.
    fn as_interface(&self) -> &Self::Interface;
}

/// Carries calls of an interface to its server.
pub trait Transport<I: Interface + ?Sized>: Send + Sync {
    /// Sends one request and waits for its response.
    ///
    /// # Errors
    /// If the call could not be delivered or no response arrived: `server-gone`, `request-too-large`,
    /// `deadline-exceeded` and the like.
    fn call(&self, method: &'static Method, request: I::Request) -> Result<I::Response>;
}

/// An async proxy of an interface: a type with the trait's methods, which return futures. Its clones share
/// the transport.
pub trait AsyncProxy: Clone + Send + Sync + Sized + 'static {
    /// `dyn Trait`.
    type Interface: Interface<AsyncClient = Self> + ?Sized;

    /// Creates a proxy that sends its calls over `transport`.
    fn new(transport: Arc<dyn AsyncTransport<Self::Interface>>) -> Self;
}

/// Carries calls of an interface to its server without blocking.
pub trait AsyncTransport<I: Interface + ?Sized>: Send + Sync {
    /// Sends one request and resolves to its response.
    ///
    /// # Errors
    /// As [`Transport::call`].
    fn call(&self, method: &'static Method, request: I::Request) -> CallFuture<'_, I::Response>;
}

/// The future of a pending call.
pub type CallFuture<'t, Response> = Pin<Box<dyn Future<Output = Result<Response>> + Send + 't>>;

/// A result that can carry a transport error: the return type of every remote method.
///
/// It is implemented for every `Result` whose error type implements `From<Error>`.
#[diagnostic::on_unimplemented(
    message = "a remote method returns a `Result` whose error type can be made from `mikobase::Error`",
    label = "a call can fail in transport, and `{Self}` cannot represent that",
    note = "return `mikobase::Result<T>`, or implement `From<mikobase::Error>` for your error type"
)]
pub trait Fallible {
    /// The value of a successful call.
    type Value;
    /// The error of a failed call.
    type Error;

    /// The result of a call that failed with `error` before or after the method ran.
    fn failed(error: Error) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T, E: From<Error>> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;

    fn failed(error: Error) -> Self {
        Err(error.into())
    }
}

/// A value that can be sent between processes: the type of every argument and result of a remote method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent between processes",
    label = "this type must implement `Serialize` and `DeserializeOwned`, be `Send` and borrow nothing",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or pass something that has them"
)]
pub trait Wire: Serialize + DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Wire for T {}

/// The error for a response that belongs to another method, which only a faulty server sends.
pub fn wrong_response(method: &str) -> Error {
    Error::new(ErrorId::INTERNAL, "the server answered with the response of another method")
        .with("method", method)
}
