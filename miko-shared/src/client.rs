//! The client's side of a connection: plain blocking code, two system calls per round trip.

mod connection;
mod transport;

use std::path::Path;
use std::time::Duration;

use miko_core::Result;
use miko_core::rpc::{Interface, Proxy};

use crate::limits::Limits;
use crate::token::Token;

pub(crate) use transport::{Address, Calls, SocketTransport, refuse_in_runtime};

/// How long [`Connect::connect`] waits for a server that is coming up.
const PATIENCE: Duration = Duration::from_secs(2);

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
        let address =
            Address { path: path.as_ref().to_owned(), token: token.clone(), limits: Limits::default() };
        let transport = SocketTransport::connect(address, Self::Interface::surface(), PATIENCE)?;
        Ok(Self::new(Box::new(transport)))
    }
}

impl<P: Proxy> Connect for P {}
