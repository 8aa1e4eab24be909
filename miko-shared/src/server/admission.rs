//! The server's side of the handshake: authentication and the comparison of surfaces.

use std::future::Future;

use miko_rpc::{Error, ErrorId, Interface, Result, Surface, memory};
use nix::unistd::Uid;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::warn;

use super::around::Peer;
use super::shared::Shared;
use super::socket::Socket;
use crate::wire::frame::{self, FrameBuffer};
use crate::wire::handshake::{self, HandshakeReply, Hello, MAX_HELLO_SIZE, PREAMBLE_SIZE};

/// The largest surface of a client, in bytes.
const MAX_SURFACE_SIZE: usize = 4 << 20;

/// A peer that has passed the handshake.
pub(super) struct Admitted {
    pub(super) peer: Peer,
    /// The bytes that have arrived behind those of the handshake.
    pub(super) incoming: FrameBuffer,
}

/// Performs the handshake with the process `pid` and sends its result. Returns `None` if the peer is refused,
/// or the result cannot be sent.
pub(super) async fn admit<I: Interface + ?Sized>(
    socket: &mut Socket,
    pid: i32,
    shared: &Shared<I>,
) -> Option<Admitted> {
    let mut incoming = FrameBuffer::default();
    let (reply, admitted) = match authenticate(socket, &mut incoming, shared).await {
        Ok(hello) => {
            let peer = Peer::new(pid, hello.worker);
            let welcome = HandshakeReply::Welcome { frame_size: shared.calls.limits.frame_size as u64 };
            (welcome, Some(Admitted { peer, incoming }))
        }
        Err(error) => {
            // Quoted: the text of the error may contain text of the client, with line breaks.
            warn!(error = ?error.to_string(), "refused");
            (HandshakeReply::Refused(error), None)
        }
    };
    with_timeout(shared, send_frame(socket, &reply)).await.ok()?;
    admitted
}

/// Checks the peer, the cheapest checks first. Each token is compared in constant time, so the timing does
/// not reveal how many leading bytes of the client's token are right.
///
/// # Errors
/// The reason for which the peer is refused.
async fn authenticate<I: Interface + ?Sized>(
    socket: &mut Socket,
    buffer: &mut FrameBuffer,
    shared: &Shared<I>,
) -> Result<Hello> {
    check_user(socket)?;
    shared.check_connections()?;
    let preamble = with_timeout(shared, read_exact::<PREAMBLE_SIZE>(socket, buffer)).await?;
    handshake::check_preamble(preamble)?;
    let hello: Hello = with_timeout(shared, read_frame(socket, buffer, MAX_HELLO_SIZE)).await?;
    // All tokens are compared, also after a match, so the timing does not reveal which one matches.
    let is_known = shared.tokens.iter().fold(false, |known, token| hello.token.matches(token) | known);
    if !is_known {
        return Err(Error::new(ErrorId::UNAUTHORIZED, "the server does not know this token"));
    }
    handshake::check_interface(&hello.interface, I::surface())?;
    if hello.fingerprint != I::surface().fingerprint() {
        with_timeout(shared, send_frame(socket, &HandshakeReply::ShowSurface)).await?;
        let surface: Surface = with_timeout(shared, read_frame(socket, buffer, MAX_SURFACE_SIZE)).await?;
        handshake::check_surface(&surface, I::surface())?;
    }
    Ok(hello)
}

/// Checks the peer's credentials, which the kernel reports: the peer must run as the server's user.
fn check_user(socket: &Socket) -> Result<()> {
    let refused = |message: String| Error::new(ErrorId::UNAUTHORIZED, message);
    let user = socket.peer_uid().map_err(|fault| refused(format!("the peer is unknown: {fault}")))?;
    if user == Uid::effective().as_raw() {
        return Ok(());
    }
    Err(refused("the server takes connections of its own user only".to_owned()).with("found", user))
}

/// Limits the duration of one step of the handshake ([`Limits::handshake`](crate::Limits::handshake)).
///
/// # Errors
/// The errors of the step, and `deadline-exceeded`.
async fn with_timeout<I: ?Sized, T>(shared: &Shared<I>, step: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(shared.calls.limits.handshake, step).await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorId::DEADLINE_EXCEEDED,
            "the client did not say who it is within the limit `handshake`",
        ))
    })
}

/// Reads the next `N` bytes, which belong to no frame.
async fn read_exact<const N: usize>(socket: &mut Socket, buffer: &mut FrameBuffer) -> Result<[u8; N]> {
    loop {
        if let Some(bytes) = buffer.take::<N>() {
            return Ok(bytes);
        }
        read_more(socket, buffer).await?;
    }
}

/// Reads the next frame, of at most `limit` bytes, and decodes it.
async fn read_frame<T: DeserializeOwned>(
    socket: &mut Socket,
    buffer: &mut FrameBuffer,
    limit: usize,
) -> Result<T> {
    loop {
        if let Some(frame) = buffer.next_frame(limit)? {
            return memory::read_frame(frame.len(), limit, || rmp_serde::from_slice(frame)).map_err(
                |fault| Error::caused_by(ErrorId::INVALID_REQUEST, "the handshake cannot be read", fault),
            );
        }
        read_more(socket, buffer).await?;
    }
}

/// Reads the bytes that arrive next into `buffer`. A failed read counts as the end of the connection.
async fn read_more(socket: &mut Socket, buffer: &mut FrameBuffer) -> Result<()> {
    match socket.read(buffer.room()).await {
        Ok(count) if count > 0 => {
            buffer.filled(count);
            Ok(())
        }
        _ => Err(Error::new(ErrorId::INVALID_REQUEST, "the connection ended inside the handshake")),
    }
}

/// Sends a message of the handshake as one frame.
async fn send_frame(socket: &mut Socket, reply: &impl Serialize) -> Result<()> {
    let mut bytes = Vec::new();
    frame::encode(reply, usize::MAX, &mut bytes)?;
    let written = socket.write_all(&bytes).await;
    written.map_err(|fault| Error::caused_by(ErrorId::INTERNAL, "the peer does not listen", fault))
}
