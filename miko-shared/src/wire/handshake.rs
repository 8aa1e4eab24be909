//! The handshake: before the first call, both sides check that they use the same protocol and interface.
//!
//! The client sends the magic bytes and the protocol version, then a frame with a [`Hello`]. The server
//! answers with a frame that has a [`HandshakeReply`]. If the fingerprints differ, the server first requests
//! the client's whole surface and compares it with its own. The client is accepted if the server has all
//! methods of the client's surface, and each side can read the arguments and results that the other sends.
//! The server may have further methods. A client that is not accepted is refused before any call, with an
//! error that lists the methods that differ.

use miko_rpc::{Error, ErrorId, Result, Surface};
use serde::{Deserialize, Serialize};

use crate::token::Token;

/// The magic bytes at the start of every connection.
pub const MAGIC: [u8; 8] = *b"mikobase";

/// The version of everything in [`wire`](crate::wire). A client of another version is refused.
pub const VERSION: u16 = 3;

/// The size of the magic bytes and the version, in bytes.
pub const PREAMBLE_SIZE: usize = MAGIC.len() + 2;

/// The largest frame that is read from a peer before its token is checked, in bytes.
pub const MAX_HELLO_SIZE: usize = 4 << 10;

/// The client's first message: the interface that it calls, and its token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The name of the interface that the client will call.
    pub interface: String,
    /// The fingerprint of the surface with which the client was built.
    pub fingerprint: u64,
    /// The token that authorizes the client.
    pub token: Token,
    /// The index of the worker that connects. Other clients have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
}

/// The server's reply to a client.
#[derive(Debug, Serialize, Deserialize)]
pub enum HandshakeReply {
    /// The client is admitted. The reply has the frame limit of the server, so that the client does not send
    /// frames that the server would refuse.
    Welcome {
        /// The largest frame that the server accepts, in bytes.
        frame_size: u64,
    },
    /// The fingerprints differ. The client has to send its [`Surface`], and then receives another reply.
    ShowSurface,
    /// The client is refused, with the reason.
    Refused(Error),
}

/// The first bytes of a connection: magic bytes and version.
pub fn preamble() -> [u8; PREAMBLE_SIZE] {
    let mut bytes = [0; PREAMBLE_SIZE];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// Checks the first bytes of a connection.
///
/// # Errors
/// `invalid_request` for another protocol, `surface-mismatch` for another version of this one.
pub fn check_preamble(bytes: [u8; PREAMBLE_SIZE]) -> Result<()> {
    let expected = preamble();
    if bytes == expected {
        return Ok(());
    }
    if bytes[..MAGIC.len()] != MAGIC {
        return Err(Error::new(
            ErrorId::INVALID_REQUEST,
            "the connection does not begin with the handshake of Mikobase",
        ));
    }
    let version = u16::from_be_bytes([bytes[MAGIC.len()], bytes[MAGIC.len() + 1]]);
    Err(Error::new(ErrorId::SURFACE_MISMATCH, "client and server use different versions of the protocol")
        .with("client", version)
        .with("server", VERSION))
}

/// Checks that the client's interface `name` is the one that the server serves.
///
/// # Errors
/// `surface-mismatch` with both names.
pub fn check_interface(name: &str, server: &Surface) -> Result<()> {
    if name == server.interface {
        return Ok(());
    }
    Err(Error::new(ErrorId::SURFACE_MISMATCH, "client and server have different interfaces")
        .with("client", name)
        .with("server", &*server.interface))
}

/// Checks that a client with the surface `client` can call all methods of this surface on a server with the
/// surface `server` (see [`Surface::differences_from`]).
///
/// # Errors
/// `surface-mismatch`, which lists each method that differs: its signatures on both sides, and the places at
/// which the shapes of its types differ.
pub fn check_surface(client: &Surface, server: &Surface) -> Result<()> {
    let differences = client.differences_from(server);
    if differences.is_empty() {
        return Ok(());
    }
    let methods: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let message = format!(
        "the server does not have all that the client may call: {} differ. Build both from the same \
         interface",
        methods.join(", ")
    );
    let differences = serde_json::to_value(&differences).unwrap_or_default();
    Err(Error::new(ErrorId::SURFACE_MISMATCH, message).with("differences", differences))
}
