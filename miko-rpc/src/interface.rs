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

/// The error for a response that belongs to another method, which only a faulty server sends.
pub fn wrong_response(method: &str) -> Error {
    Error::new(ErrorId::INTERNAL, "the server answered with the response of another method")
        .with("method", method)
}
