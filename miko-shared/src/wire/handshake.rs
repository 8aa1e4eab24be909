//! The handshake: before the first call the two sides make sure that they mean the same thing.
//!
//! The client says the magic word, the version of the protocol and, in a frame, a [`Hello`]. The server answers with a
//! [`HandshakeReply`]. Where the fingerprints differ it first asks for the client's whole surface and compares: a server
//! that has grown is fine, one that differs is refused by naming the methods, before any call is made.

use miko_core::rpc::Surface;
use miko_core::{Error, ErrorId, Result};
use serde::{Deserialize, Serialize};

use crate::token::Token;

/// The word that every connection begins with.
pub const MAGIC: [u8; 8] = *b"mikobase";

/// The version of everything in [`wire`](crate::wire). Two sides of different versions do not talk.
pub const VERSION: u16 = 1;

/// Magic word and version as they are sent.
pub const PREAMBLE_SIZE: usize = MAGIC.len() + 2;

/// The largest frame that is read from somebody who has not shown the token yet.
pub const MAX_HELLO_SIZE: usize = 4 << 10;

/// Who the client is and what it wants.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The name of the interface it will call.
    pub interface: String,
    /// The fingerprint of the surface it was built with.
    pub fingerprint: u64,
    /// The secret.
    pub token: Token,
}

/// What the server makes of a client.
#[derive(Debug, Serialize, Deserialize)]
pub enum HandshakeReply {
    /// Calls may begin. Carries the server's frame limit, so that a client refuses what would be refused.
    Welcome {
        /// The largest frame the server takes.
        frame_size: u64,
    },
    /// The fingerprints differ: the client sends its [`Surface`] and gets another verdict.
    ShowSurface,
    /// No, and why.
    Refused(Error),
}

/// The bytes that open a connection.
pub fn preamble() -> [u8; PREAMBLE_SIZE] {
    let mut bytes = [0; PREAMBLE_SIZE];
    bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
    bytes[MAGIC.len()..].copy_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// Checks the bytes that opened a connection.
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
            "this socket speaks Mikobase, and a connection begins with its handshake",
        ));
    }
    let version = u16::from_be_bytes([bytes[MAGIC.len()], bytes[MAGIC.len() + 1]]);
    Err(Error::new(ErrorId::SURFACE_MISMATCH, "client and server speak different versions of the protocol")
        .with("client", version)
        .with("server", VERSION))
}

/// Checks that a client of the interface `name` calls a server of `server`.
///
/// # Errors
/// `surface-mismatch` with both names.
pub fn check_interface(name: &str, server: &Surface) -> Result<()> {
    if name == server.interface {
        return Ok(());
    }
    Err(Error::new(ErrorId::SURFACE_MISMATCH, "client and server are of different interfaces")
        .with("client", name)
        .with("server", &*server.interface))
}

/// Checks that a server of surface `server` has all that a client of surface `client` may call.
///
/// # Errors
/// `surface-mismatch`, listing each method that differs with both signatures.
pub fn check_surface(client: &Surface, server: &Surface) -> Result<()> {
    let differences = client.differences_from(server);
    if differences.is_empty() {
        return Ok(());
    }
    let methods: Vec<&str> = differences.iter().map(|difference| &*difference.method).collect();
    let message = format!(
        "the server does not have all that the client may call: {} differ. Build both from the same interface",
        methods.join(", ")
    );
    let differences = serde_json::to_value(&differences).unwrap_or_default();
    Err(Error::new(ErrorId::SURFACE_MISMATCH, message).with("differences", differences))
}
