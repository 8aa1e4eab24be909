//! The client's side: the transport of a blocking proxy that calls a server over HTTP.
//!
//! It is generic, as the server is: a proxy of any interface runs over it, and a new method needs no code
//! here. A proxy has one session, which is to it what a connection of the wire is: objects, streams and
//! claims live with it. Its calls are requests on connections that are kept open and used again.
//!
//! | subject | where |
//! | --- | --- |
//! | where a server is, and the credentials for it | `server` |
//! | a socket as hyper uses it, without a runtime; TLS over it | `socket`, `tls`, `channel`, `connection` |
//! | a request and its response, piece by piece | `exchange` |
//! | what a response says | `answer`, `fault` |
//! | the session, and its connections | `session` |
//! | calls of the interface and of objects | `transport`, `object` |
//! | later answers, and streams | `later`, `items`, `events` |
//!
//! All of it is blocking code of the calling thread. Nothing of it survives a fork: another process opens a
//! session of its own.

mod answer;
mod channel;
mod connection;
mod events;
mod exchange;
mod fault;
mod items;
mod later;
mod object;
mod server;
mod session;
mod socket;
#[cfg(feature = "tls")]
mod tls;
mod transport;

use std::time::Duration;

use miko_rpc::{Interface, Proxy, Result};

pub use server::HttpServer;
pub(crate) use transport::HttpTransport;

/// How long connecting is retried while the server starts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Connects a blocking proxy to a server over HTTP. The proxy implements its interface as one over the wire
/// does; so `MikobaseClient` is an HTTP Mikobase, too.
///
/// ```no_run
/// use miko_core::Mikobase;
/// use miko_core::mikobase_rpc::MikobaseClient;
/// use miko_http::{ConnectHttp, HttpServer};
///
/// let token = std::env::var("MIKOBASE_TOKEN").unwrap().parse()?;
/// let server = HttpServer::at("http://127.0.0.1:8080")?.token(&token);
/// let db = MikobaseClient::connect_http(&server)?;
/// println!("{}", db.properties()?.engine);
/// # Ok::<(), miko_rpc::Error>(())
/// ```
pub trait ConnectHttp: Proxy {
    /// Connects to the server. Retries for two seconds while it does not listen yet.
    ///
    /// # Errors
    /// `server-gone` if there is no server, `unauthorized` if it does not let the caller in,
    /// `surface-mismatch` if it serves another interface, `tls-failed` if TLS is asked for and cannot be.
    fn connect_http(server: &HttpServer) -> Result<Self> {
        let transport = HttpTransport::connect(server.clone(), Self::Interface::surface(), CONNECT_TIMEOUT)?;
        Ok(Self::new(Box::new(transport)))
    }
}

impl<P: Proxy> ConnectHttp for P {}
