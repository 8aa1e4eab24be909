//! The client's side of the handshake, as a state machine without I/O. The blocking and the async client each
//! do the I/O in their own way.

use miko_rpc::{Error, ErrorId, Result, Surface};

use super::Address;
use crate::wire::frame;
use crate::wire::handshake::{self, HandshakeReply, Hello, MAX_HELLO_SIZE};

/// A handshake in progress.
pub(super) struct ClientHandshake<'a> {
    address: &'a Address,
    surface: &'a Surface,
    surface_sent: bool,
}

impl<'a> ClientHandshake<'a> {
    /// Starts the handshake and appends its first message to `out`.
    ///
    /// # Errors
    /// `request-too-large` if the name of the interface is too long.
    pub(super) fn begin(address: &'a Address, surface: &'a Surface, out: &mut Vec<u8>) -> Result<Self> {
        let hello = Hello {
            interface: surface.interface.clone().into_owned(),
            fingerprint: surface.fingerprint(),
            token: address.token.clone(),
            worker: address.worker,
        };
        out.extend_from_slice(&handshake::preamble());
        frame::encode(&hello, MAX_HELLO_SIZE, out)?;
        Ok(Self { address, surface, surface_sent: false })
    }

    /// Processes a reply of the server. If the handshake has succeeded, returns the server's frame limit in
    /// bytes. If the handshake goes on, returns `None`: the caller sends the bytes appended to `out`, and
    /// passes the next reply to this function.
    ///
    /// # Errors
    /// The reason of a refusal; `internal` if the server requests the surface twice; `request-too-large` if
    /// the surface exceeds the frame limit of the client.
    pub(super) fn receive(&mut self, reply: HandshakeReply, out: &mut Vec<u8>) -> Result<Option<usize>> {
        match reply {
            HandshakeReply::Welcome { frame_size } => {
                Ok(Some(usize::try_from(frame_size).unwrap_or(usize::MAX)))
            }
            HandshakeReply::Refused(error) => Err(error),
            HandshakeReply::ShowSurface if self.surface_sent => {
                Err(Error::new(ErrorId::INTERNAL, "the server asked twice for the surface"))
            }
            HandshakeReply::ShowSurface => {
                self.surface_sent = true;
                frame::encode(self.surface, self.address.limits.frame_size, out)?;
                Ok(None)
            }
        }
    }
}
