//! The handshake of a connection that a server has accepted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use miko_rpc::{Error, ErrorId};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use crate::unproven::Proof;

/// How a connection has begun.
pub(crate) enum Opening {
    Tls(Box<TlsStream<TcpStream>>),
    /// The client speaks HTTP without TLS. Nothing was read.
    Plain(TcpStream),
    /// There was no handshake, for a reason that was logged.
    Failed,
}

/// Performs the handshake. It takes at most `limit`, and ends before if the connection is to make room for
/// others.
pub(crate) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    proof: &Proof,
    limit: Duration,
) -> Opening {
    match proof.unless_evicted(timeout(limit, open(stream, config))).await {
        Some(Ok(Ok(opening))) => return opening,
        Some(Ok(Err(fault))) => debug!(%fault, "no TLS with this client"),
        Some(Err(_)) => debug!("the TLS handshake was not complete within the limit `handshake`"),
        None => debug!("a connection without a complete TLS handshake has made room for another one"),
    }
    Opening::Failed
}

async fn open(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Opening> {
    if begins_a_method(&stream).await? {
        debug!("a client speaks HTTP without TLS");
        return Ok(Opening::Plain(stream));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, session) = stream.get_ref();
    debug!(version = ?session.protocol_version(), suite = ?session.negotiated_cipher_suite(), "TLS agreed");
    Ok(Opening::Tls(Box::new(stream)))
}

/// Whether the first byte, for which it waits, is a letter: a request of HTTP begins with its method, and a
/// record of TLS with a number below 32.
async fn begins_a_method(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? > 0 && first[0].is_ascii_alphabetic())
}

/// The error of a request that came without TLS.
pub(crate) fn expected() -> Error {
    let message = "this server speaks TLS: send the request to its `https` URL";
    Error::new(ErrorId::INVALID_REQUEST, message)
}
