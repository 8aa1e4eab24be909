//! The client's side of a connection.
//!
//! | proxy | modules | implementation | calls at a time |
//! | --- | --- | --- | --- |
//! | blocking | `transport`, `reconnecting`, `connection`, `inbox`, `unsent`, `socket` | blocking code in the callers' threads | one per thread |
//! | async | `async_transport`, `async_connection`, `async_link` | a task in the caller's runtime | many |
//!
//! A blocking proxy can also begin calls and wait for their answers afterwards (`later`), and send a call
//! that returns an object together with the first call on that object (`lazy_object`). `link` and `object`
//! make the objects and streams that it receives; those of an async proxy are made by `async_link`. `calls`
//! counts the calls of a blocking proxy. With `exclusive`, one of the threads that share the proxy opens a
//! connection or an object, while the others wait.
//!
//! Both kinds use `address` (a server's address and the credentials for it), `server_user` and `handshake`
//! (what precedes the first call), `runtime` (whether a thread may block), `items` (the items of streams),
//! `fault` (the errors of a connection), and the functions of `inbox` that sort and discard frames.

mod address;
mod async_connection;
mod async_link;
mod async_transport;
mod calls;
mod connection;
mod exclusive;
mod fault;
mod handshake;
mod inbox;
mod items;
mod later;
mod lazy_object;
mod link;
mod object;
mod reconnecting;
mod runtime;
mod server_user;
mod socket;
mod transport;
mod unsent;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use miko_rpc::AsyncProxy;
use miko_rpc::{Interface, Proxy, Result};

use crate::token::Token;
use async_transport::AsyncSocketTransport;

pub(crate) use address::Address;
pub use calls::CallCounter;
pub use exclusive::{Exclusive, ExclusiveGuard};
pub use runtime::check_may_wait_for;
pub(crate) use runtime::{refuse_in_runtime, refuse_in_task};
pub(crate) use transport::SocketTransport;

/// Connects a proxy to a running server, for processes that did not inherit a proxy from a share.
///
/// ```no_run
/// use miko_core::Mikobase;
/// use miko_core::mikobase_rpc::MikobaseClient;
/// use miko_shared::Connect;
///
/// let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse()?;
/// let db = MikobaseClient::connect("/run/user/1000/mikobase-x/socket", &token)?;
/// println!("{}", db.properties()?.engine);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub trait Connect: Proxy {
    /// Connects to the server at `path`. Retries for two seconds while the server does not listen yet.
    ///
    /// # Errors
    /// `server-gone` if there is no server, `unauthorized` if the token is wrong or the socket belongs to a
    /// user other than this one and root, `surface-mismatch` if the server has another version of the
    /// protocol, serves another interface, or lacks something that this client may call,
    /// `too-many-connections` if the server has as many as it admits, `deadline-exceeded` if the server does
    /// not take up the connection, or the handshake does not end, within the default
    /// [`call_deadline`](crate::Limits::call_deadline); `inside-runtime` in an async task, and `self-call` in
    /// a method that this server runs.
    fn connect(path: impl AsRef<Path>, token: &Token) -> Result<Self> {
        let address = Address::new(path, token);
        let transport =
            SocketTransport::connect(address, Self::Interface::surface(), address::CONNECT_TIMEOUT)?;
        Ok(Self::new(Box::new(transport)))
    }
}

impl<P: Proxy> Connect for P {}

/// Connects an async proxy to a running server, inside a tokio runtime.
///
/// ```no_run
/// use miko_core::mikobase_rpc::{MikobaseAsync, MikobaseAsyncClient};
/// use miko_shared::ConnectAsync;
///
/// # async fn example() -> miko_rpc::Result<()> {
/// let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse()?;
/// let db = MikobaseAsyncClient::connect("/run/user/1000/mikobase-x/socket", &token).await?;
/// let (one, other) = tokio::join!(db.record_by_pk("…"), db.properties());
/// # let _ = (one?, other?);
/// # Ok(())
/// # }
/// ```
pub trait ConnectAsync: AsyncProxy {
    /// Connects to the server at `path`. Retries for two seconds while the server does not listen yet.
    ///
    /// # Errors
    /// As [`Connect::connect`], but neither `inside-runtime` nor `self-call`; also `outside-runtime`, if the
    /// future is polled outside a tokio runtime.
    fn connect(path: impl AsRef<Path>, token: &Token) -> impl Future<Output = Result<Self>> + Send {
        let address = Address::new(path, token);
        async {
            Ok(Self::new(Arc::new(AsyncSocketTransport::connect(address, Self::Interface::surface()).await?)))
        }
    }
}

impl<P: AsyncProxy> ConnectAsync for P {}
