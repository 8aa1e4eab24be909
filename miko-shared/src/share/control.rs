//! What parent and server process tell each other, over a socket pair of their own.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use miko_core::{Error, ErrorId, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::wire::frame::{self, FrameBuffer};

/// The parent's word for: all workers have ended, deliver the final state.
pub(super) const FINISH: u8 = b'F';

/// How much of the final state is sent at once.
const CHUNK: usize = 64 << 10;

/// The largest message. An error of many items may be large.
const FRAME_LIMIT: usize = 64 << 20;

/// How much is kept of the text of an error that is larger than that.
const MAX_ERROR_TEXT: usize = 64 << 10;

/// What the server process says.
#[derive(Serialize, Deserialize)]
pub(super) enum ServerMessage {
    /// Workers may be forked.
    Ready,
    /// The server could not be set up, or the final state not be delivered.
    Failed(Error),
    /// The next part of the final state.
    State(#[serde(with = "serde_bytes")] Vec<u8>),
    /// The final state is complete.
    Done,
}

/// One message after another from a peer of the supervisor, over a pipe or a socket.
#[derive(Default)]
pub(super) struct Inbox(FrameBuffer);

impl Inbox {
    /// The next message, if it has arrived as a whole. It never waits, if `from` does not block.
    ///
    /// # Errors
    /// `server-gone` when the other side has ended first; `internal` if what came is no message.
    pub(super) fn try_receive<T: DeserializeOwned>(&mut self, from: &mut impl Read) -> Result<Option<T>> {
        loop {
            if let Some(frame) = self.0.next_frame(FRAME_LIMIT)? {
                return rmp_serde::from_slice(frame).map(Some).map_err(|fault| {
                    Error::new(ErrorId::INTERNAL, format!("a message of the server cannot be read: {fault}"))
                });
            }
            match from.read(self.0.room()) {
                Ok(count) if count > 0 => self.0.filled(count),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(fault) if fault.kind() == ErrorKind::Interrupted => {}
                _ => return Err(Error::new(ErrorId::SERVER_GONE, "the server process has ended")),
            }
        }
    }
}

/// Says `message` to the parent. If the parent is gone nobody listens, and the server will hear of that otherwise.
pub(super) fn send(stream: &mut UnixStream, message: &ServerMessage) {
    let mut bytes = Vec::new();
    let mut encoded = frame::encode(message, FRAME_LIMIT, &mut bytes);
    if let (Err(_), ServerMessage::Failed(error)) = (&encoded, message) {
        bytes.clear();
        encoded = frame::encode(&ServerMessage::Failed(shortened(error)), FRAME_LIMIT, &mut bytes);
    }
    if encoded.is_ok() {
        let _ = stream.write_all(&bytes);
    }
}

/// The beginning of an error that is too large for a message: its first item, and how many there are.
fn shortened(error: &Error) -> Error {
    let Some(first) = error.items().first() else { return error.clone() };
    let text: String = first.to_string().chars().take(MAX_ERROR_TEXT).collect();
    Error::new(first.id.clone(), format!("{text}… (shortened: the whole error is too large)"))
        .with("items", error.items().len())
}

/// A writer whose bytes reach the parent as the final state.
pub(super) struct StateWriter<'s>(pub(super) &'s mut UnixStream);

impl Write for StateWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        let mut framed = Vec::with_capacity(chunk.len() + 64);
        frame::encode(&ServerMessage::State(chunk.to_vec()), FRAME_LIMIT, &mut framed)
            .map_err(std::io::Error::other)?;
        self.0.write_all(&framed)?;
        Ok(chunk.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
