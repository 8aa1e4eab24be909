//! The client's side of the handshake, without reading or writing: the blocking client and the async one do that their
//! own way.

use miko_core::rpc::Surface;
use miko_core::{Error, ErrorId, Result};

use super::Address;
use crate::wire::frame;
use crate::wire::handshake::{self, HandshakeReply, Hello, MAX_HELLO_SIZE};

/// A client that is being let in.
pub(super) struct ClientHandshake<'a> {
    address: &'a Address,
    surface: &'a Surface,
    surface_shown: bool,
}

impl<'a> ClientHandshake<'a> {
    /// Begins: what is to be sent is appended to `out`.
    pub(super) fn begin(address: &'a Address, surface: &'a Surface, out: &mut Vec<u8>) -> Result<Self> {
        let hello = Hello {
            interface: surface.interface.clone().into_owned(),
            fingerprint: surface.fingerprint(),
            token: address.token.clone(),
        };
        out.extend_from_slice(&handshake::preamble());
        frame::encode(&hello, MAX_HELLO_SIZE, out)?;
        Ok(Self { address, surface, surface_shown: false })
    }

    /// Takes in what the server says. `Some` is the largest frame that the server takes: the client is let in. `None`
    /// means that what was appended to `out` is to be sent, and the server heard again.
    pub(super) fn receive(&mut self, reply: HandshakeReply, out: &mut Vec<u8>) -> Result<Option<usize>> {
        match reply {
            HandshakeReply::Welcome { frame_size } => {
                Ok(Some(usize::try_from(frame_size).unwrap_or(usize::MAX)))
            }
            HandshakeReply::Refused(error) => Err(error),
            HandshakeReply::ShowSurface if self.surface_shown => {
                Err(Error::new(ErrorId::INTERNAL, "the server asked twice for the surface"))
            }
            HandshakeReply::ShowSurface => {
                self.surface_shown = true;
                frame::encode(self.surface, self.address.limits.frame_size, out)?;
                Ok(None)
            }
        }
    }
}
