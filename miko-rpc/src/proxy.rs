//! Creates proxies, and prints them.

use std::fmt;
use std::sync::Arc;

use crate::async_client::{self, AsyncClient};
use crate::client::{self, Client};
use crate::interface::Interface;
use crate::link::AsyncTransport;
use crate::transport::CallTransport;

/// Creates a blocking proxy, and gives it as its interface.
pub trait Proxy: Sized {
    /// The interface as a trait object, such as `dyn Counter`.
    type Interface: Interface + ?Sized;

    /// Creates a proxy that sends its calls over `transport`.
    fn new(transport: Box<dyn CallTransport>) -> Self;

    /// The proxy as the interface it implements.
    fn as_interface(&self) -> &Self::Interface;
}

/// Creates an async proxy.
pub trait AsyncProxy: Sized {
    /// The interface as a trait object, such as `dyn Counter`.
    type Interface: Interface + ?Sized;

    /// Creates a proxy that sends its calls over `transport`.
    fn new(transport: Arc<dyn AsyncTransport>) -> Self;
}

impl<I: Interface + ?Sized> Proxy for Client<I> {
    type Interface = I;

    fn new(transport: Box<dyn CallTransport>) -> Self {
        client::over(transport)
    }

    fn as_interface(&self) -> &I {
        I::of_client(self)
    }
}

impl<I: Interface + ?Sized> AsyncProxy for AsyncClient<I> {
    type Interface = I;

    fn new(transport: Arc<dyn AsyncTransport>) -> Self {
        async_client::over(transport)
    }
}

impl<I: Interface + ?Sized> fmt::Debug for Client<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(&format!("{}Client", I::surface().interface)).finish_non_exhaustive()
    }
}

impl<I: Interface + ?Sized> fmt::Debug for AsyncClient<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(&format!("{}AsyncClient", I::surface().interface)).finish_non_exhaustive()
    }
}
