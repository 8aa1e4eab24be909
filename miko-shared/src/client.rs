//! The client's side of a connection.
//!
//! | under | a connection | which calls at once |
//! | --- | --- | --- |
//! | a blocking proxy | `transport`, `connection`: plain blocking code in the thread of the caller | one |
//! | an async proxy | `async_transport`, `channel`: tarpc's own client in the caller's runtime | many |

mod address;
mod async_transport;
mod channel;
mod connection;
mod handshake;
mod transport;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use miko_core::Result;
use miko_core::rpc::{AsyncProxy, Interface, Proxy};

use crate::token::Token;
use async_transport::AsyncSocketTransport;

pub(crate) use address::Address;
pub(crate) use transport::{CallCounter, SocketTransport, refuse_in_runtime};

/// Connecting a proxy to a running server, for processes that did not inherit it from a share.
///
/// ```no_run
/// use miko_core::Mikobase;
/// use miko_core::mikobase_rpc::MikobaseClient;
/// use miko_shared::Connect;
///
/// let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse()?;
/// let db = MikobaseClient::connect("/run/user/1000/mikobase-x/socket", &token)?;
/// println!("{}", db.properties()?.engine);
/// # Ok::<(), miko_core::Error>(())
/// ```
pub trait Connect: Proxy {
    /// Connects to the server at `path`. While nobody listens there yet it tries again, for two seconds.
    ///
    /// # Errors
    /// `server-gone` if there is no server, `unauthorized` if it does not know the token, `surface-mismatch` if it
    /// serves something else.
    fn connect(path: impl AsRef<Path>, token: &Token) -> Result<Self> {
        let address = Address::new(path, token);
        let transport =
            SocketTransport::connect(address, Self::Interface::surface(), address::CONNECT_TIMEOUT)?;
        Ok(Self::new(Box::new(transport)))
    }
}

impl<P: Proxy> Connect for P {}

/// Connecting an async proxy to a running server, inside a tokio runtime.
///
/// ```no_run
/// use miko_core::mikobase_rpc::MikobaseAsyncClient;
/// use miko_shared::ConnectAsync;
///
/// # async fn example() -> miko_core::Result<()> {
/// let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse()?;
/// let db = MikobaseAsyncClient::connect("/run/user/1000/mikobase-x/socket", &token).await?;
/// let (one, other) = tokio::join!(db.record_by_pk("…"), db.properties());
/// # let _ = (one?, other?);
/// # Ok(())
/// # }
/// ```
pub trait ConnectAsync: AsyncProxy {
    /// Connects to the server at `path`. While nobody listens there yet it tries again, for two seconds.
    ///
    /// # Errors
    /// As [`Connect::connect`], and `outside-runtime` if there is no tokio runtime around it.
    fn connect(path: impl AsRef<Path>, token: &Token) -> impl Future<Output = Result<Self>> + Send {
        let address = Address::new(path, token);
        async { Ok(Self::new(Arc::new(AsyncSocketTransport::connect(address).await?))) }
    }
}

impl<P: AsyncProxy> ConnectAsync for P {}
